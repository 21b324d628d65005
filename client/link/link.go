// Package link is the link role: it owns the connection to the relay.
//
// A Link holds one stream of XMPP over WebSocket (RFC 7395), logs in with SCRAM,
// keeps the session over broken connections (XEP-0198), reconnects with a
// jittered backoff, and speaks with the desk in the messages of package wire. It
// sees addresses and ciphertext, never a message or an end-to-end key, and
// imports nothing that could decrypt.
//
// The desk comes and goes, the stream stays. While no desk is attached, messages
// are held and counted. A stanza is acknowledged to the relay only after a desk
// has stored it; what cannot be held is left to the relay's archive, from which
// every desk catches up. Of presence, the newest is kept for the next desk.
//
// One goroutine, the owner in Run, holds all of the state. Others only dial and
// log in, read or write; each talks to the owner over unbuffered channels, and
// the owner waits for none of them.
//
// The password lies in a memguard enclave from Login until Logoff. SCRAM opens it
// into locked memory for one login, but the libraries leave copies of it and of
// what they derive from it in ordinary memory, which nobody can clear: mellium's
// SCRAM takes the password only, and Go's PBKDF2 and HMAC keep it as a string and
// as padded keys. Wiping them would take a SCRAM and an HMAC of our own, for a
// secret that the link has to have anyway as long as it is to log in again. That
// is why a log-off ends the process, which test/memory proves to leave no copy.
package link

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"sotto/client/wire"
)

// Config is what a Link may need to be told. The zero value is usable.
type Config struct {
	Logger *slog.Logger   // nil: no log. It gets no content and no password
	Roots  *x509.CertPool // nil: the system's; a Login with a CA overrides it

	// Dial makes a TCP connection; nil: net.Dialer's DialContext, whose resolver
	// remembers the name servers that New finds.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Backoff is the wait after attempt failures in a row, 0 being the first;
	// nil: 1 s doubling to 60 s, jittered.
	Backoff func(attempt int) time.Duration

	LoginTimeout time.Duration // of one attempt, from dialling to online; 0: 30 s
	PingEvery    time.Duration // between keepalives, half as much again without a desk; 0: 30 s
	PingTimeout  time.Duration // of an answer; a third of it after a sleep; 0: 15 s
	StallTimeout time.Duration // of a file of which nothing moves; 0: 1 min
}

// Status is what the lock screen may know: never who, never what.
type Status struct {
	State   wire.State
	Words   string    // short, such as "relay online" or "relay offline since 19:04"
	Online  bool      // the relay can be reached and knows us
	Waiting int       // messages to a person that came since the last desk went and were not read elsewhere
	Stat    int       // of these, how many are marked urgent in the clear (XEP-0131)
	Since   time.Time // when the first of them came; zero when none waits
}

// Link is one link. Its methods are safe for concurrent use.
type Link struct {
	cfg     Config
	dialer  *dialer
	wall    func() time.Time // the time of day, without a monotonic reading
	attach  chan io.ReadWriteCloser
	status  chan Status
	ordered chan Ordered
	quit    chan struct{}
	done    chan struct{}
	once    sync.Once
}

// New returns a link that does nothing before Run.
func New(cfg Config) *Link {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{KeepAlive: 30 * time.Second, Resolver: newResolver()}).DialContext
	}
	if cfg.Backoff == nil {
		cfg.Backoff = backoff
	}
	orDefault(&cfg.LoginTimeout, 30*time.Second)
	orDefault(&cfg.PingEvery, 30*time.Second)
	orDefault(&cfg.PingTimeout, 15*time.Second)
	orDefault(&cfg.StallTimeout, time.Minute)
	return &Link{
		cfg: cfg, dialer: &dialer{dial: cfg.Dial}, wall: func() time.Time { return time.Now().Round(0) }, attach: make(chan io.ReadWriteCloser), status: make(chan Status, 1), ordered: make(chan Ordered),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
}

func orDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Attach hands over the connection to a desk, in place of any former. The desk
// goes by closing it. Attach waits for Run to begin; after Run has ended it
// closes conn.
func (l *Link) Attach(conn io.ReadWriteCloser) {
	select {
	case l.attach <- conn:
	case <-l.done:
		conn.Close()
	}
}

// Status returns a channel with the newest status whenever it changed; what was
// not read in time is replaced. It is closed when Run ends.
func (l *Link) Status() <-chan Status { return l.status }

// Orders returns a channel with what the organisation has ordered while no desk was
// there. It is closed when Run ends.
func (l *Link) Orders() <-chan Ordered { return l.ordered }

// Close ends Run in good order: the relay is told, which takes two seconds at
// most. It returns when Run has ended, and must not be called without Run.
func (l *Link) Close() {
	l.once.Do(func() { close(l.quit) })
	<-l.done
}

// Run does the work of the link until Close is called or ctx ends. It may be
// called once.
func (l *Link) Run(ctx context.Context) error {
	o := newOwner(l)
	defer close(l.done)
	defer close(l.status)
	defer close(l.ordered)
	o.run(ctx)
	o.logoff()
	if o.ending != nil {
		<-o.ending
	}
	if o.desk != nil {
		o.desk.drop()
	}
	return ctx.Err()
}
