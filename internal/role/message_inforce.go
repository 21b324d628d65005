package role

import "time"

// Rules are the settings in force that the watch and the gates obey.
type Rules struct {
	LockAfter    time.Duration // without a key; 0 is never
	LogoffAfter  time.Duration // locked for so long; 0 is never
	DestroyAfter int           // wrong PINs in a row; 0 is never
	NoTPM        bool          // the vault does not move into a TPM
	NeedTPM      bool          // without a TPM it is not opened
	PINLength    int           // characters of a PIN, at least; 0 is what every PIN has
	PINMixed     bool          // letters and digits
	Relays       Relays
}

// Relays are what the policy says of relays, as wire.Login has it.
type Relays struct {
	Only string // the only ones, a line each; "" is any
	Pins string // their keys, a line each; "" is any
}

// InForce (desk to watch) are the rules from now on: the organisation has changed
// its policy.
type InForce struct{ Rules Rules }

const (
	maxWishes  = 32 << 10 // bytes of a person's settings
	maxPINMark = 32
	maxPIN     = 64
	maxRelays  = 32 << 10 // bytes of what is said of relays
)

func (InForce) kind() byte { return kindInForce }

func (m *InForce) code(c *coder) { m.Rules.code(c) }

func (r *Rules) code(c *coder) {
	c.span(&r.LockAfter)
	c.span(&r.LogoffAfter)
	c.number(&r.DestroyAfter, maxDestroyAfter)
	c.flag(&r.NoTPM)
	c.flag(&r.NeedTPM)
	c.number(&r.PINLength, maxPIN)
	c.flag(&r.PINMixed)
	r.Relays.code(c)
}

func (r *Relays) code(c *coder) {
	for _, s := range []*string{&r.Only, &r.Pins} {
		b := []byte(*s)
		c.bytes(&b, maxRelays)
		*s = string(b)
	}
}
