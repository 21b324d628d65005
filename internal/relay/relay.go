// Package relay is a small XMPP server for one domain, spoken to over WebSocket.
//
// It is for a ward, a test or a demonstration: one binary, one folder, nothing
// to configure. It implements what sotto needs and other clients expect: RFC
// 7395 with SCRAM-SHA-256, stream management with resumption (XEP-0198), a
// roster with everyone in it, presence, an archive (XEP-0313), a mailbox for
// who is away (XEP-0160), carbons (XEP-0280), PEP (XEP-0163), blocking
// (XEP-0191), rooms for members (XEP-0045) and file transfer (XEP-0363). It has
// no federation.
//
// What it promises: a stanza is acknowledged only after it is on disk or has
// been handed on, so that killing the relay at any moment loses nothing it has
// acknowledged; nobody reads another's archive, mailbox or private nodes, or the
// archive of a room they are no member of;
// whatever a client sends is bounded, and a client that does not read is cut
// off rather than waited for. It stores what clients send as they send it:
// that the content is encrypted is their business.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"mellium.im/xmpp/jid"
)

// Config says what a relay serves.
type Config struct {
	// Domain is the part of addresses after the @.
	Domain string
	// Store is the folder of the database; empty keeps everything in memory.
	Store string
	// URL is what host-meta (XEP-0156) tells clients, such as
	// "wss://chat.example.org/ws". Empty derives it from the request.
	URL string
	// Group is the roster group of users who have none of their own;
	// empty means "Colleagues".
	Group string
	// Iterations of PBKDF2 for new passwords; 0 means 100,000, and less than 4,096 is refused.
	Iterations int
	// Limits bound clients; zero fields take the default.
	Limits Limits
	// Keep is how long messages stay in archives and mailboxes; 0 keeps them
	// until there is no room.
	Keep time.Duration
	// KeepFiles is how long uploaded files stay; 0 means 14 days. Never longer
	// than Keep.
	KeepFiles time.Duration
	// Logger takes what goes wrong; nil discards it. No content is ever logged.
	Logger *slog.Logger

	tick time.Duration // how often timers are looked at; tests shorten it
}

// Relay is a running relay. Its methods are safe for concurrent use.
type Relay struct {
	cfg       Config
	log       *slog.Logger
	core      *core
	throttle  *throttle
	shelf     *shelf
	transfers *transfers
	events    chan event
	stop      chan struct{} // closed to end the core
	stopped   chan struct{} // closed when it has ended
	closing   sync.Once
	closed    error

	open    atomic.Int64   // WebSockets
	waiting atomic.Int64   // those that have no session yet
	sockets sync.WaitGroup // all of them
	entry   sync.Mutex     // guards shut, after which nobody comes in
	shut    bool
	ctx     context.Context
	cancel  context.CancelFunc
}

// ErrClosed is returned by methods of a relay that has been closed.
var ErrClosed = errors.New("the relay is closed")

// New opens the store and starts a relay, which serves nobody yet. Call Close
// when done with it.
func New(cfg Config) (*Relay, error) {
	d, err := jid.New("", cfg.Domain, "")
	if err != nil || cfg.Domain == "" {
		return nil, fmt.Errorf("%q cannot be a relay's domain", cfg.Domain)
	}
	cfg.Domain = d.String()
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Group == "" {
		cfg.Group = "Colleagues"
	}
	if cfg.Iterations == 0 {
		cfg.Iterations = defaultIterations
	}
	if cfg.Iterations < minIterations {
		return nil, fmt.Errorf("at least %d iterations are needed (RFC 7677)", minIterations)
	}
	if cfg.tick == 0 {
		cfg.tick = time.Second
	}
	c, err := newCore(cfg)
	if err != nil {
		return nil, err
	}
	files := ""
	if cfg.Store != "" {
		files = filepath.Join(cfg.Store, "files")
	} else if cfg.Limits.ShelfBytes > memoryShelf {
		c.limits.ShelfBytes = memoryShelf
	}
	place, err := openShelf(files)
	if err == nil {
		err = place.tidy(c.knownUploads())
	}
	if err != nil {
		c.store.close()
		return nil, fmt.Errorf("start the relay: %w", err)
	}
	r := &Relay{
		shelf: place, transfers: newTransfers(), cfg: cfg, log: cfg.Logger, core: c, throttle: newThrottle(),
		events: make(chan event, 256), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	c.post = r.post
	c.unshelve = r.shelf.remove
	r.ctx, r.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(r.stopped)
		c.run(r.events, r.stop, cfg.tick)
	}()
	return r, nil
}

const (
	defaultIterations = 100_000
	minIterations     = 4096      // RFC 7677 section 4
	memoryShelf       = 256 << 20 // bytes of files of a relay that keeps them in memory
)

// newCore opens the store and reads the accounts.
func newCore(cfg Config) (*core, error) {
	s, err := openStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	c := &core{
		cfg: cfg, domain: cfg.Domain, limits: cfg.Limits, log: cfg.Logger, store: s, now: time.Now,
		accounts: map[string]*account{}, byID: map[int64]*account{},
		conns: map[*conn]bool{}, resumable: map[string]*session{}, caps: newCapsCache(), books: newBooks(), rooms: map[string]*room{},
		roomService: "rooms." + cfg.Domain, uploadService: "upload." + cfg.Domain,
	}
	if cfg.Store != "" {
		s.lock, err = lockFolder(cfg.Store)
	}
	if err == nil {
		err = s.claim(cfg.Domain)
	}
	if err == nil {
		c.unknown = s.meta("unknown users")
		c.reloadUsers()
		c.countFiles()
		err = s.commit()
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("start the relay: %w", err)
	}
	return c, nil
}

// Config returns what the relay serves, with all defaults filled in.
func (r *Relay) Config() Config {
	cfg := r.cfg
	cfg.Limits = r.core.limits
	cfg.KeepFiles = r.core.keepFiles()
	return cfg
}

// Close tells clients that the relay goes away, ends their connections and
// closes the store.
func (r *Relay) Close() error {
	r.closing.Do(func() {
		close(r.stop)
		<-r.stopped
		r.entry.Lock()
		r.shut = true
		r.entry.Unlock()
		finished := make(chan struct{})
		go func() { r.sockets.Wait(); close(finished) }()
		select {
		case <-finished:
		case <-time.After(goodbye):
		}
		r.cancel()
		<-finished
		r.closed = r.core.store.close()
	})
	return r.closed
}

// post hands an event to the core. It reports false if the core has ended.
func (r *Relay) post(ev event) bool {
	select {
	case r.events <- ev:
		return true
	case <-r.stopped:
		return false
	}
}

// do runs f inside the core and waits until what it did is durable.
func (r *Relay) do(ctx context.Context, f func(*core) error) error {
	done := make(chan error, 1)
	if !r.post(event{call: call{do: func() error { return f(r.core) }, done: done}}) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopped:
		return ErrClosed
	}
}

// lookUp returns the credentials of a user, or unusable ones that look the same.
func (r *Relay) lookUp(ctx context.Context, user string) (name string, creds credentials, err error) {
	err = r.do(ctx, func(c *core) error {
		c.checkStore()
		var known bool
		if name, err = accountName(user, c.domain); err != nil {
			name, err = "\x00"+user, nil // cannot exist
		}
		if creds, known = c.store.credentials(name); !known {
			creds = unknownCredentials(c.unknown, name, c.cfg.Iterations)
		}
		return nil
	})
	return name, creds, err
}

// account returns the account called name, or nil.
func (r *Relay) account(ctx context.Context, name string) (acc *account, err error) {
	err = r.do(ctx, func(c *core) error { acc = c.accounts[name]; return nil })
	return acc, err
}

// enter counts a connection among those that Close waits for, or reports that the
// relay is closing.
func (r *Relay) enter() bool {
	r.entry.Lock()
	defer r.entry.Unlock()
	if !r.shut {
		r.sockets.Add(1)
	}
	return !r.shut
}

// accept upgrades a request and runs the connection to its end.
func (r *Relay) accept(w http.ResponseWriter, q *http.Request) {
	if !r.enter() {
		http.Error(w, "the relay is closing", http.StatusServiceUnavailable)
		return
	}
	defer r.sockets.Done()
	defer r.open.Add(-1)
	if r.open.Add(1) > int64(r.cfg.Limits.Connections) || r.waiting.Load() >= int64(r.cfg.Limits.Unauthenticated) || r.ctx.Err() != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many connections, try again later", http.StatusServiceUnavailable)
		return
	}
	ws, err := websocket.Accept(w, q, &websocket.AcceptOptions{Subprotocols: []string{"xmpp"}})
	if err != nil {
		return // Accept has answered
	}
	if ws.Subprotocol() != "xmpp" {
		ws.Close(websocket.StatusPolicyViolation, "the subprotocol has to be xmpp (RFC 7395)")
		return
	}
	k := &socket{relay: r, ws: ws, remote: host(q.RemoteAddr), base: r.base(q), guest: guestOf(q)}
	k.lastRead.Store(time.Now().UnixNano())
	if q.TLS != nil {
		if b, err := q.TLS.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err == nil && q.TLS.Version >= 0x0304 {
			k.binding = b
		}
	}
	k.serve(r.ctx)
}

// sessionAt returns the session with this full address, or nil.
func (c *core) sessionAt(full string) *session {
	j, err := jid.Parse(full)
	if err != nil || j.Domainpart() != c.domain || j.Resourcepart() == "" {
		return nil
	}
	if a := c.accounts[j.Localpart()]; a != nil {
		return a.sessions[j.Resourcepart()]
	}
	return nil
}

// isLoopback reports whether only this machine can reach a listener.
func isLoopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
