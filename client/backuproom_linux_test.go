package client

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
)

// A backup for which there is no room says so, and the next goes on from the one before.
func TestBackupWithoutRoom(t *testing.T) {
	c := keeperOf(t, t.TempDir(), backedUp)
	keepsake(t, c)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	plan := BackupPlan{To: []string{id.Recipient().String()}, Kept: true}
	first, err := os.Create(filepath.Join(t.TempDir(), "first"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	whole, err := c.Backup(t.Context(), first, plan)
	if err != nil || whole.Segment != 0 {
		t.Fatalf("%+v, %v", whole, err)
	}
	plan.Series = whole.Series
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if _, err := c.Backup(t.Context(), full, plan); !errors.Is(err, errNoRoom) {
		t.Errorf("on a full disk: %v", err)
	}
	second, err := os.Create(filepath.Join(t.TempDir(), "second"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if more, err := c.Backup(t.Context(), second, plan); err != nil || more.Series != whole.Series || more.Segment != 1 {
		t.Errorf("%+v, %v", more, err)
	}
}
