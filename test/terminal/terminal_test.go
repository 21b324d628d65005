package terminal

import (
	"strings"
	"testing"
)

// TestShell holds that the driver types, reads, resizes and learns the exit code.
func TestShell(t *testing.T) {
	tm := Start(t, "a shell", Options{Env: []string{"PS1=ready> ", "HOME=/"}}, "sh", "-i")
	tm.See("ready>")
	tm.Enter("stty size; echo '-l é $HOME'")
	tm.See("24 80", "\n-l é $HOME")
	tm.Resize(20, 5)
	tm.Enter("clear; stty size")
	tm.See("5 20\n")
	tm.SeeGone("24 80")
	if got := tm.SeeMatch(`(\d+) 20`); got[1] != "5" {
		t.Errorf("rows = %q, want 5", got[1])
	}
	tm.Enter("exit 7")
	if code := tm.Exit(); code != 7 {
		t.Errorf("exit code = %d, want 7", code)
	}
}

// TestAtOnce holds that the exit code of a program that ends at once is learnt
// every time.
func TestAtOnce(t *testing.T) {
	for range 20 {
		tm := Start(t, "a shell", Options{}, "sh", "-c", "exit 3")
		if code := tm.Exit(); code != 3 {
			t.Fatalf("exit code = %d, want 3", code)
		}
		tm.Close()
	}
}

// TestSignal holds that a program ended by a signal is told from one that ended itself.
func TestSignal(t *testing.T) {
	tm := Start(t, "a shell", Options{}, "sh", "-c", "kill -KILL $$")
	if code := tm.Exit(); code != 128+9 {
		t.Errorf("exit code = %d, want %d", code, 128+9)
	}
}

// TestScrollback holds that what left the screen can still be read.
func TestScrollback(t *testing.T) {
	tm := Start(t, "a shell", Options{}, "sh", "-c", "seq 1000; sleep 60")
	tm.See("\n1000")
	if strings.Contains(tm.Screen(), "\n500\n") || !strings.Contains(tm.Scrollback(), "\n500\n") {
		t.Error("line 500 should be in the scrollback and off the screen")
	}
}
