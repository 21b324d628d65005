//go:build unix

package gate

import (
	"errors"
	"fmt"

	"github.com/awnumar/memguard"

	"sotto/internal/role"
	"sotto/keystore"
)

// What is asked for.
const (
	askPIN    = "PIN"
	askNewPIN = "New PIN"
	askAgain  = "Again"
)

// unlock is a gate's usual life: the PIN opens the vault, and what the desk
// needs goes into the pipe.
func (g *gate) unlock() (int, error) {
	opened, code, err := g.open(askPIN)
	if opened == nil {
		return code, err
	}
	defer opened.Close()
	if err := g.settle(opened); err != nil {
		return 0, err
	}
	return g.handOver(opened)
}

// changePIN asks for the PIN and twice for the next one.
func (g *gate) changePIN() (int, error) {
	opened, code, err := g.open("PIN as it is now")
	if opened == nil {
		return code, err
	}
	defer opened.Close()
	g.holds = true
	pin := g.choosePIN("")
	if pin == nil {
		return role.ExitQuit, nil
	}
	defer pin.Destroy()
	g.busy("changing the PIN")
	if err := opened.ChangePIN(pin); err != nil {
		return 0, err
	}
	return role.ExitDone, nil
}

// open asks for the PIN and tries it once. Without an error and without a vault
// the code says how this gate ends.
func (g *gate) open(prompt string) (*keystore.Opened, int, error) {
	pin := g.ask(prompt, maxPIN)
	for pin != nil && pin.Size() < keystore.MinPIN { // nobody's PIN, so not a guess that counts
		pin.Destroy()
		g.say(fmt.Sprintf("A PIN has %d characters or more. This one was not tried.", keystore.MinPIN))
		pin = g.ask(prompt, maxPIN)
	}
	if pin == nil {
		return nil, role.ExitQuit, nil
	}
	defer pin.Destroy()
	g.busy("checking")
	return g.try(pin)
}

// try tries a PIN once; it returns what open does.
func (g *gate) try(pin *memguard.LockedBuffer) (*keystore.Opened, int, error) {
	opened, err := g.place.Open(pin)
	var cut *keystore.RemainsError
	switch {
	case errors.As(err, &cut):
		return nil, g.lost(cut.Err), nil
	case errors.Is(err, keystore.ErrDestroyed):
		return nil, g.lost(nil), nil
	case errors.Is(err, keystore.ErrWrongPIN):
		return nil, role.ExitWrongPIN, nil
	case err != nil:
		return nil, 0, err
	}
	return opened, 0, nil
}

// choosePIN asks for a new PIN until the same good one is typed twice. It
// returns nil when the person leaves.
func (g *gate) choosePIN(note string) *memguard.LockedBuffer {
	for {
		g.say(note)
		first := g.ask(askNewPIN, maxPIN)
		if first == nil {
			return nil
		}
		if err := keystore.CheckPIN(first.Bytes()); err != nil {
			first.Destroy()
			note = sentence(err)
			continue
		}
		g.say("")
		second := g.ask(askAgain, maxPIN)
		if second == nil {
			first.Destroy()
			return nil
		}
		same := second.EqualTo(first.Bytes())
		second.Destroy()
		if same {
			return first
		}
		first.Destroy()
		note = "The two were not the same. Choose a PIN again."
	}
}

// handOver writes what the desk needs to the pipe. The watch starts the desk
// meanwhile: a certificate authority's file can be more than a pipe holds.
func (g *gate) handOver(opened *keystore.Opened) (int, error) {
	g.mu.Lock()
	g.dark, g.over = true, true
	g.mu.Unlock()
	if err := g.self.Control.Send(&role.Unlocked{}); err != nil {
		return 0, fmt.Errorf("tell that the PIN was right: %w", err)
	}
	if err := opened.Handover(g.self.Handover); err != nil {
		return role.ExitFailed, nil
	}
	if err := g.self.Handover.Close(); err != nil {
		return role.ExitFailed, nil
	}
	return role.ExitDone, nil
}

// sentence writes an error as a sentence.
func sentence(err error) string {
	s := err.Error()
	if s == "" {
		return s
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if last := s[len(s)-1]; last != '.' && last != '?' {
		s += "."
	}
	return s
}
