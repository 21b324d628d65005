package store

import (
	"errors"
	"testing"
	"time"
)

// Messages go with everything that refers to them, and the conversation with its
// messages; contacts stay.
func TestRemove(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		var ids []int64
		for i, state := range []State{Sent, Queued, Queued} {
			m := Message{Peer: "a@x.example", Sender: "me@x.example", Outgoing: true, OriginID: string(rune('a' + i)), ArchiveID: "",
				Body: string(rune('a' + i)), State: state, Time: time.Now()}
			if _, err := tx.AddMessage(&m); err != nil {
				return err
			}
			if err := tx.QueueOut(m.ID); err != nil {
				return err
			}
			ids = append(ids, m.ID)
		}
		if _, err := tx.Settle(ids[2], "archived", true); err != nil {
			return err
		}
		if err := tx.SetOut(ids[0], []byte("<x/>")); err != nil {
			return err
		}
		for i, want := range []bool{true, false} {
			if is, err := tx.Encrypted(ids[i]); err != nil || is != want {
				t.Errorf("message %d is encrypted: %v, %v", i, is, err)
			}
		}
		head, err := tx.OutboxHead()
		if err != nil || len(head) != 3 || !head[0].Encrypted || head[1].Encrypted || head[2].OriginID != "c" || head[2].Peer != "a@x.example" {
			t.Errorf("outbox %+v, %v", head, err)
		}
		if b, err := tx.OutStanza(ids[0]); err != nil || string(b) != "<x/>" {
			t.Errorf("stanza %q, %v", b, err)
		}
		if b, err := tx.OutStanza(ids[1]); err != nil || b != nil {
			t.Errorf("stanza %q, %v", b, err)
		}
		if err := tx.RemoveMessage(ids[2]); err != nil { // the last one, and the anchor
			return err
		}
		if err := tx.RemoveMessage(ids[2]); err != nil {
			t.Errorf("twice: %v", err)
		}
		c, err := tx.Conversation("a@x.example")
		if err != nil || c == nil || c.Preview != "b" {
			t.Errorf("the list shows %+v, %v", c, err)
		}
		if head, err = tx.OutboxHead(); err != nil || len(head) != 2 {
			t.Errorf("outbox %+v, %v", head, err)
		}
		m := Message{Peer: "a@x.example", Sender: "a@x.example", OriginID: "d", Body: "d"}
		if _, _, err := tx.AddArchived(&m, 0); err != nil {
			t.Errorf("after the anchor is gone: %v", err)
		}
		if err := tx.PutContact("a@x.example", "A", ""); err != nil {
			return err
		}
		if _, err := tx.RemoveConversation("a@x.example"); !errors.Is(err, ErrContact) {
			t.Errorf("removing a contact: %v", err)
		}
		if err := tx.RemoveContact("a@x.example"); err != nil {
			return err
		}
		for want := range 2 {
			if known, err := tx.Known("a@x.example"); err != nil || known != (want == 0) {
				t.Errorf("known: %v, %v", known, err)
			}
			gone, err := tx.RemoveConversation("a@x.example")
			if err != nil || len(gone) != 3*(1-want) {
				t.Errorf("removed %v, %v", gone, err)
			}
		}
		if head, err = tx.OutboxHead(); err != nil || len(head) != 0 {
			t.Errorf("outbox %+v, %v", head, err)
		}
		list, err := tx.Conversations()
		if err != nil || len(list) != 0 {
			t.Errorf("conversations %+v, %v", list, err)
		}
		return nil
	})
}
