package client

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// shelf is an archive, own or a room's, that can hide a part of what it has.
type shelf struct {
	mu    sync.Mutex
	list  []shelved
	hides func(i int) bool
	asked []string // what queries came: "after x", "from 06:00", "newest"
	every time.Duration
}

type shelved struct {
	at time.Time
	m  *stanza.Element
}

func shelfID(i int) string { return fmt.Sprint("s", i) }

// add puts messages up to a number on the shelf, one a minute unless every says
// otherwise.
func (s *shelf) add(upTo int, message func(i int) *stanza.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.list); i < upTo; i++ {
		s.list = append(s.list, shelved{dawn.Add(time.Duration(i) * cmp.Or(s.every, time.Minute)), message(i)})
	}
}

func (s *shelf) hide(from, to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hides = func(i int) bool { return i >= from && i < to }
	s.asked = nil
}

func (s *shelf) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// answer answers a query; nil if it is none.
func (s *shelf) answer(d *double, iq *stanza.Element) *stanza.Element {
	q := iq.Child(stanza.NSMAM, "query")
	if q == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := iq.Get("to")
	refused := func(why string) *stanza.Element {
		e := stanza.ErrorReply(iq, "cancel", why).With("to", me+"/test").With("from", from)
		if from == "" {
			e.With("from", me)
		}
		return e
	}
	set := q.Child(stanza.NSRSM, "set")
	low, high, limit := 0, len(s.list), 0
	fmt.Sscan(set.Child("", "max").Text(), &limit)
	what := "all"
	for f := range q.Child("jabber:x:data", "x").Elements() {
		at, err := time.Parse(time.RFC3339, f.Child("jabber:x:data", "value").Text())
		switch {
		case err != nil:
		case f.Get("var") == "start":
			what = "from " + at.Format("15:04")
			for low < high && s.list[low].at.Before(at) {
				low++
			}
		case f.Get("var") == "end":
			for high > low && s.list[high-1].at.After(at) {
				high--
			}
		}
	}
	if after := set.Child("", "after"); after != nil {
		what = "after " + after.Text()
		n := -1
		if _, err := fmt.Sscanf(after.Text(), "s%d", &n); err != nil || n < 0 || n >= len(s.list) || s.hides(n) {
			s.asked = append(s.asked, what)
			return refused("item-not-found")
		}
		low = n + 1
	}
	s.asked = append(s.asked, what)
	var page []int
	newest := set.Child("", "before") != nil
	for i := low; i < high && (newest || len(page) <= limit); i++ {
		if !s.hides(i) {
			page = append(page, i)
		}
	}
	complete := len(page) <= limit
	if newest {
		page = page[max(0, len(page)-limit):]
	}
	page = page[:min(len(page), limit)]
	for _, i := range page {
		e := resultAt(q.Get("queryid"), shelfID(i), s.list[i].at, s.list[i].m)
		if from != "" {
			e.With("from", from)
		}
		d.deliver(e)
	}
	fin := stanza.New(stanza.NSMAM, "fin")
	if complete {
		fin.With("complete", "true")
	}
	answer := stanza.NewIQ("result", me+"/test", iq.Get("id"), fin)
	if from != "" {
		answer.With("from", from)
	}
	return answer
}

// absent is somebody whose archive, or a room's, has hidden messages.
type absent struct {
	*lair
	shelf *shelf
	room  bool
	peers []string
	st    *store.Store
	n     uint64 // sessions
	stop  func()
}

func newAbsent(t *testing.T, room bool) *absent {
	t.Helper()
	a := &absent{lair: &lair{double: newDouble(t), log: &journal{}}, shelf: &shelf{}, room: room, st: memoryStore(t), peers: []string{ada, "ben@mercy.example"}}
	a.list.Store(&[]stanza.RoomItem{roomItem(me, stanza.Member), roomItem(ada, stanza.Owner)})
	a.hook, a.enters = func(iq *stanza.Element) *stanza.Element {
		if room == (iq.Get("to") == icu) {
			if e := a.shelf.answer(a.double, iq); e != nil {
				return e
			}
		}
		return a.answer(iq)
	}, a.entered
	if room {
		a.peers = []string{icu}
		if err := a.st.Update(ctx, func(tx *store.Tx) error {
			return tx.PutRoom(store.Room{Address: icu, Name: "ICU", Nick: "ng", Joined: true})
		}); err != nil {
			t.Fatal(err)
		}
	}
	a.shelf.hide(0, 0)
	return a
}

func (a *absent) message(i int) *stanza.Element {
	body, id := stanza.Body(fmt.Sprint(i)), fmt.Sprint("m", i)
	if a.room {
		return stanza.New(stanza.NSClient, "message", body,
			stanza.RoomUser{Items: []stanza.RoomItem{roomItem(ada+"/phone", stanza.Owner)}}.Element()).
			With("type", "groupchat").With("id", id).With("from", icu+"/okafor")
	}
	return stanza.NewChat(me, id, body).With("from", a.peers[i%2]+"/x")
}

// session runs a client until it has taken over all that it gets.
func (a *absent) session() {
	a.t.Helper()
	if a.stop != nil {
		a.stop()
	}
	a.n++
	conn := a.attach(a.n)
	a.c = run(a.t, a.st, conn)
	c := a.c
	a.stop = func() { conn.Close(); from(a.t, c.ended, "end of Run") }
	caught(a.t, a.c)
	if a.room {
		eventually(a.t, "the client is in the room", a.ready)
	}
	a.idle()
}

// idle waits until nothing is asked any more.
func (a *absent) idle() {
	a.t.Helper()
	eventually(a.t, "all is taken over", func() bool {
		return ofRun(a.t, a.c, func() bool {
			r := a.c.rooms[icu]
			return a.c.filling == nil && a.c.archive.done && a.c.archive.query == "" && (r == nil || r.archive.done && r.archive.query == "")
		})
	})
}

// has compares what is in the conversations with the numbers of messages.
func (a *absent) has(when string, want ...int) {
	a.t.Helper()
	for n, peer := range a.peers {
		var is, be []string
		for _, m := range messages(a.t, a.c, peer) {
			if m.Kind == store.Text {
				is = append(is, m.Body.String())
			}
		}
		for _, i := range want {
			if i%len(a.peers) == n {
				be = append(be, fmt.Sprint(i))
			}
		}
		if strings.Join(is, " ") != strings.Join(be, " ") {
			a.t.Errorf("%s, %s has %v, want %v", when, peer, is, be)
		}
	}
}

func (a *absent) gaps() []Gap {
	a.t.Helper()
	list, err := a.c.Gaps(ctx, a.peers[0])
	if err != nil {
		a.t.Fatal(err)
	}
	return list
}

func span(from, to int) (list []int) {
	for i := from; i < to; i++ {
		list = append(list, i)
	}
	return list
}

// TestGapIsFilled has an archive forget a part of itself, and find it again: first
// the later half of it, then all.
func TestGapIsFilled(t *testing.T) {
	const early, late, end = 20, 900, 940 // more than three pages are hidden
	for _, room := range []bool{false, true} {
		t.Run(fmt.Sprint("room ", room), func(t *testing.T) {
			a := newAbsent(t, room)
			a.shelf.add(early, a.message)
			a.session()
			a.has("at first", span(0, early)...)
			a.shelf.hide(0, late)
			a.shelf.add(end, a.message)
			a.session()
			rest := append(span(0, early), span(late, end)...)
			a.has("with a gap", rest...)
			gaps := a.gaps()
			if len(gaps) != 1 || !gaps[0].Until.Equal(dawn.Add(late*time.Minute)) {
				t.Fatalf("gaps: %+v", gaps)
			}
			edge := messages(t, a.c, a.peers[0])
			if i := slices.IndexFunc(edge, func(m Message) bool { return m.ID == gaps[0].After }); i < 0 || edge[i+1].Body.String() != fmt.Sprint(late) {
				t.Errorf("the gap is behind %d", i)
			}
			if got := strings.Join(a.shelf.questions(), ", "); strings.Count(got, "after s19") != 2 {
				t.Errorf("asked: %s", got)
			}
			n, err := a.c.FillGap(soon(t), gaps[0].ID)
			if n != 0 || !errors.Is(err, ErrGapStays) {
				t.Errorf("asked in vain: %d, %v", n, err)
			}

			const half = 480
			a.shelf.hide(0, half)
			if n, err := a.c.FillGap(soon(t), gaps[0].ID); n != late-half || err != nil {
				t.Errorf("half of it: %d, %v", n, err)
			}
			a.has("half filled", append(span(0, early), span(half, end)...)...)
			if gaps = a.gaps(); len(gaps) != 1 || !gaps[0].Until.Equal(dawn.Add(half*time.Minute)) {
				t.Fatalf("half filled, gaps: %+v", gaps)
			}

			a.shelf.hide(0, 0)
			a.session()
			a.has("filled by itself", span(0, end)...)
			if gaps = a.gaps(); len(gaps) != 0 {
				t.Errorf("filled, gaps: %+v", gaps)
			}
			if n, err := a.c.FillGap(soon(t), 1); n != 0 || err != nil {
				t.Errorf("what is no gap any more: %d, %v", n, err)
			}
		})
	}
}

// TestGapFilledInTwoSessions ends a client in the middle of filling.
func TestGapFilledInTwoSessions(t *testing.T) {
	for _, room := range []bool{false, true} {
		t.Run(fmt.Sprint("room ", room), func(t *testing.T) {
			a := newAbsent(t, room)
			a.shelf.add(10, a.message)
			a.session()
			a.shelf.hide(0, 700)
			a.shelf.add(710, a.message)
			a.session()
			gap := a.gaps()[0]
			a.shelf.hide(0, 0)
			cut := make(chan struct{})
			answer := a.hook
			a.mu.Lock()
			a.hook = func(iq *stanza.Element) *stanza.Element {
				if q := iq.Child(stanza.NSMAM, "query"); q != nil && len(a.shelf.questions()) == 1 {
					close(cut)
					return stanza.New("", "") // no answer
				}
				return answer(iq)
			}
			a.mu.Unlock()
			filled := make(chan error, 1)
			go func() { _, err := a.c.FillGap(soon(t), gap.ID); filled <- err }()
			from(t, cut, "question for what the gap holds")
			a.stop()
			if err := from(t, filled, "end of filling the gap"); err == nil {
				t.Error("it is said to be filled")
			}
			a.mu.Lock()
			a.hook = answer
			a.mu.Unlock()
			a.shelf.hide(0, 0)
			a.session()
			a.has("in the end", span(0, 710)...)
			if got := strings.Join(a.shelf.questions(), ", "); !strings.Contains(got, "after s259") || strings.Contains(got, "after s9,") {
				t.Errorf("it began again at: %s", got)
			}
			if g := a.gaps(); len(g) != 0 {
				t.Errorf("gaps: %+v", g)
			}
		})
	}
}

// TestLiveBeforeAGap: what came live before a loss, and the archive has forgotten,
// stands before the gap, and keeps its place among what fills it.
func TestLiveBeforeAGap(t *testing.T) {
	a := newAbsent(t, false)
	a.shelf.add(10, a.message)
	a.session()
	for _, i := range []int{10, 11, 14} {
		a.deliver(a.message(i))
	}
	eventually(t, "they came", func() bool { return strings.HasSuffix(bodies(t, a.c, a.peers[0]), "|14") })
	a.shelf.hide(0, 30)
	a.shelf.add(40, a.message)
	a.session()
	a.has("with a gap", append(append(span(0, 12), 14), span(30, 40)...)...)
	a.shelf.hide(0, 0)
	a.session()
	a.has("filled", span(0, 40)...)
	if g := a.gaps(); len(g) != 0 {
		t.Errorf("gaps: %+v", g)
	}
}

// TestGapOfAHostileArchive fills a gap with what has no end, and with what is not
// in it.
func TestGapOfAHostileArchive(t *testing.T) {
	for _, room := range []bool{false, true} {
		for _, x := range []struct {
			name  string
			asked int // pages at most
			page  func(n int) (from, to int, complete bool)
		}{
			{"the same page again", 6, func(int) (int, int, bool) { return 100, 110, false }},
			{"what is behind the gap", 4, func(n int) (int, int, bool) { return 200 + 10*n, 210 + 10*n, false }},
			{"backwards", 12, func(n int) (int, int, bool) { return 190 - 20*n, 200 - 20*n, false }},
			{"too much on a page", 4, func(int) (int, int, bool) { return 11, 11 + maxResults + pageSize, true }},
			{"nothing", 4, func(n int) (int, int, bool) { return 0, 0, false }},
		} {
			t.Run(fmt.Sprint(x.name, ", room ", room), func(t *testing.T) {
				a := newAbsent(t, room)
				a.shelf.add(10, a.message)
				a.session()
				a.shelf.hide(0, 200)
				a.shelf.add(210, a.message)
				a.session()
				before := a.gaps()
				if len(before) != 1 {
					t.Fatalf("gaps: %+v", before)
				}
				answer, n := a.hook, 0
				a.mu.Lock()
				a.hook = func(iq *stanza.Element) *stanza.Element {
					q := iq.Child(stanza.NSMAM, "query")
					if q == nil || room != (iq.Get("to") == icu) {
						return answer(iq)
					}
					from, to, complete := x.page(n)
					n++
					for i := max(from, 0); i < to; i++ {
						e := resultAt(q.Get("queryid"), shelfID(i), dawn.Add(time.Duration(i)*time.Minute), a.message(i))
						a.deliver(e.With("from", iq.Get("to")))
					}
					fin := stanza.New(stanza.NSMAM, "fin")
					if complete {
						fin.With("complete", "true")
					}
					return stanza.NewIQ("result", me+"/test", iq.Get("id"), fin).With("from", iq.Get("to"))
				}
				a.mu.Unlock()
				a.c.FillGap(soon(t), before[0].ID)
				a.idle()
				if n > x.asked {
					t.Errorf("asked for %d pages", n)
				}
				list := messages(t, a.c, a.peers[0])
				if len(list) > maxResults+210 {
					t.Errorf("%d messages", len(list))
				}
				// What is settled outside of the gap has not moved.
				var was, is []string
				for i := range 210 {
					if i%len(a.peers) == 0 && (i < 10 || i >= 200) {
						was = append(was, fmt.Sprint(i))
					}
				}
				for _, m := range list {
					if slices.Contains(was, m.Body.String()) {
						is = append(is, m.Body.String())
					}
				}
				if strings.Join(is, " ") != strings.Join(was, " ") {
					t.Errorf("the rest is now %v", is)
				}
				if s := a.c.State(); !s.CaughtUp || s.CatchUp.Active {
					t.Errorf("not done: %+v", s)
				}
			})
		}
	}
}
