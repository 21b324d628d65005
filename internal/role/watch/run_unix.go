//go:build unix

package watch

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
	"sotto/internal/role"
)

// The sentences for what should not happen.
const (
	deskCrashed = "The screen process ended unexpectedly. Nothing that was sent or received was lost; enter the PIN to go on."
	gateCrashed = "The lock screen ended unexpectedly and was started again. Enter the PIN."
	linkCrashed = "The connection process ended unexpectedly and was started again. Nothing was lost; enter the PIN to connect."
	deskHung    = "The screen process did not lock in time and was ended. Nothing that was sent or received was lost; the last words of a draft may be."
	wrongPIN    = role.WrongPIN
	samePIN     = "The PIN stays as it was."
)

// errCrashed is for a defect of the watch itself. The terminal is put right first.
var errCrashed = errors.New("it ended unexpectedly. It is locked, and nothing that was sent or received was lost. Run sotto again, and tell your administrator if it goes on")

var errWard = errors.New("the demo's relay process ended unexpectedly, and the demo with it. Run sotto demo to start again")

// event is something that a role said, or its end.
type event struct {
	child *role.Child
	msg   role.Message
	ended *role.Ending
}

// watch is one run. Everything happens on one goroutine, the caller's.
type watch struct {
	cfg     Config
	term    *role.Terminal
	events  chan event
	kept    []event // that came while something else was waited for
	signals chan os.Signal

	link, gate, desk, ward *role.Child

	keyEnd  *os.File     // the read end of the running gate's handover pipe
	silence *role.Socket // the other end of a reading desk's link socket
	linkEnd *role.Socket // the other end of the running gate's link socket
	gateOK  bool         // the running gate has unlocked

	recovered bool // with the recovery key

	status    role.Status
	signedIn  bool                   // the link was given a password, as far as the watch knows
	lockedAt  time.Time              // zero before the first unlock and while unlocked
	lockedFor time.Duration          // sleep.boot() then
	active    time.Duration          // sleep.boot() at the person's last key
	ready     bool                   // the desk shows something
	ring      bool                   // the gate has yet to ring for a STAT message
	rang      time.Duration          // sleep.boot() when it last did; zero before that
	failures  int                    // wrong PINs in a row
	note      string                 // for the next gate
	shown     string                 // by the last gate
	said      map[*role.Child]string // the last Note of each
	crashes   limiter
	full      bool // raw mode and the alternate screen are on
	jobs      bool // a shell lets us go on after a stop

	warrant *role.Warrant // as the last desk told it; nil before, or without an organisation
	proof   role.Proof    // of the wipe that a gate is doing
	wanted  *role.Ordered // a wipe that the link has asked for while there is a desk
	dealt   []role.Dealt  // orders that the link has dealt with since the last desk began

	past  []role.Happened // for the next desk's audit log
	given int             // of these, those that the running desk was given
	why   string          // of the lock that is coming; "" if nobody has said

	deadline   *time.Timer // for a desk that should end
	mode       role.Mode   // of the next gate
	loggedOff  bool        // the link was told to end
	alone      bool        // the link was told to end by itself while the watch is stopped
	sleep      *sleep
	alarm      *time.Timer // for what standing says
	output     *output
	requests   int // to lock, from outside
	told       told
	hasTold    bool
	ending     bool
	exit       int
	endingWith error
}

// Run opens sotto on the terminal and returns when the person is done, with the
// exit code for the process. Call it on the main goroutine, locked to its
// thread: see role.Spawn.
func Run(cfg Config) (int, error) { return run(cfg, systemClocks(), wakes) }

func run(cfg Config, c clocks, wakes func() (<-chan struct{}, error)) (code int, err error) {
	debug.SetTraceback("none") // a page of Go is no use to anybody at a terminal
	if err := harden.Early(); err != nil {
		return 1, err
	}
	unix.Umask(0o077)
	term, err := role.OpenTerminal()
	if err != nil {
		return 1, err
	}
	w := &watch{
		cfg: cfg, term: term, note: cfg.Note,
		events: make(chan event, 64), signals: make(chan os.Signal, 16),
		said: make(map[*role.Child]string), deadline: time.NewTimer(time.Hour), mode: cfg.Mode,
		sleep: newSleep(c), alarm: time.NewTimer(time.Hour), output: newOutput(), jobs: jobControl(),
	}
	w.deadline.Stop()
	w.alarm.Stop()
	defer func() {
		if recover() == nil {
			return
		}
		if w.full { // leave has failed, too
			term.Restore()
		}
		code, err = 1, errCrashed
	}()
	// Notify and not Ignore: a role would inherit what is ignored.
	signal.Notify(w.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGTTIN, syscall.SIGTTOU, signalToLock, signalToLogOff)
	defer signal.Stop(w.signals)
	defer w.leave()
	woken, err := wakes() // before the sandbox
	var ticks <-chan time.Time
	if err != nil {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		ticks = ticker.C
	}
	if err := w.start(); err != nil {
		return 1, err
	}
	w.loop(woken, ticks)
	return w.exit, w.endingWith
}

func (w *watch) loop(woken <-chan struct{}, ticks <-chan time.Time) {
	gone := hungUp()
	for !w.ending {
		w.tell()
		w.arm()
		if len(w.kept) > 0 {
			e := w.kept[0]
			w.kept = w.kept[1:]
			w.handle(e)
			continue
		}
		select {
		case e := <-w.events:
			w.inForeground()
			w.handle(e)
		case s := <-w.signals:
			w.signal(s.(syscall.Signal))
		case <-w.alarm.C:
			w.inForeground()
			w.rings()
		case <-woken:
			w.inForeground()
			w.check(w.woke())
		case <-ticks:
			w.inForeground()
			w.check(w.woke())
		case <-w.deadline.C:
			w.inForeground()
			w.killDesk()
		case <-w.output.late:
			w.redraw()
		case <-gone:
			w.end(128+int(syscall.SIGHUP), nil)
		}
	}
}

// start starts what has to run before a gate, and the gate.
func (w *watch) start() error {
	if w.cfg.Demo != "" {
		if err := w.startWard(); err != nil {
			return err
		}
		if w.ending {
			return w.endingWith
		}
	}
	// What the watch gives up here its children can't have either, so the ward,
	// which listens, was started before.
	if _, err := harden.Watch(); err != nil {
		return err
	}
	if w.mode != role.ChangePIN && !w.cfg.offline() {
		if err := w.startLink(); err != nil {
			return err
		}
	}
	if err := w.enter(); err != nil {
		return err
	}
	return w.startGate()
}

// enter takes the terminal.
func (w *watch) enter() error {
	if err := w.term.Raw(); err != nil {
		return fmt.Errorf("take over the terminal: %w", err)
	}
	w.full = true
	w.draw(func() { w.term.Write(role.AltOn + role.Clear) })
	return nil
}

// release gives the terminal back.
func (w *watch) release() {
	if !w.full {
		return
	}
	w.full = false
	if !w.term.Foreground() {
		w.output.do(w.term.Abandon)
		return
	}
	w.output.do(func() { w.term.Restore() })
}

// repair makes the terminal usable for the next role after one that died.
func (w *watch) repair() {
	if w.full {
		w.draw(func() {
			w.term.Raw()
			w.term.Repair()
		})
	}
}

// draw does something with the terminal. A gate that runs draws all of its own
// after it, or what it had drawn would be gone.
func (w *watch) draw(f func()) {
	w.output.do(f)
	w.redraw()
}

// redraw has the gate, if one runs, draw all of its screen: somebody else has
// written to the terminal since it was started, or may have. One that has handed
// over the key is at its end, and the terminal is another's.
func (w *watch) redraw() {
	if w.gate != nil && !w.gateOK {
		w.gate.Control.Send(&role.Redraw{})
	}
}

// inForeground returns in the foreground. Elsewhere a terminal is not to be used:
// somebody has stopped us, and a shell, which has the terminal since, lets us go on
// without it. Then we stop properly. What a request to lock says is taken before.
func (w *watch) inForeground() {
	if w.full && !w.ending && !w.term.Foreground() {
		// Whoever let us go on may have done so for us to hear a request, which
		// can come a moment later.
		if w.catchUp(); !w.ending {
			w.stop()
		}
	}
}

// check ends with an error that leaves nothing to go on with.
func (w *watch) check(err error) {
	if err != nil {
		w.end(1, err)
	}
}

// end makes the loop stop.
func (w *watch) end(code int, err error) {
	if !w.ending {
		w.ending, w.exit, w.endingWith = true, code, err
	}
}

// signal handles what the system sends to the watch.
func (w *watch) signal(s syscall.Signal) {
	switch s {
	case syscall.SIGTSTP:
		w.stop()
	case syscall.SIGCONT: // someone else stopped us; the terminal may have been used
		if w.inForeground(); w.full && !w.ending {
			w.draw(func() {
				w.term.Raw()
				w.term.Write(role.AltOn)
			})
			w.because("stopped")
			w.lock()
		}
	case syscall.SIGTTIN, syscall.SIGTTOU:
		w.inForeground()
	case signalToLock:
		w.check(w.asked(false))
	case signalToLogOff:
		w.check(w.asked(true))
	default:
		w.end(128+int(s), nil)
	}
}

// leave ends every role, and last gives the terminal back: whatever happened.
func (w *watch) leave() {
	w.ending = true
	for _, c := range []*role.Child{w.link, w.gate} {
		if c != nil {
			c.Control.Send(&role.End{})
		}
	}
	if w.exit == 128+int(syscall.SIGHUP) {
		w.because("terminal-gone")
	}
	w.because("stopped")
	w.lock()
	w.finish(lockAnswer, w.desk, w.gate)
	w.release()
	w.finish(endAnswer, w.link)
	if w.ward != nil {
		w.ward.Control.Send(&role.End{})
	}
	w.finish(endAnswer, w.ward)
	if w.cfg.Demo != "" {
		os.RemoveAll(w.cfg.Demo)
	}
}

// finish waits for children to end, and kills them when they take too long.
// What they say meanwhile starts nothing any more; what others say is kept for
// the loop.
func (w *watch) finish(wait time.Duration, children ...*role.Child) {
	kept := w.kept
	w.kept = nil
	for _, e := range kept {
		w.drop(e, children)
	}
	if w.desk != nil && slices.Contains(children, w.desk) {
		w.desk.Control.Send(&role.End{}) // it need not wait for a gate
	}
	timeout := time.After(wait)
	for slices.ContainsFunc(children, w.runs) {
		select {
		case e := <-w.events:
			w.drop(e, children)
		case <-timeout:
			for _, c := range children {
				if c != nil {
					c.Kill()
				}
			}
		}
	}
}

// drop forgets an event of children that are being ended, and keeps another.
func (w *watch) drop(e event, children []*role.Child) {
	if slices.Contains(children, e.child) {
		w.forget(e)
		return
	}
	w.kept = append(w.kept, e)
}

func (w *watch) runs(c *role.Child) bool {
	return c != nil && (c == w.link || c == w.gate || c == w.desk || c == w.ward)
}

// forget takes an event while something is being ended.
func (w *watch) forget(e event) {
	if e.ended == nil {
		return
	}
	w.buried(e.child)
	switch e.child {
	case w.link:
		w.link = nil
	case w.gate:
		w.gate = nil
	case w.desk:
		w.desk = nil
		w.deadline.Stop() // it was this one's, and not the next one's
	case w.ward:
		w.ward = nil
	}
}
