package link

import (
	"net"
	"net/netip"
)

// nearby is how near an address is that nobody else's server has.
type nearby int

const (
	notNear nearby = iota
	onThisComputer
	onThisWire // link-local: gives a virtual machine its credentials, configures a router
)

// nearbyOf says how near something is. Whoever sends the link to a file chooses where
// it leads, and a key connects this computer to that. What only listens to this
// computer, or to its own wire, is no place for anybody's files, unless the relay
// itself is there.
func nearbyOf(to net.Addr) nearby {
	a, ok := to.(*net.TCPAddr)
	if !ok {
		return onThisComputer // a pipe
	}
	ip := a.AddrPort().Addr().Unmap()
	switch {
	case !ip.IsValid(), ip.IsLoopback(), ip.IsUnspecified():
		return onThisComputer
	case ip.IsLinkLocalUnicast(), ip.IsMulticast():
		return onThisWire
	}
	return notNear
}

// near reports whether the relay is as near, by where connections to it have led.
func (d *dialer) near(n nearby) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, to := range d.known {
		if a, err := netip.ParseAddrPort(to); err == nil && nearbyOf(net.TCPAddrFromAddrPort(a)) == n {
			return true
		}
	}
	return false
}
