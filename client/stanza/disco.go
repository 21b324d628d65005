package stanza

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"sort"
	"strings"
)

// Namespaces of service discovery.
const (
	NSDiscoInfo  = "http://jabber.org/protocol/disco#info"  // XEP-0030
	NSDiscoItems = "http://jabber.org/protocol/disco#items" // XEP-0030
	NSCaps       = "http://jabber.org/protocol/caps"        // XEP-0115
)

// maxDisco bounds identities, features and items read from one answer.
const maxDisco = 1024

// ErrDisco is returned for a disco answer that cannot be used.
var ErrDisco = errors.New("not a usable disco answer")

// Identity says what an entity is (XEP-0030). Name is as the other side sent it.
type Identity struct{ Category, Type, Lang, Name string }

// Info is what an entity says it is and can do.
type Info struct {
	Node       string
	Identities []Identity
	Features   []string
}

// Has reports whether a feature is announced.
func (i Info) Has(feature string) bool {
	for _, f := range i.Features {
		if f == feature {
			return true
		}
	}
	return false
}

// InfoQuery asks what an entity can do (payload of an IQ get); node may be empty.
func InfoQuery(node string) *Element { return discoQuery(NSDiscoInfo, node) }

// ItemsQuery asks what an entity contains (payload of an IQ get); node may be empty.
func ItemsQuery(node string) *Element { return discoQuery(NSDiscoItems, node) }

func discoQuery(space, node string) *Element {
	e := New(space, "query")
	if node != "" {
		e.Set("node", node)
	}
	return e
}

// Element builds the payload of an answer to InfoQuery.
func (i Info) Element() *Element {
	e := discoQuery(NSDiscoInfo, i.Node)
	for _, id := range i.Identities {
		x := New(NSDiscoInfo, "identity").With("category", id.Category).With("type", id.Type)
		if id.Name != "" {
			x.Set("name", id.Name)
		}
		if id.Lang != "" {
			x.Attrs = append(x.Attrs, Attr{NSXML, "lang", id.Lang})
		}
		e.Add(x)
	}
	for _, f := range i.Features {
		e.Add(New(NSDiscoInfo, "feature").With("var", f))
	}
	return e
}

// ReadInfo reads an IQ result with a disco#info answer.
func ReadInfo(iq *Element) (Info, error) {
	q := iq.Child(NSDiscoInfo, "query")
	if q == nil || iq.Get("type") != "result" {
		return Info{}, ErrDisco
	}
	i := Info{Node: q.Get("node")}
	for c := range q.Elements() {
		switch {
		case len(i.Identities)+len(i.Features) >= maxDisco:
			return Info{}, ErrDisco
		case c.Is(NSDiscoInfo, "identity"):
			id := Identity{Category: c.Get("category"), Type: c.Get("type"), Name: c.Get("name")}
			for _, a := range c.Attrs {
				if a.Space == NSXML && a.Local == "lang" {
					id.Lang = a.Value
				}
			}
			i.Identities = append(i.Identities, id)
		case c.Is(NSDiscoInfo, "feature"):
			i.Features = append(i.Features, c.Get("var"))
		}
	}
	return i, nil
}

// DiscoItem is one thing that an entity contains. Name is as the other side sent it.
type DiscoItem struct{ JID, Node, Name string }

// ReadDiscoItems reads an IQ result with a disco#items answer.
func ReadDiscoItems(iq *Element) ([]DiscoItem, error) {
	q := iq.Child(NSDiscoItems, "query")
	if q == nil || iq.Get("type") != "result" {
		return nil, ErrDisco
	}
	var items []DiscoItem
	for c := range q.Elements() {
		if !c.Is(NSDiscoItems, "item") {
			continue
		}
		if len(items) == maxDisco {
			return nil, ErrDisco
		}
		items = append(items, DiscoItem{c.Get("jid"), c.Get("node"), c.Get("name")})
	}
	return items, nil
}

// CapsVer is the verification string of XEP-0115 section 5, hashed with SHA-1 as
// every client in use expects. It is a cache key, not a protection. The second
// result is false where a part contains '<', which would let two different
// answers share one string (section 5.1).
func CapsVer(i Info) (string, bool) {
	ids := make([]string, 0, len(i.Identities))
	for _, id := range i.Identities {
		ids = append(ids, id.Category+"/"+id.Type+"/"+id.Lang+"/"+id.Name)
	}
	features := append([]string(nil), i.Features...)
	sort.Strings(ids)
	sort.Strings(features)
	var b strings.Builder
	for _, s := range append(ids, features...) {
		if strings.Contains(s, "<") {
			return "", false
		}
		b.WriteString(s)
		b.WriteByte('<')
	}
	sum := sha1.Sum([]byte(b.String()))
	return base64.StdEncoding.EncodeToString(sum[:]), true
}

// Caps announces i in a presence (XEP-0115). The node, a URI, names the software.
func Caps(node string, i Info) *Element {
	ver, _ := CapsVer(i)
	return New(NSCaps, "c").With("hash", "sha-1").With("node", node).With("ver", ver)
}
