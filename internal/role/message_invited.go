package role

// maxCode bounds an invitation's code, in bytes.
const maxCode = 4096

// Invited is the invitation of an organisation that somebody joins with.
type Invited struct {
	Code     []byte // as it was given; empty: none
	Password bool   // the account has a password of its own, that the relay asks for
}

func (m *Invited) code(c *coder) {
	c.bytes(&m.Code, maxCode)
	c.flag(&m.Password)
}
