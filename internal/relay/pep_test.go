package relay

import (
	"fmt"
	"strings"
	"testing"

	"sotto/client/stanza"
)

// items returns what a node holds as "id=text id=text".
func itemList(r *stanza.Element) string {
	var all []string
	for e := range r.Child(nsPubSub, "pubsub").Child(nsPubSub, "items").Elements() {
		all = append(all, e.Get("id")+"="+e.Child("urn:x", "x").Text())
	}
	return strings.Join(all, " ")
}

func TestPEP(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	alice.refused("item-not-found", "get", "", getItems("n"))
	alice.must("set", "", publish("n", "current", "1", ""))
	alice.must("set", "", publish("n", "current", "2", ""))
	if got := itemList(bob.must("get", "alice@ward.example", getItems("n"))); got != "current=2" {
		t.Errorf("bob reads %s", got)
	}
	alice.must("set", "", publish("n", "other", "3", "")) // one item by default
	if got := itemList(alice.must("get", "", getItems("n"))); got != "other=3" {
		t.Errorf("alice reads %s", got)
	}
	r := alice.must("set", "", strings.Replace(publish("n", "", "4", ""), ` id=""`, "", 1))
	if r.Child(nsPubSub, "pubsub").Child("", "publish").Child("", "item").Get("id") == "" {
		t.Errorf("no id made up in %s", r)
	}
	many := options("pubsub#max_items", "max", "pubsub#persist_items", "true", "pubsub#access_model", "open")
	for i := range 3 {
		alice.must("set", "", publish("many", fmt.Sprint(i), "x", many))
	}
	alice.must("set", "", publish("many", "1", "y", many))
	if got := itemList(bob.must("get", "alice@ward.example", getItems("many"))); got != "0=x 2=x 1=y" {
		t.Errorf("many: %s", got)
	}
	if got := itemList(bob.must("get", "alice@ward.example", `<pubsub xmlns="`+nsPubSub+`"><items node="many" max_items="1"/></pubsub>`)); got != "1=y" {
		t.Errorf("newest: %s", got)
	}
	if got := itemList(bob.must("get", "alice@ward.example", `<pubsub xmlns="`+nsPubSub+`"><items node="many"><item id="0"/><item id="7"/></items></pubsub>`)); got != "0=x" {
		t.Errorf("by id: %s", got)
	}
	retract := func(id string) string {
		return `<pubsub xmlns="` + nsPubSub + `"><retract node="many" notify="1"><item id="` + id + `"/></retract></pubsub>`
	}
	bob.refused("forbidden", "set", "alice@ward.example", retract("0"))
	alice.must("set", "", retract("0"))
	alice.refused("item-not-found", "set", "", retract("0"))
	if got := itemList(alice.must("get", "", getItems("many"))); got != "2=x 1=y" {
		t.Errorf("after retracting: %s", got)
	}
	owner := func(what string) string {
		return `<pubsub xmlns="` + nsPubSubOwner + `"><` + what + ` node="many"/></pubsub>`
	}
	bob.refused("forbidden", "set", "alice@ward.example", owner("delete"))
	alice.must("set", "", owner("purge"))
	if got := itemList(alice.must("get", "", getItems("many"))); got != "" {
		t.Errorf("after purging: %s", got)
	}
	alice.must("set", "", owner("delete"))
	alice.refused("item-not-found", "get", "", getItems("many"))
	alice.refused("item-not-found", "set", "", owner("delete"))
}

// TestPEPItemIDs: what a node has is listed for whom may read it, without what it says.
func TestPEPItemIDs(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	for _, id := range []string{"1", "2"} {
		alice.must("set", "", publish("many", id, "x", options("pubsub#max_items", "8", "pubsub#access_model", "open")))
	}
	list, err := stanza.ReadDiscoItems(bob.must("get", "alice@ward.example", `<query xmlns="`+nsDiscoItems+`" node="many"/>`))
	if err != nil || len(list) != 2 || list[0].Name != "1" || list[1].Name != "2" || list[0].JID != "alice@ward.example" || list[0].Node != "" {
		t.Errorf("%+v, %v", list, err)
	}
	alice.must("set", "", publish("own", "1", "x", options("pubsub#access_model", "whitelist")))
	bob.refused("item-not-found", "get", "alice@ward.example", `<query xmlns="`+nsDiscoItems+`" node="own"/>`)
}

func TestPEPAccess(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	alice.must("set", "", publish("private", "1", "x", options("pubsub#access_model", "whitelist")))
	bob.refused("forbidden", "get", "alice@ward.example", getItems("private"))
	bob.refused("item-not-found", "get", "alice@ward.example", `<query xmlns="`+nsDiscoInfo+`" node="private"/>`)
	if q := bob.must("get", "alice@ward.example", `<query xmlns="`+nsDiscoItems+`"/>`); strings.Contains(q.String(), "private") {
		t.Errorf("bob sees %s", q)
	}
	bob.refused("forbidden", "set", "alice@ward.example", publish("private", "1", "forged", ""))
	alice.must("get", "", getItems("private"))

	// Preconditions (XEP-0060 section 7.1.5).
	r := alice.refused("conflict", "set", "", publish("private", "1", "y", options("pubsub#access_model", "open")))
	if r.Child("", "error").Child(nsPubSubErrors, "precondition-not-met") == nil {
		t.Errorf("%s", r)
	}
	if got := itemList(alice.must("get", "", getItems("private"))); got != "1=x" {
		t.Errorf("published in spite of it: %s", got)
	}
	alice.must("set", "", publish("private", "1", "y", options("pubsub#access_model", "whitelist")))

	// Opening a node that exists.
	configure := func(content string) string {
		return `<pubsub xmlns="` + nsPubSubOwner + `"><configure node="private">` + content + `</configure></pubsub>`
	}
	bob.refused("forbidden", "get", "alice@ward.example", configure(""))
	f := alice.must("get", "", configure("")).String()
	if !strings.Contains(f, `<field var="pubsub#access_model" type="list-single"><value>whitelist</value>`) {
		t.Errorf("the form is %s", f)
	}
	alice.refused("not-acceptable", "set", "", configure(form(nsPubSubConfig, "pubsub#access_model", "authorize")))
	alice.refused("not-acceptable", "set", "", configure(form("urn:other", "pubsub#access_model", "open")))
	alice.refused("bad-request", "set", "", configure(""))
	alice.must("set", "", configure(form(nsPubSubConfig, "pubsub#access_model", "open", "pubsub#max_items", "3")))
	if got := itemList(bob.must("get", "alice@ward.example", getItems("private"))); got != "1=y" {
		t.Errorf("bob reads %s", got)
	}
	create := `<pubsub xmlns="` + nsPubSub + `"><create node="made"/><configure>` + form(nsPubSubConfig, "pubsub#access_model", "whitelist") + `</configure></pubsub>`
	alice.must("set", "", create)
	alice.refused("conflict", "set", "", create)
	bob.refused("forbidden", "get", "alice@ward.example", getItems("made"))
}

func TestPEPNotifications(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob", "carol")
	alice, bob, carol := s.connect("alice", "a"), s.connect("bob", "b"), s.online("carol", "c")
	alice.wants(true, "devices", "mood")
	alice.must("set", "", publish("devices", "current", "1", options("pubsub#access_model", "open")))
	e := alice.event("devices") // one's own
	if e.Get("from") != "alice@ward.example" || e.Get("to") != alice.full || e.Get("type") != "headline" {
		t.Errorf("event %s", e)
	}
	alice.must("set", "", publish("diary", "1", "dear", options("pubsub#access_model", "whitelist")))

	// The same features at another device: not asked for again. The last item comes at once.
	other := s.connect("alice", "b")
	other.wants(false, "devices", "mood")
	other.event("devices")
	bob.wants(true, "devices", "mood")
	e = bob.event("devices")
	if it := e.Child(nsPubSubEvent, "event").Child("", "items").Child("", "item"); it.Get("id") != "current" || it.Child("urn:x", "x").Text() != "1" {
		t.Errorf("last item %s", e)
	}
	bob.none("a second last item", isEvent("devices"))

	bob.wants(true, "devices", "mood", "diary")
	bob.none("the last item again", isEvent("devices"))
	alice.must("set", "", publish("devices", "current", "2", ""))
	bob.event("devices")
	alice.must("set", "", publish("diary", "2", "dear", ""))
	alice.must("set", "", publish("loud", "2", "dear", ""))
	alice.must("set", "", `<pubsub xmlns="`+nsPubSub+`"><retract node="devices" notify="true"><item id="current"/></retract></pubsub>`)
	if e := bob.event("devices"); e.Child(nsPubSubEvent, "event").Child("", "items").Child("", "retract").Get("id") != "current" {
		t.Errorf("retracted with %s", e)
	}
	alice.must("set", "", `<pubsub xmlns="`+nsPubSubOwner+`"><delete node="devices"/></pubsub>`)
	if e := bob.event("devices"); e.Child(nsPubSubEvent, "event").Child("", "delete") == nil {
		t.Errorf("deleted with %s", e)
	}
	bob.none("an event of a private node", isEvent("diary"))
	bob.none("an event it does not want", isEvent("loud"))
	carol.none("an event it does not want", func(e *stanza.Element) bool { return e.Child(nsPubSubEvent, "event") != nil })

	alice.must("set", "", publish("mood", "1", "never sent", options("pubsub#send_last_published_item", "never")))
	carol.wants(true, "devices", "mood", "diary")
	carol.none("a last item that is not to be sent", isEvent("mood"))
	carol.none("a private last item", isEvent("diary"))
	carol.must("set", "", `<block xmlns="urn:xmpp:blocking"><item jid="alice@ward.example"/></block>`)
	alice.must("set", "", publish("mood", "1", "x", ""))
	bob.event("mood")
	carol.none("an event of somebody blocked", isEvent("mood"))
}

// TestCapsForged: features that do not match their hash do not spread.
func TestCapsForged(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	real := stanza.New(nsDiscoInfo, "query", identity("client", "console", ""), feature("mood+notify"))
	ver := capsVer("sha-1", real)
	presence := `<presence><c xmlns="` + nsCaps + `" hash="sha-1" node="urn:test" ver="` + ver + `"/></presence>`
	asked := func(e *stanza.Element) bool { return e.Child(nsDiscoInfo, "query") != nil }
	alice := s.connect("alice", "a")
	alice.send(presence)
	q := alice.expect("the question", asked)
	alice.raw(resultReply(q, stanza.New(nsDiscoInfo, "query", feature("devices+notify"))).String())
	alice.sync()
	bob := s.connect("bob", "b")
	bob.send(presence)
	q = bob.expect("the question again", asked)
	bob.raw(resultReply(q, real).String())
	bob.sync()
	alice.must("set", "", publish("devices", "1", "x", ""))
	alice.event("devices") // for itself it may say what it likes
	bob.none("an event of another's forged features", isEvent("devices"))
	bob.must("set", "", publish("mood", "1", "x", ""))
	bob.event("mood")
}

// TestCapsAmbiguous: another answer with the same hash, which XEP-0115 lets
// anybody find, takes nothing away from others.
func TestCapsAmbiguous(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "mallory")
	real := stanza.New(nsDiscoInfo, "query", identity("client", "console", ""), feature("mood+notify"))
	forged := stanza.New(nsDiscoInfo, "query", identity("client", "console", ""), stanza.New(nsData, "x",
		stanza.New(nsData, "field", stanza.TextElement(nsData, "value", "mood+notify")).With("var", "FORM_TYPE")))
	ver := capsVer("sha-1", real)
	if capsVer("sha-1", forged) != ver {
		t.Fatal("this is no longer ambiguous; make another forgery")
	}
	presence := `<presence><c xmlns="` + nsCaps + `" hash="sha-1" node="urn:test" ver="` + ver + `"/></presence>`
	asked := func(e *stanza.Element) bool { return e.Child(nsDiscoInfo, "query") != nil }
	mallory := s.connect("mallory", "m")
	mallory.send(presence)
	mallory.raw(resultReply(mallory.expect("the question", asked), forged).String())
	mallory.sync()
	alice := s.connect("alice", "a")
	alice.send(presence)
	alice.raw(resultReply(alice.expect("a question of her own", asked), real).String())
	alice.sync()
	mallory.must("set", "", publish("mood", "1", "x", ""))
	alice.event("mood")
	again := s.connect("alice", "b")
	again.send(presence)
	again.none("a question that is answered already", asked)
	mallory.must("set", "", publish("mood", "2", "x", ""))
	again.event("mood")
}

// TestCapsVer is the second example of XEP-0115 (section 5.3).
func TestCapsVer(t *testing.T) {
	q, err := stanza.Parse([]byte(`<query xmlns="http://jabber.org/protocol/disco#info">
	<identity xml:lang="en" category="client" name="Psi 0.11" type="pc"/><identity xml:lang="el" category="client" name="Ψ 0.11" type="pc"/>
	<feature var="http://jabber.org/protocol/caps"/><feature var="http://jabber.org/protocol/disco#info"/>
	<feature var="http://jabber.org/protocol/disco#items"/><feature var="http://jabber.org/protocol/muc"/>
	<x xmlns="jabber:x:data" type="result"><field var="FORM_TYPE" type="hidden"><value>urn:xmpp:dataforms:softwareinfo</value></field>
	<field var="ip_version"><value>ipv4</value><value>ipv6</value></field><field var="os"><value>Mac</value></field>
	<field var="os_version"><value>10.5.1</value></field><field var="software"><value>Psi</value></field>
	<field var="software_version"><value>0.11</value></field></x></query>`))
	if err != nil {
		t.Fatal(err)
	}
	if got := capsVer("sha-1", q); got != "q07IKJEyjvHSyhy//CH0CxmKi8w=" {
		t.Errorf("got %s", got)
	}
	q.Add(feature("http://jabber.org/protocol/muc"))
	if got := capsVer("sha-1", q); got != "" {
		t.Errorf("the same feature twice: %s", got)
	}
	if got := capsVer("md5", q); got != "" {
		t.Errorf("md5: %s", got)
	}
}

func TestPEPBadRequests(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Nodes: 2, Items: 2, ItemBytes: 1000}}, "alice")
	alice := s.online("alice", "a")
	pubsub := func(in string) string { return `<pubsub xmlns="` + nsPubSub + `">` + in + `</pubsub>` }
	for in, want := range map[string]string{
		pubsub(``):                    "bad-request",
		pubsub(`<publish/>`):          "bad-request",
		pubsub(`<publish node="n"/>`): "bad-request",
		pubsub(`<publish node="n"><item/></publish>`):                                   "bad-request",
		pubsub(`<publish node="n"><item><a xmlns="x"/><b xmlns="x"/></item></publish>`): "bad-request",
		pubsub(`<publish node="n"><item><a xmlns="x"/></item><item/></publish>`):        "bad-request",
		pubsub(`<publish node="n"/><retract node="n"/>`):                                "bad-request",
		pubsub(`<subscribe node="n" jid="alice@ward.example"/>`):                        "feature-not-implemented",
		pubsub(`<create/>`):                                                                "bad-request",
		publish(strings.Repeat("n", 600), "1", "x", ""):                                    "bad-request",
		publish("n", "1", strings.Repeat("x", 1000), ""):                                   "not-acceptable",
		publish("n", strings.Repeat("i", 600), "x", ""):                                    "not-acceptable",
		publish("n", "1", "x", options("pubsub#access_model", "roster")):                   "bad-request",
		publish("n", "1", "x", options("pubsub#max_items", "0")):                           "bad-request",
		publish("n", "1", "x", `<publish-options>`+form("urn:other")+`</publish-options>`): "bad-request",
		pubsub(`<retract node="n"><item id="1"/></retract>`):                               "item-not-found",
		`<pubsub xmlns="` + nsPubSubOwner + `"><affiliations node="n"/></pubsub>`:          "feature-not-implemented",
		`<pubsub xmlns="` + nsPubSubOwner + `"><configure node="n"/></pubsub>`:             "item-not-found",
	} {
		alice.refused(want, "set", "", in)
	}
	alice.must("set", "", publish("1", "1", "x", options("pubsub#max_items", "1000000")))
	alice.must("set", "", publish("2", "1", "x", ""))
	alice.refused("resource-constraint", "set", "", publish("3", "1", "x", ""))
	for i := range 4 {
		alice.must("set", "", publish("1", fmt.Sprint(i), "x", ""))
	}
	if got := itemList(alice.must("get", "", getItems("1"))); got != "2=x 3=x" {
		t.Errorf("more items than allowed: %s", got)
	}
	alice.refused("service-unavailable", "set", "ward.example", publish("n", "1", "x", ""))
}

func TestDisco(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice := s.online("alice", "a")
	info := `<query xmlns="` + nsDiscoInfo + `"/>`
	for to, want := range map[string][]string{
		domain:               {`category="server"`, nsCarbons, nsBlocking, nsPing},
		"":                   {`type="pep"`, nsMAM, nsPubSub + "#publish-options", nsStanzaID},
		"alice@ward.example": {`type="pep"`, `type="registered"`},
		"bob@ward.example":   {`type="pep"`},
	} {
		got := alice.must("get", to, info).String()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%q lacks %s: %s", to, w, got)
			}
		}
	}
	alice.must("get", domain, `<query xmlns="`+nsDiscoItems+`"/>`)
	alice.refused("item-not-found", "get", domain, `<query xmlns="`+nsDiscoInfo+`" node="x"/>`)
	alice.must("set", "", publish("open", "1", "x", ""))
	if got := alice.must("get", "", `<query xmlns="`+nsDiscoItems+`"/>`).String(); !strings.Contains(got, `node="open"`) {
		t.Errorf("items: %s", got)
	}
	alice.must("get", "", `<query xmlns="`+nsDiscoInfo+`" node="open"/>`)
	if r := alice.must("get", "bob@ward.example", `<vCard xmlns="vcard-temp"/>`); r.Child(nsVCard, "vCard").Child("", "FN").Text() != "Bob" {
		t.Errorf("%s", r)
	}
	alice.must("get", domain, `<time xmlns="urn:xmpp:time"/>`)
	alice.must("get", domain, `<query xmlns="jabber:iq:version"/>`)
	alice.must("set", "", `<session xmlns="urn:ietf:params:xml:ns:xmpp-session"/>`)
}

func TestPasswordChange(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice := s.online("alice", "a")
	change := func(user, pw string) string {
		return `<query xmlns="jabber:iq:register"><username>` + user + `</username><password>` + pw + `</password></query>`
	}
	if r := alice.must("get", domain, `<query xmlns="jabber:iq:register"/>`); r.Child(nsRegister, "query").Child("", "registered") == nil {
		t.Errorf("%s", r)
	}
	alice.refused("bad-request", "set", domain, change("bob", "another password"))
	alice.refused("bad-request", "set", domain, change("", "another password"))
	alice.refused("not-acceptable", "set", domain, change("alice", "short"))
	alice.refused("not-acceptable", "set", domain, change("alice", "contro\tl character"))
	alice.refused("not-allowed", "set", domain, `<query xmlns="jabber:iq:register"><remove/></query>`)
	other := s.online("alice", "other")
	alice.must("set", domain, change("alice", "another password"))
	alice.sync() // stays connected
	if got := other.ended(); got != "not-authorized" {
		t.Errorf("another session, after the password was changed: %q", got)
	}
	login := func(pw string) error { c := s.dial(); c.open(); return c.auth("alice", pw) }
	if err := login(password("alice")); err == nil {
		t.Error("the old password still works")
	}
	if err := login("another password"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if err := s.SetPassword(t.Context(), "alice", []byte("set by the operator")); err != nil {
		t.Fatal(err)
	}
	if got := alice.ended(); got != "not-authorized" {
		t.Errorf("after the operator changed it: %q", got)
	}
	if err := login("set by the operator"); err != nil {
		t.Error(err)
	}
}
