package org

import "mellium.im/xmpp/jid"

// SlowAddress is ValidAddress without its short way.
func SlowAddress(s string) bool {
	j, err := jid.Parse(s)
	return err == nil && j.Localpart() != "" && j.Resourcepart() == "" && j.String() == s
}
