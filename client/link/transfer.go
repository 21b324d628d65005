package link

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sotto/client/wire"
)

// Files over HTTP (XEP-0363). The link moves ciphertext between the desk and a
// server, a few chunks at a time, on connections of their own: it holds no file,
// and what is written by people never waits behind one. TLS, authorities and pins
// are those of the stream. Each transfer has a goroutine, which talks to the owner
// as the others do.

const (
	expectTime = time.Second      // for a word of a server that is asked whether it wants a file
	wholeTime  = 10 * time.Minute // for a whole transfer, and for each of its bytes at
	slowestPut = 4 << 10          // bytes a second
)

// transfer is one file that moves.
type transfer struct {
	id     uint64
	cancel context.CancelCauseFunc
	feed   *feed // of an upload: what the desk gave
	credit *feed // of a download: what the desk takes; only its count is used
	got    int64 // of an upload: the byte that comes next from the desk
	begun  bool  // an upload has said where it begins
}

// moved is what a transfer has for the desk.
type moved struct {
	t *transfer
	m wire.Message
}

// errStalled is the cause of a transfer that does not move.
var errStalled = errors.New("nothing moves")

// fileMessage takes what the desk says of files. It reports false for anything
// else, and for what a desk does not say.
func (o *owner) fileMessage(m wire.Message) bool {
	switch m := m.(type) {
	case wire.Put:
		j := o.fileJob(m.ID, m.URL)
		if j == nil {
			return true
		}
		j.t.feed = newFeed()
		o.carry(j, int64(m.Size), func(ctx context.Context) *wire.Ended { return j.put(ctx, m) })
	case wire.Get:
		j := o.fileJob(m.ID, m.URL)
		if j == nil {
			return true
		}
		j.t.credit = newFeed()
		o.carry(j, int64(m.Limit), func(ctx context.Context) *wire.Ended { return j.get(ctx, m) })
	case wire.Want:
		if t := o.transfers[m.ID]; t != nil {
			if t.credit == nil {
				return false
			}
			t.credit.allow(int64(m.Upto))
		}
	case wire.Chunk:
		if t := o.transfers[m.ID]; t != nil {
			if t.feed == nil || !t.begun || int64(m.Offset) != t.got || !t.feed.put(m.Data) {
				return false
			}
			t.got += int64(len(m.Data))
		}
	case wire.Cancel:
		o.endTransfer(m.ID, context.Canceled)
	default:
		return false
	}
	return true
}

// fileJob makes the job of a new transfer; nil if there can be none, which the
// desk is told.
func (o *owner) fileJob(id uint64, address string) *fileJob {
	refuse := func(outcome wire.Outcome, words string) *fileJob {
		o.desk.moves = append(o.desk.moves, wire.Ended{ID: id, Outcome: outcome, Words: wire.Sentence(words)})
		return nil
	}
	switch {
	case o.transfers[id] != nil || len(o.desk.moves) > 64*wire.MaxTransfer:
		return refuse(wire.Broke, "Too much is asked at once.")
	case len(o.transfers) >= wire.MaxTransfer:
		return refuse(wire.Broke, "Too many files move at once.")
	case o.acct == nil:
		return refuse(wire.Broke, "Not logged in.")
	}
	relay := o.acct.relay
	if relay == nil {
		relay = o.acct.found
	}
	u, err := fileURL(address, relay)
	if err != nil {
		return refuse(wire.Rejected, asFailure(err).words)
	}
	t := &transfer{id: id}
	return &fileJob{t: t, url: u, tell: o.fileMoves, client: o.fileClient(u, relay), stall: o.cfg.StallTimeout}
}

// carry runs a transfer of up to size bytes.
func (o *owner) carry(j *fileJob, size int64, run func(context.Context) *wire.Ended) {
	ctx, cancel := context.WithCancelCause(context.Background())
	t := j.t
	t.cancel = cancel
	o.transfers[t.id] = t
	go func() {
		defer cancel(nil)
		defer j.client.CloseIdleConnections()
		j.watch = time.AfterFunc(j.stall, func() { cancel(errStalled) })
		defer j.watch.Stop()
		whole := time.AfterFunc(wholeTime+time.Duration(size/slowestPut)*time.Second, func() { cancel(errStalled) })
		defer whole.Stop()
		end := run(ctx)
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errStalled) {
			return // nobody waits for it
		}
		end.ID, end.Words = t.id, wire.Sentence(end.Words)
		select {
		case j.tell <- moved{t, *end}:
		case <-o.done:
		}
	}()
}

// filesMoved takes what a transfer has for the desk.
func (o *owner) filesMoved(x moved) {
	if o.transfers[x.t.id] != x.t || o.desk == nil {
		return
	}
	switch m := x.m.(type) {
	case wire.Begin:
		x.t.begun, x.t.got = true, int64(m.Offset)
	case wire.Ended:
		delete(o.transfers, x.t.id)
	}
	o.desk.moves = append(o.desk.moves, x.m)
}

func (o *owner) endTransfer(id uint64, cause error) {
	if t := o.transfers[id]; t != nil {
		delete(o.transfers, id)
		t.cancel(cause)
	}
}

// endTransfers ends all: the desk that holds the files has gone, or the account
// that they belong to.
func (o *owner) endTransfers() {
	for id := range o.transfers {
		o.endTransfer(id, context.Canceled)
		if o.desk != nil {
			o.desk.moves = append(o.desk.moves, wire.Ended{ID: id, Outcome: wire.Broke, Words: "Logged off."})
		}
	}
}

// fileURL checks where a file is: on a host with TLS, or on this very computer
// where the relay, at the same host and port, is reached without.
func fileURL(s string, relay *url.URL) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" || !plainHost(u.Hostname()) {
		return nil, &failure{words: "The file has no address that it can be found at.", course: never, cause: err}
	}
	if relay != nil && relay.Scheme == "ws" && u.Host == relay.Host && loopbackName(u.Hostname()) && (u.Scheme == "http" || u.Scheme == "https") {
		u.Scheme = "http"
		return u, nil
	}
	if u.Scheme != "https" {
		return nil, &failure{words: "The file's address is not one with TLS. Nothing was sent. Tell your administrator.", course: never}
	}
	return u, nil
}

// fileClient makes connections for one transfer, with the trust of the stream.
func (o *owner) fileClient(u, relay *url.URL) *http.Client {
	dial, dialer := o.cfg.Dial, o.dialer
	plain := u.Scheme == "http"
	local := relay != nil && loopbackName(relay.Hostname())
	tr := &http.Transport{
		TLSClientConfig:        o.acct.trust.config(o.acct.login.Legacy),
		TLSHandshakeTimeout:    o.cfg.StallTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		ExpectContinueTimeout:  expectTime,
		DisableCompression:     true, // what comes is what was put
		DisableKeepAlives:      true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if plain && !loopbackConn(c) {
				c.Close()
				return nil, &failure{words: "The file's address has no TLS and leads to another computer. Nothing was sent.", course: never}
			}
			if n := nearbyOf(c.RemoteAddr()); n != notNear && !(n == onThisComputer && local) && !dialer.near(n) {
				c.Close()
				return nil, &failure{words: "The file's address leads to this computer itself or its own wire, and the relay is not there. Nothing was asked for or sent.", course: never}
			}
			return c, nil
		},
	}
	return &http.Client{Transport: tr, CheckRedirect: sameHost}
}

// sameHost follows a file a few steps on the server that was named, and nowhere
// else. What is uploaded is never sent on.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if first.Method != http.MethodGet || len(via) > maxRedirects || req.URL.Scheme != first.URL.Scheme || !strings.EqualFold(req.URL.Host, first.URL.Host) {
		return http.ErrUseLastResponse
	}
	return nil
}
