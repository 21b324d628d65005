package relay

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
	"sotto/client/stanza"
)

// conn is one authenticated WebSocket as the core sees it. Its queue and its
// atomic fields are shared; the rest belongs to the core.
type conn struct {
	queue *queue
	bound atomic.Bool // a session has been bound or resumed
	cut   func()      // closes the WebSocket at once, without waiting

	base string // URL of the relay, as this client reaches it

	account *account
	session *session // nil until one is bound, and again when it has ended
	staged  []frame  // output of the present batch
	ended   bool     // nothing more is sent or handled
	onBound func()
}

// established says that the client has a session.
func (k *conn) established() {
	if !k.bound.Swap(true) && k.onBound != nil {
		k.onBound()
	}
}

var closeFrame = []byte(`<close xmlns="` + stanza.NSFraming + `"/>`)

// streamError writes a stream error (RFC 6120 section 4.9). text may be empty.
func streamError(condition, text string) []byte {
	e := stanza.New(stanza.NSStream, "error", stanza.New(stanza.NSStreams, condition))
	if text != "" {
		e.Add(stanza.TextElement(stanza.NSStreams, "text", text))
	}
	return e.Bytes()
}

const (
	preAuthBytes = 16 << 10         // of one element before authentication
	writeTimeout = 30 * time.Second // for one stanza; beyond it the reader is too slow
	idleAfter    = 90 * time.Second // without a byte from the client: ask whether it is there
	pingTimeout  = 30 * time.Second
	goodbye      = 3 * time.Second // to close in order
)

// socket is the WebSocket side of a connection: one goroutine reads, one writes.
type socket struct {
	relay    *Relay
	ws       *websocket.Conn
	remote   string // network address without the port
	base     string // URL of the relay, as this client reaches it
	guest    *guest // nil if it came by no door
	binding  []byte // tls-exporter, nil without TLS 1.3
	lastRead atomic.Int64
}

// read returns the next element. A bad element is reported as badElement.
func (k *socket) read(ctx context.Context) (*stanza.Element, int, error) {
	_, b, err := k.ws.Read(ctx)
	if err != nil {
		return nil, 0, err
	}
	k.lastRead.Store(time.Now().UnixNano())
	el, err := stanza.Parse(b)
	if err != nil {
		return nil, len(b), badElement{err}
	}
	return el, len(b), nil
}

// badElement wraps what Parse has to say, to tell it from a broken connection.
type badElement struct{ error }

func (e badElement) Unwrap() error { return e.error }

// write sends one element, or gives up after writeTimeout.
func (k *socket) write(ctx context.Context, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return k.ws.Write(ctx, websocket.MessageText, b)
}

// serve runs a connection to its end.
func (k *socket) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer k.ws.CloseNow()
	r := k.relay
	r.waiting.Add(1)
	var left atomic.Bool // the waiting room
	leave := func() {
		if !left.Swap(true) {
			r.waiting.Add(-1)
		}
	}
	defer leave()
	deadline := time.AfterFunc(r.cfg.Limits.LoginTime, cancel)
	defer deadline.Stop()
	k.ws.SetReadLimit(preAuthBytes)
	acc, err := k.login(ctx)
	if err != nil {
		r.log.Debug("login failed", "remote", k.remote, "reason", err)
		k.farewell()
		return
	}
	c := &conn{queue: newQueue(r.cfg.Limits.QueueStanzas, r.cfg.Limits.QueueBytes), account: acc, base: k.base}
	c.onBound = func() {
		if deadline.Stop() {
			leave()
			k.guest.known()
		}
	}
	c.cut = cancel
	k.ws.SetReadLimit(stanza.MaxSize + 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		k.writer(ctx, c.queue)
	}()
	k.reader(ctx, c)
	r.post(event{conn: c, gone: true})
	c.queue.close()
	<-done
}

// reader hands what arrives to the core, no faster than the limits allow.
func (k *socket) reader(ctx context.Context, c *conn) {
	l := k.relay.cfg.Limits
	stanzas := rate.NewLimiter(rate.Limit(l.StanzasPerSecond), l.StanzaBurst)
	presences := rate.NewLimiter(rate.Limit(l.PresencesPerSecond), l.PresenceBurst)
	groups := rate.NewLimiter(rate.Limit(l.GroupMessagesPerSecond), l.GroupMessageBurst)
	volume := rate.NewLimiter(rate.Limit(l.BytesPerSecond), max(l.ByteBurst, stanza.MaxSize+1))
	for {
		el, size, err := k.read(ctx)
		if bad, ok := err.(badElement); ok {
			k.relay.post(event{conn: c, bad: bad.error})
		} else if err != nil {
			return
		}
		if stanzas.Wait(ctx) != nil || volume.WaitN(ctx, size) != nil {
			return
		}
		if err == nil && el.Local == "presence" && presences.Wait(ctx) != nil {
			return
		}
		if err == nil && el.Local == "message" && el.Get("type") == "groupchat" && groups.Wait(ctx) != nil {
			return
		}
		if err == nil && !k.relay.post(event{conn: c, el: el, size: size}) {
			return
		}
	}
}

// writer empties the queue into the WebSocket until it is closed. When nothing
// has been heard for long it asks, and gives up on who does not answer.
func (k *socket) writer(ctx context.Context, q *queue) {
	idle := time.NewTicker(idleAfter)
	defer idle.Stop()
	for {
		items, closed := q.take()
		var buf []byte
		for _, f := range items {
			wire := f.data
			if f.to != "" {
				buf = f.append(buf[:0])
				wire = buf
			}
			if k.write(ctx, wire) != nil {
				return
			}
			q.wrote(f)
		}
		if closed && len(items) == 0 {
			k.farewell()
			return
		}
		if len(items) > 0 {
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return
		case <-idle.C:
			if time.Since(time.Unix(0, k.lastRead.Load())) < idleAfter {
				continue
			}
			ping, cancel := context.WithTimeout(ctx, pingTimeout)
			err := k.ws.Ping(ping)
			cancel()
			if err != nil {
				return
			}
			k.lastRead.Store(time.Now().UnixNano())
		}
	}
}

// farewell closes the WebSocket in order, if the client lets it.
func (k *socket) farewell() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.ws.Close(websocket.StatusNormalClosure, "")
	}()
	select {
	case <-done:
	case <-time.After(goodbye):
		k.ws.CloseNow()
		<-done
	}
}

// host returns the address part of a remote address.
func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}
