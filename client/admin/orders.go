package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/order"
	"sotto/client/stanza"
	"sotto/client/store"
)

// How long orders hold where nobody says: a lock is for now, a lost device may come
// back late.
const (
	LockLife   = 24 * time.Hour
	RecallLife = 30 * 24 * time.Hour
	WipeLife   = 90 * 24 * time.Hour
)

// maxInForce is how many orders there may be in force, with those in between that
// have expired: as many items as relays keep, and some to spare.
const maxInForce = manyItems - 56

// DefaultLife returns how long an order holds where nobody says.
func DefaultLife(a order.Action) time.Duration {
	switch a {
	case order.Wipe:
		return WipeLife
	case order.Recall:
		return RecallLife
	}
	return LockLife
}

// Order signs an order: Do, For, Message and Reason of what is given, for life, or
// DefaultLife if that is 0. It returns the order as it was signed.
func (o *Organisation) Order(ctx context.Context, ord order.Order, life time.Duration) (*order.Order, error) {
	if life == 0 {
		life = DefaultLife(ord.Do)
	}
	var signed *order.Order
	err := o.change(ctx, "give the order", func(c *change) error {
		if len(o.devicesOf(ord.For, ord.Do, c)) == 0 {
			return o.nobody(ord.For)
		}
		in, err := readOrders(c.Tx)
		if err != nil {
			return err
		}
		if in.Last+1-in.First >= maxInForce {
			b, err := c.Tx.Order(in.First)
			if err != nil {
				return err
			}
			oldest, err := o.openOrder(b)
			if err != nil {
				return err
			}
			return fmt.Errorf("there are %d orders in force, which is the most. The oldest, %d, expires on %s", maxInForce, oldest.Number, org.FormatTime(oldest.Expires))
		}
		in.Last++
		ord.Number, ord.Issued, ord.Expires = in.Last, c.now, c.now.Add(life).Truncate(time.Second)
		b, err := ord.Sign(o.key)
		if err != nil {
			return err
		}
		if err := c.PutOrder(ord.Number, b); err != nil {
			return err
		}
		if err := c.PutItem(stanza.NodeOrders, stanza.NumberItem(ord.Number), b); err != nil {
			return err
		}
		c.dirty = true
		if ord.For.Person != "" {
			c.also = append(c.also, ord.For.Person)
		}
		reason := map[order.Action]audit.Reason{order.Lock: audit.OrderLock, order.LogOff: audit.OrderLogOff, order.Wipe: audit.OrderWipe, order.Recall: audit.OrderRecall}[ord.Do]
		if err := c.act(audit.Event{Reason: reason, Peer: audit.PersonOf(ord.For.Person), Device: ord.For.Device, Ref: audit.IDOf(ord.Hash().String())}); err != nil {
			return err
		}
		signed = &ord
		return writeOrders(c.Tx, in)
	})
	return signed, err
}

// nobody is the error about an order that would reach no device.
func (o *Organisation) nobody(t order.Target) error {
	if _, ok := o.staff.Entry(t.Person); t.Person != "" && !ok {
		return stranger(t.Person)
	}
	return errors.New("there is no device that it would be for. See: sotto org people --devices")
}

// Reaches returns nil if there is a device that an order would be for.
func (o *Organisation) Reaches(ctx context.Context, do order.Action, t order.Target) error {
	return o.view(ctx, func() error {
		return o.st.View(ctx, func(tx *store.Tx) error {
			if len(o.devicesOf(t, do, &change{Tx: tx, o: o})) == 0 {
				return o.nobody(t)
			}
			return nil
		})
	})
}

// devicesOf are the devices that an order is for. Somebody's that have left the
// directory are among them: a device that was taken away still listens.
func (o *Organisation) devicesOf(t order.Target, do order.Action, c *change) (list []order.Target) {
	for _, e := range o.staff.All() {
		if e.Address == o.contact && (do == order.Wipe || do == order.LogOff) && t.Person == "" {
			continue
		}
		for _, d := range e.Devices {
			if t.Includes(order.Self{Address: e.Address, Device: d.ID, Roles: e.Roles}) {
				list = append(list, order.Target{Person: e.Address, Device: d.ID})
			}
		}
	}
	if t.Person == "" || c == nil {
		return list
	}
	known, err := c.KnownDevices(t.Person)
	if err != nil {
		return list
	}
	for _, d := range known {
		one := order.Target{Person: d.Address, Device: d.ID}
		if t.Includes(order.Self{Address: d.Address, Device: d.ID}) && !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}

// Given is an order and what became of it.
type Given struct {
	*order.Order
	InForce bool
	Devices []Carried
}

// Carried says how far an order has come on a device.
type Carried struct {
	order.Target
	Name   string
	Result order.Result // "" while nothing was heard
	Words  string
	At     time.Time // by the device's clock
	Came   time.Time
}

// Orders returns the newest orders, up to most, the newest first. Those that an order
// is for are the devices that are in the directory now, those that have answered,
// and of one that is for a person all that this person had when it was given.
func (o *Organisation) Orders(ctx context.Context, most int) (list []Given, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.time()
	err = o.st.View(ctx, func(tx *store.Tx) error {
		in, err := readOrders(tx)
		if err != nil {
			return err
		}
		notes, err := tx.Orders(most)
		if err != nil {
			return err
		}
		for _, b := range notes {
			ord, err := o.openOrder(b)
			if err != nil {
				return err
			}
			g := Given{Order: ord, InForce: ord.Number >= in.First && ord.Expires.After(now)}
			heard, err := tx.HeardOf(ord.Number)
			if err != nil {
				return err
			}
			for _, h := range heard {
				g.Devices = append(g.Devices, Carried{Target: order.Target{Person: h.Address, Device: h.Device}, Name: o.called(h.Address),
					Result: order.Result(h.Result), Words: h.Words, At: h.At, Came: h.Came})
			}
			for _, t := range o.devicesOf(ord.For, ord.Do, &change{Tx: tx, o: o}) {
				if !slices.ContainsFunc(g.Devices, func(c Carried) bool { return c.Target == t }) && o.before(tx, t, ord) {
					g.Devices = append(g.Devices, Carried{Target: t, Name: o.called(t.Person)})
				}
			}
			list = append(list, g)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	return list, nil
}

func (o *Organisation) called(address string) string {
	e, _ := o.staff.Entry(address)
	return e.Name
}

// before reports whether a device was in the directory when an order was given: one
// that came later does not obey it.
func (o *Organisation) before(tx *store.Tx, t order.Target, ord *order.Order) bool {
	if e, ok := o.staff.Entry(t.Person); ok && e.State != directory.Removed {
		if d := e.Device(t.Device); d != nil {
			return !ord.Issued.Before(d.Added)
		}
	}
	known, err := tx.KnownDevices(t.Person)
	return err == nil && slices.ContainsFunc(known, func(k store.KnownDevice) bool { return k.ID == t.Device && !ord.Issued.Before(k.Added) })
}
