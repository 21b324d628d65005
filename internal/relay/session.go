package relay

import (
	"time"

	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// session is one bound resource. It can outlive its connection (XEP-0198).
// It belongs to the core.
type session struct {
	account  *account
	resource string
	full     string
	jid      jid.JID // full, too
	serial   uint64
	batch    uint64 // the last batch it took part in
	conn     *conn  // nil while detached
	expires  time.Time
	closed   bool

	// XEP-0198; see resume.go.
	sm           bool
	smID         string
	handled      uint32 // stanzas of the client that are handled
	acked        uint32 // stanzas to the client that it has acknowledged
	unacked      []outgoing
	unackedBytes int
	asked        bool // an <r/> is under way
	askAgain     time.Time
	askDelay     time.Duration

	// Presence; see presence.go.
	available bool
	priority  int
	presence  []byte // as last broadcast, without "to"

	rooms map[*room]bool // where it is

	carbons     bool // XEP-0280
	interested  bool // asked for the roster
	blockPushes bool // asked for the block list
	mailPending bool // more of the mailbox has to be sent
	mailCursor  int64
	caps        capsKey
	capsQuery   string          // id of a disco#info query under way
	notify      map[string]bool // PEP nodes it wants to hear of
}

// outgoing is one stanza on its way to a client.
type outgoing struct {
	frame
	mail *mail // the mailbox row that is behind it, or nil
}

// mail is a mailbox row that one or more sessions have been sent and have not
// acknowledged.
type mail struct {
	id      int64
	holders int // those sessions
	live    int // those of them that have a connection
	done    bool
	own     int64 // bytes of the stanza, if the row holds its own
}

// bind makes a session for k (RFC 6120 section 7). It has answered on failure.
func (c *core) bind(k *conn, iq *stanza.Element) {
	resource := iq.Child(stanza.NSBind, "bind").Child(stanza.NSBind, "resource").Text()
	if resource == "" {
		resource = randomID()
	}
	j, err := jid.New(k.account.name, c.domain, resource)
	if err != nil || j.Resourcepart() == "" || len(resource) > 256 {
		c.stage(k, errorReply(iq, "modify", "bad-request", "this resource name cannot be used").Bytes())
		return
	}
	a := k.account
	if old := a.sessions[j.Resourcepart()]; old != nil {
		c.kill(old, "conflict", "") // the newer one wins (section 7.7.2.2)
	}
	if len(a.sessions) >= c.limits.Resources && !c.dropDetached(a) {
		c.stage(k, errorReply(iq, "wait", "resource-constraint", "too many sessions of this account are open").Bytes())
		return
	}
	c.serial++
	s := &session{account: a, resource: j.Resourcepart(), full: j.String(), jid: j, serial: c.serial, conn: k}
	a.sessions[s.resource] = s
	k.session = s
	k.established()
	c.stage(k, resultReply(iq, stanza.New(stanza.NSBind, "bind", stanza.TextElement(stanza.NSBind, "jid", s.full))).Bytes())
}

// dropDetached ends the detached session of a that would expire first.
func (c *core) dropDetached(a *account) bool {
	var oldest *session
	for _, s := range a.sessions {
		if s.conn == nil && (oldest == nil || s.expires.Before(oldest.expires)) {
			oldest = s
		}
	}
	if oldest != nil {
		c.end(oldest)
	}
	return oldest != nil
}

// send gives s a stanza.
func (c *core) send(s *session, data []byte) { c.sendFrame(s, frame{data: data}, nil) }

// sendTo gives s a stanza without "to" that others get as well.
func (c *core) sendTo(s *session, shared []byte, to string) {
	c.sendFrame(s, frame{shared, to}, nil)
}

// sendMail gives s a stanza that is backed by a mailbox row.
func (c *core) sendMail(s *session, data []byte, m *mail) { c.sendFrame(s, frame{data: data}, m) }

func (c *core) sendFrame(s *session, f frame, m *mail) {
	if s.closed {
		return
	}
	c.touch(s)
	if s.sm {
		if len(s.unacked) >= c.limits.UnackedStanzas || s.unackedBytes+f.size() > c.limits.UnackedBytes {
			c.doomed = append(c.doomed, s)
			return
		}
		if m != nil {
			m.holders++
			s.account.inFlight[m.id] = m
			s.live(m, 1)
		}
		s.unacked = append(s.unacked, outgoing{f, m})
		s.unackedBytes += f.size()
	} else if m != nil {
		c.settle(s.account, m) // without acknowledgements, sent is all there is to know
	}
	c.stageFrame(s.conn, f)
}

// end closes s for good: colleagues see it leave, and what it was sent and did
// not acknowledge goes elsewhere.
func (c *core) end(s *session) {
	if s.closed {
		return
	}
	c.drop(s)
	c.release(s)
}

// drop closes s but leaves what it has not acknowledged in the mailbox.
func (c *core) drop(s *session) {
	if s.closed {
		return
	}
	s.closed = true
	delete(s.account.sessions, s.resource)
	if s.smID != "" {
		delete(c.resumable, s.smID)
	}
	if s.conn != nil {
		s.conn.session = nil
	}
	c.leave(s)
}

// kill ends s and tells its client why with a stream error.
func (c *core) kill(s *session, condition, text string) {
	if s.closed {
		return
	}
	if s.conn != nil {
		c.dismiss(s.conn, condition, text)
		return
	}
	c.end(s)
}

// dismiss closes a connection with a stream error, and its session for good.
func (c *core) dismiss(k *conn, condition, text string) {
	if k.ended {
		return
	}
	c.stage(k, streamError(condition, text))
	c.hangUp(k)
}

// hangUp closes a connection and its session for good.
func (c *core) hangUp(k *conn) {
	c.stage(k, closeFrame)
	k.ended = true
	if k.session != nil {
		c.end(k.session)
	}
}

// gone says that k has ended: a session that can be resumed waits, another ends.
func (c *core) gone(k *conn) {
	delete(c.conns, k)
	k.ended = true
	k.queue.close()
	s := k.session
	k.session = nil
	if s == nil || s.conn != k {
		return
	}
	for _, o := range s.unacked {
		s.live(o.mail, -1)
	}
	s.conn = nil
	if s.smID == "" {
		c.end(s)
		return
	}
	s.expires = c.now().Add(c.limits.Resume)
}
