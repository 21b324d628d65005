//go:build unix

package test

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPINFromAPipe has something that keeps secrets hand over the PIN, in no file.
func TestPINFromAPipe(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Alarm, Ada", "Pager, Per")
	alarm := newProgram(t, s, people[0])
	fifo := filepath.Join(alarm.home, "pipe")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if w, err := os.OpenFile(fifo, os.O_WRONLY, 0); err == nil {
			io.WriteString(w, alarm.pin)
			w.Close()
		}
	}()
	// It was opened: what it says is that nobody has compared anything.
	if r := alarm.does("text", "send", s.Address(people[1]), "--pin-file", fifo, "--wait", patience.String()); r.code != 5 {
		t.Errorf("with the PIN from a pipe: %+v", r)
	}
}
