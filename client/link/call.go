package link

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"sotto/client/wire"
)

// Calls: requests to the relay's HTTP interface for accounts, whose address the desk
// has from its own settings and nobody else's. TLS, authorities and pins are those of
// the stream. Each has a goroutine and a connection, and talks to the owner as
// transfers do. The request is written by hand, so that what is secret in it is in
// bytes that are cleared; it is sent once, and no redirection is followed.

const (
	callTime      = 30 * time.Second // for all of one
	maxCallHeader = 16 << 10         // bytes of the answer's header
)

// calling is a call that was sent.
type calling struct {
	cancel context.CancelFunc
	answer wire.Called
}

// call sends a call, or refuses it.
func (o *owner) call(m wire.Call) {
	refuse := func(words string) {
		clear(m.Auth)
		clear(m.Body)
		o.desk.moves = append(o.desk.moves, wire.Called{ID: m.ID, Words: wire.Sentence(words)})
	}
	switch {
	case o.calls[m.ID] != nil || len(o.calls) >= wire.MaxCalls || len(o.desk.moves) > 64*wire.MaxTransfer:
		refuse("Too much is asked at once.")
		return
	case bytes.ContainsAny(m.Auth, "\r\n\x00"):
		refuse("The credential is none that can be sent.")
		return
	case o.acct == nil:
		refuse("Not logged in.")
		return
	}
	relay := o.acct.relay
	if relay == nil {
		relay = o.acct.found
	}
	u, err := fileURL(m.URL, relay)
	if err != nil {
		refuse("The address of the relay's HTTP interface is not one with TLS. Nothing was sent.")
		return
	}
	conf := o.acct.trust.config(o.acct.login.Legacy)
	conf.ServerName = u.Hostname()
	ctx, cancel := context.WithTimeout(context.Background(), min(callTime, o.cfg.StallTimeout))
	x := &calling{cancel: cancel, answer: wire.Called{ID: m.ID}}
	o.calls[m.ID] = x
	go func() {
		defer cancel()
		var err error
		if x.answer.Status, x.answer.Body, err = post(ctx, o.cfg.Dial, conf, u, &m); err != nil {
			x.answer.Words = wire.Sentence(callWords(ctx, u.Hostname(), err))
		}
		clear(m.Auth)
		clear(m.Body)
		select {
		case o.called <- x:
		case <-o.done:
		}
	}()
}

// errReply is what is wrong with an answer.
type errReply string

func (e errReply) Error() string { return string(e) }

// callWords says why there is no answer that can be used.
func callWords(ctx context.Context, host string, err error) string {
	var bad errReply
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("%s does not answer. Whether it has done what it was asked is not known.", host)
	case errors.As(err, &bad):
		return fmt.Sprintf("%s %s.", host, bad)
	}
	return dialFailure(host, err).words
}

// post does what call has checked.
func post(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), conf *tls.Config, u *url.URL, m *wire.Call) (status uint64, body []byte, err error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	c, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	raw := c // what c is changes below, which the end of the context may meet
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if u.Scheme == "https" {
		t := tls.Client(c, conf)
		if err := t.HandshakeContext(ctx); err != nil {
			return 0, nil, err
		}
		c = t
	} else if !loopbackConn(c) {
		return 0, nil, errReply("has no TLS and is another computer. Nothing was sent")
	}
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sotto\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n", u.RequestURI(), u.Host, len(m.Body))
	q := make([]byte, 0, len(head)+len("Authorization: \r\n\r\n")+len(m.Auth)+len(m.Body)) // never moved: what is secret in it is cleared
	q = append(q, head...)
	if len(m.Auth) > 0 {
		q = append(append(append(q, "Authorization: "...), m.Auth...), "\r\n"...)
	}
	q = append(append(q, "\r\n"...), m.Body...)
	_, err = c.Write(q)
	clear(q)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxCallHeader+wire.MaxReply)), nil)
	if err != nil {
		return 0, nil, errReply("has answered nothing that can be understood")
	}
	defer r.Body.Close()
	if r.StatusCode/100 == 3 {
		return 0, nil, errReply("sends it on to another address, and it is not sent there")
	}
	switch body, err = io.ReadAll(io.LimitReader(r.Body, wire.MaxReply+1)); {
	case len(body) > wire.MaxReply:
		return 0, nil, errReply("has answered more than is taken")
	case err != nil:
		return 0, nil, errReply("broke off its answer")
	case r.StatusCode < 200 || r.StatusCode > 999:
		return 0, nil, errReply("has answered nothing that can be understood")
	}
	return uint64(r.StatusCode), body, nil
}

// wasCalled takes the answer of a call.
func (o *owner) wasCalled(x *calling) {
	if o.calls[x.answer.ID] != x {
		return // of another desk
	}
	delete(o.calls, x.answer.ID)
	o.desk.moves = append(o.desk.moves, x.answer)
}

// endCalls ends all: the desk that asks has gone, or the account that it is for.
func (o *owner) endCalls() {
	for id, x := range o.calls {
		delete(o.calls, id)
		x.cancel()
		if o.desk != nil {
			o.desk.moves = append(o.desk.moves, wire.Called{ID: id, Words: "Logged off."})
		}
	}
}
