package link

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/test/server"
)

func TestManual(t *testing.T) {
	url := os.Getenv("TRY")
	if url == "" {
		t.Skip()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ca, _ := os.ReadFile(os.Getenv("TRYCA"))
	legacy := os.Getenv("TRYLEGACY") != ""
	domain := "localhost"
	var srv *server.Server
	if url == "ejabberd" || url == "prosody" {
		var err error
		f := server.StartEjabberd
		if url == "prosody" {
			f = server.StartProsody
		}
		srv, err = f(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Stop()
		if err := srv.AddTeam(t.Context(), "g", server.Person{Name: "ada", Display: "Ada", Password: "correct horse"}, server.Person{Name: "bob", Display: "Bob", Password: "correct horse"}); err != nil {
			t.Fatal(err)
		}
		url, domain = srv.WebSocket, srv.Domain
		ca, _ = os.ReadFile(srv.CAFile)
		t.Log(srv.Name, srv.Version)
	}
	var net1 cutter
	l := start(t, Config{Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
		c, err := net1.dial(ctx, n, a)
		if err != nil {
			return nil, err
		}
		return logConn{c, c.LocalAddr().String()}, nil
	}, Logger: log})
	ada, bob := attach(t, l, true), attach(t, start(t, Config{}), true)
	m := account1(url)
	m.Address, m.CA, m.Legacy = "ada@"+domain, ca, legacy
	ada.write(m)
	m = account1(url)
	m.Address, m.CA, m.Legacy = "bob@"+domain, ca, legacy
	bob.write(m)
	t.Logf("%+v", ada.phase(wire.Online))
	bob.phase(wire.Online)
	t.Logf("%+v", ada.next("rtt", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.RTT > 0 }))
	const each, rounds = 5, 20
	cutsDone := make(chan bool)
	go func() {
		defer close(cutsDone)
		for i := range each * rounds {
			for from, to := range map[*testDesk]string{ada: "bob@" + domain, bob: "ada@" + domain} {
				id := fmt.Sprintf("to-%s-%d", to[:3], i)
				if err := wire.Write(from.conn, wire.Send{ID: id, Stanza: stanza.NewChat(to, id, stanza.Body("x")).Bytes()}); err != nil {
					t.Error(err)
					return
				}
			}
			if i%each == 0 {
				time.Sleep(10 * time.Millisecond)
				net1.cut()
				status(t, l, "offline", func(s Status) bool { return !s.Online })
				status(t, l, "online", func(s Status) bool { return s.Online })
			}
		}
	}()
	got := map[string]bool{}
	for name, d := range map[string]*testDesk{"ada": ada, "bob": bob} {
		for i := 0; i < each*rounds; {
			_, e := d.inbound()
			if e.Local != "message" || e.Child(stanza.NSClient, "body") == nil || e.Child(stanza.NSDelay, "delay") != nil && i == 0 && e.Get("id") != "to-"+name+"-0" {
				continue
			}
			if got[e.Get("id")] { t.Errorf("%s twice", e.Get("id")) }
			got[e.Get("id")] = true
			i++
		}
	}
	<-cutsDone
	ada.close()
	for i := range 3 {
		id := fmt.Sprint("locked-", i)
		bob.write(wire.Send{ID: id, Stanza: stanza.NewChat("ada@"+domain, id, stanza.Body("x")).Bytes()})
	}
	t.Logf("%+v", status(t, l, "three waiting", func(s Status) bool { return s.Waiting == 3 }))
	ada = attach(t, l, true)
	m = account1(url)
	m.Address, m.CA, m.Legacy = "ada@"+domain, ca, legacy
	ada.write(m)
	for i := 0; i < 3; {
		if _, e := ada.inbound(); e.Local == "message" {
			if want := fmt.Sprint("locked-", i); e.Get("id") != want {
				t.Fatalf("got %s, not %s", e, want)
			}
			i++
		}
	}
	for range 2 {
		pw := "battery staple"
		if i := os.Getenv("TRYPW"); i != "" {
			pw = i
		}
		ada.write(wire.ChangePassword{Password: []byte(pw)})
		t.Logf("%+v", ada.next("PasswordChanged", func(m wire.Message) bool { _, ok := m.(wire.PasswordChanged); return ok }))
		net1.cut()
		ada.next("online again", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.Phase == wire.Connecting })
		t.Logf("%+v", ada.phase(wire.Online))
		os.Setenv("TRYPW", "correct horse")
	}

	if srv != nil {
		srv.Kill()
		t.Logf("%+v", status(t, l, "offline", func(s Status) bool { return !s.Online && s.State.Words != "" }))
		ada.write(msg("while down"))
		if err := srv.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", ada.phase(wire.Online))
		ada.settled("while down")
	}
}

type logConn struct {
	net.Conn
	name string
}

func (c logConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if os.Getenv("TRYLOG") != "" { fmt.Fprintf(os.Stderr, "<< %s %q\n", c.name, b[:n])
	return n, err
}
func (c logConn) RemoteAddr() net.Addr { return c.Conn.RemoteAddr() }
