package keystore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/awnumar/memguard"
)

func TestHandoverThroughAPipe(t *testing.T) {
	o := makeVault(t, cheapPlace(t), "246810")
	o.account.CA = bytes.Repeat([]byte("x"), MaxCA) // more than a pipe holds
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o.Invitation = memguard.NewBuffer(MaxInvitation)
	o.Invitation.Bytes()[MaxInvitation-1] = 'x'
	done := make(chan error, 1)
	go func() {
		defer w.Close()
		if err := o.Handover(w); err != nil {
			done <- err
			return
		}
		_, err := w.Write([]byte("next"))
		done <- err
	}()
	h, err := ReadHandover(r)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Destroy()
	rest, _ := io.ReadAll(r)
	if err := <-done; err != nil || string(rest) != "next" {
		t.Errorf("it took more than it should: %q is left, %v", rest, err)
	}
	key, err := o.DatabaseKey()
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	if !key.EqualTo(h.DatabaseKey.Bytes()) || len(h.Account.CA) != MaxCA {
		t.Error("what arrived is not what was handed over")
	}
	if h.Invitation == nil || !h.Invitation.EqualTo(o.Invitation.Bytes()) {
		t.Error("the invitation is another")
	}
	h.Account.CA = testAccount(t).CA
	wantAccount(t, &h.Account)
}

func TestHandoverWithoutPasswords(t *testing.T) {
	p := cheapPlace(t)
	o, err := p.Create(locked(t, "246810"), &Account{Address: "a@b"})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var b bytes.Buffer
	if err := o.Handover(&b); err != nil {
		t.Fatal(err)
	}
	h, err := ReadHandover(&b)
	if err != nil || h.Account.Password != nil || h.Account.Next != nil || h.Account.Address != "a@b" {
		t.Fatalf("got %+v %v", h, err)
	}
	h.Destroy()
}

// TestCutHandover ends the pipe at every place.
func TestCutHandover(t *testing.T) {
	whole := handover(t)
	for n := range whole {
		h, err := ReadHandover(bytes.NewReader(whole[:n]))
		if n == 0 && !errors.Is(err, ErrNoHandover) || n > 0 && !errors.Is(err, ErrBadHandover) || h != nil {
			t.Errorf("cut off at %d: %v", n, err)
		}
	}
	broken := errors.New("broken")
	if _, err := ReadHandover(io.MultiReader(bytes.NewReader(whole[:60]), errReader{broken})); !errors.Is(err, broken) {
		t.Errorf("a pipe that breaks: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func handover(t testing.TB) []byte {
	t.Helper()
	a := testAccount(t)
	defer a.Destroy()
	master := memguard.NewBufferRandom(keySize)
	o := &Opened{vault: new(vault), master: enclave(master), account: *a}
	master.Destroy()
	var b bytes.Buffer
	if err := o.Handover(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzHandover(f *testing.F) {
	f.Add(handover(f))
	f.Add([]byte(handoverMagic + "\x00\x01\xff\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHandover(bytes.NewReader(b))
		if err != nil {
			return
		}
		defer h.Destroy()
		if err := h.Account.check(); err != nil {
			t.Fatalf("accepted an account that cannot be stored: %v", err)
		}
		if h.DatabaseKey.Size() != DatabaseKeySize {
			t.Fatalf("a key of %d bytes", h.DatabaseKey.Size())
		}
	})
}

// The mark of a PIN is another one when, and only when, the PIN was changed.
func TestPINMark(t *testing.T) {
	p := cheapPlace(t)
	o := makeVault(t, p, "739251")
	mark := func(o *Opened) [PINMarkSize]byte {
		t.Helper()
		var b bytes.Buffer
		if err := o.Handover(&b); err != nil {
			t.Fatal(err)
		}
		h, err := ReadHandover(&b)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Destroy()
		return h.PINMark
	}
	before := mark(o)
	o.Close()
	o, err := p.Open(locked(t, "739251"))
	if err != nil {
		t.Fatal(err)
	}
	if mark(o) != before {
		t.Error("it changes with each unlocking")
	}
	if err := o.ChangePIN(locked(t, "825164")); err != nil {
		t.Fatal(err)
	}
	if mark(o) == before {
		t.Error("it stays when the PIN is changed")
	}
	o.Close()
}
