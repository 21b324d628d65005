package client

import (
	"bytes"
	"strings"
	"testing"

	"sotto/client/audit"
	"sotto/client/store"
)

// TestFilesAreLogged sends, fetches and opens a file. Its name is in no line.
func TestFilesAreLogged(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	words := []string{"ecg okafor", "okafor.png", ".png", "CANARY"}
	hers, his := keeps(t, a.Client, words...), keeps(t, b.Client, words...)
	content := file(70_001)
	m := a.attachFile(b, "ecg okafor.png", content, "")
	a.delivered(b, m)
	got := b.offered(a, "ecg okafor.png")
	url := ""
	if err := b.st.View(ctx, func(tx *store.Tx) error {
		f, err := tx.Attachment(got.Files[0].ID)
		if f != nil {
			url = f.URL
		}
		return err
	}); err != nil || !strings.HasPrefix(url, "http") {
		t.Fatalf("the file is at %q: %v", url, err)
	}
	id, ref := idOfRow(t, b.Client, got.ID), audit.IDOf(strings.Replace(url, "http://", "https://", 1)).String()
	hers.leaves(audit.MessageSent, "peer=%s message=%s", b.jid, id)
	hers.leaves(audit.FileSent, "peer=%s message=%s ref=%s", b.jid, id, ref)
	his.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", a.jid, a.device.ID(), id)
	if err := b.Fetch(ctx, got.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	b.fileIs(a, got.Files[0].ID, store.Done)
	his.leaves(audit.FileReceived, "peer=%s message=%s ref=%s", a.jid, id, ref)
	for range 2 { // each time that it is looked at
		if is, err := b.Contents(ctx, got.Files[0].ID); err != nil || !bytes.Equal(is, content) {
			t.Fatal(err)
		}
		his.leaves(audit.FileOpened, "peer=%s message=%s ref=%s", a.jid, id, ref)
	}
}

// idOfRow is the id of a message, as its sender has called it.
func idOfRow(t testing.TB, c *Client, row int64) (id string) {
	t.Helper()
	if err := c.store.View(ctx, func(tx *store.Tx) error {
		m, err := tx.Message(row)
		if m != nil {
			id = m.OriginID
		}
		return err
	}); err != nil || len(id) != 26 {
		t.Fatalf("message %d has the id %q: %v", row, id, err)
	}
	return id
}

// TestRoomsAreLogged: who comes and goes, on each device. The address of a room, which
// its first name is in, is all that is said of it.
func TestRoomsAreLogged(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b, c := w.person("ada"), w.person("per"), w.person("rana")
	words := []string{"Night shift", "topic of it"}
	hers, his, ranas := keeps(t, a.Client, words...), keeps(t, b.Client, words...), keeps(t, c.Client, words...)
	peer := a.create("Night shift, ward 4", b, c)
	for _, p := range []*person{a, b, c} {
		p.knows(peer, a, b, c)
	}
	if err := a.SetTopic(soon(t), peer, "topic of it"); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*ledger{hers, his, ranas} {
		l.leaves(audit.RoomJoined, "peer=%s", peer)
		for _, p := range []*person{a, b, c} {
			l.leaves(audit.RoomMemberAdded, "peer=%s room=%s", p.jid, peer)
		}
	}
	if err := a.Remove(soon(t), peer, c.jid); err != nil {
		t.Fatal(err)
	}
	a.knows(peer, a, b)
	b.knows(peer, a, b)
	hers.leaves(audit.RoomMemberRemoved, "peer=%s room=%s", c.jid, peer)
	his.leaves(audit.RoomMemberRemoved, "peer=%s room=%s", c.jid, peer)
	ranas.leaves(audit.RoomLeft, "peer=%s reason=removed", peer)
	if err := b.Leave(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	a.knows(peer, a)
	his.leaves(audit.RoomLeft, "peer=%s reason=by-person", peer)
	hers.leaves(audit.RoomMemberRemoved, "peer=%s room=%s", b.jid, peer)
}
