//go:build unix

package unattended

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
	"sotto/internal/role"
)

// event is something that a role said, or its end.
type event struct {
	child *role.Child
	msg   role.Message
	ended *role.Ending
}

// keeper is one run. Everything happens on one goroutine, the caller's.
type keeper struct {
	cfg    Config
	events chan event

	link, gate, desk *role.Child

	keyEnd   *os.File     // the read end of the gate's pipe for the key
	linkEnd  *role.Socket // the other end of the gate's link socket
	unlocked bool
	past     []role.Happened // for the desk's audit log
	said     map[*role.Child]string
	outcome  role.Outcome
	requests int // to lock
	ending   bool
	err      error

	warrant *role.Warrant // as the desk told it; nil before, or without an organisation
	wiping  bool          // a gate destroys the vault
}

// Run opens the profile, has the task done and returns what became of it. A signal
// to end is no error: whatever was kept is kept. Call it on the main goroutine,
// locked to its thread: see role.Spawn.
func Run(cfg Config) (role.Outcome, error) {
	debug.SetTraceback("none")
	defer cfg.PIN.Close()
	if cfg.OneTimePIN != nil {
		defer cfg.OneTimePIN.Close()
	}
	for _, f := range []*os.File{cfg.File, cfg.In, cfg.Out, cfg.Password} {
		if f != nil {
			defer f.Close()
		}
	}
	if cfg.Through != nil {
		defer cfg.Through.Close()
	}
	if err := harden.Early(); err != nil {
		return role.Outcome{}, err
	}
	unix.Umask(0o077)
	k := &keeper{cfg: cfg, events: make(chan event, 64), said: make(map[*role.Child]string)}
	signals := make(chan os.Signal, 16)
	// Notify and not Ignore: a role would inherit what is ignored. The last two are
	// requests to lock, as the watch takes them.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if cfg.Door != "" {
		door, err := role.OpenDoor(cfg.Door)
		if err != nil {
			return role.Outcome{}, err
		}
		k.cfg.File = door // the desk has it, and nobody else
		defer os.Remove(cfg.Door)
		defer door.Close()
	}
	if _, err := harden.Watch(); err != nil {
		return role.Outcome{}, err
	}
	defer k.leave()
	if err := k.start(); err != nil {
		return role.Outcome{}, err
	}
	var late <-chan time.Time
	for !k.done() {
		k.tell()
		select {
		case e := <-k.events:
			k.handle(e)
		case s := <-signals:
			if s == syscall.SIGUSR1 || s == syscall.SIGUSR2 {
				k.requests++
			}
			if !k.ending {
				k.ending, late = true, time.After(endAnswer)
				k.stop()
			}
		case <-late:
			k.kill()
		}
	}
	return k.outcome, k.err
}

// done says whether there is nothing left to wait for.
func (k *keeper) done() bool { return k.desk == nil && k.gate == nil }

func (k *keeper) start() error {
	var err error
	if k.cfg.Through == nil && !k.cfg.Task.Job.Offline() {
		if k.link, err = role.Spawn(role.Link, &role.LinkSetup{}, nil, nil); err != nil {
			return err
		}
		k.listen(k.link)
	}
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
	k.keyEnd, k.linkEnd = keyR, ours
	k.gate, err = role.SpawnOn(role.Gate, &role.GateSetup{
		Mode: role.Serve, SignedIn: k.cfg.Through != nil, // then a change of the password is another's to finish
		Profile: k.cfg.Profile, DestroyAfter: k.cfg.DestroyAfter, NoTPM: k.cfg.NoTPM, NeedTPM: k.cfg.NeedTPM, Rescue: k.cfg.Rescue,
		Invited: k.cfg.Invited, Address: k.cfg.Address, Relay: k.cfg.Relay, CAFile: k.cfg.CAFile, Relays: k.cfg.Relays, Typed: k.cfg.Typed,
	}, k.cfg.PIN, nil, keyW, theirs)
	if err != nil {
		return err
	}
	k.cfg.PIN.Close() // the gate has it
	clear(k.cfg.Invited.Code)
	if k.cfg.OneTimePIN != nil {
		k.gate.Control.SendFile(&role.Attach{}, k.cfg.OneTimePIN)
	}
	if k.cfg.Password != nil {
		k.gate.Control.SendFile(&role.Attach{}, k.cfg.Password)
	}
	k.listen(k.gate)
	return nil
}

// listen reports what a child says, and then its end, as events.
func (k *keeper) listen(c *role.Child) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for {
			m, err := c.Control.Receive()
			if err != nil {
				c.Kill() // it has ended, or does not speak the protocol
				return
			}
			k.events <- event{child: c, msg: m}
		}
	}()
	go func() {
		ending := c.Wait()
		<-drained
		k.events <- event{child: c, ended: &ending}
	}()
}

func (k *keeper) handle(e event) {
	if m, ok := e.msg.(*role.Note); ok {
		k.said[e.child] = m.Text
		return
	}
	if m, ok := e.msg.(*role.Ordered); ok {
		k.ordered(e.child, m)
		return
	}
	switch {
	case e.child == k.gate && k.wiping:
		if e.ended != nil {
			k.wiped(e)
		}
	case e.child == k.gate:
		k.fromGate(e)
	case e.child == k.desk:
		k.fromDesk(e)
	case e.child == k.link && e.ended != nil:
		e.child.Control.Close()
		k.link = nil
		if !k.ending && !k.wiping {
			k.fail(errLink, e)
			k.stop() // a desk sees it, too, but not always at once
		}
	}
}

func (k *keeper) fromGate(e event) {
	switch m := e.msg.(type) {
	case *role.NeedLink:
		if k.linkEnd != nil && k.link != nil {
			k.link.Control.SendFile(&role.Attach{}, k.linkEnd.File())
			k.linkEnd.Close()
			k.linkEnd = nil
		}
	case *role.Unlocked:
		if k.unlocked {
			return
		}
		k.unlocked = true
		if m.Tried > 0 {
			k.past = role.AddPast(k.past, role.Happened{What: "unlock-failed", Why: "wrong-pin", Count: m.Tried, At: time.Now()})
		}
		if err := k.startDesk(); err != nil {
			k.fail(err, e)
		}
	}
	if e.ended == nil {
		return
	}
	e.child.Control.Close()
	k.gate = nil
	if k.unlocked && e.ended.Code == role.ExitDone || k.ending {
		return
	}
	k.fail(errGate, e)
	k.stop()
}

func (k *keeper) startDesk() error {
	theirs, ours, err := k.pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	defer ours.Close()
	if k.link != nil {
		k.link.Control.SendFile(&role.Attach{}, ours.File())
	}
	desk, err := role.SpawnOn(role.Desk, &role.DeskSetup{
		Profile: k.cfg.Profile, Task: k.cfg.Task, ComparedOnly: k.cfg.ComparedOnly, Wishes: k.cfg.Wishes, Past: k.past,
	}, cmp.Or(k.cfg.In, os.Stdin), cmp.Or(k.cfg.Out, os.Stdout), k.keyEnd, theirs)
	if err != nil {
		return err
	}
	for _, f := range []*os.File{k.cfg.In, k.cfg.Out} { // else nobody would see their end
		if f != nil {
			f.Close()
		}
	}
	k.desk = desk
	if k.cfg.File != nil {
		desk.Control.SendFile(&role.Attach{}, k.cfg.File)
	}
	for _, f := range k.cfg.Files {
		desk.Control.SendFile(&role.Attach{}, f)
	}
	k.listen(desk)
	k.closeEnds()
	k.gate.Control.Send(&role.End{}) // it has waited for this
	return nil
}

// pair is what joins desk and link, or in the link's place a process that listens.
func (k *keeper) pair() (desk, link *role.Socket, err error) {
	a, b, err := role.Pair()
	if err != nil || k.cfg.Through == nil {
		return a, b, err
	}
	a.Close()
	return k.cfg.Through, b, nil
}

func (k *keeper) closeEnds() {
	if k.keyEnd != nil {
		k.keyEnd.Close()
		k.keyEnd = nil
	}
	if k.linkEnd != nil {
		k.linkEnd.Close()
		k.linkEnd = nil
	}
}

func (k *keeper) fromDesk(e event) {
	switch m := e.msg.(type) {
	case *role.Outcome:
		k.outcome = *m
		if k.cfg.Told != nil {
			k.cfg.Told(*m)
		}
	case *role.Archived:
		if k.cfg.Done != nil {
			k.cfg.Done(*m)
		}
	case *role.Warrant:
		k.warrant = m
	}
	if e.ended == nil {
		return
	}
	e.child.Control.Close()
	k.desk = nil
	if e.ended.Code != role.ExitQuit && !(k.ending && k.err == nil && e.ended.Code == role.ExitOrphan) {
		k.fail(errDesk, e)
	}
}

// fail notes why all ends: by what the role said, or else by otherwise. The first
// reason stands.
func (k *keeper) fail(otherwise error, e event) {
	if k.err != nil {
		return
	}
	k.err = otherwise
	if said := k.said[e.child]; said != "" && (e.ended == nil || e.ended.Code >= 0) {
		k.err = errors.New(said)
	}
}

// stop tells gate and desk to end.
func (k *keeper) stop() {
	for _, c := range []*role.Child{k.gate, k.desk} {
		if c != nil {
			c.Control.Send(&role.End{})
		}
	}
}

func (k *keeper) kill() {
	for _, c := range []*role.Child{k.gate, k.desk} {
		if c != nil {
			c.Kill()
		}
	}
}

// leave ends what still runs.
func (k *keeper) leave() {
	k.ending = true
	k.kill()
	k.closeEnds()
	if k.link != nil {
		k.link.Control.Send(&role.End{})
	}
	late := time.After(endAnswer)
	for k.link != nil || k.gate != nil || k.desk != nil {
		select {
		case e := <-k.events:
			if e.ended == nil {
				continue
			}
			e.child.Control.Close()
			switch e.child {
			case k.link:
				k.link = nil
			case k.gate:
				k.gate = nil
			case k.desk:
				k.desk = nil
			}
		case <-late:
			for _, c := range []*role.Child{k.link, k.gate, k.desk} {
				if c != nil {
					c.Kill()
				}
			}
		}
	}
}

// tell says how things are to whoever asks for a lock: it is open until it ends.
func (k *keeper) tell() {
	if k.cfg.Tell != nil {
		k.cfg.Tell(true, k.link != nil, k.requests)
	}
}
