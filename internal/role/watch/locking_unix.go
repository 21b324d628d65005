//go:build unix

package watch

import (
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sotto/internal/role"
)

// Others ask for a lock with these, as sotto lock does.
const (
	signalToLock   = syscall.SIGUSR1
	signalToLogOff = syscall.SIGUSR2
)

// lock has nothing on the screen that a desk has drawn when it returns, which
// it does within answerLooks times answerLook. A desk that has not said by then
// that the screen is blank is ended: it hangs, is stopped, or is not sotto's any
// more. One that has said so gets its time to keep what was being typed.
func (w *watch) lock() {
	d := w.desk
	if d == nil || !w.lockedAt.IsZero() {
		return
	}
	if slices.ContainsFunc(w.kept, func(e event) bool { return w.answers(e, d) }) {
		return
	}
	d.Control.Send(&role.Lock{Why: w.why})
	// Several looks and not one: where the whole machine is late, so is the
	// desk, and it should not lose a draft for that.
	for range answerLooks {
		late := time.NewTimer(answerLook)
		for waiting := true; waiting; {
			select {
			case e := <-w.events:
				w.kept = append(w.kept, e) // whatever it is, the loop handles it
				if w.answers(e, d) {
					late.Stop()
					return
				}
			case <-late.C:
				waiting = false
			}
		}
	}
	shows := w.ready || slices.ContainsFunc(w.kept, func(e event) bool {
		_, ready := e.msg.(*role.Ready) // which the loop has not come to yet
		return ready && e.child == d
	})
	if shows && w.note == "" {
		w.note = deskHung
	}
	w.because("crashed")
	w.locked()
	w.killDesk()
	if w.gate != nil && w.gateOK { // it may wait for the desk to take the key
		w.dropGate()
	}
}

// answers says whether a desk is done with the screen, and notes it.
func (w *watch) answers(e event, d *role.Child) bool {
	if e.child != d {
		return false
	}
	switch e.msg.(type) {
	case *role.Locking, *role.Locked:
		w.locking()
		return true
	}
	return e.ended != nil
}

// secure locks, and where it is locked has the PIN typed anew: somebody may
// have typed it and gone.
func (w *watch) secure(why string) error {
	switch {
	case w.desk != nil && w.lockedAt.IsZero():
		w.because(why)
		w.lock()
	// The desk that was there before the gate may be at its end still.
	case w.gate != nil && !w.gateOK && w.mode != role.Join && w.mode != role.Wipe:
		if w.mode == role.ChangePIN && w.cfg.Mode != role.ChangePIN { // the desk had asked for it
			w.mode, w.shown = role.Unlock, samePIN
		}
		w.note = w.shown
		return w.startGate()
	}
	return nil
}

// asked takes a request to lock from outside.
func (w *watch) asked(logOff bool) error {
	w.requests++
	if w.full && !w.term.Foreground() { // it was stopped, and continued to hear this
		if logOff {
			w.logOff("by-person")
		}
		w.stop()
		return nil
	}
	if !logOff {
		return w.secure("by-person")
	}
	if w.cfg.Mode != role.Unlock && w.mode == w.cfg.Mode {
		// Whoever asks for a PIN or a password to be set gives up with it.
		w.end(128+int(signalToLogOff), nil)
		return nil
	}
	w.logOff("by-person")
	return w.secure("by-person")
}

// logOff ends the link, and the password with it.
func (w *watch) logOff(why string) {
	if w.link == nil || w.loggedOff {
		return
	}
	w.happened("log-off", why, 0)
	w.loggedOff = true
	w.link.Control.Send(&role.End{})
	link := w.link
	time.AfterFunc(endAnswer, link.Kill) // it has ended long before
}

// loggedOut waits for the end of a link that was told to log off.
func (w *watch) loggedOut() {
	if w.loggedOff {
		w.finish(endAnswer, w.link)
		w.noLink()
	}
}

// standing is how things are, for the deadlines.
func (w *watch) standing() standing {
	return standing{
		open: w.desk != nil && w.lockedAt.IsZero() && w.cfg.Task.Job == role.Screen, active: w.active,
		online: w.link != nil && !w.loggedOff && w.desk == nil && !w.lockedAt.IsZero(), locked: w.lockedFor,
	}
}

// arm sets the clock for what comes next.
func (w *watch) arm() {
	if due, wait := w.cfg.next(w.standing(), w.sleep.boot()); due != nothing {
		w.alarm.Reset(wait)
		return
	}
	w.alarm.Stop()
}

// rings does what is due.
func (w *watch) rings() {
	switch due, wait := w.cfg.next(w.standing(), w.sleep.boot()); {
	case wait > 0:
	case due == toLock:
		w.because("idle")
		w.lock()
	case due == toLogOff:
		w.logOff("idle")
	}
}

// woke locks if the machine has slept, however short, and whatever the desk does.
func (w *watch) woke() error {
	if w.sleep.slept() {
		return w.secure("asleep")
	}
	return nil
}

// tell says how things are to whoever asks for a lock.
func (w *watch) tell() {
	if w.cfg.Tell == nil {
		return
	}
	now := told{
		open:   w.desk != nil || w.gate != nil && w.gateOK,
		online: w.link != nil && (w.signedIn || w.cfg.Mode != role.Unlock),
		asked:  w.requests,
	}
	if !w.hasTold || now != w.told {
		w.told, w.hasTold = now, true
		w.cfg.Tell(now.open, now.online, now.asked)
	}
}

// told is what was told last.
type told struct {
	open, online bool
	asked        int
}

// stop locks, gives the terminal back and stops this process, as a shell's job
// control expects; then it goes on with a fresh gate. Meanwhile the link goes
// on, until it is time to log off.
func (w *watch) stop() {
	if !w.full { // nothing is shown yet
		unix.Kill(os.Getpid(), unix.SIGSTOP)
		return
	}
	w.because("stopped")
	w.lock()
	w.finish(lockAnswer, w.desk)
	w.dropGate()
	w.release()
	w.loggedOut()
	w.leaveAlone(true)
	for {
		w.tell()
		unix.Kill(os.Getpid(), unix.SIGSTOP)
		w.catchUp()
		if w.ending {
			return
		}
		if w.term.Foreground() {
			break
		}
		// It was continued in the background, where a terminal is not to be used.
	}
	w.leaveAlone(false)
	if err := w.enter(); err != nil {
		w.end(1, err)
		return
	}
	if err := w.startGate(); err != nil {
		w.end(1, err)
	}
}

// toShell locks and stops, as Ctrl+Z has any program do. Where no shell would
// let it go on again, it only locks.
func (w *watch) toShell() {
	if w.mode == role.Join || w.mode == role.Enrol { // it would have to begin again
		return
	}
	if !w.jobs {
		w.check(w.secure("stopped"))
		return
	}
	w.stop()
}

// jobControl says whether a shell started this process as a job: then it lets
// it go on after a stop. Under no shell, or in a script, nobody would.
func jobControl() bool {
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	parent := os.Getppid()
	parents, err := unix.Getsid(parent)
	if err != nil || parents != session {
		return false
	}
	group, err := unix.Getpgid(parent)
	return err == nil && group != unix.Getpgrp()
}

// leaveAlone tells the link to end by itself in time, or takes that back.
func (w *watch) leaveAlone(alone bool) {
	if w.link == nil || w.loggedOff {
		return
	}
	var after time.Duration
	if due, wait := w.cfg.next(w.standing(), w.sleep.boot()); alone && due == toLogOff {
		after = max(wait, time.Millisecond)
		w.alone = true
	}
	w.link.Control.Send(&role.Logoff{After: after})
}

// catchUp takes what was sent to a stopped process, which comes in a moment once
// it goes on: how to end, or to log off. The rest of it is done with.
func (w *watch) catchUp() {
	late := time.After(answerLook)
	for {
		select {
		case s := <-w.signals:
			switch s := s.(syscall.Signal); s {
			case syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
			case signalToLock:
				w.requests++
			case signalToLogOff:
				w.requests++
				w.logOff("by-person")
				w.loggedOut()
			default:
				w.signal(s)
				return
			}
		case <-late:
			return
		}
	}
}

// hungUp returns a channel that is closed when the terminal is gone. It costs
// nothing meanwhile. Where the system can't wait for that, who reads the
// terminal finds out.
func hungUp() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		fds := []unix.PollFd{{Fd: 0}}
		for {
			_, err := unix.Poll(fds, -1)
			switch {
			case err == unix.EINTR || err == unix.EAGAIN:
			case err != nil || fds[0].Revents&unix.POLLHUP == 0:
				return
			default:
				close(gone)
				return
			}
		}
	}()
	return gone
}
