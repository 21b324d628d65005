package stanza

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
)

func parse(t testing.TB, s string) *Element {
	t.Helper()
	e, err := Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestReadRoster(t *testing.T) {
	items := ReadRoster(parse(t, `<query xmlns="jabber:iq:roster" ver="3">
		<item jid="okafor@mercy.example" name="Okafor, Ada" subscription="both"><group>cardiology</group><group>day</group></item>
		<item jid="@@" name="broken"/><item jid="per@mercy.example/phone" subscription="owner"/><other/></query>`))
	if len(items) != 2 {
		t.Fatalf("%d items: %v", len(items), items)
	}
	if i := items[0]; i.JID.String() != "okafor@mercy.example" || i.Name != "Okafor, Ada" || len(i.Groups) != 2 || i.Subscription != "both" {
		t.Errorf("first item read as %+v", i)
	}
	if i := items[1]; i.JID.String() != "per@mercy.example" || i.Subscription != "none" {
		t.Errorf("second item read as %+v", i)
	}
}

func TestReadPresence(t *testing.T) {
	p, err := ReadPresence(parse(t, `<presence xmlns="jabber:client" from="a@b/c"><show>dnd</show><status>theatre 2</status><priority>-1</priority></presence>`))
	if err != nil || p.From.String() != "a@b/c" || p.Type != "" || p.Show != "dnd" || p.Status != "theatre 2" || p.Priority != -1 {
		t.Errorf("read as %+v, %v", p, err)
	}
	p, err = ReadPresence(parse(t, `<presence xmlns="jabber:client" type="unavailable"><show>blink</show><priority>999</priority></presence>`))
	if err != nil || p.Type != "unavailable" || p.Show != "" || p.Priority != 0 {
		t.Errorf("read as %+v, %v", p, err)
	}
	if _, err = ReadPresence(parse(t, `<presence xmlns="jabber:client" from="@"/>`)); err == nil {
		t.Error("a broken address was read")
	}
}

func TestMessageThereAndBack(t *testing.T) {
	e := NewChat("bob@b.example", "id1", Body("fallback"), ReceiptRequest(), Markable(),
		EncryptedWith("urn:e", "E"), UrgencyHigh(), StoreHint())
	e.With("from", "alice@b.example/x")
	m, err := ReadMessage(parse(t, e.String()))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{From: jid.MustParse("alice@b.example/x"), To: jid.MustParse("bob@b.example"), Type: "chat", ID: "id1", OriginID: "id1",
		Body: "fallback", HasBody: true, Asks: true, Markable: true, Method: "urn:e", Urgent: true}
	if !m.From.Equal(want.From) || !m.To.Equal(want.To) {
		t.Errorf("addresses read as %v, %v", m.From, m.To)
	}
	m.From, m.To, want.From, want.To = jid.JID{}, jid.JID{}, jid.JID{}, jid.JID{}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("read as %+v\nwant    %+v", m, want)
	}
}

func TestReadMessageEdges(t *testing.T) {
	m, err := ReadMessage(parse(t, `<message xmlns="jabber:client" type="odd" id="`+strings.Repeat("x", MaxID+1)+`"><body>one</body><body>two</body>
		<delay xmlns="urn:xmpp:delay" stamp="2026-11-21T19:02:00.5Z"/><received xmlns="urn:xmpp:receipts" id="r"/><displayed xmlns="urn:xmpp:chat-markers:0" id="s"/></message>`))
	if err != nil || m.Type != "normal" || m.ID != "" || m.Body != "one" || m.Receipt != "r" || m.Read != "s" ||
		!m.Delay.Equal(time.Date(2026, 11, 21, 19, 2, 0, 5e8, time.UTC)) {
		t.Errorf("read as %+v, %v", m, err)
	}
	if _, err := ReadMessage(parse(t, `<iq xmlns="jabber:client"/>`)); err == nil {
		t.Error("an iq was read as a message")
	}
}

func TestArchiveID(t *testing.T) {
	me := jid.MustParse("me@b.example")
	e := parse(t, `<message xmlns="jabber:client"><stanza-id xmlns="urn:xmpp:sid:0" by="evil@b.example" id="1"/><stanza-id xmlns="urn:xmpp:sid:0" by="me@b.example" id="2"/></message>`)
	if id := ArchiveID(e, me); id != "2" {
		t.Errorf("archive id %q", id)
	}
}

func TestReadCarbon(t *testing.T) {
	e := parse(t, `<message xmlns="jabber:client" from="me@b.example"><sent xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" to="x@y"><body>hi</body></message></forwarded></sent></message>`)
	inner, sent := ReadCarbon(e)
	if !sent || inner.Get("to") != "x@y" || !IsCarbon(e) {
		t.Errorf("read as %v, %v", inner, sent)
	}
	if inner, _ = ReadCarbon(inner); inner != nil {
		t.Error("a plain message was read as a carbon")
	}
}

func TestMAM(t *testing.T) {
	q := MAMQuery{QueryID: "q", After: "a<1", Max: 100, Start: time.Unix(0, 0)}.Element()
	if got := q.Child(NSRSM, "set").Child(NSRSM, "after").Text(); got != "a<1" {
		t.Errorf("after = %q", got)
	}
	if last := (MAMQuery{Last: true, After: "x", Max: 1}).Element().Child(NSRSM, "set"); last.Child(NSRSM, "before") == nil || last.Child(NSRSM, "after") != nil {
		t.Errorf("last page asked for as %v", last)
	}
	r, ok := ReadMAMResult(parse(t, `<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="q" id="7"><forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2026-11-21T19:02:00Z"/><message xmlns="jabber:client" from="x@y"/></forwarded></result></message>`))
	if !ok || r.ID != "7" || r.QueryID != "q" || r.Stanza.Get("from") != "x@y" || r.Time.Hour() != 19 {
		t.Errorf("result read as %+v, %v", r, ok)
	}
	if _, ok := ReadMAMResult(parse(t, `<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="q" id="7"/></message>`)); ok {
		t.Error("an empty result was read")
	}
	f, err := ReadMAMFin(parse(t, `<iq xmlns="jabber:client"><fin xmlns="urn:xmpp:mam:2" complete="true"><set xmlns="http://jabber.org/protocol/rsm"><last>9</last></set></fin></iq>`))
	if err != nil || !f.Complete || f.Last != "9" {
		t.Errorf("fin read as %+v, %v", f, err)
	}
	if _, err := ReadMAMFin(parse(t, `<iq xmlns="jabber:client"/>`)); err == nil {
		t.Error("no fin was read as one")
	}
}

func TestPubSub(t *testing.T) {
	p := Publish("n", "current", New("urn:x", "x"), AccessOpen()...)
	if p.Child("", "publish-options").Child("jabber:x:data", "x") == nil || p.Child("", "publish").Child("", "item").Child("urn:x", "x") == nil {
		t.Errorf("publish built as %v", p)
	}
	items, ok := ReadItems(parse(t, `<iq xmlns="jabber:client"><pubsub xmlns="http://jabber.org/protocol/pubsub"><items node="n"><item id="current"><x xmlns="urn:x"/></item><item/></items></pubsub></iq>`), "n")
	if !ok || len(items) != 2 || items[0].ID != "current" || !items[0].Payload.Is("urn:x", "x") || items[1].Payload != nil {
		t.Errorf("items read as %v, %v", items, ok)
	}
	if _, ok := ReadItems(parse(t, `<iq xmlns="jabber:client"/>`), "n"); ok {
		t.Error("no items were read as some")
	}
	ev, ok := ReadEvent(parse(t, `<message xmlns="jabber:client"><event xmlns="http://jabber.org/protocol/pubsub#event"><items node="n"><item id="1"><x xmlns="urn:x"/></item></items></event></message>`))
	if !ok || ev.Node != "n" || len(ev.Items) != 1 || ev.Removed {
		t.Errorf("event read as %+v, %v", ev, ok)
	}
	ev, ok = ReadEvent(parse(t, `<message xmlns="jabber:client"><event xmlns="http://jabber.org/protocol/pubsub#event"><purge node="n"/></event></message>`))
	if !ok || ev.Node != "n" || !ev.Removed {
		t.Errorf("purge read as %+v, %v", ev, ok)
	}
	if c := Configure("n", AccessOpen()...).Child(NSPubSubOwner, "configure"); c.Get("node") != "n" {
		t.Errorf("configure built as %v", c)
	}
}

func TestBlocking(t *testing.T) {
	if got := ReadBlocking(parse(t, Block("a@b").String())); len(got) != 1 || got[0].String() != "a@b" {
		t.Errorf("block read as %v", got)
	}
	if !BlockList().Is(NSBlocking, "blocklist") || len(ReadBlocking(Unblock("c@d"))) != 1 {
		t.Error("blocklist or unblock built wrong")
	}
}

func TestAppendChangePassword(t *testing.T) {
	e := parse(t, string(AppendChangePassword(nil, "b.example", "i1", "al<ice", []byte(`p&<>"'é`))))
	q := e.Child(NSRegister, "query")
	if e.Get("type") != "set" || e.Get("to") != "b.example" || e.Get("id") != "i1" ||
		q.Child("", "username").Text() != "al<ice" || q.Child("", "password").Text() != `p&<>"'é` {
		t.Errorf("built as %v", e)
	}
}

// FuzzReaders feeds every reader any element: none may panic.
func FuzzReaders(f *testing.F) {
	for _, s := range []string{
		`<message xmlns="jabber:client" from="a@b/c" id="1"><body>x</body><result xmlns="urn:xmpp:mam:2" id="7"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"/></forwarded></result></message>`,
		`<message xmlns="jabber:client"><event xmlns="http://jabber.org/protocol/pubsub#event"><items node="n"><item/></items></event></message>`,
		`<message xmlns="jabber:client"><sent xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"/></sent></message>`,
		`<presence xmlns="jabber:client" from="a@b/c"><priority>1</priority></presence>`,
		`<query xmlns="jabber:iq:roster"><item jid="a@b"/></query>`,
		`<iq xmlns="jabber:client"><pubsub xmlns="http://jabber.org/protocol/pubsub"><items node=""/></pubsub></iq>`,
		`<headers xmlns="http://jabber.org/protocol/shim"><header name="Urgency">high</header></headers>`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		if m, err := ReadMessage(e); err == nil && len(m.ID)+len(m.OriginID)+len(m.Receipt)+len(m.Read) > 4*MaxID {
			t.Errorf("an id is too long: %+v", m)
		}
		ReadPresence(e)
		ReadRoster(e)
		ReadCarbon(e)
		ReadMAMResult(e)
		ReadMAMFin(e)
		ReadItems(e, "")
		ReadEvent(e)
		ReadBlocking(e)
		ArchiveID(e, jid.JID{})
	})
}
