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
	opened, pin, code, err := g.open(askPIN)
	if opened == nil {
		return code, err
	}
	defer pin.Destroy()
	defer opened.Close()
	if code, err := g.renew(opened, pin); code != role.ExitDone || err != nil {
		return code, err
	}
	if err := g.tell(opened); err != nil {
		return 0, err
	}
	if err := g.settle(opened); err != nil {
		return 0, err
	}
	return g.handOver(opened)
}

// changePIN asks for the PIN and twice for the next one.
func (g *gate) changePIN() (int, error) {
	opened, pin, code, err := g.open("PIN as it is now")
	if opened == nil {
		return code, err
	}
	defer pin.Destroy()
	defer opened.Close()
	g.holds = true
	next := g.choosePIN("", pin)
	if next == nil {
		return role.ExitQuit, nil
	}
	defer next.Destroy()
	g.busy("changing the PIN")
	if err := opened.ChangePIN(next); err != nil {
		return 0, err
	}
	return role.ExitDone, nil
}

// renew has another PIN chosen where the organisation asks for more than this one
// has. The code is role.ExitDone if the way is free.
func (g *gate) renew(opened *keystore.Opened, pin *memguard.LockedBuffer) (int, error) {
	if g.rules().check(pin.Bytes()) == nil {
		return role.ExitDone, nil
	}
	g.holds = true
	next := g.choosePIN("Your organisation asks for another PIN: "+g.rules().words()+". Choose one.", pin)
	if next == nil {
		return role.ExitQuit, nil
	}
	defer next.Destroy()
	g.busy("changing the PIN")
	if err := opened.ChangePIN(next); err != nil {
		return 0, err
	}
	return role.ExitDone, nil
}

// open asks for the PIN and tries it once. Without an error and without a vault
// the code says how this gate ends. The PIN is the caller's to destroy.
func (g *gate) open(prompt string) (*keystore.Opened, *memguard.LockedBuffer, int, error) {
	pin := g.ask(prompt, maxPIN)
	for pin != nil && pin.Size() < keystore.MinPIN { // nobody's PIN, so not a guess that counts
		pin.Destroy()
		g.say(fmt.Sprintf("A PIN has %d characters or more. This one was not tried.", keystore.MinPIN))
		pin = g.ask(prompt, maxPIN)
	}
	if pin == nil {
		return nil, nil, role.ExitQuit, nil
	}
	g.busy("checking")
	opened, code, err := g.try(pin)
	if opened == nil {
		pin.Destroy()
		return nil, nil, code, err
	}
	return opened, pin, code, err
}

// try tries a PIN once; it returns what open does.
func (g *gate) try(pin *memguard.LockedBuffer) (*keystore.Opened, int, error) {
	opened, err := g.place.Open(pin)
	var cut *keystore.RemainsError
	switch {
	case errors.As(err, &cut):
		return nil, g.lost(cut.Because, cut.Err), nil
	case errors.Is(err, keystore.ErrDestroyed):
		return nil, g.lost(keystore.ErrDestroyed, nil), nil
	case errors.Is(err, keystore.ErrWiped):
		return nil, g.lost(keystore.ErrWiped, nil), nil
	case errors.Is(err, keystore.ErrWrongPIN):
		return nil, role.ExitWrongPIN, nil
	case err != nil:
		return nil, 0, err
	}
	return opened, 0, nil
}

// choosePIN asks for a new PIN until the same good one is typed twice. It
// returns nil when the person leaves. old, unless nil, is the one that it replaces.
func (g *gate) choosePIN(note string, old *memguard.LockedBuffer) *memguard.LockedBuffer {
	for {
		g.say(note)
		first := g.ask(askNewPIN, maxPIN)
		if first == nil {
			return nil
		}
		if err := g.rules().refuses(first, old); err != nil {
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

// rules are what the organisation asks of a PIN: by its policy, as far as that is here,
// and by the invitation that somebody joins with, whichever is stricter.
func (g *gate) rules() rules {
	return rules{max(g.setup.PINLength, g.terms.PINLength), g.setup.PINMixed || g.terms.PINMixed}
}

// handOver writes what the desk needs to the pipe. The watch starts the desk
// meanwhile: a certificate authority's file can be more than a pipe holds.
func (g *gate) handOver(opened *keystore.Opened) (int, error) {
	var key *memguard.LockedBuffer // of a backup
	if g.setup.Rescue.Ask {
		k, err := g.recoveryKey()
		if k == nil {
			return role.ExitQuit, err
		}
		defer k.Destroy()
		key = k.Secret()
	}
	g.mu.Lock()
	g.dark, g.over = true, true
	g.mu.Unlock()
	if err := g.self.Control.Send(&role.Unlocked{Tried: g.tried}); err != nil {
		return 0, fmt.Errorf("tell that the PIN was right: %w", err)
	}
	if err := opened.HandoverWith(g.self.Handover, key); err != nil {
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
