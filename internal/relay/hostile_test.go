package relay

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
)

// vocabulary of well-formed nonsense.
var (
	hostileSpaces = []string{stanza.NSClient, stanza.NSBind, stanza.NSSM, stanza.NSStanzas, nsBlocking, nsCaps, nsCarbons, nsChatStates, nsData,
		nsDelay, nsDiscoInfo, nsDiscoItems, nsForward, nsHints, nsMAM, nsMarkers, nsPing, nsPubSub, nsPubSubEvent, nsPubSubOwner,
		nsReceipts, nsRegister, nsRoster, nsRSM, nsStanzaID, nsTime, nsVCard, nsVersion, "urn:x",
		stanza.NSMUC, stanza.NSMUCUser, stanza.NSMUCAdmin, stanza.NSMUCOwner, stanza.NSModerate, stanza.NSRetract, stanza.NSUpload, stanza.NSOccupantID}
	hostileNames = []string{"query", "pubsub", "publish", "items", "item", "retract", "delete", "purge", "configure", "create", "publish-options",
		"x", "field", "value", "set", "max", "after", "before", "index", "block", "unblock", "blocklist", "enable", "disable", "ping",
		"bind", "resource", "priority", "body", "encrypted", "c", "feature", "identity", "vCard", "prefs", "username", "password", "private",
		"no-store", "no-copy", "store", "stanza-id", "delay", "received", "a", "r", "resume", "session", "time", "show", "error",
		"history", "invite", "decline", "destroy", "subject", "moderate", "moderated", "retracted", "request", "occupant-id", "actor", "reason", "remove"}
	hostileAttrs = []string{"id", "to", "from", "type", "node", "jid", "var", "h", "previd", "resume", "hash", "ver", "max_items", "notify", "queryid", "by",
		"affiliation", "role", "nick", "maxstanzas", "maxchars", "since", "seconds", "filename", "size", "code"}
	hostileValues = []string{"", "0", "1", "-1", "4294967295", "99999999999999999999", "get", "set", "result", "error", "chat", "normal", "groupchat",
		"headline", "unavailable", "subscribe", "probe", "submit", "cancel", "n", "current", "max", "open", "whitelist", "presence", "true",
		"alice", "alice@ward.example", "alice@ward.example/a", "bob@ward.example", "bob@ward.example/b", "bob@ward.example/gone", "carol@ward.example",
		"ward.example", "ward.example/x", "@", "a@b@c", "x@y/z", "\u202e\u0000", "sha-1", "FORM_TYPE", "with", "start", "end",
		fieldAccess, fieldMaxItems, fieldPersist, fieldSendLast, nsMAM, nsPubSubConfig, nsPubSubOptions, "2026-01-01T00:00:00Z", "mood+notify", "12345678",
		"rooms.ward.example", "ward3@rooms.ward.example", "ward3@rooms.ward.example/alice", "ward3@rooms.ward.example/bob", "other@rooms.ward.example/x", "upload.ward.example",
		"owner", "admin", "member", "outcast", "none", "moderator", "participant", fieldTitle, fieldPublic, fieldInvites, "muc#roomconfig_membersonly", stanza.FormRoomConfig}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func nonsense(r *rand.Rand, depth int) *stanza.Element {
	if r.IntN(5) == 0 {
		return stanza.Text(pick(r, hostileValues))
	}
	e := stanza.New(pick(r, hostileSpaces), pick(r, hostileNames))
	for range r.IntN(4) {
		e.Set(pick(r, hostileAttrs), pick(r, hostileValues))
	}
	if depth > 0 {
		for range r.IntN(4) {
			c := nonsense(r, depth-1)
			if r.IntN(3) > 0 && c.Local != "" {
				c.Space = e.Space // mostly one namespace, or nothing gets far
			}
			e.Add(c)
		}
	}
	return e
}

// TestNonsense feeds well-formed nonsense, made of what the relay understands,
// to sessions that are logged in, in all orders.
func TestNonsense(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, "alice", "bob", "carol")
	bob := r.bindTo("bob", "b")
	r.feed(bob, `<presence xmlns="jabber:client"/>`)
	r.feed(bob, `<presence xmlns="jabber:client" to="ward3@rooms.ward.example/bob"><x xmlns="http://jabber.org/protocol/muc"/></presence>`)
	r.feed(bob, `<iq xmlns="jabber:client" type="set" id="1" to="ward3@rooms.ward.example"><query xmlns="http://jabber.org/protocol/muc#admin"><item affiliation="owner" jid="alice@ward.example"/></query></iq>`)
	var alice *conn
	refused := 0
	for i := range 20000 {
		if alice == nil || alice.ended || rnd.IntN(500) == 0 {
			if alice != nil {
				r.batch(event{conn: alice, gone: true}, r.none)
			}
			alice = r.bindTo("alice", "a")
			if rnd.IntN(2) == 0 {
				r.feed(alice, `<enable xmlns="urn:xmpp:sm:3" resume="true"/>`)
				r.feed(alice, `<presence xmlns="jabber:client"/>`)
			}
		}
		e := nonsense(rnd, 5)
		if e.Local == "" {
			continue
		}
		switch rnd.IntN(20) {
		case 0:
		case 1, 2, 3:
			e = stanza.New(stanza.NSClient, "presence", e)
		case 4, 5, 6, 7:
			e = stanza.New(stanza.NSClient, "message", e, nonsense(rnd, 2))
		default:
			e = stanza.New(stanza.NSClient, "iq", e).With("id", "1").With("type", []string{"get", "set", "result"}[rnd.IntN(3)])
		}
		if e.Space == stanza.NSClient && rnd.IntN(3) == 0 {
			e.Set("to", pick(rnd, hostileValues))
		}
		if e.Space == stanza.NSClient && rnd.IntN(6) == 0 { // and at rooms
			e.Set("to", pick(rnd, []string{"ward3", "other", "alice"})+"@rooms.ward.example"+pick(rnd, []string{"", "", "/alice", "/bob"}))
			switch e.Local {
			case "message":
				e.Set("type", pick(rnd, []string{"groupchat", "groupchat", "normal"}))
				e.Add(stanza.TextElement(stanza.NSClient, pick(rnd, []string{"body", "subject"}), pick(rnd, hostileValues)))
			case "presence":
				e.Add(stanza.New(stanza.NSMUC, "x", nonsense(rnd, 1)))
			}
		}
		if e.Space == stanza.NSClient && rnd.IntN(10) == 0 {
			e.Set(pick(rnd, hostileAttrs), pick(rnd, hostileValues))
		}
		r.batch(event{conn: alice, el: e, size: 100}, r.none)
		if i%1000 == 0 {
			r.now = func() time.Time { return time.Now().Add(time.Duration(i) * time.Minute) }
			r.call(r.tick)
		}
		if r.panics > 0 || r.store.err != nil {
			t.Fatalf("panics %d, %v after %s", r.panics, r.store.err, e)
		}
		for _, k := range []*conn{alice, bob} {
			items, _ := k.queue.take()
			for _, f := range items {
				k.queue.wrote(f)
				b := f.append(nil)
				el, err := stanza.Parse(b)
				if err != nil {
					t.Fatalf("sent %q: %v", b, err)
				}
				if el.Get("type") == "error" {
					refused++
				}
				from, _, _ := strings.Cut(el.Get("from"), "/")
				if k == bob && el.Space == stanza.NSClient && from != "" && from != "alice@ward.example" && from != "bob@ward.example" && from != "carol@ward.example" && from != domain && !strings.HasSuffix(from, "@rooms."+domain) {
					t.Fatalf("bob was sent %s", b)
				}
				if k == bob && from == "carol@ward.example" {
					t.Fatalf("alice spoke as carol: %s after %s", b, e)
				}
			}
		}
		if bob.session == nil || bob.ended {
			t.Fatalf("bob's session was ended by %s", e)
		}
	}
	for what, n := range map[string]int64{
		"archive": r.store.number(`SELECT count(*) FROM (SELECT account, peer, count(*) n, sum(length(stanza)) b FROM archive GROUP BY account, peer) x
			LEFT JOIN archive_use u USING(account, peer) WHERE u.messages IS NOT x.n OR u.bytes IS NOT x.b`),
		"archives": r.store.number(`SELECT count(*) FROM (SELECT account, count(*) n, sum(length(stanza)) b FROM archive GROUP BY account) x
			LEFT JOIN archive_use u ON u.account=x.account AND u.peer='' WHERE u.messages IS NOT x.n OR u.bytes IS NOT x.b`),
	} {
		if n != 0 {
			t.Errorf("%d sums of %s do not add up", n, what)
		}
	}
	said := r.store.number(`SELECT count(*) FROM archive WHERE account<0`)
	rooms := r.store.number(`SELECT count(*) FROM rooms`)
	t.Logf("%d refused, %d rooms, %d messages in their archives", refused, rooms, said)
	if refused == 0 {
		t.Error("nothing was refused: the nonsense gets nowhere")
	}
	books := int64(len(r.delivered))
	for _, a := range r.accounts {
		books += a.mail
	}
	if n := r.store.number(`SELECT count(*) FROM mailbox`); n != books {
		t.Errorf("%d messages in the mailbox, %d by the books", n, books)
	}
}
