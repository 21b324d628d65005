package link

import (
	"errors"
	"time"

	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/client/stanza"
)

// Of orders, the link obeys a lock, for which nothing is to be done; a log-off, which
// it does; and a wipe, for which it tells who can. A recall is the next desk's. Each
// is acknowledged with the link's own key and the desk's delegation. What ends things
// here waits a moment for the relay to take the acknowledgement.

const (
	otherOrders = 10 * time.Second // a log-off waits so long for orders that are asked for: a wipe may be one
	ackPatience = 2 * time.Second
)

// Ordered is an order that the link has dealt with as far as it can: of a log-off, the
// stream has ended and the credential is destroyed; of a wipe, everything is still to
// be done.
type Ordered struct {
	Organisation string
	Order        *order.Order
	Note         []byte   // as it is signed
	Keys         [][]byte // changes of the organisation's key since the last desk
}

// doing is what ends things here: a wipe, or log-offs.
type doing struct {
	orders []Ordered
	acked  bool      // the acknowledgements are on their way
	at     time.Time // when it happens
}

// orderCame takes the order that was asked for.
func (o *owner) orderCame(n uint64, note []byte) {
	d := o.duty
	x, err := order.Open(note, d.anchor.Key)
	if err == nil && x.Number != n {
		err = org.ErrSignature // of another
	}
	if err == nil {
		x, err = d.ledger.Receive(note, d.anchor.Key, d.self, d.head.Issued, o.wall())
	}
	for _, bad := range []error{org.ErrMalformed, org.ErrSignature, org.ErrRollback, org.ErrFork} {
		if errors.Is(err, bad) {
			o.cfg.Logger.Warn("an order is refused", "number", n, "err", err)
			d.missed(n)
			return
		}
	}
	if err != nil { // it is not for this device, or over
		o.cfg.Logger.Info("order", "err", err)
		return
	}
	this := Ordered{Organisation: d.anchor.Key.Name(), Order: x, Note: note, Keys: d.keys}
	if x.Spares(d.self) {
		d.left[n] = true
		return
	}
	switch x.Do {
	case order.Lock:
		d.ledger.Done(x)
		d.dealtWith(x)
		o.acknowledge(x, "it was locked")
		o.tell(this)
	case order.Wipe:
		d.doing = &doing{orders: []Ordered{this}, at: time.Now()}
	case order.LogOff:
		switch {
		case d.doing == nil:
			d.doing = &doing{at: time.Now().Add(otherOrders)}
			fallthrough
		case d.doing.orders[0].Order.Do == order.LogOff:
			d.doing.orders = append(d.doing.orders, this)
		}
	default:
		d.left[n] = true
	}
}

// idle reports whether nothing is asked for.
func (d *duty) idle() bool { return len(d.questions) == 0 && len(d.missing) == 0 }

// act goes on with what is about to happen. It may log off.
func (o *owner) act() {
	d, now := o.duty, time.Now()
	if d == nil || d.doing == nil {
		return
	}
	x := d.doing
	switch {
	case !x.acked && (!now.Before(x.at) || d.idle()):
		for _, this := range x.orders {
			o.acknowledge(this.Order, "")
		}
		x.acked, x.at = true, now
		if o.stream != nil {
			x.at = now.Add(ackPatience)
		}
	}
	if !x.acked || now.Before(x.at) {
		return
	}
	d.doing = nil
	off := false
	for _, this := range x.orders {
		if off = this.Order.Do == order.LogOff; off {
			d.ledger.Done(this.Order)
		}
		o.tell(this)
	}
	if off {
		o.cfg.Logger.Info("logging off, as the organisation has ordered")
		o.logoff()
	}
}

// acknowledge tells the organisation that an order is obeyed.
func (o *owner) acknowledge(x *order.Order, words string) {
	d := o.duty
	a := x.Acknowledge(d.self, order.Obeyed, o.wall(), words)
	note, err := a.Sign(d.anchor.Key.Name(), d.key)
	if err != nil {
		o.cfg.Logger.Warn("acknowledgement", "err", err)
		return
	}
	m := stanza.Acknowledgement{Note: note, Delegation: d.delegation}.Message(d.contact, o.newID())
	o.out.push(outgoing{b: m.Bytes(), kind: message, order: x.Number})
}

// acknowledged notes that the relay has what acknowledges an order. When it has all,
// nothing has to be waited for.
func (o *owner) acknowledged() {
	if d := o.duty; d != nil && d.doing != nil && d.doing.acked && !o.out.acknowledging() {
		d.doing.at = time.Now()
	}
}

// acknowledging reports whether the relay does not have all acknowledgements of
// orders yet.
func (o *outbox) acknowledging() bool {
	for i := range o.items {
		if o.items[i].order != 0 {
			return true
		}
	}
	return false
}

// dealtWith remembers that an order needs nothing more, whatever ledger the next desk
// comes with.
func (d *duty) dealtWith(x *order.Order) {
	d.ledger.Done(x)
	if len(d.dealt) == maxDealt {
		d.dealt = d.dealt[1:]
	}
	d.dealt = append(d.dealt, *x)
}

// tell puts an order into what Orders gives.
func (o *owner) tell(x Ordered) {
	if len(o.reports) < maxReported {
		o.reports = append(o.reports, x)
	}
}
