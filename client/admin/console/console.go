// Package console is how somebody tells an organisation's side what to do: requests
// and answers, a line of JSON each, between the process that a person or a script
// runs and the one that has the keys.
//
// Whoever asks needs no key and sees none. What an answer has that is secret (an
// invitation's code and its one-time PIN) is in slices of bytes, so that it can be
// cleared once it was shown.
package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"sotto/client"
	"sotto/client/admin"
	"sotto/client/store"
	"sotto/client/text"
)

// Bounds of a line, in bytes.
const (
	MaxRequest = 1 << 20
	MaxAnswer  = 32 << 20
)

// Console carries out what it is asked. Its methods may be called at the same time.
type Console struct {
	Client *client.Client
	Store  *store.Store
	Wait   time.Duration // for the relay, at most

	// Serving says that another goroutine serves the organisation and publishes what
	// is signed.
	Serving bool

	mu  sync.Mutex
	org *admin.Organisation
}

// Organisation returns the organisation, which is opened at first use.
func (c *Console) Organisation(ctx context.Context) (*admin.Organisation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.org != nil {
		return c.org, nil
	}
	o, err := admin.Open(ctx, c.Store)
	if err == nil {
		o.SetAudit(c.Client.Act)
		c.org = o
	}
	return o, err
}

// Talk answers requests until in ends (nil) or ctx does.
func (c *Console) Talk(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), MaxRequest)
	for lines.Scan() {
		var r Request
		a := new(Answer)
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			a.Error = "this is no request"
		} else {
			a = c.Do(ctx, &r)
		}
		clear(r.Secret)
		clear(lines.Bytes())
		b, err := json.Marshal(a)
		a.clear()
		if err == nil {
			_, err = out.Write(append(b, '\n'))
			clear(b)
		}
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return lines.Err()
}

// acts are what can be asked.
var acts = map[string]func(*Console, context.Context, *admin.Organisation, *Request, *Answer) error{
	"status": (*Console).status, "people": (*Console).people, "orders": (*Console).orders, "policy": (*Console).policy, "partners": (*Console).partners,
	"invite": (*Console).invite, "withdraw": (*Console).withdraw, "approve": (*Console).approve,
	"change": (*Console).change, "suspend": (*Console).suspend, "restore": (*Console).restore, "remove": (*Console).remove, "remove-device": (*Console).removeDevice,
	"check-policy": (*Console).checkPolicy, "set-policy": (*Console).setPolicy, "order": (*Console).order,
	"propose": (*Console).propose, "read-agreement": (*Console).readAgreement, "accept": (*Console).accept, "end-partner": (*Console).endPartner,
	"rotate": (*Console).rotate, "route": (*Console).route, "accounts": (*Console).accounts, "settle": (*Console).settled,
}

// Do carries out one request.
func (c *Console) Do(ctx context.Context, r *Request) *Answer {
	a := new(Answer)
	if err := c.do(ctx, r, a); err != nil {
		a.Error = text.Sanitize(err.Error()).String()
		a.Exists = errors.Is(err, admin.ErrAccountExists)
	}
	return a
}

func (c *Console) do(ctx context.Context, r *Request, a *Answer) error {
	if r.Do == "found" {
		if r.Check {
			return c.mayFound(ctx, r, a)
		}
		return c.found(ctx, r, a)
	}
	act := acts[r.Do]
	if act == nil {
		return fmt.Errorf("there is no %q to be done", r.Do)
	}
	o, err := c.Organisation(ctx)
	if err != nil {
		return err
	}
	if r.Check {
		return check(ctx, o, r)
	}
	return act(c, ctx, o, r, a)
}

// publish waits until the relay has everything, and says what it does not have.
func (c *Console) publish(ctx context.Context, o *admin.Organisation, a *Answer) error {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	var left admin.Left
	var err error
	if c.Serving {
		left, err = wait(ctx, o)
	} else {
		left, err = o.Settle(ctx, c.Client, func(list []admin.Happening) {
			for _, h := range list {
				a.Happened = append(a.Happened, happened(h))
			}
		})
	}
	if err != nil {
		return err
	}
	a.Left = &Left{Items: left.Items, Answers: left.Answers, Reason: text.Line(left.Refused).String()}
	if !left.None() && left.Refused == "" {
		a.Left.Reason = "the relay does not answer in time"
		if left.Trouble != "" {
			a.Left.Reason = text.Line(left.Trouble).String()
		}
		if s := c.Client.State(); !c.Client.Online() {
			a.Left.Reason = "the relay could not be reached in time"
			if !s.Words.Empty() {
				a.Left.Reason = "not connected: " + s.Words.String()
			}
		}
	}
	return nil
}

// lookAgain is how often one looks what another goroutine has done.
const lookAgain = 50 * time.Millisecond

func wait(ctx context.Context, o *admin.Organisation) (admin.Left, error) {
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		left, err := o.Left(context.WithoutCancel(ctx))
		if err != nil || left.None() || left.Refused != "" {
			return left, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return left, nil
		}
	}
}
