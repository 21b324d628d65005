package link

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"sotto/client/stanza"
)

// Bounds of the presences that are kept. What does not fit is left out: then
// somebody looks absent until the next change, which is what is true of anybody
// whose presence is not known.
const (
	maxPresences     = 2000     // full addresses
	maxPresenceBytes = 1 << 20  // of all of them
	maxPresence      = 16 << 10 // of one
)

// presences holds the newest presence of each full address in this session, so
// that a new desk need not take everybody for absent until they change. The
// zero value is empty.
type presences struct {
	newest map[string][]byte // by full address, normalised
	bytes  int
}

// note takes a presence that came from the relay. Only who is available stays.
func (p *presences) note(e *stanza.Element, raw []byte) {
	x, err := stanza.ReadPresence(e)
	if err != nil || x.Type != "" && x.Type != "unavailable" {
		return
	}
	from := x.From.String()
	if from == "" {
		return
	}
	p.drop(from)
	switch {
	case x.Type == "unavailable" && x.From.Resourcepart() == "": // all of that account's clients
		for k := range p.newest {
			if strings.HasPrefix(k, from+"/") {
				p.drop(k)
			}
		}
	case x.Type == "unavailable":
	case len(p.newest) < maxPresences && len(raw) <= maxPresence && p.bytes+len(from)+len(raw) <= maxPresenceBytes:
		if p.newest == nil {
			p.newest = make(map[string][]byte)
		}
		p.newest[from] = bytes.Clone(raw) // raw may have more room than it needs
		p.bytes += len(from) + len(raw)
	}
}

func (p *presences) drop(from string) {
	if raw, there := p.newest[from]; there {
		p.bytes -= len(from) + len(raw)
		delete(p.newest, from)
	}
}

// all returns the stanzas, by address. The caller must not change them.
func (p *presences) all() [][]byte {
	list := make([][]byte, 0, len(p.newest))
	for _, from := range slices.Sorted(maps.Keys(p.newest)) {
		list = append(list, p.newest[from])
	}
	return list
}
