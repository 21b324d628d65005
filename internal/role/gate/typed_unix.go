//go:build unix

package gate

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/client/wire"
	"sotto/internal/role"
	"sotto/keystore"
)

// A command that a person runs now and then has no screen: what is secret is typed
// after a prompt, at the terminal that standard input is. Whoever started this puts
// its echo right should this process die meanwhile.

var errNotTyped = errors.New("nothing was typed")

// promptFor prompts for a line and reads it, byte by byte, into locked memory of its own.
func (g *gate) promptFor(prompt string, most int) (*memguard.LockedBuffer, error) {
	restore, err := role.Hush(0)
	if err != nil {
		return nil, err
	}
	defer restore()
	unix.Write(0, []byte(prompt))
	memory := g.line.Bytes()
	defer clear(memory)
	for n := 0; ; {
		got, err := unix.Read(0, memory[n:n+1])
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return nil, fmt.Errorf("read from the terminal: %w", err)
		case got == 0 || memory[n] == 4:
			return nil, errNotTyped
		case memory[n] == '\n' || memory[n] == '\r':
			unix.Write(0, []byte("\n"))
			if n == 0 {
				return nil, errNotTyped
			}
			line := memguard.NewBuffer(n)
			line.Copy(memory[:n])
			return line, nil
		case n == most:
			return nil, errors.New("what was typed is too long")
		default:
			n++
		}
	}
}

// serveTyped is serve with a PIN that a person types.
func (g *gate) serveTyped() (int, error) {
	if wait := time.Until(g.ready); wait > 0 {
		restore, err := role.Hush(0)
		if err != nil {
			return 0, err
		}
		unix.Write(0, fmt.Appendf(nil, "After wrong PINs you have to wait for %d seconds.\n", int(wait.Seconds())+1))
		time.Sleep(wait)
		g.term.Flush() // what was typed meanwhile is no PIN
		restore()
	}
	pin, err := g.promptFor("PIN: ", maxPIN)
	if err != nil {
		return 0, err
	}
	defer pin.Destroy()
	if pin.Size() < keystore.MinPIN {
		return 0, fmt.Errorf("a PIN has %d characters or more. This one was not tried", keystore.MinPIN)
	}
	opened, code, err := g.try(pin)
	if code == role.ExitWrongPIN {
		g.self.Control.Send(&role.Note{Text: "the PIN is not right"})
	}
	if opened == nil {
		return code, err
	}
	defer opened.Close()
	if err := g.settle(opened); err != nil {
		return 0, err
	}
	return g.handOver(opened)
}

// serveNew makes the vault of an account that nobody is in front of, or of one whose
// keeper types.
func (g *gate) serveNew() (int, error) {
	account := &keystore.Account{Address: g.setup.Address, Relay: g.setup.Relay, CA: g.ca}
	defer account.Destroy()
	pin, err := g.newSecrets(account)
	if err != nil {
		return 0, err
	}
	defer pin.Destroy()
	r, err := g.relay()
	if err != nil {
		return 0, err
	}
	s, err := r.login(account, account.Password, joinPatience)
	switch {
	case err != nil:
		return 0, err
	case s.Phase != wire.Online:
		return 0, errors.New(s.Words)
	}
	opened, err := g.place.Create(pin, account)
	if err != nil {
		return 0, err
	}
	defer opened.Close()
	return g.handOver(opened)
}

// newSecrets reads the account's password and a new PIN.
func (g *gate) newSecrets(account *keystore.Account) (pin *memguard.LockedBuffer, err error) {
	if g.setup.Typed {
		if account.Password, err = g.promptFor("Password of "+account.Address+": ", maxPassword); err != nil {
			return nil, err
		}
		return g.newPIN()
	}
	if pin, err = readPIN(g.line.Bytes(), nextByte); err != nil {
		return nil, err
	}
	if err := g.rules().refuses(pin, nil); err != nil {
		pin.Destroy()
		return nil, fmt.Errorf("the PIN in the file cannot be taken: %w", err)
	}
	var f *os.File
	select {
	case f = <-g.given:
		defer f.Close()
	case <-time.After(pinPatience):
		pin.Destroy()
		return nil, errors.New("there is no file with the account's password")
	}
	switch account.Password, err = readLine(g.line.Bytes(), patiently(f), maxPassword-1, 1); {
	case errors.Is(err, errNoPIN) || errors.Is(err, errNobody):
		err = errors.New("the file with the account's password is empty")
	case errors.Is(err, errLongPIN):
		err = errors.New("the file with the account's password has more than one line, or a line that is too long")
	}
	if err != nil {
		pin.Destroy()
		return nil, err
	}
	return pin, nil
}

// newPIN asks for a new PIN until the same good one is typed twice.
func (g *gate) newPIN() (*memguard.LockedBuffer, error) {
	unix.Write(0, []byte("Choose a PIN for the organisation's key: "+g.rules().words()+".\n"))
	for {
		first, err := g.promptFor("New PIN: ", maxPIN)
		if err != nil {
			return nil, err
		}
		if err := g.rules().refuses(first, nil); err != nil {
			first.Destroy()
			unix.Write(0, []byte(sentence(err)+"\n"))
			continue
		}
		again, err := g.promptFor("Again: ", maxPIN)
		if err != nil {
			first.Destroy()
			return nil, err
		}
		same := again.EqualTo(first.Bytes())
		again.Destroy()
		if same {
			return first, nil
		}
		first.Destroy()
		unix.Write(0, []byte("The two were not the same. Choose a PIN again.\n"))
	}
}
