package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"sotto/client/store"
)

// file makes the content of a file of n bytes, with something to look for in it.
func file(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	copy(b, "CANARY OF A FILE")
	return b
}

// offered waits until a message with a file stands in a conversation, and returns it.
func (p *person) offered(peer *person, name string) Message {
	p.t.Helper()
	var found Message
	eventually(p.t, p.name+" sees the file "+name, func() bool {
		for _, m := range messages(p.t, p.Client, peer.jid) {
			if len(m.Files) == 1 && m.Files[0].Name.String() == name {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// fileIs waits until a file has come to a state.
func (p *person) fileIs(peer *person, id int64, s store.AttachmentState) File {
	p.t.Helper()
	var f File
	eventually(p.t, "the file has come further", func() bool {
		for _, m := range messages(p.t, p.Client, peer.jid) {
			for _, x := range m.Files {
				if x.ID == id {
					f = x
				}
			}
		}
		if f.State != s && f.State >= store.Broken {
			p.t.Fatalf("the file is %+v", f)
		}
		return f.State == s
	})
	return f
}

func (p *person) attachFile(to *person, name string, content []byte, caption string) Message {
	p.t.Helper()
	m, err := p.Attach(ctx, to.jid, name, "", bytes.Clone(content), caption)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// fetches has a person fetch a file, and compares it.
func (p *person) fetches(peer *person, m Message, want []byte) {
	p.t.Helper()
	id := m.Files[0].ID
	if err := p.Fetch(ctx, id); err != nil {
		p.t.Fatal(err)
	}
	f := p.fileIs(peer, id, store.Done)
	if f.Size != int64(len(want)) || !f.Why.Empty() {
		p.t.Errorf("the file is %+v, of %d bytes", f, len(want))
	}
	p.contains(id, want)
}

func (p *person) contains(id int64, want []byte) {
	p.t.Helper()
	got, err := p.Contents(ctx, id)
	if err != nil {
		p.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		p.t.Errorf("the file came as other %d bytes", len(got))
	}
}

// TestFile sends a file through a relay, and looks at what everybody sees of it.
func TestFile(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.delivered(b, a.say(b, "first"))
	content := file(700_001)
	m := a.attachFile(b, "../ecg bed 9.png", content, "the ECG of bed 9")
	if m.State != store.Queued || m.Body.String() != "[image] ecg bed 9.png 700 kB" || len(m.Files) != 1 || m.Files[0].Name.String() != "ecg bed 9.png" ||
		!m.Files[0].Image || m.Files[0].Size != 700_001 || m.Files[0].State != store.Uploading {
		t.Errorf("queued as %+v", m)
	}
	a.contains(m.Files[0].ID, content)
	a.delivered(b, m)
	b.has(a, "the ECG of bed 9")
	got := b.offered(a, "ecg bed 9.png")
	if f := got.Files[0]; f.State != store.Offered || f.Size != -1 || f.Type != "image/png" || !f.Image || f.Host.String() != strings.TrimSuffix(strings.TrimPrefix(w.url, "ws://"), "/ws") {
		t.Errorf("offered as %+v", f)
	}
	if got.Body.String() != "[image] ecg bed 9.png" || !got.Encrypted {
		t.Errorf("offered in %+v", got)
	}
	if _, err := b.Contents(ctx, got.Files[0].ID); err == nil || !strings.Contains(err.Error(), "not fetched yet") {
		t.Errorf("opened before it was fetched: %v", err)
	}
	b.fetches(a, got, content)
	for _, p := range []*person{a, b} {
		list, err := p.Conversations(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if strings.Contains(c.Preview.String(), "aesgcm") {
				t.Errorf("the list shows %q", c.Preview)
			}
		}
		for _, m := range messages(t, p.Client, (map[*person]*person{a: b, b: a})[p].jid) {
			if strings.Contains(m.Body.String(), "aesgcm") || strings.Contains(m.Body.String(), "#") {
				t.Errorf("the conversation shows %q", m.Body)
			}
		}
	}
	// What is recalled, expired or removed leaves the disk, too.
	if err := b.st.Update(ctx, func(tx *store.Tx) error { return tx.RemoveMessage(got.ID) }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Contents(ctx, got.Files[0].ID); !errors.Is(err, errNoFile) {
		t.Errorf("opened after it was removed: %v", err)
	}
	eventually(t, "nothing is kept", func() bool { return b.keeps() == 0 })
}

// keeps is how many files a person's locker holds.
func (p *person) keeps() int {
	n := 0
	p.kept.Each(func([16]byte, int64) { n++ })
	return n
}

// TestFileSurvives cuts connections, locks and ends links while files move.
func TestFileSurvives(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.delivered(b, a.say(b, "first"))
	content := file(6_000_000)
	m := a.attachFile(b, "film.mp4", content, "")
	for range 4 {
		a.cutOnline()
	}
	a.lock()
	a.unlock()
	for range 3 {
		a.cutOnline()
	}
	a.delivered(b, m)
	got := b.offered(a, "film.mp4")
	if err := b.Fetch(ctx, got.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.cutOnline()
	}
	b.lock()
	b.unlock()
	b.cutOnline()
	b.fetches(a, got, content)
}

// TestCancelFile takes an upload back, and stops a download.
func TestCancelFile(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.delivered(b, a.say(b, "first"))
	a.unplug(true)
	a.cut()
	m := a.attachFile(b, "notes.pdf", file(1000), "")
	if err := a.CancelFile(soon(t), m.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	a.unplug(false)
	a.delivered(b, a.say(b, "second"))
	if got := bodies(t, a.Client, b.jid); got != "first|second" {
		t.Errorf("conversation is %q", got)
	}
	if a.keeps() != 0 {
		t.Error("the file is kept")
	}
	if err := a.CancelFile(soon(t), m.Files[0].ID); !errors.Is(err, errNoFile) {
		t.Errorf("cancelled twice: %v", err)
	}
	m = a.attachFile(b, "notes.pdf", file(1000), "")
	a.delivered(b, m)
	if err := a.CancelFile(soon(t), m.Files[0].ID); !errors.Is(err, errLeft) {
		t.Errorf("cancelled after it was sent: %v", err)
	}
	got := b.offered(a, "notes.pdf")
	b.unplug(true)
	if err := b.Fetch(ctx, got.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	b.fileIs(a, got.Files[0].ID, store.Downloading)
	if err := b.CancelFile(soon(t), got.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	b.fileIs(a, got.Files[0].ID, store.Offered)
	if err := b.CancelFile(soon(t), got.Files[0].ID); err == nil {
		t.Error("cancelled what does not move")
	}
}

// TestFileTooLarge refuses what the relay would not take.
func TestFileTooLarge(t *testing.T) {
	c, _ := online(t)
	for _, x := range []struct {
		limit int64
		size  int
		want  string
	}{
		{10_000_000, 10_000_000, "ecg.png is 10000000 bytes. This relay takes files up to 9999984 bytes"},
		{10_000_000, 31_000_000, "ecg.png is 31 MB. This relay takes files up to 10 MB"},
		{0, 68_000_000, "ecg.png is 68 MB. Files can have up to 67 MB"},
		{1 << 40, 68_000_000, "ecg.png is 68 MB. Files can have up to 67 MB"},
		{0, 0, "ecg.png is empty: there is nothing to send"},
	} {
		c.learnLimit(x.limit)
		content := file(max(x.size, 16))[:x.size]
		if _, err := c.Attach(context.Background(), ada, "ecg.png", "", content, ""); err == nil || err.Error() != x.want {
			t.Errorf("%d of %d: %v", x.size, x.limit, err)
		}
		if bytes.ContainsFunc(content, func(r rune) bool { return r != 0 }) {
			t.Error("the content is still there")
		}
	}
	if l := messages(t, c, ada); len(l) != 0 {
		t.Errorf("messages %+v", l)
	}
}
