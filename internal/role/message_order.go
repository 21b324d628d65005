package role

import "time"

// Do is what an organisation orders of a device that the watch has a part in.
type Do int

// What can be ordered. Recalls are the desk's alone.
const (
	ToLock Do = iota
	ToLogOff
	ToWipe
	lastDo
)

// Bounds of what is said of orders.
const (
	MaxDealt   = 64      // orders that a desk is told of, the newest
	maxNote    = 8 << 10 // bytes of a signed order, or of a change of the key
	maxKeys    = 8       // changes of the organisation's key
	maxRole    = 256     // bytes of a role
	maxAnchor  = 4096
	maxAddress = 1023
	maxRoles   = 16
	digestSize = 32
)

// Ordered says that the organisation has ordered something of this device, and that
// the role which says so has done its part. It comes from the desk, and from the
// link while there is none. The watch does the rest.
type Ordered struct {
	Do Do
	Dealt
	Proof
	Words string // for the person
}

// Proof is what a gate needs to check a wipe with a Warrant.
type Proof struct {
	Note []byte   // the order as it is signed
	Keys [][]byte // changes of the organisation's key since the Warrant, in order
}

// Dealt names an order that was dealt with by its number and digest.
type Dealt struct {
	Number int64
	Digest []byte
}

// Warrant says by whose word this device is to be wiped. The desk tells it, while it
// has what the organisation says; the watch keeps it for the gate that does it: so a
// link that was taken over destroys nothing.
type Warrant struct {
	Anchor  []byte // whom to believe: the text of an org.Anchor
	Address string // whose device it is
	Device  int64
	Roles   []string
	Since   time.Time // when it was taken in
	Contact bool      // it is of the account that speaks for the organisation (order.Self)
}

func (Ordered) kind() byte { return kindOrdered }
func (Warrant) kind() byte { return kindWarrant }

func (m *Dealt) code(c *coder) {
	c.long(&m.Number, 1<<62)
	c.bytes(&m.Digest, digestSize)
	c.fail(len(m.Digest) != digestSize)
}

func (m *Ordered) code(c *coder) {
	c.number((*int)(&m.Do), int(lastDo)-1)
	m.Dealt.code(c)
	m.Proof.code(c)
	c.fail(m.Do == ToWipe && len(m.Proof.Note) == 0) // nobody could check it
	c.text(&m.Words)
}

func (m *Proof) code(c *coder) {
	c.bytes(&m.Note, maxNote)
	n := len(m.Keys)
	c.number(&n, maxKeys)
	if c.reading && c.err == nil && n > 0 {
		m.Keys = make([][]byte, n)
	}
	for i := range m.Keys {
		c.bytes(&m.Keys[i], maxNote)
	}
}

func (m *Warrant) code(c *coder) {
	c.bytes(&m.Anchor, maxAnchor)
	c.word(&m.Address, maxAddress)
	c.long(&m.Device, 1<<32-1)
	n := len(m.Roles)
	c.number(&n, maxRoles)
	if c.reading && c.err == nil && n > 0 {
		m.Roles = make([]string, n)
	}
	for i := range m.Roles {
		c.word(&m.Roles[i], maxRole)
	}
	c.moment(&m.Since)
	c.flag(&m.Contact)
}

// dealt codes what DeskSetup says of orders.
func (c *coder) dealt(p *[]Dealt) {
	n := len(*p)
	c.number(&n, MaxDealt)
	if c.reading && c.err == nil && n > 0 {
		*p = make([]Dealt, n)
	}
	for i := range *p {
		(*p)[i].code(c)
	}
}

// word is text that is compared and parsed, and shown to nobody: it stays as it is.
func (c *coder) word(p *string, most int) {
	b := []byte(*p)
	c.bytes(&b, most)
	if c.reading {
		*p = string(b)
	}
}
