package admin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/stanza"
	"sotto/client/store"
)

// change is a change under way. What it does to the Organisation in memory counts
// only if it is committed.
type change struct {
	*store.Tx
	o       *Organisation
	now     time.Time
	touched bool     // something in memory has changed
	dirty   bool     // a new head is due
	staff   bool     // the directory has changed
	also    []string // to be told of the new head though they are nobody active
}

// change runs fn in a transaction, signs a head if that is due, and has what was
// signed published afterwards.
func (o *Organisation) change(ctx context.Context, doing string, fn func(*change) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stale {
		if err := o.load(ctx); err != nil {
			return err
		}
	}
	var c *change
	err := o.st.Update(ctx, func(tx *store.Tx) error {
		c = &change{Tx: tx, o: o, now: o.time()}
		if err := fn(c); err != nil {
			return err
		}
		return c.finish()
	})
	if err != nil {
		o.stale = o.stale || c != nil && c.touched
		return fmt.Errorf("%s: %w", doing, err)
	}
	if c.dirty {
		for _, e := range o.staff.All() {
			if e.State != directory.Removed {
				o.nudges[e.Address] = o.head.Number
			}
		}
		for _, a := range c.also {
			o.nudges[a] = o.head.Number
		}
		delete(o.nudges, o.contact)
	}
	o.signal()
	return nil
}

// finish shows partners what they are to see, keeps the directory's snapshot young,
// and signs a head.
func (c *change) finish() error {
	if !c.dirty {
		return nil
	}
	c.touched = true
	o := c.o
	if c.staff {
		if err := c.snapshot(o.staff, stanza.NodeSnapshot, stanza.NodeDirectory); err != nil {
			return err
		}
		if err := c.showPartners(); err != nil {
			return err
		}
	}
	orders, err := c.orders()
	if err != nil {
		return err
	}
	o.number++
	h := head.Head{Number: o.number, Issued: c.now, Directory: o.staff.At(), Policy: o.policy.At(), Orders: orders, Keys: o.anchor.Number,
		Partners: o.partners.State()}
	b, err := h.Sign(o.key)
	if err != nil {
		return err
	}
	if o.head, err = head.Open(b, o.anchor.Key); err != nil {
		return err
	}
	return c.PutItem(stanza.NodeHead, stanza.ItemCurrent, b)
}

// act writes what is done into the audit log.
func (c *change) act(e audit.Event) error {
	if c.o.audit == nil {
		return nil
	}
	e.Kind = audit.AdminActed
	return c.o.audit(c.Tx, e)
}

// sign signs entries of a directory.
func (c *change) sign(d *directory.Directory, node string, entries ...directory.Entry) error {
	c.touched = true
	notes, err := d.Sign(c.o.key, c.o.anchor.Key, c.now, entries...)
	if err != nil {
		return err
	}
	last := d.At().Serial
	for i, b := range notes {
		if err := c.PutItem(node, stanza.NumberItem(last-uint64(len(notes)-1-i)), b); err != nil {
			return err
		}
	}
	c.dirty = true
	return nil
}

// staffed signs entries of the organisation's own directory.
func (c *change) staffed(entries ...directory.Entry) error {
	c.staff = true
	return c.sign(c.o.staff, stanza.NodeDirectory, entries...)
}

// snapshot signs the directory as a whole if there are many updates since it was
// last, and has old updates removed.
func (c *change) snapshot(d *directory.Directory, node, updates string) error {
	old, err := c.Items(node)
	if err != nil {
		return err
	}
	at := uint64(0)
	if len(old) > 0 {
		v, err := c.Value("admin.snapshot." + node)
		if err != nil {
			return err
		}
		at, _ = strconv.ParseUint(string(v), 10, 64)
	}
	serial := d.At().Serial
	if len(old) > 0 && serial-at < updatesAfter {
		return nil
	}
	parts, err := d.Snapshot(c.o.key, c.now)
	if err != nil {
		return err
	}
	if len(parts) > maxParts {
		return fmt.Errorf("the directory is too large for relays: %d parts of at most %d", len(parts), maxParts)
	}
	for i, b := range parts {
		if err := c.PutItem(node, strconv.Itoa(i+1), b); err != nil {
			return err
		}
	}
	for _, it := range old {
		if n := serialOf(it); n > uint64(len(parts)) {
			if err := c.PutItem(it.Node, it.ID, nil); err != nil {
				return err
			}
		}
	}
	items, err := c.Items(updates)
	if err != nil {
		return err
	}
	for _, it := range items {
		if serialOf(it)+updatesBefore <= serial {
			if err := c.PutItem(it.Node, it.ID, nil); err != nil {
				return err
			}
		}
	}
	return c.SetValue("admin.snapshot."+node, []byte(strconv.FormatUint(serial, 10)))
}

// orders returns the range in force, with those at its beginning that have expired
// left out, whose items go.
func (c *change) orders() (head.Orders, error) {
	in, err := readOrders(c.Tx)
	if err != nil {
		return in, err
	}
	first := in.First
	for ; in.First <= in.Last; in.First++ {
		b, err := c.Tx.Order(in.First)
		if err != nil {
			return in, err
		}
		ord, err := c.o.openOrder(b)
		if err != nil {
			return in, err
		}
		if ord.Expires.After(c.now) {
			break
		}
		if err := c.PutItem(stanza.NodeOrders, stanza.NumberItem(in.First), nil); err != nil {
			return in, err
		}
	}
	if in.First == first {
		return in, nil
	}
	return in, writeOrders(c.Tx, in)
}

func readOrders(tx *store.Tx) (head.Orders, error) {
	b, err := tx.Value(valueOrders)
	if err != nil || b == nil {
		return head.Orders{First: 1}, err
	}
	r := org.NewLines(string(b))
	in := head.Orders{First: r.Number("first"), Last: r.Number("last")}
	return in, r.End()
}

func writeOrders(tx *store.Tx, in head.Orders) error {
	var w org.Writer
	w.Number("first", in.First)
	w.Number("last", in.Last)
	return tx.SetValue(valueOrders, []byte(w.String()))
}

// openOrder reads an order that was signed with the key of today or an earlier one.
func (o *Organisation) openOrder(b []byte) (ord *order.Order, err error) {
	err = fmt.Errorf("%w: an order is missing", org.ErrMalformed)
	for _, k := range slices.Backward(o.keys) {
		if ord, err = order.Open(b, k); err == nil {
			return ord, nil
		}
	}
	return nil, err
}

// keepBook stores the invitations.
func (c *change) keepBook() error {
	b, err := c.o.book.Append(nil)
	defer clear(b)
	if err != nil {
		return err
	}
	if b == nil {
		b = []byte{}
	}
	if err := c.SetValue(valueBook, b); err != nil {
		return err
	}
	var addresses []string
	for _, i := range c.o.book.All() {
		addresses = append(addresses, i.For.Address)
	}
	return c.Expect(addresses)
}
