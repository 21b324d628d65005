package link

import (
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// nextForDesk returns what to tell the desk next and what to note once it was
// taken: the state first, so that it never lags behind the stanzas.
func (o *owner) nextForDesk() (wire.Message, func()) {
	d := o.desk
	switch {
	case !d.ready:
	case d.state:
		s := o.wireState()
		return s, func() {
			d.state = false
			switch {
			case !d.blind:
			case s.Phase == wire.Online: // not before: a session that begins makes a desk forget presences
				d.blind = false
				o.in.replay(o.present.all())
			default: // what came before the stream broke can be given meanwhile
				o.in.reserve()
			}
		}
	case d.pending:
		return wire.Pending{IDs: o.out.ids()}, func() { d.pending = false }
	case len(o.settled) > 0:
		return wire.Settled{ID: o.settled[0]}, func() { o.settled = o.settled[1:] }
	case len(d.back) > 0:
		return d.back[0], func() { d.back = d.back[1:] }
	case d.changed != nil:
		return *d.changed, func() { d.changed = nil }
	case d.enlisted != nil:
		return *d.enlisted, func() { d.enlisted = nil }
	case o.in.next < len(o.in.items):
		h := o.in.items[o.in.next]
		return wire.Inbound{Seq: h.seq, Stanza: h.raw}, func() { o.in.next++ }
	case len(d.moves) > 0:
		return d.moves[0], func() {
			d.moves[0] = nil
			d.moves = d.moves[1:]
		}
	}
	return nil, nil
}

// fromDesk takes one message. Anything before Login, and anything that only the
// link says, ends the connection.
func (o *owner) fromDesk(m wire.Message) {
	if l, ok := m.(wire.Login); ok {
		o.login(l)
		return
	}
	if !o.desk.ready {
		o.detach()
		return
	}
	switch m := m.(type) {
	case wire.Send:
		o.send(m)
	case wire.Stored:
		o.in.stored(m.Seq)
		if o.behind && o.stream != nil && o.sm {
			o.answer = true
		}
	case wire.Withdraw:
		if len(o.desk.back) == maxOut { // a desk that asks and does not listen
			o.detach()
			return
		}
		o.desk.back = append(o.desk.back, wire.Withdrawn{ID: m.ID, Back: o.out.withdraw(m.ID)})
	case wire.ChangePassword:
		o.changePassword(m)
	case wire.Logoff:
		o.logoff()
	case wire.Call:
		o.call(m)
	case wire.Enlist:
		if err := o.enlist(); err != nil {
			o.cfg.Logger.Warn("organisation", "err", err)
		}
	case wire.Duty:
		if err := o.setDuty(m); err != nil {
			o.cfg.Logger.Warn("organisation", "err", err)
			o.detach()
		}
	default:
		if !o.fileMessage(m) {
			o.detach()
		}
	}
}

// login attaches a desk. A stream of the same account goes on.
func (o *owner) login(m wire.Login) {
	a, err := o.newAccount(m)
	if o.acct != nil && (err != nil || !o.acct.same(a)) {
		o.logoff()
	}
	d := o.desk
	d.ready, d.state, d.pending, d.blind = true, true, true, true
	o.waiting = waiting{}
	o.in.next = 0
	o.in.reserve()
	if o.acct != nil { // the same account: what the link knows of it stays true
		a.found, a.known, a.proven = o.acct.found, o.acct.known, o.acct.proven
		if o.change != nil {
			a.next = o.acct.next
		}
	}
	o.acct = a
	switch {
	case err != nil:
		o.wait(asFailure(err))
	case o.stream != nil:
		o.state, o.ask = true, true
		o.tellChange()
	case o.attempt == nil:
		o.failures, o.words = 0, ""
		o.connect()
	}
}

// send takes a stanza for the relay. One that is no stanza ends the connection:
// the desk is broken, or is not a desk.
func (o *owner) send(m wire.Send) {
	e, err := stanza.Parse(m.Stanza)
	if err != nil || e.Space != stanza.NSClient || e.Local != "message" && e.Local != "presence" && e.Local != "iq" {
		o.cfg.Logger.Warn("the desk sent what is no stanza", "err", err)
		o.detach()
		return
	}
	x := outgoing{b: m.Stanza}
	if e.Local == "message" {
		x.kind, x.id = message, m.ID
	}
	if o.acct == nil || o.out.has(x.id) {
		return
	}
	if !o.out.push(x) {
		o.refused = true
		o.cfg.Logger.Warn("too much waits for the relay; a stanza was left to the desk")
		return
	}
	o.roomSent(e)
}

// detach lets go of the desk. What it has not stored waits for the next one.
func (o *owner) detach() {
	d := o.desk
	if d == nil {
		return
	}
	d.drop()
	o.desk = nil
	o.endTransfers()
	o.endCalls()
	if !d.ready {
		return
	}
	o.state = true
	o.in.detach()
	for _, h := range o.in.items {
		o.waiting.add(h.arrival)
	}
	o.enterRooms() // which the desk had no time for
	if o.duty != nil {
		o.duty.askAt = time.Now()
		o.tend()
	}
}
