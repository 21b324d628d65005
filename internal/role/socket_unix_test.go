//go:build unix

package role

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"sotto/internal/frame"
)

func controls(t *testing.T) (*Control, *Control) {
	t.Helper()
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	ca, cb := NewControl(a), NewControl(b)
	t.Cleanup(func() { ca.Close(); cb.Close() })
	return ca, cb
}

func TestFilesTravelWithMessages(t *testing.T) {
	a, b := controls(t)
	for i := range 10 {
		path := filepath.Join(t.TempDir(), "f")
		want := string(rune('a' + i))
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(a.Send(&Redraw{}), a.SendFile(&Attach{}, f), a.Send(&Lock{})); err != nil {
			t.Fatal(err)
		}
		f.Close() // a copy is under way
		for _, kind := range []byte{kindRedraw, kindAttach, kindLock} {
			m, err := b.Receive()
			if err != nil || m.kind() != kind {
				t.Fatalf("%v, %v", m, err)
			}
			if kind != kindAttach {
				continue
			}
			got := b.TakeFile()
			if got == nil {
				t.Fatal("no file came")
			}
			text, err := io.ReadAll(got)
			got.Close()
			if err != nil || string(text) != want {
				t.Fatalf("%q, %v", text, err)
			}
		}
		if f := b.TakeFile(); f != nil {
			t.Fatal("a file too many")
		}
	}
}

func TestFilesThatNobodyTakesAreClosed(t *testing.T) {
	a, b := controls(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const sent = 3 * maxHeld
	for range sent {
		if err := a.SendFile(&Attach{}, w); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	for range sent {
		if _, err := b.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	taken := 0
	for f := b.TakeFile(); f != nil; f = b.TakeFile() {
		f.Close()
		taken++
	}
	if taken != maxHeld {
		t.Errorf("%d files were held, want %d", taken, maxHeld)
	}
	b.Close()
	// With every copy of the write end closed the pipe is at its end.
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("a copy of the file is still open: %d, %v", n, err)
	}
}

func TestManySpeakAtOnce(t *testing.T) {
	a, b := controls(t)
	const each = 200
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range each {
				if err := a.Send(&Note{Text: "the same sentence from everyone"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 * each {
		if m, err := b.Receive(); err != nil || m.(*Note).Text != "the same sentence from everyone" {
			t.Fatalf("%v, %v", m, err)
		}
	}
	wg.Wait()
}

func TestTheEndIsSeen(t *testing.T) {
	a, b := controls(t)
	a.Send(&Ready{})
	a.Close()
	if m, err := b.Receive(); err != nil || m.kind() != kindReady {
		t.Fatalf("%v, %v", m, err)
	}
	if _, err := b.Receive(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
	if err := b.Send(&Ready{}); err == nil {
		t.Error("a message to nobody was sent")
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	a, b := controls(t)
	if _, err := a.socket.Write([]byte{0, 0, 0, 1, 250}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(); !errors.Is(err, frame.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

func TestNoRoleByHand(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := socketAt(int(f.Fd())); err == nil {
		t.Error("a file was taken for the watch")
	}
}
