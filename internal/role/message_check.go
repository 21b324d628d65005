package role

// Checked is what a desk found that looked into the database, see DeskSetup.
// Numbers beyond what a message carries are cut off.
type Checked struct {
	Kilobytes int // of the database
	Messages  int
	Problems  int
	First     string // the first problem, as SQLite words it; "" without any
}

func (Checked) kind() byte { return kindChecked }

func (m *Checked) code(c *coder) {
	for _, n := range []*int{&m.Kilobytes, &m.Messages, &m.Problems} {
		if !c.reading {
			*n = max(0, min(*n, maxSeen))
		}
		c.number(n, maxSeen)
	}
	c.text(&m.First)
}

// maxSeen is far more than a database has of anything.
const maxSeen = 1 << 30
