package link

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sotto/client/stanza"
	"sotto/client/wire"
)

func TestResentStanzas(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), false)
	d.login(s.url)
	await(t, s.online, "login")
	s.deliver(`<message xmlns="jabber:client" id="a"><body>x</body></message>`)
	first, _ := d.inbound()
	s.cut()
	await(t, s.online, "resumption")
	s.deliver(`<message xmlns="jabber:client" id="b"><body>x</body></message>`)
	if in, e := d.inbound(); e.Get("id") != "b" || in.Seq != first.Seq+1 {
		t.Errorf("after resumption came %s as %d", e.Get("id"), in.Seq)
	}
	s.says(d, "does not allow", func() {
		s.mu.Lock()
		s.sent[0] = strings.Replace(s.sent[0], `"a"`, `"z"`, 1)
		s.oneMore = true // who resumes, and is sent what was changed
		s.mu.Unlock()
		s.cut()
	})
}

func TestHostileCounts(t *testing.T) {
	for _, h := range []string{"1000", "4294967295", "-1", "x", ""} {
		s := newServer(t, script{}, nil)
		d := attach(t, start(t, Config{}), true)
		d.login(s.url)
		await(t, s.online, "login")
		d.phase(wire.Online)
		s.raw(`<a xmlns="%s" h="%s"/>`, stanza.NSSM, h)
		for e := await(t, s.other, "stream error"); !e.Is(stanza.NSStream, "error"); {
			e = await(t, s.other, "stream error")
		}
		await(t, s.online, "fresh login")
		d.next("a second session", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.Session == 2 })
	}
}

func TestHostileStanzas(t *testing.T) {
	for name, c := range map[string]struct{ xml, words string }{
		"malformed": {`<message xmlns="jabber:client"><body></message>`, "broken XML"},
		"comment":   {`<message xmlns="jabber:client"><!-- --></message>`, "XMPP forbids"},
		"doctype":   {`<!DOCTYPE x [<!ENTITY a "b">]><message xmlns="jabber:client"/>`, "XMPP forbids"},
		"two":       {`<message xmlns="jabber:client"/><message xmlns="jabber:client"/>`, "broken XML"},
		"deep":      {strings.Repeat(`<a xmlns="jabber:client">`, 100) + strings.Repeat(`</a>`, 100), "nested too deeply"},
		"many":      {`<a xmlns="jabber:client">` + strings.Repeat(`<b/>`, stanza.MaxElements) + `</a>`, "too many parts"},
		"large":     {`<message xmlns="jabber:client"><body>` + strings.Repeat("x", stanza.MaxSize) + `</body></message>`, "larger than 1 MiB"},
		"empty":     {``, "broken XML"},
		"control":   {"<message xmlns=\"jabber:client\"><body>\x1b[2J\x00</body></message>", "broken XML"},
		"binary":    {"", "does not allow"},
		"error":     {`<stream:error xmlns:stream="` + stanza.NSStream + `"><policy-violation xmlns="` + stanza.NSStreams + `"/></stream:error>`, "policy was violated"},
		"close":     {`<close xmlns="` + stanza.NSFraming + `"/>`, "ended the connection"},
		"elsewhere": {`<close xmlns="` + stanza.NSFraming + `" see-other-uri="wss://evil.example/"/>`, "another relay"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, script{}, nil)
			d := attach(t, start(t, Config{}), true)
			d.login(s.url)
			await(t, s.online, "login")
			d.phase(wire.Online)
			s.says(d, c.words, func() {
				if name != "binary" {
					s.raw("%s", c.xml)
					return
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				s.peer.ws.Write(s.peer.ctx, websocket.MessageBinary, []byte(`<message xmlns="jabber:client"/>`))
			})
			if name != "elsewhere" { // which waits for a person
				await(t, s.online, "another login")
			}
		})
	}
}

func TestStrangeStanzasAreHarmless(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	for _, x := range []string{
		`<iq xmlns="jabber:client"/>`, `<iq xmlns="jabber:client" type="get"/>`, `<iq xmlns="jabber:client" type="set" id="1"/>`,
		`<iq xmlns="jabber:client" type="result" id="1" from="@@"/>`, `<message xmlns="jabber:client" from="@" to="/"/>`,
		`<presence xmlns="jabber:client" type="?"/>`, `<message xmlns="jabber:client"><sent xmlns="urn:xmpp:carbons:2"/></message>`,
		`<iq xmlns="jabber:client" type="get" id="2" from="` + strings.Repeat("x", 5000) + `"><ping xmlns="urn:xmpp:ping"/></iq>`,
	} {
		s.deliver("%s", x)
	}
	s.raw(`<enabled xmlns="%s"/>`, stanza.NSSM)
	s.raw(`<what xmlns="ever"/>`)
	s.deliver(`<message xmlns="jabber:client" id="last"><body>x</body></message>`)
	for {
		if _, e := d.inbound(); e.Get("id") == "last" {
			break
		}
	}
	for {
		s.raw(`<r xmlns="%s"/>`, stanza.NSSM)
		if h := await(t, s.answers, "<a/>"); h == 9 {
			break
		} else if h > 9 {
			t.Fatalf("h=%d", h)
		}
	}
	if _, logins, _ := s.counts(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
}

func TestBrokenDesk(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	for name, m := range map[string]wire.Message{
		"before login": msg("m"),
		"not a stanza": wire.Send{ID: "x", Stanza: []byte("<what/>")},
		"not XML":      wire.Send{ID: "x", Stanza: []byte("what")},
		"a link's own": wire.Settled{ID: "x"},
	} {
		d := attach(t, l, true)
		if name != "before login" {
			d.login(s.url)
			d.phase(wire.Online)
		}
		d.write(m)
		late := time.After(patience)
		for open := true; open; {
			select {
			case _, open = <-d.msgs:
			case <-late:
				t.Fatalf("%s: the link kept the connection", name)
			}
		}
	}
	d := attach(t, l, true) // and is still there
	d.login(s.url)
	d.phase(wire.Online)
	d2 := attach(t, l, true) // a second desk takes the first one's place
	d2.login(s.url)
	d2.phase(wire.Online)
	for range d.msgs {
	}
}
