package relay

import (
	"bytes"
	"strconv"
	"time"

	"sotto/client/stanza"
)

// Stream management and resumption (XEP-0198).
//
// A message that can wait is in the mailbox from the moment it is routed until
// a client has acknowledged it. So when a session dies, or the relay does,
// what was not acknowledged is already where it has to be.

// stream handles an element that is not a stanza. It reports whether it was one it knows.
func (c *core) stream(k *conn, el *stanza.Element) bool {
	s := k.session
	switch {
	case el.Is(stanza.NSFraming, "close"):
		c.hangUp(k)
	case el.Is(stanza.NSSM, "enable"):
		c.enable(s, el)
	case el.Is(stanza.NSSM, "resume"): // a session is bound already
		c.stage(k, smFailed("unexpected-request"))
	case el.Is(stanza.NSSM, "r"):
		if s.sm {
			c.stage(k, stanza.New(stanza.NSSM, "a").With("h", strconv.FormatUint(uint64(s.handled), 10)).Bytes())
		}
	case el.Is(stanza.NSSM, "a"):
		if h, ok := counter(el); s.sm && (!ok || !c.acknowledge(s, h)) {
			c.dismissHandled(k, s, h)
		} else if s.mailPending {
			c.pump(s)
		}
	case el.Space == nsCSI && (el.Local == "active" || el.Local == "inactive"): // XEP-0352: noted, nothing is held back
	default:
		return false
	}
	return true
}

func counter(el *stanza.Element) (uint32, bool) {
	h, err := strconv.ParseUint(el.Get("h"), 10, 32)
	return uint32(h), err == nil
}

func smFailed(condition string) []byte {
	return stanza.New(stanza.NSSM, "failed", stanza.New(stanza.NSStanzas, condition)).Bytes()
}

func (c *core) enable(s *session, el *stanza.Element) {
	if s.sm {
		c.stage(s.conn, smFailed("unexpected-request"))
		return
	}
	s.sm = true
	enabled := stanza.New(stanza.NSSM, "enabled")
	if v := el.Get("resume"); v == "true" || v == "1" {
		s.smID = randomID()
		c.resumable[s.smID] = s
		enabled.With("id", s.smID).With("resume", "true").With("max", strconv.Itoa(int(c.limits.Resume/time.Second)))
	}
	c.stage(s.conn, enabled.Bytes())
}

// resume gives k the session it asks for, if it is its own.
func (c *core) resume(k *conn, el *stanza.Element) {
	h, ok := counter(el)
	if !ok {
		c.stage(k, smFailed("bad-request"))
		return
	}
	s := c.resumable[el.Get("previd")]
	if s == nil || s.account != k.account {
		c.stage(k, smFailed("item-not-found"))
		return
	}
	if h-s.acked > uint32(len(s.unacked)) {
		c.dismissHandled(k, s, h)
		c.end(s)
		return
	}
	if old := s.conn; old != nil { // its client has given it up already
		old.session = nil
		c.dismiss(old, "conflict", "")
	}
	attached := s.conn != nil
	s.conn, k.session = k, s
	for _, o := range s.unacked {
		if !attached {
			s.live(o.mail, 1)
		}
	}
	k.established()
	c.acknowledge(s, h)
	c.stage(k, stanza.New(stanza.NSSM, "resumed").With("previd", s.smID).With("h", strconv.FormatUint(uint64(s.handled), 10)).Bytes())
	for _, o := range s.unacked {
		c.stageFrame(k, o.frame)
	}
	s.asked = false
	if s.mailPending {
		c.pump(s)
	}
}

// acknowledge takes note that the client has handled h stanzas. It reports
// false if it was never sent that many.
func (c *core) acknowledge(s *session, h uint32) bool {
	n := h - s.acked // modulo 2^32, as the counters are
	if n > uint32(len(s.unacked)) {
		return false
	}
	for _, o := range s.unacked[:n] {
		s.unackedBytes -= o.size()
		if o.mail != nil {
			o.mail.holders--
			s.live(o.mail, -1)
			c.settle(s.account, o.mail)
		}
	}
	clear(s.unacked[:n])
	s.unacked = s.unacked[n:]
	if len(s.unacked) == 0 {
		s.unacked = nil // idle people shall not keep what a storm needed
	}
	s.acked = h
	if n > 0 {
		s.asked, s.askDelay = false, 0
	}
	return true
}

func (c *core) dismissHandled(k *conn, s *session, h uint32) {
	if k.ended {
		return
	}
	e := stanza.New(stanza.NSStream, "error",
		stanza.New(stanza.NSStreams, "undefined-condition"),
		stanza.New(stanza.NSSM, "handled-count-too-high").
			With("h", strconv.FormatUint(uint64(h), 10)).
			With("send-count", strconv.FormatUint(uint64(s.acked)+uint64(len(s.unacked)), 10)))
	c.stage(k, e.Bytes())
	c.hangUp(k)
}

// live counts s in or out as a holder of m with a connection. m may be nil.
func (s *session) live(m *mail, n int) {
	if m != nil && s.conn != nil {
		m.live += n
	}
}

// settle takes note that m has arrived.
func (c *core) settle(a *account, m *mail) {
	if m.done {
		return
	}
	m.done = true
	delete(a.inFlight, m.id)
	a.mail--
	a.held -= m.own
	c.delivered = append(c.delivered, m.id)
}

// letGo takes s off the mailbox rows it holds and reports whether one of them
// is now in nobody's hands.
func (c *core) letGo(s *session) (free bool) {
	for _, o := range s.unacked {
		if o.mail == nil {
			continue
		}
		s.live(o.mail, -1)
		if o.mail.holders--; o.mail.holders <= 0 && !o.mail.done {
			delete(s.account.inFlight, o.mail.id)
			free = true
		}
	}
	return free
}

// release passes on what s was sent and has not acknowledged.
func (c *core) release(s *session) {
	free := c.letGo(s)
	for _, o := range s.unacked {
		if bytes.HasPrefix(o.data, []byte("<iq")) {
			c.bounce(s, o.data)
		}
	}
	s.unacked = nil
	if !free {
		return
	}
	for _, o := range s.account.all() {
		if o.available && o.priority >= 0 {
			c.openMailbox(o)
			return
		}
	}
}

// bounce tells the sender of a request that nobody will answer it.
func (c *core) bounce(s *session, data []byte) {
	iq, err := stanza.Parse(data)
	if err != nil || iq.Get("type") != "get" && iq.Get("type") != "set" {
		return
	}
	if from := c.sessionAt(iq.Get("from")); from != nil {
		c.send(from, errorReply(iq, "cancel", "service-unavailable", "").Bytes())
	}
}

// How often a client is asked again that has not acknowledged. It may have a
// good reason: sotto acknowledges what it has stored, and stores when unlocked.
const (
	askFirst = 5 * time.Second
	askMax   = time.Minute
)

var askFrame = []byte(`<r xmlns="` + stanza.NSSM + `"/>`)

// requestAck returns the request to append to what is being sent, or nil.
func (s *session) requestAck(now time.Time) []byte {
	if s.asked || len(s.unacked) == 0 {
		return nil
	}
	s.asked = true
	s.askDelay = min(max(askFirst, s.askDelay*2), askMax)
	s.askAgain = now.Add(s.askDelay)
	return askFrame
}

// repeatAck asks again when it is time.
func (s *session) repeatAck(now time.Time) []byte {
	if len(s.unacked) == 0 || s.asked && now.Before(s.askAgain) {
		return nil
	}
	s.asked = false
	return s.requestAck(now)
}
