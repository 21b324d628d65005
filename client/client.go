// Package client is the messenger without a screen: what the desk runs.
//
// A Client stands between a store and a link. It sends what a person writes,
// end-to-end encrypted, stores what arrives before the link may acknowledge it,
// keeps the archive position, the devices and the trust in them, and tells a
// screen what changed. It cannot dial: everything it sends goes to the link as
// ciphertext, and what the link hands it is hostile until it has been checked.
//
// One goroutine, Run, owns the state. Queries and actions read and write the
// store from any goroutine, and wake Run where there is something to send.
// Nothing that Run does waits for a person, and nothing a person does waits for
// the network.
package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/awnumar/memguard"
	"mellium.im/xmpp/jid"

	"sotto/client/audit"
	"sotto/client/locker"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org/policy"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
	"sotto/internal/frame"
)

// MaxBody bounds the text of one message, in bytes of UTF-8.
const MaxBody = 64 << 10

// Account says who to be and where.
type Account struct {
	Address  string // bare JID
	Relay    string // wss URL; "" to have the link discover it
	Resource string // "" to have the relay choose
	CA       []byte // PEM certificates to trust instead of the system's; may be empty
	Legacy   bool   // permit TLS 1.2 and SCRAM-SHA-1

	// Password and Next (which may be nil: a password that a change under way
	// may have set already) are handed to the link when Run starts, and
	// destroyed then.
	Password, Next *memguard.LockedBuffer
}

// Config is what a Client works with.
type Config struct {
	Account Account
	Store   *store.Store       // stays open until Run has returned; the caller closes it
	Link    io.ReadWriteCloser // to the link; Run closes it
	Files   *locker.Locker     // where files are kept, encrypted; nil: in memory

	// ComparedOnly has nothing encrypted to a device whose fingerprint was not
	// compared: being the first one seen is not enough.
	ComparedOnly bool

	// Wishes are the settings that the person has chosen, of those that a policy can
	// decide. OnPolicy, unless nil, is called when another policy is in force; from
	// Run's goroutine, and must not wait.
	Wishes   map[string]policy.Value
	OnPolicy func(*policy.Policy, []policy.Decided)

	// Unattended says that a program takes what comes: recalls wait for it, too, see
	// [Client.Waiting], where on a screen they are no lines of their own.
	Unattended bool

	// Invitation, unless nil, is what the gate makes of an invitation that was just
	// given (invitation.Ticket); it stays the caller's. Invited says that the account
	// was set up with one. See [Client.Joining].
	Invitation *memguard.LockedBuffer
	Invited    bool

	// Collect, unless nil, takes what devices send of their audit logs, and returns
	// what to answer, nil for nothing, once that is on the disk. After an error the
	// same comes again. It is called by Run, and must not call the client.
	Collect func(from audit.Device, batch []byte) (answer []byte, err error)

	// OnOrder is told what the organisation orders that the client cannot do: to lock,
	// to log off, to wipe. Nil is a program that does none of it. OnWarrant, unless
	// nil, is told by whose word this device is to be wiped. Both are called from Run's
	// goroutine and must not wait for the client. Dealt are orders that were dealt with
	// while no client ran.
	OnOrder   func(Ordered)
	OnWarrant func(Warrant)
	Dealt     []Dealt

	Logger *slog.Logger // nil: no log. No text of a message and no key is ever logged
}

// lastWords bounds how long Run goes on writing when it ends.
const lastWords = time.Second

// ErrLinkEnded is what Run returns when the link closed the connection.
var ErrLinkEnded = errors.New("the link has ended")

// Client is one account's messenger. All methods are safe for concurrent use.
type Client struct {
	cfg    Config
	self   string // own bare JID
	selfID jid.JID
	store  *store.Store
	files  *locker.Locker
	device *omemo.Device
	log    *slog.Logger

	auditLog *audit.Log
	ownKey   ed25519.PublicKey // with which this device signs it
	searches searches          // that were not told of yet
	opening  opening
	member   atomic.Pointer[membership.Membership] // nil in open mode

	events *events
	wake   chan struct{} // something in the store is to be sent
	calls  *calls        // things only Run may do
	ended  chan struct{} // closed when Run does nothing more
	heard  chan struct{} // see Heard
	ends   atomic.Bool   // see Ending

	announcing sync.Mutex // see announce

	mu       sync.Mutex // guards what follows: written by Run, read by queries
	state    State
	presence map[string]map[string]Presence // bare JID, then resource
	names    map[string]string              // bare JID to the roster's name
	removed  bool                           // this device was taken off the own list, by its owner
	withheld text.Safe                      // what the organisation has signed and does not come; see Organisation
	followed bool                           // all that the organisation's head names came in this session

	letters *letters

	relayFile int64 // the largest file that the relay takes, in bytes; 0 if that is not known
	noUpload  bool  // it takes none

	held held // what holds here

	engine // owned by Run
}

// New makes a client for the account, whose keys it creates in the store if
// there are none. It does not touch the link.
func New(cfg Config) (*Client, error) {
	self, err := jid.Parse(cfg.Account.Address)
	if err != nil || self.Localpart() == "" || !self.Equal(self.Bare()) {
		return nil, fmt.Errorf("open the messenger: %q is not an address such as alice@example.org", cfg.Account.Address)
	}
	if cfg.Store == nil || cfg.Link == nil {
		return nil, errors.New("open the messenger: no store or no link")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		cfg: cfg, self: self.String(), selfID: self, store: cfg.Store, log: cfg.Logger,
		events: newEvents(), wake: make(chan struct{}, 1), calls: newCalls(), ended: make(chan struct{}), heard: make(chan struct{}),
		presence: make(map[string]map[string]Presence), names: make(map[string]string),
	}
	c.state = State{Words: lineOf("connecting")}
	c.engine, c.letters = newEngine(), newLetters()
	if c.files = cfg.Files; c.files == nil {
		c.files = locker.Memory()
	}
	err = cfg.Store.Update(context.Background(), func(tx *store.Tx) error {
		if c.device, err = omemo.Setup(tx); err != nil {
			return err
		}
		if c.auditLog, err = audit.New(audit.Device{Owner: audit.PersonOf(c.self), ID: c.device.ID()}); err != nil {
			return err
		}
		if c.ownKey, err = c.readOwnKey(tx); err != nil {
			return err
		}
		m, err := membership.Read(tx)
		if err != nil {
			return err
		}
		c.member.Store(m)
		if err := c.keepDealt(tx); err != nil {
			return err
		}
		if err := c.tend(tx); err != nil {
			return err
		}
		if err := c.beginJoining(tx); err != nil {
			return err
		}
		if err := c.readRemoved(tx); err != nil {
			return err
		}
		if err := c.tidyFiles(tx); err != nil {
			return err
		}
		f, err := c.decide(tx, m)
		if err != nil {
			return err
		}
		c.obey(f)
		rows, err := tx.Conversations()
		for i := range rows {
			c.names[rows[i].Peer] = rows[i].Name
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the messenger: %w", err)
	}
	if c.Membership() == nil {
		c.haveHeard()
	}
	return c, nil
}

// tend replaces prekeys that were used or are old, and notes when to do so next.
func (c *Client) tend(tx *store.Tx) error {
	now := time.Now()
	keys := graceKeys{tx}
	next, err := keys.sweep(now)
	if err != nil {
		return err
	}
	if c.maintainAt = now.Add(maintainEvery); !next.IsZero() && next.Before(c.maintainAt) {
		c.maintainAt = next
	}
	_, err = c.device.Maintain(keys, now)
	return err
}

// Run logs in through the link and works until ctx ends (nil), the link closes
// the connection (ErrLinkEnded), or the store cannot be used any more. It is
// called once.
func (c *Client) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn := frame.NewConn(c.cfg.Link)
	out := newWriter(conn)
	c.out = out
	var wg sync.WaitGroup
	in := make(chan inbound, inboundQueue)
	wg.Go(func() { read(ctx, conn, in) })
	written := make(chan struct{})
	wg.Go(func() { out.run(); close(written) })
	wg.Go(func() { c.events.run(ctx) })
	stop := context.AfterFunc(ctx, func() { c.cfg.Link.Close() })
	c.login()
	c.enlist()
	stop()
	err := c.loop(ctx, in)
	close(c.ended)
	c.endAudit()
	c.closeFiles()
	c.farewell()
	out.close()
	select { // what was said last, such as Logoff, should still arrive
	case <-written:
	case <-time.After(lastWords):
	}
	cancel()
	c.cfg.Link.Close()
	wg.Wait()
	return err
}

// login hands the credential to the link and destroys what is here.
func (c *Client) login() {
	a, l := &c.cfg.Account, c.loginLimits()
	m := wire.Login{Address: c.self, Relay: a.Relay, Resource: a.Resource, CA: a.CA, Legacy: a.Legacy, Relays: l.relays, Pins: l.pins}
	if p := c.Policy(); p.Value("legacy").Set() {
		m.Legacy = c.held.value("legacy").Bool()
	}
	if a.Password != nil {
		m.Password = a.Password.Bytes()
		defer a.Password.Destroy()
	}
	if a.Next != nil {
		m.Next = a.Next.Bytes()
		defer a.Next.Destroy()
	}
	// Written at once and not through the queue, so that nothing holds on to
	// the two slices of locked memory.
	if err := wire.Write(c.out.conn, m); err != nil {
		c.log.Warn("log in", "err", err)
	}
}

// Logoff has the link end the stream and destroy the credential.
func (c *Client) Logoff() {
	c.call(func() { c.out.send(wire.Logoff{}) })
}

// call has Run do f. It does not wait, and does nothing once Run has ended.
func (c *Client) call(f func()) { c.calls.put(f) }

// kick has Run look at the outbox.
func (c *Client) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
