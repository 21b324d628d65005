// Package watch is the process that a person starts.
//
// It owns the terminal: raw mode and the alternate screen for its whole life,
// so that nothing flickers or echoes between two roles. It starts the link, the
// gate and the desk, joins desk and link with a socket pair, ends a desk that
// does not lock in time, and puts the terminal right whatever dies. It has no
// key, no network and no data.
package watch

import (
	"errors"
	"os"
	"time"

	"sotto/internal/role"
)

// Config says what to open.
type Config struct {
	Mode    role.Mode
	Profile role.Profile
	Label   string // organisation, for the lock screen
	User    string // whose profile it is, for the lock screen
	Note    string // for the first lock screen; may be empty
	Open    string // address of the conversation to open the first time; may be empty
	Display role.Display

	ComparedOnly bool // nothing is sent to a device that was not compared

	LogoffAfter  time.Duration // locked for so long; 0 is never
	DestroyAfter int           // wrong PINs in a row; 0 is never
	NoTPM        bool          // the vault does not move into a TPM
	NeedTPM      bool          // without a TPM it is not opened
	PINLength    int           // characters of a PIN, at least; 0 is what every PIN has
	PINMixed     bool          // letters and digits in a PIN
	Relays       role.Relays   // that may be connected to
	Wishes       []byte        // the settings that the person has chosen, for the desk

	// for role.Join
	Address string
	Relay   string
	CAFile  string
	Rotate  bool

	Invited role.Invited // for role.Join and role.Enrol; the code is cleared once it was used

	// Tell, unless nil, is told whenever it changes how sotto stands: whether
	// conversations are open, or a key to them is in memory; whether the link
	// has a password; and how many requests to lock were heard. Such a request
	// is SIGUSR1, or SIGUSR2 to log off, too, and may come once it was called.
	Tell func(open, online bool, asked int)

	// Check, unless nil, has the desk look into the database and end, instead of
	// showing it, and is told what was found. There is no link then.
	Check func(role.Checked)

	// Task, unless it is for the screen, is what the desk does instead of showing
	// anything, with Files, which stay the caller's; Done is told what became of it.
	// There is no link then.
	Task  role.Task
	Files []*os.File
	Done  func(role.Archived)

	// Result, unless nil, is told what became of a Task that is no backup.
	Result func(role.Outcome)

	// Rescue is for role.Recover, and where the desk needs the recovery key. Unless
	// another PIN is chosen, a vault that is opened with it is only read from: there is
	// no link, and the end of the desk is the end of sotto.
	Rescue role.Rescue

	// Demo is the folder that everything of a demo is kept in, or "". A ward
	// is started first and fills it; it is removed at the end.
	Demo string
	Hint string
}

// reading says whether what is opened is only read from.
func (c Config) reading() bool { return c.Mode == role.Recover && !c.Rescue.NewPIN }

// offline says whether there is no link.
func (c Config) offline() bool { return c.Check != nil || c.Task.Job.Offline() || c.reading() }

// Times of the watch.
const (
	tick       = 5 * time.Second // how often clocks are looked at where the system does not say that it slept
	lockAnswer = 3 * time.Second // for a desk that has blanked the screen to keep the draft and end
	endAnswer  = 2 * time.Second // for a link or a ward to end in good order
	wardSetup  = time.Minute     // for the ward to set the demo up
	bellPause  = time.Minute     // from one ring of the bell to the next, at least
)

// A desk that is told to lock is looked at so often, so far apart, and ended
// when it has not blanked the screen by then.
const (
	answerLooks = 4
	answerLook  = 20 * time.Millisecond
)

// lockGrace is what the desk may be late with locking by itself before the watch
// does it: a second since the last key that it has told of, as it tells of one a
// second; a second until it looks at its clock; and a half on a busy machine.
const lockGrace = 2500 * time.Millisecond

var errNoWakes = errors.New("the system does not say when it wakes up")

// joinTries is how often a relay may refuse the password before joining ends.
const joinTries = 5

// What Run returns when the person left before it was done.
var (
	ErrNotJoined    = errors.New("nothing was set up")
	ErrSamePIN      = errors.New("the PIN stays as it was")
	ErrNotRecovered = errors.New("the vault is locked, and the PIN is as it was")
	ErrSamePassword = errors.New("the password stays as it was")
)

// Lost is returned when the vault was destroyed.
type Lost = role.Lost

// Crashes are forgiven unless there are more than so many within the time.
const (
	crashLimit  = 5
	crashWindow = time.Minute
)

// limiter counts what should not happen often.
type limiter struct{ times []time.Time }

// tooMany notes one more and says whether that was one too many.
func (l *limiter) tooMany(now time.Time) bool {
	var recent []time.Time
	for _, t := range l.times {
		if now.Sub(t) < crashWindow {
			recent = append(recent, t)
		}
	}
	l.times = append(recent, now)
	return len(l.times) > crashLimit
}
