package relay

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
)

// page is the answer to an archive query.
type page struct {
	bodies, ids, stamps []string
	stanzas             []*stanza.Element
	fin                 *stanza.Element
}

// query asks the archive of c. filter and set are the contents of form and page.
func (c *client) query(set string, filter ...string) page {
	c.t.Helper()
	return c.queryAt("", set, filter...)
}

// queryAt asks the archive of a room, or without one that of c.
func (c *client) queryAt(room, set string, filter ...string) page {
	c.t.Helper()
	from := room
	if room == "" {
		from = c.bare
	}
	x := ""
	if len(filter) > 0 {
		x = form(nsMAM, filter...)
	}
	c.ids++
	qid := "q" + strconv.Itoa(c.ids)
	r := c.must("set", room, `<query xmlns="urn:xmpp:mam:2" queryid="`+qid+`">`+x+`<set xmlns="`+nsRSM+`">`+set+`</set></query>`)
	p := page{fin: r.Child(nsMAM, "fin")}
	var rest []*stanza.Element
	for _, e := range c.seen {
		res := e.Child(nsMAM, "result")
		if res.Get("queryid") != qid {
			rest = append(rest, e)
			continue
		}
		if e.Get("from") != from {
			c.t.Errorf("a result from %q", e.Get("from"))
		}
		f := res.Child(nsForward, "forwarded")
		m := f.Child(stanza.NSClient, "message")
		p.stanzas = append(p.stanzas, m)
		p.bodies = append(p.bodies, m.Child("", "body").Text())
		p.stamps = append(p.stamps, f.Child(nsDelay, "delay").Get("stamp"))
		p.ids = append(p.ids, res.Get("id"))
	}
	c.seen = rest
	return p
}

func (p page) String() string { return strings.Join(p.bodies, " ") }

func (p page) complete() bool { return p.fin.Get("complete") == "true" }

func TestArchive(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob", "carol")
	alice, bob, carol := s.online("alice", "a"), s.online("bob", "b"), s.online("carol", "c")
	var ids []string
	for i := range 10 {
		alice.chat("bob@ward.example", "b"+strconv.Itoa(i))
		m := bob.body("b" + strconv.Itoa(i))
		ids = append(ids, m.Child(nsStanzaID, "stanza-id").Get("id"))
	}
	middle := time.Now()
	carol.chat("alice@ward.example", "c0")
	alice.body("c0")

	if p := bob.query(""); p.String() != "b0 b1 b2 b3 b4 b5 b6 b7 b8 b9" || !p.complete() || strings.Join(p.ids, " ") != strings.Join(ids, " ") {
		t.Errorf("all: %s, ids %v, want %v", p, p.ids, ids)
	}
	if p := carol.query(""); p.String() != "c0" {
		t.Errorf("carol's archive: %s", p)
	}
	if p := alice.query("", "with", "carol@ward.example"); p.String() != "c0" {
		t.Errorf("with carol: %s", p)
	}
	if p := alice.query("", "with", carol.full); p.String() != "c0" {
		t.Errorf("with carol's resource: %s", p)
	}
	if p := alice.query("", "with", "carol@ward.example/other"); p.String() != "" {
		t.Errorf("with another resource: %s", p)
	}
	if p := alice.query("", "start", stamp(middle)); p.String() != "c0" {
		t.Errorf("from the middle: %s", p)
	}
	if p := alice.query("", "end", stamp(middle)); len(p.bodies) != 10 {
		t.Errorf("to the middle: %s", p)
	}

	p := bob.query("<max>4</max>")
	if p.String() != "b0 b1 b2 b3" || p.complete() {
		t.Errorf("first page: %s %s", p, p.fin)
	}
	set := p.fin.Child(nsRSM, "set")
	if set.Child("", "first").Text() != ids[0] || set.Child("", "last").Text() != ids[3] {
		t.Errorf("first page: %s", p.fin)
	}
	after := func(id string) string { return "<max>4</max><after>" + id + "</after>" }
	if p := bob.query(after(ids[3])); p.String() != "b4 b5 b6 b7" || p.complete() {
		t.Errorf("second page: %s", p)
	}
	if p := bob.query(after(ids[7])); p.String() != "b8 b9" || !p.complete() {
		t.Errorf("last page: %s", p)
	}
	if p := bob.query(after(ids[9])); p.String() != "" || !p.complete() {
		t.Errorf("after the last page: %s", p)
	}
	if p := bob.query("<max>3</max><before/>"); p.String() != "b7 b8 b9" || p.complete() {
		t.Errorf("backwards: %s", p)
	}
	if p := bob.query("<max>3</max><before>" + ids[2] + "</before>"); p.String() != "b0 b1" || !p.complete() {
		t.Errorf("backwards to the start: %s", p)
	}
	if p := bob.query("<max>0</max>"); p.fin.Child(nsRSM, "set").Child("", "count").Text() != "10" {
		t.Errorf("count: %s", p.fin)
	}
}

// TestArchiveIsPrivate: no address and no id opens another's archive.
func TestArchiveIsPrivate(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob", "mallory")
	alice, bob, mallory := s.online("alice", "a"), s.online("bob", "b"), s.online("mallory", "m")
	alice.chat("bob@ward.example", "private")
	id := bob.body("private").Child(nsStanzaID, "stanza-id").Get("id")
	q := `<query xmlns="urn:xmpp:mam:2"/>`
	mallory.refused("service-unavailable", "set", "bob@ward.example", q)
	mallory.refused("service-unavailable", "set", "bob@ward.example/gone", q)
	mallory.send(`<iq type="set" id="x" to="ward.example">` + q + `</iq>`)
	mallory.sync()
	for _, set := range []string{"<after>" + id + "</after>", "<before>" + id + "</before>"} {
		mallory.refused("item-not-found", "set", "", `<query xmlns="urn:xmpp:mam:2"><set xmlns="`+nsRSM+`">`+set+`</set></query>`)
	}
	if p := mallory.query("", "with", "bob@ward.example"); p.String() != "" {
		t.Errorf("mallory read %s", p)
	}
	mallory.none("somebody's message", func(e *stanza.Element) bool { return strings.Contains(e.String(), "private") })
}

func TestArchiveBadQueries(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	alice := s.online("alice", "a")
	for in, want := range map[string]string{
		form("urn:other"):                             "bad-request",
		form(nsMAM, "with", "@"):                      "bad-request",
		form(nsMAM, "start", "yesterday"):             "bad-request",
		form(nsMAM, "end", "1901-01-01T00:00:00Z"):    "bad-request",
		form(nsMAM, "colour", "red"):                  "feature-not-implemented",
		rsm("<max>-1</max>"):                          "bad-request",
		rsm("<max>many</max>"):                        "bad-request",
		rsm("<index>3</index>"):                       "feature-not-implemented",
		rsm("<after>nonsense!</after>"):               "item-not-found",
		rsm("<after>zzz</after>"):                     "item-not-found",
		rsm("<after>-5</after>"):                      "item-not-found",
		rsm("<before>'; DROP TABLE archive</before>"): "item-not-found",
	} {
		alice.refused(want, "set", "", `<query xmlns="urn:xmpp:mam:2">`+in+`</query>`)
	}
	fields := alice.must("get", "", `<query xmlns="urn:xmpp:mam:2"/>`).String()
	for _, f := range []string{"with", "start", "end"} {
		if !strings.Contains(fields, `var="`+f+`"`) {
			t.Errorf("the form lacks %s: %s", f, fields)
		}
	}
	alice.must("get", "", `<prefs xmlns="urn:xmpp:mam:2"/>`)
}

func rsm(s string) string { return `<set xmlns="` + nsRSM + `">` + s + `</set>` }

func TestArchivePageLimit(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Page: 5, Archive: 20}}, "alice")
	alice := s.online("alice", "a")
	for i := range 30 {
		alice.chat("alice@ward.example", fmt.Sprint(i))
	}
	if p := alice.query("<max>100</max>"); len(p.bodies) != 5 {
		t.Errorf("a page of %d", len(p.bodies))
	}
	if p := alice.query("<before/>"); p.String() != "25 26 27 28 29" {
		t.Errorf("the last page: %s", p)
	}
	if p := alice.query("<max>0</max>"); p.fin.Child(nsRSM, "set").Child("", "count").Text() != "20" {
		t.Errorf("an archive limited to 20 holds %s", p.fin)
	}
}

// TestWhatIsArchived goes through hints and kinds of messages.
func TestWhatIsArchived(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice := s.online("alice", "a")
	hint := func(h string) string { return `<` + h + ` xmlns="urn:xmpp:hints"/>` }
	for i, c := range []struct {
		typ, in           string
		archived, mailbox bool
	}{
		{"chat", `<body>x</body>`, true, true},
		{"normal", `<body>x</body>`, true, true},
		{"chat", `<encrypted xmlns="eu.siacs.conversations.axolotl"/>`, true, true},
		{"chat", `<received xmlns="urn:xmpp:receipts" id="1"/>`, true, true},
		{"chat", `<displayed xmlns="urn:xmpp:chat-markers:0" id="1"/>`, true, true},
		{"chat", `<x xmlns="urn:x"/>` + hint("store"), true, true},
		{"chat", `<body>x</body>` + hint("no-store"), false, false},
		{"chat", `<body>x</body>` + hint("no-permanent-store"), false, true},
		{"chat", `<composing xmlns="http://jabber.org/protocol/chatstates"/>`, false, false},
		{"headline", `<body>x</body>`, false, false},
	} {
		bob := s.online("bob", "b")
		bob.seen = nil
		bob.raw(`<close xmlns="` + stanza.NSFraming + `"/>`)
		bob.ended()
		id := "what" + strconv.Itoa(i)
		alice.send(`<message id="` + id + `" type="` + c.typ + `" to="bob@ward.example">` + c.in + `</message>`)
		alice.sync()
		if p := alice.query("<max>1</max><before/>"); c.archived != (len(p.ids) == 1 && s.archivedID(alice, p.ids[0]) == id) {
			t.Errorf("%s %s: archived is not %v", c.typ, c.in, c.archived)
		}
		bob = s.online("bob", "b")
		bob.sync()
		found := false
		for _, e := range bob.seen {
			if e.Get("id") == id {
				found = true
				if e.Child(nsDelay, "delay").Get("from") != domain {
					t.Errorf("out of the mailbox without a time: %s", e)
				}
				if c.archived != (e.Child(nsStanzaID, "stanza-id") != nil) {
					t.Errorf("%s", e)
				}
			}
		}
		if found != c.mailbox {
			t.Errorf("%s %s: kept in the mailbox: %v", c.typ, c.in, found)
		}
		bob.ws.CloseNow()
	}
}

// archivedID returns the message id of an archived message.
func (s *server) archivedID(c *client, id string) (got string) {
	n, _ := strconv.ParseInt(id, 36, 64)
	s.do(s.t.Context(), func(k *core) error {
		e, err := stanza.Parse(k.store.blob(`SELECT stanza FROM archive WHERE id=?`, n))
		got = e.Get("id")
		return err
	})
	return got
}

func TestMailbox(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Mailbox: 3 * pumpSize, MailboxShare: 3 * pumpSize}}, "alice", "bob")
	alice := s.online("alice", "a")
	for i := range 3 * pumpSize {
		alice.chat("bob@ward.example", fmt.Sprint(i))
	}
	alice.send(`<message id="full" type="chat" to="bob@ward.example"><body>one too many</body></message>`)
	if e := alice.expect("an error", func(e *stanza.Element) bool { return e.Get("id") == "full" }); errorCondition(e) != "resource-constraint" {
		t.Errorf("a full mailbox: %s", e)
	}
	quiet := s.connect("bob", "quiet")
	quiet.send(`<presence><priority>-1</priority></presence>`)
	quiet.none("a message with a negative priority", func(e *stanza.Element) bool { return e.Local == "message" })

	// One that takes everything, but acknowledges half and goes.
	half := s.connect("bob", "half")
	id := half.enable(true)
	if id == "" {
		t.Fatal("no resumption")
	}
	half.send(`<presence/>`)
	read := 0
	for read < 2*pumpSize {
		half.body(fmt.Sprint(read))
		read++
		if read%50 == 0 {
			half.ack(half.handled)
		}
	}
	half.ack(half.handled)
	half.raw(`<close xmlns="` + stanza.NSFraming + `"/>`)
	half.ended()
	rest := s.online("bob", "rest")
	n := read
	if got := rest.message("the rest", func(e *stanza.Element) bool { return e.Child("", "body") != nil }).Child("", "body").Text(); got != fmt.Sprint(n) {
		t.Errorf("goes on with %s after %d were acknowledged", got, read)
	}
	for n++; n < 3*pumpSize; n++ {
		rest.body(fmt.Sprint(n))
	}
	alice.chat("bob@ward.example", "live")
	rest.body("live")
	rest.none("a message twice", func(e *stanza.Element) bool { return e.Local == "message" && e.Child("", "body") != nil })
	eventually(t, "the mailbox to be empty", func() bool {
		var left int64
		s.do(t.Context(), func(c *core) error {
			left = c.store.number(`SELECT count(*) FROM mailbox`) + c.accounts["bob"].mail
			return nil
		})
		return left == 0
	})
}

// TestLargeMessagesCostNobodyTheirSession: somebody who was sent more than one
// session may hold gets it all the same, piece by piece.
func TestLargeMessagesCostNobodyTheirSession(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{QueueBytes: 400 << 10}}, "alice", "bob")
	alice := s.online("alice", "a")
	const n = 24
	large := func(i int) string { return strconv.Itoa(i) + strings.Repeat(".", 30<<10) }
	for i := range n {
		alice.chat("bob@ward.example", large(i))
		alice.sync()
	}
	bob := s.connect("bob", "b")
	bob.enable(true)
	bob.send(`<presence/>`)
	for i := range n {
		bob.body(large(i))
		bob.ack(bob.handled)
	}
	last, got := "", 0
	for done := false; !done; {
		p := bob.query(`<max>250</max><after>` + last + `</after>`)
		if len(p.ids) == 0 {
			t.Fatal("an empty page that is not the last")
		}
		for _, body := range p.bodies {
			if body != large(got) {
				t.Fatalf("message %d is %.10s", got, body)
			}
			got++
		}
		bob.ack(bob.handled)
		last, done = p.ids[len(p.ids)-1], p.complete()
	}
	if got != n {
		t.Errorf("%d messages in the archive, not %d", got, n)
	}
	if p := bob.query(`<before/>`); len(p.bodies) == 0 || p.bodies[len(p.bodies)-1] != large(n-1) || p.complete() {
		t.Errorf("the last page has %d messages", len(p.bodies))
	}
}
