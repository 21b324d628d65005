package order

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotto/client/org"
	"sotto/client/org/head"
)

// maxSeen bounds a Ledger: four times what can be in force, for the time in which
// heads are not heard.
const maxSeen = 4 * head.MaxOrders

// slack is how far a device's clock may be ahead before it makes orders expire.
const slack = 24 * time.Hour

// Ledger is what a device knows of orders. It is for one caller at a time. The zero
// Ledger knows nothing; a device begins with NewLedger.
//
// A caller carries an order out, stores the Ledger with Done, and acknowledges, in
// this order: whatever is killed in between, the order is carried out, at worst
// twice, which changes nothing.
type Ledger struct {
	since time.Time           // when the device was taken in
	floor uint64              // every order up to this one is settled
	seen  map[uint64]org.Hash // orders above floor that are settled
}

// NewLedger begins the Ledger of a device that was taken in at a time. It obeys no
// order from before: what wiped somebody's last device does not wipe the next.
func NewLedger(since time.Time) *Ledger {
	return &Ledger{since: since.UTC().Truncate(time.Second), seen: make(map[uint64]org.Hash)}
}

// Receive reads a note and returns the order in it if this device has to carry it
// out. heard is the time in the newest head; now is the device's clock.
//
// What time it is, a thief of the device decides, and what was heard last, the
// relay. So a wipe expires by the organisation's own clock only: whoever sets the
// device's forward does not escape. Everything else expires by the device's, too,
// with a day of grace: a relay that keeps a lock and holds back the heads does not
// get to play it a year later.
//
// An order that is not to be carried out is in the Ledger afterwards, except where
// the error is one of package org, or ErrDone.
func (l *Ledger) Receive(b []byte, key org.Key, self Self, heard, now time.Time) (*Order, error) {
	o, err := Open(b, key)
	if err != nil {
		return nil, err
	}
	hash, seen := l.seen[o.Number]
	switch {
	case seen && hash == o.hash:
		return nil, ErrDone
	case seen:
		return nil, fmt.Errorf("%w: order %d", org.ErrFork, o.Number)
	case o.Number <= l.floor:
		return nil, fmt.Errorf("%w: order %d", org.ErrRollback, o.Number)
	}
	switch {
	case o.Issued.Before(l.since):
		err = ErrBefore
	case heard.After(o.Expires), o.Do != Wipe && now.After(o.Expires.Add(slack)):
		err = ErrExpired
	case !o.For.Includes(self):
		err = ErrNotForUs
	}
	if err != nil {
		l.Done(o)
		return nil, fmt.Errorf("order %d: %w", o.Number, err)
	}
	return o, nil
}

// Done notes that an order was dealt with.
func (l *Ledger) Done(o *Order) { l.Settle(o.Number, o.hash) }

// Settle is Done for an order of which only number and digest are here.
func (l *Ledger) Settle(number uint64, hash org.Hash) {
	if number <= l.floor {
		return
	}
	if l.seen == nil {
		l.seen = make(map[uint64]org.Hash)
	}
	l.seen[number] = hash
	if len(l.seen) > maxSeen {
		l.raise(slices.Min(slices.Collect(maps.Keys(l.seen))))
	}
}

// raise settles every order up to a number.
func (l *Ledger) raise(to uint64) {
	if to <= l.floor {
		return
	}
	l.floor = to
	maps.DeleteFunc(l.seen, func(n uint64, _ org.Hash) bool { return n <= to })
}

// Missing takes what a head says of the orders in force, forgets those that no
// longer are, and returns the numbers of those that were not seen, in order: a relay
// that does not show them at once is holding them back.
func (l *Ledger) Missing(in head.Orders) (numbers []uint64) {
	if in.First > 0 {
		l.raise(in.First - 1)
	}
	for n := max(in.First, l.floor+1); n <= in.Last && len(numbers) < head.MaxOrders; n++ {
		if _, seen := l.seen[n]; !seen {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// MarshalText writes the ledger for the device's own store.
func (l *Ledger) MarshalText() ([]byte, error) {
	var w org.Writer
	w.Time("since", l.since)
	w.Number("settled", l.floor)
	for _, n := range slices.Sorted(maps.Keys(l.seen)) {
		w.Line("order", strconv.FormatUint(n, 10)+" "+l.seen[n].String())
	}
	return []byte(w.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (l *Ledger) UnmarshalText(b []byte) error {
	r := org.NewLines(string(b))
	n := Ledger{since: r.Time("since"), floor: r.Number("settled"), seen: make(map[uint64]org.Hash)}
	for r.Has("order") {
		number, hash, _ := strings.Cut(r.Line("order", 100), " ")
		i, ok := org.ParseNumber(number)
		h, ok2 := org.ParseHash(hash)
		if _, twice := n.seen[i]; !ok || !ok2 || twice || i <= n.floor {
			r.Fail("it is no order")
			break
		}
		n.seen[i] = h
	}
	if err := r.End(); err != nil {
		return fmt.Errorf("reading what was ordered: %w", err)
	}
	if len(n.seen) > maxSeen {
		return errors.New("reading what was ordered: there is too much")
	}
	*l = n
	return nil
}
