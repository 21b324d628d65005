package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// hostileArchive answers the n-th query for a page: with results, and with the end
// of the page.
type hostileArchive func(n int, after string) (ids []string, stamps func(i int) time.Time, body string, last string, complete bool)

// endless has a client catch up with an archive, and returns what it asked for.
func endless(t *testing.T, answer hostileArchive) (c *Client, said, asked []string) {
	t.Helper()
	st := memoryStore(t)
	err := st.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetArchivePosition(me, "p"); err != nil {
			return err
		}
		return tx.SetValue(valueCaught, []byte{1})
	})
	if err != nil {
		t.Fatal(err)
	}
	d := newDouble(t)
	n := 0
	d.hook = func(iq *stanza.Element) *stanza.Element {
		q := iq.Child(stanza.NSMAM, "query")
		if q == nil {
			return nil
		}
		after := q.Child(stanza.NSRSM, "set").Child("", "after").Text()
		d.mu.Lock()
		asked = append(asked, after)
		d.mu.Unlock()
		ids, stamp, body, last, complete := answer(n, after)
		n++
		for i, id := range ids {
			d.deliver(resultAt(q.Get("queryid"), id, stamp(i), stanza.NewChat(me, "m"+id, stanza.Body(body)).With("from", ada+"/x")))
		}
		fin := stanza.New(stanza.NSMAM, "fin", stanza.New(stanza.NSRSM, "set", stanza.TextElement(stanza.NSRSM, "last", last), stanza.TextElement(stanza.NSRSM, "count", "7")))
		if complete {
			fin.With("complete", "true")
		}
		return stanza.NewIQ("result", me+"/test", iq.Get("id"), fin)
	}
	c = run(t, st, d.attach(1))
	wait(t, c, func(e Event) bool {
		if n, ok := e.(NoticeEvent); ok {
			said = append(said, n.Text.String())
		}
		_, done := e.(CaughtUp)
		return done
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	return c, said, slices.Clone(asked)
}

func resultAt(query, id string, at time.Time, m *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSMAM, "result",
		stanza.New(stanza.NSForward, "forwarded", stanza.New(stanza.NSDelay, "delay").With("stamp", at.UTC().Format(time.RFC3339)), m)).
		With("queryid", query).With("id", id)).With("to", me+"/test")
}

var dawn = time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC)

func onward(i int) time.Time { return dawn.Add(time.Duration(i) * time.Second) }

func ids(prefix string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(prefix, i))
	}
	return list
}

// endlessArchives page for ever, in all the ways there are.
var endlessArchives = []struct {
	name   string
	pages  int // at most
	answer hostileArchive
}{
	{"the same page again", 3, func(int, string) ([]string, func(int) time.Time, string, string, bool) {
		return ids("a", 20), onward, "text", "a19", false
	}},
	{"in circles", 5, func(n int, _ string) ([]string, func(int) time.Time, string, string, bool) {
		return ids(string(rune('a'+n%3)), 20), onward, "text", "", false
	}},
	{"back to the position", 2, func(n int, _ string) ([]string, func(int) time.Time, string, string, bool) {
		return []string{"a", "p"}, onward, "text", "p", false
	}},
	{"nothing that is text", maxBarren + 1, func(n int, _ string) ([]string, func(int) time.Time, string, string, bool) {
		return ids(fmt.Sprint(n, "-"), 3), onward, "", "", false
	}},
	{"empty pages", maxBarren + 1, func(n int, _ string) ([]string, func(int) time.Time, string, string, bool) {
		return nil, onward, "", fmt.Sprint("x", n), false
	}},
	{"backwards", 8, func(n int, _ string) ([]string, func(int) time.Time, string, string, bool) {
		return ids(fmt.Sprint(n, "-"), 3), func(int) time.Time { return dawn.Add(-time.Duration(n) * time.Hour) }, "text", "", false
	}},
}

// TestEndlessArchives: each of them is left after a while, and messages go out all
// the same.
func TestEndlessArchives(t *testing.T) {
	for _, x := range endlessArchives {
		t.Run(x.name, func(t *testing.T) {
			c, said, asked := endless(t, x.answer)
			if len(asked) > x.pages {
				t.Errorf("asked for %d pages", len(asked))
			}
			if s := c.State(); !s.CaughtUp || s.CatchUp.Active {
				t.Errorf("not done: %+v", s)
			}
			if !strings.Contains(strings.Join(said, "\n"), "goes on without an end") {
				t.Errorf("said %q", said)
			}
			gaps, err := c.Gaps(ctx, ada)
			if x.name != "empty pages" && (err != nil || len(gaps) != 1 || !gaps[0].Pending()) {
				t.Errorf("what is missing is not said: %+v, %v", gaps, err)
			}
		})
	}
}

func TestArchivesThatLie(t *testing.T) {
	t.Run("about where a page ends", func(t *testing.T) {
		_, _, asked := endless(t, func(n int, after string) ([]string, func(int) time.Time, string, string, bool) {
			if n == 0 {
				return ids("a", 5), onward, "text", "far away", false
			}
			return ids("b", 5), onward, "text", "b4", true
		})
		if len(asked) != 2 || asked[0] != "p" || asked[1] != "a4" {
			t.Errorf("asked after %q: what is between is hidden", asked)
		}
	})
	t.Run("with too much on a page", func(t *testing.T) {
		c, _, _ := endless(t, func(n int, after string) ([]string, func(int) time.Time, string, string, bool) {
			return ids("a", maxResults+pageSize), onward, "text", "", true
		})
		list, err := c.Messages(ctx, ada, 0, 10*maxResults)
		if err != nil || len(list) != maxResults {
			t.Errorf("%d messages taken, %v", len(list), err)
		}
	})
}

func TestCatchingUpIsToldAndLeavesNoGap(t *testing.T) {
	const pages = 4
	var c *Client
	var counts []int
	c, _, asked := endless(t, func(n int, _ string) ([]string, func(int) time.Time, string, string, bool) {
		return ids(fmt.Sprint(n, "-"), 10), func(i int) time.Time { return dawn.Add(time.Duration(10*n+i) * time.Minute) }, "text", "", n == pages-1
	})
	if len(asked) != pages {
		t.Errorf("%d pages", len(asked))
	}
	if gaps, err := c.Gaps(ctx, ada); err != nil || len(gaps) != 0 {
		t.Errorf("a gap is left: %+v %v", gaps, err)
	}
	var p pager
	for n := range 3 {
		p.took(pageSoFar{results: 10, fresh: 10, last: fmt.Sprint(n), newest: onward(n)})
		if what, last := p.next(stanza.MAMFin{}, ""); what != goOn || last != fmt.Sprint(n) {
			t.Errorf("page %d: %v after %q", n, what, last)
		}
		counts = append(counts, p.count)
	}
	if fmt.Sprint(counts) != "[10 20 30]" || !p.newest.Equal(onward(2)) {
		t.Errorf("%v, at %v", counts, p.newest)
	}
	p = pager{}
	for n := 0; ; n++ {
		p.took(pageSoFar{results: 1, fresh: 1, last: fmt.Sprint(n), newest: onward(n)})
		if what, _ := p.next(stanza.MAMFin{}, "x"); what == enough {
			if n != maxPages-1 {
				t.Errorf("enough after %d pages", n)
			}
			break
		}
		if n > maxPages {
			t.Fatal("no end")
		}
	}
}

// TestAForgottenPosition: where the archive no longer knows where the client was,
// it goes on by the time; what may be missing between is said, in the conversation
// and where it is.
func TestAForgottenPosition(t *testing.T) {
	for _, x := range []struct {
		name  string
		first time.Time // of what the archive still has
		gap   bool
	}{{"later ones are left", dawn.Add(90 * time.Minute), true}, {"earlier ones are left", dawn.Add(-5 * time.Minute), false}} {
		t.Run(x.name, func(t *testing.T) {
			st := memoryStore(t)
			stamp, _ := dawn.MarshalBinary()
			if err := st.Update(ctx, func(tx *store.Tx) error {
				if err := tx.SetValue(valueArchive, stamp); err != nil {
					return err
				}
				return tx.SetArchivePosition(me, "gone")
			}); err != nil {
				t.Fatal(err)
			}
			d := newDouble(t)
			d.hook = func(iq *stanza.Element) *stanza.Element {
				q := iq.Child(stanza.NSMAM, "query")
				if q == nil {
					return nil
				}
				if q.Child(stanza.NSRSM, "set").Child("", "after") != nil {
					return stanza.ErrorReply(iq, "cancel", "item-not-found").With("from", me).With("to", me+"/test")
				}
				for i := range 3 {
					d.deliver(resultAt(q.Get("queryid"), fmt.Sprint("r", i), x.first.Add(time.Duration(i)*time.Minute), stanza.NewChat(me, fmt.Sprint("m", i), stanza.Body("text")).With("from", ada+"/x")))
				}
				return stanza.NewIQ("result", me+"/test", iq.Get("id"), stanza.New(stanza.NSMAM, "fin").With("complete", "true"))
			}
			c := run(t, st, d.attach(1))
			wait(t, c, func(CaughtUp) bool { return true })
			gaps, err := c.Gaps(ctx, ada)
			if err != nil || (len(gaps) == 1) != x.gap {
				t.Fatalf("%+v %v", gaps, err)
			}
			if x.gap && (!gaps[0].Since.Equal(dawn) || !gaps[0].Until.Equal(x.first)) {
				t.Errorf("the gap is from %v to %v", gaps[0].Since, gaps[0].Until)
			}
		})
	}
}
