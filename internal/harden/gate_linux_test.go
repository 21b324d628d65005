//go:build amd64 || arm64

package harden_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/internal/harden"
	"sotto/keystore"
)

func TestGate(t *testing.T) {
	c := start(t, "gate")
	c.hear("PIN?")
	c.terminal.WriteString("x")
	r := c.end()
	r.holds(t)
	r.refused(t)
	if len(r.Works) < 6 {
		t.Errorf("only %d things were tried that must work", len(r.Works))
	}
}

// gateRole makes, opens and changes a real vault, all of it confined. Its two
// folders are beside each other, as those of a profile may be.
func gateRole(dir string, socket *os.File, r *report) error {
	device := filepath.Join(filepath.Dir(dir), "state")
	if err := os.Mkdir(device, 0o700); err != nil {
		return err
	}
	if err := keystore.CheckMemlock(); err != nil {
		return err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	if err := confined(r, func() (harden.Layers, error) { return harden.Gate(dir, device) }); err != nil {
		return err
	}
	vault, secret := filepath.Join(dir, "vault"), filepath.Join(device, "device.key")
	r.try("make a vault", func() error {
		o, err := keystore.Create(vault, secret, pin("246810"), &keystore.Account{Address: "alice@example.org", Password: pin("relay password")})
		if err == nil {
			o.Close()
		}
		return err
	})
	r.try("change the PIN", func() error {
		o, err := keystore.Open(vault, secret, pin("246810"))
		if err != nil {
			return err
		}
		defer o.Close()
		return o.ChangePIN(pin("135791"))
	})
	r.try("refuse the PIN that was", func() error {
		if _, err := keystore.Open(vault, secret, pin("246810")); !errors.Is(err, keystore.ErrWrongPIN) {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	r.try("open the vault and hand over", func() error {
		o, err := keystore.Open(vault, secret, pin("135791"))
		if err != nil {
			return err
		}
		defer o.Close()
		if err := o.Handover(out); err != nil {
			return err
		}
		h, err := keystore.ReadHandover(in)
		if err == nil {
			h.Destroy()
		}
		return err
	})
	r.try("start 32 threads", func() error { threads(32); return nil })
	r.try("drop what was typed", func() error { return unix.IoctlSetInt(0, unix.TCFLSH, unix.TCIFLUSH) })
	r.try("wait for a key and read it", func() error {
		modes, err := unix.IoctlGetTermios(0, unix.TCGETS)
		if err != nil {
			return err
		}
		modes.Lflag &^= unix.ICANON
		if err := unix.IoctlSetTermios(0, unix.TCSETS, modes); err != nil {
			return err
		}
		socket.WriteString("PIN?\n")
		fds := []unix.PollFd{{Fd: 0, Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, int(patience.Milliseconds())); n != 1 || err != nil {
			return fmt.Errorf("%d keys, %v", n, err)
		}
		_, err = unix.Read(0, make([]byte, 1))
		return err
	})
	r.Table = harden.Probe(dir, r.Layers)
	return nil
}

// pin is a locked buffer that holds a word.
func pin(word string) *memguard.LockedBuffer { return memguard.NewBufferFromBytes([]byte(word)) }
