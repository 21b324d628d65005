package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"sotto/client/stanza"
)

// TestFloodPushesNobodyOut: who floods an archive pushes out what they wrote,
// not what others did.
func TestFloodPushesNobodyOut(t *testing.T) {
	for name, limits := range map[string]Limits{"messages": {Archive: 300}, "bytes": {ArchiveBytes: 60000}} {
		t.Run(name, func(t *testing.T) {
			s := startRelay(t, Config{Limits: limits}, "alice", "bob", "eve")
			alice, bob, eve := s.online("alice", "a"), s.online("bob", "b"), s.online("eve", "e")
			for i := range 20 {
				bob.chat("alice@ward.example", fmt.Sprint("bob", i))
				alice.body(fmt.Sprint("bob", i))
			}
			for i := range 1000 {
				eve.chat("alice@ward.example", fmt.Sprint("eve", i))
			}
			alice.body("eve999")
			p := alice.query("<max>250</max>", "with", "bob@ward.example")
			if len(p.ids) != 20 || p.bodies[0] != "bob0" {
				t.Errorf("%d messages of bob are left: %s", len(p.ids), p)
			}
			p = alice.query("<max>250</max><before/>", "with", "eve@ward.example")
			if len(p.ids) < 100 || p.bodies[len(p.ids)-1] != "eve999" {
				t.Errorf("%d messages of eve: %s", len(p.ids), p)
			}
			s.do(t.Context(), func(c *core) error {
				most := c.archiveBounds(1)
				for _, a := range c.accounts {
					n, b := c.store.number(`SELECT count(*) FROM archive WHERE account=?`, a.id), c.store.number(`SELECT coalesce(sum(length(stanza)), 0) FROM archive WHERE account=?`, a.id)
					if u := c.total(a.id); n != u.messages || b != u.bytes || n > most.messages || b > most.bytes {
						t.Errorf("%s: %d messages of %d bytes, by the books %+v, at most %+v", a.name, n, b, u, most)
					}
				}
				return nil
			})
		})
	}
}

// TestMailboxShare: one person cannot fill another's mailbox alone.
func TestMailboxShare(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Mailbox: 20, MailboxShare: 10, MailboxBytes: 3000}}, "alice", "bob", "eve")
	bob, eve := s.online("bob", "b"), s.online("eve", "e")
	refused := func(c *client, n int, more string) (count int) {
		for i := range n {
			c.send(fmt.Sprintf(`<message type="chat" id="x%d" to="alice@ward.example"><body>x</body>%s</message>`, i, more))
		}
		c.sync()
		for _, e := range c.seen {
			if e.Get("type") == "error" && errorCondition(e) == "resource-constraint" {
				count++
			}
		}
		c.seen = nil
		return count
	}
	if n := refused(eve, 30, ""); n != 20 {
		t.Errorf("%d of eve's were refused", n)
	}
	if n := refused(bob, 5, ""); n != 0 {
		t.Errorf("%d of bob's were refused", n)
	}
	if n := refused(bob, 4, `<no-permanent-store xmlns="`+nsHints+`"/><x xmlns="urn:x">`+strings.Repeat("x", 2000)+`</x>`); n != 2 {
		t.Errorf("%d large ones were refused", n)
	}
	alice := s.online("alice", "a")
	alice.sync()
	eventually(t, "the books to be closed", func() bool {
		ok := false
		s.do(t.Context(), func(c *core) error { a := c.accounts["alice"]; ok = a.mail == 0 && a.held == 0; return nil })
		return ok
	})
}

// TestKeep: messages go when they are older than they shall be kept, out of
// archives and mailboxes.
func TestKeep(t *testing.T) {
	s := startRelay(t, Config{Keep: 24 * time.Hour}, "alice", "bob")
	in := newRoom(s, "alice")
	alice := in[0]
	alice.groupchat(ward3, "m", "in the room")
	alice.chat("bob@ward.example", "old")
	alice.sync()
	s.do(context.Background(), func(c *core) error { c.now = func() time.Time { return time.Now().Add(23 * time.Hour) }; return nil })
	alice.chat("bob@ward.example", "young")
	alice.sync()
	count := func() (n, m int64) {
		s.do(context.Background(), func(c *core) error {
			n, m = c.store.number(`SELECT count(*) FROM archive`), c.store.number(`SELECT count(*) FROM mailbox`)
			if c.accounts["bob"].mail != m {
				m = -1
			}
			return nil
		})
		return n, m
	}
	if n, m := count(); n != 5 || m != 2 {
		t.Fatalf("%d archived, %d in the mailbox", n, m)
	}
	s.do(context.Background(), func(c *core) error { c.now = func() time.Time { return time.Now().Add(25 * time.Hour) }; return nil })
	eventually(t, "the old ones to go", func() bool { n, m := count(); return n == 2 && m == 1 })
	bob := s.online("bob", "b")
	bob.body("young")
	bob.none("the old one", hasBody("old"))
	if p := bob.query(""); p.String() != "young" {
		t.Errorf("archive: %s", p)
	}
	if p := alice.queryAt(ward3, ""); p.String() != "" {
		t.Errorf("the room's archive: %s", p)
	}
}

// TestDiskFull: what cannot be stored is not acknowledged, the log says why, and
// when there is room again all goes on.
func TestDiskFull(t *testing.T) {
	var log lockedBuffer
	s := startRelay(t, Config{Store: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	alice.enable(true)
	pages := func(limit int64) {
		s.do(t.Context(), func(c *core) error {
			if limit == 0 {
				limit = c.store.number(`PRAGMA page_count`)
			}
			return c.store.db.Exec(fmt.Sprintf(`PRAGMA max_page_count=%d`, limit))
		})
	}
	alice.chat("bob@ward.example", "before")
	bob.body("before")
	h := alice.count()
	pages(0)
	large := strings.Repeat("x", 100000)
	alice.chat("bob@ward.example", large)
	if got := alice.ended(); got != "internal-server-error" {
		t.Errorf("ended with %q", got)
	}
	for _, e := range alice.seen {
		if e.Is(stanza.NSSM, "a") && e.Get("h") != h {
			t.Errorf("acknowledged: %s", e)
		}
	}
	if !strings.Contains(log.String(), "the disk is full") {
		t.Errorf("log: %s", log.String())
	}
	bob.ended() // it was to be sent something in the same batch
	for _, e := range bob.seen {
		if hasBody(large)(e) {
			t.Error("what was not stored was delivered")
		}
	}
	pages(1 << 30)
	bob = s.online("bob", "b")
	alice = s.online("alice", "a")
	alice.enable(true)
	alice.chat("bob@ward.example", large)
	bob.body(large)
	if got := alice.count(); got != "1" {
		t.Errorf("%s acknowledged", got)
	}
	if p := bob.query(""); len(p.ids) != 2 {
		t.Errorf("%d in the archive", len(p.ids))
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// stranger is a connection that comes from wherever a test says.
type stranger struct {
	net.Conn
	host   string
	closed chan string
}

func (s stranger) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(s.host), Port: 1} }
func (s stranger) Close() error         { s.closed <- s.host; return nil }

func TestDoor(t *testing.T) {
	closed := make(chan string, 10)
	next := make(chan string, 10)
	d := newDoor(acceptFunc(func() (net.Conn, error) {
		h, ok := <-next
		if !ok {
			return nil, errors.New("closed")
		}
		return stranger{host: h, closed: closed}, nil
	}), Limits{Unauthenticated: 10 - maxTransfers, UnauthenticatedEach: 2})
	knock := func(host string) *guest {
		t.Helper()
		next <- host
		got := make(chan net.Conn, 1)
		go func() { c, _ := d.Accept(); got <- c }()
		select {
		case c := <-got:
			return c.(*guest)
		case <-closed:
			next <- "127.0.0.1" // lets the Accept that waits go
			(<-got).Close()
			<-closed
			return nil
		case <-time.After(patient):
			t.Fatal("nobody opens")
			return nil
		}
	}
	a, b := knock("192.0.2.1"), knock("192.0.2.1")
	if a == nil || b == nil {
		t.Fatal("two of one address were not let in")
	}
	if knock("192.0.2.1") != nil {
		t.Error("a third was let in")
	}
	if c := knock("192.0.2.2"); c == nil {
		t.Error("another address was kept out")
	}
	a.known()
	a.known()
	if c := knock("192.0.2.1"); c == nil {
		t.Error("nobody was let in after one was known")
	}
	b.Close()
	b.Close()
	<-closed
	<-closed
	if c := knock("192.0.2.1"); c == nil {
		t.Error("nobody was let in after one had gone")
	}
	for i := range 5 {
		if c := knock("127.0.0.1"); c == nil {
			t.Errorf("proxied connection %d was kept out", i)
		}
	}
	d.all = d.total
	if d.enter("192.0.2.9") {
		t.Error("one more than all was let in")
	}
}

type acceptFunc func() (net.Conn, error)

func (f acceptFunc) Accept() (net.Conn, error) { return f() }
func (f acceptFunc) Close() error              { return nil }
func (f acceptFunc) Addr() net.Addr            { return &net.TCPAddr{} }

// TestDoorCounts: over the network and over TLS, who logs in and who goes is
// counted off.
func TestDoorCounts(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor(ln, s.cfg.Limits)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.serve(ctx, d) }()
	counted := func() int { d.mu.Lock(); defer d.mu.Unlock(); return d.total }
	through := &server{s.Relay, t, ln.Addr().String()}
	early := through.dial()
	eventually(t, "one to be counted", func() bool { return counted() == 1 })
	through.online("alice", "a")
	eventually(t, "alice to be counted off", func() bool { return counted() == 1 })
	early.ws.CloseNow()
	eventually(t, "the other to be counted off", func() bool { return counted() == 0 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestOlderDatabase: a database of the first version is brought up to date with
// all that is in it.
func TestOlderDatabase(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite3.Open(filepath.Join(dir, "relay.db"))
	if err != nil {
		t.Fatal(err)
	}
	creds := unknownCredentials([]byte("x"), "alice", minIterations)
	err = db.Exec(schema[0] + `PRAGMA user_version=1;
		INSERT INTO meta VALUES('domain', '` + domain + `'), ('unknown users', x'00');
		INSERT INTO archive VALUES(5, 1, 5, 'bob@ward.example', '', CAST('<message xmlns="jabber:client"/>' AS BLOB)), (6, 1, 6, 'bob@ward.example', '', x'00');
		INSERT INTO mailbox(account, time, archive) VALUES(1, 5, 5);`)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := OpenAccounts(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	err = a.change("alice", func(name string) error { return a.store.addUser(name, "", "", creds, 10) })
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	s := startRelay(t, Config{Store: dir})
	s.do(t.Context(), func(c *core) error {
		if u := c.total(1); u.messages != 2 || u.bytes != 33 {
			t.Errorf("the books say %+v", u)
		}
		if n := c.store.number(`PRAGMA user_version`); n != int64(len(schema)) {
			t.Errorf("version %d", n)
		}
		if m := c.accounts["alice"].mail; m != 1 {
			t.Errorf("%d in the mailbox", m)
		}
		return nil
	})
}
