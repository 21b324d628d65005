package client

import (
	"context"
	"errors"
	"time"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// How Run paces itself.
const (
	batchSize       = 128 // stanzas stored in one transaction
	pageBatch       = 64  // of a page so many are waited for
	pagePatience    = 4 * time.Millisecond
	storeRetry      = 2 * time.Second  // between tries to store while the disk is full
	republishAfter  = 3 * time.Second  // from the use of a prekey to the new bundle
	maintainEvery   = 24 * time.Hour   // the age of signed prekeys is looked at
	repairEvery     = time.Hour        // a session with a device is started anew at most so often
	catchUpPatience = 5 * time.Second  // sending waits so long for the archive
	listPatience    = 20 * time.Second // a message waits so long for its recipient's devices to appear
	listRetry       = 3 * time.Second  // and asks again so often
	serverPatience  = 5 * time.Minute  // and so long for a stranger's server that cannot be found
)

// engine is the state that only Run's goroutine touches.
type engine struct {
	ctx context.Context
	out *writer
	iqs requests

	session uint64 // of the link's stream that queries were made in
	online  bool
	full    string // own full JID

	// Ready to send once all of these are, in each session.
	rosterDone, devicesDone, archiveDone bool
	sendBy                               time.Time // even if archiveDone is not
	noPEP                                text.Safe // why this relay cannot carry keys, or ""
	archive                              archive
	filling                              *filling       // the gap that is being filled; nil: none is
	lookedInto                           map[int64]bool // gaps that were, in this session

	backlog []inbound // what the store did not take yet
	retryAt time.Time // when to offer it again
	stuck   bool      // said so

	repeatDone     bool      // in this session
	onlineAt       time.Time // since when
	resendAt       time.Time // when to look for messages that were not confirmed; zero: not
	resendAfter    []time.Duration
	listPatience   time.Duration
	serverPatience time.Duration
	peers          map[string]*peer
	outs           map[string]*outgoing // by origin id: the outbox
	window         window
	withdrawals    map[string][]withdrawal // by origin id

	seen        map[omemo.Address]omemo.Fingerprint // what the store knows too
	answersDue  map[omemo.Address]bool
	answering   map[string]bool // ids of the answers to recalls that are on their way
	orders      orders          // of the organisation
	repaired    map[omemo.Address]time.Time
	warned      map[string]warnings
	expireLook  time.Time // when the store was asked what has expired
	expireAt    time.Time // when the next message's time ends, or before; zero: none's does
	republishAt time.Time
	maintainAt  time.Time
	relistAt    time.Time // the own device list was put right last
	relistDue   bool      // it is looked at again soon
	relists     warnings  // how often it was, within the hour

	rooms       map[string]*room // by bare JID: all that the store knows, and those being entered
	services    []string         // where rooms are made; nil: not looked for yet
	bookmarks   map[string]stanza.Bookmark
	invitations int // shown in this run

	tidying tidying

	auditing auditing

	ignored  map[string]bool      // whose device lists came while nobody here knew them
	marking  map[string]bool      // bare JID: is known to confirm messages, by how they mark theirs
	appeared map[string]time.Time // bare JID: when a client of theirs came online in mid-session

	mover mover // of files

	joining   joining   // an organisation
	following following // the organisation

	timers []deferred
	told   State           // the state last told to the screen
	said   map[string]bool // notices said in this run

	refusals map[string]bool // statements of the organisation that were refused in this run
}

// deferred is something to do later in the same session.
type deferred struct {
	at      time.Time
	session uint64
	do      func()
}

// later has Run do something after a while, unless a new session begins first.
func (c *Client) later(d time.Duration, do func()) {
	c.timers = append(c.timers, deferred{time.Now().Add(d), c.session, do})
}

// runTimers does what is due.
func (c *Client) runTimers(now time.Time) {
	var due, keep []deferred
	for _, t := range c.timers {
		switch {
		case t.session != c.session:
		case now.After(t.at):
			due = append(due, t)
		default:
			keep = append(keep, t)
		}
	}
	c.timers = keep
	for _, t := range due {
		t.do()
	}
}

// outgoing is a message of the outbox.
type outgoing struct {
	id     int64
	peer   string
	handed bool // the link has it
	fresh  bool // it was encrypted in this run

	settled time.Time // when the relay took it for a room, which has not shown it yet
}

func newEngine() engine {
	return engine{
		iqs: requests{flying: make(map[string]*request)}, listPatience: listPatience, serverPatience: serverPatience, resendAfter: resendAfter[:],
		peers: make(map[string]*peer), outs: make(map[string]*outgoing), window: window{given: make(map[string]int)},
		rooms: make(map[string]*room), withdrawals: make(map[string][]withdrawal), appeared: make(map[string]time.Time),
		marking: make(map[string]bool),
		seen:    make(map[omemo.Address]omemo.Fingerprint), answersDue: make(map[omemo.Address]bool), answering: make(map[string]bool),
		repaired: make(map[omemo.Address]time.Time), said: make(map[string]bool), refusals: make(map[string]bool), warned: make(map[string]warnings), mover: newMover(),
		auditing: newAuditing(), orders: newOrders(),
	}
}

// loop is Run's.
func (c *Client) loop(ctx context.Context, in <-chan inbound) error {
	c.ctx = ctx
	c.flush() // fills outs, so that what the link settles is known
	c.moveFiles()
	c.expireFirst()
	timer := time.NewTicker(time.Second)
	defer timer.Stop()
	for {
		src := in
		if len(c.backlog) > 0 || c.out.full() {
			src = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-src:
			if !ok || m.msg == nil {
				c.log.Info("link", "err", m.err)
				return ErrLinkEnded
			}
			if err := c.handle(gather(m, src, c.paging())); err != nil {
				return err
			}
		case <-c.calls.some:
			for _, f := range c.calls.take() {
				f()
				c.refill()
			}
		case <-c.wake:
			c.flush()
		case <-c.out.drained:
		case now := <-timer.C:
			if err := c.tick(now); err != nil {
				return err
			}
		}
	}
}

// gather takes what else is there already, up to a batch. Of a page of an archive it
// waits a little for more: a transaction costs as much as several messages.
func gather(first inbound, in <-chan inbound, paging bool) []inbound {
	list := []inbound{first}
	var patience <-chan time.Time
	for len(list) < batchSize {
		select {
		case m, ok := <-in:
			if !ok {
				return append(list, inbound{})
			}
			list = append(list, m)
			continue
		default:
		}
		if !paging || len(list) >= pageBatch || !isMessage(list[len(list)-1]) {
			return list
		}
		if patience == nil {
			patience = time.After(pagePatience)
		}
		select {
		case m, ok := <-in:
			if !ok {
				return append(list, inbound{})
			}
			list = append(list, m)
		case <-patience:
			return list
		}
	}
	return list
}

// paging reports whether a page of an archive is on its way.
func (c *Client) paging() bool {
	if c.archive.query != "" || c.filling != nil {
		return true
	}
	for _, r := range c.rooms {
		if r.archive.query != "" {
			return true
		}
	}
	return false
}

// tick does what is due.
func (c *Client) tick(now time.Time) error {
	c.expireRequests(now)
	c.expire(now)
	c.tickAudit(now)
	if len(c.backlog) > 0 && now.After(c.retryAt) {
		list := c.backlog
		c.backlog = nil
		if err := c.handle(list); err != nil {
			return err
		}
	}
	if !c.republishAt.IsZero() && now.After(c.republishAt) {
		c.republishAt = time.Time{}
		c.maintain()
	}
	if now.After(c.maintainAt) {
		c.maintainAt = now.Add(time.Hour) // unless maintain knows better
		c.maintain()
	}
	if !c.sendBy.IsZero() && now.After(c.sendBy) {
		c.sendBy = time.Time{}
		c.archiveDone = true
		c.flush()
	}
	c.refill()
	c.runTimers(now)
	c.joinTick(now)
	c.syncArchive(now)
	c.tendRooms(now)
	c.tidy(now)
	c.resend(now)
	c.fileTick(now)
	c.followTick(now)
	if c.duePeers(now) {
		c.flush()
	}
	return nil
}

// handle deals with a list of messages from the link, in order. Runs of message
// stanzas, and of settled ids, each share one transaction. What the store does
// not take becomes the backlog: it is neither acknowledged nor forgotten.
func (c *Client) handle(list []inbound) error {
	for len(list) > 0 {
		n, err := c.some(list)
		if err != nil {
			if c.ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrDamaged) || errors.Is(err, ErrLinkEnded) {
				return err
			}
			c.backlog, c.retryAt = list, time.Now().Add(storeRetry)
			if !c.stuck {
				c.stuck = true
				c.log.Error("store", "err", err)
				c.notice("", "New messages cannot be stored: %v. They wait at the relay until then", err)
			}
			return nil
		}
		if c.stuck {
			c.stuck = false
			c.notice("", "Messages are stored again")
		}
		for i := n - 1; i >= 0; i-- {
			if x, ok := list[i].msg.(wire.Inbound); ok {
				c.out.send(wire.Stored{Seq: x.Seq})
				break
			}
		}
		list = list[n:]
	}
	return nil
}

// some handles the first message of list, and those like it that follow. An
// error means that the store refused all of them.
func (c *Client) some(list []inbound) (n int, err error) {
	switch m := list[0].msg.(type) {
	case nil:
		return 0, ErrLinkEnded
	case wire.Inbound:
		switch {
		case list[0].err != nil:
			c.log.Warn("stanza refused", "err", list[0].err)
			c.sayOnce("", "Something that the relay sent could not be read. If it was a message, its sender does not see it as delivered")
		case isMessage(list[0]):
			for n = 1; n < len(list) && isMessage(list[n]); n++ {
			}
			return n, c.messages(list[:n])
		case list[0].stanza.Is(stanza.NSClient, "presence"):
			c.onPresence(list[0].stanza)
		case list[0].stanza.Is(stanza.NSClient, "iq"):
			c.onIQ(list[0].stanza)
		}
	case wire.Settled:
		for n = 1; n < len(list); n++ {
			if _, ok := list[n].msg.(wire.Settled); !ok {
				break
			}
		}
		return n, c.settled(list[:n])
	case wire.State:
		c.onState(m)
	case wire.Pending:
		c.onPending(m)
	case wire.Withdrawn:
		c.withdrawn(m)
	case wire.Enlisted:
		c.onEnlisted(m)
	case wire.Called:
		c.wasCalled(m)
	default:
		if !c.fileMessage(m) {
			c.log.Warn("unexpected message from the link")
		}
	}
	return 1, nil
}

func isMessage(in inbound) bool {
	return in.err == nil && in.stanza.Is(stanza.NSClient, "message")
}

// onIQ handles an IQ: a reply, or a request the link leaves to us.
func (c *Client) onIQ(e *stanza.Element) {
	switch e.Get("type") {
	case "result", "error":
		c.reply(e)
	case "set":
		c.onPush(e)
	}
}
