package relay

import (
	"time"

	"sotto/client/stanza"
)

// Requests and their answers (RFC 6120 section 8.2.3, RFC 6121 section 8.5).

// request is a get or set that the relay answers itself, on its own behalf or
// on that of an account.
type request struct {
	s       *session
	iq      *stanza.Element
	payload *stanza.Element
	set     bool
	at      *account // whom it is addressed to; nil: the relay or a service of it
}

// own reports whether the request is for the account of who asks.
func (q *request) own() bool { return q.at == q.s.account }

func (c *core) iq(s *session, iq *stanza.Element) {
	typ := iq.Get("type")
	get, set := typ == "get", typ == "set"
	if !get && !set && typ != "result" && typ != "error" || iq.Get("id") == "" {
		c.refuse(s, iq, "modify", "bad-request", "")
		return
	}
	var payload *stanza.Element
	if get || set {
		n := 0
		for e := range iq.Elements() {
			payload = e
			n++
		}
		if n != 1 {
			c.refuse(s, iq, "modify", "bad-request", "a request holds exactly one element")
			return
		}
	}
	to, ok := c.addressee(s, iq)
	if !ok {
		return
	}
	if to.account != nil && to.resource != "" {
		c.iqToResource(s, iq, to)
		return
	}
	if !get && !set {
		if iq.Get("id") == s.capsQuery && s.capsQuery != "" {
			c.capsAnswer(s, iq)
		}
		return
	}
	q := &request{s, iq, payload, set, to.account}
	switch to.service {
	case roomService:
		c.roomIQ(q, to)
	case uploadService:
		c.uploadIQ(q, to)
	default:
		c.answer(q)
	}
}

// iqToResource passes an iq on to another session.
func (c *core) iqToResource(s *session, iq *stanza.Element, to address) {
	o := to.account.sessions[to.resource]
	if s.account.blocking(to.account, to.raw) {
		c.refuseBlocked(s, iq)
		return
	}
	if o == nil || to.account.blocking(s.account, s.full) {
		c.refuse(s, iq, "cancel", "service-unavailable", "")
		return
	}
	c.send(o, iq.Bytes())
}

// answer finds who answers a request.
func (c *core) answer(q *request) {
	p := q.payload
	if q.at != nil && !q.own() && q.at.blocking(q.s.account, q.s.full) {
		c.no(q, "cancel", "service-unavailable", "")
		return
	}
	switch p.Space {
	case nsPubSub, nsPubSubOwner:
		if q.at != nil {
			c.pubsub(q)
			return
		}
	case nsDiscoInfo, nsDiscoItems:
		if !q.set && p.Local == "query" {
			c.disco(q)
			return
		}
	case nsVCard:
		if !q.set && q.at != nil && p.Local == "vCard" {
			c.yes(q, stanza.New(nsVCard, "vCard", stanza.TextElement(nsVCard, "FN", q.at.title())))
			return
		}
	}
	if q.at == nil && p.Is(nsCommands, "command") && q.set {
		c.command(q)
		return
	}
	if q.at != nil && !q.own() { // everything else is a person's own business
		c.no(q, "cancel", "service-unavailable", "")
		return
	}
	c.answerOwn(q)
}

// answerOwn answers what people ask their own account or the relay.
func (c *core) answerOwn(q *request) {
	p := q.payload
	switch {
	case p.Is(nsRoster, "query"):
		c.roster(q)
	case p.Is(nsMAM, "query"), p.Is(nsMAM, "prefs"):
		c.archiveQuery(q, box{q.s.account.id, q.s.account.bare})
	case p.Is(nsCarbons, "enable") && q.set, p.Is(nsCarbons, "disable") && q.set:
		q.s.carbons = p.Local == "enable"
		c.yes(q)
	case p.Space == nsBlocking:
		c.blockQuery(q)
	case p.Is(nsRegister, "query"):
		c.register(q)
	case p.Is(nsPing, "ping") && !q.set:
		c.yes(q)
	case p.Is(nsSession, "session") && q.set:
		c.yes(q)
	case p.Is(stanza.NSBind, "bind"):
		c.no(q, "cancel", "not-allowed", "one resource per connection")
	case p.Is(nsVersion, "query") && !q.set:
		c.yes(q, stanza.New(nsVersion, "query", stanza.TextElement(nsVersion, "name", "sotto relay")))
	case p.Is(nsTime, "time") && !q.set:
		now := c.now()
		c.yes(q, stanza.New(nsTime, "time",
			stanza.TextElement(nsTime, "tzo", now.Format("-07:00")),
			stanza.TextElement(nsTime, "utc", stamp(now))))
	default:
		c.no(q, "cancel", "service-unavailable", "")
	}
}

// yes answers a request.
func (c *core) yes(q *request, payload ...*stanza.Element) {
	c.send(q.s, resultReply(q.iq, payload...).Bytes())
}

// no refuses a request.
func (c *core) no(q *request, typ, condition, text string, more ...*stanza.Element) {
	c.send(q.s, errorReply(q.iq, typ, condition, text, more...).Bytes())
}

// stamp formats a time as XEP-0082 wants it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
