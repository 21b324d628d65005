package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sotto/client/org"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Relay is what carries statements: a client.Client, which has these methods, or a
// test.
type Relay interface {
	// Online reports whether it can be asked now.
	Online() bool
	// Arrived has a value after something came, or the relay was reached anew.
	Arrived() <-chan struct{}
	// Publish puts an item into a node that everybody may read and that keeps many
	// items; Retract removes one. Both wait for the relay. The error is or wraps a
	// *stanza.StanzaError where the relay refuses.
	Publish(ctx context.Context, node, id string, payload *stanza.Element, many int) error
	Retract(ctx context.Context, node, id string) error
	// Post sends a message and waits until the relay has it.
	Post(ctx context.Context, message *stanza.Element) error
	// Ask sends a request and waits for the answer.
	Ask(ctx context.Context, typ, to string, payload *stanza.Element) (*stanza.Element, error)
	// AskSecretly is Ask with a stanza that is written by build and cleared afterwards.
	AskSecretly(ctx context.Context, to string, build func(id string) []byte) (*stanza.Element, error)
}

// How Serve and Settle pace themselves.
const (
	publishAtOnce = 32               // items read from the database
	postsAtOnce   = 32               // messages on their way
	answerWait    = 40 * time.Second // for the relay
	tryAgain      = 2 * time.Second  // after the relay could not be reached
	tryRefused    = 30 * time.Second // after it has refused something
	MaxHeadEvery  = 4 * time.Minute  // between heads while nothing happens
	surveyEvery   = time.Hour        // between looks whether the relay still has everything
)

// Left is what the relay does not have yet.
type Left struct {
	Items   int    // statements
	Answers int    // to requests
	Letters int    // that were not looked at
	Refused string // why the relay has not taken something; "" if it has not refused
	Trouble string // what went wrong last, and may go well the next time; "" if nothing did
}

// None reports whether the relay has everything.
func (l Left) None() bool { return l.Items == 0 && l.Answers == 0 && l.Letters == 0 }

// Left returns what the relay does not have yet.
func (o *Organisation) Left(ctx context.Context) (l Left, err error) {
	err = o.st.View(ctx, func(tx *store.Tx) error {
		if l.Items, err = tx.PendingCount(); err != nil {
			return err
		}
		replies, err := tx.PendingReplies(1 << 20)
		if err != nil {
			return err
		}
		letters, err := tx.Letters(1 << 20)
		l.Answers, l.Letters = len(replies), len(letters)
		return err
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	l.Refused, l.Trouble = o.refused, o.trouble
	return l, err
}

// Statements returns everything that the account is to show: what a device would
// find there. It is for tests of devices, and for whoever looks.
func (o *Organisation) Statements(ctx context.Context) (items []store.Item, err error) {
	err = o.st.View(ctx, func(tx *store.Tx) error {
		items, err = tx.Items("")
		return err
	})
	return items, err
}

// Beat signs a new head, so that devices know that nothing is held back from them.
func (o *Organisation) Beat(ctx context.Context) error {
	return o.change(ctx, "sign a head", func(c *change) error {
		c.dirty, c.touched = true, true
		if err := c.showPartners(); err != nil { // an agreement may have expired
			return err
		}
		for name, d := range o.shown {
			if d.At().Serial > 0 {
				if err := c.partnerHead(name, d); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// headEvery is the time between heads: well within the lease.
func (o *Organisation) headEvery() time.Duration {
	return min(MaxHeadEvery, o.Policy().Lease()/8)
}

// Serving is how to serve.
type Serving struct {
	Every time.Duration           // between heads while nothing happens; 0 is well within the lease
	Tell  func([]Happening)       // unless nil, what came and what became of it
	Note  func(words string)      // unless nil, what whoever runs it should know
	Round func(Left) (stop error) // unless nil, called after each round; an error ends Serve with it
}

// Serve takes what comes, publishes what is signed, tells people of changes and signs
// heads, until ctx ends (nil), or the database cannot be used any more.
func (o *Organisation) Serve(ctx context.Context, r Relay, s Serving) error {
	every := s.Every
	if every == 0 {
		every = o.headEvery()
	}
	beat := time.NewTimer(0) // whoever has locked meanwhile waits for it
	defer beat.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	survey := time.NewTicker(surveyEvery)
	defer survey.Stop()
	checked := false
	var nodes []string // to be looked at, one a round: nothing that is signed waits for all of them
	lost := false      // the relay had lost something
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if s.Every == 0 {
				every = o.headEvery() // the policy may have changed
			}
			beat.Reset(every)
			if err := o.Beat(ctx); err != nil {
				return quiet(ctx, err)
			}
		case <-r.Arrived():
			checked = checked && r.Online()
		case <-o.changed:
		case <-again.C:
		case <-survey.C:
			checked = false
		}
		if !checked && r.Online() {
			all, err := o.compare(ctx, r)
			lost = lost || all
			if checked = err == nil; checked {
				nodes, err = o.nodes(ctx)
				if err != nil {
					return quiet(ctx, err)
				}
			}
		}
		looked := true
		if len(nodes) > 0 && r.Online() {
			some, err := o.compareNode(ctx, r, nodes[0])
			lost = lost || some
			if looked = err == nil; looked {
				nodes = nodes[1:]
			}
		}
		if lost && len(nodes) == 0 {
			lost = false
			beat.Reset(every)
			if err := o.Beat(ctx); err != nil {
				return quiet(ctx, err)
			}
		}
		wait, err := o.round(ctx, r, s.Tell)
		if err != nil {
			return quiet(ctx, err)
		}
		switch {
		case wait == 0 && !looked:
			again.Reset(tryAgain)
		case wait == 0 && len(nodes) > 0:
			again.Reset(0)
		case wait > 0:
			again.Reset(wait)
		}
		if !r.Online() {
			checked = false
		}
		if s.Round != nil || s.Note != nil {
			left, err := o.Left(ctx)
			if err != nil {
				return quiet(ctx, err)
			}
			if s.Note != nil && left.Refused != "" {
				s.Note(left.Refused)
			}
			if s.Round != nil {
				if err := s.Round(left); err != nil {
					return err
				}
			}
		}
	}
}

func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Settle takes what has come, publishes what is signed and tells people of it, until
// nothing is left, the relay refuses something, or ctx ends. What is left then goes
// out the next time.
func (o *Organisation) Settle(ctx context.Context, r Relay, tell func([]Happening)) (Left, error) {
	for ctx.Err() == nil {
		wait, err := o.round(ctx, r, tell)
		if err != nil && ctx.Err() == nil {
			return Left{}, err
		}
		left, err := o.Left(context.WithoutCancel(ctx))
		if err != nil {
			return left, err
		}
		if left.None() && !o.nudging() || left.Refused != "" {
			return left, nil
		}
		if wait == 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-r.Arrived():
		case <-o.changed:
		case <-time.After(min(wait, tryAgain/4)):
		}
	}
	return o.Left(context.WithoutCancel(ctx))
}

func (o *Organisation) nudging() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.nudges) > 0
}

// round does all that can be done now, and returns when to try again: 0 if nothing
// is left. Errors are those of the database.
func (o *Organisation) round(ctx context.Context, r Relay, tell func([]Happening)) (wait time.Duration, err error) {
	happened, err := o.TakeLetters(ctx)
	if len(happened) > 0 && tell != nil {
		tell(happened)
	}
	if err != nil {
		return 0, err
	}
	if !r.Online() {
		return tryAgain, nil
	}
	err = o.publish(ctx, r)
	if err == nil {
		err = o.reply(ctx, r)
	}
	if err == nil {
		err = o.nudge(ctx, r)
	}
	return o.afterwards(err)
}

// carrying is an error of the relay, and not of the database.
type carrying struct{ error }

func (e carrying) Unwrap() error { return e.error }

// afterwards says when to go on after what the relay said.
func (o *Organisation) afterwards(err error) (time.Duration, error) {
	relay, is := errors.AsType[carrying](err)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.refused, o.trouble = "", ""
		return 0, nil
	case !is:
		return 0, err
	}
	if no, ok := errors.AsType[*stanza.StanzaError](relay.error); ok && no.Type != "wait" {
		o.refused = fmt.Sprintf("The relay does not take what the organisation has signed: %v", relay.error)
		return tryRefused, nil
	}
	o.trouble = relay.Error()
	return tryAgain, nil
}

// publish offers the relay what it does not have, heads after everything that they
// name, and has it remove what is over last.
func (o *Organisation) publish(ctx context.Context, r Relay) error {
	for {
		var items []store.Item
		err := o.st.View(ctx, func(tx *store.Tx) (err error) {
			items, err = tx.PendingItems(publishAtOnce)
			return err
		})
		if err != nil || len(items) == 0 {
			return err
		}
		for _, it := range items {
			if err := o.carry(ctx, r, it); err != nil {
				return err
			}
			err := o.st.Update(ctx, func(tx *store.Tx) error {
				if it.Node == stanza.NodeHead {
					n, err := headNumber(it.Note)
					if err != nil {
						return err
					}
					if err := tx.SetValue(valuePublished, []byte(stanza.NumberItem(n))); err != nil {
						return err
					}
				}
				return tx.ItemPublished(it)
			})
			if err != nil {
				return err
			}
		}
	}
}

func (o *Organisation) carry(ctx context.Context, r Relay, it store.Item) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if it.Note == nil {
		if err := r.Retract(ctx, it.Node, it.ID); err != nil {
			return carrying{err}
		}
		return nil
	}
	many := manyItems
	if it.ID == stanza.ItemCurrent {
		many = 1
	}
	payload := stanza.Note(it.Note)
	if it.Node == stanza.NodePartners {
		err := o.st.View(ctx, func(tx *store.Tx) error {
			contact, err := tx.Value(valuePartner + it.ID)
			payload = stanza.PartnerNote(it.Note, string(contact))
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := r.Publish(ctx, it.Node, it.ID, payload, many); err != nil {
		return carrying{err}
	}
	return nil
}

// reply sends the answers to requests: after what they tell of was published.
func (o *Organisation) reply(ctx context.Context, r Relay) error {
	for {
		var replies []store.Reply
		err := o.st.View(ctx, func(tx *store.Tx) (err error) {
			replies, err = tx.PendingReplies(postsAtOnce)
			return err
		})
		if err != nil || len(replies) == 0 {
			return err
		}
		for _, p := range replies {
			post, cancel := context.WithTimeout(ctx, answerWait)
			err := r.Post(post, stanza.JoinAnswer(p.Sender, "", p.Note))
			cancel()
			if err != nil {
				return carrying{err}
			}
			if err := o.st.Update(ctx, func(tx *store.Tx) error { return tx.ReplySent(p.Request) }); err != nil {
				return err
			}
		}
	}
}

// nudge tells people of the newest head. Who is missed, because this process ends,
// finds it by itself within minutes.
func (o *Organisation) nudge(ctx context.Context, r Relay) error {
	for {
		o.mu.Lock()
		var to []string
		for a := range o.nudges {
			if len(to) < postsAtOnce {
				to = append(to, a)
			}
		}
		o.mu.Unlock()
		if len(to) == 0 {
			return nil
		}
		shown, err := o.shownHead(ctx)
		if err != nil || !shown.Published {
			return err // another change is under way: they are told of that one
		}
		number, err := headNumber(shown.Note)
		if err != nil {
			return err
		}
		errs := make([]error, len(to))
		var wg sync.WaitGroup
		for i, a := range to {
			wg.Go(func() {
				post, cancel := context.WithTimeout(ctx, answerWait)
				defer cancel()
				errs[i] = r.Post(post, stanza.Nudge(a, shown.Note))
			})
		}
		wg.Wait()
		o.mu.Lock()
		for i, a := range to {
			if errs[i] == nil && o.nudges[a] <= number {
				delete(o.nudges, a)
			}
		}
		o.mu.Unlock()
		if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
			return carrying{errs[i]}
		}
	}
}

// shownHead returns the newest head as the account shows it, or is about to.
func (o *Organisation) shownHead(ctx context.Context) (it store.Item, err error) {
	err = o.st.View(ctx, func(tx *store.Tx) error {
		items, err := tx.Items(stanza.NodeHead)
		if err == nil && len(items) > 0 {
			it = items[0]
		}
		return err
	})
	return it, err
}

func headNumber(b []byte) (uint64, error) {
	s, err := org.Peek(b)
	if err != nil {
		return 0, err
	}
	return org.NewReader(s).Number("number"), nil
}

// valuePublished is the number of the head that the relay took last.
const valuePublished = "admin.published"

// compare looks whether the relay shows the head that it took last. If not, it has
// lost something, and gets everything again.
func (o *Organisation) compare(ctx context.Context, r Relay) (lost bool, err error) {
	var had uint64
	err = o.st.View(ctx, func(tx *store.Tx) error {
		b, err := tx.Value(valuePublished)
		had, _ = org.ParseNumber(string(b))
		return err
	})
	if err != nil || had == 0 {
		return false, err // it has not had one
	}
	ask, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	answer, err := r.Ask(ask, "get", "", stanza.ItemRequest(stanza.NodeHead, stanza.ItemCurrent))
	no, refused := errors.AsType[*stanza.StanzaError](err)
	switch {
	case err != nil && !(refused && no.Condition == "item-not-found"):
		return false, err
	case err == nil:
		note, err := stanza.ReadItemNote(answer, stanza.NodeHead, stanza.ItemCurrent)
		if err == nil && note != nil {
			if n, err := headNumber(note); err == nil && n >= had {
				return false, nil
			}
		}
	}
	return true, o.st.Update(ctx, func(tx *store.Tx) error { return tx.Unpublish() })
}
