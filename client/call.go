package client

import (
	"context"
	"errors"
	"time"

	"sotto/client/text"
	"sotto/client/wire"
)

// callPatience is how long an answer to a call is waited for: longer than the link takes.
const callPatience = 40 * time.Second

// call is a request to the relay's HTTP interface that waits for its answer.
type call struct {
	status int
	body   []byte
	done   chan<- error
}

// Call posts JSON to an address of the relay's HTTP interface, with auth as the value
// of its header field Authorization, and returns the status and the body of the answer:
// at most wire.MaxReply bytes, which somebody has written whom nothing is believed.
// auth and body are cleared once the link has them. The error, in words for people,
// says that there was no answer that can be used.
func (c *Client) Call(ctx context.Context, url string, auth, body []byte) (status int, reply []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	x := new(call)
	var id uint64
	err = c.do(ctx, func(done chan<- error) {
		l := c.letters
		switch {
		case len(url) > wire.MaxURL || len(auth) > wire.MaxSecret || len(body) > wire.MaxCall:
			done <- errors.New("this is too much for a request")
		case len(l.calls) >= wire.MaxCalls:
			done <- errTooMany
		default:
			l.lastCall++
			id = l.lastCall
			x.done = done
			l.calls[id] = x
			c.out.send(wire.Call{ID: id, URL: url, Auth: auth, Body: body})
			return
		}
		clear(auth)
		clear(body)
	})
	if ctx.Err() != nil {
		c.call(func() {
			if delete(c.letters.calls, id); id == 0 { // it never began
				clear(auth)
				clear(body)
			}
		})
	}
	if err != nil {
		return 0, nil, err
	}
	return x.status, x.body, nil
}

// wasCalled takes the answer to a call.
func (c *Client) wasCalled(m wire.Called) {
	x := c.letters.calls[m.ID]
	if x == nil {
		return
	}
	delete(c.letters.calls, m.ID)
	if m.Status == 0 {
		x.done <- errors.New(text.Line(m.Words).String())
		return
	}
	x.status, x.body = int(m.Status), m.Body
	x.done <- nil
}
