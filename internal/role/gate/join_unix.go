//go:build unix

package gate

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/awnumar/memguard"

	safe "sotto/client/text" // what is typed is called text here
	"sotto/client/wire"
	"sotto/internal/frame"
	"sotto/internal/role"
	"sotto/keystore"
)

// How long to wait for the relay.
const (
	joinPatience   = 45 * time.Second
	settlePatience = 10 * time.Second
)

// errLink is said when the connection to the link breaks off.
var errLink = errors.New("the connection process ended unexpectedly; try again")

// errUnread ends a join whose last sentence nobody was there to read.
var errUnread = errors.New("the account is set up, and locked. The password on the relay stays as it was. Open it with: sotto")

// relay is the gate's conversation with the link.
type relay struct {
	conn *frame.Conn
	said chan wire.Message // closed at the end

	limits role.Relays // what the organisation says of relays
}

// relay asks the watch to join the gate to the link.
func (g *gate) relay() (*relay, error) {
	if err := g.self.Control.Send(&role.NeedLink{}); err != nil {
		return nil, fmt.Errorf("ask for the connection: %w", err)
	}
	r := &relay{conn: frame.NewConn(g.self.Link), said: make(chan wire.Message, 16), limits: g.setup.Relays}
	go func() {
		defer close(r.said)
		for {
			m, err := wire.Read(r.conn)
			if err != nil {
				return
			}
			// Its words end up on the terminal, which is nothing for the link.
			switch m := m.(type) {
			case wire.State:
				m.Words = safe.Line(m.Words).String()
				r.said <- m
			case wire.PasswordChanged:
				m.Words = safe.Line(m.Words).String()
				r.said <- m
			}
		}
	}()
	return r, nil
}

// login tries an account's password. The state it returns is Online or says why not.
func (r *relay) login(a *keystore.Account, password *memguard.LockedBuffer, patience time.Duration) (wire.State, error) {
	err := wire.Write(r.conn, wire.Login{
		Address: a.Address, Relay: a.Relay, CA: a.CA, Legacy: a.Legacy, Password: password.Bytes(),
		Relays: r.limits.Only, Pins: r.limits.Pins,
	})
	if err != nil {
		return wire.State{}, errLink
	}
	late := time.After(patience)
	for {
		select {
		case m, ok := <-r.said:
			s, isState := m.(wire.State)
			switch {
			case !ok:
				return wire.State{}, errLink
			case !isState:
			case s.Phase == wire.Online, s.Phase != wire.Connecting && s.Words != "":
				return s, nil
			}
		case <-late:
			return wire.State{Words: "The relay does not answer. Check the network, or the address given with --relay."}, nil
		}
	}
}

// join tries the relay's password, lets the person choose a PIN and makes the
// vault. A password that the relay refuses ends this gate as a wrong PIN does;
// whatever else it refuses, no password can cure.
func (g *gate) join() (int, error) {
	if len(g.setup.Invited.Code) > 0 {
		return g.joinInvited()
	}
	account := &keystore.Account{Address: g.setup.Address, Relay: g.setup.Relay, CA: g.ca}
	defer account.Destroy()
	if account.Password = g.ask("Password of "+g.setup.Address, maxPassword); account.Password == nil {
		return role.ExitQuit, nil
	}
	g.holds = true
	g.busy("signing in")
	r, err := g.relay()
	if err != nil {
		return 0, err
	}
	s, err := r.login(account, account.Password, joinPatience)
	switch {
	case err != nil:
		return 0, err
	case s.WrongPassword:
		g.self.Control.Send(&role.Note{Text: s.Words})
		return role.ExitWrongPIN, nil
	case s.Phase != wire.Online:
		return 0, errors.New(s.Words)
	}

	if !g.place.NoSeal && g.place.TPM.Ready() == nil {
		g.change(func(v *view) { v.warning = binds("") })
	}
	pin := g.choosePIN("Signed in. Now choose a PIN for this device: "+g.rules().words()+".", nil)
	if pin == nil {
		return role.ExitQuit, nil
	}
	defer pin.Destroy()
	g.busy("making the vault")
	if g.setup.Rotate {
		account.Next = randomPassword()
	}
	opened, err := g.place.Create(pin, account)
	if err != nil {
		return 0, err
	}
	defer opened.Close()
	if g.setup.Rotate {
		if err := g.rotate(r, opened); err != nil {
			return 0, err
		}
	}
	return g.handOver(opened)
}

// changePassword asks for the PIN, and for the password that the relay has by
// now. What the relay accepts is kept in the vault.
func (g *gate) changePassword() (int, error) {
	opened, pin, code, err := g.open(askPIN)
	if opened == nil {
		return code, err
	}
	pin.Destroy()
	defer opened.Close()
	g.holds = true
	g.say("")
	r, err := g.relay()
	if err != nil {
		return 0, err
	}
	for {
		a := *opened.Account()
		a.Next = nil
		if a.Password = g.ask("Password of "+a.Address, maxPassword); a.Password == nil {
			return role.ExitQuit, nil
		}
		g.busy("signing in")
		s, err := r.login(&a, a.Password, joinPatience)
		if err == nil && s.Phase == wire.Online {
			return role.ExitDone, opened.SaveAccount(&a)
		}
		a.Password.Destroy()
		switch {
		case err != nil:
			return 0, err
		case !s.WrongPassword:
			return 0, errors.New(s.Words)
		}
		g.say(s.Words)
	}
}

// rotate replaces the relay's password by the account's Next, which the vault
// has already: if anything dies between, one of the two works, and settle finds
// out which.
func (g *gate) rotate(r *relay, opened *keystore.Opened) error {
	g.busy("replacing the password")
	if err := wire.Write(r.conn, wire.ChangePassword{Password: opened.Account().Next.Bytes()}); err != nil {
		return errLink
	}
	late := time.After(joinPatience)
	for {
		select {
		case m, ok := <-r.said:
			changed, is := m.(wire.PasswordChanged)
			switch {
			case !ok:
				return errLink
			case !is:
			case changed.Words == "":
				return keep(opened, true)
			case g.setup.Mode == role.Serve: // nobody is there to read it
				return keep(opened, false)
			default:
				read := g.confirm("The password stays as it was: " + changed.Words)
				if err := keep(opened, false); err != nil || read {
					return err
				}
				return errUnread
			}
		case <-late:
			return nil // not known: settle will find out
		}
	}
}

// settle finds out which of two passwords the relay has, if a change broke off.
// Without an answer both stay, and the link tries both. A link that is online
// would stay so whichever password it is given, and prove nothing.
func (g *gate) settle(opened *keystore.Opened) error {
	a := opened.Account()
	if a.Next == nil || g.setup.SignedIn {
		return nil
	}
	g.busy("finishing a change of password")
	r, err := g.relay()
	if err != nil {
		return nil
	}
	if s, err := r.login(a, a.Next, settlePatience); err == nil && s.Phase == wire.Online {
		return keep(opened, true)
	} else if err != nil || !s.WrongPassword {
		return nil
	}
	if s, err := r.login(a, a.Password, settlePatience); err == nil && s.Phase == wire.Online {
		return keep(opened, false)
	}
	return nil
}

// keep writes the account with one password: the next or the one before.
func keep(opened *keystore.Opened, next bool) error {
	a := *opened.Account()
	if next {
		a.Password = a.Next
	}
	a.Next = nil
	return opened.SaveAccount(&a)
}

// confirm shows something that must be read, until Enter is pressed. It reports
// false if nobody did.
func (g *gate) confirm(note string) bool {
	memory := g.line.Bytes()
	in := &input{}
	g.say(note)
	g.change(func(v *view) { v.prompt, v.dots = "Enter to go on", 0 })
	for {
		switch g.key(in, memory[:1]) {
		case keyEnter, keyQuit:
			return true
		case keyIdle:
			return false
		}
	}
}

// randomPassword is 256 random bits as text, in locked memory.
func randomPassword() *memguard.LockedBuffer {
	bits := memguard.NewBufferRandom(32)
	defer bits.Destroy()
	password := memguard.NewBuffer(base64.RawURLEncoding.EncodedLen(bits.Size()))
	base64.RawURLEncoding.Encode(password.Bytes(), bits.Bytes())
	return password
}

// readCA reads a PEM file of certificate authorities.
func readCA(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, keystore.MaxCA+1))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	if len(pem) > keystore.MaxCA {
		return nil, fmt.Errorf("the file %s is too long for certificates; give one with the certificates to trust", path)
	}
	return pem, nil
}
