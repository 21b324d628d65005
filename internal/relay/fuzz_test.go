package relay

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
)

// rig is a core without a network, driven by hand.
type rig struct {
	*core
	none chan event
}

func newRig(t testing.TB, users ...string) *rig {
	t.Helper()
	limits := Limits{Nodes: 4, Items: 4, Blocks: 4, Mailbox: 20, Archive: 50, Resources: 3}
	c, err := newCore(Config{Domain: domain, Group: "x", Iterations: minIterations, Limits: limits.withDefaults(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.store.close() })
	c.post = func(event) bool { return true }
	r := &rig{c, make(chan event)}
	for _, u := range users {
		r.call(func() error {
			return c.store.addUser(u, "", "", unknownCredentials([]byte("s"), u, minIterations), 100)
		})
	}
	r.call(func() error { c.reloadUsers(); return nil })
	return r
}

func (r *rig) call(f func() error) { r.batch(event{call: call{do: f}}, r.none) }

// attach makes an authenticated connection without a session.
func (r *rig) attach(user string) *conn {
	return &conn{queue: newQueue(10000, 16<<20), account: r.accounts[user], cut: func() {}}
}

func (r *rig) feed(k *conn, s string) {
	el, err := stanza.Parse([]byte(s))
	if err != nil {
		r.batch(event{conn: k, bad: err}, r.none)
		return
	}
	r.batch(event{conn: k, el: el, size: len(s)}, r.none)
}

func (r *rig) bindTo(user, resource string) *conn {
	k := r.attach(user)
	r.feed(k, `<iq xmlns="jabber:client" type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>`+resource+`</resource></bind></iq>`)
	return k
}

// FuzzSession feeds lines of arbitrary stanzas to a session that is logged in.
// Nothing may panic, what comes out has to be well-formed, nobody else's
// session may end, and nobody may be given somebody else's address.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		`<presence><c xmlns="http://jabber.org/protocol/caps" hash="sha-1" node="n" ver="v"/><priority>-1</priority></presence>`,
		`<message to="bob@ward.example" type="chat"><body>x</body><private xmlns="urn:xmpp:carbons:2"/><store xmlns="urn:xmpp:hints"/></message>`,
		`<message to="bob@ward.example/b" from="carol@ward.example"><stanza-id xmlns="urn:xmpp:sid:0" by="bob@ward.example" id="1"/><body/></message>`,
		`<iq type="set" id="1"><query xmlns="urn:xmpp:mam:2"><x xmlns="jabber:x:data"><field var="with"><value>bob@ward.example</value></field></x><set xmlns="http://jabber.org/protocol/rsm"><max>3</max><before/></set></query></iq>`,
		`<iq type="set" id="1"><pubsub xmlns="http://jabber.org/protocol/pubsub"><publish node="n"><item id="1"><x xmlns="y"/></item></publish><publish-options><x xmlns="jabber:x:data"><field var="pubsub#access_model"><value>open</value></field></x></publish-options></pubsub></iq>`,
		`<iq type="get" id="1" to="bob@ward.example"><pubsub xmlns="http://jabber.org/protocol/pubsub"><items node="n" max_items="1"/></pubsub></iq>`,
		`<iq type="set" id="1"><pubsub xmlns="http://jabber.org/protocol/pubsub#owner"><configure node="n"><x xmlns="jabber:x:data"/></configure></pubsub></iq>`,
		`<iq type="set" id="1"><block xmlns="urn:xmpp:blocking"><item jid="bob@ward.example"/></block></iq>`,
		`<iq type="get" id="1"><query xmlns="jabber:iq:roster"/></iq>` + "\n" + `<enable xmlns="urn:xmpp:sm:3" resume="true"/>` + "\n" + `<a xmlns="urn:xmpp:sm:3" h="1"/>`,
		`<iq type="set" id="1"><query xmlns="jabber:iq:register"><username>alice</username><password>12345678</password></query></iq>`,
		`<iq type="result" id="1" to="ward.example"><query xmlns="http://jabber.org/protocol/disco#info"/></iq>`,
		`<presence to="w@rooms.ward.example/a"><x xmlns="http://jabber.org/protocol/muc"/></presence>` + "\n" +
			`<message type="groupchat" to="w@rooms.ward.example"><body>x</body></message>` + "\n" +
			`<message to="w@rooms.ward.example"><x xmlns="http://jabber.org/protocol/muc#user"><invite to="bob@ward.example"/></x></message>` + "\n" +
			`<iq type="set" id="1" to="w@rooms.ward.example"><query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit"><field var="muc#roomconfig_roomname"><value>x</value></field></x></query></iq>`,
		`<iq type="get" id="1" to="upload.ward.example"><request xmlns="urn:xmpp:http:upload:0" filename="../x" size="5"/></iq>`,
		`<iq type="get" id="1" to="bob@ward.example/b"><ping xmlns="urn:xmpp:ping"/></iq>`,
		`<presence to="bob@ward.example/b" type="unavailable"/>` + "\n" + `<presence type="unavailable"/>`,
		`<r xmlns="urn:xmpp:sm:3"/>` + "\n" + `<resume xmlns="urn:xmpp:sm:3" previd="x" h="4294967295"/>` + "\n" + `<inactive xmlns="urn:xmpp:csi:0"/>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r := newRig(t, "alice", "bob")
		bob := r.bindTo("bob", "b")
		r.feed(bob, `<presence xmlns="jabber:client"/>`)
		r.feed(bob, `<enable xmlns="urn:xmpp:sm:3" resume="true"/>`)
		alice := r.bindTo("alice", "a")
		for line := range strings.Lines(in) {
			line = strings.TrimSpace(line)
			if i := strings.IndexAny(line, " />"); i > 0 && !strings.Contains(line, `xmlns="urn:xmpp:sm`) && !strings.Contains(line, `xmlns="urn:xmpp:csi`) {
				line = line[:i] + ` xmlns="jabber:client"` + line[i:]
			}
			r.feed(alice, line)
		}
		r.call(r.tick)
		r.batch(event{conn: alice, gone: true}, r.none)
		r.now = func() time.Time { return time.Now().Add(time.Hour) }
		r.call(r.tick)
		if r.panics > 0 {
			t.Fatal("a handler panicked")
		}
		if r.store.err != nil {
			t.Fatal(r.store.err)
		}
		if bob.session == nil || bob.ended {
			t.Fatal("one client ended another's session")
		}
		if n := len(r.accounts["alice"].sessions); n != 0 {
			t.Fatalf("%d sessions of alice are left", n)
		}
		for _, k := range []*conn{alice, bob} {
			items, _ := k.queue.take()
			for _, f := range items {
				b := f.append(nil)
				el, err := stanza.Parse(b)
				if err != nil {
					t.Fatalf("sent %q: %v", b, err)
				}
				from := el.Get("from")
				if i := strings.IndexByte(from, '/'); i >= 0 && k == bob {
					from = from[:i]
				}
				if k == bob && el.Space == stanza.NSClient && from != "" && from != "alice@ward.example" && from != "bob@ward.example" && from != domain && !strings.HasSuffix(from, "@rooms."+domain) {
					t.Fatalf("bob was sent %s", b)
				}
				if k == bob && bytes.Contains(b, []byte(`stanza-id`)) && el.Child(nsStanzaID, "stanza-id").Get("by") != "bob@ward.example" && el.Child(nsCarbons, "") == nil && el.Child(nsStanzaID, "") != nil {
					t.Fatalf("a forged id reached bob: %s", b)
				}
			}
		}
	})
}

func FuzzCapsVer(f *testing.F) {
	f.Add([]byte(`<query xmlns="http://jabber.org/protocol/disco#info"><identity category="client" type="pc"/><x xmlns="jabber:x:data"><field var="FORM_TYPE"/><field/></x></query>`))
	f.Fuzz(func(t *testing.T, in []byte) {
		el, err := stanza.Parse(in)
		if err != nil {
			return
		}
		if got := capsVer("sha-1", el); got != "" && len(got) != 28 {
			t.Errorf("%q", got)
		}
	})
}
