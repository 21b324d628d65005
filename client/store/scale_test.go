package store

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// go test -run '^$' -bench Scale -scale 1000000 ./client/store
var scale = flag.Int("scale", 100_000, "messages in the database of BenchmarkScale")

var tidy = flag.Bool("tidy", true, "bring the index into order before BenchmarkScale searches")

var kept = flag.String("kept", "", "folder in which BenchmarkScale keeps its database, and finds it the next time")

var shards = flag.Int("shards", 0, "texts in a shard of the index, which BenchmarkScale builds anew")

// ward writes as a ward does: few words often, many seldom.
type ward struct {
	rng   *rand.Rand
	words []string
	zipf  *rand.Zipf
}

func newWard() *ward {
	w := &ward{rng: rand.New(rand.NewPCG(1, 2))}
	syllables := strings.Fields(`po tas si um cal ci glu con ate bed re peat sam ple e c g ward nur se doc tor drip flu id pain chest
		pre ss ure o two hun dred mor ning late call back un til the an in of and to is for on at with no yes ok kl ra mi la ve rd ö ä é`)
	seen := make(map[string]bool)
	for len(w.words) < 60_000 {
		var b strings.Builder
		n := 1 + w.rng.IntN(4)
		if len(w.words) > 200 {
			n++
		}
		for range n {
			b.WriteString(syllables[w.rng.IntN(len(syllables))])
		}
		if s := b.String(); !seen[s] {
			seen[s] = true
			w.words = append(w.words, s)
		}
	}
	w.zipf = rand.NewZipf(w.rng, 1.07, 4, uint64(len(w.words)-1))
	return w
}

func (w *ward) word() string { return w.words[w.zipf.Uint64()] } // as often as it is written
func (w *ward) rare() string { return w.words[w.rng.IntN(len(w.words))] }

func (w *ward) text() string {
	var b strings.Builder
	for range 4 + w.rng.IntN(18) {
		b.WriteString(w.word())
		b.WriteByte(' ')
	}
	if w.rng.IntN(5) == 0 {
		fmt.Fprintf(&b, "#mrn:%d", w.mrn())
	}
	return b.String()
}

func (w *ward) mrn() int { return 10_000 + w.rng.IntN(80_000) }

// fill stores n messages in conversations of very different length, the longest
// of which has a tenth of them.
func (w *ward) fill(b *testing.B, s *Store, n int) {
	b.Helper()
	for i := 0; i < n; {
		update(b, s, func(tx *Tx) error {
			for range min(500, n-i) {
				i++
				peer := ben
				if i%10 != 0 {
					peer = fmt.Sprintf("p%d@h.example", int(w.rng.ExpFloat64()*100))
				}
				m := incoming(peer, fmt.Sprint("o", i), 0)
				if w.rng.IntN(3) == 0 {
					m = outgoing(peer, fmt.Sprint("o", i), 0)
				}
				m.Time = at(i * 7)
				m.Body, m.ArchiveID, m.Encrypted, m.Fingerprint, m.Cipher = w.text(), fmt.Sprint("1760000000", i), true, make([]byte, 32), []byte(fmt.Sprint("cipher", i))
				m.Read = n-i > 10_000 // a day's absence
				if w.rng.IntN(200) == 0 {
					m.Body, m.Urgency = "!stat "+m.Body, Stat
				}
				if _, err := tx.AddMessage(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// BenchmarkScale measures what people wait for in a large database: the half and
// the slowest twentieth of single calls, by the clock and by the processor's time.
func BenchmarkScale(b *testing.B) {
	dir, err := *kept, error(nil)
	if dir == "" {
		if dir, err = os.MkdirTemp("", "sotto-scale"); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
	}
	path := filepath.Join(dir, "sotto.db")
	s := openTest(b, path)
	w := newWard()
	start, busy := time.Now(), processor()
	if s.Created() {
		w.fill(b, s, *scale)
	}
	if *shards > 0 {
		s.shardSize = *shards
		if err := s.Reindex(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	took, work := time.Since(start), processor()-busy
	size := func(sql string) (n int64) {
		view(b, s, func(tx *Tx) error { return tx.query(sql, func(st *sqlite3.Stmt) { n = st.ColumnInt64(0) }) })
		return n
	}
	b.Logf("%d messages: %.0f a second, %.0f by the processor's time; %d MB, of which the words of the index %d MB", *scale,
		float64(*scale)/took.Seconds(), float64(*scale)/work.Seconds(),
		size("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")>>20, size("SELECT sum(length(block)) FROM search_data")>>20)

	if *tidy {
		start, steps := processor(), 0
		for more := true; more; steps++ {
			if more, err = s.Tidy(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		b.Logf("brought into order in %d steps, %v of the processor", steps, (processor() - start).Round(time.Millisecond))
	}
	timed := func(name string, call func(tx *Tx) error) {
		b.Run(name, func(b *testing.B) {
			var times series
			for b.Loop() {
				times.add(func() { view(b, s, call) })
			}
			times.report(b)
		})
	}
	cut := func(s string, n int) string { return string([]rune(s)[:min(n, len([]rune(s)))]) }
	for _, x := range []struct {
		name string
		q    func() Search
	}{
		{"word", func() Search { return Search{Text: w.word()} }},
		{"rare", func() Search { return Search{Text: w.rare()} }},
		{"two", func() Search { return Search{Text: w.word() + " " + w.word()} }},
		{"mrn", func() Search { return Search{Text: fmt.Sprintf("#mrn:%d", w.mrn())} }},
		{"phrase", func() Search { return Search{Text: `"` + w.word() + " " + w.word() + `"`} }},
		{"typing2", func() Search { return Search{Text: cut(w.rare(), 2)} }},
		{"typing3", func() Search { return Search{Text: cut(w.rare(), 3)} }},
		{"typing4", func() Search { return Search{Text: cut(w.rare(), 4)} }},
		{"typing5", func() Search { return Search{Text: cut(w.rare(), 5)} }},
		{"word+typing3", func() Search { return Search{Text: w.rare() + " " + cut(w.rare(), 3)} }},
		{"person", func() Search { return Search{Text: w.word(), Peer: fmt.Sprintf("p%d@h.example", w.rng.IntN(300))} }},
		{"sender", func() Search { return Search{Text: w.word(), Sender: fmt.Sprintf("p%d@h.example", w.rng.IntN(300))} }},
		{"month", func() Search {
			from := at(w.rng.IntN(*scale * 7))
			return Search{Text: w.word(), From: from, Until: from.Add(30 * 24 * time.Hour)}
		}},
	} {
		timed("search/"+x.name, func(tx *Tx) error {
			q := x.q()
			q.Limit = 50
			_, _, _, err := tx.Search(q)
			return err
		})
	}
	b.Run("search/worst", func(b *testing.B) { // frequent words that never follow each other so
		var times series
		phrase := `"` + strings.Join([]string{w.words[0], w.words[1], w.words[0], w.words[1], w.words[0]}, " ") + `" `
		for b.Loop() {
			times.add(func() {
				view(b, s, func(tx *Tx) error {
					_, _, _, err := tx.Search(Search{Text: strings.Repeat(phrase, 4), Limit: 50})
					return err
				})
			})
		}
		times.report(b)
	})

	var ids []int64
	view(b, s, func(tx *Tx) error {
		return tx.query(`SELECT id FROM message WHERE conversation = (SELECT id FROM conversation WHERE peer = 'ben@h.example') ORDER BY place`,
			func(st *sqlite3.Stmt) { ids = append(ids, st.ColumnInt64(0)) })
	})
	some := func() int64 { return ids[w.rng.IntN(len(ids))] }
	timed("list", func(tx *Tx) error { _, err := tx.Conversations(); return err })
	timed("last", func(tx *Tx) error { _, err := tx.Messages(ben, 0, 100); return err })
	timed("before", func(tx *Tx) error { _, err := tx.Messages(ben, some(), 100); return err })
	timed("after", func(tx *Tx) error { _, err := tx.MessagesAfter(ben, some(), 100); return err })
	timed("around", func(tx *Tx) error { _, err := tx.Around(ben, some(), 50, 50); return err })
	timed("date", func(tx *Tx) error { _, err := tx.At(ben, at(w.rng.IntN(*scale*7))); return err })
	timed("unread", func(tx *Tx) error { _, err := tx.FirstUnread(ben); return err })
	timed("inbox", func(tx *Tx) error { _, err := tx.Inbox(Me{Names: []string{"alice"}}, time.Now(), 50); return err })

	outer := b
	b.Run("open", func(b *testing.B) { // the database, and the conversation with the most messages
		s.Close()
		var times series
		for b.Loop() {
			var again *Store
			times.add(func() {
				if again, err = Open(context.Background(), path, testKey(1)); err != nil {
					b.Fatal(err)
				}
				view(b, again, func(tx *Tx) error { _, err := tx.Messages(ben, 0, 100); return err })
			})
			again.Close()
		}
		times.report(b)
		s = openTest(outer, path)
	})
	b.Run("recall", func(b *testing.B) {
		var times series
		n := 0
		for b.Loop() {
			n += 10
			times.add(func() {
				update(b, s, func(tx *Tx) error {
					m, err := tx.MessageByOrigin(ben, fmt.Sprint("o", n))
					if err == nil && m != nil {
						_, _, err = tx.Recall(Recalling{Peer: ben, OriginID: m.OriginID, Sender: m.Sender, Time: at(1)})
					}
					return err
				})
			})
		}
		times.report(b)
	})
	b.Run("store", func(b *testing.B) { // one message, on the disk
		var times series
		n := *scale
		for b.Loop() {
			n++
			m := incoming(ben, fmt.Sprint("o", n), 0)
			m.Time, m.Body = at(n*7), w.text()
			times.add(func() { update(b, s, func(tx *Tx) error { _, err := tx.AddMessage(m); return err }) })
		}
		times.report(b)
	})
}

// series are the times of single calls.
type series struct{ clock, processor []time.Duration }

func (s *series) add(call func()) {
	start, busy := time.Now(), processor()
	call()
	s.processor = append(s.processor, processor()-busy)
	s.clock = append(s.clock, time.Since(start))
}

func (s *series) report(b *testing.B) {
	for name, times := range map[string][]time.Duration{"": s.clock, "cpu-": s.processor} {
		slices.Sort(times)
		ms := func(i int) float64 { return float64(times[i].Microseconds()) / 1000 }
		b.ReportMetric(ms(len(times)/2), name+"p50-ms")
		b.ReportMetric(ms(len(times)*95/100), name+"p95-ms")
	}
}
