package store

import (
	"fmt"
	"testing"
)

// TestRecallByOrder takes a message back wherever it is, and where it comes later.
func TestRecallByOrder(t *testing.T) {
	s := memory(t)
	r := OrderedRecall{Author: "bob@example.org", OriginID: "m1", By: "hospital.example (wrong patient)", Time: at(9)}
	add(t, s, incoming("bob@example.org", "m1", 1))
	inRoom := incoming("ward@rooms.example.org", "m1", 2)
	inRoom.Sender, inRoom.Author = "ward@rooms.example.org/bob", "bob@example.org"
	add(t, s, inRoom)
	others := incoming("eve@example.org", "m1", 3) // who happens to use the same id
	add(t, s, others)
	update(t, s, func(tx *Tx) error {
		here, err := tx.RecallOrdered(r)
		if err != nil || len(here) != 2 {
			return fmt.Errorf("%d of them are here: %v", len(here), err)
		}
		for _, m := range here {
			if gone, err := tx.CarryOut(r, m.ID); err != nil || !gone {
				return fmt.Errorf("not carried out: %v", err)
			}
			if gone, err := tx.CarryOut(r, m.ID); err != nil || gone {
				return fmt.Errorf("carried out twice: %v", err)
			}
		}
		return nil
	})
	later := incoming("later@rooms.example.org", "m1", 4)
	later.Sender, later.Author = "later@rooms.example.org/b", "bob@example.org"
	add(t, s, later)
	for _, peer := range []string{"bob@example.org", "ward@rooms.example.org", "later@rooms.example.org"} {
		list := messages(t, s, peer, 0, 9)
		if len(list) != 1 || list[0].Body != "" || list[0].Gone != Recalled || list[0].GoneBy != r.By || !list[0].GoneAt.Equal(r.Time) {
			t.Errorf("%s: %+v", peer, list)
		}
	}
	if list := messages(t, s, "eve@example.org", 0, 9); len(list) != 1 || list[0].Gone != Here {
		t.Errorf("somebody else's: %+v", list)
	}

	r.OriginID, r.Digest = "m2", Digest("m2", "what was meant") // another text with that id stays
	update(t, s, func(tx *Tx) error { _, err := tx.RecallOrdered(r); return err })
	m := incoming("bob@example.org", "m2", 5)
	m.Body = "something else"
	add(t, s, m)
	m = incoming("ward@rooms.example.org", "m2", 6)
	m.Sender, m.Author, m.Body = "ward@rooms.example.org/bob", "bob@example.org", "what was meant"
	add(t, s, m)
	if list := messages(t, s, "bob@example.org", 0, 9); list[len(list)-1].Gone != Here {
		t.Errorf("another text: %+v", list)
	}
	if list := messages(t, s, "ward@rooms.example.org", 0, 9); list[len(list)-1].Gone != Recalled {
		t.Errorf("the text that was meant: %+v", list)
	}
}

func TestOwedAcknowledgements(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		for n := range uint64(maxAcknowledging + 10) {
			if err := tx.OweAcknowledgement(OwedAcknowledgement{n + 1, fmt.Sprint("id", n+1), []byte("note")}); err != nil {
				return err
			}
		}
		return tx.OweAcknowledgement(OwedAcknowledgement{20, "again", []byte("another")})
	})
	update(t, s, func(tx *Tx) error { return tx.Acknowledged("id21") })
	err := s.View(t.Context(), func(tx *Tx) error {
		list, err := tx.OwedAcknowledgements()
		if err != nil {
			return err
		}
		if len(list) != maxAcknowledging-1 || list[0].Number != 11 || list[9].ID != "again" || string(list[9].Note) != "another" || list[10].Number != 22 {
			t.Errorf("%d of them, from %d, then %+v", len(list), list[0].Number, list[9:11])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
