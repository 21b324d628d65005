package client

import (
	"context"
	"testing"
	"time"

	"filippo.io/age"

	"sotto/client/locker"
	"sotto/client/store"
)

// TestRestoreBringsNothingBack restores an old backup where it is known by now that
// messages of it were recalled, by who wrote them or by the organisation's order, or
// ran out: none of these texts is here afterwards, nor a key to their files.
func TestRestoreBringsNothingBack(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	old := keeperOf(t, t.TempDir(), backedUp)
	now := time.Now()
	day := 24 * time.Hour
	if err := old.store.Update(context.Background(), func(tx *store.Tx) error {
		for _, m := range []store.Message{
			{OriginID: "recalled", Body: "secret of a recall"},
			{OriginID: "ordered", Body: "secret of an order"},
			{OriginID: "expired", Body: "secret with a time to live", Expires: now.Add(-time.Minute)},
			{OriginID: "old", Body: "secret older than is kept", Time: now.Add(-40 * day)},
			{OriginID: "kept", Body: "potassium 6.1"},
		} {
			if m.Time.IsZero() {
				m.Time = now.Add(-20 * day)
			}
			m.Peer, m.Sender, m.Stored = bobs, bobs, m.Time
			if _, err := tx.AddMessage(&m); err != nil {
				return err
			}
			name := locker.NewName()
			if err := old.files.Write(name, []byte("ciphertext")); err != nil {
				return err
			}
			if err := tx.AddAttachment(&store.Attachment{MessageID: m.ID, Name: "x", Size: 10, URL: "https://x.example/" + m.OriginID,
				Key: append(name[:], make([]byte, 44)...), State: store.Done}); err != nil {
				return err
			}
			if _, err := tx.SetReactions(m.ID, backedUp, []string{"ok"}, now); err != nil {
				return err
			}
		}
		m := store.Message{Peer: "carol@ward.example", Sender: "carol@ward.example", OriginID: "short", Body: "secret of a conversation that keeps a day", Time: now.Add(-2 * day), Stored: now.Add(-2 * day)}
		_, err := tx.AddMessage(&m)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	whole, _ := save(t, old, BackupPlan{To: []string{id.Recipient().String()}})

	fresh := keeperOf(t, t.TempDir(), backedUp)
	if err := fresh.store.Update(context.Background(), func(tx *store.Tx) error {
		// What the archive and the organisation have said by then of messages that are not here.
		if _, _, err := tx.Recall(store.Recalling{Peer: bobs, OriginID: "recalled", Sender: bobs, Time: now, Digest: store.Digest("recalled", "secret of a recall")}); err != nil {
			return err
		}
		if _, err := tx.RecallOrdered(store.OrderedRecall{Author: bobs, OriginID: "ordered", By: "ward.example", Time: now}); err != nil {
			return err
		}
		if err := tx.SetLifespan("carol@ward.example", day); err != nil {
			return err
		}
		return tx.SetRetention(30 * day)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(fresh, id, whole); err != nil {
		t.Fatal(err)
	}
	if err := fresh.store.View(context.Background(), func(tx *store.Tx) error {
		seen := 0
		for _, peer := range []string{bobs, "carol@ward.example"} {
			list, err := tx.Messages(peer, 0, 100)
			if err != nil {
				return err
			}
			for _, m := range list {
				files, err := tx.Attachments(m.ID)
				if err != nil {
					return err
				}
				reactions, err := tx.Reactions(m.ID)
				if err != nil {
					return err
				}
				switch {
				case m.OriginID == "kept":
					seen++
					if m.Body != "potassium 6.1" || m.Gone != store.Here || len(files) != 1 {
						t.Errorf("what is to be here: %+v, %d files", m, len(files))
					}
				case m.Gone == store.Here || m.Body != "" || len(files) != 0 || len(reactions) != 0:
					t.Errorf("%s came back: %q, gone %v, %d files, %d reactions", m.OriginID, m.Body, m.Gone, len(files), len(reactions))
				default:
					seen++
				}
				if want := map[string]store.Gone{"recalled": store.Recalled, "ordered": store.Recalled, "expired": store.RanOut, "old": store.RanOut, "short": store.RanOut}[m.OriginID]; m.Gone != want {
					t.Errorf("%s: gone %v, want %v", m.OriginID, m.Gone, want)
				}
			}
		}
		if seen != 6 {
			t.Errorf("%d messages, want 6", seen)
		}
		found, _, _, err := tx.Search(store.Search{Text: "secret", Limit: 10})
		if len(found) != 0 {
			t.Errorf("the search finds %d texts", len(found))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
