package client

import (
	"crypto/rand"
	"errors"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// Bounds of requests to the relay and to people's servers.
const (
	iqTimeout    = 30 * time.Second
	iqInFlight   = 64   // asked and not answered
	iqWaiting    = 4096 // to be asked
	pageTimeout  = 2 * time.Minute
	replyTooLate = "no answer in time"
)

// Why a request has no answer.
var (
	errNoAnswer = errors.New(replyTooLate)
	errOffline  = errors.New("the relay cannot be reached now")
	errTooMany  = errors.New("too many requests are waiting")
)

// request is an IQ under way.
type request struct {
	id, typ  string
	to       string // "" is the own account
	payload  *stanza.Element
	timeout  time.Duration
	deadline time.Time
	done     func(reply *stanza.Element, err error)
}

// requests matches replies to what was asked.
type requests struct {
	flying  map[string]*request
	waiting []*request
}

// ask sends a request. done runs once, in Run's goroutine, with the reply or
// with why there is none: a *stanza.StanzaError, or one of the errors above.
func (c *Client) ask(typ, to string, payload *stanza.Element, done func(*stanza.Element, error)) {
	c.askFor(iqTimeout, typ, to, payload, done)
}

func (c *Client) askFor(timeout time.Duration, typ, to string, payload *stanza.Element, done func(*stanza.Element, error)) {
	r := &request{id: rand.Text(), typ: typ, to: to, payload: payload, timeout: timeout, done: done}
	switch {
	case !c.online:
		done(nil, errOffline)
	case len(c.iqs.flying) < iqInFlight:
		c.fly(r)
	case len(c.iqs.waiting) < iqWaiting:
		c.iqs.waiting = append(c.iqs.waiting, r)
	default:
		done(nil, errTooMany)
	}
}

func (c *Client) fly(r *request) {
	r.deadline = time.Now().Add(r.timeout)
	c.iqs.flying[r.id] = r
	c.out.send(wire.Send{ID: r.id, Stanza: stanza.NewIQ(r.typ, r.to, r.id, r.payload).Bytes()})
}

// land takes a request out and starts the next one that waits.
func (c *Client) land(r *request) {
	delete(c.iqs.flying, r.id)
	if len(c.iqs.waiting) > 0 {
		next := c.iqs.waiting[0]
		c.iqs.waiting = c.iqs.waiting[1:]
		c.fly(next)
	}
}

// reply handles an IQ result or error.
func (c *Client) reply(e *stanza.Element) {
	r := c.iqs.flying[e.Get("id")]
	if r == nil {
		return // late, or not ours
	}
	if !c.answers(e.Get("from"), r.to) {
		c.log.Warn("reply from somebody who was not asked", "from", e.Get("from"), "asked", r.to)
		return
	}
	c.land(r)
	if e.Get("type") == "error" {
		r.done(nil, stanza.ReadError(e))
		return
	}
	r.done(e, nil)
}

// answers reports whether a reply with this from may answer a request with this
// to (RFC 6120 section 8.1.2.1): the same address; and for the own account no
// address, the bare one, or the full one this connection has.
func (c *Client) answers(from, to string) bool {
	if to == "" || to == c.self {
		if from == "" {
			return true
		}
		j, err := jid.Parse(from)
		return err == nil && (j.Equal(c.selfID) || j.String() == c.full)
	}
	a, err := jid.Parse(from)
	if err != nil {
		return false
	}
	b, err := jid.Parse(to)
	return err == nil && a.Equal(b)
}

// dropRequests ends everything that was asked in a session that is over.
func (c *Client) dropRequests() {
	old := c.iqs
	c.iqs = requests{flying: make(map[string]*request)}
	for _, r := range old.flying {
		r.done(nil, errOffline)
	}
	for _, r := range old.waiting {
		r.done(nil, errOffline)
	}
}

// expireRequests ends what has waited too long.
func (c *Client) expireRequests(now time.Time) {
	for _, r := range c.iqs.flying {
		if now.After(r.deadline) {
			what := ""
			if r.payload != nil {
				what = r.payload.Space
			}
			c.log.Info("request not answered in time", "to", r.to, "what", what)
			c.land(r)
			r.done(nil, errNoAnswer)
		}
	}
}

// condition returns the defined condition of a relay's refusal, or "".
func condition(err error) string {
	if e, ok := errors.AsType[*stanza.StanzaError](err); ok {
		return e.Condition
	}
	return ""
}

// pubsubCondition returns the condition that publish-subscribe adds, or "".
func pubsubCondition(err error) string {
	if e, ok := errors.AsType[*stanza.StanzaError](err); ok {
		if e.App != nil && e.App.Space == stanza.NSPubSubErrors {
			return e.App.Local
		}
	}
	return ""
}

// passing reports whether a failed request may succeed later by itself.
func passing(err error) bool {
	if errors.Is(err, errNoAnswer) || errors.Is(err, errOffline) || errors.Is(err, errTooMany) {
		return true
	}
	switch condition(err) {
	case "remote-server-timeout", "remote-server-not-found", "resource-constraint", "recipient-unavailable", "internal-server-error":
		return true
	}
	return false
}

// describe says why a request failed, in words fit for a screen.
func describe(err error) string { return lineOf("%v", err).String() }
