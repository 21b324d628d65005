//go:build unix

package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/audit"
	"sotto/client/job"
	"sotto/client/locker"
	"sotto/client/org/policy"
	"sotto/client/store"
	"sotto/internal/harden"
	"sotto/internal/role"
	"sotto/keystore"
	"sotto/tui"
)

// placeName is the value in the store that says where the person was.
const placeName = "place"

const (
	orphanTime = 2 * time.Second        // that a desk without a watch may take to keep the draft
	gateTime   = 2 * time.Second        // that a gate may take to stand
	noticeTime = 500 * time.Millisecond // that the end of the watch may take to be noticed
)

// desk is one life of the role.
type desk struct {
	self    *role.Self
	setup   *role.DeskSetup
	term    *role.Terminal
	screen  *tui.Screen
	stop    context.CancelFunc // ends the screens with a lock
	told    atomic.Bool        // a signal told it to end
	orphan  atomic.Bool        // the watch is gone
	alone   chan struct{}      // closed when orphan is set
	locked  bool               // and said so: a gate is being started
	gate    chan struct{}      // closed when it stands, or none is to be
	given   chan *os.File      // what is to be sent, for a task
	why     ending
	logsOff atomic.Bool // as was ordered
	db      *store.Store
	layers  harden.Layers          // of the sandbox
	words   atomic.Pointer[string] // why it locks, for the person

	collecting *job.Collector // nil: that is not what it is for

	handin *memguard.Enclave // what other processes hand in is encrypted with
}

// Main is the life of a desk; it returns the exit code.
func Main() int {
	self, setup, err := role.Enter[*role.DeskSetup](role.Desk)
	if err != nil {
		return role.ExitFailed
	}
	defer memguard.Purge()
	d := &desk{self: self, setup: setup, term: role.Inherited(setup.Terminal), screen: tui.NewScreen(os.Stdout), alone: make(chan struct{}), gate: make(chan struct{}), given: make(chan *os.File, max(1, setup.Task.Archive.Count))}
	if setup.Task.Job != role.Screen { // standard output is for what the job writes
		d.screen = tui.NewScreen(io.Discard)
	}
	code, err := d.run()
	if d.locked { // should the watch be killed now, nobody else would be left to put the terminal right
		select {
		case <-d.gate:
		case <-d.alone:
		case <-time.After(gateTime):
		}
	}
	if d.told.Load() { // perhaps because the watch was killed: then its end shows in a moment
		select {
		case <-d.alone:
		case <-time.After(noticeTime):
		}
	}
	if err != nil {
		code = self.Fail(err)
	}
	if d.orphan.Load() || self.Alone() {
		d.abandon()
	}
	return code
}

// run does things in an order that matters: the key, the database, the sandbox,
// the screen. Each step may need what the next takes away.
func (d *desk) run() (int, error) {
	if err := keystore.CheckMemlock(); err != nil {
		return 0, err
	}
	_, _ = time.Now().Local().Zone()                 // reads the time zone's file
	os.Setenv("SQLITE_TMPDIR", d.setup.Profile.Data) // else a large sort goes to /tmp
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	d.stop = stop

	// the key
	handover, err := keystore.ReadHandover(d.self.Handover)
	if err != nil {
		return role.ExitNoKey, nil // the gate that should have written it has said why
	}
	d.self.Handover.Close()

	key, err := job.HandinKey(handover.DatabaseKey.Bytes())
	if err != nil {
		handover.Destroy()
		return 0, err
	}
	d.handin = key
	announcing, err := keystore.AnnounceKey(handover.DatabaseKey.Bytes())
	if err != nil {
		handover.Destroy()
		return 0, err
	}
	if d.setup.Task.Through {
		handover.Destroy()
		return d.through(ctx)
	}

	// the database
	db, err := store.Open(ctx, d.setup.Profile.Database, handover.DatabaseKey)
	if err != nil {
		handover.Account.Destroy()
		return 0, fmt.Errorf("open the messages: %w", err)
	}
	defer db.Close()
	d.db = db
	place, err := readPlace(ctx, db)
	if err != nil {
		handover.Account.Destroy()
		return 0, fmt.Errorf("open the messages: %w", err)
	}
	files, err := locker.Open(filepath.Join(d.setup.Profile.Data, locker.Dir))
	if err != nil {
		handover.Account.Destroy()
		return 0, err
	}

	// the sandbox
	if err := d.confine(); err != nil {
		handover.Account.Destroy()
		return 0, err
	}

	if d.setup.Check {
		handover.Account.Destroy()
		return d.check(ctx, db)
	}

	// the messenger
	a := &handover.Account
	wishes, err := d.wishes()
	if err != nil {
		a.Destroy()
		return 0, err
	}
	collector, err := d.collector(ctx, db, a.Address)
	if err != nil {
		a.Destroy()
		return 0, err
	}
	var messenger *client.Client
	cfg := client.Config{
		Wishes:   wishes,
		OnPolicy: func(*policy.Policy, []policy.Decided) { d.policyChanged(messenger) },
		Account: client.Account{
			Address: a.Address, Relay: a.Relay, CA: a.CA, Legacy: a.Legacy, Password: a.Password, Next: a.Next,
		},
		Store: db, Files: files, Link: d.self.Link, ComparedOnly: d.setup.ComparedOnly,
		Unattended: d.setup.Task.Job != role.Screen,
		Invitation: handover.Invitation, Invited: a.Invited,
		OnOrder: d.ordered, OnWarrant: d.warrant, Dealt: d.dealt(),
	}
	if d.collecting = collector; collector != nil {
		cfg.Collect = collector.Take
	}
	messenger, err = client.New(cfg)
	if handover.Invitation != nil {
		handover.Invitation.Destroy()
	}
	if err != nil {
		a.Destroy()
		return 0, err
	}
	opening := d.opening(handover.PINMark[:])
	opening.Accesses = accesses(a.Accesses)
	// Who has the PIN is let in, and it goes on trying; who may have another's vault is not.
	if err := messenger.Unlocked(ctx, opening); err != nil && (d.setup.Recovered || errors.Is(err, client.ErrUnloggedAccess)) {
		return 0, err
	}
	if job := d.setup.Task.Job; job.Offline() {
		a.Destroy()
		code := 0
		if job == role.Verifying || job == role.Showing {
			code, err = d.audits(ctx, messenger)
		} else {
			code, err = d.archive(ctx, messenger, handover.Recovery)
		}
		d.written(messenger, tui.Ended)
		return code, err
	}
	if d.setup.Reading {
		if err := db.ReadOnly(); err != nil {
			return 0, err
		}
	} else {
		if err := d.announce(messenger, announcing); err != nil {
			return 0, err
		}
		// The policy may become another one meanwhile. What this can't write now the
		// next desk writes.
		defer func() { _ = d.announce(messenger, announcing) }()
	}
	if collector != nil {
		collector.Serve(messenger)
	}
	if !d.setup.Reading {
		if locks, err := d.before(ctx, db, messenger, handover.PINMark[:]); err != nil {
			return 0, err
		} else if locks != nil {
			return d.lockBefore(messenger, *locks)
		}
	}
	ended := make(chan error, 1)
	running, halt := context.WithCancel(context.Background())
	defer halt()
	go func() {
		err := messenger.Run(running)
		ended <- err
		stop() // without it there is nothing to show
	}()

	// the screen
	go d.listen()
	go d.signals()
	if d.setup.Task.Job != role.Screen {
		d.hear(ctx, messenger)
		err := serviceHears(ctx, messenger)
		if err == nil {
			go d.lease(ctx, messenger)
			err = d.work(ctx, messenger)
		}
		select {
		case ran := <-ended: // and the work with it
			if errors.Is(ran, client.ErrLinkEnded) {
				ran = errLinkEnded
			}
			d.written(messenger, tui.Ended)
			return role.ExitQuit, cmp.Or(ran, err)
		default:
		}
		halt()
		if ran := <-ended; err == nil && !errors.Is(ran, client.ErrLinkEnded) { // it was closed here
			err = ran
		}
		d.written(messenger, tui.Ended)
		return role.ExitQuit, err
	}
	result := tui.Result{Reason: tui.Ended, Place: place}
	if !d.setup.Reading {
		d.hear(ctx, messenger)
		if d.waits(ctx, messenger) {
			result.Reason = tui.Quit
		} else {
			go d.lease(ctx, messenger)
		}
	}
	if ctx.Err() == nil && result.Reason != tui.Quit { // else it was locked before anything was shown
		if result, err = d.show(ctx, messenger, place); err != nil {
			return 0, err
		}
	}
	if err := writePlace(db, result.Place); err != nil {
		return 0, err
	}
	if result.Locked() {
		d.locked = d.self.Control.Send(&role.Locked{ChangePIN: result.Intent == tui.ChangePIN, Why: d.lockWords()}) == nil
	}
	halt()
	err = <-ended
	d.written(messenger, result.Reason)
	if err != nil && !errors.Is(err, client.ErrLinkEnded) {
		return 0, err
	}
	if !result.Locked() {
		return role.ExitQuit, nil
	}
	return role.ExitDone, nil
}

// confine takes away what the desk does not need from here on: it keeps its
// folder, the terminal and the link. Where the system lacks a layer of this the
// others still hold.
func (d *desk) confine() error {
	var readable []string
	for _, f := range d.setup.Display.AttachFrom {
		if f.Path != "" && !d.setup.Check {
			readable = append(readable, f.Path)
		}
	}
	var err error
	if d.setup.Task.Job == role.Collecting {
		d.layers, err = harden.Collector(d.setup.Profile.Data)
		return err
	}
	d.layers, err = harden.Desk(d.setup.Profile.Data, readable...)
	return err
}

// show runs the screens until they lock or the person quits.
func (d *desk) show(ctx context.Context, messenger *client.Client, place string) (tui.Result, error) {
	look, from := d.shown(messenger)
	note, err := halfRestored(ctx, messenger)
	if err != nil {
		return tui.Result{}, err
	}
	screens, err := tui.New(tui.Config{
		Note:       note,
		AttachFrom: from, Settings: func() tui.Settings { return d.settings(messenger) },
		Messenger: messenger, Screen: d.screen,
		Theme: look.Theme, LockAfter: look.LockAfter, LockUnfocused: look.LockUnfocused,
		Curtain: look.Curtain, Reveal: look.Reveal, Mouse: look.Mouse, NoPaste: !look.Paste, Quiet: look.Quiet,
		Place: place, Open: d.setup.Open,
		OnActivity: func() { d.self.Control.Send(&role.Activity{}) },
		OnLock:     func(tui.Reason) { d.self.Control.Send(&role.Locking{}) },
		OnStop:     func() { d.self.Control.Send(&role.Stop{}) },
	})
	if err != nil {
		return tui.Result{}, err
	}
	go func() {
		<-d.screen.First()
		d.self.Control.Send(&role.Ready{})
	}()
	d.term.Flush() // a PIN that was typed twice must not end up in a draft
	return screens.Run(ctx)
}

// listen takes what the watch says: to lock, and that the terminal is taken care of.
func (d *desk) listen() {
	gate := sync.OnceFunc(func() { close(d.gate) })
	for {
		m, err := d.self.Control.Receive()
		if err != nil {
			d.leave()
			return
		}
		switch m := m.(type) {
		case *role.Attach:
			if f := d.self.Control.TakeFile(); f != nil {
				select {
				case d.given <- f:
				default:
					f.Close()
				}
			}
		case *role.Lock:
			if reason, ok := audit.ReasonNamed(m.Why); ok {
				d.why.because(reason)
			}
			d.dark()
			d.stop()
		case *role.End:
			gate()
			d.dark()
			d.stop()
		}
	}
}

// dark blanks the screen for good and says so at once, whatever else there is
// to do: the watch ends a desk that does not answer in time.
func (d *desk) dark() {
	d.screen.Blackout()
	d.self.Control.Send(&role.Locking{})
}

func (d *desk) signals() {
	for s := range d.self.Signals {
		if s == syscall.SIGWINCH {
			continue // the screens take it themselves
		}
		d.dark()
		d.told.Store(true)
		d.stop()
	}
}

// leave locks because the watch is gone. If the end takes too long, the
// terminal is put right without it.
func (d *desk) leave() {
	d.screen.Blackout()
	d.orphan.Store(true)
	close(d.alone)
	d.stop()
	time.AfterFunc(orphanTime, d.abandon)
}

// abandon puts the terminal right in the watch's place and ends.
func (d *desk) abandon() {
	if d.setup.Task.Job != role.Screen && len(d.setup.Terminal) == 0 {
		memguard.Purge()
		os.Exit(role.ExitOrphan)
	}
	d.term.Restore()
	d.term.Write("sotto ended unexpectedly. It is locked; nothing was lost.\r\n")
	memguard.Purge()
	os.Exit(role.ExitOrphan)
}

func readPlace(ctx context.Context, db *store.Store) (place string, err error) {
	err = db.View(ctx, func(tx *store.Tx) error {
		b, err := tx.Value(placeName)
		place = string(b)
		return err
	})
	return place, err
}

func writePlace(db *store.Store, place string) error {
	ctx, cancel := context.WithTimeout(context.Background(), orphanTime)
	defer cancel()
	return db.Update(ctx, func(tx *store.Tx) error { return tx.SetValue(placeName, []byte(place)) })
}
