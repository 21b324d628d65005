package link

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/time/rate"
	"mellium.im/xmpp/jid"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/org/signer"
	"sotto/client/stanza"
	"sotto/client/wire"
)

// While a desk is there, what the organisation says is its work. While there is none,
// the link follows the organisation's heads, fetches the orders that they name, and
// obeys those that need neither keys nor texts: see orders.go. It believes nobody:
// each statement is verified here, with what the last desk has told (wire.Duty).
//
// A relay can hold back what it likes, and is asked again. It cannot have anything
// obeyed that was not ordered, nor twice.

// How the link asks.
const (
	headEvery  = 5 * time.Minute // the head is asked for; a little more, at random
	headRetry  = 30 * time.Second
	orderRetry = 3 * time.Second  // doubled each time, up to headEvery
	answerIn   = 30 * time.Second // or the question is forgotten

	maxAsked    = 16      // questions under way
	maxHead     = 8 << 10 // bytes of a head, an order or a change of the key
	maxKeys     = 8       // changes of the key that are followed without a desk
	maxDealt    = 64      // orders that the next desk's ledger may not have
	maxReported = 64      // orders that wait to be told
)

// duty is what the link does for an organisation.
type duty struct {
	contact    string // bare JID, normalised
	anchor     org.Anchor
	keys       [][]byte // changes of the key that were followed since the desk went
	head       head.Head
	headNote   []byte
	self       order.Self
	ledger     *order.Ledger
	key        *signer.Key // named as the device's
	delegation []byte

	questions map[string]question // under way, by id
	missing   []uint64            // orders that are to be asked for
	absent    map[uint64]absence  // orders that were asked for and not given
	left      map[uint64]bool     // orders that are for the next desk
	askAt     time.Time           // for the head
	nudges    *rate.Limiter
	doing     *doing        // what is about to happen
	dealt     []order.Order // of which the next desk may not know
}

// absence is how often something was not there, and when it is asked for again.
type absence struct {
	times int
	again time.Time
}

// question is one that the contact was asked.
type question struct {
	node, item string
	number     uint64 // of an order or a change of the key
	until      time.Time
}

// enlist answers the desk with this link's key, which is made when it is asked for
// first.
func (o *owner) enlist() error {
	if o.key == nil {
		key, err := signer.GenerateDevice(0) // the number comes with a Duty
		if err != nil {
			return fmt.Errorf("make a key for acknowledgements: %w", err)
		}
		o.key = key
	}
	o.desk.enlisted = &wire.Enlisted{Key: o.key.Public().Public()}
	if o.duty != nil {
		o.desk.enlisted.Head = o.duty.headNote
	}
	return nil
}

var errDuty = errors.New("the desk told of an organisation what cannot be read")

// setDuty takes over what the desk says of the organisation.
func (o *owner) setDuty(m wire.Duty) error {
	contact, err := jid.Parse(m.Contact)
	if err != nil || contact.Localpart() == "" || contact.Resourcepart() != "" || o.key == nil || m.Device == 0 {
		return errors.Join(errDuty, err)
	}
	d := &duty{
		contact: contact.String(), self: order.Self{Address: m.Address, Device: m.Device, Roles: m.Roles, Contact: contact.String() == m.Address}, ledger: new(order.Ledger),
		delegation: m.Delegation, questions: make(map[string]question), absent: make(map[uint64]absence), left: make(map[uint64]bool),
		nudges: rate.NewLimiter(rate.Every(200*time.Millisecond), 20),
	}
	if err := errors.Join(d.anchor.UnmarshalText(m.Anchor), d.ledger.UnmarshalText(m.Ledger)); err != nil {
		return errors.Join(errDuty, err)
	}
	if len(m.Head) > 0 {
		if d.head, err = head.Open(m.Head, d.anchor.Key); err != nil {
			return errors.Join(errDuty, err)
		}
		d.headNote = m.Head
	}
	if d.key, err = named(o.key, m.Device); err != nil {
		return err
	}
	if was := o.duty; was != nil && was.anchor.Key == d.anchor.Key && was.self.Address == m.Address && was.self.Device == m.Device {
		d.follow(was.headNote) // this link may have heard more
		for _, x := range was.dealt {
			d.dealtWith(&x)
		}
		d.askAt, d.doing = was.askAt, was.doing
	}
	o.duty = d
	return nil
}

// named is the link's key under the name of a device.
func named(k *signer.Key, device uint32) (key *signer.Key, err error) {
	failed := k.WithSeed(func(seed *memguard.LockedBuffer) error {
		own := memguard.NewBuffer(seed.Size())
		own.Copy(seed.Bytes())
		key, err = signer.FromSeed(org.DeviceName(device), own)
		return err
	})
	return key, failed
}

// follow takes a head.
func (d *duty) follow(note []byte) error {
	if len(note) > maxHead {
		return org.ErrMalformed
	}
	next, err := d.head.Follow(note, d.anchor.Key)
	switch {
	case err != nil:
		return err
	case next.Keys > d.anchor.Number:
		return fmt.Errorf("%w: a change of the key", org.ErrGap)
	case next.Keys < d.anchor.Number:
		return fmt.Errorf("%w: the head is of before the last change of the key", org.ErrRollback)
	}
	if d.headNote == nil || next.Number > d.head.Number {
		d.head, d.headNote = next, slices.Clone(note)
	}
	return nil
}

// unattended reports whether orders are the link's work.
func (o *owner) unattended() bool { return o.duty != nil && (o.desk == nil || !o.desk.ready) }

// tend asks what is to be asked.
func (o *owner) tend() {
	d := o.duty
	if d == nil {
		return
	}
	now := time.Now()
	for id, q := range d.questions {
		if now.After(q.until) {
			delete(d.questions, id)
			o.unanswered(q)
		}
	}
	if o.stream != nil && o.unattended() {
		if !now.Before(d.askAt) {
			d.askAt = now.Add(headEvery + rand.N(headEvery/10))
			o.question(question{node: stanza.NodeHead, item: stanza.ItemCurrent})
		}
		for len(d.missing) > 0 && len(d.questions) < maxAsked {
			n := d.missing[0]
			d.missing = d.missing[1:]
			if !o.question(question{node: stanza.NodeOrders, item: stanza.NumberItem(n), number: n}) {
				break
			}
		}
	}
}

// tendAt is when tend or act have something to do; zero when that depends on others.
func (o *owner) tendAt() (at time.Time) {
	d := o.duty
	if d == nil {
		return at
	}
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if x := d.doing; x != nil {
		earlier(x.at)
		if !x.acked && d.idle() {
			earlier(time.Now())
		}
	}
	if o.stream != nil && o.unattended() {
		earlier(d.askAt)
	}
	for _, q := range d.questions {
		earlier(q.until)
	}
	return at
}

// question asks the contact for an item.
func (o *owner) question(q question) bool {
	d, id := o.duty, o.newID()
	if o.out.crowded() || !o.out.push(outgoing{b: stanza.NewIQ("get", d.contact, id, stanza.ItemRequest(q.node, q.item)).Bytes()}) {
		o.unanswered(q)
		return false
	}
	q.until = time.Now().Add(answerIn)
	d.questions[id] = q
	return true
}

// forgetQuestions is for a new session, in which nothing was asked yet.
func (o *owner) forgetQuestions() {
	if d := o.duty; d != nil {
		clear(d.questions)
		d.askAt = time.Now()
	}
}

// contactAnswered takes an answer of the contact's; others' are none.
func (o *owner) contactAnswered(iq stanza.IQ, e *stanza.Element) {
	d := o.duty
	if d == nil {
		return
	}
	q, asked := d.questions[iq.ID]
	from, err := jid.Parse(iq.From)
	own := iq.From == "" && d.contact == o.acct.address.String()
	if !asked || !own && (err != nil || from.String() != d.contact) {
		return
	}
	delete(d.questions, iq.ID)
	if !o.unattended() { // a desk has come meanwhile, and asks by itself
		return
	}
	var note []byte
	if _, err = stanza.CheckIQ(e); err == nil {
		note, err = stanza.ReadItemNote(e, q.node, q.item)
	}
	switch {
	case err != nil:
		o.cfg.Logger.Info("the organisation's statement", "node", q.node, "item", q.item, "err", err)
		o.unanswered(q)
	case note == nil || len(note) > maxHead:
		o.unanswered(q)
	case q.node == stanza.NodeHead:
		o.headCame(note)
	case q.node == stanza.NodeOrders:
		o.orderCame(q.number, note)
	case q.node == stanza.NodeKeys:
		o.keyCame(note)
	}
	o.tend()
}

// unanswered notes that a question has no answer.
func (o *owner) unanswered(q question) {
	switch d := o.duty; q.node {
	case stanza.NodeHead:
		d.askAt = time.Now().Add(headRetry)
	case stanza.NodeOrders:
		d.missed(q.number)
	}
}

// missed notes that an order was not given. The head and it are asked for again soon,
// and then less and less often: what it names comes a moment after it perhaps.
func (d *duty) missed(n uint64) {
	a := d.absent[n]
	wait := min(orderRetry<<min(a.times, 10), headEvery)
	a.times, a.again = a.times+1, time.Now().Add(wait)
	d.absent[n] = a
	if d.askAt.After(a.again) {
		d.askAt = a.again
	}
}

// headCame takes the head that was asked for.
func (o *owner) headCame(note []byte) {
	d := o.duty
	err := d.follow(note)
	if err == nil {
		d.look()
		return
	}
	o.cfg.Logger.Warn("the organisation's head is refused", "err", err)
	if n := d.anchor.Number + 1; len(d.keys) < maxKeys && (errors.Is(err, org.ErrSignature) || errors.Is(err, org.ErrGap)) {
		o.question(question{node: stanza.NodeKeys, item: stanza.NumberItem(n), number: n}) // perhaps it has another by now
	}
}

// keyCame takes a change of the organisation's key.
func (o *owner) keyCame(note []byte) {
	d := o.duty
	next, err := d.anchor.Follow(note)
	if err != nil {
		o.cfg.Logger.Warn("a change of the organisation's key is refused", "err", err)
		return
	}
	if next != d.anchor {
		d.anchor, d.askAt = next, time.Now()
		d.keys = append(d.keys, slices.Clone(note))
	}
}

// nudged takes the head in a message, from whomever. It returns whether it is one.
func (o *owner) nudged(e *stanza.Element) bool {
	note := stanza.ReadNudge(e)
	d := o.duty
	if note == nil || d == nil {
		return false
	}
	if !d.nudges.Allow() {
		return true
	}
	before := d.head.Number
	if err := d.follow(note); err != nil {
		o.cfg.Logger.Warn("a head in a message is refused", "from", clip(e.Get("from")), "err", err)
		if o.unattended() && (errors.Is(err, org.ErrSignature) || errors.Is(err, org.ErrGap)) && d.askAt.After(time.Now().Add(headRetry)) {
			d.askAt = time.Now().Add(headRetry) // it may know of another key
		}
		return true
	}
	if o.unattended() && d.head.Number > before {
		d.look()
		o.tend()
	}
	return true
}

// look finds the orders that the head names and nobody has seen.
func (d *duty) look() {
	in, now := d.head.Orders, time.Now()
	maps.DeleteFunc(d.absent, func(n uint64, _ absence) bool { return n < in.First })
	maps.DeleteFunc(d.left, func(n uint64, _ bool) bool { return n < in.First })
	asked := make(map[uint64]bool)
	for _, q := range d.questions {
		if q.node == stanza.NodeOrders {
			asked[q.number] = true
		}
	}
	d.missing = slices.DeleteFunc(d.ledger.Missing(in), func(n uint64) bool {
		return d.left[n] || asked[n] || now.Before(d.absent[n].again)
	})
}
