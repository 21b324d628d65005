//go:build unix

package watch

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"sotto/internal/role"
)

// listen reports what a child says, and then its end, as events.
func (w *watch) listen(c *role.Child) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for {
			m, err := c.Control.Receive()
			if err != nil {
				// Either it has ended, or it does not speak the protocol; then it has to.
				c.Kill()
				return
			}
			w.events <- event{child: c, msg: m}
		}
	}()
	go func() {
		ending := c.Wait()
		<-drained // all that it said comes before its end
		w.events <- event{child: c, ended: &ending}
	}()
}

func (w *watch) startWard() (err error) {
	fmt.Fprintln(os.Stdout, "sotto: setting up a hospital in a box ...")
	w.ward, err = role.Spawn(role.Ward, &role.WardSetup{Profile: w.cfg.Profile, Dir: w.cfg.Demo}, nil, nil)
	if err != nil {
		return err
	}
	w.listen(w.ward)
	late := time.After(wardSetup)
	for !w.ready && !w.ending {
		select {
		case e := <-w.events:
			w.handle(e)
		case s := <-w.signals:
			w.signal(s.(syscall.Signal))
		case <-late:
			return fmt.Errorf("the demo could not be set up within %v", wardSetup)
		}
	}
	w.ready = false
	return nil
}

func (w *watch) startLink() (err error) {
	w.link, err = role.Spawn(role.Link, &role.LinkSetup{}, nil, nil)
	if err != nil {
		return err
	}
	w.signedIn = false
	w.listen(w.link)
	return nil
}

// startGate shows the lock screen.
func (w *watch) startGate() error {
	w.dropGate()
	keyR, keyW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make the pipe for the key: %w", err)
	}
	defer keyW.Close()
	theirs, ours, err := role.Pair()
	if err != nil {
		keyR.Close()
		return err
	}
	defer theirs.Close()
	setup := &role.GateSetup{
		Mode: w.mode, Profile: w.cfg.Profile, Label: w.cfg.Label, User: w.cfg.User, Hint: w.cfg.Hint,
		Note: w.note, Wait: role.PINDelay(w.failures), Failures: w.failures, SignedIn: w.signedIn, LockedAt: w.lockedAt, Terminal: w.term.Saved(),
		LockAfter: w.cfg.Display.LockAfter, DestroyAfter: w.cfg.DestroyAfter, NoTPM: w.cfg.NoTPM || w.cfg.Demo != "",
		NeedTPM: w.cfg.NeedTPM, PINLength: w.cfg.PINLength, PINMixed: w.cfg.PINMixed,
		Address: w.cfg.Address, Relay: w.cfg.Relay, CAFile: w.cfg.CAFile, Relays: w.cfg.Relays, Rotate: w.cfg.Rotate, Invited: w.invited(), Rescue: w.cfg.Rescue,
	}
	if w.mode == role.Wipe {
		setup.Warrant, setup.Proof = *w.warrant, w.proof
	}
	gate, err := role.Spawn(role.Gate, setup, keyW, theirs)
	if err != nil {
		keyR.Close()
		ours.Close()
		return err
	}
	w.gate, w.keyEnd, w.linkEnd, w.gateOK = gate, keyR, ours, false
	w.shown, w.note = w.note, ""
	w.listen(gate)
	w.tellGate()
	return nil
}

// invited is what a gate is told of an invitation: nothing once it has joined with it.
func (w *watch) invited() role.Invited {
	if w.mode != role.Join && w.mode != role.Enrol {
		return role.Invited{}
	}
	return w.cfg.Invited
}

// dropGate ends the gate that runs, if one does, and what was kept for it.
func (w *watch) dropGate() {
	if w.gate != nil {
		w.gate.Control.Send(&role.End{})
		w.finish(lockAnswer, w.gate)
	}
	w.dropEnds()
}

func (w *watch) dropEnds() {
	if w.keyEnd != nil {
		w.keyEnd.Close()
		w.keyEnd = nil
	}
	if w.linkEnd != nil {
		w.linkEnd.Close()
		w.linkEnd = nil
	}
}

// startDesk starts the desk, which reads the key from the pipe that the gate
// is writing it to, and joins it to the link.
func (w *watch) startDesk() error {
	if w.desk != nil { // the last one is still at its end
		w.desk.Kill()
		w.finish(lockAnswer, w.desk)
		w.repair()
	}
	theirs, ours, err := role.Pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	defer func() {
		if ours != nil {
			ours.Close()
		}
	}()
	w.loggedOut()
	if w.link == nil && !w.cfg.offline() { // it was logged off
		if err := w.startLink(); err != nil {
			return err
		}
	}
	if w.link != nil {
		// A link that has just died shows as the end of the desk's socket.
		w.link.Control.SendFile(&role.Attach{}, ours.File())
	}
	desk, err := role.Spawn(role.Desk, &role.DeskSetup{
		Profile: w.cfg.Profile, Label: w.cfg.Label, Display: w.cfg.Display,
		Terminal: w.term.Saved(), Open: w.cfg.Open, Check: w.cfg.Check != nil, Task: w.cfg.Task, Reading: w.cfg.reading(), Recovered: w.recovered,
		ComparedOnly: w.cfg.ComparedOnly, Wishes: w.cfg.Wishes, Dealt: w.dealt, Past: w.past,
	}, w.keyEnd, theirs)
	if err != nil {
		return err
	}
	w.dealt = nil
	w.given, w.why = len(w.past), ""
	for _, f := range w.cfg.Files {
		desk.Control.SendFile(&role.Attach{}, f)
	}
	if w.cfg.reading() { // it hears nothing, and does not take that for the link's end
		w.silence, ours = ours, nil
	}
	w.desk, w.ready, w.ring, w.alone = desk, false, false, false
	w.active = w.sleep.boot()
	w.lockedAt = time.Time{}
	w.signedIn = true
	w.listen(desk)
	w.dropEnds()
	if w.gate != nil { // it has waited for this
		w.gate.Control.Send(&role.End{})
	}
	return nil
}

// bell says whether the gate is to ring now: once for what came, and not again
// for a while, whatever comes. Who looks then finds it counted.
func (w *watch) bell() bool {
	if !w.ring {
		return false
	}
	w.ring = false
	if now := w.sleep.boot(); w.rang == 0 || now-w.rang >= bellPause {
		w.rang = now
		return true
	}
	return false
}

func (w *watch) tellGate() {
	if w.gate != nil {
		status := w.status
		status.Ring = w.bell()
		w.gate.Control.Send(&status)
	}
}
