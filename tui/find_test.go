package tui

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
)

const (
	keyCtrlF = "\x06"
	keyF4    = "\x1bOS"
)

func TestSearchAsYouTypeJumpAndComeBack(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		searchable(f)
		long(f, 1600)
	}})
	term.press("half a thou", keyCtrlF).sees("search", "Words, or from:NAME")
	term.press("blo").sees("2 found", "Lind", "Haddad in ICU night")
	term.press("ods of last").sees("1 found", "the bloods of last month")
	term.press(keyEnter).sees("Lind, Per   pharmacy", ">11:08  Lind  ", "the bloods of last month", "pharmacy round 39").misses("1 found")
	term.press("\x1b").sees("1 found", " >  bloods of last")
	term.press("\x1b").sees("Okafor, Ada   cardiology", ">  half a thou").misses("1 found")
	term.press(keyCtrlU, "/search from:lind is:stat", keyEnter).sees("from Lind, Per · STAT", "1 found", "bed 4 potassium is 6.1")
	term.press("\x1b").sees("Okafor, Ada   cardiology").misses("/search")
}

func TestSearchDropsWhatIsNotAskedForAnyMore(t *testing.T) {
	f := newFake(newWristwatch().now)
	searchable(f)
	m := still(t, 80, 24, Config{Open: ada}, f)
	d := newSearch(m, "po")
	m.push(d)
	first := d.look(m)
	for _, c := range "tassium" { // goes on while the first page is read
		if _, cmd := d.key(m, string(c), string(c)); cmd != nil {
			t.Fatal("a second search runs beside the first")
		}
	}
	feed(m, first())
	if got := len(f.searched); got != 2 || f.searched[1].Text != "potassium" {
		t.Errorf("searched %d times: %+v", got, f.searched)
	}
	if s := plain(m); !strings.Contains(s, "5 found") {
		t.Errorf("not what was asked for last:\n%s", s)
	}
	// Enter does nothing while what is shown belongs to other words.
	d.key(m, "x", "x")
	if done, cmd := d.key(m, "enter", ""); done || cmd != nil {
		t.Error("Enter goes to what was found for other words")
	}
}

func TestAnOpenSearchFindsWhatComes(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press(keyCtrlF, "magnesium").sees("nothing found")
	term.fake.arrive(icu, "magnesium 0.6")
	term.sees("1 found", "ICU night")
}

// What comes while the first page is read may not be in it: the search is repeated.
func TestASearchFindsWhatComesMeanwhile(t *testing.T) {
	f := newFake(newWristwatch().now)
	searchable(f)
	m := still(t, 80, 24, Config{Open: ada}, f)
	d := newSearch(m, "magnesium")
	m.push(d)
	page := d.look(m)()
	f.arrive(icu, "magnesium 0.6")
	if cmd := m.searchAgain(); cmd != nil {
		t.Fatal("a second search runs beside the first")
	}
	feed(m, page)
	if s := plain(m); !strings.Contains(s, "1 found") {
		t.Errorf("what came meanwhile was not found:\n%s", s)
	}
}

func TestConditions(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.ward()
	m := still(t, 80, 24, Config{Open: ada}, f)
	day := func(y, mo, d int) time.Time { return time.Date(y, time.Month(mo), d, 0, 0, 0, 0, m.look.zone) }
	for _, x := range []struct {
		typed, text string
		want        client.Query
		problem     bool
	}{
		{"bed 9", "bed 9", client.Query{}, false},
		{"from:okafor bed", "bed", client.Query{Sender: ada}, false},
		{`from:"Okafor, Ada" bed`, "bed", client.Query{Sender: ada}, false},
		{"FROM:me", "", client.Query{Sender: self}, false},
		{"from:who@else.example", "", client.Query{Sender: "who@else.example"}, false},
		{"from:icu", "", client.Query{}, true}, // a room writes nothing
		{"in:icu is:STAT", "", client.Query{Peer: icu, Urgent: store.Stat}, false},
		{"is:urgent", "", client.Query{Urgent: store.Urgent}, false},
		{"is:nice", "", client.Query{}, true},
		{"on:today", "", client.Query{From: day(2026, 11, 21), Until: day(2026, 11, 22)}, false},
		{"on:yesterday", "", client.Query{From: day(2026, 11, 20), Until: day(2026, 11, 21)}, false},
		{"on:sat", "", client.Query{From: day(2026, 11, 21), Until: day(2026, 11, 22)}, false},
		{"on:sunday", "", client.Query{From: day(2026, 11, 15), Until: day(2026, 11, 16)}, false},
		{"on:2026-11-03", "", client.Query{From: day(2026, 11, 3), Until: day(2026, 11, 4)}, false},
		{"on:3.11.", "", client.Query{From: day(2026, 11, 3), Until: day(2026, 11, 4)}, false},
		{"on:24dec", "", client.Query{From: day(2025, 12, 24), Until: day(2025, 12, 25)}, false},
		{"on:2026-10", "", client.Query{From: day(2026, 10, 1), Until: day(2026, 11, 1)}, false},
		{"on:2025", "", client.Query{From: day(2025, 1, 1), Until: day(2026, 1, 1)}, false},
		{"before:2026-11-03", "", client.Query{Until: day(2026, 11, 3)}, false},
		{"after:2026-11-03 before:yesterday", "", client.Query{From: day(2026, 11, 4), Until: day(2026, 11, 20)}, false},
		{"on:someday", "", client.Query{}, true},
		{"on:2026-13-45", "", client.Query{}, true},
		{"from: bed", "bed", client.Query{}, false},
		{"http://x #mrn:44120", "http://x #mrn:44120", client.Query{}, false},
		{`"on:today it"`, `"on:today it"`, client.Query{}, false},
		{strings.Repeat("from:", 2000), "", client.Query{}, true},
	} {
		got := m.ask(x.typed)
		want := x.want
		want.Text = x.text
		if got.Query != want || (got.problem != "") != x.problem {
			t.Errorf("%q: %+v, problem %q; want %+v", x.typed[:min(len(x.typed), 60)], got.Query, got.problem, want)
		}
	}
}

func FuzzAsk(f *testing.F) {
	for _, s := range []string{"", "from:okafor on:yesterday x", `in:"ICU night" "a b`, "on:\x00", "is:stat is:urgent", "after:9999-12-31", "on:0001-01-01"} {
		f.Add(s)
	}
	fake := newFake(newWristwatch().now)
	fake.ward()
	m := still(f, 80, 24, Config{Open: ada}, fake)
	f.Fuzz(func(t *testing.T, s string) {
		d := newSearch(m, s)
		d.asked = m.ask(s)
		m.dialogs = []dialog{d}
		m.draw()
		m.dialogs = nil
	})
}

func TestInboxEmptiesAsThingsAreDealtWith(t *testing.T) {
	term := start(t, terminalSetup{cols: 120, rows: 30, fake: func(f *fake) {
		f.ward()
		f.acked = map[int64]bool{}
		f.say(per, "", "Stop the infusion", time.Hour, func(m *client.Message) { m.State = store.Failed })
		f.say(icu, rana, "@ng can you take bed 2?", 10*time.Minute)
	}})
	term.sees(" inbox 3  ").press(keyF4).sees("3 messages waiting", "STAT, not acknowledged", "names you", "failed")
	term.press("\x04").sees("stays here until it is acknowledged")
	term.press(keyDown, keyEnter).sees("ICU night", "@ng can you take bed 2?").misses("3 messages waiting")
	term.sees(" inbox 2  ").press("\x1b").sees("2 messages waiting").misses("names you")
	term.press(keyDown, "\x12")
	term.until("sending again", func() bool { term.fake.mu.Lock(); defer term.fake.mu.Unlock(); return term.fake.resent == 1 })
	term.press("\x04")
	term.until("done with it", func() bool { term.fake.mu.Lock(); defer term.fake.mu.Unlock(); return len(term.fake.dismissed) == 1 })
	term.press("\x1b").misses("messages waiting").press("/role cardiology", keyEnter).sees("@role/cardiology is for you now")
}

func TestNextUnreadGoesToTheSTATFirst(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.say(ada, ada, "read", time.Hour, read)
		f.say(per, per, "waits longest", 50*time.Minute)
		for i := range 200 {
			f.say(icu, rana, fmt.Sprintf("chatter %d", i), 30*time.Minute-time.Duration(i)*time.Second)
		}
		f.say(icu, per, "!stat bed 4", 20*time.Minute)
		for i := range 100 {
			f.say(icu, rana, fmt.Sprintf("more %d", i), 10*time.Minute-time.Duration(i)*time.Second)
		}
	}})
	term.press(keyAltA).sees("ICU night", "STAT  bed 4", "chatter 199", "more 0").misses("more 99")
	term.quiet()
	term.fake.mu.Lock()
	if got := term.fake.readTo; len(got) > 0 {
		t.Errorf("marked as read up to %v, past what was never on the screen", got)
	}
	term.fake.mu.Unlock()
	term.press(keyAltA).sees("chatter 0", "chatter 1").misses("STAT  bed 4")
	term.until("the end", func() bool { // which is read on the way
		term.press(keyPgDn)
		return strings.Contains(term.text(), "more 99")
	})
	term.sees("1 unread")
}

// Who scrolls through a long conversation has no more than a part of it in memory.
func TestScrollingThroughALongConversation(t *testing.T) {
	f := newFake(newWristwatch().now)
	const n = 20_000
	long(f, n)
	m := still(t, 80, 24, Config{Open: ada}, f)
	memory := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	top := func() string { return m.tl.msgs[m.tl.rows[m.tl.top()].msg].Body.String() }
	var early uint64
	seen := map[string]bool{}
	for i := 0; !strings.Contains(top(), "line 0000"); i++ {
		m.scroll(pageUp)
		feed(m, eventsMsg{})
		seen[top()] = true
		if len(m.tl.msgs) > maxLoaded || len(m.tl.blocks) > maxLoaded {
			t.Fatalf("%d messages, %d drawn", len(m.tl.msgs), len(m.tl.blocks))
		}
		if i == 200 {
			early = memory()
		}
		if i > n {
			t.Fatal("no beginning")
		}
	}
	if late := memory(); late > early+2<<20 {
		t.Errorf("%d kB after 200 pages, %d kB at the beginning", early>>10, late>>10)
	}
	if below, _ := m.tl.below(); below < client.MaxBelow {
		t.Errorf("%d below", below)
	}
	f.arrive(ada, "came live")
	run(m, func() tea.Msg { return nil })
	last := -1
	for i := 0; !m.tl.follow; i++ {
		m.scroll(pageDown)
		feed(m, eventsMsg{})
		var at int
		fmt.Sscanf(strings.TrimPrefix(top(), "line "), "%d", &at)
		if at < last || at > last+40 && last >= 0 {
			t.Fatalf("from line %d to line %d", last, at)
		}
		last = at
		if len(m.tl.msgs) > maxLoaded || i > n {
			t.Fatalf("%d messages, %d pages", len(m.tl.msgs), i)
		}
	}
	if s := plain(m); !strings.Contains(s, "came live") {
		t.Errorf("not at the end:\n%s", s)
	}
	m.scroll(toStart)
	for range 100 {
		m.scroll(pageUp)
		feed(m, eventsMsg{})
	}
	below, _ := m.tl.below()
	f.arrive(ada, "!stat another")
	run(m, func() tea.Msg { return nil })
	if now, stats := m.tl.below(); now != below+1 || stats != 1 {
		t.Errorf("%d below and %d STAT, there were %d", now, stats, below)
	}
	m.scroll(toEnd)
	feed(m, eventsMsg{})
	if s := plain(m); !strings.Contains(s, "another") || !strings.Contains(s, "came live") {
		t.Errorf("End does not come to the newest:\n%s", s)
	}
}

func TestSwitcherOrder(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.say(per, per, "long ago", 9*time.Hour, read)
	f.say(rana, rana, "lately", time.Hour, read)
	f.say(icu, per, "unread", 5*time.Hour)
	m := still(t, 80, 24, Config{Open: rana}, f)
	f.msgs[icu][0].Read = false
	run(m, m.loadList())
	names := func(typed string) (list []string) {
		d := &switcher{}
		d.input.set(typed)
		for _, c := range d.found(m) {
			list = append(list, c.peer)
		}
		return list
	}
	for typed, want := range map[string][]string{
		"":      {icu, rana, per, ada}, // unread, then recent
		"lnd":   {per},                 // letters in their order
		"lab":   {rana},                // what somebody is
		"a":     {rana, ada, per, icu},
		"mercy": {icu, rana, per, ada},
	} {
		if got := names(typed); typed != "a" && !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", typed, got, want)
		}
	}
}

// TestTypingInTheInboxDoesNothing: letters are no commands there, and Enter behind
// them opens nothing.
func TestTypingInTheInboxDoesNothing(t *testing.T) {
	term := start(t, terminalSetup{cols: 120, rows: 30, fake: func(f *fake) {
		f.ward()
		f.acked = map[int64]bool{}
		f.say(per, "", "Stop the infusion", time.Hour, func(m *client.Message) { m.State = store.Failed })
		f.say(icu, rana, "@ng can you take bed 2?", 10*time.Minute)
	}})
	term.sees(" inbox 3  ").press(keyF4).sees("3 messages waiting")
	for range 3 {
		term.press("/recall drdq ", keyEnter).sees("This is the inbox: Enter again").press(keyDown).sees("Ctrl+D done")
	}
	term.fake.mu.Lock()
	if term.fake.resent != 0 || len(term.fake.dismissed) != 0 {
		t.Errorf("sent again %d, dismissed %v", term.fake.resent, term.fake.dismissed)
	}
	term.fake.mu.Unlock()
	term.press("x", keyEnter, keyEnter).misses("messages waiting")
	if got := term.sent(); len(got) > 0 {
		t.Errorf("sent %q", got)
	}
}

// TestCtrlKLeavesAListOfMessages as it leaves everything.
func TestCtrlKLeavesAListOfMessages(t *testing.T) {
	term := start(t, terminalSetup{cols: 100, rows: 30})
	for _, open := range []string{keyF4, "\x06"} {
		for _, key := range []string{keyCtrlK, "\x1bg"} {
			term.press(open).sees("Enter go there").press(key).sees("go to")
			term.press(keyEsc).misses("go to").misses("Enter go there").sees("cardiology")
		}
	}
}
