package link

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

const (
	askAfter = 32              // stanzas, at most, until an acknowledgement is asked for
	rttEvery = 5 * time.Second // the desk is not told of another round trip before
)

// nextForRelay returns what to send next and what to note once it was taken.
// Stanzas count as sent from then on: if they get lost, resumption tells.
func (o *owner) nextForRelay() (outbound, func()) {
	x, more := o.out.next()
	switch {
	case o.answer:
		return outbound{b: stanza.SMAnswer(o.in.handled).Bytes()}, func() {
			o.answer, o.behind = false, o.in.handled != o.in.total
		}
	case o.state && o.features.CSI:
		// Who has orders to obey is never inactive: Prosody holds back from those what
		// is for nobody to read, and the organisation's nudges are that.
		active := o.desk != nil && o.desk.ready || o.duty != nil
		return outbound{b: stanza.ClientState(active).Bytes()}, func() {
			// Prosody 0.12 stops writing with <inactive/>, and what it was about to
			// write then waits for the next important thing. An answer is one.
			o.state, o.ask, o.nudge = false, o.ask || !active, !active
		}
	case more && (o.unasked < askAfter || !o.askedAt.IsZero()):
		b := x.b
		if x.wipe {
			if o.secret == nil { // one copy, however often it is offered
				o.secret = bytes.Clone(b)
			}
			b = o.secret
		}
		return outbound{b: b, wipe: x.wipe}, func() {
			if x.wipe {
				o.secret = nil
			}
			o.out.took()
			o.unasked++
			o.ask = true
		}
	case o.ask && (o.askedAt.IsZero() || o.nudge):
		asked := func() {
			o.ask, o.nudge, o.askedAt, o.unasked = false, false, time.Now(), 0
		}
		if o.sm {
			return outbound{b: stanza.SMRequest().Bytes()}, asked
		}
		id := o.newID()
		return outbound{b: stanza.NewIQ("get", o.acct.address.Domainpart(), id, stanza.Ping()).Bytes()}, func() {
			asked()
			o.pingID, o.pingSent = id, o.out.sent
		}
	}
	return outbound{}, nil
}

// newID returns an id for a request of the link itself.
func (o *owner) newID() string {
	o.idCount++
	return o.idPrefix + strconv.FormatUint(o.idCount, 36)
}

// fromRelay takes one element, or the end of the stream.
func (o *owner) fromRelay(in inbound) {
	if in.err != nil {
		if f := asFailure(in.err); f.reply != "" {
			o.violated(f)
		} else {
			o.stream.cut()
			o.broken(f)
		}
		return
	}
	o.heardAt = time.Now()
	if err := ending(o.acct.address.Domainpart(), in.e); err != nil {
		o.stream.end()
		o.broken(asFailure(err))
		return
	}
	switch {
	case in.e.Space == stanza.NSSM && o.sm:
		o.management(in.e)
	case in.e.Space == stanza.NSClient:
		o.stanza(in, o.sm)
	}
}

// management takes an element of XEP-0198.
func (o *owner) management(e *stanza.Element) {
	switch e.Local {
	case "r":
		o.answer = true
	case "a":
		h, there, err := stanza.ReadSMCount(e)
		if err != nil || !there {
			o.violated(violation(stanza.ErrSM))
			return
		}
		done, err := o.out.ack(h)
		if err != nil {
			o.violated(violation(err))
			return
		}
		o.alive()
		o.settle(done)
	}
}

// alive notes that the relay answered what it was asked.
func (o *owner) alive() {
	if o.askedAt.IsZero() {
		return
	}
	now := time.Now()
	rtt := now.Sub(o.askedAt)
	o.askedAt, o.failures, o.hurry = time.Time{}, 0, false
	o.nextPing = now.Add(o.pingEvery())
	if o.rtt == 0 || now.Sub(o.toldRTT) >= rttEvery {
		o.rtt, o.toldRTT = min(max(rtt, time.Microsecond), time.Hour), now
		o.tellState()
	}
	o.enterRooms()
}

// progress notes that a resumed stream has brought something further. However
// soon it breaks, the next attempt need not wait as after one that led nowhere. A
// new session brings the same things each time, which proves nothing: that counts
// once the relay has answered.
func (o *owner) progress() {
	if o.resumed {
		o.failures = 0
	}
}

// settle takes stanzas that the relay has handled.
func (o *owner) settle(done []outgoing) {
	if len(done) > 0 {
		o.progress()
	}
	for _, x := range done {
		if x.id != "" {
			o.settled = append(o.settled, x.id)
		}
		if x.order != 0 {
			o.acknowledged()
		}
		if x.wipe {
			clear(x.b)
		}
	}
	if n := len(o.settled) - maxSettled; n > 0 {
		o.settled = o.settled[n:]
	}
	if o.refused && !o.out.crowded() && o.desk != nil {
		o.desk.pending, o.refused = true, false
	}
}

// stanza takes a message, presence or iq; counted says whether XEP-0198 does.
func (o *owner) stanza(in inbound, counted bool) {
	e := in.e
	if e.Space != stanza.NSClient || e.Local != "message" && e.Local != "presence" && e.Local != "iq" {
		return
	}
	if counted {
		known, err := o.in.known(e)
		if err != nil {
			o.violated(violation(err))
			return
		}
		if known {
			return
		}
		o.progress()
	}
	h := &held{raw: in.raw}
	keep := o.desk != nil && o.desk.ready
	switch e.Local {
	case "presence":
		o.present.note(e, in.raw)
		o.roomPresence(e)
	case "message":
		h.message = true
		h.arrival = arrivalOf(e, o.acct.address.String())
		if h.arrival != nil && h.arrival.room && !o.roomNews(e) {
			h.arrival = nil
		}
		if o.nudged(e) && !keep {
			break // the next desk is given the newest
		}
		if !keep {
			o.waiting.add(h.arrival)
			keep = o.in.room(e, len(h.raw)) // else the desk finds it in the archive
		}
	case "iq":
		keep = o.iq(e) && keep
	}
	switch {
	case keep && counted:
		o.in.hold(e, h)
	case keep:
		o.in.keep(h)
	case counted:
		o.in.handle()
	}
}

// iq answers requests and takes answers to the link's own. It reports whether
// the desk should see the stanza too.
func (o *owner) iq(e *stanza.Element) (forDesk bool) {
	q, err := stanza.ReadIQ(e)
	if err != nil {
		return false
	}
	if q.Type == "result" || q.Type == "error" {
		if !strings.HasPrefix(q.ID, o.idPrefix) {
			return true
		}
		if o.ownAnswer(q.From) {
			o.answered(q.ID, e)
		}
		o.roomAnswered(q, e)
		o.contactAnswered(q, e)
		return false
	}
	if len(q.From) > wire.MaxAddress || o.out.crowded() {
		return false // no room for answers to a flood of requests
	}
	var reply *stanza.Element
	own := q.From == "" || q.From == o.acct.address.String()
	switch {
	case own && q.Type == "set" && (q.Payload.Is(stanza.NSRoster, "query") || q.Payload != nil && q.Payload.Space == stanza.NSBlocking):
		reply, forDesk = stanza.Result(e, nil), true // a push (RFC 6121 section 2.1.6, XEP-0191)
	case q.Type == "set" && q.Payload.Is(stanza.NSRoster, "query"):
		o.cfg.Logger.Warn("roster push from somebody else", "from", clip(q.From))
		reply = stanza.ErrorReply(e, "cancel", "service-unavailable")
	case q.Type == "get" && q.Payload.Is(stanza.NSPing, "ping"):
		reply = stanza.Result(e, nil)
	case q.Type == "get" && q.Payload.Is(stanza.NSDiscoInfo, "query"):
		reply = discoInfo(e, q.Payload.Get("node"))
	case q.Type == "get" && q.Payload.Is(stanza.NSDiscoItems, "query"):
		reply = stanza.Result(e, stanza.ItemsQuery(clip(q.Payload.Get("node"))))
	default:
		reply = stanza.ErrorReply(e, "cancel", "service-unavailable")
	}
	o.out.push(outgoing{b: reply.Bytes()})
	return forDesk
}

// discoInfo answers for the client itself and for the node in its caps.
func discoInfo(e *stanza.Element, node string) *stanza.Element {
	ver, _ := stanza.CapsVer(info)
	if node != "" && node != capsNode+"#"+ver {
		return stanza.ErrorReply(e, "cancel", "item-not-found")
	}
	i := info
	i.Node = node
	return stanza.Result(e, i.Element())
}

// answered takes the answer to a request of the link.
func (o *owner) answered(id string, e *stanza.Element) {
	switch {
	case id == o.pingID: // an error is a sign of life, too
		o.pingID = ""
		done := o.out.done(o.pingSent)
		o.alive()
		o.settle(done)
	case o.change != nil && id == o.change.id:
		_, err := stanza.CheckIQ(e)
		o.changed(err)
	}
}
