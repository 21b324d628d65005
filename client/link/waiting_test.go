package link

import (
	"fmt"
	"strings"
	"testing"

	"sotto/client/stanza"
)

const urgent = `<headers xmlns="http://jabber.org/protocol/shim"><header name="Urgency">high</header></headers>`

func TestArrival(t *testing.T) {
	message := func(attrs, rest string) string {
		return `<message xmlns="jabber:client" ` + attrs + `>` + rest + `</message>`
	}
	copied := func(from, dir, inner string) string {
		return message(`from="`+from+`"`, `<`+dir+` xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">`+inner+`</forwarded></`+dir+`>`)
	}
	marker := message(`to="bob@h.example/x" from="ada@h.example/phone"`, `<displayed xmlns="urn:xmpp:chat-markers:0" id="m7"/>`)
	bob := `from="bob@h.example/x" id="m7"`
	for name, c := range map[string]struct {
		xml  string
		want *arrival
	}{
		"body":            {message(bob, `<body>x</body>`), &arrival{peer: "bob@h.example", id: "m7"}},
		"encrypted":       {message(bob, encrypted), &arrival{peer: "bob@h.example", id: "m7"}},
		"stat":            {message(bob, encrypted+urgent), &arrival{peer: "bob@h.example", id: "m7", stat: true}},
		"low":             {message(bob, encrypted+strings.Replace(urgent, "high", "low", 1)), &arrival{peer: "bob@h.example", id: "m7"}},
		"stat of nothing": {message(bob, urgent), nil},
		"key only":        {message(bob, strings.Replace(encrypted, "<payload>AA==</payload>", "", 1)+urgent), nil},
		"error":           {message(bob+` type="error"`, `<body>x</body>`), nil},
		"own":             {message(`from="ada@h.example/phone" id="x"`, `<body>x</body>`), nil},
		"received":        {copied("ada@h.example", "received", message(bob, encrypted+urgent)), &arrival{peer: "bob@h.example", id: "m7", stat: true}},
		"forged received": {copied("eve@evil.example", "received", message(bob, encrypted+urgent)), nil},
		"sent":            {copied("ada@h.example", "sent", message(`to="bob@h.example" from="ada@h.example/phone"`, encrypted)), nil},
		"read elsewhere":  {copied("ada@h.example", "sent", marker), &arrival{peer: "bob@h.example", id: "m7", read: true}},
		"forged read":     {copied("eve@evil.example", "sent", marker), nil},
		"read by bob":     {message(bob, `<displayed xmlns="urn:xmpp:chat-markers:0" id="m7"/>`), nil},
		"empty carbon":    {message(`from="ada@h.example"`, `<sent xmlns="urn:xmpp:carbons:2"/>`), nil},
	} {
		e, err := stanza.Parse([]byte(c.xml))
		if err != nil {
			t.Fatal(name, err)
		}
		got := arrivalOf(e, "ada@h.example")
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}

func TestWaiting(t *testing.T) {
	var w waiting
	check := func(what string, n, stat int) {
		t.Helper()
		if w.n != n || w.stat != stat || w.since.IsZero() != (n == 0) {
			t.Errorf("%s: %d waiting, %d stat, since %v; not %d, %d", what, w.n, w.stat, w.since, n, stat)
		}
	}
	w.add(nil)
	check("nothing", 0, 0)
	w.add(&arrival{peer: "bob", id: "1"})
	w.add(&arrival{peer: "bob", id: "2", stat: true})
	w.add(&arrival{peer: "eve", id: "2"})
	w.add(&arrival{peer: "bob", id: "3", stat: true})
	w.add(&arrival{peer: "bob"})
	w.add(&arrival{peer: "bob"})
	check("all", 6, 2)
	w.add(&arrival{peer: "bob", id: "2", stat: true}) // a lost session brings it again
	w.add(&arrival{peer: "eve", id: "2", stat: true}) // and this time it is urgent
	check("again", 6, 3)
	w.add(&arrival{peer: "bob", id: "9", read: true})
	w.add(&arrival{peer: "mia", id: "2", read: true})
	check("what is not known was read", 6, 3)
	w.add(&arrival{peer: "bob", id: "2", read: true})
	check("up to 2 was read", 4, 2) // what bob wrote after that goes on to ring
	w.add(&arrival{peer: "bob", id: "3", read: true})
	w.add(&arrival{peer: "eve", id: "2", read: true})
	check("what has an id was read", 2, 0)
	w.add(&arrival{peer: "bob", id: "4"})
	w.add(&arrival{peer: "bob", id: "4", read: true})
	check("all of it was read", 0, 0)

	for i := range 2 * maxRecent {
		w.add(&arrival{peer: "bob", id: fmt.Sprint(i), stat: true})
	}
	if w.n != 2*maxRecent || len(w.recent) != maxRecent || w.recent[0].id != fmt.Sprint(maxRecent) {
		t.Errorf("%d waiting, %d known, from %+v", w.n, len(w.recent), w.recent[0])
	}
	w.n = maxWaiting
	w.add(&arrival{peer: "eve", id: "x", stat: true})
	if w.n != maxWaiting || w.stat != 2*maxRecent {
		t.Errorf("%d waiting, %d stat", w.n, w.stat)
	}
}

// What is read on the telephone does not go on to ring here.
func TestReadElsewhereWhileLocked(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	d.close()
	for i := range 3 {
		s.deliver(`<message xmlns="jabber:client" id="m%d" from="bob@h.example/x">%s%s</message>`, i, encrypted, urgent)
	}
	status(t, l, "three", func(s Status) bool { return s.Waiting == 3 && s.Stat == 3 })
	s.deliver(`<message xmlns="jabber:client" from="ada@h.example"><sent xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">` +
		`<message xmlns="jabber:client" from="ada@h.example/phone" to="bob@h.example/x"><displayed xmlns="urn:xmpp:chat-markers:0" id="m1"/></message></forwarded></sent></message>`)
	status(t, l, "one left", func(s Status) bool { return s.Waiting == 1 && s.Stat == 1 && !s.Since.IsZero() })
}
