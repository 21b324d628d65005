package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sotto/client/store"
)

// cramped has a command, and all that it starts, make no file longer than n KiB, as a
// full disk would.
func cramped(t *testing.T, cmd *exec.Cmd, n int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "sotto")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	// ulimit counts in blocks of 512 bytes.
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, 2*n), program}, cmd.Args[1:]...)
	return cmd
}

// Where there is no room for it, a backup says so, leaves nothing behind and everything
// that was there as it was, and the next one has everything.
func TestBackupOnAFullDisk(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	p, pin := serviceAt(t, home)
	key, to := keyFile(t)
	args := []string{"backup", dir, "--to", to, "--pin-file", pin}
	does := func(cmd *exec.Cmd, want string, ok bool) {
		t.Helper()
		out, err := cmd.CombinedOutput()
		if (err == nil) != ok || !strings.Contains(strings.Join(strings.Fields(string(out)), " "), want) {
			t.Errorf("%v, and not %q: %s", err, want, out)
		}
	}
	restores := func() {
		t.Helper()
		elsewhere := t.TempDir()
		q, pin := serviceAt(t, elsewhere)
		inDatabase(t, q, func(tx *store.Tx) error { _, err := tx.RemoveConversation(bob); return err })
		does(at(t, elsewhere, "restore", dir, "--key-file", key, "--pin-file", pin), "Restored: ", true)
		if got, want := history(t, q), history(t, p); got != want {
			t.Errorf("restored %d bytes of history of %d", len(got), len(want))
		}
	}
	fill(t, p, 0, 10, 1)
	does(at(t, home, args...), "Whole: 11 messages, 1 files", true)
	restores()
	before := whole(t, dir, key)

	fill(t, p, 10, 10, 4)
	const words = "a file cannot be as long as it gets"
	does(cramped(t, at(t, home, args...), 2<<10), words, false)
	all, _ := os.ReadDir(dir)
	if now := whole(t, dir, key); len(all) != 1 || len(now) != 1 || now[0] != before[0] {
		t.Errorf("there was %q, and is %v", before, all)
	}
	does(at(t, home, args...), "What is new since 000: 10 messages, ", true)
	restores()
}
