package role

// Watch and Free name confinements to be probed. No role is started by these
// names.
const (
	Watch Name = "watch"
	Free  Name = "free" // none at all: what a probe could do without it
)

// ProbeSetup is the first message to a probe.
type ProbeSetup struct {
	As  Name   // Desk, Gate, Link, Watch or Free
	Dir string // an empty folder, for the data of a desk or the vault of a gate
}

// From a probe to who started it.
type (
	// Confined says which layers hold. It comes once, before what was tried.
	Confined struct {
		Landlock int
		Seccomp  bool
	}
	// Tried is one thing that was tried, and what came of it.
	Tried struct {
		Name  string
		Kind  string
		By    string // who refused; "" if nobody did
		Error string // how it failed; what was allowed may fail too
	}
)

func (ProbeSetup) kind() byte { return kindProbeSetup }
func (Confined) kind() byte   { return kindConfined }
func (Tried) kind() byte      { return kindTried }

func (m *ProbeSetup) code(c *coder) {
	as := string(m.As)
	c.text(&as)
	switch m.As = Name(as); m.As {
	case Desk, Gate, Link, Watch, Free:
	default:
		c.fail(true)
	}
	c.path(&m.Dir)
}

func (m *Confined) code(c *coder) {
	c.number(&m.Landlock, maxCount)
	c.flag(&m.Seccomp)
}

func (m *Tried) code(c *coder) {
	c.text(&m.Name)
	c.text(&m.Kind)
	c.text(&m.By)
	c.text(&m.Error)
}
