//go:build unix

package gate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/client/org/invitation"
	"sotto/internal/harden"
	"sotto/internal/role"
	"sotto/keystore"
	"sotto/keystore/recovery"
	"sotto/keystore/tpm"
)

const (
	maxPIN      = 64  // bytes
	maxPassword = 256 // bytes

	// orphanTime is how long the end of the watch may take to be noticed.
	orphanTime = 500 * time.Millisecond

	// releaseTime is how long a gate that has unlocked waits for the desk to be started.
	releaseTime = 5 * time.Second
)

// errNeedTPM ends a gate where the settings ask for a TPM.
var errNeedTPM = errors.New("your organisation, or your settings, have sotto opened only where a TPM keeps the device secret, and there is none that can be used here. " +
	"Run sotto doctor, and tell your administrator")

// gate is one life of the role.
type gate struct {
	self  *role.Self
	setup *role.GateSetup
	place keystore.Place
	term  *role.Terminal
	line  *memguard.LockedBuffer // what is being typed; its last byte receives the next key
	holds bool                   // a vault is open, or a password kept: it does not wait for ever
	tried int                    // wrong PINs before this one, as the vault has counted them
	ca    []byte                 // certificates to trust while joining
	terms invitation.Terms       // of the invitation, while joining with one
	typed recovery.Reader        // the recovery key, as far as it was read or typed

	mu     sync.Mutex // the fields below: keys, the watch and the clock all change the screen
	view   view
	screen screen
	dark   bool      // nothing is drawn any more
	over   bool      // unlocked: the terminal is the desk's as soon as one runs
	ready  time.Time // input counts from here on

	released chan struct{} // closed when a desk runs
	given    chan *os.File // what the watch has handed over
}

// Main is the life of a gate; it returns the exit code.
func Main() int {
	self, setup, err := role.Enter[*role.GateSetup](role.Gate)
	if err != nil {
		return role.ExitFailed
	}
	if err := keystore.CheckMemlock(); err != nil {
		return self.Fail(err)
	}
	defer memguard.Purge()
	place := keystore.At(setup.Profile.Vault, setup.Profile.DeviceKey)
	place.DestroyAfter = setup.DestroyAfter
	place.NoSeal = setup.NoTPM
	place.TPM = tpm.Open() // now, while it can be; a sealed vault needs it whatever the settings
	defer place.TPM.Close()
	g := &gate{
		place: place, self: self, setup: setup, term: role.Inherited(setup.Terminal),
		line:     memguard.NewBuffer(maxPassword + 1),
		ready:    time.Now().Add(setup.Wait),
		released: make(chan struct{}), given: make(chan *os.File, 1),
		view: view{
			label: setup.Label, user: setup.User, hint: setup.Hint, note: setup.Note,
			locked: setup.LockedAt, ascii: asciiOnly(os.Getenv),
		},
	}
	g.dark = setup.Mode == role.Serve || setup.Mode == role.Wipe // there is no screen
	if g.ca, err = readCA(setup.CAFile); err != nil {
		return self.Fail(err)
	}
	if err := g.readKeyFiles(setup.Rescue.Files); err != nil {
		return self.Fail(err)
	}
	defer g.typed.Destroy()
	g.place.Announced = announced(setup.Profile)
	// From here on the gate reaches its vault and nothing else.
	if _, err := harden.Gate(filepath.Dir(setup.Profile.Vault), filepath.Dir(setup.Profile.DeviceKey)); err != nil {
		return self.Fail(err)
	}
	if invited := len(setup.Invited.Code) > 0; setup.Mode != role.Join && !(setup.Mode == role.Serve && invited) {
		// What is wrong with the vault the person is told when it is opened.
		s, err := place.Status()
		if err == nil && s.Destroyed {
			return g.lost(epitaph(s), place.Destroy()) // goes on where it was cut off
		}
		if setup.NeedTPM && err == nil && !s.TPM && place.TPM.Ready() != nil {
			return self.Fail(fmt.Errorf("%w (%w)", errNeedTPM, place.TPM.Ready()))
		}
		// The watch has seen wrong PINs since it began, the vault has all of them.
		if wait := role.PINDelay(s.Tried); wait > setup.Wait {
			g.ready = time.Now().Add(wait)
		}
		g.tried = s.Tried
		g.view.note, g.view.warning = count(s, setup.Note)
		if err == nil && !s.TPM && !place.NoSeal && place.TPM.Ready() == nil {
			g.view.warning = binds(g.view.warning)
		}
	}
	g.view.wait = max(0, time.Until(g.ready)) // never a prompt that takes nothing
	if setup.Mode == role.Wipe {              // it hears nothing that would end it
		code, err := g.wipe()
		if err != nil {
			code = self.Fail(err)
		}
		return code
	}
	// What was typed at the desk is neither a PIN nor a draft.
	g.term.Flush()
	go g.listen()
	self.Control.Send(&role.Ready{})
	go g.signals()
	go g.clock()

	var code int
	switch setup.Mode {
	case role.Join:
		code, err = g.join()
	case role.Enrol:
		code, err = g.enrol()
	case role.ChangePIN:
		code, err = g.changePIN()
	case role.Recover:
		code, err = g.rescue()
	case role.ChangePassword:
		code, err = g.changePassword()
	case role.Serve:
		code, err = g.serve()
	default:
		code, err = g.unlock()
	}
	if err != nil {
		code = self.Fail(err)
	}
	if code == role.ExitDone && g.isOver() {
		// Should the watch be killed before it has started a desk, nobody else
		// would be left to put the terminal right.
		select {
		case <-g.released:
		case <-time.After(releaseTime):
		}
	}
	if self.Alone() {
		g.abandon()
	}
	return code
}

// listen takes what the watch says. When the watch is gone, so is the gate.
func (g *gate) listen() {
	for {
		m, err := g.self.Control.Receive()
		if err != nil {
			g.orphan()
		}
		g.mu.Lock()
		switch m := m.(type) {
		case *role.Status:
			if m.Ring && !g.dark {
				g.term.Write("\a")
			}
			g.view.status = *m
		case *role.Redraw:
			g.screen.forget()
		case *role.Attach:
			g.take()
		case *role.End:
			if g.over {
				close(g.released)
				g.mu.Unlock()
				return
			}
			g.term.Write(role.Blackout)
			memguard.Purge()
			os.Exit(role.ExitQuit)
		}
		g.drawLocked()
		g.mu.Unlock()
	}
}

// take keeps the file that came with a message.
func (g *gate) take() {
	f := g.self.Control.TakeFile()
	if f == nil {
		return
	}
	select {
	case g.given <- f:
	default:
		f.Close()
	}
}

// orphan puts the terminal right in the watch's place and ends.
func (g *gate) orphan() {
	g.mu.Lock() // for good: nothing is drawn any more
	g.abandon()
}

func (g *gate) abandon() {
	g.term.Write(role.Blackout)
	g.term.Restore()
	g.term.Write("sotto ended unexpectedly. It is locked; nothing was lost.\r\n")
	memguard.Purge()
	os.Exit(role.ExitOrphan)
}

func (g *gate) signals() {
	for s := range g.self.Signals {
		if s == syscall.SIGWINCH { // which may have moved about what is there
			g.redraw()
			continue
		}
		g.mu.Lock()
		if !g.over {
			g.term.Write(role.Blackout)
		}
		g.dark = true
		g.mu.Unlock()
		// If it is because the watch was killed, listen is about to see it, and
		// puts the terminal right.
		time.Sleep(orphanTime)
		memguard.Purge()
		os.Exit(role.ExitOrphan)
	}
}

// clock keeps the minutes on the screen right, and the seconds while a person
// has to wait.
func (g *gate) clock() {
	for {
		wait := time.Until(g.ready)
		g.change(func(v *view) { v.wait = max(0, wait) })
		if wait > 0 {
			time.Sleep(min(wait, time.Second))
			continue
		}
		time.Sleep(time.Minute)
	}
}

// change changes the view and shows it.
func (g *gate) change(f func(*view)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.view)
	g.drawLocked()
}

// redraw shows everything again.
func (g *gate) redraw() {
	g.change(func(*view) { g.screen.forget() })
}

func (g *gate) isOver() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over
}

func (g *gate) drawLocked() {
	if g.dark {
		return
	}
	g.view.now = time.Now()
	width, height := g.term.Size()
	g.term.Write(g.screen.draw(g.view, width, height))
}

// ask shows a prompt and reads a line of at most limit bytes into a locked
// buffer of its own, which the caller destroys. It returns nil when the person
// wants to leave or the terminal is gone.
func (g *gate) ask(prompt string, limit int) *memguard.LockedBuffer {
	memory := g.line.Bytes()
	next := memory[len(memory)-1:]
	// Who has locked, or mistyped, and presses Ctrl+C to begin anew would type the
	// PIN into the shell next, readable, and into its history.
	stays := g.setup.Mode == role.Unlock && (g.setup.Failures > 0 || !g.setup.LockedAt.IsZero())
	in := &input{buf: memory[:limit], stays: stays}
	defer g.line.Wipe()
	for {
		g.change(func(v *view) { v.prompt, v.dots = prompt, in.characters() })
		switch g.key(in, next) {
		case keyQuit, keyIdle:
			return nil
		case keyStay:
			g.say("Ctrl+Q ends sotto.")
		case keyEnter:
			if in.n == 0 {
				continue
			}
			line := memguard.NewBuffer(in.n)
			line.Copy(in.typed())
			return line
		}
	}
}

// key reads until something has changed that shows.
func (g *gate) key(in *input, next []byte) key {
	for {
		if pause := in.pause(); pause > 0 {
			if !readable(pause) {
				in.timeout()
				continue
			}
		} else if idle := g.setup.LockAfter; idle > 0 && !readable(idle) {
			if g.holds {
				return keyIdle
			}
			if in.n > 0 {
				in.erase()
				return keyEdit
			}
			continue
		}
		n, err := unix.Read(0, next)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil || n == 0:
			return keyQuit // hung up
		}
		k := in.feed(next[0])
		next[0] = 0
		if time.Now().Before(g.ready) && k != keyQuit && k != keyRedraw && k != keyStop {
			in.erase()
			continue
		}
		switch k {
		case keyNone:
		case keyRedraw:
			g.redraw()
		case keyStop:
			g.self.Control.Send(&role.Stop{})
		default:
			return k
		}
	}
}

// readable waits for input at most the given time.
func readable(wait time.Duration) bool { return readableAt(0, wait) }

func readableAt(fd int, wait time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for late := time.Now().Add(wait); ; wait = max(time.Until(late), 0) {
		n, err := unix.Poll(fds, int(wait.Milliseconds()))
		// A signal, such as that of a new size, is nothing to read: who took it for
		// that would wait in the read, and the time that has to be over never was.
		if err != unix.EINTR {
			return err != nil || n > 0
		}
	}
}

// epitaph says why a vault was destroyed.
func epitaph(s keystore.Status) error {
	if s.Ordered {
		return keystore.ErrWiped
	}
	return keystore.ErrDestroyed
}

// lost ends the gate of a vault that was destroyed, wholly or with an error.
func (g *gate) lost(why, err error) int {
	words := sentence(why)
	if err != nil {
		words += " It could not be removed entirely: " + sentence(err)
	}
	g.self.Control.Send(&role.Note{Text: words})
	return role.ExitLost
}

// busy shows that something takes a moment.
func (g *gate) busy(words string) {
	g.change(func(v *view) { v.busy, v.note, v.warning = words, "", "" })
}

// say shows a note above the prompt and lets the person go on.
func (g *gate) say(note string) {
	g.change(func(v *view) { v.busy, v.note = "", note })
}
