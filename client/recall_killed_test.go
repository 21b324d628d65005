package client

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/awnumar/memguard"

	"sotto/client/stanza"
	"sotto/client/store"
)

// mortal is a client whose store is on a disk, to go on from there as after SIGKILL.
type mortal struct {
	t    *testing.T
	dir  string
	key  []byte
	d    *double
	link net.Conn
	st   *store.Store
	*Client
}

func (m *mortal) start(session uint64) {
	m.t.Helper()
	st, err := store.Open(context.Background(), filepath.Join(m.dir, "sotto.db"), memguard.NewBufferFromBytes(bytes.Clone(m.key)))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { st.Close() })
	m.st, m.link = st, m.d.attach(session)
	m.Client = run(m.t, st, m.link)
	wait(m.t, m.Client, func(CaughtUp) bool { return true })
	m.d.published(m.Client)
}

// killed goes on with what is on the disk at this moment, and in another session.
func (m *mortal) killed() {
	m.t.Helper()
	to := m.t.TempDir()
	for _, name := range []string{"sotto.db", "sotto.db-wal"} {
		b, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil && !os.IsNotExist(err) {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	m.link.Close() // whatever the first still does, nobody hears
	from(m.t, m.ended, "end of Run")
	for len(m.d.messages) > 0 { // and what it had said is lost
		<-m.d.messages
	}
	m.dir = to
	m.start(2)
}

// TestKilledBetweenRecallAndAnswer is killed once the text is gone, and before the
// relay has what is said about that: on either side.
func TestKilledBetweenRecallAndAnswer(t *testing.T) {
	m := &mortal{t: t, dir: t.TempDir(), key: bytes.Repeat([]byte{7}, store.KeySize), d: newDouble(t)}
	m.start(1)
	r := newRemote(t, m.d, ada)
	r.start(m.d, m.Client)
	for _, x := range []string{"first", "Give 100 mg"} {
		m.d.deliver(r.write(m.Client, x, x))
	}
	eventually(t, "both are there", func() bool { return textOf(t, m.Client, "Give 100 mg") != nil })
	mine, err := m.Send(ctx, ada, "Give 200 mg")
	if err != nil {
		t.Fatal(err)
	}
	sent := m.d.sent(hasPayload)
	if _, err := r.read(sent); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is sent", func() bool { return textOf(t, m.Client, "Give 200 mg").State == store.Sent })

	m.d.settle = false // from here on the relay has nothing
	m.d.deliver(recallOf(r, m.Client, "x", "Give 100 mg", "Give 100 mg"))
	eventually(t, "it is carried out", func() bool { return textOf(t, m.Client, "Give 100 mg") == nil })
	if _, err := m.Recall(soon(t), ada, mine.ID); err != nil {
		t.Fatal(err)
	}
	m.killed()
	if textOf(t, m.Client, "Give 100 mg") != nil || textOf(t, m.Client, "Give 200 mg") != nil {
		t.Errorf("a text is back: %s", bodies(t, m.Client, ada))
	}
	answered, recalled := 0, 0
	for answered == 0 || recalled == 0 {
		e := m.d.sent(func(e *stanza.Element) bool { return e.Child(stanza.NSOmemo, "encrypted") != nil })
		if s, ok := signalIn(r, e); ok && s == signalOf("Give 100 mg", store.CarriedOut) {
			answered++
			continue
		}
		if !hasPayload(e) {
			continue
		}
		body, err := r.read(e)
		if id, digest, _, ok := readRecall(body); err == nil && ok && id == sent.Get("id") && string(digest) == string(store.Digest(id, "Give 200 mg")) {
			recalled++
		}
	}
}
