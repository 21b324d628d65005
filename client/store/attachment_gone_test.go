package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// TestRemovedAttachments tells of every way in which a file goes, and of none
// that was undone.
func TestRemovedAttachments(t *testing.T) {
	ctx := context.Background()
	s, err := OpenMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var ids []int64
	add := func(tx *Tx, origin string, expires time.Time) error {
		m := Message{Peer: "a@h.example", Sender: "a@h.example", OriginID: origin, Body: "[file] " + origin, Expires: expires}
		if _, err := tx.AddMessage(&m); err != nil {
			return err
		}
		ids = append(ids, m.ID)
		return tx.AddAttachment(&Attachment{MessageID: m.ID, Name: origin, Key: []byte("key of " + origin), Size: -1})
	}
	now := time.Now()
	if err := s.Update(ctx, func(tx *Tx) error {
		return errors.Join(add(tx, "recalled", time.Time{}), add(tx, "expired", now.Add(-time.Hour)), add(tx, "removed", time.Time{}), add(tx, "kept", time.Time{}),
			add(tx, "alone", time.Time{}))
	}); err != nil {
		t.Fatal(err)
	}
	gone := func() (names []string) {
		for _, r := range s.RemovedAttachments() {
			names = append(names, string(r.Key))
		}
		slices.Sort(names)
		return names
	}
	undone := errors.New("undone")
	if err := s.Update(ctx, func(tx *Tx) error { return errors.Join(tx.RemoveMessage(ids[3]), undone) }); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if got := gone(); got != nil {
		t.Errorf("gone: %q", got)
	}
	if err := s.Update(ctx, func(tx *Tx) error {
		_, _, err := tx.Recall(Recalling{Peer: "a@h.example", OriginID: "recalled", Sender: "a@h.example"})
		return errors.Join(err, tx.RemoveMessage(ids[2]), tx.RemoveAttachment(5))
	}); err != nil {
		t.Fatal(err)
	}
	if got := gone(); !slices.Equal(got, []string{"key of alone", "key of recalled", "key of removed"}) {
		t.Errorf("gone: %q", got)
	}
	if _, _, err := s.Expire(ctx, now); err != nil {
		t.Fatal(err)
	}
	if got := gone(); !slices.Equal(got, []string{"key of expired"}) {
		t.Errorf("gone: %q", got)
	}
	if err := s.View(ctx, func(tx *Tx) error {
		keys, err := tx.AttachmentKeys()
		if len(keys) != 1 || string(keys[0]) != "key of kept" {
			t.Errorf("left: %q", keys)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, func(tx *Tx) error {
		if err := tx.SetAttachmentSize(4, 77); err != nil {
			return err
		}
		a, err := tx.Attachment(4)
		if a.Size != 77 {
			t.Errorf("size %d", a.Size)
		}
		if err := tx.SetAttachmentSize(99, 1); !errors.Is(err, ErrUnknown) {
			t.Errorf("size of nothing: %v", err)
		}
		_, err2 := tx.RemoveConversation("a@h.example")
		return errors.Join(err, err2)
	}); err != nil {
		t.Fatal(err)
	}
	if got := gone(); !slices.Equal(got, []string{"key of kept"}) {
		t.Errorf("gone: %q", got)
	}
}
