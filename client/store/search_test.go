package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/text"
)

func wordsOf(s string) (list []string) {
	words(s, func(w []byte, _, _ int) error { list = append(list, string(w)); return nil })
	return list
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		" ,.!? ":                         "",
		"Kalium 6.8 mmol/l":              "kalium 6 8 mmol l",
		"#mrn:44120":                     "mrn 44120",
		"Förde, FÖRDE, fo\u0308rde":      "forde forde forde",
		"Straße STRASSE Øre Łódź Ærø":    "strasse strasse ore lodz aero",
		"Ναί ΌΧΙ λόγος ΛΌΓΟΣ":            "ναι οχι λογοσ λογοσ",
		"İstanbul ıspanak":               "istanbul ispanak",
		"患者の血圧":                          "患 者 の 血 圧",
		"ﬁx ４４１２０":                       "fix 44120",
		"e\u0301\u0301\u0301 \u0301":     "e",
		"\xff\xfeabc\xffdef":             "abc def",
		"re\u00adani\u200dmation":        "reanimation",
		"don't @role/cardiology 👍":       "don t role cardiology",
		strings.Repeat("x", 100) + " y":  strings.Repeat("x", maxWord) + " y",
		"ยา ada@h.example <U+202E>":      "ย า ada h example u 202e",
		"Привет ЁЛКА й":                  "привет елка и",
		"\u05e9\u05b8\u05c1\u05dc\u05d5": "\u05e9\u05dc\u05d5",
	} {
		if got := strings.Join(wordsOf(in), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"a b", "Förde ẞ", "患者ーｰゟ", "\xff", "ﷺ ŉ ﬃ", strings.Repeat("é", 40), "\U000f0001\U000f8002"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		end := -1
		err := words(s, func(w []byte, from, to int) error {
			if from < 0 || to > len(s) || from >= to || from < end && !(to == end) {
				t.Errorf("%q: %q stands at %d to %d, after %d", s, w, from, to, end)
			}
			end = to
			if !utf8.Valid(w) || len(w) == 0 || len(w) > maxWord {
				t.Errorf("%q: word %q", s, w)
			}
			if again := wordsOf(string(w)); len(again) != 1 || again[0] != string(w) {
				t.Errorf("%q: %q becomes %q", s, w, again)
			}
			if strings.ContainsAny(string(w), `"'*(){}^:+-`) {
				t.Errorf("%q: a word has syntax in it: %q", s, w)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		m := NewMatcher(s)
		for _, sp := range m.Spans(text.Sanitize(s).String()) {
			if sp.Start >= sp.End {
				t.Errorf("%q: span %v", s, sp)
			}
		}
	})
}

// found searches and returns the origin ids of what is found, in order.
func found(t testing.TB, s *Store, q Search) string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	var out string
	view(t, s, func(tx *Tx) error {
		hits, _, _, err := tx.Search(q)
		out = origins(hits)
		return err
	})
	return out
}

// indexAll has everything indexed, or nothing, so that both ways are tried.
func indexAll(t testing.TB, s *Store, all bool) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		if all {
			return tx.indexNew(1)
		}
		return nil
	})
}

func TestSearch(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		t.Run(fmt.Sprint("indexed ", indexed), func(t *testing.T) {
			s := memory(t)
			put := func(peer, origin, body string, n int) {
				m := incoming(peer, origin, n)
				m.Body = body
				add(t, s, m)
			}
			put(ben, "a", "Calcium gluconate 10 ml now. #mrn:44120", 10)
			put(ben, "b", "Calcium is back: 2.31. CALCIUM!", 30)
			put(carla, "c", "calcification of the valve, call me", 20)
			put(carla, "d", "Förderung läuft, K 6.8 um 19:02", 40)
			put(ben, "e", "患者の血圧が高い", 50)
			put(ben, "f", "gluconate of calcium", 5) // stored later than it was sent
			mine := outgoing(ben, "g", 60)
			mine.Body = "calcium given"
			add(t, s, mine)
			notice := incoming(ben, "h", 70)
			notice.Kind, notice.Body = Notice, "calcium in our own words"
			add(t, s, notice)
			indexAll(t, s, indexed)
			for _, x := range []struct {
				q    Search
				want string
			}{
				{Search{Text: "calcium"}, "gbaf"},
				{Search{Text: "CALCI"}, "gbcaf"},
				{Search{Text: "ca"}, ""},
				{Search{Text: "k"}, "d"},
				{Search{Text: "calcium gluc"}, "af"},
				{Search{Text: `"calcium gluconate"`}, "a"},
				{Search{Text: `"calci gluconate"`}, ""},
				{Search{Text: `"calcium`}, "gbaf"},
				{Search{Text: "#mrn:44120"}, "a"},
				{Search{Text: "#mrn:441"}, "a"},
				{Search{Text: "44120"}, "a"},
				{Search{Text: "6.8"}, "d"},
				{Search{Text: "8.6"}, ""},
				{Search{Text: "forderung lauft"}, "d"},
				{Search{Text: "FÖRDERUNG"}, "d"},
				{Search{Text: "血圧"}, "e"},
				{Search{Text: "圧血"}, ""},
				{Search{Text: "calcium", Peer: carla}, ""},
				{Search{Text: "calc", Peer: carla}, "c"},
				{Search{Text: "calcium", Peer: "nobody@h.example"}, ""},
				{Search{Text: "calcium", Sender: self}, "g"},
				{Search{Text: "calcium", Sender: ben, Peer: ben}, "baf"},
				{Search{Text: "calcium", From: at(10), Until: at(60)}, "ba"},
				{Search{Text: "calcium", Until: at(10)}, "f"},
				{Search{Peer: carla}, "dc"},
				{Search{Sender: self}, "g"},
				{Search{From: at(40)}, "ged"},
				{Search{}, "gedbcaf"},
				{Search{Text: "?!"}, ""},
				{Search{Text: "own words"}, ""},
			} {
				if got := found(t, s, x.q); got != x.want {
					t.Errorf("%+v: %q, want %q", x.q, got, x.want)
				}
			}
			// Nothing that people type is a language.
			for _, hostile := range []string{
				`"`, `""`, `"""`, `calcium"`, `calcium OR valve`, `NOT calcium`, `calcium NEAR/2 gluconate`, `body:calcium`, `tags:x`, `{body}`, `^calcium`, `cal*`, `*`,
				`calcium) OR (valve`, `'; DROP TABLE message; --`, "\x00", "calcium\x00", "\xff\xfe", strings.Repeat(`"`, 10000), strings.Repeat("calcium ", 10000),
				strings.Repeat("(", 5000), conversationTag(1), `calcium AND tags : "` + conversationTag(2) + `"`, senderTag(ben), "sotto_gone()", strings.Repeat("患", 5000),
			} {
				found(t, s, Search{Text: hostile})
			}
			if got := found(t, s, Search{Text: conversationTag(1)}); got != "" {
				t.Errorf("the index's own words are found: %s", got)
			}
			if got := found(t, s, Search{Text: "body:calcium"}); got != "" {
				t.Errorf("a column: %s", got)
			}
		})
	}
}

// TestSearchFollowsTheText changes texts in every way that there is.
func TestSearchFollowsTheText(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		t.Run(fmt.Sprint("indexed ", indexed), func(t *testing.T) {
			s := memory(t)
			notice := incoming(ben, "a", 1)
			notice.Kind, notice.Body = Notice, "closed"
			add(t, s, notice)
			queued := outgoing(ben, "b", 2)
			queued.Body = "first"
			add(t, s, queued)
			indexAll(t, s, indexed)
			real := incoming(ben, "a", 3)
			real.Body = "opened"
			add(t, s, real)
			update(t, s, func(tx *Tx) error { return tx.SetBody(queued.ID, "second") })
			indexAll(t, s, indexed)
			for text, want := range map[string]string{"closed": "", "opened": "a", "first": "", "second": "b"} {
				if got := found(t, s, Search{Text: text}); got != want {
					t.Errorf("%s: %q", text, got)
				}
			}
			update(t, s, func(tx *Tx) error {
				_, err := tx.Correct(Correction{Peer: ben, OriginID: "a", Sender: ben, Body: "corrected", Time: at(4)})
				return err
			})
			// A transaction that does not come about leaves the index alone.
			s.Update(context.Background(), func(tx *Tx) error {
				tx.Recall(Recalling{Peer: ben, OriginID: "a", Sender: ben, Time: at(5)})
				return context.Canceled
			})
			indexAll(t, s, indexed)
			for text, want := range map[string]string{"opened": "", "corrected": "a"} {
				if got := found(t, s, Search{Text: text}); got != want {
					t.Errorf("%s: %q", text, got)
				}
			}
			if err := s.Reindex(context.Background()); err != nil {
				t.Fatal(err)
			}
			for text, want := range map[string]string{"closed": "", "opened": "", "corrected": "a", "second": "b"} {
				if got := found(t, s, Search{Text: text}); got != want {
					t.Errorf("after indexing anew, %s: %q", text, got)
				}
			}
		})
	}
}

// TestSearchPages compares pages of searches with a plain reading of all messages,
// many of which have the same time, while some are indexed and some are not.
func TestSearchPages(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "sotto.db"))
	s.shardSize, s.enoughTexts = 300, 20
	rng := rand.New(rand.NewPCG(3, 4))
	vocabulary := strings.Fields("bed nine potassium pota potass potassic repeat ecg ward sample is back of the 44120 441201 zinc")
	var all []*Message
	for i := range 1450 {
		m := incoming([]string{ben, carla}[rng.IntN(2)], fmt.Sprint("o", i, ","), rng.IntN(40)*rng.IntN(2))
		m.Body = ""
		for range 3 {
			m.Body += vocabulary[rng.IntN(len(vocabulary))] + " "
		}
		all = append(all, m)
	}
	for chunk := range slices.Chunk(all, 100) {
		update(t, s, func(tx *Tx) error {
			for _, m := range chunk {
				if _, err := tx.AddMessage(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	waiting := 0
	view(t, s, func(tx *Tx) error {
		return tx.query(`SELECT count(*) FROM unindexed`, func(st *sqlite3.Stmt) { waiting = st.ColumnInt(0) })
	})
	if waiting == 0 || waiting >= indexBatch {
		t.Fatalf("%d wait to be indexed: this test wants some", waiting)
	}
	for _, q := range []Search{{Text: "pota"}, {Text: "bed ecg"}, {Text: `"is back"`}, {Text: "potassium", Peer: ben}, {Text: "the", From: at(3), Until: at(30)}, {Peer: carla}, {},
		{Text: "pota", Budget: 1}, {Text: "bed ecg", Budget: 1}, {Text: "of", Peer: carla, Budget: 1}, {Budget: 1}, {Text: "nowhere the", Budget: 1},
		{Text: "potas the"}, {Text: "potass bed"}, {Text: "bed #the:44120"}, {Text: "potas", Peer: ben}, {Text: "zinc potas bed"}} {
		m := NewMatcher(q.Text)
		want := make(map[string]bool)
		for _, x := range all {
			if (m.Empty() || m.Spans(x.Body) != nil) && (q.Peer == "" || q.Peer == x.Peer) &&
				(q.From.IsZero() || !x.Time.Before(q.From)) && (q.Until.IsZero() || x.Time.Before(q.Until)) {
				want[x.OriginID] = true
			}
		}
		got := make(map[string]bool)
		var last time.Time
		q.Limit = 7
		for pages := 0; ; pages++ {
			var more bool
			view(t, s, func(tx *Tx) error {
				hits, next, again, err := tx.Search(q)
				for _, h := range hits {
					if got[h.OriginID] {
						t.Errorf("%+v: %s twice", q, h.OriginID)
					}
					got[h.OriginID] = true
					// Those of one moment stand in any order, up to the shift.
					if !last.IsZero() && h.Time.After(last.Add(time.Minute)) {
						t.Errorf("%+v: %v after %v", q, h.Time, last)
					}
					last = h.Time
				}
				if again && len(hits) != q.Limit && q.Budget == 0 {
					t.Errorf("%+v: a page of %d", q, len(hits))
				}
				q.After, more = next, again
				return err
			})
			if !more {
				break
			}
			if pages > 1000 {
				t.Fatal("no end")
			}
		}
		if len(got) != len(want) {
			t.Errorf("%+v: %d found, want %d", q, len(got), len(want))
		}
	}
}

func TestSpans(t *testing.T) {
	for _, x := range []struct{ search, shown, want string }{
		{"calc", "Calcium, calculus: CALC", "[Calcium] [calculus] [CALC]"},
		{"calcium glu", "Calcium gluconate", "[Calcium] [gluconate]"},
		{`"calcium glu"`, "Calcium gluconate", ""},
		{"#mrn:44120", "see #mrn:44120, not 44120", "[mrn] [44120]"},
		{"fo", "Förde fo FÖ", "[fo] [FÖ]"},
		{"forde", "in Fo\u0308rde.", "[Fo\u0308rde]"},
		{"血圧", "患者の血圧", "[血] [圧]"},
		{"both there", "both", ""},
		{"", "x", ""},
	} {
		var got []string
		for _, s := range NewMatcher(x.search).Spans(x.shown) {
			got = append(got, "["+x.shown[s.Start:s.End]+"]")
		}
		if g := strings.Join(got, " "); g != x.want {
			t.Errorf("%q in %q: %s, want %s", x.search, x.shown, g, x.want)
		}
	}
	if n := len(NewMatcher("a").Spans(strings.Repeat("a ", 10000))); n != maxSpans {
		t.Errorf("%d spans", n)
	}
}

// TestManyAtOnce stores more messages of one instant than there are moments near it.
func TestManyAtOnce(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		for i := range 3000 {
			m := incoming(ben, fmt.Sprint("o", i), 1)
			m.Body = "same"
			if i == 0 {
				m.Time = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
			}
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		return nil
	})
	n := 0
	q := Search{Text: "same", From: at(1), Until: at(2), Limit: MaxHits}
	for more := true; more; {
		view(t, s, func(tx *Tx) (err error) {
			var hits []Message
			hits, q.After, more, err = tx.Search(q)
			n += len(hits)
			return err
		})
	}
	if n != 2999 {
		t.Errorf("%d found", n)
	}
}
