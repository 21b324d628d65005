package link

import (
	"bytes"
	"crypto/subtle"
	"net/url"

	"github.com/awnumar/memguard"
	"mellium.im/xmpp/jid"

	"sotto/client/wire"
)

// account is who to be, where, and with which password, from Login to Logoff.
type account struct {
	address  jid.JID // bare
	login    wire.Login
	relay    *url.URL // nil: discover
	found    *url.URL // what discovery said, as long as it works
	known    *url.URL // what it said when it last worked
	trust    trust
	password *memguard.Enclave
	next     *memguard.Enclave // one that a change may have set already; may be nil
	useNext  bool              // log in with next first
	wrong    int               // passwords that the relay refused since the last success
	proven   *memguard.Enclave // the one that the relay accepted last; nil if none yet
}

// newAccount takes the passwords out of m and checks the rest. Even with an
// error the result is usable for comparison with a later Login.
func (o *owner) newAccount(m wire.Login) (*account, error) {
	a := &account{password: seal(m.Password), next: seal(m.Next)}
	m.Password, m.Next = nil, nil
	m.CA = bytes.Clone(m.CA) // the frame it came in held the passwords
	a.login = m
	var err error
	if a.address, err = jid.Parse(m.Address); err != nil || a.address.Localpart() == "" || a.address.Resourcepart() != "" {
		return a, &failure{words: "The address is not of the form name@example.org. Check it.", course: never, cause: err}
	}
	if m.Relay != "" {
		if a.relay, err = relayURL(m.Relay); err != nil {
			return a, err
		}
	}
	if a.trust, err = readTrust(m.CA, o.cfg.Roots); err != nil {
		return a, &failure{words: "The CA file holds no readable PEM certificate. Ask your administrator for another.", course: never, cause: err}
	}
	if err := a.limit(m.Relays, m.Pins); err != nil {
		return a, err
	}
	if a.password == nil {
		return a, &failure{words: "There is no password. Enter it again.", course: never}
	}
	return a, nil
}

// current is the password to log in with.
func (a *account) current() *memguard.Enclave {
	if a.useNext {
		return a.next
	}
	return a.password
}

// settle decides between password and next by the one that was proven; it
// reports whether that was next. Without a decision known is false.
func (a *account) settle() (changed, known bool) {
	switch {
	case a.next == nil || a.proven == nil:
		return false, false
	case equal(a.proven, a.next):
		a.password, changed = a.next, true
	case !equal(a.proven, a.password):
		return false, false
	}
	a.next, a.useNext = nil, false
	return changed, true
}

// same reports whether b is about the same account at the same relay, so that a
// stream of one serves the other.
func (a *account) same(b *account) bool {
	return a != nil && a.login.Address == b.login.Address && a.login.Relay == b.login.Relay &&
		bytes.Equal(a.login.CA, b.login.CA) && a.login.Legacy == b.login.Legacy &&
		a.login.Relays == b.login.Relays && a.login.Pins == b.login.Pins
}

// seal moves a secret into an enclave and clears b; nil if there is none.
func seal(b []byte) *memguard.Enclave {
	if len(b) == 0 {
		return nil
	}
	return memguard.NewEnclave(b)
}

// equal compares two secrets in constant time.
func equal(a, b *memguard.Enclave) bool {
	if a == nil || b == nil {
		return false
	}
	x, err := a.Open()
	if err != nil {
		return false
	}
	defer x.Destroy()
	y, err := b.Open()
	if err != nil {
		return false
	}
	defer y.Destroy()
	return subtle.ConstantTimeCompare(x.Bytes(), y.Bytes()) == 1
}
