package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/client/store"
)

// Which accounts are to be ended at the relay is stored with the removal that decides
// it. They are ended after everything that was signed was published and told, so that
// colleagues know first. An order to wipe reaches a device through its account: while
// one waits to be heard the account stays, unless that is not wanted.

// Fate is what is to become of the account of somebody who is removed.
type Fate int

// The fates of an account.
const (
	KeepAccount   Fate = iota // nothing: it stays as it is
	EndAccount                // it is ended once no order to wipe waits for its devices
	EndAccountNow             // it is ended though a device has not heard that it is to be wiped
)

// Ending is an account that is to be ended and has not been.
type Ending struct {
	Address string
	Fate    Fate   // EndAccount or EndAccountNow
	Waits   bool   // for devices that have not heard an order to wipe
	Refused string // why the relay does not do it: only an administrator's word tries again
	Trouble string // why it was not done when it was last tried; it is tried again
}

// due reports whether it can be tried.
func (e *Ending) due() bool { return !e.Waits && e.Refused == "" }

// trial is the last attempt to end an account, by this process.
type trial struct {
	at    time.Time // by the process's clock
	words string
}

// readEnding reads the accounts that are to be ended, without Waits and Trouble.
func readEnding(tx *store.Tx) (list []Ending, err error) {
	b, err := tx.Value(valueEnding)
	if err != nil || b == nil {
		return nil, err
	}
	r := org.NewLines(string(b))
	for r.More() {
		e := Ending{Address: r.Line("account", org.MaxAddress), Fate: Fate(r.Number("fate")), Refused: r.Optional("refused", maxWords)}
		list = append(list, e)
	}
	return list, r.End()
}

// keepEnding stores an account that is to be ended, in place of what was stored of it;
// nil forgets it.
func (c *change) keepEnding(address string, e *Ending) error {
	list, err := readEnding(c.Tx)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(list, func(e Ending) bool { return e.Address == address })
	if !known && e == nil {
		return nil
	}
	list = slices.DeleteFunc(list, func(e Ending) bool { return e.Address == address })
	if e != nil {
		list = append(list, *e)
	}
	delete(c.o.tried, address)
	if len(list) == 0 {
		return c.SetValue(valueEnding, nil)
	}
	var w org.Writer
	for _, e := range list {
		w.Line("account", e.Address)
		w.Number("fate", uint64(e.Fate))
		w.Optional("refused", e.Refused)
	}
	return c.SetValue(valueEnding, []byte(w.String()))
}

// fate stores what is to become of an account.
func (c *change) fate(address string, f Fate) error {
	if f == KeepAccount {
		return c.keepEnding(address, nil)
	}
	return c.keepEnding(address, &Ending{Address: address, Fate: f})
}

// Endings returns the accounts that are to be ended at the relay and have not been.
func (o *Organisation) Endings(ctx context.Context) (list []Ending, err error) {
	err = o.st.View(ctx, func(tx *store.Tx) error {
		list, err = readEnding(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the accounts that are to be ended: %w", err)
	}
	if slices.ContainsFunc(list, func(e Ending) bool { return e.Fate == EndAccount }) {
		wiping, err := o.wiping(ctx)
		if err != nil {
			return nil, err
		}
		for i := range list {
			list[i].Waits = list[i].Fate == EndAccount && wiping[list[i].Address]
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range list {
		list[i].Trouble = o.tried[list[i].Address].words
	}
	return list, nil
}

// wiping returns those with a device that has not answered an order to wipe that holds.
func (o *Organisation) wiping(ctx context.Context) (map[string]bool, error) {
	given, err := o.Orders(ctx, manyItems)
	if err != nil {
		return nil, err
	}
	waiting := make(map[string]bool)
	for _, g := range given {
		if g.Do != order.Wipe || !g.InForce {
			continue
		}
		for _, d := range g.Devices {
			if d.Result == "" {
				waiting[d.Person] = true
			}
		}
	}
	return waiting, nil
}

// untried counts the accounts that can be ended and that this process has not tried to.
func (o *Organisation) untried(ctx context.Context) (n int, err error) {
	list, err := o.Endings(ctx)
	for _, e := range list {
		if e.due() && e.Trouble == "" {
			n++
		}
	}
	return n, err
}

// endAccounts ends the accounts that can be ended, and returns when to try again those
// that could not; 0 if there are none. Errors are those of the database.
func (o *Organisation) endAccounts(ctx context.Context, r Relay, tell func([]Happening)) (again time.Duration, err error) {
	list, err := o.Endings(ctx)
	if err != nil {
		return 0, err
	}
	for _, e := range list {
		if !e.due() {
			continue
		}
		o.mu.Lock()
		t := o.tried[e.Address]
		o.mu.Unlock()
		if !t.at.IsZero() && time.Since(t.at) < tryRefused {
			again = tryRefused
			continue
		}
		why, err := o.endOne(ctx, r, e)
		if err != nil || ctx.Err() != nil {
			return again, err
		}
		h := Happening{Address: e.Address, Account: true, Refused: why}
		if passes(why) {
			again = tryRefused
			if t.words == line(why) {
				continue // it was told
			}
		}
		if tell != nil {
			tell([]Happening{h})
		}
	}
	return again, nil
}

// endOne ends an account and stores what came of it: why says why it has not ended.
func (o *Organisation) endOne(ctx context.Context, r Relay, e Ending) (why, err error) {
	o.accounts.Lock()
	defer o.accounts.Unlock()
	var still bool
	err = o.st.View(ctx, func(tx *store.Tx) error {
		list, err := readEnding(tx)
		still = slices.ContainsFunc(list, func(x Ending) bool { return x.Address == e.Address })
		return err
	})
	if err != nil || !still { // invited again meanwhile
		return nil, err
	}
	why = o.endAccount(ctx, r, e.Address)
	if ctx.Err() != nil {
		return why, nil // it is as it was
	}
	if passes(why) {
		o.mu.Lock()
		o.tried[e.Address] = trial{time.Now(), line(why)}
		o.mu.Unlock()
		return why, nil
	}
	err = o.change(ctx, "end the account "+e.Address, func(c *change) error {
		if why != nil {
			return c.keepEnding(e.Address, &Ending{Address: e.Address, Fate: e.Fate, Refused: line(why)})
		}
		if err := c.act(audit.Event{Reason: audit.AccountEnded, Peer: audit.PersonOf(e.Address)}); err != nil {
			return err
		}
		return c.keepEnding(e.Address, nil)
	})
	return why, err
}
