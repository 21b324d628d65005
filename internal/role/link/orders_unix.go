//go:build unix

package link

import (
	"sotto/client/link"
	"sotto/client/org/order"
	"sotto/internal/role"
)

// orders tells the watch what the organisation has ordered while no desk was there.
// A log-off ends this process, so that nothing is left of the password.
func orders(self *role.Self, l *link.Link) {
	for x := range l.Orders() {
		hash := x.Order.Hash()
		m := &role.Ordered{Dealt: role.Dealt{Number: int64(x.Order.Number), Digest: hash[:]}}
		switch x.Order.Do {
		case order.Wipe:
			m.Do, m.Proof = role.ToWipe, role.Proof{Note: x.Note, Keys: x.Keys}
		case order.LogOff:
			m.Do, m.Words = role.ToLogOff, x.Organisation+" has logged this device off"+because(x.Order)+". Enter the PIN to connect again."
		default:
			m.Do = role.ToLock
		}
		self.Control.Send(m)
		if m.Do == role.ToLogOff {
			go l.Close()
		}
	}
}

// because is the reason of an order, for a sentence.
func because(x *order.Order) string {
	if x.Reason == "" {
		return ""
	}
	return " (" + x.Reason + ")"
}
