package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"sotto/client/audit"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// What an organisation's own account needs beyond a messenger: to publish, to
// manage accounts, to say something to a device and know that the relay has it, and
// to keep what devices say to it until it was looked at. What it does with all that
// is package admin's.

// Act writes something that an administrator has done into the audit log, in the
// transaction that does it.
func (c *Client) Act(tx *store.Tx, e audit.Event) error { return c.audit(tx, e) }

// letters is where whoever serves an organisation hears that something came.
type letters struct {
	arrived  chan struct{}
	posts    map[string]chan<- error // owned by Run: messages whose sender waits for the relay, by id
	calls    map[uint64]*call        // owned by Run, as is the next
	lastCall uint64

	mu    sync.Mutex
	nodes map[string]bool // that were configured in this run
}

func (l *letters) configured(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes[node] = true
}

func (l *letters) isConfigured(node string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes[node]
}

func newLetters() *letters {
	return &letters{nodes: make(map[string]bool), arrived: make(chan struct{}, 1), posts: make(map[string]chan<- error), calls: make(map[uint64]*call)}
}

// Online reports whether the relay can be asked now.
func (c *Client) Online() bool { return c.State().Phase == wire.Online }

// Arrived returns a channel that has a value after something came for the
// organisation whose account this is, or after the relay was reached anew.
func (c *Client) Arrived() <-chan struct{} { return c.letters.arrived }

func (c *Client) signalArrived() {
	select {
	case c.letters.arrived <- struct{}{}:
	default:
	}
}

// Ask sends a request (an IQ) and waits for its answer. to is "" for the own
// account. The error is a *stanza.StanzaError where it was refused.
func (c *Client) Ask(ctx context.Context, typ, to string, payload *stanza.Element) (answer *stanza.Element, err error) {
	err = c.do(ctx, func(done chan<- error) {
		c.ask(typ, to, payload, func(e *stanza.Element, err error) {
			answer = e
			done <- err
		})
	})
	return answer, err
}

// AskSecretly is Ask with a stanza that holds a password: build writes it for an id,
// and it is cleared once it was handed to the link.
func (c *Client) AskSecretly(ctx context.Context, to string, build func(id string) []byte) (answer *stanza.Element, err error) {
	err = c.do(ctx, func(done chan<- error) {
		if !c.online {
			done <- errOffline
			return
		}
		if len(c.iqs.flying) >= iqInFlight {
			done <- errTooMany
			return
		}
		r := &request{id: rand.Text(), typ: "set", to: to, deadline: time.Now().Add(iqTimeout), done: func(e *stanza.Element, err error) {
			answer = e
			done <- err
		}}
		c.iqs.flying[r.id] = r
		c.out.send(wire.Send{ID: r.id, Stanza: build(r.id), Clear: true})
	})
	return answer, err
}

// Post gives a message to the link and waits until the relay has it. It gets an id
// of its own if it has none.
func (c *Client) Post(ctx context.Context, message *stanza.Element) error {
	id := message.Get("id")
	if id == "" {
		id = rand.Text()
		message.Set("id", id)
	}
	b := message.Bytes()
	err := c.do(ctx, func(done chan<- error) {
		switch {
		case !c.online:
			done <- errOffline
		case !c.give(wire.Send{ID: id, Stanza: b}):
			done <- errTooMany
		default:
			c.letters.posts[id] = done
		}
	})
	if ctx.Err() != nil {
		c.call(func() { delete(c.letters.posts, id) })
	}
	return err
}

// posted tells those who wait for the relay to have taken a message.
func (c *Client) posted(ids []string) {
	for _, id := range ids {
		if done := c.letters.posts[id]; done != nil {
			delete(c.letters.posts, id)
			done <- nil
		}
	}
}

// letter keeps what a device says to the organisation whose account this is, in the
// transaction that notes that it came. It reports whether it did. What nobody expects,
// and so all of it where this is no organisation's account, is logged, and what else is
// in the message is looked at as with any other.
func (c *Client) letter(tx *store.Tx, fx *effects, x *envelope) (bool, error) {
	l := store.Letter{Sender: x.From.String(), Bare: x.sender, At: x.at}
	if l.Note = stanza.ReadJoin(x.stanza); l.Note != nil {
		l.Kind = store.LetterRequest
	} else if a, ok := stanza.ReadAcknowledgement(x.stanza); ok {
		l.Kind, l.Note, l.Delegation = store.LetterAcknowledgement, a.Note, a.Delegation
	} else {
		if stanza.ReadAnswer(x.stanza) != nil {
			c.log.Warn("answer to a request to join that was not made", "from", x.From.String())
		}
		return false, nil
	}
	if x.sender == c.self && x.To.Bare().String() != c.self && !x.To.Equal(x.To.Bare()) {
		return true, nil // what this account says elsewhere
	}
	kept, err := tx.PutLetter(l)
	if err != nil || !kept {
		c.log.Info("not kept for the organisation", "from", l.Bare)
		return false, err
	}
	fx.after = append(fx.after, c.signalArrived)
	return true, nil
}

// Publish puts a note into a node of the own account that everybody may read, and
// that keeps up to many items. It waits for the relay.
func (c *Client) Publish(ctx context.Context, node, id string, payload *stanza.Element, many int) error {
	err := c.publishOpenly(ctx, node, id, payload, many)
	if err != nil {
		return fmt.Errorf("publish %s in %s: %w", id, node, err)
	}
	if node == stanza.NodeHead { // nobody nudges the account that nudges
		c.call(c.follow)
	}
	return nil
}

func (c *Client) publishOpenly(ctx context.Context, node, id string, payload *stanza.Element, many int) error {
	options := stanza.OpenNode(many)
	publish := func(o ...stanza.Field) error {
		_, err := c.Ask(ctx, "set", "", stanza.Publish(node, id, payload, o...))
		return err
	}
	configure := func() error {
		_, err := c.Ask(ctx, "set", "", stanza.Configure(node, options...))
		if err != nil {
			return fmt.Errorf("open it to everybody: %w", err)
		}
		c.letters.configured(node)
		return nil
	}
	if c.letters.isConfigured(node) && publish(stanza.AccessOpen()...) == nil {
		return nil
	}
	err := publish(options...)
	switch {
	case err == nil || condition(err) == "":
		return err
	case other(err): // the node has other settings
		if err := configure(); err != nil {
			return err
		}
		return publish()
	}
	// A relay that does not take how many items a node keeps along with the first one
	// (ejabberd up to 23), or none of this: it is told of afterwards.
	if err = publish(stanza.AccessOpen()...); other(err) {
		if err := configure(); err != nil {
			return err
		}
		return publish()
	}
	if err != nil && condition(err) != "" {
		err = publish()
	}
	if err != nil || c.letters.isConfigured(node) {
		return err
	}
	return configure()
}

// other reports whether a relay has not published because a node has other settings
// than it was asked to have.
func other(err error) bool {
	return pubsubCondition(err) == "precondition-not-met" || condition(err) == "conflict"
}

// Retract removes an item of an own node. One that is not there is no error.
func (c *Client) Retract(ctx context.Context, node, id string) error {
	_, err := c.Ask(ctx, "set", "", stanza.RetractItem(node, id))
	if err != nil && !slices.Contains([]string{"item-not-found"}, condition(err)) {
		return fmt.Errorf("remove %s of %s: %w", id, node, err)
	}
	return nil
}
