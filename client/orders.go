package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// What the organisation orders comes before everything else that it says. A recall is
// carried out here, in one transaction with what is known of orders and with the
// acknowledgement. Lock, log-off and wipe are for whoever runs the client, see
// Config.OnOrder: these are acknowledged before, because afterwards nothing can be
// said, and noted as dealt with after, so that a kill in between has them done again
// and not left out. What the relay does not have yet of acknowledgements is in the
// store.

// ackPatience is how long a wipe and a log-off wait for the relay to take what
// acknowledges them.
const ackPatience = 2 * time.Second

// Ordered is what the organisation has ordered that the client cannot do.
type Ordered struct {
	Do     order.Action // Lock, LogOff or Wipe
	Number uint64
	Hash   org.Hash
	Note   []byte // as it is signed
	Words  text.Safe
}

// Dealt names an order that was dealt with while no client ran.
type Dealt struct {
	Number uint64
	Hash   org.Hash
}

// orders is what is under way of what was ordered.
type orders struct {
	dealt  []Dealt         // by others, as they say; see dealtWith
	todo   []ordered       // of this round
	busy   bool            // they are being fetched
	late   bool            // some wait for the directory that the head names: see fetchLateOrders
	ending *ending         // about to happen
	acking map[string]bool // ids of acknowledgements that the link has
	duty   duty
	once   sync.Once // closes Client.heard
}

// ordered is an order with its note.
type ordered struct {
	*order.Order
	note []byte
}

// ending is an order that ends this run, with others that it covers.
type ending struct {
	ordered
	member *membership.Membership // by which it was ordered
	all    []ordered
	acks   map[string]bool // ids that the relay does not have yet
}

func newOrders() orders { return orders{acking: make(map[string]bool)} }

// Heard is closed once this client knows what the organisation orders, and has carried
// it out, or belongs to none: what has to be gone is gone. It stays open while the
// organisation cannot be heard, and where an order ends this run.
func (c *Client) Heard() <-chan struct{} { return c.heard }

// Ending reports whether an order is about to end this run: it waits for no more than
// that the relay takes what acknowledges it, and nothing is to be shown meanwhile. Within
// ackPatience Config.OnOrder has been called, and it stays true after that: who runs the
// client ends it then.
func (c *Client) Ending() bool { return c.ends.Load() }

func (c *Client) haveHeard() {
	if !c.ends.Load() && len(c.orders.todo) == 0 {
		c.orders.once.Do(func() { close(c.heard) })
	}
}

// fetchOrders fetches the orders that the head names and nobody has seen, and carries
// them out. A relay that does not show one holds it back: all of them are kept there
// until the head leaves them out.
func (c *Client) fetchOrders(done func(error)) {
	m, o := c.Membership(), &c.orders
	if o.busy { // for a nudge; what has come since is for the round after this one
		c.following.again = true
		done(nil)
		return
	}
	o.busy, o.late = true, false
	c.sendAcknowledgements()
	c.fetchSomeOrders(m.Ledger().Missing(m.Head().Orders), nil, func(err error) {
		o.busy = false
		c.tellDuty() // before a wipe, which is checked with the roles that are told here
		c.carryOut()
		if (err == nil || isRefusal(err)) && !o.late { // it was asked, and what came is done
			c.haveHeard()
		}
		done(err)
	})
}

// fetchLateOrders looks once more at orders for a role, when it is known who has it
// now: somebody may have got it, or lost it, while this device was away.
func (c *Client) fetchLateOrders(done func(error)) {
	if !c.orders.late {
		done(nil)
		return
	}
	c.fetchOrders(func(err error) {
		if err == nil || isRefusal(err) {
			c.haveHeard()
		}
		done(err)
	})
}

func (c *Client) fetchSomeOrders(missing []uint64, failed error, done func(error)) {
	if len(missing) == 0 {
		done(failed)
		return
	}
	n := min(len(missing), fetchAtOnce)
	notes := make([][]byte, n)
	left := n
	var lost error // the link has gone, or the relay does not answer
	for i, number := range missing[:n] {
		c.fetchItem(stanza.NodeOrders, stanza.NumberItem(number), func(note []byte, err error) {
			switch {
			case err != nil && isRefusal(err):
				c.refused(fmt.Sprintf("order %d", number), err)
				failed = errors.Join(failed, err)
			case err != nil:
				lost = err
			case note == nil:
				failed = errors.Join(failed, fmt.Errorf("order %d: %w", number, errWithheld))
			}
			notes[i] = note
			if left--; left > 0 {
				return
			}
			for i, note := range notes {
				if note != nil {
					failed = errors.Join(failed, c.takeOrder(missing[i], note))
				}
			}
			if lost != nil {
				done(lost)
				return
			}
			c.fetchSomeOrders(missing[n:], failed, done)
		})
	}
}

// takeOrder takes the note that the relay shows as the order with a number. The error
// says that it was refused.
func (c *Client) takeOrder(number uint64, note []byte) error {
	m := c.Membership()
	var refused error
	var mine *order.Order
	ok := c.take("look at an order", func(tx *store.Tx, fx *effects) error {
		mine = nil
		key, ledger := m.Anchor().Key, m.Ledger()
		x, err := order.Open(note, key)
		if err == nil && x.Number != number {
			err = fmt.Errorf("%w: it is order %d", org.ErrSignature, x.Number)
		}
		if err == nil && x.For.Role != "" && m.Directory().At().Serial < m.Head().Directory.Serial {
			c.orders.late = true
			return nil
		}
		if err == nil {
			x, err = ledger.Receive(note, key, m.Self(), m.Head().Issued, time.Now())
		}
		switch {
		case isRefusal(err):
			return err
		case errors.Is(err, order.ErrDone):
			return nil
		case err != nil: // for others, or over
			c.log.Info("order", "err", err)
			return m.StoreLedger(tx, ledger)
		}
		result, words := order.Obeyed, ""
		switch {
		case x.Do == order.Recall:
			if result, words, err = c.recallOrdered(tx, fx, m, x); err != nil {
				return err
			}
		case c.dealtWith(x):
			words = "while it was locked"
			fx.events = append(fx.events, NoticeEvent{Text: lineOf("%s: %s", m.Organisation(), doneMeanwhile(x))})
		case x.Spares(m.Self()):
			result, words = order.Nothing, "this is the organisation's own device"
		case c.cfg.OnOrder == nil:
			result, words = order.Failed, "this program cannot do that"
		default:
			mine = x
			return nil
		}
		ledger.Done(x)
		if err := c.obeyed(tx, x); err != nil {
			return err
		}
		if _, err := c.acknowledge(tx, fx, m, x, result, words); err != nil {
			return err
		}
		return m.StoreLedger(tx, ledger)
	}, &refused)
	c.orders.duty.due = true
	switch {
	case !ok:
		return errNotStored
	case refused != nil:
		c.refused(fmt.Sprintf("order %d", number), refused)
		return refused
	case mine != nil:
		c.orders.todo = append(c.orders.todo, ordered{mine, note})
	}
	return nil
}

// dealtWith reports whether an order was dealt with while no client ran. Only what is
// done by itself then is believed: a link that was taken over could say so of any.
func (c *Client) dealtWith(x *order.Order) bool {
	return (x.Do == order.Lock || x.Do == order.LogOff) && slices.Contains(c.orders.dealt, Dealt{x.Number, x.Hash()})
}

// valueDealt names what was said of orders that were dealt with while no client ran.
// It stays until newer ones take its place: the orders themselves may come late.
const valueDealt = "orders dealt with"

const maxDealt = 64

// keepDealt takes over what Config says of orders, and what was said before.
func (c *Client) keepDealt(tx *store.Tx) error {
	b, err := tx.Value(valueDealt)
	if err != nil {
		return err
	}
	r := org.NewLines(string(b))
	for r.Has("number") {
		c.orders.dealt = append(c.orders.dealt, Dealt{r.Number("number"), r.Hash("digest")})
	}
	if err := r.End(); err != nil {
		return fmt.Errorf("read what was dealt with: %w", err)
	}
	if len(c.cfg.Dealt) == 0 {
		return nil
	}
	c.orders.dealt = append(c.orders.dealt, c.cfg.Dealt...)
	c.orders.dealt = c.orders.dealt[max(0, len(c.orders.dealt)-maxDealt):]
	var w org.Writer
	for _, d := range c.orders.dealt {
		w.Number("number", d.Number)
		w.Line("digest", d.Hash.String())
	}
	return tx.SetValue(valueDealt, []byte(w.String()))
}

// doneMeanwhile says so to the person.
func doneMeanwhile(x *order.Order) string {
	what := "this device was locked from afar while you were away"
	if x.Do == order.LogOff {
		what = "this device was logged off from afar while you were away"
	}
	return what + because(x)
}

// because is the reason of an order, for a sentence.
func because(x *order.Order) string {
	if x.Reason == "" {
		return ""
	}
	return " (" + x.Reason + ")"
}

// carryOut begins what was ordered that ends this run: the strictest of all.
func (c *Client) carryOut() {
	todo := c.orders.todo
	if len(todo) == 0 || c.orders.ending != nil {
		return
	}
	c.orders.todo = nil
	rank := []order.Action{order.Lock, order.LogOff, order.Wipe}
	worst := slices.MaxFunc(todo, func(a, b ordered) int { return slices.Index(rank, a.Do) - slices.Index(rank, b.Do) })
	m := c.Membership()
	e := &ending{ordered: worst, member: m, all: todo, acks: make(map[string]bool)}
	if worst.Do == order.Wipe {
		e.all = []ordered{worst} // the others have no time left
	}
	c.orders.ending = e
	c.ends.Store(true)
	c.update("acknowledge an order", func(tx *store.Tx, fx *effects) error {
		if worst.Do == order.Wipe { // before the acknowledgement: what the relay has of that, it has of this
			fx.after = append(fx.after, c.sendAuditLast)
		}
		for _, x := range e.all {
			id, err := c.acknowledge(tx, fx, m, x.Order, order.Obeyed, "")
			if err != nil {
				return err
			}
			e.acks[id] = true
			if err := c.obeyed(tx, x.Order); err != nil {
				return err
			}
		}
		if worst.Do != order.Wipe {
			return nil
		}
		return c.audit(tx, audit.Event{Kind: audit.Wiped, Reason: audit.ByOrder, Ref: audit.IDOf(worst.Hash().String())})
	})
	if worst.Do == order.Lock || !c.online { // the link has time to send it
		c.end()
		return
	}
	time.AfterFunc(ackPatience, func() { c.call(c.end) })
}

// end has whoever runs the client carry out what is about to happen.
func (c *Client) end() {
	e := c.orders.ending
	if e == nil { // it has happened
		return
	}
	m := e.member
	c.orders.ending = nil
	c.cfg.OnOrder(Ordered{Do: e.Do, Number: e.Number, Hash: e.Hash(), Note: e.note, Words: wordsOfOrder(m, e.Order)})
	if e.Do == order.Wipe { // noted it is not: should it have failed, it is done again
		return
	}
	// Whatever else is ending now.
	err := c.store.Update(context.WithoutCancel(c.ctx), func(tx *store.Tx) error {
		ledger := m.Ledger()
		for _, x := range e.all {
			ledger.Done(x.Order)
		}
		return m.StoreLedger(tx, ledger)
	})
	if err != nil {
		c.log.Error("note an order", "err", err)
	}
	c.orders.duty.due = true
	c.tellDuty()
}

// wordsOfOrder says to the person what happens now.
func wordsOfOrder(m *membership.Membership, x *order.Order) text.Safe {
	switch x.Do {
	case order.Lock:
		return lineOf("%s has locked this device%s. Enter the PIN to go on.", m.Organisation(), because(x))
	case order.LogOff:
		return lineOf("%s has logged this device off%s. Enter the PIN to connect again.", m.Organisation(), because(x))
	}
	return lineOf("%s has had this device wiped%s.", m.Organisation(), because(x))
}

// obeyed writes an order into the audit log.
func (c *Client) obeyed(tx *store.Tx, x *order.Order) error {
	reason := map[order.Action]audit.Reason{
		order.Lock: audit.OrderLock, order.LogOff: audit.OrderLogOff, order.Wipe: audit.OrderWipe, order.Recall: audit.OrderRecall,
	}[x.Do]
	e := audit.Event{Kind: audit.OrderObeyed, Ref: audit.IDOf(x.Hash().String()), Reason: reason}
	if x.Do == order.Recall {
		e.Message = audit.IDOf(x.Message.ID)
	}
	return c.audit(tx, e)
}

// recallOrdered removes the text that an order names, wherever it is.
func (c *Client) recallOrdered(tx *store.Tx, fx *effects, m *membership.Membership, x *order.Order) (order.Result, string, error) {
	r := store.OrderedRecall{Author: x.Message.Author, OriginID: x.Message.ID, By: m.Organisation() + because(x), Time: time.Now()}
	if !x.Message.Digest.IsZero() {
		r.Digest = slices.Clone(x.Message.Digest[:len(store.Digest("", ""))])
	}
	here, err := tx.RecallOrdered(r)
	if err != nil {
		return "", "", err
	}
	removed, others := 0, 0
	for i := range here {
		row := &here[i]
		if r.Digest != nil && row.Kind == store.Text && row.Gone == store.Here {
			said, err := digestOf(tx, row)
			if err != nil {
				return "", "", err
			}
			if string(said) != string(r.Digest) {
				others++
				continue
			}
		}
		gone, err := tx.CarryOut(r, row.ID)
		if err != nil {
			return "", "", err
		}
		if !gone {
			continue
		}
		removed++
		if row.Outgoing {
			fx.settled = append(fx.settled, row.OriginID)
		}
		if err := c.textGone(tx, fx, row); err != nil {
			return "", "", err
		}
		e := about(audit.MessageRecalled, row)
		e.Reason, e.Ref = audit.ByOrder, audit.IDOf(x.Hash().String())
		if err := c.audit(tx, e); err != nil {
			return "", "", err
		}
	}
	switch {
	case removed > 0:
		return order.Obeyed, "", nil
	case others > 0:
		return order.Failed, "the message has another text here", nil
	}
	return order.Nothing, "", nil
}

// acknowledge keeps what this device says about an order, and sends it once the
// transaction is done. It returns the id of the stanza.
func (c *Client) acknowledge(tx *store.Tx, fx *effects, m *membership.Membership, x *order.Order, result order.Result, words string) (id string, err error) {
	key, err := membership.DeviceKey(tx, c.device.ID())
	if err != nil {
		return "", err
	}
	a := x.Acknowledge(m.Self(), result, time.Now(), words)
	note, err := a.Sign(m.Organisation(), key)
	if err != nil {
		return "", err
	}
	id = newID()
	fx.after = append(fx.after, c.sendAcknowledgements)
	return id, tx.OweAcknowledgement(store.OwedAcknowledgement{Number: x.Number, ID: id, Note: note})
}

// sendAcknowledgements gives the link what it does not have of them.
func (c *Client) sendAcknowledgements() {
	m := c.Membership()
	if m == nil || !c.online || !c.window.known {
		return
	}
	var list []store.OwedAcknowledgement
	err := c.store.View(context.WithoutCancel(c.ctx), func(tx *store.Tx) (err error) {
		list, err = tx.OwedAcknowledgements()
		return err
	})
	if err != nil {
		c.log.Error("read the acknowledgements", "err", err)
		return
	}
	for _, a := range list {
		if _, held := c.window.given[a.ID]; held || c.orders.acking[a.ID] {
			c.orders.acking[a.ID] = true // perhaps from before the last lock
			continue
		}
		if !c.give(wire.Send{ID: a.ID, Stanza: stanza.Acknowledgement{Note: a.Note}.Message(m.Contact(), a.ID).Bytes()}) {
			return // the next round goes on
		}
		c.orders.acking[a.ID] = true
	}
}

// acknowledged forgets those that the relay has, and goes on with what waited for it.
func (c *Client) acknowledged(ids []string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !c.orders.acking[id] })
	if len(ids) == 0 {
		return nil
	}
	err := c.store.Update(c.ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			if err := tx.Acknowledged(id); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range ids {
		delete(c.orders.acking, id)
		if e := c.orders.ending; e != nil {
			if delete(e.acks, id); len(e.acks) == 0 {
				c.end()
			}
		}
	}
	return err
}
