package store

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestARetractionIsNoLine has the line of what was taken back say it alone, on every
// page and in the conversation list, whichever of the two comes first.
func TestARetractionIsNoLine(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		t.Run(fmt.Sprint("before its message: ", ahead), func(t *testing.T) {
			s := openTest(t, t.TempDir()+"/db")
			const peer = "ada@x"
			now := time.Now()
			in := func(origin, body string, kind Kind, reply string) *Message {
				return &Message{Peer: peer, Sender: peer, OriginID: origin, Body: body, Kind: kind, Reply: reply, Time: now, Read: true}
			}
			first, wrong := in("1", "first", Text, ""), in("2", "wrong", Text, "")
			retraction, later := in("3", "I take it back", Retraction, "2"), in("4", "later", Text, "")
			ids := func(list []Message, err error) (out []int64) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range list {
					out = append(out, m.ID)
				}
				return out
			}
			take := func(tx *Tx) error {
				if _, _, err := tx.Recall(Recalling{Peer: peer, OriginID: "2", Sender: peer, Time: now}); err != nil {
					return err
				}
				_, err := tx.AddMessage(retraction)
				return err
			}
			put := func(m *Message) func(tx *Tx) error {
				return func(tx *Tx) error { _, err := tx.AddMessage(m); return err }
			}
			steps := []func(tx *Tx) error{put(first), put(wrong), take}
			if ahead {
				steps = []func(tx *Tx) error{put(first), take, func(tx *Tx) error {
					if list := ids(tx.Messages(peer, 0, 10)); len(list) != 2 || list[1] != retraction.ID {
						t.Errorf("alone, the retraction is no line: %v", list)
					}
					if shown, err := tx.IsShown(retraction.ID); !shown || err != nil {
						t.Errorf("alone, it is not shown: %v", err)
					}
					return put(wrong)(tx)
				}}
			}
			for _, step := range steps {
				if err := s.Update(context.Background(), step); err != nil {
					t.Fatal(err)
				}
			}
			check := func(last *Message, want ...int64) {
				t.Helper()
				if err := s.View(context.Background(), func(tx *Tx) error {
					if list := ids(tx.Messages(peer, 0, 10)); fmt.Sprint(list) != fmt.Sprint(want) {
						t.Errorf("the newest page is %v, want %v", list, want)
					}
					if list := ids(tx.MessagesAfter(peer, first.ID, 10)); fmt.Sprint(list) != fmt.Sprint(want[1:]) {
						t.Errorf("the page below is %v, want %v", list, want[1:])
					}
					if list := ids(tx.Messages(peer, want[len(want)-1], 10)); fmt.Sprint(list) != fmt.Sprint(want[:len(want)-1]) {
						t.Errorf("the page above is %v", list)
					}
					if n, _, err := tx.Below(peer, first.ID, 100); n != len(want)-1 || err != nil {
						t.Errorf("%d below, want %d: %v", n, len(want)-1, err)
					}
					c, err := tx.Conversation(peer)
					if err != nil || c.Preview != last.Body || c.Unread != 0 {
						t.Errorf("the list has %+v, %v", c, err)
					}
					if shown, err := tx.IsShown(retraction.ID); shown || err != nil {
						t.Errorf("the retraction is shown: %v", err)
					}
					if id, err := tx.lineUpTo(retraction.ID); id == retraction.ID || id == 0 || err != nil {
						t.Errorf("the line up to the retraction is %d, %v", id, err)
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			check(&Message{}, first.ID, wrong.ID)
			if err := s.Update(context.Background(), put(later)); err != nil {
				t.Fatal(err)
			}
			check(later, first.ID, wrong.ID, later.ID)
			if err := s.Update(context.Background(), func(tx *Tx) error { return tx.RemoveMessage(later.ID) }); err != nil {
				t.Fatal(err)
			}
			check(&Message{}, first.ID, wrong.ID)
		})
	}
}

// TestRetractionOf finds the own one only.
func TestRetractionOf(t *testing.T) {
	s := openTest(t, t.TempDir()+"/db")
	own := &Message{Peer: "ada@x", Sender: "me@x", Outgoing: true, OriginID: "1", Body: "wrong"}
	theirs := &Message{Peer: "ada@x", Sender: "ada@x", OriginID: "2", Kind: Retraction, Reply: "1"}
	mine := &Message{Peer: "ada@x", Sender: "me@x", Outgoing: true, OriginID: "3", Kind: Retraction, Reply: "1"}
	if err := s.Update(context.Background(), func(tx *Tx) error {
		for _, m := range []*Message{own, theirs} {
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		if m, err := tx.RetractionOf(own.ID); m != nil || err != nil {
			t.Errorf("somebody else's: %+v, %v", m, err)
		}
		if shown, err := tx.IsShown(theirs.ID); !shown || err != nil {
			t.Errorf("what took nothing back is hidden: %v", err)
		}
		if _, err := tx.AddMessage(mine); err != nil {
			return err
		}
		m, err := tx.RetractionOf(own.ID)
		if m == nil || m.ID != mine.ID {
			t.Errorf("%+v, %v", m, err)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
