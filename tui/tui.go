// Package tui is what a person sees while sotto is unlocked: the conversations,
// the messages, the composer, and the few dialogs around them.
//
// Model is the root, and the only tea.Model. One goroutine, Bubble Tea's, owns
// all state here. Parts of the screen are structs with methods that draw
// themselves for a width and a look; rectangles say where (see arrange).
// Nothing waits in Update: reading and writing the store happens in commands,
// and what changed in the messenger comes as batches of events. The one
// exception is Screen.Blackout, which must not wait for anything.
//
// What others wrote comes as text.Safe and is drawn from that alone; what goes
// to the terminal passes Screen, which lets nothing but drawing through. The
// terminal is in raw mode and on its alternate screen already: that is the
// business of the process that outlives this one.
//
// While nobody presses a key and nothing happens, nothing is written. The time
// to the lock is therefore told in minutes until it is short.
package tui

import (
	"io"
	"os"
	"time"

	"sotto/client"
	"sotto/client/text"
	"sotto/themes"
	"sotto/tui/attach"
)

// Config is what the screens work with.
type Config struct {
	Messenger Messenger
	Screen    *Screen   // the way to the terminal
	Input     io.Reader // keys; a terminal must be in raw mode; nil: standard input
	Environ   []string  // for TERM, NO_COLOR and the locale; nil: that of the process

	Theme         string        // auto, light or dark; "" is auto
	LockAfter     time.Duration // idle time until the lock; 0 is two minutes
	LockUnfocused time.Duration // time without the terminal's focus until the lock; 0 is never
	Curtain       bool          // without the focus, text is covered
	Reveal        bool          // a message's text is shown only while its line is chosen
	Mouse         bool          // the mouse scrolls and chooses, and selects no text
	NoPaste       bool          // nothing can be pasted
	Quiet         bool          // the bell is not rung
	Place         string        // where the person was, from an earlier Result; may be ""
	Open          string        // the conversation to open if Place names none; may be ""

	Note string // said when they begin; may be ""

	AttachFrom attach.Folders // what files can be attached from

	// Settings, unless nil, returns what is in force by now, when the organisation
	// has changed its policy. It must not wait.
	Settings func() Settings

	Now     func() time.Time     // the wall clock, for tests; nil: time.Now
	Elapsed func() time.Duration // the clock that never jumps, for tests

	// OnActivity is called when somebody uses the keys or the mouse, at most once a second.
	// OnLock is called as soon as the screen is blank, before the draft is
	// stored. OnStop is called before it if the person wants the shell back
	// meanwhile. All are called from the goroutine that handles keys and must
	// not wait.
	OnActivity func()
	OnLock     func(Reason)
	OnStop     func()
}

// Reason is why the screens ended.
type Reason string

// The reasons. All but Quit and Failed are locks.
const (
	Quit      Reason = "quit"      // the person is done
	Asked     Reason = "asked"     // the person locked
	Idle      Reason = "idle"      // nobody pressed a key for too long
	Unfocused Reason = "unfocused" // the terminal was without the focus for too long
	Suspended Reason = "suspended" // the machine slept
	Ended     Reason = "ended"     // the context ended, or Lock was called
	Failed    Reason = "failed"    // the screens cannot go on; Run returns an error
)

// Intent is what the person wants to do once the screen is locked.
type Intent string

// The intents.
const (
	Unlock    Intent = "" // nothing but to come back
	ChangePIN Intent = "change PIN"
)

// Result says how the screens ended.
type Result struct {
	Reason Reason
	Intent Intent
	Place  string // for Config.Place, next time; holds an address, so keep it encrypted
}

// Locked reports whether the screens ended by locking.
func (r Result) Locked() bool { return r.Reason != Quit && r.Reason != Failed }

// Model is the state of the screens.
type Model struct {
	cfg    Config
	env    environment
	look   look
	keys   keymap
	clock  *clock
	beat   time.Duration // between two looks at it
	auto   bool          // the theme follows the terminal's background
	theme  string        // the theme chosen by the person, "" if none was
	width  int
	height int
	focus  bool // the terminal has it, as far as it tells

	self  client.Self
	state client.State

	joining client.Joining // an organisation

	list    list
	listing pending // reading of the conversation list
	asList  bool    // beside the timeline, keys go to the list

	open      string // address of the open conversation; "" if none is
	tl        *timeline
	security  *client.Security // of the open conversation; nil until read
	composers map[string]*composer
	sure      string // what looks like a PIN, and is sent when Enter is pressed again

	org   standing
	known map[string]client.Person         // by address, as the directory has them
	tried map[client.Attempt]time.Duration // what was refused, and when last, by the steady clock

	trail []step           // where the person jumped from
	inbox []client.Waiting // what waits for them

	readers    *client.NewReaders // who was pointed out when readersFor was to be sent
	readersFor string
	sureOf     int64  // the message that Enter again takes back
	taking     int64  // the message that the next Alt+T takes back
	askAck     int64  // the message under which the key to acknowledge it stands
	asked      int64  // up to which message the open conversation was marked as read
	burst      burst  // what comes together with a paste
	held       *point // where the left button of the mouse went down

	dialogs []dialog // the last one is on top
	pictures
	offer   offer // of files, to be attached
	notice  notice
	start   place // where to go when the conversations are known
	arrived bool  // the first conversation is shown, or there is none

	jobs   []*job // under way
	frame  frame
	synced bool          // the terminal can take a whole update at once
	paint  func(picture) // nil: nobody looks
	end    *Result       // set when the screens are ending
}

// pending is a reading that is under way, and whether it is to be repeated.
type pending struct{ running, again bool }

// notice is a sentence for the person, until the next key or for a while.
type notice struct {
	words   string
	style   themes.Style
	until   time.Duration // by the steady clock
	covered bool          // it came while the curtain was closed
}

// New makes the screens. It fails if there is no such theme.
func New(cfg Config) (*Model, error) {
	if cfg.Environ == nil {
		cfg.Environ = os.Environ()
	}
	m := &Model{
		cfg: cfg, env: environment(cfg.Environ), keys: keysFor(bindings(cfg.Reveal)),
		clock: newClock(cfg.Now, cfg.Elapsed, cfg.LockAfter, cfg.LockUnfocused),
		beat:  time.Second, focus: true, composers: map[string]*composer{},
		self: cfg.Messenger.Self(), state: cfg.Messenger.State(), joining: cfg.Messenger.Joining(),
		start: parsePlace(cfg.Place),
	}
	m.look.glyphs = m.env.glyphs()
	m.look.zone = m.clock.now().Location()
	name := cfg.Theme
	if m.start.theme != "" {
		name = m.start.theme
		m.theme = name
	}
	if err := m.setTheme(name); err != nil {
		return nil, err
	}
	if m.start.peer == "" {
		m.start.peer = cfg.Open
	}
	if cfg.Note != "" {
		m.warn(cfg.Note)
	}
	return m, nil
}

// setTheme changes the colours.
func (m *Model) setTheme(name string) error {
	var th themes.Theme
	var err error
	auto := name == "" || name == themes.Auto
	if auto {
		dark, _ := m.env.background()
		th, err = themes.For(dark)
	} else {
		th, err = themes.Load(name)
	}
	if err != nil {
		return err
	}
	m.auto = auto
	m.look.Theme = th
	m.look.version++
	return nil
}

// composer is where the open conversation's message is written.
func (m *Model) composer() *composer {
	c := m.composers[m.open]
	if c == nil {
		c = &composer{}
		m.composers[m.open] = c
	}
	return c
}

// say shows a sentence.
func (m *Model) say(words string) { m.tell(words, m.look.Notice) }

// warn shows a sentence about something that went wrong.
func (m *Model) warn(words string) { m.tell(words, m.look.Failed) }

// tell shows a sentence. What it quotes may come from elsewhere, as part of an
// error: here it becomes safe to draw.
func (m *Model) tell(words string, st themes.Style) {
	m.notice = notice{
		words: text.Line(words).String(), style: st,
		until: m.clock.steady + 15*time.Second, covered: m.covered(),
	}
}
