package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"sotto/client/audit"
	"sotto/client/backup"
	"sotto/client/store"
)

// auditedAs returns how many lines of the audit log have a kind in them.
func auditedAs(t testing.TB, st *store.Store, kind audit.Kind, words string) (n int) {
	t.Helper()
	if err := st.View(context.Background(), func(tx *store.Tx) error {
		return tx.AuditLines(0, 10_000, func(_ int64, line, _ []byte) {
			if strings.Contains(string(line), " "+kind.String()+" ") && strings.Contains(string(line), words) {
				n++
			}
		})
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBackupAsThePolicySays: the organisation's recovery key opens it, without being
// asked for; and where backups are forbidden there is none, and that is written down.
func TestBackupAsThePolicySays(t *testing.T) {
	s := staff(t).start()
	id, _ := age.GenerateX25519Identity()
	if _, name, ok := s.c.RecoveryKey(); name != "" || !ok {
		t.Errorf("a policy without a key names %q, %v", name, ok)
	}
	s.policy(2, "recovery-key = \""+id.Recipient().String()+"\"\n")
	s.nudge()
	s.upToDate()
	if serial, name, ok := s.c.RecoveryKey(); serial != 2 || name != id.Recipient().String() || !ok {
		t.Errorf("policy %d names %q, %v", serial, name, ok)
	}
	f, err := os.CreateTemp(t.TempDir(), "backup")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if done, err := s.c.Backup(context.Background(), f, BackupPlan{}); err != nil || done.Keys != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	f.Seek(0, 0)
	if r, err := backup.NewReader(f, id); err != nil || r.Header.Organisation != mercyOrg || r.Header.Address != me {
		t.Errorf("%v", err)
	}
	if n := auditedAs(t, s.st, audit.BackupMade, ""); n != 1 {
		t.Errorf("the audit log tells of %d backups", n)
	}

	// A key of one's own, which opens it anywhere, needs the right to save.
	own, err := os.CreateTemp(t.TempDir(), "backup")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	mine, _ := age.GenerateX25519Identity()
	plan := BackupPlan{To: []string{mine.Recipient().String()}}
	if _, err := s.c.Backup(context.Background(), own, plan); !errors.Is(err, ErrOwnKey) {
		t.Errorf("with a key of one's own: %v", err)
	}
	if n := auditedAs(t, s.st, audit.BackupRefused, "by-policy"); n != 1 {
		t.Errorf("the audit log tells of %d refusals", n)
	}
	s.policy(3, "saving = true\nrecovery-key = \""+id.Recipient().String()+"\"\n")
	s.nudge()
	s.upToDate()
	if done, err := s.c.Backup(context.Background(), own, plan); err != nil || done.Keys != 2 {
		t.Errorf("with the right to save: %+v, %v", done, err)
	}

	s.policy(4, "backup = false\n")
	s.nudge()
	s.upToDate()
	empty, err := os.CreateTemp(t.TempDir(), "backup")
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if _, err := s.c.Backup(context.Background(), empty, BackupPlan{To: []string{id.Recipient().String()}}); !errors.Is(err, ErrNoBackup) {
		t.Errorf("forbidden: %v", err)
	}
	if info, err := empty.Stat(); err != nil || info.Size() != 0 {
		t.Error("something was written all the same")
	}
	if n := auditedAs(t, s.st, audit.BackupRefused, "by-policy"); n != 2 {
		t.Errorf("the audit log tells of %d refusals", n)
	}
}

// TestAccessesAreTold: each use of the recovery key is in the audit log and in the
// conversation with the organisation, once. What stands between unlocking and locking
// was done by whoever used it; what led to no unlocking stands outside.
func TestAccessesAreTold(t *testing.T) {
	s := staff(t).start()
	if err := s.c.Locked(ctx, audit.ByPerson, false); err != nil {
		t.Fatal(err)
	}
	list := []Access{
		{ID: [8]byte{1}, Time: time.Now(), Reason: "emergency", Words: "an emergency", By: lind},
		{ID: [8]byte{2}, Time: time.Now(), Reason: "forgotten-pin", Words: "a forgotten PIN", By: lind},
	}
	before := len(logged(t, s.c))
	for _, o := range []Opening{
		{Accesses: list[:1]}, // the vault was opened with the key, and sotto was killed
		{Accesses: list, Recovered: true},
		{Accesses: list}, // every desk is told of all that the vault knows
	} {
		if err := errors.Join(s.c.Unlocked(ctx, o), s.c.Locked(ctx, audit.Idle, false)); err != nil {
			t.Fatal(err)
		}
	}
	access := func(n int, reason string) string {
		return fmt.Sprintf("emergency-access by=%s ref=%s reason=%s", lind, audit.IDOf(hex.EncodeToString(list[n].ID[:])), reason)
	}
	want := []string{
		access(0, "emergency"), "unlock", "lock reason=idle",
		"unlock", access(1, "forgotten-pin"), "lock reason=idle",
		"unlock", "lock reason=idle",
	}
	if got := logged(t, s.c)[before:]; !slices.Equal(got, want) {
		t.Errorf("the audit log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := s.st.View(context.Background(), func(tx *store.Tx) error {
		lines, err := tx.Messages(contact, 0, 10)
		if len(lines) != 2 || !strings.Contains(lines[0].Body, "opened with the recovery key") || !strings.Contains(lines[0].Body, lind) || lines[0].Kind != store.Notice {
			t.Errorf("%+v", lines)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
