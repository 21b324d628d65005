//go:build unix

package gate

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/org/invitation"
	"sotto/client/wire"
	"sotto/internal/role"
	"sotto/keystore"
)

// What is said where somebody joins with an invitation.
const (
	askOneTimePIN = "One-time PIN"
	tellPIN       = "Type the one-time PIN that you were told, which is not on the invitation."

	// The relay does not tell these apart: it knows a password, and this gives none.
	notThisPIN = "The relay does not let you in with this PIN: compare it with what you were told. " +
		"If it is right, the invitation was used already or replaced by a newer one: ask your administrator."
)

// oneTimeTries is how often a relay may refuse what comes of a one-time PIN before
// joining ends. It protects nothing, people mistype: the organisation counts itself.
const oneTimeTries = 3

// maxOneTime is how much may be typed for a one-time PIN of eight letters and digits:
// people write spaces and hyphens.
const maxOneTime = 24

// guest is somebody who joins with an invitation.
type guest struct {
	code     invitation.Code
	keys     *invitation.Keys // nil before the one-time PIN
	relay    *relay
	password bool // the account has one of its own
}

// welcome reads the invitation, and has the screen say whose it is.
func (g *gate) welcome() (*guest, error) {
	code, err := invitation.ParseCode(g.setup.Invited.Code)
	clear(g.setup.Invited.Code)
	if err != nil {
		return nil, err
	}
	if err := code.MeetRelay(g.setup.Relay); err != nil {
		return nil, err
	}
	g.terms = code.Terms
	relays, pins := code.Limits() // newer than what is here
	g.setup.Relays = role.Relays{Only: cmp.Or(relays, g.setup.Relays.Only), Pins: cmp.Or(pins, g.setup.Relays.Pins)}
	g.change(func(v *view) {
		v.label = cmp.Or(v.label, code.Organisation)
		v.user = code.Address
	})
	return &guest{code: code, password: g.setup.Invited.Password}, nil
}

// destroy forgets what came of code and PIN.
func (i *guest) destroy() {
	i.code.Clear()
	if i.keys != nil {
		i.keys.Destroy()
	}
}

// joinInvited makes the vault of somebody who was invited: the one-time PIN gives the
// account's password, and what proves to the organisation that it is the one that was
// invited.
func (g *gate) joinInvited() (int, error) {
	i, err := g.welcome()
	if err != nil {
		return 0, err
	}
	defer i.destroy()
	account := &keystore.Account{Address: i.code.Address, Relay: cmp.Or(g.setup.Relay, i.code.Relay), CA: g.ca, Invited: true}
	defer account.Destroy()
	g.change(func(v *view) { v.warning = g.setup.Note })
	if done, err := g.prove(i, account); !done || err != nil {
		return role.ExitQuit, err
	}
	if !g.place.NoSeal && g.place.TPM.Ready() == nil {
		g.change(func(v *view) { v.warning = binds("") })
	}
	pin := g.choosePIN("That is right. Now choose a PIN of your own for this device: "+g.rules().words()+".", nil)
	if pin == nil {
		return role.ExitQuit, nil
	}
	defer pin.Destroy()
	return g.moveIn(i, pin, account)
}

// moveIn makes the vault and gives the account a password that nobody has seen.
func (g *gate) moveIn(i *guest, pin *memguard.LockedBuffer, account *keystore.Account) (int, error) {
	g.busy("making the vault")
	if i.replaces(account) {
		account.Next = invitation.NewPassword()
	}
	opened, err := g.place.Create(pin, account)
	if err != nil {
		return 0, err
	}
	defer opened.Close()
	if opened.Account().Next != nil {
		if err := g.rotate(i.relay, opened); err != nil {
			return 0, err
		}
	}
	opened.Invitation = i.keys.Ticket(i.code)
	return g.handOver(opened)
}

// replaces reports whether the account has the password that comes of code and PIN.
// One that the code carries is that of other devices, too, and stays.
func (i *guest) replaces(a *keystore.Account) bool {
	if i.code.Carries() || a.Password == nil {
		return false
	}
	first := i.keys.Password()
	defer first.Destroy()
	return first.EqualTo(a.Password.Bytes())
}

// enrol joins an organisation with an account that this device has already: because
// joining was cut off, or because the organisation is new.
func (g *gate) enrol() (int, error) {
	i, err := g.welcome()
	if err != nil {
		return 0, err
	}
	defer i.destroy()
	opened, pin, code, err := g.open(askPIN)
	if opened == nil {
		return code, err
	}
	defer opened.Close()
	code, err = g.renew(opened, pin)
	pin.Destroy()
	if code != role.ExitDone || err != nil {
		return code, err
	}
	if opened.Account().Address != i.code.Address {
		return 0, fmt.Errorf("the invitation is for %s, and this profile is %s's. Join with another name for the profile: --profile NAME", i.code.Address, opened.Account().Address)
	}
	if err := g.settle(opened); err != nil {
		return 0, err
	}
	g.change(func(v *view) { v.warning = g.setup.Note })
	a := *opened.Account()
	a.Invited = true
	if done, err := g.prove(i, &a); !done || err != nil {
		return role.ExitQuit, err
	}
	return g.carryOn(i, opened, &a)
}

// carryOn keeps the password that the relay has taken, and replaces it if it is not
// one of its own yet.
func (g *gate) carryOn(i *guest, opened *keystore.Opened, a *keystore.Account) (int, error) {
	if i.replaces(a) {
		a.Next = invitation.NewPassword()
	}
	if err := opened.SaveAccount(a); err != nil {
		return 0, err
	}
	if a.Next != nil {
		if err := g.rotate(i.relay, opened); err != nil {
			return 0, err
		}
	}
	opened.Invitation = i.keys.Ticket(i.code)
	return g.handOver(opened)
}

// prove asks for the one-time PIN until the relay accepts what comes of it. False
// means that the person has left.
func (g *gate) prove(i *guest, a *keystore.Account) (bool, error) {
	g.holds = true
	g.say(tellPIN)
	for tried := 0; ; {
		pin := g.ask(askOneTimePIN, maxOneTime)
		if pin == nil {
			return false, nil
		}
		if err := invitation.CheckPIN(pin.Bytes()); err != nil { // not a guess that counts
			pin.Destroy()
			g.say(sentence(err))
			continue
		}
		g.busy("checking the one-time PIN")
		err := i.take(pin)
		pin.Destroy()
		if err != nil {
			return false, err
		}
		if i.password && a.Password == nil {
			g.say("")
			if a.Password = g.ask("Password of "+a.Address, maxPassword); a.Password == nil {
				return false, nil
			}
		}
		g.busy("signing in")
		s, err := g.signIn(i, a)
		switch {
		case err != nil:
			return false, err
		case s.Phase == wire.Online:
			return true, nil
		case !s.WrongPassword:
			return false, errors.New(s.Words)
		}
		words := notThisPIN
		if i.password {
			words = s.Words
			a.Password.Destroy()
			a.Password = nil
		}
		if tried++; tried >= oneTimeTries {
			return false, errors.New(words + " You can begin again with: sotto join")
		}
		g.say(words + triesLeft(oneTimeTries-tried))
	}
}

// triesLeft says how often something can still be typed.
func triesLeft(n int) string {
	if n == 1 {
		return " One try is left."
	}
	return fmt.Sprintf(" %d tries are left.", n)
}

// take derives the keys of the invitation from the one-time PIN.
func (i *guest) take(pin *memguard.LockedBuffer) (err error) {
	if i.keys != nil {
		i.keys.Destroy()
	}
	i.keys, err = i.code.Keys(pin.Bytes())
	return err
}

// signIn tries the passwords that the account may have: the one that the vault has,
// and the one that comes of the invitation. The one that works is the account's then.
func (g *gate) signIn(i *guest, a *keystore.Account) (s wire.State, err error) {
	if i.relay == nil {
		if i.relay, err = g.relay(); err != nil {
			return s, err
		}
	}
	if a.Password != nil {
		if s, err = i.relay.login(a, a.Password, joinPatience); err != nil || s.Phase == wire.Online || !s.WrongPassword || i.password {
			return s, err
		}
	}
	given := i.keys.Password()
	if s, err = i.relay.login(a, given, joinPatience); err != nil || s.Phase != wire.Online {
		given.Destroy()
		return s, err
	}
	a.Password, a.Next = given, nil // what was there before is the vault's, which destroys it
	return s, nil
}

// serveInvited joins as serve unlocks: both PINs are in files.
func (g *gate) serveInvited() (int, error) {
	i, err := g.welcome()
	if err != nil {
		return 0, err
	}
	defer i.destroy()
	pin, err := readPIN(g.line.Bytes(), nextByte)
	if err != nil {
		return 0, err
	}
	defer pin.Destroy()
	exists, err := keystore.Exists(g.setup.Profile.Vault)
	if err != nil {
		return 0, err
	}
	if err := g.rules().refuses(pin, nil); err != nil && !exists {
		return 0, fmt.Errorf("the PIN in the file cannot be taken: %w", err)
	}
	if err := g.takeFromFile(i); err != nil {
		return 0, err
	}
	if !exists {
		account := &keystore.Account{Address: i.code.Address, Relay: cmp.Or(g.setup.Relay, i.code.Relay), CA: g.ca, Invited: true}
		defer account.Destroy()
		if err := g.signInServing(i, account); err != nil {
			return 0, err
		}
		return g.moveIn(i, pin, account)
	}
	tried, err := g.triedFromFile()
	if err != nil {
		return 0, err
	}
	opened, code, err := g.tryFromFile(pin, tried)
	if opened == nil {
		return code, err
	}
	defer opened.Close()
	if opened.Account().Address != i.code.Address {
		return 0, fmt.Errorf("the invitation is for %s, and this profile is %s's", i.code.Address, opened.Account().Address)
	}
	if err := g.settle(opened); err != nil {
		return 0, err
	}
	a := *opened.Account()
	a.Invited = true
	if err := g.signInServing(i, &a); err != nil {
		return 0, err
	}
	return g.carryOn(i, opened, &a)
}

func (g *gate) signInServing(i *guest, a *keystore.Account) error {
	s, err := g.signIn(i, a)
	switch {
	case err != nil:
		return err
	case s.WrongPassword:
		return errors.New("the relay does not let this account in with the one-time PIN: compare it with what was told. " +
			"If it is right, the invitation was used already or replaced by a newer one: ask your administrator")
	case s.Phase != wire.Online:
		return errors.New(s.Words)
	}
	return nil
}

// takeFromFile reads the one-time PIN from the file that the process which started
// this one has handed over.
func (g *gate) takeFromFile(i *guest) error {
	var f *os.File
	select {
	case f = <-g.given:
		defer f.Close()
	case <-time.After(pinPatience):
		return errors.New("there is no file with the one-time PIN")
	}
	pin, err := readPIN(g.line.Bytes(), patiently(f))
	if err != nil {
		return fmt.Errorf("the one-time PIN: %w", err)
	}
	defer pin.Destroy()
	return i.take(pin)
}
