//go:build unix

package gate

import (
	"errors"
	"fmt"
	"time"

	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/internal/role"
	"sotto/keystore"
)

// wipe destroys the vault, without its PIN, because the organisation ordered it.
// The order is checked here once more: who asks for it may have been taken over.
// From here on nothing but a kill stops it, and after one the next gate goes on.
func (g *gate) wipe() (int, error) {
	o, who, err := ordered(g.setup.Proof, g.setup.Warrant, time.Now())
	if err != nil {
		return 0, fmt.Errorf("something asked for this device to be wiped that its organisation has not ordered, and nothing was destroyed: %w", err)
	}
	err = g.place.Wipe()
	if left := (*keystore.TPMError)(nil); err != nil && !errors.As(err, &left) {
		return 0, fmt.Errorf("%s has ordered that this device be wiped, and that failed: %w", who, err)
	}
	return g.lost(errors.New(wiped(who, o)), err), nil
}

// ordered returns the order that a note holds, if it is to wipe the device of the
// warrant, and who gave it. When, and whether it has expired, is looked at as the desk
// would; which of them were carried out does not matter: after a wipe there is none.
func ordered(p role.Proof, w role.Warrant, now time.Time) (o *order.Order, who string, err error) {
	var anchor org.Anchor
	if err := anchor.UnmarshalText(w.Anchor); err != nil {
		return nil, "", err
	}
	for _, note := range p.Keys {
		if anchor, err = anchor.Follow(note); err != nil {
			return nil, "", err
		}
	}
	self := order.Self{Address: w.Address, Device: uint32(w.Device), Roles: w.Roles, Contact: w.Contact}
	if o, err = order.NewLedger(w.Since).Receive(p.Note, anchor.Key, self, time.Time{}, now); err != nil {
		return nil, "", err
	}
	if o.Do != order.Wipe {
		return nil, "", fmt.Errorf("order %d says %q", o.Number, o.Do)
	}
	if o.Spares(self) {
		return nil, "", fmt.Errorf("order %d is for %s, and this is the organisation's own device", o.Number, o.For)
	}
	return o, anchor.Key.Name(), nil
}

// wiped is the sentence for the person.
func wiped(who string, o *order.Order) string {
	why := ""
	if o.Reason != "" {
		why = " (" + o.Reason + ")"
	}
	return who + " has had this device wiped" + why + ". Nobody can read any more what was kept here. " +
		"Your messages on other devices are as they were. Ask your administrator, who can let you join again"
}
