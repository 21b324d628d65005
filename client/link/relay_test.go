package link

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/internal/relay"
)

// cutter is a Dial whose connections can be broken.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		c.mu.Lock()
		c.conns = append(c.conns, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	c.conns = nil
}

// Two links on the embedded relay: everything sent while one of them is cut again
// and again arrives once and in order.
func TestEmbeddedRelay(t *testing.T) {
	r, err := relay.New(relay.Config{Domain: "h.example", Iterations: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range []string{"ada", "bob"} {
		if err := r.AddUser(t.Context(), name, []byte("correct horse"), name); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go r.Serve(ctx, ln)
	url := "ws://" + ln.Addr().String() + "/ws"

	var net1 cutter
	l := start(t, Config{Dial: net1.dial})
	ada, bob := attach(t, l, true), attach(t, start(t, Config{}), true)
	ada.login(url)
	m := account1(url)
	m.Address = "bob@h.example"
	bob.write(m)
	if st := ada.phase(wire.Online); st.Address != "ada@h.example/desk" {
		t.Errorf("%+v", st)
	}
	bob.phase(wire.Online)

	const each, rounds = 5, 10
	go func() {
		for i := range each * rounds {
			for from, to := range map[*testDesk]string{ada: "bob@h.example", bob: "ada@h.example"} {
				id := fmt.Sprintf("to-%s-%d", to[:3], i)
				if err := wire.Write(from.conn, wire.Send{ID: id, Stanza: stanza.NewChat(to, id, stanza.Body("x")).Bytes()}); err != nil {
					t.Error(err)
					return
				}
			}
			if i%each == 0 {
				net1.cut()
			}
		}
	}()
	for name, d := range map[string]*testDesk{"ada": ada, "bob": bob} {
		for i := 0; i < each*rounds; {
			_, e := d.inbound()
			if e.Local != "message" || e.Child(stanza.NSClient, "body") == nil {
				continue
			}
			if want := fmt.Sprintf("to-%s-%d", name, i); e.Get("id") != want {
				t.Fatalf("%s got %s, not %s", name, e.Get("id"), want)
			}
			i++
		}
	}

	// Locked: what comes waits, and is there for the next desk.
	ada.write(wire.Stored{Seq: 1 << 32})
	ada.barrier()
	ada.close()
	for i := range 3 {
		id := fmt.Sprint("locked-", i)
		bob.write(wire.Send{ID: id, Stanza: stanza.NewChat("ada@h.example", id, stanza.Body("x")).Bytes()})
	}
	status(t, l, "three waiting", func(s Status) bool { return s.Waiting == 3 })
	ada = attach(t, l, true)
	ada.login(url)
	for i := 0; i < 3; {
		if _, e := ada.inbound(); e.Local == "message" {
			if want := fmt.Sprint("locked-", i); e.Get("id") != want {
				t.Fatalf("got %s, not %s", e.Get("id"), want)
			}
			i++
		}
	}

	// Another password, and the link logs in with it.
	ada.write(wire.ChangePassword{Password: []byte("battery staple")})
	if got := ada.next("PasswordChanged", func(m wire.Message) bool { _, ok := m.(wire.PasswordChanged); return ok }); got != wire.Message(wire.PasswordChanged{}) {
		t.Fatalf("%+v", got)
	}
	net1.cut()
	// What ada says now can arrive over another connection only, and the desk need
	// not have heard that there was none.
	ada.write(wire.Send{ID: "again", Stanza: stanza.NewChat("bob@h.example", "again", stanza.Body("x")).Bytes()})
	for {
		if _, e := bob.inbound(); e.Get("id") == "again" {
			break
		}
	}
	wrong := attach(t, start(t, Config{}), true)
	wrong.login(url)
	wrong.words("does not accept the password")
}
