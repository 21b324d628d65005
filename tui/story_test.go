package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// These tests read as what a person does and sees.

func TestWriteAndSeeItDelivered(t *testing.T) {
	term := start(t, terminalSetup{})
	term.sees("Okafor, Ada", "encrypted, 2 devices ok", "2 new", "STAT  Calcium gluconate 10 ml now. #mrn:44120", "online")
	term.press("Given 19:08, rhythm unchanged").sees(">  Given 19:08, rhythm unchanged")
	term.press(keyEnter).sees("you     Given 19:08, rhythm unchanged", "queued").misses(">  Given")
	term.fake.move(ada, store.Sent, "")
	term.sees("sent")
	term.fake.move(ada, store.Delivered, "")
	term.sees("rhythm unchanged                         delivered").misses("2 new")
	term.fake.move(ada, store.Read, "")
	term.sees("rhythm unchanged                              read")
	term.hasSent(ada + " Given 19:08, rhythm unchanged")
}

func TestAFailureSaysWhyAndIsSentAgain(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("ping", keyEnter).sees("queued")
	term.fake.move(ada, store.Queued, "no device of Okafor is trusted")
	term.sees("queued · no device of Okafor is trusted")
	term.fake.move(ada, store.Failed, "the relay refused it")
	term.sees("failed: the relay refused it. Send it again: /again")
	term.press("/again", keyEnter).misses(">  /again")
	term.until("sending again", func() bool { term.fake.mu.Lock(); defer term.fake.mu.Unlock(); return term.fake.resent > 0 })
	term.fake.mu.Lock()
	term.fake.broken = errors.New("the disk is full")
	term.fake.mu.Unlock()
	term.press("pong", keyEnter).sees("Not sent: the disk is full", ">  pong")
	term.press(keyCtrlL).ends()
	if d := term.fake.draft(ada); d != "pong" {
		t.Errorf("the draft is %q", d)
	}
}

func TestTheBellRingsForSTATWhereNobodyLooks(t *testing.T) {
	term := start(t, terminalSetup{})
	rings := func(why string, n int) {
		t.Helper()
		term.quiet()
		term.mu.Lock()
		defer term.mu.Unlock()
		got := strings.Count(strings.ReplaceAll(term.raw.String(), askBackground, ""), "\a")
		if got != n {
			t.Errorf("%s: rang %d times, want %d", why, got, n)
		}
	}
	term.fake.arrive(icu, "!stat bed 4")
	term.sees("STAT from ICU night")
	rings("somebody looks", 0)
	term.press(focusOut)
	term.fake.arrive(icu, "bed 5 is free")
	term.sees("3 unread")
	rings("nothing urgent", 0)
	term.fake.arrive(icu, "!stat bed 6")
	term.sees("4 unread")
	rings("STAT", 1)
	term.fake.arrive(icu, "!stat bed 7")
	term.sees("5 unread")
	rings("within a minute", 1)
}

// Who does not see that sotto is unlocked types the PIN and Enter.
func TestAPINIsNotSentByOneEnter(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("739251", keyEnter).sees("looks like a PIN", "Okafor, Ada; Ctrl+C clears it", ">  739251")
	term.press("8", keyEnter).sees(">  7392518", "looks like a PIN")
	term.press(keyCtrlC).misses("739251")
	term.press("44120", keyEnter).sees("you     44120")
	term.press("739251", keyEnter).sees("looks like a PIN")
	term.press(keyEnter).misses(">  739251").sees("739251  ")
	term.hasSent(ada+" 44120", ada+" 739251")
}

// A terminal sends the line ends of what it pastes as the key does: as returns.
func TestAPasteKeepsItsLines(t *testing.T) {
	term := start(t, terminalSetup{})
	term.paste("K 6.8\rNa 140\r\nCl 100\r\rend\r").sees(">  K 6.8\n    Na 140\n    Cl 100\n\n    end\n")
	term.clock.pass(time.Second) // what comes at once would be of the paste
	term.press(keyEnter).misses(">  K")
	term.hasSent(ada + " K 6.8\nNa 140\nCl 100\n\nend")
}

func TestGoingToSomebodyLeavesNoDraft(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/to lind", keyEnter).sees("Lind, Per   pharmacy")
	term.quiet()
	if d := term.fake.draft(ada); d != "" {
		t.Errorf("the command was kept as the draft %q", d)
	}
	term.press("/to oka", keyEnter).sees("Okafor, Ada").misses("/to")
}

func TestAddressesAreChecked(t *testing.T) {
	term := start(t, terminalSetup{})
	for _, s := range []string{"a@", "@b", "a@b@c", "<x>@b.example", "a b@c", "a@b/c"} {
		term.press(keyCtrlU, "/to "+s, keyEnter).sees("Nobody is called " + s)
	}
	term.press(keyCtrlU, "/to NEW@Ward.Example", keyEnter).sees("new@ward.example")
	term.press(keyCtrlK, "other@ward.example").sees("Enter writes to other@ward.example")
	term.press(keyEnter).sees(" other@ward.example  ").misses("go to")
}

func TestWhyIsSaidOnce(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("ping", keyEnter).sees("queued")
	term.fake.move(ada, store.Queued, "Waiting: Okafor has no device yet. It is looked for again.")
	term.sees("queued · Okafor has no device yet. It is looked for again")
	term.fake.move(ada, store.Failed, "Not sent: the relay refused it.")
	term.sees("failed: the relay refused it. Send it again: /again")
}

// Ctrl+Z locks, too, and whoever started this is told that the shell is wanted.
func TestStopping(t *testing.T) {
	var stops atomic.Int64
	term := start(t, terminalSetup{config: func(c *Config) { c.OnStop = func() { stops.Add(1) } }})
	term.press("half a thou").sees("half a thou")
	term.press("\x1a")
	if r := term.ends(); r.Reason != Asked || r.Intent != Unlock || stops.Load() != 1 {
		t.Errorf("ended with %+v, asked %d times for the shell", r, stops.Load())
	}
	term.until("a blank screen", func() bool { return strings.TrimSpace(term.text()) == "" })
	if d := term.fake.draft(ada); d != "half a thou" {
		t.Errorf("the draft is %q", d)
	}
}

func TestLockingBlanksFirstAndKeepsTheDraft(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("half a thou").sees("half a thou")
	term.press(keyCtrlL)
	r := term.ends()
	if r.Reason != Asked || r.Intent != Unlock || !r.Locked() {
		t.Errorf("ended with %+v", r)
	}
	term.until("a blank screen", func() bool { return strings.TrimSpace(term.text()) == "" })
	if d := term.fake.draft(ada); d != "half a thou" {
		t.Errorf("the draft is %q", d)
	}
	if !slices.Equal(term.locks, []Reason{Asked}) {
		t.Errorf("OnLock got %v", term.locks)
	}
	again := start(t, terminalSetup{config: func(c *Config) { c.Place = r.Place; c.Open = "" }, fake: func(f *fake) {
		f.ward()
		f.drafts[ada] = store.Draft{Text: "half a thou"}
	}})
	again.sees("Okafor, Ada", ">  half a thou")
}

func TestWhatWasSentBeforeLockingIsSent(t *testing.T) {
	term := start(t, terminalSetup{})
	term.fake.slow = make(chan struct{})
	term.sees("online").press("last words", keyEnter, "half", keyCtrlL)
	term.until("a blank screen", func() bool { return strings.TrimSpace(term.text()) == "" })
	close(term.fake.slow)
	term.ends()
	term.hasSent(ada + " last words")
	if d := term.fake.draft(ada); d != "half" {
		t.Errorf("the draft is %q", d)
	}
}

func TestWhatCouldNotBeSentIsADraft(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) { f.ward(); f.broken = errors.New("the disk is full") }})
	term.fake.slow = make(chan struct{})
	term.sees("online").press("last words", keyEnter, keyCtrlL)
	// The screen is blank before the keys have their turn: what fails before Ctrl+L has it is still said there.
	term.until("a blank screen", func() bool { return strings.TrimSpace(term.text()) == "" })
	term.until("it is locked", func() bool { term.mu.Lock(); defer term.mu.Unlock(); return len(term.locks) > 0 })
	close(term.fake.slow)
	term.until("the end", func() bool {
		select {
		case <-term.ended:
			return true
		default:
			return false
		}
	})
	if term.err == nil || !strings.Contains(term.err.Error(), "the disk is full") || !term.result.Locked() {
		t.Errorf("ended with %+v, %v", term.result, term.err)
	}
	if d := term.fake.draft(ada); d != "last words" {
		t.Errorf("the draft is %q", d)
	}
}

func TestTheTerminalGoesAway(t *testing.T) {
	m, err := New(Config{Messenger: newFake(newWristwatch().now), Screen: NewScreen(failing{}), Input: strings.NewReader(""), Environ: []string{"TERM=xterm", "SSH_TTY=x", "COLORFGBG=0;15"}})
	if err != nil {
		t.Fatal(err)
	}
	m.width, m.height = 80, 24
	r, err := m.Run(t.Context())
	if r.Reason != Failed || err == nil {
		t.Errorf("ended with %+v, %v", r, err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestNoTrace(t *testing.T) {
	t.Setenv("TEA_TRACE", "x")
	m := still(t, 80, 24, Config{}, newFake(newWristwatch().now))
	if r, err := m.Run(t.Context()); r.Reason != Failed || err == nil || !strings.Contains(err.Error(), "unset it") {
		t.Errorf("ended with %+v, %v", r, err)
	}
}

func TestIdleLockCountsDownAndAnyKeyStopsIt(t *testing.T) {
	term := start(t, terminalSetup{})
	term.sees("lock in 2 min")
	term.clock.pass(61 * time.Second)
	term.sees("lock in 1 min")
	term.clock.pass(44 * time.Second)
	term.sees("lock in 15 s")
	term.press("x").sees("lock in 2 min")
	term.clock.pass(121 * time.Second)
	if r := term.ends(); r.Reason != Idle {
		t.Errorf("ended with %+v", r)
	}
}

func TestAKeyThatComesAfterTheDeadlineIsNoKey(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.ward()
	m := still(t, 80, 24, Config{}, f)
	steady := m.clock.steady
	m.clock.elapsed = func() time.Duration { return steady + 3*time.Minute }
	feedKey(m, "a")
	if m.end == nil || m.end.Reason != Idle || m.composer().String() != "" {
		t.Errorf("a late key gave %+v, and the composer holds %q", m.end, m.composer().String())
	}
}

func TestSleepOfTheMachineLocks(t *testing.T) {
	term := start(t, terminalSetup{})
	term.clock.sleep(time.Hour)
	if r := term.ends(); r.Reason != Suspended {
		t.Errorf("ended with %+v", r)
	}
}

func TestTheDeskCanLock(t *testing.T) {
	term := start(t, terminalSetup{})
	term.stop()
	if r := term.ends(); r.Reason != Ended || !r.Locked() {
		t.Errorf("ended with %+v", r)
	}
	term.until("a blank screen", func() bool { return strings.TrimSpace(term.text()) == "" })
}

func TestQuittingAndClearing(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("oops").sees(">  oops").press(keyCtrlC).misses("oops").sees("Ctrl+Q ends sotto")
	term.press("/quit", keyEnter)
	if r := term.ends(); r.Reason != Quit || r.Locked() {
		t.Errorf("ended with %+v", r)
	}
}

func TestChangingThePINLocksWithThatIntent(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/pin", keyEnter)
	if r := term.ends(); r.Intent != ChangePIN || !r.Locked() {
		t.Errorf("ended with %+v", r)
	}
}

func TestNobodyIsScrolledAway(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		for i := range 300 {
			f.say(ada, ada, fmt.Sprintf("line %d", i), time.Duration(400-i)*time.Minute, read)
		}
	}})
	term.sees("line 299").press(keyPgUp, keyPgUp).misses("line 299").quiet() // both
	before := strings.Split(term.text(), "\n")
	term.fake.arrive(ada, "!stat come quickly")
	term.fake.arrive(ada, "are you there")
	term.sees("34 below, 1 STAT · End")
	after := strings.Split(term.text(), "\n")
	if !slices.Equal(before[2:20], after[2:20]) {
		t.Errorf("reading was disturbed:\n%s", term.text())
	}
	if n := len(term.marked()); n != 0 {
		t.Errorf("%d times marked as read what was not on the screen", n)
	}
	term.press(keyEnd).sees("STAT  come quickly", "are you there", "2 new").misses("below")
	term.until("marked as read", func() bool { return slices.Contains(term.marked(), ada) })
	term.until("the first line", func() bool { // page after page is read
		term.press(keyPgUp)
		return strings.Contains(term.text(), "line 0\n")
	})
	term.press(keyEnd).sees("are you there")
}

// Where a person was comes back with the roster, and so does the only conversation
// there is. Among several none is opened that nobody has chosen.
func TestTheConversationComesWithTheRoster(t *testing.T) {
	var roster []client.Conversation
	term := start(t, terminalSetup{config: func(c *Config) { c.Open = "" }, fake: func(f *fake) { roster, f.convs = f.convs, nil }})
	term.sees("No conversation yet")
	come := func(convs []client.Conversation) {
		term.fake.mu.Lock()
		term.fake.convs = convs
		term.fake.mu.Unlock()
		term.fake.events <- client.ConversationsChanged{}
	}
	come(roster)
	term.sees("Choose whom to write to: Ctrl+K")
	term.press("to whom\r")
	term.sees("Nobody is chosen to write to", ">  to whom")
	if sent := term.sent(); len(sent) > 0 {
		t.Errorf("it went to somebody: %v", sent)
	}
	come(roster[:1])
	term.sees(roster[0].Name.String()+"   ", "Nothing written yet")

	wanted := start(t, terminalSetup{fake: func(f *fake) { roster, f.convs = f.convs, nil }})
	wanted.sees(ada)
	wanted.fake.mu.Lock()
	wanted.fake.convs = roster
	wanted.fake.mu.Unlock()
	wanted.fake.events <- client.ConversationsChanged{}
	wanted.sees("Okafor, Ada   cardiology")
}

func TestReadOnlyWhereSomebodyLooks(t *testing.T) {
	term := start(t, terminalSetup{})
	term.until("marked as read", func() bool { return len(term.marked()) == 1 })
	term.press(focusOut)
	term.quiet()
	term.fake.arrive(ada, "do you see this")
	term.sees("do you see this", "2 unread")
	term.quiet()
	if n := len(term.marked()); n != 1 {
		t.Errorf("marked as read without the focus")
	}
	term.press(focusIn)
	term.until("marked as read", func() bool { return len(term.marked()) == 2 })
}

func TestNextUnreadIsTheUrgent(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ward()
		f.say(rana, rana, "!stat Hb 5.1", 0)
	}})
	term.sees("1 STAT").press(keyAltA).sees("Haddad, Rana", "STAT  Hb 5.1", "1 new")
	term.press(keyAltA).sees("ICU night", "Bed 4 is free").press(keyAltA).sees("Nothing is unread")
}

func TestSwitching(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("draft to Ada").sees("draft to Ada")
	term.press(keyCtrlK).sees("go to", "Lind, Per").press("hdad").misses("Lind, Per").press(keyEnter)
	term.sees("Haddad, Rana   laboratory").misses("draft to Ada")
	term.press("/to oka", keyTab).sees(">  /to Okafor, Ada").press(keyEnter)
	term.sees("Okafor, Ada   cardiology", ">  draft to Ada")
	term.until("the draft being stored", func() bool { return term.fake.draft(ada) == "draft to Ada" })
	term.press(keyF2).sees("inbox", "ICU night", "draft").press(keyHome, keyEnter).sees("ICU night   rooms")
}

func TestComparingANewDevice(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ward()
		f.devices[ada] = append(f.devices[ada], device(99, store.Undecided))
		f.security[ada] = client.Security{Devices: 3, Trusted: 2, Undecided: 1, Warn: true,
			Words: text.Line("Okafor has a new device. Nothing is sent to it until you compare: /trust")}
	}})
	term.sees("1 new device: /trust", "Okafor has a new device. Nothing is sent to it until you compare")
	term.press("/trust", keyEnter).sees("who can read: Okafor, Ada", "> device 99", "NEW since 14 Nov 2026", "Your own devices", "s the same")
	term.press("d").sees("Refuse this device").press(keyEsc).misses("Refuse this device")
	term.press("s").misses("NEW since").press(keyEsc).misses("who can read")
	term.sees("encrypted, 2 devices ok")
}

func TestCommandsHelpThemselves(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/").sees("/to  /search  /inbox").press("th", keyTab).sees("dark  light  auto")
	term.press("light", keyEnter).misses(">  /theme")
	term.press("/nonsense", keyEnter).sees("There is no command /nonsense").press(keyCtrlU)
	term.press("/stat come now", keyEnter).sees("STAT  come now")
	term.press("//etc is a folder", keyEnter).sees("/etc is a folder")
	term.hasSent(ada+" !stat come now", ada+" /etc is a folder")
	term.press(keyF1).sees("help", "Ctrl+L", "lock now").press(keyEsc).misses("lock now")
}

func TestNothingLeavesByCopying(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("\x1b[99;6u").sees("Copying is off").press(keyCtrlV).sees("Paste with your terminal's own key")
}

func TestPasteIsTextAndNothingElse(t *testing.T) {
	term := start(t, terminalSetup{})
	term.paste("one\ttwo\r\n\x1b]52;c;aGk=\x07three\u202e\n").sees(">  one two", "<U+202E>")
	if len(term.sent()) != 0 {
		t.Error("a pasted line end sent the message")
	}
	term.press(keyCtrlC).misses("one two")
	term.paste(strings.Repeat("x", 20<<10)).sees("at most 16 kB")
}

func TestHistoryKeepsTheDraft(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("first", keyEnter).sees("you     first").press("second", keyEnter).sees("second")
	term.press(keyUp).sees(">  second").press(keyUp).sees(">  first").press(keyDown, keyDown).misses(">  second")
	term.press("upper", "\x0a", "lower", keyUp, "X").sees(">  upperX")
}

func TestOfflineSaysSo(t *testing.T) {
	term := start(t, terminalSetup{})
	term.fake.events <- client.StateChanged{State: client.State{Phase: wire.Offline, Since: night.Add(time.Minute), RetryAt: night.Add(2 * time.Minute),
		Queued: 2, Words: text.Line("The relay does not answer.")}}
	term.sees("offline since 19:09, retrying · 2 queued", "The relay does not answer.")
}

func TestTooSmallStillLocks(t *testing.T) {
	for _, size := range [][2]int{{20, 5}, {1, 1}, {29, 30}, {200, 7}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			term := start(t, terminalSetup{cols: size[0], rows: size[1]})
			if size[0] >= 20 {
				term.sees("sotto needs 30x8")
			}
			term.press("secret", keyEnter, keyF1, keyCtrlK)
			term.press(keyCtrlL)
			if r := term.ends(); r.Reason != Asked {
				t.Errorf("ended with %+v", r)
			}
			if len(term.sent()) != 0 {
				t.Error("something was sent that nobody could see")
			}
		})
	}
}

func TestHostileNamesAndBodies(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ward()
		f.say(ada, ada, "\x1b]0;owned\x07\x1b[2J\u202eevil\u200b", 0)
		f.say(ada, ada, strings.Repeat("長い言葉", 30), 0)
	}})
	term.sees("<U+001B>]0;owned", "Okafor, Ada", "長い言葉")
	if raw := term.since(0); strings.Contains(raw, "\x1b]") {
		t.Errorf("an operating system command reached the terminal: %q", raw)
	}
}

func TestWhatIsTypedAtOnceGoesToTheConversationJustOpened(t *testing.T) {
	reading := make(chan struct{})
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ward()
		f.drafts[per] = store.Draft{Text: "kept"}
		f.slowly(per, reading)
	}})
	term.sees("Okafor, Ada", "Repeat K in 30 min")
	term.press(keyCtrlK, "lind", keyEnter, "for Per", keyEnter, "more")
	term.sees("Lind, Per", ">  more").misses("Repeat K in 30 min")
	term.until("the message to be sent", func() bool { return len(term.sent()) == 1 })
	term.hasSent(per + " for Per")
	close(reading)
	term.sees("Dose is up.", "for Per", "kept", "more")
}

func TestAConversationReadTooLateDoesNotCoverTheNext(t *testing.T) {
	reading := make(chan struct{})
	term := start(t, terminalSetup{fake: func(f *fake) { f.ward(); f.slowly(per, reading) }})
	term.press(keyCtrlK, "lind", keyEnter).sees("Lind, Per")
	term.press(keyCtrlK, "okafor", keyEnter).sees("Okafor, Ada", "Repeat K in 30 min")
	close(reading)
	term.press("for Ada", keyEnter)
	term.until("the message to be sent", func() bool { return len(term.sent()) == 1 })
	term.hasSent(ada + " for Ada")
	term.sees("Okafor, Ada", "for Ada").misses("Dose is up.")
}
