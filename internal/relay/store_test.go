package relay

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sotto/client/stanza"
)

// relayFolder tells a copy of the test binary to be a relay on that folder,
// for a test that kills it.
const relayFolder = "SOTTO_TEST_RELAY_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(relayFolder); dir != "" {
		if err := beRelay(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func beRelay(dir string) error {
	r, err := New(Config{Domain: domain, Store: dir, Iterations: minIterations})
	if err != nil {
		return err
	}
	defer r.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() { // ends with the test, at the latest
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(1)
	}()
	return r.Serve(r.ctx, ln)
}

// TestKill kills a relay with SIGKILL in the middle of a conversation: what it
// had acknowledged is there afterwards.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenAccounts(dir, domain)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{"alice", "bob"} {
		if err := a.Add(u, []byte(password(u)), "", ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), relayFolder+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: strings.TrimSpace(addr)}
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	alice.must("set", "", publish("n", "current", "kept", options("pubsub#access_model", "open")))
	alice.must("set", "", `<block xmlns="urn:xmpp:blocking"><item jid="x@y"/></block>`)
	alice.enter(ward3, "alice", "")
	alice.must("set", ward3, affil("member", bob.bare))
	file := alice.slot("f", 4)
	if got := put(t, file, []byte("text")); got != 201 {
		t.Fatalf("uploaded: %d", got)
	}
	bob.enable(true)
	alice.enable(true)
	for i := range 100 {
		alice.chat("bob@ward.example", fmt.Sprint(i))
	}
	for i := range 100 {
		alice.groupchat(ward3, fmt.Sprint(i), fmt.Sprint(i))
	}
	if got := alice.count(); got != "200" {
		t.Fatalf("%s acknowledged", got)
	}
	before := s.addr
	// Bob's client got them and said nothing: for all one knows it has not stored them.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()

	s = startRelay(t, Config{Store: dir})
	bob = s.online("bob", "b")
	for i := range 100 {
		if m := bob.body(fmt.Sprint(i)); m.Child(nsStanzaID, "stanza-id") == nil {
			t.Errorf("%s", m)
		}
	}
	bob.none("one twice", func(e *stanza.Element) bool { return e.Local == "message" })
	bob.seen = nil
	if p := bob.query("<max>250</max>"); len(p.bodies) != 100 || !p.complete() {
		t.Errorf("%d messages in the archive", len(p.bodies))
	}
	if p := bob.queryAt(ward3, "<max>250</max>"); len(p.bodies) != 100 || !p.complete() {
		t.Errorf("%d messages in the room's archive", len(p.bodies))
	}
	if _, body := httpDo(t, "GET", strings.Replace(file.Get, before, s.addr, 1), nil); body != "text" {
		t.Errorf("the file: %q", body)
	}
	alice = s.online("alice", "a")
	if got := itemList(bob.must("get", "alice@ward.example", getItems("n"))); got != "current=kept" {
		t.Errorf("PEP: %s", got)
	}
	if list := alice.must("get", "", `<blocklist xmlns="urn:xmpp:blocking"/>`); !strings.Contains(list.String(), `jid="x@y"`) {
		t.Errorf("blocked: %s", list)
	}
}

// TestRestart: a relay that was closed in order has nothing to send again.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := startRelay(t, Config{Store: dir}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	bob.enable(true)
	alice.chat("bob@ward.example", "read")
	bob.body("read")
	bob.ack(1)
	bob.sync()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Domain: "other.example", Store: dir}); err == nil {
		t.Error("opened for another domain")
	}
	s = startRelay(t, Config{Store: dir})
	if r, err := New(Config{Domain: domain, Store: dir}); err == nil {
		r.Close()
		t.Error("two relays on one folder")
	}
	bob = s.online("bob", "b")
	bob.none("what was read", hasBody("read"))
	alice = s.online("alice", "a")
	alice.chat("bob@ward.example", "new")
	bob.body("new")
	if p := bob.query(""); p.String() != "read new" {
		t.Errorf("archive: %s", p)
	}
}

// TestOtherProcess: a running relay notices what "sotto relay user" does.
func TestOtherProcess(t *testing.T) {
	dir := t.TempDir()
	s := startRelay(t, Config{Store: dir}, "alice", "bob")
	alice := s.online("alice", "a")
	bob := s.online("bob", "b")
	alice.must("get", "", `<query xmlns="jabber:iq:roster"/>`)
	a, err := OpenAccounts(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Add("carol", []byte(password("carol")), "Carol", "Theatre"); err != nil {
		t.Fatal(err)
	}
	alice.expect("a push", func(e *stanza.Element) bool {
		return e.Get("type") == "set" && e.Child(nsRoster, "query").Child("", "item").Get("jid") == "carol@ward.example"
	})
	carol := s.online("carol", "c")
	if err := a.SetPassword("bob", []byte("changed from outside")); err != nil {
		t.Fatal(err)
	}
	if got := bob.ended(); got != "not-authorized" {
		t.Errorf("bob ended with %q", got)
	}
	if err := a.Remove("carol"); err != nil {
		t.Fatal(err)
	}
	if got := carol.ended(); got != "not-authorized" {
		t.Errorf("carol ended with %q", got)
	}
	users, err := a.List()
	if err != nil || len(users) != 2 {
		t.Errorf("%v, %v", users, err)
	}
	if err := a.Remove("carol"); err == nil {
		t.Error("removed twice")
	}
	if _, err := OpenAccounts(dir, "other.example"); err == nil {
		t.Error("opened for another domain")
	}
	if _, err := OpenAccounts(t.TempDir(), ""); err == nil {
		t.Error("a new folder without a domain")
	}
}

// TestRemovedUserLeavesNothing: a later user of the same name starts empty.
func TestRemovedUserLeavesNothing(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice := s.online("alice", "a")
	alice.chat("bob@ward.example", "for the first bob")
	bob := s.connect("bob", "b")
	bob.must("set", "", publish("n", "1", "x", ""))
	bob.must("set", "", `<block xmlns="urn:xmpp:blocking"><item jid="alice@ward.example"/></block>`)
	if err := s.RemoveUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	bob.ended()
	if err := s.AddUser(t.Context(), "bob", []byte(password("bob")), ""); err != nil {
		t.Fatal(err)
	}
	bob = s.online("bob", "b")
	if p := bob.query(""); len(p.ids) != 0 {
		t.Errorf("archive: %s", p)
	}
	bob.refused("item-not-found", "get", "", getItems("n"))
	bob.none("the first bob's message", hasBody("for the first bob"))
	alice.chat("bob@ward.example", "for the second")
	bob.body("for the second")
}

// TestFullDisk: what cannot be stored is not acknowledged and not delivered.
func TestFullDisk(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob", "carol")
	alice, bob, carol := s.online("alice", "a"), s.online("bob", "b"), s.online("carol", "c")
	id := alice.enable(true)
	pages := func(n int64) {
		s.do(t.Context(), func(c *core) error {
			if n == 0 {
				n = c.store.number(`PRAGMA page_count`)
			}
			return c.store.db.Exec(fmt.Sprintf(`PRAGMA max_page_count=%d`, n))
		})
	}
	pages(0) // not one more than now
	alice.send(`<message type="chat" to="bob@ward.example"><body>` + strings.Repeat("x", 100<<10) + `</body></message>`)
	alice.raw(`<r xmlns="urn:xmpp:sm:3"/>`)
	if got := alice.ended(); got != "internal-server-error" {
		t.Errorf("ended with %q", got)
	}
	for _, e := range alice.seen {
		if e.Is(stanza.NSSM, "a") && e.Get("h") != "0" {
			t.Errorf("acknowledged: %s", e)
		}
	}
	if _, answer := s.resume("alice", id, 0); answer.Local != "failed" {
		t.Errorf("resumed what is ahead of the disk: %s", answer)
	}
	carol.sync() // not concerned
	if got := bob.ended(); got != "internal-server-error" {
		t.Errorf("bob ended with %q", got)
	}
	for _, e := range bob.seen {
		if e.Local == "message" {
			t.Errorf("delivered: %s", e)
		}
	}
	pages(1 << 30)
	alice, bob = s.online("alice", "a"), s.online("bob", "b")
	alice.chat("bob@ward.example", "again")
	bob.body("again")
	if p := bob.query(""); p.String() != "again" {
		t.Errorf("archive: %.100s", p)
	}
}

func TestDataFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	s := startRelay(t, Config{Store: dir}, "alice")
	s.sync(t)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, info.Mode(), err)
	}
	closed := func(dir string) {
		t.Helper()
		files, err := os.ReadDir(dir)
		if err != nil || len(files) < 3 {
			t.Errorf("%d files, %v", len(files), err)
		}
		for _, f := range files {
			if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("open to others: %s %v, %v", f.Name(), info.Mode(), err)
			}
		}
	}
	closed(dir)
	open := t.TempDir() // as somebody made it, with a file from before
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(open, "relay.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	startRelay(t, Config{Store: open}, "alice").sync(t)
	closed(open)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Domain: domain, Store: file}); err == nil {
		t.Error("a file as a folder")
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "relay.db"), []byte(strings.Repeat("not a database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Domain: domain, Store: broken}); err == nil {
		t.Error("opened what is no database")
	}
	later := t.TempDir()
	st, err := openStore(later)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.db.Exec(`PRAGMA user_version=99`); err != nil {
		t.Fatal(err)
	}
	st.close()
	if _, err := New(Config{Domain: domain, Store: later}); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("a later format: %v", err)
	}
}

// sync waits until the core has done what it was given.
func (s *server) sync(t testing.TB) {
	t.Helper()
	if err := s.do(t.Context(), func(*core) error { return nil }); err != nil {
		t.Fatal(err)
	}
}
