package role

// Rescue is what a gate is told about the recovery key.
type Rescue struct {
	Files  []string // that the key is read from, or shares of it; none: it is typed
	Reason int      // Recover: why, as keystore.Reason has it
	By     string   // Recover: who does it
	NewPIN bool     // Recover: another PIN is chosen
	Ask    bool     // the desk needs the key, too: after the PIN it is asked for
}

// Archive is what becomes of a backup.
type Archive struct {
	To      []string // BackingUp: recipients, besides the organisation's recovery key
	Whole   bool     // BackingUp: all of it, and not only what is new since the last
	NoFiles bool     // without the files that came with messages
	Count   int      // Restoring: how many files come with Attaches
	Series  string   // BackingUp: of the newest backup where this one goes to; "": there is none
	Segment int      // BackingUp: of that one
	Kept    bool     // BackingUp: it goes to where those of a series are
}

// Archived is what a desk has backed up, or restored.
type Archived struct {
	Messages int
	Files    int
	Present  int   // Restoring: of the messages, those that were here
	Bytes    int64 // of the backup
	Series   string
	Segment  int // 0: the whole; else it needs those before it
	Keys     int // that open it
}

// Bounds of these.
const (
	maxKeyFiles = 16
	maxReason   = 16
	maxTo       = 8
	maxArchives = 400
)

func (Archived) kind() byte { return kindArchived }

func (m *Archived) code(c *coder) {
	for _, n := range []*int{&m.Messages, &m.Files, &m.Present} {
		c.number(n, maxSeen)
	}
	c.long(&m.Bytes, 1<<60)
	c.text(&m.Series)
	c.number(&m.Segment, maxSeen)
	c.number(&m.Keys, maxSeen)
}

func (r *Rescue) code(c *coder) {
	c.list(&r.Files, maxKeyFiles, c.path)
	c.number(&r.Reason, maxReason)
	c.text(&r.By)
	c.flag(&r.NewPIN)
	c.flag(&r.Ask)
}

func (a *Archive) code(c *coder) {
	c.list(&a.To, maxTo, c.text)
	c.flag(&a.Whole)
	c.flag(&a.NoFiles)
	c.number(&a.Count, maxArchives)
	c.text(&a.Series)
	c.number(&a.Segment, maxArchives)
	c.flag(&a.Kept)
}

// list is at most most texts, or paths.
func (c *coder) list(p *[]string, most int, each func(*string)) {
	n := len(*p)
	c.number(&n, most)
	if c.reading && c.err == nil && n > 0 {
		*p = make([]string, n)
	}
	for i := range *p {
		each(&(*p)[i])
	}
}
