package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	agefile "filippo.io/age"

	"sotto/client/backup"
	"sotto/client/locker"
	"sotto/client/store"
	"sotto/internal/profile"
	"sotto/internal/role/roletest"
)

// serviceAt is a program's profile, and the file with its PIN.
func serviceAt(t *testing.T, home string) (p profile.Profile, pin string) {
	t.Helper()
	p, _, _ = recoverable(t, home)
	c, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	c.Service = true
	if err := p.Save(c); err != nil {
		t.Fatal(err)
	}
	pin = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte(testPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return p, pin
}

// fill adds messages, numbered from first, and files of a megabyte with some of them.
func fill(t *testing.T, p profile.Profile, first, messages, files int) {
	t.Helper()
	l, err := locker.Open(filepath.Join(p.Data, locker.Dir))
	if err != nil {
		t.Fatal(err)
	}
	inDatabase(t, p, func(tx *store.Tx) error {
		for i := first; i < first+messages; i++ {
			m := store.Message{Peer: bob, Sender: bob, OriginID: fmt.Sprint("m", i), Body: fmt.Sprint("potassium ", i), Time: time.Unix(1_790_000_000+int64(i)*60, 0)}
			if _, err := tx.AddMessage(&m); err != nil {
				return err
			}
			if i >= first+files {
				continue
			}
			name := locker.NewName()
			b := make([]byte, 1<<20)
			rand.Read(b)
			if err := l.Write(name, b); err != nil {
				return err
			}
			if err := tx.AddAttachment(&store.Attachment{MessageID: m.ID, Name: "ecg", Size: 1 << 20, URL: fmt.Sprint("https://x.example/", i),
				Key: append(name[:], make([]byte, 44)...), State: store.Done}); err != nil {
				return err
			}
		}
		return nil
	})
}

// history is all that a person sees of bob's conversation.
func history(t *testing.T, p profile.Profile) string {
	t.Helper()
	var b strings.Builder
	l, err := locker.Open(filepath.Join(p.Data, locker.Dir))
	if err != nil {
		t.Fatal(err)
	}
	inDatabase(t, p, func(tx *store.Tx) error {
		list, err := tx.Messages(bob, 0, 1<<20)
		for _, m := range list {
			files, err := tx.Attachments(m.ID)
			if err != nil {
				return err
			}
			fmt.Fprintln(&b, m.OriginID, m.Body, m.Gone)
			for _, f := range files {
				fmt.Fprintln(&b, f.Name, f.State, l.Size(locker.Name(f.Key[:locker.NameSize])))
			}
		}
		return err
	})
	return b.String()
}

// killedWhen runs sotto, kills all of its processes once something holds, and waits
// until they are gone. It returns false if sotto was done before.
func killedWhen(t *testing.T, cmd *exec.Cmd, holds func() bool) bool {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	deadline := time.After(3 * time.Minute)
	killed := false
	for !killed {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("it failed before it was killed: %v: %s", err, out.Bytes())
			}
			return false
		case <-deadline:
			t.Fatalf("it does not come that far: %s", out.Bytes())
		case <-time.After(200 * time.Microsecond):
			killed = holds()
		}
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-done
	for syscall.Kill(-cmd.Process.Pid, 0) == nil {
		select {
		case <-deadline:
			t.Fatal("its processes do not end")
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// whole fails the test unless each file that counts as a backup is one, and none can
// be read by others.
func whole(t *testing.T, dir, key string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	id, err := agefile.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the rights %v", e.Name(), info.Mode())
		}
		if !strings.HasSuffix(e.Name(), ".age") {
			continue
		}
		names = append(names, e.Name())
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := backup.NewReader(f, id)
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s counts, and is no whole backup: %v", e.Name(), err)
		}
	}
	return names
}

// sizeOf is 0 where there is no file.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Killed anywhere while it writes, whole or what is new, a backup leaves nothing that
// counts, and the next one has everything.
func TestBackupKilledWriting(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	p, pin := serviceAt(t, home)
	key, to := keyFile(t)
	args := []string{"backup", dir, "--to", to, "--pin-file", pin}
	part := filepath.Join(dir, ".sotto-backup-default.new")
	killedAt := func(least int64) {
		t.Helper()
		had := len(whole(t, dir, key))
		os.Remove(part) // so that what is seen is of this run
		if !killedWhen(t, at(t, home, args...), func() bool { return sizeOf(part) >= least }) {
			t.Logf("it was done before it was seen to have written %d bytes", least)
		}
		if now := len(whole(t, dir, key)); now > had+1 {
			t.Errorf("there were %d backups, and are %d", had, now)
		}
	}
	run := func() {
		t.Helper()
		if out, err := at(t, home, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		whole(t, dir, key)
		if sizeOf(part) != 0 {
			t.Error("what a killed run had written is still there")
		}
	}
	fill(t, p, 0, 300, 6)
	for _, least := range []int64{1, 1 << 20, 4 << 20} {
		killedAt(least)
	}
	// A file that others put there, and that others can read, is not written into.
	if err := os.WriteFile(part, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	run()
	fill(t, p, 300, 100, 4)
	for _, least := range []int64{1, 2 << 20} {
		killedAt(least)
	}
	run()

	elsewhere := t.TempDir()
	q, pin2 := serviceAt(t, elsewhere)
	inDatabase(t, q, func(tx *store.Tx) error { _, err := tx.RemoveConversation(bob); return err })
	if out, err := at(t, elsewhere, "restore", dir, "--key-file", key, "--pin-file", pin2).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := history(t, q), history(t, p); got != want {
		t.Errorf("restored %d bytes of history of %d", len(got), len(want))
	}
}

// Killed anywhere, restoring goes on when it is run again, and until then sotto says
// that messages are missing.
func TestRestoreKilled(t *testing.T) {
	home, elsewhere, dir := t.TempDir(), t.TempDir(), t.TempDir()
	p, pin := serviceAt(t, home)
	key, to := keyFile(t)
	fill(t, p, 0, 10_000, 3)
	if out, err := at(t, home, "backup", dir, "--to", to, "--pin-file", pin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	q, pin := serviceAt(t, elsewhere)
	inDatabase(t, q, func(tx *store.Tx) error { _, err := tx.RemoveConversation(bob); return err })
	database := func() int64 { return sizeOf(q.Database) + sizeOf(q.Database+"-wal") }
	kills := 0
	for range 4 {
		before := database()
		if killedWhen(t, at(t, elsewhere, "restore", dir, "--key-file", key, "--pin-file", pin), func() bool { return database() > before+1<<20 }) {
			kills++
		}
	}
	if kills == 0 {
		t.Error("it was never killed")
	}
	want := history(t, p)
	person := func(service bool) {
		t.Helper()
		c, err := q.Load()
		if err != nil {
			t.Fatal(err)
		}
		c.Service = service
		if err := q.Save(c); err != nil {
			t.Fatal(err)
		}
	}
	const missing = "Restoring was cut off, and messages are missing."
	if history(t, q) != want {
		person(false)
		c := asked(t, elsewhere)
		c.See(missing)
		quit(t, c)
		person(true)
	}
	if out, err := at(t, elsewhere, "restore", dir, "--key-file", key, "--pin-file", pin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := history(t, q); got != want {
		t.Errorf("restored %d bytes of history of %d", len(got), len(want))
	}
	person(false)
	c := asked(t, elsewhere)
	c.See("Ctrl+K")
	if strings.Contains(c.Screen(), "cut off") {
		t.Error("it says that messages are missing, and none are")
	}
	quit(t, c)
}

// Where a backup cannot be written, or its folder goes meanwhile, that is said, and
// nothing counts.
func TestBackupWithoutAPlace(t *testing.T) {
	home := t.TempDir()
	recoverable(t, home)
	_, to := keyFile(t)
	out, err := at(t, home, "backup", "/proc", "--to", to).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "begin the backup: ") {
		t.Errorf("into a folder that nobody can write to: %v: %s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "stick")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := asked(t, home, "backup", dir, "--to", to)
	if code := c.Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	gone := filepath.Join(t.TempDir(), "stick")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	c = roletest.Start(t, at(t, home, "backup", gone, "--to", to), 80, 24)
	c.See("PIN  _")
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	c.Type(testPIN + "\r")
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	c.Until("said that it does not count", func(screen string) bool {
		return strings.Contains(strings.Join(strings.Fields(screen), " "), "It does not count")
	})
	// What is new since a backup that was never there is not enough: a whole one follows.
	c = asked(t, home, "backup", dir, "--to", to)
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("Whole: 1 messages")
}
