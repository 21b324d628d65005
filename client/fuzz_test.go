package client

import (
	"context"
	"testing"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/internal/frame"
)

// FuzzInbound hands a client any stanza: it must not panic, must store nothing
// with a control character in what it hands out, and must acknowledge it.
func FuzzInbound(f *testing.F) {
	for _, s := range []string{
		`<message xmlns="jabber:client" type="chat" from="a@b/c" id="1"><body>x&#x9;</body><request xmlns="urn:xmpp:receipts"/></message>`,
		`<message xmlns="jabber:client" from="a@b/c"><encrypted xmlns="eu.siacs.conversations.axolotl"><header sid="1"><key rid="2">AA==</key><iv>AAAAAAAAAAAAAAAA</iv></header><payload>AA==</payload></encrypted></message>`,
		`<message xmlns="jabber:client" from="ng@mercy.example"><received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" from="a@b/c" to="ng@mercy.example"><body>y</body></message></forwarded></received></message>`,
		`<message xmlns="jabber:client" from="ng@mercy.example"><result xmlns="urn:xmpp:mam:2" queryid="q" id="7"><forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2026-11-21T19:02:00Z"/><message xmlns="jabber:client" from="a@b/c"><body>z</body></message></forwarded></result></message>`,
		`<message xmlns="jabber:client" from="a@b"><event xmlns="http://jabber.org/protocol/pubsub#event"><items node="eu.siacs.conversations.axolotl.devicelist"><item id="current"><list xmlns="eu.siacs.conversations.axolotl"><device id="7"/></list></item></items></event></message>`,
		`<message xmlns="jabber:client" type="error" from="a@b" id="1"><error type="cancel"/></message>`,
		`<message xmlns="jabber:client" from="a@b/c"><displayed xmlns="urn:xmpp:chat-markers:0" id="1"/><received xmlns="urn:xmpp:receipts" id="1"/></message>`,
		`<presence xmlns="jabber:client" from="a@b/c"><status>s</status></presence>`,
		`<presence xmlns="jabber:client" from="a@b/c" type="unavailable"/>`,
		`<iq xmlns="jabber:client" type="set" id="1"><query xmlns="jabber:iq:roster"><item jid="a@b" name="n"/></query></iq>`,
		`<iq xmlns="jabber:client" type="result" id="1"/>`,
	} {
		f.Add([]byte(s))
	}
	st := memoryStore(f)
	c, err := New(Config{Account: Account{Address: me}, Store: st, Link: nopConn{}})
	if err != nil {
		f.Fatal(err)
	}
	c.ctx = context.Background()
	c.out = newWriter(frame.NewConn(nopConn{}))
	go c.out.run()
	f.Cleanup(c.out.close)
	c.archive.query = "q"
	seq := uint64(0)
	f.Fuzz(func(t *testing.T, b []byte) {
		seq++
		e, err := stanza.Parse(b)
		if err := c.handle([]inbound{{msg: wire.Inbound{Seq: seq}, stanza: e, err: err}}); err != nil || len(c.backlog) > 0 {
			t.Fatalf("not handled: %v", err)
		}
		for ev, ok := c.events.pop(); ok; ev, ok = c.events.pop() {
			if m, ok := ev.(MessageAdded); ok {
				for _, r := range m.Message.Body.String() {
					if r < ' ' && r != '\n' || r == 0x7f {
						t.Fatalf("%q reaches the screen", m.Message.Body)
					}
				}
			}
		}
	})
}
