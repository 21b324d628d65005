//go:build unix

package watch

import (
	"errors"
	"time"

	"sotto/internal/role"
)

// handle takes one event. What comes from a child that was replaced says
// nothing any more.
func (w *watch) handle(e event) {
	if !w.runs(e.child) {
		if e.ended != nil {
			w.buried(e.child)
		}
		return
	}
	var err error
	switch e.child {
	case w.gate:
		err = w.fromGate(e)
	case w.desk:
		err = w.fromDesk(e)
	case w.link:
		err = w.fromLink(e)
	case w.ward:
		err = w.fromWard(e)
	}
	if err != nil {
		w.end(1, err)
	}
}

// buried closes what was left of a child that has ended, and returns its last note.
func (w *watch) buried(c *role.Child) string {
	c.Control.Close()
	said := w.said[c]
	delete(w.said, c)
	return said
}

func (w *watch) fromGate(e event) error {
	switch m := e.msg.(type) {
	case *role.Note:
		w.said[e.child] = m.Text
	case *role.Ready:
		if w.desk != nil { // it has waited for this with the terminal
			w.desk.Control.Send(&role.End{})
		}
	case *role.NeedLink:
		if w.linkEnd != nil && w.link != nil {
			w.link.Control.SendFile(&role.Attach{}, w.linkEnd.File())
			w.linkEnd.Close() // the link has it now
			w.linkEnd = nil
		}
	case *role.Stop:
		w.toShell()
		return nil
	case *role.Unlocked:
		if w.gateOK || w.mode == role.ChangePIN || w.mode == role.ChangePassword || w.mode == role.Wipe {
			break
		}
		w.unlocked(m.Tried)
		w.gateOK, w.failures = true, 0
		clear(w.cfg.Invited.Code)
		w.recovered = w.mode == role.Recover
		w.mode = role.Unlock // after joining, too
		return w.startDesk()
	}
	if e.ended == nil {
		return nil
	}
	said := w.buried(e.child)
	w.gate = nil
	switch {
	case e.ended.Code == role.ExitDone && w.gateOK:
		return nil
	case w.mode == role.ChangePIN && (e.ended.Code == role.ExitDone || e.ended.Code == role.ExitQuit):
		return w.changedPIN(e.ended.Code == role.ExitDone)
	case w.mode == role.ChangePassword && e.ended.Code == role.ExitDone:
		w.end(0, nil)
		return nil
	case w.mode == role.ChangePassword && e.ended.Code == role.ExitQuit:
		return ErrSamePassword
	case e.ended.Code == role.ExitQuit && w.mode == role.Recover:
		return ErrNotRecovered
	case e.ended.Code == role.ExitQuit && (w.mode == role.Join || w.mode == role.Enrol):
		return ErrNotJoined
	case e.ended.Code == role.ExitQuit:
		w.end(0, nil)
		return nil
	case e.ended.Code == role.ExitWrongPIN:
		w.failures++
		w.wrong()
		if w.mode == role.Join && w.failures >= joinTries && said != "" {
			return errors.New(said)
		}
		if w.note = said; w.note == "" {
			w.note = wrongPIN // how many there were the gate reads from the vault
		}
		return w.startGate()
	case e.ended.Code == role.ExitLost:
		return &Lost{Words: said}
	case w.mode == role.Wipe && e.ended.Code == role.ExitFailed:
		if w.crashes.tooMany(time.Now()) {
			return errors.New(said)
		}
		return w.unwiped(said)
	case e.ended.Code == role.ExitFailed && said != "":
		if w.mode == role.Join || w.mode == role.Enrol || w.mode == role.ChangePassword || w.mode == role.Recover || w.crashes.tooMany(time.Now()) {
			return errors.New(said)
		}
		w.note = said
	default:
		w.repair()
		if w.crashes.tooMany(time.Now()) {
			return errors.New("the lock screen keeps ending unexpectedly. Nothing was lost; run sotto again, and tell your administrator if it goes on")
		}
		w.note = gateCrashed
		if w.mode == role.Join {
			return errors.New("the process that asks for the password ended unexpectedly. Nothing was kept; run sotto join again")
		}
	}
	if w.desk != nil { // it waits for a key that will not come
		w.killDesk()
		return nil
	}
	return w.startGate()
}

// changedPIN goes on after the PIN was changed or not: to the lock screen, if a
// desk had asked for it.
func (w *watch) changedPIN(changed bool) error {
	if w.cfg.Mode == role.ChangePIN {
		if !changed {
			return ErrSamePIN
		}
		w.end(0, nil)
		return nil
	}
	w.mode = role.Unlock
	w.note = samePIN
	if changed {
		w.note = "The PIN is changed. Enter the new one."
	}
	return w.startGate()
}

func (w *watch) fromDesk(e event) error {
	switch m := e.msg.(type) {
	case *role.Note:
		w.said[e.child] = m.Text
	case *role.Ready:
		w.ready = true
		w.past, w.given = w.past[min(w.given, len(w.past)):], 0 // it has written them
	case *role.Activity:
		w.active = w.sleep.boot()
	case *role.Archived:
		if w.cfg.Done != nil {
			w.cfg.Done(*m)
		}
	case *role.Checked:
		if w.cfg.Check != nil {
			w.cfg.Check(*m)
		}
	case *role.Warrant:
		w.warrant = m
	case *role.Ordered:
		if err := w.ordered(e.child, m); err != nil {
			return err
		}
	case *role.Outcome:
		if w.cfg.Result != nil {
			w.cfg.Result(*m)
		}
	case *role.Stop:
		w.toShell()
		return nil
	case *role.InForce:
		w.obey(m.Rules)
	case *role.Locking:
		w.locking()
	case *role.Locked:
		w.locking()
		if w.gate != nil && !w.gateOK || w.cfg.reading() { // it said so before, or nothing follows
			break
		}
		if m.ChangePIN {
			w.mode = role.ChangePIN
		}
		if m.Why != "" {
			w.note = m.Why
		}
		return w.startGate()
	}
	if e.ended == nil {
		return nil
	}
	said := w.buried(e.child)
	w.desk = nil
	w.deadline.Stop()
	switch {
	case e.ended.Code == role.ExitQuit:
		w.end(0, nil)
		return nil
	case w.cfg.reading() && (e.ended.Code == role.ExitDone || !w.lockedAt.IsZero()):
		w.end(0, nil)
		return nil
	case (w.cfg.reading() || w.cfg.Task.Job != role.Screen) && said != "":
		return errors.New(said)
	case w.cfg.reading():
		return errors.New("the screen process ended unexpectedly. Nothing was changed")
	case w.cfg.Task.Job != role.Screen:
		return errors.New("the process that was at work on the backup ended unexpectedly. Run it again")
	case w.cfg.Check != nil && said != "":
		return errors.New(said)
	case w.cfg.Check != nil:
		return errors.New("the process that looked into the messages ended unexpectedly. Nothing was changed")
	}
	if m := w.wanted; m != nil {
		if e.ended.Code != role.ExitDone {
			w.repair()
		}
		w.locked()
		return w.wipe(m)
	}
	if w.gate != nil && !w.gateOK && !w.lockedAt.IsZero() {
		// It locked, and the gate is already there. Only now is it alone with the
		// terminal: whatever the desk did last, even half, must not stay.
		if e.ended.Code != role.ExitDone {
			w.repair()
		}
		w.redraw()
		return nil
	}
	announced := !w.lockedAt.IsZero()
	w.because("crashed")
	w.locked()
	switch {
	case announced || w.note != "": // why is known already
		w.repair()
	case e.ended.Code == role.ExitDone:
	case e.ended.Code == role.ExitFailed && said != "":
		if w.crashes.tooMany(time.Now()) {
			return errors.New(said)
		}
		w.repair()
		w.note = said
	default:
		w.repair()
		if w.crashes.tooMany(time.Now()) {
			return errors.New("the screen process keeps ending unexpectedly. Nothing was lost; run sotto again, and tell your administrator if it goes on")
		}
		w.note = deskCrashed
	}
	return w.startGate()
}

// locking notes that the desk is at its end. It gets its time for that once,
// however often it says so: the next to read the terminal is the gate.
func (w *watch) locking() {
	if w.lockedAt.IsZero() {
		w.deadline.Reset(lockAnswer)
		w.because("by-person") // a desk that locks by itself knows better, and says so
	}
	w.locked()
}

// locked notes that nothing is shown any more.
func (w *watch) locked() {
	if w.lockedAt.IsZero() {
		w.lockedAt, w.lockedFor = time.Now(), w.sleep.boot()
		w.happened("lock", w.why, 0)
		w.why = ""
	}
	w.ready = false
}

// killDesk ends a desk that does not end by itself.
func (w *watch) killDesk() {
	if w.desk == nil {
		return
	}
	w.desk.Kill()
	if w.gate == nil || w.gateOK {
		// Again when it has ended: something may be on its way still.
		front := w.term.Foreground()
		w.draw(func() {
			if front {
				w.term.Drop()
			}
			w.term.Blackout()
		})
	}
}

func (w *watch) fromLink(e event) error {
	if m, ok := e.msg.(*role.Status); ok {
		since := w.status.Since
		if m.Waiting == 0 {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		if m.Stat > w.status.Stat && (w.desk == nil || !w.lockedAt.IsZero()) && !w.cfg.Display.Quiet {
			w.ring = true
		}
		w.status = *m
		w.status.Since, w.status.Ring = since, false
		if !w.signedIn && !m.Online { // it has no password yet: that is not the relay's fault
			w.status.Words = "not signed in"
		}
		w.tellGate()
	}
	if m, ok := e.msg.(*role.Ordered); ok {
		return w.ordered(e.child, m)
	}
	if e.ended == nil {
		return nil
	}
	w.buried(e.child)
	w.link = nil
	w.status = role.Status{Words: "not connected"}
	if w.loggedOff || w.alone && w.desk == nil && e.ended.Code == role.ExitDone {
		w.noLink()
		w.tellGate()
		return nil
	}
	if w.crashes.tooMany(time.Now()) {
		return errors.New("the connection process keeps ending unexpectedly. Nothing was lost; run sotto again, and tell your administrator if it goes on")
	}
	if w.mode == role.Join || w.mode == role.Enrol {
		return errors.New("the connection process ended unexpectedly. Nothing was kept; run sotto join again")
	}
	knewPassword := w.signedIn
	if err := w.startLink(); err != nil {
		return err
	}
	// The new link knows no password. The desk keeps none for long either: the
	// gate's vault has it, so the way on is the PIN.
	switch {
	case w.desk != nil && (w.gate == nil || w.gateOK):
		w.note = linkCrashed
		w.because("restarted")
		w.lock() // it may not have noticed
	case w.gate != nil && knewPassword:
		w.note = linkCrashed
		return w.startGate()
	}
	return nil
}

// noLink notes that the link has ended because it was to.
func (w *watch) noLink() {
	w.loggedOff, w.alone, w.signedIn = false, false, false
	w.status = role.Status{Words: "logged off"}
}

func (w *watch) fromWard(e event) error {
	switch m := e.msg.(type) {
	case *role.Note:
		w.said[e.child] = m.Text
	case *role.Ready:
		w.ready = true
	}
	if e.ended == nil {
		return nil
	}
	said := w.buried(e.child)
	w.ward = nil
	if e.ended.Code == role.ExitFailed && said != "" {
		return errors.New(said)
	}
	return errWard
}
