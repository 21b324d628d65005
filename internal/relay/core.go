package relay

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"
	"sotto/client/stanza"
)

// core is everything the relay knows, owned by one goroutine.
//
// Connections parse what they read and hand it over as events. The core takes
// all events that wait, handles them in one transaction, commits, and only then
// lets anything out: replies, deliveries, acknowledgements (XEP-0198). So what
// has been acknowledged is on disk, many stanzas share one sync, and no handler
// needs a lock. The core never waits for a connection: queues are bounded, and
// whoever does not read is cut off.
type core struct {
	cfg    Config
	domain string
	limits Limits
	log    *slog.Logger
	store  *store
	now    func() time.Time
	post   func(event) bool // hands the core an event from another goroutine

	accounts      map[string]*account // by localpart
	byID          map[int64]*account
	conns         map[*conn]bool
	resumable     map[string]*session // by XEP-0198 id
	caps          *capsCache
	books         books
	rooms         map[string]*room // those in use, by localpart
	roomService   string           // domain of the rooms
	uploadService string           // domain of file transfer
	shelved       int64            // bytes of files and of open slots
	removed       []string         // files to be deleted after the commit
	unshelve      func(id string)  // deletes a file; not called in the core
	serial        uint64           // sessions so far
	version       int64            // of the database, to notice other writers
	rosterVersion string           // of the roster, "" when it has to be worked out anew
	unknown       []byte           // secret behind unknownCredentials

	dirty      []*conn    // have staged output
	doomed     []*session // exceeded a bound while something was sent to them
	delivered  []int64    // mailbox rows that can be deleted
	touched    []*session // took part in the batch
	batches    uint64     // batches so far
	calls      []call     // to be answered after the commit
	unstored   int        // batches undone since last complained of
	complained time.Time
	panics     int // handlers that panicked; 0 unless there is a bug
}

// event is one thing for the core to do. Exactly one of el, gone and call is set.
type event struct {
	conn *conn
	el   *stanza.Element
	size int   // bytes of el on the wire
	bad  error // el could not be read; ends the stream
	gone bool  // the connection has ended
	call call
}

// call runs do inside the core. Its error, or that of the commit, goes to done,
// which has room for it.
type call struct {
	do   func() error
	done chan error
	err  error
}

const (
	maxBatch      = 512              // events in one transaction
	complainEvery = 10 * time.Second // about a database that cannot be written
)

// run handles events until stop is closed.
func (c *core) run(events <-chan event, stop <-chan struct{}, tick time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case ev := <-events:
			c.batch(ev, events)
		case <-ticker.C:
			c.batch(event{call: call{do: c.tick}}, events)
		case <-stop:
			c.batch(event{call: call{do: c.shutDown}}, events)
			return
		}
	}
}

// batch handles first and what else waits, commits, and lets the results out.
func (c *core) batch(first event, more <-chan event) {
	c.batches++
	c.handle(first)
drain:
	for range maxBatch {
		select {
		case ev := <-more:
			c.handle(ev)
		default:
			break drain
		}
	}
	c.writeBooks()
	if c.store.inTx {
		c.forgetDelivered() // a transaction is under way anyway
	}
	err := c.store.commit()
	if err != nil {
		c.abandon(err)
	}
	c.flush()
	if len(c.removed) > 0 && c.unshelve != nil {
		go func(ids []string) {
			for _, id := range ids {
				c.unshelve(id)
			}
		}(c.removed)
		c.removed = nil
	}
	clear(c.touched)
	c.touched = c.touched[:0]
	for _, k := range c.calls {
		k.done <- errors.Join(k.err, err)
	}
	c.calls = c.calls[:0]
}

// handle does one event. A panic would be a bug; it costs the connection that
// set it off, not the relay.
func (c *core) handle(ev event) {
	defer func() {
		if p := recover(); p != nil {
			c.panics++
			c.log.Error("panic in a stanza handler", "stack", string(debug.Stack()))
			if ev.conn != nil {
				c.dismiss(ev.conn, "internal-server-error", "")
			}
			if ev.call.done != nil {
				c.calls = append(c.calls, call{done: ev.call.done, err: errors.New("internal error")})
			}
		}
	}()
	if ev.conn != nil && !ev.gone {
		c.conns[ev.conn] = true
		if ev.conn.session != nil {
			c.touch(ev.conn.session)
		}
	}
	switch {
	case ev.call.do != nil:
		ev.call.err = ev.call.do()
		if ev.call.done != nil {
			c.calls = append(c.calls, ev.call)
		}
	case ev.gone:
		c.gone(ev.conn)
	case ev.bad != nil:
		c.dismiss(ev.conn, parseCondition(ev.bad), "")
	default:
		c.element(ev.conn, ev.el, ev.size)
	}
	for len(c.doomed) > 0 {
		s := c.doomed[0]
		c.doomed = c.doomed[1:]
		c.kill(s, "resource-constraint", "too much was sent and not acknowledged")
	}
}

// parseCondition says which stream error (RFC 6120 section 4.9.3) answers bytes
// that Parse refused.
func parseCondition(err error) string {
	switch {
	case errors.Is(err, stanza.ErrRestricted):
		return "restricted-xml"
	case errors.Is(err, stanza.ErrMalformed):
		return "not-well-formed"
	}
	return "policy-violation"
}

// stage keeps b for conn until the batch is committed.
func (c *core) stage(k *conn, b []byte) { c.stageFrame(k, frame{data: b}) }

func (c *core) stageFrame(k *conn, f frame) {
	if k == nil || k.ended {
		return
	}
	if len(k.staged) == 0 {
		c.dirty = append(c.dirty, k)
	}
	k.staged = append(k.staged, f)
}

// flush lets out what the batch has produced.
func (c *core) flush() {
	for _, k := range c.dirty {
		if s := k.session; s != nil && s.sm && !k.ended {
			if r := s.requestAck(c.now()); r != nil {
				k.staged = append(k.staged, frame{data: r})
			}
		}
		if !k.queue.push(k.staged...) {
			k.cut()
		}
		k.staged = nil
		if k.ended {
			k.queue.close()
			time.AfterFunc(2*goodbye, k.cut) // even if it does not read
		}
	}
	c.dirty = c.dirty[:0]
}

// abandon undoes a batch that could not be stored. Whoever took part is
// disconnected without an acknowledgement, so that clients send again, and
// without resumption, because their sessions are ahead of the database.
func (c *core) abandon(err error) {
	c.unstored++
	if now := c.now(); now.Sub(c.complained) > complainEvery {
		c.complained = now
		what := "cannot store; disconnecting those concerned"
		if errors.Is(err, sqlite3.FULL) || errors.Is(err, syscall.ENOSPC) {
			what = "the disk is full: nothing can be stored until there is room; disconnecting those concerned"
		}
		c.log.Error(what, "error", err, "batches", c.unstored)
		c.unstored = 0
	}
	c.delivered = c.delivered[:0]
	for _, k := range c.dirty {
		k.staged = nil
		if k.ended {
			k.queue.close()
		}
	}
	c.dirty = c.dirty[:0]
	touched := c.touched
	c.touched = nil
	for _, s := range touched {
		if s.closed {
			continue
		}
		if k := s.conn; k != nil {
			c.stage(k, streamError("internal-server-error", "the relay cannot store messages at the moment"))
			c.stage(k, closeFrame)
			k.ended = true
		}
		c.drop(s)
		c.letGo(s)
	}
	c.books = newBooks()
	c.recount()
	c.reloadRooms()
	c.countFiles()
	if err := c.store.err; err != nil {
		c.log.Error("cannot read the database", "error", err)
	}
	c.store.rollback()
}

// recount reads again what is kept in memory about accounts.
func (c *core) recount() {
	fresh := c.store.users(c.domain)
	for id, a := range c.byID {
		if now := fresh[id]; now != nil {
			a.blocks, a.mail, a.held = now.blocks, now.mail, now.held
		}
	}
}

// touch notes that s takes part in the present batch.
func (c *core) touch(s *session) {
	if s.batch != c.batches {
		s.batch = c.batches
		c.touched = append(c.touched, s)
	}
}

// background runs work outside the core, and what it returns inside.
func (c *core) background(work func() func() error) {
	go func() { c.post(event{call: call{do: work()}}) }()
}

// tick does what is due now and then.
func (c *core) tick() error {
	c.checkStore()
	now := c.now()
	for _, a := range c.accounts {
		for _, s := range a.sessions {
			switch {
			case s.conn == nil && now.After(s.expires):
				c.end(s)
			case s.conn != nil:
				if s.mailPending {
					c.pump(s)
				}
				if r := s.repeatAck(now); r != nil {
					c.stage(s.conn, r)
				}
			}
		}
	}
	c.idleRooms()
	c.sweep(now)
	c.sweepFiles(now)
	c.forgetDelivered()
	return nil
}

// shutDown tells everyone to come back later.
func (c *core) shutDown() error {
	for k := range c.conns {
		c.dismiss(k, "system-shutdown", "")
	}
	c.forgetDelivered()
	return nil
}
