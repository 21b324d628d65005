package client

import (
	"time"

	"sotto/client/omemo"
	"sotto/client/store"
)

// update runs a transaction for Run, and says so if it fails. Whatever it was
// for is tried again in the next session.
func (c *Client) update(doing string, fn func(tx *store.Tx, fx *effects) error) bool {
	var fx effects
	err := c.store.Update(c.ctx, func(tx *store.Tx) error {
		fx = effects{}
		return fn(tx, &fx)
	})
	if err != nil {
		if c.ctx.Err() == nil {
			c.log.Error(doing, "err", err)
			c.sayOnce("", "Something could not be stored: %v", err)
		}
		return false
	}
	c.apply(&fx)
	return true
}

// notice says something to the person now.
func (c *Client) notice(peer, format string, args ...any) {
	c.events.put(NoticeEvent{Peer: peer, Text: lineOf(format, args...)})
}

// sayOnce is notice for what would otherwise be said again and again.
func (c *Client) sayOnce(peer, format string, args ...any) {
	words := lineOf(format, args...)
	if len(c.said) < 1000 && !c.said[peer+words.String()] {
		c.said[peer+words.String()] = true
		c.events.put(NoticeEvent{Peer: peer, Text: words})
	}
}

// effects is what a transaction leads to once it is committed. Nothing of it
// happens if it is not.
type effects struct {
	events    []Event
	list      bool // the conversation list changed
	receipts  []receipt
	answers   []omemo.Address
	repairs   []omemo.Address
	seen      map[omemo.Address]omemo.Fingerprint
	listed    map[string]bool // device lists that came
	look      []omemo.Address // devices whose fingerprint is to be known
	relist    []string        // people whose device list is to be asked for
	settled   []string        // origin ids that need nothing more
	republish bool
	ownGone   bool // the own device is missing from the own list
	flush     bool
	sent      bool      // something is to be confirmed, or was
	ends      time.Time // when the first of the stored messages expires; zero: none does

	// Of the archive: see order.go.
	position  string    // of the last result
	stamp     time.Time // and when the archive received it
	reordered bool      // something stands elsewhere than at the end
	live      bool      // something came that the archive is to confirm
	late      bool      // and it was delayed on its way

	roomPositions map[string]roomPosition // of rooms' archives, by bare JID
	roomsLive     map[*room]bool          // where something came that the archive is to confirm
	after         []func()                // what else is to be done
	pages         map[*pager]*pageSoFar   // what came of pages under way
	fill          *filled                 // what came of the gap that is being filled
}

type receipt struct{ to, id string }

// changed notes that a message's state changed, and why.
func (fx *effects) changed(tx *store.Tx, id int64, why string) error {
	var value []byte
	if why != "" {
		value = []byte(why)
	}
	if err := tx.SetValue(whyName(id), value); err != nil {
		return err
	}
	row, err := tx.Message(id)
	if err != nil || row == nil {
		return err
	}
	if row, err = lineFor(tx, row); err != nil || row == nil {
		return err
	}
	m, err := messageOf(tx, row)
	if err != nil {
		return err
	}
	fx.events = append(fx.events, MessageChanged{m})
	fx.list = true
	return nil
}

// added notes a new message.
func (fx *effects) added(tx *store.Tx, row *store.Message) error {
	if line, err := lineFor(tx, row); err != nil || line != row {
		fx.list = true
		return err
	}
	m, err := messageOf(tx, row)
	if err != nil {
		return err
	}
	fx.events = append(fx.events, MessageAdded{m})
	fx.list = true
	return nil
}

// apply does what a committed transaction led to.
func (c *Client) apply(fx *effects) {
	c.placed(fx)
	c.expireBy(fx.ends)
	c.tookPages(fx)
	c.tookFilled(fx)
	if fx.sent {
		c.resendBy(c.resendAfter[0])
	}
	for a, f := range fx.seen {
		if len(c.seen) > 50000 {
			clear(c.seen)
		}
		c.seen[a] = f
	}
	for who := range fx.listed {
		c.peer(who).listed = true
	}
	for _, id := range fx.settled {
		delete(c.outs, id)
	}
	for _, r := range fx.receipts {
		c.sendReceipt(r)
	}
	for _, a := range fx.answers {
		c.answersDue[a] = true
	}
	if c.archive.done {
		c.sendAnswers()
	}
	for _, a := range fx.repairs {
		c.repair(a)
	}
	for _, who := range fx.relist {
		c.askList(who)
	}
	for _, a := range fx.look {
		c.askBundle(a, toLook)
	}
	if fx.republish && c.republishAt.IsZero() {
		c.republishAt = time.Now().Add(republishAfter)
	}
	if fx.ownGone && c.devicesDone && !c.removed {
		c.relistSoon()
	}
	if fx.list {
		fx.events = append(fx.events, ConversationsChanged{})
	}
	c.tellRooms(fx)
	if len(fx.settled) > 0 { // first: what is told as sent does not count as queued any more
		c.tellState()
	}
	c.events.put(fx.events...)
	if fx.flush {
		c.kick()
	}
	for _, f := range fx.after {
		f()
	}
}
