package link

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/internal/frame"
)

// memguard starts a goroutine of its own with the first enclave; it must not
// belong to a test with a clock of its own.
func TestMain(m *testing.M) {
	memguard.NewEnclave([]byte("first"))
	os.Exit(m.Run())
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// testDesk is the desk's end of a link.
type testDesk struct {
	t     testing.TB
	conn  *frame.Conn
	msgs  chan wire.Message
	mu    sync.Mutex
	store bool // report Stored for everything at once
}

// start runs a link until the test ends.
func start(t testing.TB, cfg Config) *Link {
	if cfg.Backoff == nil {
		cfg.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	l := New(cfg)
	go l.Run(context.Background())
	t.Cleanup(l.Close)
	return l
}

func attach(t testing.TB, l *Link, store bool) *testDesk {
	ours, theirs := net.Pipe()
	d := &testDesk{t: t, conn: frame.NewConn(ours), msgs: make(chan wire.Message, 1<<14), store: store}
	l.Attach(theirs)
	t.Cleanup(d.close)
	go func() {
		defer close(d.msgs)
		for {
			m, err := wire.Read(d.conn)
			if err != nil {
				return
			}
			d.msgs <- m
			if in, ok := m.(wire.Inbound); ok {
				d.mu.Lock()
				store := d.store
				d.mu.Unlock()
				if store {
					go wire.Write(d.conn, wire.Stored{Seq: in.Seq})
				}
			}
		}
	}()
	return d
}

func (d *testDesk) close() { d.conn.Close() }

func (d *testDesk) write(m wire.Message) {
	d.t.Helper()
	if err := wire.Write(d.conn, m); err != nil {
		d.t.Fatal(err)
	}
}

func account1(relay string) wire.Login {
	return wire.Login{Address: "ada@h.example", Relay: relay, Resource: "desk", Password: []byte("correct horse")}
}

func (d *testDesk) login(relay string) { d.t.Helper(); d.write(account1(relay)) }

// next returns the next message for which f holds, skipping others.
func (d *testDesk) next(what string, f func(wire.Message) bool) wire.Message {
	d.t.Helper()
	late := time.After(patience)
	var last wire.Message
	for {
		select {
		case m, ok := <-d.msgs:
			if !ok {
				d.t.Fatalf("no %s: the link closed the connection", what)
			}
			if f(m) {
				return m
			}
			last = m
		case <-late:
			d.t.Fatalf("no %s; last was %+v", what, last)
		}
	}
}

func (d *testDesk) phase(p wire.Phase) wire.State {
	d.t.Helper()
	return d.next(fmt.Sprintf("phase %d", p), func(m wire.Message) bool {
		s, ok := m.(wire.State)
		return ok && s.Phase == p
	}).(wire.State)
}

// words waits for a state with words that contain s.
func (d *testDesk) words(s string) wire.State {
	d.t.Helper()
	return d.next("state that says "+s, func(m wire.Message) bool {
		st, ok := m.(wire.State)
		return ok && strings.Contains(st.Words, s)
	}).(wire.State)
}

// inbound returns the next stanza, and its id.
func (d *testDesk) inbound() (wire.Inbound, *stanza.Element) {
	d.t.Helper()
	in := d.next("inbound stanza", func(m wire.Message) bool { _, ok := m.(wire.Inbound); return ok }).(wire.Inbound)
	e, err := stanza.Parse(in.Stanza)
	if err != nil {
		d.t.Fatalf("the link passed on %q: %v", in.Stanza, err)
	}
	return in, e
}

func (d *testDesk) settled(id string) {
	d.t.Helper()
	d.next("Settled "+id, func(m wire.Message) bool { return m == wire.Message(wire.Settled{ID: id}) })
}

// barrier waits until the link has taken everything that was written so far: an
// empty password is refused at once.
func (d *testDesk) barrier() {
	d.t.Helper()
	d.write(wire.ChangePassword{})
	d.next("PasswordChanged", func(m wire.Message) bool { _, ok := m.(wire.PasswordChanged); return ok })
}

func msg(id string) wire.Send {
	return wire.Send{ID: id, Stanza: stanza.NewChat("bob@h.example", id, stanza.Body("x")).Bytes()}
}

// status waits for a status for which f holds.
func status(t testing.TB, l *Link, what string, f func(Status) bool) Status {
	t.Helper()
	late := time.After(patience)
	var s Status
	for {
		select {
		case s = <-l.Status():
			if f(s) {
				return s
			}
		case <-late:
			t.Fatalf("no status with %s; last was %+v", what, s)
		}
	}
}
