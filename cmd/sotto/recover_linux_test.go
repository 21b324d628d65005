package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/store"
	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/roletest"
	"sotto/keystore"
	"sotto/keystore/recovery"
	"sotto/keystore/shares"
)

const bob = "bob@ward.example"

// recoverable makes a profile with a message in it, whose vault a recovery key opens.
// It returns the paths of three shares of it, of which two are needed.
func recoverable(t *testing.T, home string) (p profile.Profile, k *recovery.Key, sheets []string) {
	t.Helper()
	p = vaultAt(t, home, "ws://127.0.0.1:1/ws", 10, 0)
	if err := os.Remove(p.Database); err != nil {
		t.Fatal(err)
	}
	lock, err := p.Lock() // as whoever has run here before
	if err != nil {
		t.Fatal(err)
	}
	lock.Unlock()
	k = recovery.New()
	t.Cleanup(k.Destroy)
	name, err := k.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	inDatabase(t, p, func(tx *store.Tx) error {
		_, err := tx.AddMessage(&store.Message{Peer: bob, Sender: bob, OriginID: "1", Body: "Bed 9 has potassium 6.1"})
		return err
	})
	place := keystore.At(p.Vault, p.DeviceKey)
	pin := locked(testPIN)
	defer pin.Destroy()
	for range 2 {
		o, err := place.Open(pin)
		if err != nil {
			t.Fatal(err)
		}
		key, err := o.DatabaseKey()
		if err != nil {
			t.Fatal(err)
		}
		announcing, err := keystore.AnnounceKey(key.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if place.Announced, err = keystore.Announce(announcing, 1, name); err != nil {
			t.Fatal(err)
		}
		key.Destroy()
		o.Close()
	}
	set, err := k.Split(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Destroy()
	for n := range set.Len() {
		sheet := recovery.Sheet{Organisation: "ward.example", Recipient: name, Number: n + 1, Of: 3, Need: 2}.Heading() +
			string(set.AppendText(make([]byte, 0, shares.TextSize), n))
		path := filepath.Join(t.TempDir(), "share")
		if err := os.WriteFile(path, []byte(sheet), 0o600); err != nil {
			t.Fatal(err)
		}
		sheets = append(sheets, path)
	}
	return p, k, sheets
}

// inDatabase does something in a profile's database that no process has open.
func inDatabase(t *testing.T, p profile.Profile, f func(*store.Tx) error) {
	t.Helper()
	inDatabaseOf(t, p, testPIN, f)
}

// inDatabaseOf is inDatabase with another PIN.
func inDatabaseOf(t *testing.T, p profile.Profile, digits string, f func(*store.Tx) error) {
	t.Helper()
	pin := locked(digits)
	defer pin.Destroy()
	o, err := keystore.At(p.Vault, p.DeviceKey).Open(pin)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	key, err := o.DatabaseKey()
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(context.Background(), p.Database, key)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

// audited returns the lines of the audit log with a word in them.
func audited(t *testing.T, p profile.Profile, kind audit.Kind) (lines []string) {
	t.Helper()
	inDatabase(t, p, func(tx *store.Tx) error {
		return tx.AuditLines(0, 1000, func(_ int64, line, _ []byte) {
			if strings.Contains(string(line), kind.String()) {
				lines = append(lines, string(line))
			}
		})
	})
	return lines
}

// An emergency: the shares are in files, the messages can be read and nothing else,
// and the person is told with their own PIN, which is as it was.
func TestRecoverInAnEmergency(t *testing.T) {
	home := t.TempDir()
	p, _, sheets := recoverable(t, home)
	c := roletest.Start(t, at(t, home, "org", "recover", "alice@ward.example", "--reason", "emergency", "--by", "grace@ward.example",
		"--key-file", sheets[2], "--key-file", sheets[0]), 80, 24)
	bobs(c)
	c.Type("Ill-considered words\r")
	c.See("for reading only")
	c.Type("\x0c")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("The vault is locked.")
	c.Restored()
	// Hers is what stands between unlocking and locking.
	log := auditedAll(t, p, testPIN)
	if follow(log, "unlock", "emergency-access by=grace@ward.example ref=* reason=emergency", "message-shown peer="+bob+" message=*", "lock reason=by-person") != len(log) {
		t.Errorf("the audit log says\n%s", strings.Join(log, "\n"))
	}
	inDatabase(t, p, func(tx *store.Tx) error {
		list, err := tx.Messages(bob, 0, 10)
		if len(list) != 1 || list[0].Read {
			t.Errorf("messages: %+v", list)
		}
		if d, err := tx.Draft(bob); err != nil || d.Text != "" {
			t.Errorf("a draft was kept: %v", err)
		}
		return err
	})

	c = roletest.Start(t, at(t, home), 80, 24)
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	c.See("This vault was opened with the recovery key", "grace@ward.example", "an emergency", "Enter to go on")
	c.Type("\r")
	c.See("Ctrl+K", "unread")
	quit(t, c)
	c = roletest.Start(t, at(t, home), 80, 24)
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	c.See("Ctrl+K") // told once
	quit(t, c)
	if got := audited(t, p, audit.EmergencyAccess); len(got) != 1 {
		t.Errorf("the audit log says %q", got)
	}
	if all := auditedAll(t, p, testPIN); howMany(all, "unlock") != 3 || howMany(all, "lock reason=by-person") != 3 {
		t.Errorf("the audit log says\n%s", strings.Join(all, "\n"))
	}
}

// bobs opens the conversation with Bob.
func bobs(c *roletest.Console) {
	c.See("Ctrl+K switch")
	c.Type("\x0b")
	c.See("bob")
	c.Type("bob\r")
	c.See("Bed 9 has potassium")
}

// A forgotten PIN: the shares are typed, with a mistake, and a new PIN is chosen.
func TestRecoverAForgottenPIN(t *testing.T) {
	home := t.TempDir()
	p, _, sheets := recoverable(t, home)
	c := roletest.Start(t, at(t, home, "org", "recover", "default", "--reason", "forgotten-pin", "--by", "grace@ward.example"), 80, 24)
	c.See("Recovery key, or row 1 of a share", "age1")
	c.Type("9999 9999 9999 9\r")
	c.See("Row 1 has a mistake", "_")
	for i, path := range []string{sheets[1], sheets[2]} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		row := 0
		for _, line := range strings.Split(string(b), "\n") {
			if len(line) < 4 || line[1:3] != "  " {
				continue
			}
			if row++; i == 1 || row > 1 {
				c.See("row " + line[:1])
			}
			c.Type(line + "\r")
		}
		if bytesOn(c, b) {
			t.Error("a row of a share was shown")
		}
	}
	c.See("New PIN  _", "noted")
	c.Type("918273\r")
	c.See("Again  _")
	c.Type("918273\r")
	bobs(c)
	c.Type("\x0c")
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	c.See("That PIN is not right.", "PIN  _")
	c.Type("918273\r")
	c.See("This vault was opened with the recovery key", "a forgotten PIN", "Enter to go on")
	c.Type("\r")
	c.See("Ctrl+K")
	quit(t, c)
	if s, err := keystore.At(p.Vault, p.DeviceKey).Status(); err != nil || s.Tried != 0 || s.Recovery == "" {
		t.Errorf("%+v, %v", s, err)
	}
	// Who chose the PIN could read until the lock; the wrong PIN is told of, once.
	log := slices.DeleteFunc(auditedAll(t, p, "918273"), func(e string) bool { return strings.HasPrefix(e, "message-shown ") })
	if follow(log, "unlock", "emergency-access by=grace@ward.example ref=* reason=forgotten-pin", "lock reason=by-person",
		"unlock-failed reason=wrong-pin count=1", "unlock", "lock reason=by-person") != len(log) || howMany(log, "unlock-failed") != 1 {
		t.Errorf("the audit log says\n%s", strings.Join(log, "\n"))
	}
}

// bytesOn reports whether a row of a sheet is anywhere in what was written to a terminal.
func bytesOn(c *roletest.Console, sheet []byte) bool {
	for _, line := range strings.Split(string(sheet), "\n") {
		if len(line) > 10 && line[1:3] == "  " && strings.Contains(string(c.Output()), line[3:12]) {
			return true
		}
	}
	return false
}

func TestRecoverRefuses(t *testing.T) {
	home := t.TempDir()
	p, _, sheets := recoverable(t, home)
	run := func(want string, args ...string) {
		t.Helper()
		c := roletest.Start(t, at(t, home, append([]string{"org", "recover"}, args...)...), 80, 24)
		if code := c.Exit(); code != 1 {
			t.Errorf("%q: exit code %d", args, code)
		}
		c.Until("said "+want, func(screen string) bool { return strings.Contains(strings.Join(strings.Fields(screen), " "), want) })
		c.Restored()
	}
	by := []string{"--by", "grace@ward.example", "--reason", "absent"}
	run("say which vault")
	run("why is the vault opened", "default", "--by", "g@h.example")
	run("why is the vault opened", "default", "--by", "g@h.example", "--reason", "fun")
	run("who opens the vault", "default", "--reason", "absent")
	run("no profile of carol@ward.example", append([]string{"carol@ward.example"}, by...)...)
	run("do not hold enough shares", append([]string{"default", "--key-file", sheets[0]}, by...)...)
	run("no such file", append([]string{"default", "--key-file", sheets[0] + "x"}, by...)...)
	run("this share was given already", append([]string{"default", "--key-file", sheets[0], "--key-file", sheets[0]}, by...)...)
	_, _, others := recoverable(t, t.TempDir())
	run("this share belongs to another key than those before it", append([]string{"default", "--key-file", sheets[0], "--key-file", others[1]}, by...)...)
	run("this is not the recovery key of this vault", append([]string{"default", "--key-file", others[0], "--key-file", others[1]}, by...)...)
	sheet, err := os.ReadFile(sheets[1])
	if err != nil {
		t.Fatal(err)
	}
	changed := func(from, to string) string {
		path := filepath.Join(t.TempDir(), "share 2")
		if err := os.WriteFile(path, []byte(strings.Replace(string(sheet), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	row := string(sheet[strings.Index(string(sheet), "\n3  ")+4:])[:14]
	typo := "0" + row[1:]
	if row[0] == '0' {
		typo = "1" + row[1:]
	}
	run("share 2: row 3 has a mistake", append([]string{"default", "--key-file", sheets[0], "--key-file", changed(row, typo)}, by...)...)
	cut := string(sheet[strings.Index(string(sheet), "\n5  "):])
	run("share 2: a share in this file ends after row 4 of 6", append([]string{"default", "--key-file", sheets[0], "--key-file", changed(cut, "")}, by...)...)
	run("share 2: this file has neither a recovery key nor a share", append([]string{"default", "--key-file", changed(string(sheet), "Dear Grace")}, by...)...)
	other := recovery.New()
	defer other.Destroy()
	text := other.Text()
	defer text.Destroy()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	run("this is not the recovery key of this vault", append([]string{"default", "--key-file", path}, by...)...)
	before := audited(t, p, audit.EmergencyAccess)
	if err := os.Remove(p.DeviceKey); err != nil {
		t.Fatal(err)
	}
	run("device secret is missing", append([]string{"default", "--key-file", sheets[0], "--key-file", sheets[1]}, by...)...)
	if len(before) != 0 {
		t.Errorf("what was refused is told as an access: %q", before)
	}
}

// TestRecoveryKeyCommand makes keys, on paper and in files.
func TestRecoveryKeyCommand(t *testing.T) {
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "org", "recovery-key", "--recovery-shares", "2/3", "--org", "ward.example"), 80, 24)
	r := new(recovery.Reader)
	defer r.Destroy()
	for n := range 3 {
		c.See("Share "+string(rune('1'+n))+" of 3 of the recovery key of ward.example", "Any 2 of the 3", "press Enter")
		if n > 0 {
			if _, err := r.File(strings.NewReader(c.Screen())); err != nil {
				t.Fatal(err)
			}
		}
		c.Type("\r")
	}
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	k := r.Key()
	if k == nil {
		t.Fatal("two shares that were on the screen make no key")
	}
	defer k.Destroy()
	name, _ := k.Recipient()
	c.See("recovery-key = \"" + name + "\"")
	if strings.Contains(c.Screen(), "Share") {
		t.Errorf("a share stayed on the screen:\n%s", c.Screen())
	}

	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	args := []string{"org", "recovery-key", "--recovery-shares", "2/2", "--recovery-file", a, "--recovery-file", b}
	c = roletest.Start(t, at(t, home, args...), 80, 24)
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, path := range []string{a, b} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	c = roletest.Start(t, at(t, home, args...), 80, 24)
	if code := c.Exit(); code == 0 {
		t.Error("a key was replaced")
	}
	c.See("is there already")
	for _, bad := range []string{"1/3", "4/3", "2/99", "x", "2"} {
		c = roletest.Start(t, at(t, home, "org", "recovery-key", "--recovery-shares", bad), 80, 24)
		if code := c.Exit(); code == 0 {
			t.Errorf("shares %s", bad)
		}
	}
}

// TestRecoveryKeyIntoPolicy: the first policy names the key that was shown.
func TestRecoveryKeyIntoPolicy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	r := recoveryKey{files: []string{path}}
	for body, want := range map[string]string{"": "destroy-after", "paste = false\n": "paste = false\n\nrecovery-key = \"age1"} {
		os.Remove(path)
		got, err := r.intoPolicy(orgInitCommand(), os.Stdin, body)
		if err != nil || !strings.Contains(got, want) || strings.Count(got, "\nrecovery-key = \"age1") != 1 {
			t.Errorf("%q: %v, %q", body, err, got)
		}
		var k recovery.Reader
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := k.File(f); !whole || err != nil {
			t.Errorf("%v, %v", whole, err)
		}
		f.Close()
		key := k.Key()
		if name, _ := key.Recipient(); !strings.Contains(got, name) {
			t.Error("the policy names another key")
		}
		key.Destroy()
		if _, err := policy.New("hospital.example", 1, time.Now(), got); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.intoPolicy(orgInitCommand(), os.Stdin, "recovery-key = \"age1x\"\n"); err == nil {
		t.Error("a policy that names a key, and a key that is to be made")
	}
	none := recoveryKey{}
	if got, err := none.intoPolicy(orgInitCommand(), os.Stdin, "recovery-key = \"age1x\"\n"); err != nil || got != "recovery-key = \"age1x\"\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestRecoveryKeyOfThePolicy: from a policy in the encrypted database, through the desk
// and the next gate, into the vault. What somebody puts beside the database does
// nothing.
func TestRecoveryKeyOfThePolicy(t *testing.T) {
	home := t.TempDir()
	p := vaultAt(t, home, "ws://127.0.0.1:1/ws", 10, 0)
	if err := os.Remove(p.Database); err != nil {
		t.Fatal(err)
	}
	_, to := keyFile(t)
	now := time.Now().UTC().Truncate(time.Second)
	key := orgtest.New("ward.example", "1")
	rules, err := policy.New("ward.example", 1, now, "recovery-key = \""+to+"\"\n")
	if err != nil {
		t.Fatal(err)
	}
	note, err := rules.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if rules, err = policy.Open(note, key.Key); err != nil {
		t.Fatal(err)
	}
	newest, err := (&head.Head{Number: 1, Issued: now, Policy: rules.At(), Orders: head.Orders{First: 1}}).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	inDatabase(t, p, func(tx *store.Tx) error {
		if _, err := omemo.Setup(tx); err != nil {
			return err
		}
		m, err := membership.Join(tx, org.NewAnchor(key.Key, 0), "sotto@ward.example", "alice@ward.example", now.Add(-time.Hour))
		if err != nil {
			return err
		}
		return errors.Join(m.Follow(tx, newest), m.SetPolicy(tx, note))
	})
	status := func() string {
		s, err := keystore.At(p.Vault, p.DeviceKey).Status()
		if err != nil {
			t.Fatal(err)
		}
		return s.Recovery
	}
	_, evil := keyFile(t)
	planted, err := keystore.Announce(memguard.NewEnclave([]byte(strings.Repeat("k", 32))), 99, evil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.Data, role.AnnouncementFile), planted, 0o600); err != nil {
		t.Fatal(err)
	}
	// The first desk announces, and locks, since nothing was said of this policy before
	// the PIN; the second gate obeys.
	c := asked(t, home)
	c.See("Enter the PIN again")
	if got := status(); got != "" {
		t.Errorf("after unlocking once the vault opens with %q", got)
	}
	c.Type(testPIN + "\r")
	c.See("F1 help")
	if got := status(); got != to {
		t.Errorf("after unlocking twice the vault opens with %q, want %q", got, to)
	}
	quit(t, c)
}
