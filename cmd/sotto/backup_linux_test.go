package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sotto/client/audit"
	"sotto/client/store"
	"sotto/internal/role/roletest"
	"sotto/keystore/recovery"
)

// keyFile is a file with a key, and its recipient.
func keyFile(t *testing.T) (path, recipient string) {
	t.Helper()
	k := recovery.New()
	defer k.Destroy()
	text := k.Text()
	defer text.Destroy()
	path = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	recipient, err := k.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	return path, recipient
}

// asked starts a command that asks for the PIN, and gives it.
func asked(t *testing.T, home string, args ...string) *roletest.Console {
	t.Helper()
	c := roletest.Start(t, at(t, home, args...), 80, 24)
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	return c
}

// A person's history goes from one machine to another: whole, and then what is new.
func TestBackupAndRestore(t *testing.T) {
	home, elsewhere, dir := t.TempDir(), t.TempDir(), t.TempDir()
	p, _, _ := recoverable(t, home)
	key, to := keyFile(t)
	c := roletest.Start(t, at(t, home, "backup", dir, "--to", to), 80, 24)
	c.See("PIN  _")
	c.Type("271829\r")
	c.See("That PIN is not right.", "PIN  _")
	c.Type(testPIN + "\r")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("Whole: 1 messages, 0 files", "1 key opens it. It was read back.")
	log := auditedAll(t, p, testPIN)
	if follow(log, "unlock-failed reason=wrong-pin count=1", "unlock", "backup ref=* count=1", "lock reason=stopped") != len(log) {
		t.Errorf("the audit log says\n%s", strings.Join(log, "\n"))
	}
	c.Restored()
	inDatabase(t, p, func(tx *store.Tx) error {
		_, err := tx.AddMessage(&store.Message{Peer: bob, Sender: bob, OriginID: "2", Body: "Better now"})
		return err
	})
	c = asked(t, home, "backup", dir, "--to", to)
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("What is new since 000: 1 messages")
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	all, _ := os.ReadDir(dir)
	if len(names) != 2 || len(all) != 2 || !strings.HasSuffix(names[0], "-000.age") || !strings.HasSuffix(names[1], "-001.age") {
		t.Errorf("the folder has %q", all)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || strings.Contains(string(b), "potassium") || !strings.HasPrefix(string(b), "age-encryption.org/v1") {
			t.Errorf("%s: %v", name, err)
		}
	}

	q, _, _ := recoverable(t, elsewhere)
	inDatabase(t, q, func(tx *store.Tx) error { _, err := tx.RemoveConversation(bob); return err })
	c = asked(t, elsewhere, "restore", dir, "--key-file", key)
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("Restored: 2 messages, 0 files.")
	c = asked(t, elsewhere, "restore", dir)
	c.See("Recovery key, or row 1 of a share  _")
	b, _ := os.ReadFile(key)
	c.Type(string(b) + "\r")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("All of it was here already.")
	if strings.Contains(string(c.Output()), "AGE-SECRET") {
		t.Error("the key was shown")
	}
	inDatabase(t, q, func(tx *store.Tx) error {
		list, err := tx.Messages(bob, 0, 10)
		if len(list) != 2 || list[0].Body != "Bed 9 has potassium 6.1" || list[1].Body != "Better now" {
			t.Errorf("restored: %+v", list)
		}
		return err
	})
	if got := audited(t, p, audit.BackupMade); len(got) != 2 {
		t.Errorf("the audit log says %q", got)
	}
	if got := audited(t, q, audit.Restored); len(got) != 2 {
		t.Errorf("the audit log says %q", got)
	}
	log = auditedAll(t, q, testPIN)
	if follow(log, "unlock", "restore ref=* count=1", "restore ref=* count=2", "lock reason=stopped", "unlock", "lock reason=stopped") != len(log) {
		t.Errorf("the audit log says\n%s", strings.Join(log, "\n"))
	}
}

func TestBackupRefuses(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	recoverable(t, home)
	_, to := keyFile(t)
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails := func(want string, c *roletest.Console) {
		t.Helper()
		if code := c.Exit(); code != 1 {
			t.Errorf("exit code %d", code)
		}
		c.Until("said "+want, func(screen string) bool { return strings.Contains(strings.Join(strings.Fields(screen), " "), want) })
		c.Restored()
	}
	start := func(args ...string) *roletest.Console { return roletest.Start(t, at(t, home, args...), 80, 24) }
	fails("is there already", start("backup", there, "--to", to))
	fails("a backup needs a key", asked(t, home, "backup", dir))
	fails("is not a key that a backup can be made for", asked(t, home, "backup", dir, "--to", "age1nonsense"))
	fails("no such file", start("backup", filepath.Join(dir, "no", "folder"), "--to", to))
	fails("no backup of alice@ward.example is in", start("restore", dir))
	key, _ := keyFile(t)
	fails("this is not a backup of sotto", asked(t, home, "restore", there, "--key-file", key))
	c := start("backup", dir, "--to", to)
	c.See("PIN  _")
	c.Type("\x11")
	fails("nothing was backed up", c)
	fails("belongs to a person", start("backup", dir, "--to", to, "--pin-file", key))

	// While sotto is open.
	open := asked(t, home)
	open.See("Ctrl+K")
	fails("while sotto is closed", start("backup", dir, "--to", to))
	quit(t, open)

	// A file that the backup goes to and nobody names stays behind nowhere.
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 1 {
		t.Errorf("the folder has %v, %v", all, err)
	}
	if b, _ := os.ReadFile(there); string(b) != "precious" {
		t.Error("a file was replaced")
	}
}

// Killed while it is asked for the PIN, a backup leaves nothing that counts.
func TestBackupKilled(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	recoverable(t, home)
	_, to := keyFile(t)
	c := roletest.Start(t, at(t, home, "backup", dir, "--to", to), 80, 24)
	c.See("PIN  _")
	syscall.Kill(c.PID, syscall.SIGKILL)
	c.Exit()
	c = asked(t, home, "backup", dir, "--to", to)
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("Whole: 1 messages")
	all, _ := os.ReadDir(dir)
	if len(all) != 1 {
		t.Errorf("the folder has %v", all)
	}
}

// A program's profile is backed up and restored without a person.
func TestBackupUnattended(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	p, _, _ := recoverable(t, home)
	c, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	c.Service = true
	if err := p.Save(c); err != nil {
		t.Fatal(err)
	}
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte(testPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, to := keyFile(t)
	run := func(args ...string) string {
		t.Helper()
		out, err := at(t, home, append(args, "--pin-file", pin)...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v: %s", args, err, out)
		}
		return string(out)
	}
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("271829\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := at(t, home, "backup", dir, "--to", to, "--pin-file", wrong).CombinedOutput(); err == nil {
		t.Errorf("with a wrong PIN: %s", out)
	}
	if out := run("backup", dir, "--to", to); !strings.Contains(out, "Whole: 1 messages") {
		t.Errorf("said %q", out)
	}
	log := auditedAll(t, p, testPIN)
	if follow(log, "unlock-failed reason=wrong-pin count=1", "unlock reason=unattended", "backup ref=* count=1", "lock reason=stopped") != len(log) {
		t.Errorf("the audit log says\n%s", strings.Join(log, "\n"))
	}
	if out := run("backup", dir, "--to", to); !strings.Contains(out, "What is new since 000: 0 messages") {
		t.Errorf("said %q", out)
	}
	inDatabase(t, p, func(tx *store.Tx) error { _, err := tx.RemoveConversation(bob); return err })
	if out := run("restore", dir, "--key-file", key); !strings.Contains(out, "Restored: 1 messages") {
		t.Errorf("said %q", out)
	}
	out, err := at(t, home, "restore", dir, "--pin-file", pin).CombinedOutput()
	if err == nil || !strings.Contains(strings.Join(strings.Fields(string(out)), " "), "name the file that it is in with --key-file") {
		t.Errorf("without a key: %v: %s", err, out)
	}
}
