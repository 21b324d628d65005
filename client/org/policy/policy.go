// Package policy is what an organisation wants of every device: signed, numbered,
// and written so that a person reads it.
//
//	sotto policy v1
//	organisation: hospital.example
//	serial: 7
//	issued: 2026-11-22T12:00:00Z
//
//	# A screen that nobody touches locks after this time.
//	lock-after = "1m"
//
//	destroy-after = 10
//	attach-from = ["~/Pictures", "/srv/scans"]
//
// The settings are lines of TOML, a setting a line, with comments; what a policy
// does not name it leaves to the person. The strictest wins: where both say
// something, the stricter holds, so that a person can tighten everything and loosen
// nothing. Merge says of each value where it comes from.
//
// Serials never go back: what was once in force is not brought back by playing it
// again, but by signing it under a new serial.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/head"
)

// DefaultLease is how long a device goes without a word from the organisation where
// the policy does not say: seven days.
const DefaultLease = 7 * day

// Policy is a policy that was read. Nothing changes it.
type Policy struct {
	Serial uint64
	Issued time.Time
	Body   string // the lines of settings, with comments

	// Unknown are settings that this sotto does not know, because it is older than
	// the policy: a person is told, and what is known is in force all the same.
	Unknown []string

	organisation string
	values       map[string]Value
	hash         org.Hash
}

// New makes a policy of lines of settings, as an administrator has written them:
// with any ends of lines, tabs, and spaces at ends. The error names the line.
func New(organisation string, serial uint64, issued time.Time, body string) (*Policy, error) {
	body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\t", " ")
	var clean strings.Builder
	for line := range strings.Lines(body) {
		clean.WriteString(strings.Trim(line, " \n") + "\n")
	}
	p := &Policy{Serial: serial, Issued: issued.UTC().Truncate(time.Second), Body: strings.Trim(clean.String(), "\n") + "\n",
		organisation: organisation}
	var err error
	if p.values, p.Unknown, err = parseBody(p.Body); err != nil {
		return nil, err
	}
	if len(p.Unknown) > 0 {
		return nil, fmt.Errorf("there is no setting %q", p.Unknown[0])
	}
	text := p.text()
	again, err := parse(&org.Statement{Kind: org.KindPolicy, Organisation: organisation, Text: text})
	if err != nil {
		return nil, err
	}
	if len(text) > org.MaxText {
		return nil, fmt.Errorf("the policy is longer than %d bytes", org.MaxText)
	}
	return again, nil
}

func (p *Policy) text() string {
	w := org.NewWriter(org.KindPolicy, p.organisation)
	w.Number("serial", p.Serial)
	w.Time("issued", p.Issued)
	w.Blank()
	w.Raw(p.Body)
	return w.String()
}

// Sign returns the note.
func (p *Policy) Sign(signer note.Signer) ([]byte, error) {
	if signer.Name() != p.organisation {
		return nil, fmt.Errorf("signing a policy of %s with the key of %s", p.organisation, signer.Name())
	}
	return org.Seal(p.text(), signer)
}

// Open reads a policy that key has signed.
func Open(b []byte, key org.Key) (*Policy, error) {
	s, err := org.Open(b, org.KindPolicy, key.Name(), key)
	if err != nil {
		return nil, err
	}
	return parse(s)
}

func parse(s *org.Statement) (*Policy, error) {
	r := org.NewReader(s)
	p := &Policy{Serial: r.Number("serial"), Issued: r.Time("issued"), organisation: s.Organisation, hash: s.Hash()}
	r.Blank()
	p.Body = r.Rest()
	if err := r.End(); err != nil {
		return nil, err
	}
	if p.Serial == 0 {
		return nil, fmt.Errorf("%w: a policy without a serial", org.ErrMalformed)
	}
	var err error
	if p.values, p.Unknown, err = parseBody(p.Body); err != nil {
		return nil, fmt.Errorf("%w: %w", org.ErrMalformed, err)
	}
	return p, org.Same(s, p.text())
}

// Follow reads the next policy after p, which is nil if there is none yet. One with
// the serial of p has to be p.
func (p *Policy) Follow(b []byte, key org.Key) (*Policy, error) {
	next, err := Open(b, key)
	if err != nil || p == nil {
		return next, err
	}
	switch {
	case next.Serial == p.Serial && next.hash == p.hash:
		return p, nil
	case next.Serial == p.Serial:
		return nil, fmt.Errorf("%w: policy %d", org.ErrFork, p.Serial)
	case next.Serial < p.Serial, next.Issued.Before(p.Issued):
		return nil, fmt.Errorf("%w: policy %d after %d", org.ErrRollback, next.Serial, p.Serial)
	}
	return next, nil
}

// At returns what a head says of this policy; of nil, that there is none.
func (p *Policy) At() head.Mark {
	if p == nil {
		return head.Mark{}
	}
	return head.Mark{Serial: p.Serial, Hash: p.hash}
}

// Value returns what the policy says of a setting, which may be nothing.
func (p *Policy) Value(name string) Value {
	if p == nil {
		return Value{}
	}
	return p.values[name]
}

// Lease returns how long a device goes without a word from the organisation.
func (p *Policy) Lease() time.Duration {
	if v := p.Value("lease"); v.Set() {
		return v.Duration()
	}
	return DefaultLease
}

// parseBody reads lines of settings.
func parseBody(body string) (values map[string]Value, unknown []string, err error) {
	known := lookup()
	values = make(map[string]Value)
	seen := make(map[string]bool)
	n := 0
	for line := range strings.Lines(body) {
		n++
		line = strings.TrimSuffix(line, "\n")
		wrong := func(format string, a ...any) error {
			return fmt.Errorf("line %d: %s", n, fmt.Sprintf(format, a...))
		}
		if !org.IsLine(line, org.MaxLine) {
			return nil, nil, wrong("it is too long, or holds what cannot be shown")
		}
		if line == "" || line[0] == '#' {
			continue
		}
		name, literal, ok := strings.Cut(line, "=")
		name, literal = strings.TrimRight(name, " "), strings.TrimLeft(literal, " ")
		if !ok || !org.ValidRole(name) {
			return nil, nil, wrong(`a setting reads like lock-after = "2m"`)
		}
		if seen[name] {
			return nil, nil, wrong("%s is decided twice", name)
		}
		seen[name] = true
		raw, err := parseLiteral(literal)
		if err != nil {
			return nil, nil, wrong("%s: %v", name, err)
		}
		s := known[name]
		if s == nil {
			unknown = append(unknown, name)
			continue
		}
		v, err := s.value(raw)
		if err != nil {
			return nil, nil, wrong("%s %v", name, err)
		}
		values[name] = v
	}
	return values, unknown, nil
}

// literal is a value before anybody knows of which setting.
type literal struct {
	quoted bool // a text
	array  bool
	s      string // of a number or true and false, as it stands
	list   []string
}

var errLiteral = errors.New(`a value is a text in quotes, a number, true, false, or a list like ["one", "two"]`)

// parseLiteral reads a value, and a comment behind it. There are no escapes: no
// value needs a quote or a backslash.
func parseLiteral(s string) (literal, error) {
	var l literal
	rest := ""
	var ok bool
	switch {
	case strings.HasPrefix(s, `"`):
		l.quoted = true
		if l.s, rest, ok = strings.Cut(s[1:], `"`); !ok {
			return l, errLiteral
		}
	case strings.HasPrefix(s, "["):
		l.array = true
		rest = strings.TrimLeft(s[1:], " ")
		for {
			if after, end := strings.CutPrefix(rest, "]"); end {
				rest = after
				break
			}
			if !strings.HasPrefix(rest, `"`) || len(l.list) > maxList {
				return l, errLiteral
			}
			var e string
			if e, rest, ok = strings.Cut(rest[1:], `"`); !ok {
				return l, errLiteral
			}
			l.list = append(l.list, e)
			rest = strings.TrimLeft(rest, " ")
			after, comma := strings.CutPrefix(rest, ",")
			if rest = strings.TrimLeft(after, " "); !comma && !strings.HasPrefix(rest, "]") {
				return l, errLiteral
			}
		}
	default:
		i := strings.IndexAny(s, " #")
		if i < 0 {
			i = len(s)
		}
		l.s, rest = s[:i], s[i:]
		if _, err := strconv.ParseUint(l.s, 10, 31); err != nil && l.s != "true" && l.s != "false" {
			return l, errLiteral
		}
	}
	if rest = strings.TrimLeft(rest, " "); rest != "" && rest[0] != '#' {
		return l, errLiteral
	}
	if strings.Contains(l.s, `\`) || slices.ContainsFunc(l.list, func(e string) bool { return strings.Contains(e, `\`) }) {
		return l, errLiteral
	}
	return l, nil
}

// value makes a literal a value of the setting.
func (s *Setting) value(l literal) (v Value, err error) {
	v.set = true
	ok := false
	switch s.Kind {
	case Duration:
		v.n, ok = parseDuration(l.s)
		if ok = ok && l.quoted; !ok {
			return v, errors.New(`is a time: write it like "90s", "2m", "1h30m" or "30d"`)
		}
	case Count:
		var n uint64
		n, err = strconv.ParseUint(l.s, 10, 31)
		v.n = int64(n)
		if err != nil || l.quoted || l.array {
			return v, errors.New("is a whole number, without quotes")
		}
	case Choice:
		v.n = Bool(l.s == "true").n
		if l.quoted || l.array || l.s != "true" && l.s != "false" {
			return v, errors.New("is true or false, without quotes")
		}
	case Word, Text:
		if v.s = l.s; !l.quoted {
			return v, errors.New("is a text: write it in quotes")
		}
	default:
		if v.list = l.list; !l.array {
			return v, errors.New(`is a list of texts: write it like ["~/Pictures"]`)
		}
	}
	return v, s.check(v)
}

// Template returns lines for a new policy: every setting, with its help, and those
// that have no value in it as comments.
func Template(values map[string]Value) string {
	var b strings.Builder
	for i, section := range sections() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("## " + section.title + "\n")
		for _, s := range section.settings {
			b.WriteString("\n# " + s.Help)
			if s.Kind == Word {
				b.WriteString(" (" + strings.Join(s.Words, ", ") + ")")
			}
			b.WriteByte('\n')
			if v := values[s.Name]; v.Set() {
				b.WriteString(s.Name + " = " + s.Format(v) + "\n")
			} else {
				b.WriteString("# " + s.Name + " = " + s.Format(s.Default) + "\n")
			}
		}
	}
	return b.String()
}
