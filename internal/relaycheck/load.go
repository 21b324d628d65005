package relaycheck

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sotto/client/link"
	"sotto/client/stanza"
)

// Bounds of a load.
const (
	MaxClients  = 5000
	MaxIdle     = 20000
	MaxPayload  = 64 << 10 // bytes
	MaxDuration = time.Hour
	maxMessages = 20_000_000

	loginsAtOnce = 16
	unanswered   = 32 // messages of one client on their way, where no rate is given
	stragglers   = 30 * time.Second
)

// LoadConfig says what to put on a relay.
type LoadConfig struct {
	Config              // Relay or Domain, CA, Dial; the rest is not used
	Accounts []*Account // sessions are spread over them, in turn
	Clients  int        // sessions that send to each other in a ring
	Idle     int        // sessions that only stay connected
	Rate     float64    // messages a second of all clients; 0 is as fast as they arrive
	Payload  int        // bytes of ciphertext in a message
	Devices  int        // for how many devices a message has keys
	Duration time.Duration
	Archive  bool                 // let the relay keep the messages, as it keeps people's
	Say      func(string)         // progress, in words; may be nil
	Process  func() (Usage, bool) // looks at the relay's process; may be nil
}

// Usage is what a process has used.
type Usage struct {
	Resident int64         // bytes
	CPU      time.Duration // since it began
}

// LoadResult is what came of a load.
type LoadResult struct {
	Type     string  `json:"type"` // "bench"
	Clients  int     `json:"clients"`
	Idle     int     `json:"idle"`
	Failed   int     `json:"failed_connections"`
	Why      string  `json:"why_failed,omitempty"` // of the first that failed
	Login    Spread  `json:"connect"`
	Stanza   int     `json:"stanza_bytes"`
	Seconds  float64 `json:"seconds"`
	Sent     int     `json:"sent"`
	Received int     `json:"received"`
	Lost     int     `json:"lost"`
	Doubled  int     `json:"doubled"`
	Errors   int     `json:"errors"` // messages that came back as errors
	Broken   int     `json:"broken"` // connections that ended during the load
	Rate     float64 `json:"messages_a_second"`
	Latency  Spread  `json:"latency"`

	// Of the relay's process, if it was looked at; 0 otherwise.
	IdleMemory int64   `json:"relay_memory_idle_bytes,omitempty"` // with all connected, before the load
	LoadMemory int64   `json:"relay_memory_load_bytes,omitempty"` // at its end
	CPU        float64 `json:"relay_cpu_cores,omitempty"`         // on average during the load
}

// Code is the exit code: 1 if anything failed, was lost or came twice.
func (r LoadResult) Code() int {
	if r.Failed+r.Lost+r.Doubled+r.Errors+r.Broken > 0 {
		return 1
	}
	return 0
}

// load is one run.
type load struct {
	LoadConfig
	x       examination
	payload []byte

	mu     sync.Mutex
	failed int
	why    error

	latency, logins histogram
	errors, broken  atomic.Int64
	over            atomic.Bool // sessions that end now were ended by this
	left            atomic.Int64
	size            atomic.Int64
}

// loader is a session that sends and receives.
type loader struct {
	s    *session
	to   string
	next *loader // who receives what this one sends

	mu      sync.Mutex
	sent    []time.Time
	came    []uint8
	tokens  chan struct{}
	total   atomic.Int64
	got     atomic.Int64
	doubled atomic.Int64
}

// Load puts a load on a relay and measures. An error means that there was nothing to
// measure: no account could log in.
func Load(ctx context.Context, c LoadConfig) (LoadResult, error) {
	l := &load{LoadConfig: c, payload: make([]byte, c.Payload)}
	rand.Read(l.payload)
	l.left.Store(maxMessages)
	l.x = examination{Config: c.Config, found: map[string]finding{}, run: "bench-" + strings.ToLower(rand.Text()[:12])}
	if len(c.Accounts) > 0 {
		l.x.As = c.Accounts[0]
	}
	l.x.begin()
	if l.x.Relay == "" {
		if err := l.discover(ctx); err != nil {
			return LoadResult{}, err
		}
	}
	idle, err := l.connect(ctx, 0, c.Idle)
	defer closeAll(idle)
	if err != nil {
		return LoadResult{}, err
	}
	for _, s := range idle {
		go l.drain(s)
	}
	sessions, err := l.connect(ctx, c.Idle, c.Clients)
	defer closeAll(sessions)
	if err != nil {
		return LoadResult{}, err
	}
	defer l.over.Store(true) // first of all
	if len(sessions)+len(idle) == 0 {
		return LoadResult{}, fmt.Errorf("nobody could log in: %s", why(l.why))
	}
	r := LoadResult{Type: "bench", Clients: len(sessions), Idle: len(idle), Failed: l.failed, Login: l.logins.spread()}
	if l.why != nil {
		r.Why = line(why(l.why))
	}
	before, looked := l.look()
	r.IdleMemory = before.Resident
	start := time.Now()
	l.run(ctx, sessions, &r)
	if after, ok := l.look(); ok && looked {
		r.LoadMemory = after.Resident
		r.CPU = (after.CPU - before.CPU).Seconds() / time.Since(start).Seconds()
	}
	r.Latency, r.Errors, r.Broken, r.Stanza = l.latency.spread(), int(l.errors.Load()), int(l.broken.Load()), int(l.size.Load())
	return r, ctx.Err()
}

func (l *load) say(format string, args ...any) {
	if l.Say != nil {
		l.Say(fmt.Sprintf(format, args...))
	}
}

func (l *load) look() (Usage, bool) {
	if l.Process == nil {
		return Usage{}, false
	}
	return l.Process()
}

// discover finds the relay by its domain (XEP-0156).
func (l *load) discover(ctx context.Context) error {
	for _, m := range l.x.target.Discover(ctx, link.DocumentLimit) {
		if m.URL != nil {
			l.x.Relay = m.URL.String()
			l.x.target.Relay = l.x.Relay
			return nil
		}
	}
	return fmt.Errorf("%s does not say where its relay is: give the relay's URL", line(l.x.Domain))
}

// connect opens n sessions, a few at a time, after so many before.
func (l *load) connect(ctx context.Context, before, n int) ([]*session, error) {
	if n > 0 {
		l.say("connecting %d ...", n)
	}
	var sessions []*session
	var wait sync.WaitGroup
	gate := make(chan struct{}, loginsAtOnce)
	for i := range n {
		gate <- struct{}{}
		wait.Go(func() {
			defer func() { <-gate }()
			s, err := l.login(ctx, before+i)
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil {
				l.failed++
				if l.why == nil {
					l.why = err
				}
				return
			}
			sessions = append(sessions, s)
		})
	}
	wait.Wait()
	return sessions, ctx.Err()
}

func (l *load) login(ctx context.Context, i int) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	start := time.Now()
	a := l.Accounts[i%len(l.Accounts)]
	p, err := l.x.authenticated(ctx, a)
	if err != nil {
		return nil, err
	}
	s := &session{run: l.x.run}
	if s.full, err = p.Bind(ctx, strings.ToLower(rand.Text()[:12])); err != nil {
		p.Close()
		return nil, err
	}
	l.logins.add(time.Since(start))
	s.listen(p)
	return s, nil
}

func closeAll(sessions []*session) {
	var wait sync.WaitGroup
	gate := make(chan struct{}, loginsAtOnce)
	for _, s := range sessions {
		gate <- struct{}{}
		wait.Go(func() { s.close(); <-gate })
	}
	wait.Wait()
}

// drain takes what comes to a session that waits for nothing.
func (l *load) drain(s *session) {
	for range s.in {
	}
	if !l.over.Load() {
		l.broken.Add(1)
	}
}

// run has the clients send for the time given, and waits for what is under way.
func (l *load) run(ctx context.Context, sessions []*session, r *LoadResult) {
	if len(sessions) == 0 { // only to stay connected
		l.say("staying connected for %v ...", l.Duration)
		select {
		case <-time.After(l.Duration):
		case <-ctx.Done():
		}
		return
	}
	clients := make([]*loader, len(sessions))
	for i, s := range sessions {
		clients[i] = &loader{s: s, tokens: make(chan struct{}, unanswered)}
	}
	for i, c := range clients {
		c.next = clients[(i+1)%len(clients)]
		c.to = c.next.s.full.String()
		go l.receive(clients, i)
	}
	l.say("sending for %v ...", l.Duration)
	start := time.Now()
	sending, stop := context.WithTimeout(ctx, l.Duration)
	defer stop()
	var wait sync.WaitGroup
	for i, c := range clients {
		wait.Go(func() { l.send(sending, ctx, c, i, len(clients)) })
	}
	wait.Wait()
	sent := time.Since(start)
	totals := func() (n, got, doubled int64) {
		for _, c := range clients {
			n, got, doubled = n+c.total.Load(), got+c.got.Load(), doubled+c.doubled.Load()
		}
		return n, got, doubled
	}
	late := time.After(stragglers)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for n, got, _ := totals(); got+l.errors.Load() < n; n, got, _ = totals() {
		select {
		case <-look.C:
			continue
		case <-late:
		case <-ctx.Done():
		}
		break
	}
	took := max(sent, time.Since(start))
	n, got, doubled := totals()
	r.Sent, r.Received, r.Doubled = int(n), int(got), int(doubled)
	r.Lost = max(0, r.Sent-r.Received-int(l.errors.Load()))
	r.Seconds = took.Seconds()
	r.Rate = float64(got) / took.Seconds()
}

// send sends what one client is to send: by the clock, or as fast as it arrives.
func (l *load) send(sending, ctx context.Context, c *loader, i, clients int) {
	start := time.Now()
	var pace time.Duration
	if l.Rate > 0 {
		pace = time.Duration(float64(clients) / l.Rate * float64(time.Second))
		start = start.Add(pace * time.Duration(i) / time.Duration(clients)) // not all at once
	}
	for seq := 0; ; seq++ {
		due := start.Add(time.Duration(seq) * pace)
		if l.Rate > 0 {
			select {
			case <-time.After(time.Until(due)):
			case <-sending.Done():
				return
			}
		} else {
			select {
			case c.tokens <- struct{}{}:
			case <-sending.Done():
				return
			}
			due = time.Now()
		}
		if sending.Err() != nil || l.left.Add(-1) < 0 {
			return
		}
		m := l.message(c.to, fmt.Sprintf("%s.%d.%d", l.x.run, i, seq))
		if seq == 0 && i == 0 {
			l.size.Store(int64(len(m.Bytes())))
		}
		// From when it was to be sent: a relay that holds the sender up makes
		// people wait, too.
		c.mu.Lock()
		c.sent, c.came = append(c.sent, due), append(c.came, 0)
		c.mu.Unlock()
		c.total.Add(1)
		if c.s.send(ctx, m) != nil {
			return
		}
	}
}

// message is one as sotto sends it, as long and as random.
func (l *load) message(to, id string) *stanza.Element {
	enc := &stanza.Encrypted{SID: 1, IV: l.payload[:min(12, len(l.payload))], Payload: l.payload}
	for d := range l.Devices {
		enc.Keys = append(enc.Keys, stanza.EncKey{RID: uint32(d + 1), Data: keyLike[:]})
	}
	hint := stanza.NoStoreHint()
	if l.Archive {
		hint = stanza.StoreHint()
	}
	return stanza.NewChat(to, id, enc.Element(), stanza.EncryptedWith(stanza.NSOmemo, "OMEMO"), hint, stanza.Body("sotto relay bench"))
}

// keyLike is as long as a message's key for one device.
var keyLike [120]byte

// receive takes what comes to client i.
func (l *load) receive(clients []*loader, i int) {
	for e := range clients[i].s.in {
		if !e.Is(stanza.NSClient, "message") {
			continue
		}
		rest, ours := strings.CutPrefix(e.Get("id"), l.x.run+".")
		from, number, _ := strings.Cut(rest, ".")
		k, err := strconv.Atoi(from)
		seq, err2 := strconv.Atoi(number)
		if !ours || errors.Join(err, err2) != nil || k < 0 || k >= len(clients) || seq < 0 {
			continue
		}
		c := clients[k]
		if e.Get("type") == "error" {
			l.errors.Add(1)
			c.free()
			continue
		}
		if c.next != clients[i] {
			continue // it is not this one's
		}
		now := time.Now()
		c.mu.Lock()
		if seq >= len(c.sent) {
			c.mu.Unlock()
			continue
		}
		due, before := c.sent[seq], c.came[seq]
		c.came[seq] = 1
		c.mu.Unlock()
		if before > 0 {
			c.doubled.Add(1)
			continue
		}
		l.latency.add(now.Sub(due))
		c.got.Add(1)
		c.free()
	}
	if !l.over.Load() {
		l.broken.Add(1)
	}
}

// free lets another message go.
func (c *loader) free() {
	select {
	case <-c.tokens:
	default:
	}
}
