package link

import (
	"errors"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// change is a change of password under way (XEP-0077).
type change struct{ id string }

// changePassword asks the relay for another password. From now on either may be
// the valid one, so a login in between tries both.
func (o *owner) changePassword(m wire.ChangePassword) {
	defer clear(m.Password)
	words := ""
	switch {
	case o.stream == nil:
		words = "The password was not changed: the relay is offline. Try again when it is online."
	case o.change != nil:
		words = "The password was not changed: another change is under way."
	case len(m.Password) == 0:
		words = "The password was not changed: the new one is empty."
	}
	if words != "" {
		o.tellChanged(words)
		return
	}
	id := o.newID()
	domain, user := o.acct.address.Domainpart(), o.acct.address.Localpart()
	b := stanza.AppendChangePassword(make([]byte, 0, 256+6*(len(m.Password)+len(domain)+len(user))), domain, id, user, m.Password)
	if !o.out.push(outgoing{b: b, wipe: true}) {
		clear(b)
		o.tellChanged("The password was not changed: too much waits for the relay. Try again later.")
		return
	}
	o.change = &change{id}
	o.acct.next, o.acct.useNext = seal(m.Password), false
}

// changed takes the relay's answer to a change of password.
func (o *owner) changed(err error) {
	o.change = nil
	if err == nil {
		o.acct.password = o.acct.next
		o.acct.proven = o.acct.password
	}
	o.acct.next, o.acct.useNext = nil, false
	words := ""
	var s *stanza.StanzaError
	if errors.As(err, &s) {
		words = "The password was not changed: " + s.Error() + "."
	} else if err != nil {
		words = "The password was not changed: the relay's answer makes no sense. Tell your administrator."
	}
	o.tellChanged(words)
}

// tellChange tells the desk which of two passwords has turned out to be valid.
func (o *owner) tellChange() {
	if o.change != nil {
		return
	}
	if changed, known := o.acct.settle(); changed {
		o.tellChanged("")
	} else if known {
		o.tellChanged("The password was not changed: the old one is still valid.")
	}
}

func (o *owner) tellChanged(words string) {
	if o.desk != nil {
		o.desk.changed = &wire.PasswordChanged{Words: wire.Sentence(words)}
	}
}
