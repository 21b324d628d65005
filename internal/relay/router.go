package relay

import (
	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// Dispatch of what a client sends: before it has a session, elements of the
// stream, and stanzas by kind and addressee (RFC 6120 section 10).

// element handles one element from k.
func (c *core) element(k *conn, el *stanza.Element, size int) {
	if k.ended {
		return
	}
	if c.accounts[k.account.name] != k.account {
		c.dismiss(k, "not-authorized", "this account was removed")
		return
	}
	s := k.session
	if s == nil {
		c.unbound(k, el)
		return
	}
	if el.Space != stanza.NSClient {
		if !c.stream(k, el) {
			c.dismiss(k, "unsupported-stanza-type", "")
		}
		return
	}
	switch el.Local {
	case "message", "presence", "iq":
	default:
		c.dismiss(k, "unsupported-stanza-type", "")
		return
	}
	if s.sm {
		s.handled++
	}
	el.Set("from", s.full) // whatever the client says
	if el.Get("to") == "" {
		el.Del("to") // an empty one counts as none
	}
	if size > c.limits.StanzaBytes || el.Local == "presence" && size > c.limits.PresenceBytes {
		c.refuse(s, el, "modify", "policy-violation", "this is larger than the relay accepts")
		return
	}
	switch el.Local {
	case "message":
		c.message(s, el)
	case "presence":
		c.presence(s, el)
	case "iq":
		c.iq(s, el)
	}
}

// unbound handles what a client may send before it has a session.
func (c *core) unbound(k *conn, el *stanza.Element) {
	switch {
	case el.Is(stanza.NSFraming, "close"):
		c.hangUp(k)
	case el.Is(stanza.NSSM, "resume"):
		c.resume(k, el)
	case el.Is(stanza.NSClient, "iq") && el.Get("type") == "set" && el.Child(stanza.NSBind, "bind") != nil:
		c.bind(k, el)
	case el.Space == stanza.NSSM:
		c.stage(k, smFailed("unexpected-request"))
	default:
		c.dismiss(k, "not-authorized", "bind a resource first")
	}
}

// address is where a stanza goes: to the relay itself (account nil), to an
// account, or to one resource of it; or to one of the relay's services.
type address struct {
	account  *account
	resource string
	raw      string
	service  service
	local    string // of an address at a service: its localpart
}

// service is a part of the relay with a domain of its own.
type service int

const (
	noService service = iota
	roomService
	uploadService
)

// addressee works out where el goes. If that is nowhere, it answers and
// returns false. Without "to" a stanza goes to the sender's own account (RFC
// 6120 section 8.1.1.1).
func (c *core) addressee(s *session, el *stanza.Element) (address, bool) {
	to := el.Get("to")
	switch to {
	case "", s.account.bare:
		return address{account: s.account, raw: s.account.bare}, true
	case c.domain:
		return address{raw: to}, true
	}
	j, err := jid.Parse(to)
	switch {
	case err != nil:
		c.refuse(s, el, "modify", "jid-malformed", "")
		return address{}, false
	case j.Domainpart() == c.roomService:
		return address{service: roomService, local: j.Localpart(), resource: j.Resourcepart(), raw: j.String()}, true
	case j.Domainpart() == c.uploadService:
		return address{service: uploadService, local: j.Localpart(), resource: j.Resourcepart(), raw: j.String()}, true
	case j.Domainpart() != c.domain:
		c.refuse(s, el, "cancel", "remote-server-not-found", "this relay does not talk to others")
		return address{}, false
	case j.Localpart() == "":
		return address{resource: j.Resourcepart(), raw: j.String()}, true
	}
	a := c.accounts[j.Localpart()]
	if a == nil {
		c.refuse(s, el, "cancel", "service-unavailable", "")
		return address{}, false
	}
	return address{account: a, resource: j.Resourcepart(), raw: j.String()}, true
}

// refuse answers el with an error, unless el is an answer itself: errors are
// never answered with errors.
func (c *core) refuse(s *session, el *stanza.Element, typ, condition, text string) {
	switch t := el.Get("type"); {
	case t == "error", el.Local == "iq" && t == "result":
		return
	case el.Local == "presence" && t != "" && t != "subscribe" && t != "probe":
		return
	}
	c.send(s, errorReply(el, typ, condition, text).Bytes())
}

// replyTo starts an answer to el: addresses exchanged, id kept.
func replyTo(el *stanza.Element, typ string) *stanza.Element {
	r := stanza.New(stanza.NSClient, el.Local).With("type", typ)
	for _, a := range [][2]string{{"id", "id"}, {"from", "to"}, {"to", "from"}} {
		if v := el.Get(a[1]); v != "" {
			r.Set(a[0], v)
		}
	}
	return r
}

// resultReply answers an iq.
func resultReply(iq *stanza.Element, payload ...*stanza.Element) *stanza.Element {
	return replyTo(iq, "result").Add(payload...)
}

// errorReply answers el with an error (RFC 6120 section 8.3). text may be
// empty; more are application-specific conditions.
func errorReply(el *stanza.Element, typ, condition, text string, more ...*stanza.Element) *stanza.Element {
	e := stanza.New(stanza.NSClient, "error", stanza.New(stanza.NSStanzas, condition)).With("type", typ)
	if text != "" {
		e.Add(stanza.TextElement(stanza.NSStanzas, "text", text))
	}
	return replyTo(el, "error").Add(e.Add(more...))
}
