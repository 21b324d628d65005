package relay

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"slices"
	"strings"

	"sotto/client/stanza"
)

// What clients want to be notified of (XEP-0115 and XEP-0163 section 4.3): a
// client names a hash of its features in its presence, the relay asks it once
// for what is behind the hash, and keeps the answer for its account. Not for
// others: different answers with one hash are easily found (Caps Poisoning), and
// whoever answered first could silence what all others are to hear.

// capsKey names a set of features; the zero value names none.
type capsKey struct{ hash, node, ver string }

// capsOf is a hash that clients of an account name.
type capsOf struct {
	account   int64
	hash, ver string
}

// capsCache remembers, by verified hash, the nodes a client wants to hear of.
type capsCache struct{ known map[capsOf][]string }

const (
	capsKept    = 4096 // sets in the cache
	capsText    = 256  // bytes of a node, a version or a feature
	capsEntries = 512  // identities, features and fields in one answer
)

func newCapsCache() *capsCache { return &capsCache{known: map[capsOf][]string{}} }

func (m *capsCache) put(k capsOf, notify []string) {
	for old := range m.known {
		if len(m.known) < capsKept {
			break
		}
		delete(m.known, old) // any: it can be asked for again
	}
	m.known[k] = notify
}

// noteCaps looks at the capabilities in available presence.
func (c *core) noteCaps(s *session, p *stanza.Element) {
	e := p.Child(nsCaps, "c")
	k := capsKey{e.Get("hash"), e.Get("node"), e.Get("ver")}
	if e == nil || k.ver == "" || len(k.hash)+len(k.node)+len(k.ver) > 3*capsText {
		return
	}
	if k == s.caps {
		return
	}
	s.caps, s.capsQuery = k, ""
	if notify, ok := c.caps.known[capsOf{s.account.id, k.hash, k.ver}]; ok {
		c.wants(s, notify)
		return
	}
	s.capsQuery = randomID()
	c.send(s, stanza.New(stanza.NSClient, "iq",
		stanza.New(nsDiscoInfo, "query").With("node", k.node+"#"+k.ver)).
		With("type", "get").With("id", s.capsQuery).With("from", c.domain).With("to", s.full).Bytes())
}

// capsAnswer reads the answer to the query of noteCaps.
func (c *core) capsAnswer(s *session, iq *stanza.Element) {
	s.capsQuery = ""
	query := iq.Child(nsDiscoInfo, "query")
	if iq.Get("type") != "result" || query == nil || len(query.Children) > capsEntries {
		return
	}
	var notify []string
	for e := range query.Elements() {
		if node, ok := strings.CutSuffix(e.Get("var"), "+notify"); ok && e.Is(nsDiscoInfo, "feature") &&
			node != "" && len(node) <= capsText && len(notify) < c.limits.Notify {
			notify = append(notify, node)
		}
	}
	k := s.caps
	if ver := capsVer(k.hash, query); ver != "" && ver == k.ver {
		c.caps.put(capsOf{s.account.id, k.hash, k.ver}, notify)
	}
	c.wants(s, notify) // an answer that does not match its hash counts for this client only
}

// wants notes which nodes s is to be told of, and tells it what is there already.
func (c *core) wants(s *session, notify []string) {
	before := s.notify
	s.notify = map[string]bool{}
	for _, node := range notify {
		s.notify[node] = true
		if !before[node] {
			c.sendLastItems(s, node)
		}
	}
}

// capsVer computes the verification string of XEP-0115 section 5.1, or "" for a
// hash that is not supported or an answer that is ill-formed (section 5.4).
func capsVer(algorithm string, query *stanza.Element) string {
	var h hash.Hash
	switch algorithm {
	case "sha-1":
		h = sha1.New() // XEP-0115 has not moved on; nothing secret depends on it
	case "sha-256":
		h = sha256.New()
	default:
		return ""
	}
	var identities, features, forms []string
	for e := range query.Elements() {
		switch {
		case e.Is(nsDiscoInfo, "identity"):
			lang := ""
			for _, a := range e.Attrs {
				if a.Space == stanza.NSXML && a.Local == "lang" {
					lang = a.Value
				}
			}
			identities = append(identities, e.Get("category")+"/"+e.Get("type")+"/"+lang+"/"+e.Get("name")+"<")
		case e.Is(nsDiscoInfo, "feature"):
			features = append(features, e.Get("var")+"<")
		case e.Is(nsData, "x"):
			forms = append(forms, capsForm(e))
		}
	}
	for _, list := range [][]string{identities, features, forms} {
		slices.Sort(list)
		for i, s := range list {
			if i > 0 && s == list[i-1] {
				return ""
			}
			h.Write([]byte(s))
		}
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// capsForm is one extended form (XEP-0128) as the verification string has it.
func capsForm(x *stanza.Element) string {
	formType := ""
	var fields []string
	for f := range x.Elements() {
		if !f.Is(nsData, "field") {
			continue
		}
		var values []string
		for v := range f.Elements() {
			if v.Is(nsData, "value") {
				values = append(values, v.Text()+"<")
			}
		}
		if f.Get("var") == "FORM_TYPE" {
			formType = strings.Join(values, "")
			continue
		}
		slices.Sort(values)
		fields = append(fields, f.Get("var")+"<"+strings.Join(values, ""))
	}
	slices.Sort(fields)
	return formType + strings.Join(fields, "")
}
