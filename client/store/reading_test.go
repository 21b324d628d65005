package store

import (
	"context"
	"errors"
	"testing"
)

// TestReadOnly: what somebody looks at with the recovery key stays as it was.
func TestReadOnly(t *testing.T) {
	ctx := context.Background()
	s, err := OpenMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := Message{Peer: "a@h.example", Sender: "a@h.example", OriginID: "1", Body: "hello", Urgency: Stat}
	if err := s.Update(ctx, func(tx *Tx) error { _, err := tx.AddMessage(&m); return err }); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadOnly(); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func(*Tx) error{
		"send": func(tx *Tx) error {
			out := Message{Peer: "a@h.example", Sender: "me@h.example", OriginID: "2", Body: "x", Outgoing: true}
			if _, err := tx.AddMessage(&out); err != nil {
				return err
			}
			return tx.QueueOut(out.ID)
		},
		"remove":       func(tx *Tx) error { return tx.RemoveMessage(m.ID) },
		"conversation": func(tx *Tx) error { _, err := tx.RemoveConversation("a@h.example"); return err },
	} {
		if err := s.Update(ctx, f); !errors.Is(err, ErrReading) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Update(ctx, func(tx *Tx) error {
		_, err := tx.MarkRead("a@h.example", m.ID)
		return errors.Join(err, tx.SetDraft("a@h.example", Draft{Text: "words"}))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.View(ctx, func(tx *Tx) error {
		list, err := tx.Messages("a@h.example", 0, 10)
		if len(list) != 1 || list[0].Read || list[0].Body != "hello" {
			t.Errorf("left: %+v", list)
		}
		n, _, err2 := tx.Unread("a@h.example")
		d, err3 := tx.Draft("a@h.example")
		if n != 1 || d.Text != "" {
			t.Errorf("%d unread, draft %q", n, d.Text)
		}
		return errors.Join(err, err2, err3)
	}); err != nil {
		t.Fatal(err)
	}
}
