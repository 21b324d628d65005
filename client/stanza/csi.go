package stanza

// NSCSI is XEP-0352: telling the relay whether anyone is looking.
const NSCSI = "urn:xmpp:csi:0"

// ClientState builds <active/> or <inactive/>. It is no stanza: XEP-0198 does
// not count it.
func ClientState(active bool) *Element {
	if active {
		return New(NSCSI, "active")
	}
	return New(NSCSI, "inactive")
}
