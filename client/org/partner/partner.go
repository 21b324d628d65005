// Package partner is how two organisations open named people and roles to each
// other.
//
//	sotto partner v1
//	organisation: hospital.example
//	key: hospital.example+1a2b3c4d+AZ…
//	partner: clinic.example+5e6f7a8b+AQ…
//	serial: 3
//	issued: 2026-11-22T12:00:00Z
//	expires: 2027-11-22T12:00:00Z
//	opens: hospital.example role cardiology
//	opens: hospital.example person alice@hospital.example
//	opens: clinic.example role referral
//
// Both organisations sign it: one proposes, the other signs the same text. Each
// line opens somebody of one organisation to those whom the other has opened, and to
// nobody else: two people can write to each other if both are open. Who they are,
// and what their devices are, is in the directory that each organisation shows to
// the other (directory.ForPartner).
//
// Either can end it alone, at once. Serials never go back.
package partner

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/directory"
)

// Bounds of an agreement.
const (
	MaxOpens  = 256
	MaxLife   = 5 * 366 * 24 * time.Hour
	maxReason = 300
)

// Opening opens a person, or all who have a role, of an organisation to the other.
type Opening struct {
	Organisation string
	Person       string // bare JID; "" if it is a role
	Role         string
}

func (o Opening) String() string {
	if o.Person != "" {
		return o.Organisation + " person " + o.Person
	}
	return o.Organisation + " role " + o.Role
}

func parseOpening(s string) (o Opening, ok bool) {
	parts := strings.Split(s, " ")
	if len(parts) != 3 {
		return o, false
	}
	o.Organisation = parts[0]
	switch parts[1] {
	case "person":
		o.Person = parts[2]
		return o, org.ValidAddress(o.Person)
	case "role":
		o.Role = parts[2]
		return o, org.ValidRole(o.Role)
	}
	return o, false
}

// Agreement is an agreement between two organisations.
type Agreement struct {
	Proposer, Partner org.Key
	Serial            uint64
	Issued, Expires   time.Time
	Opens             []Opening // in the order of their lines

	hash org.Hash
}

func (a *Agreement) text() string {
	w := org.NewWriter(org.KindPartner, a.Proposer.Name())
	w.Line("key", a.Proposer.String())
	w.Line("partner", a.Partner.String())
	w.Number("serial", a.Serial)
	w.Time("issued", a.Issued)
	w.Time("expires", a.Expires)
	for _, o := range a.Opens {
		w.Line("opens", o.String())
	}
	return w.String()
}

func parse(s *org.Statement) (*Agreement, error) {
	r := org.NewReader(s)
	a := &Agreement{Proposer: r.Key("key"), Partner: r.Key("partner"), Serial: r.Number("serial"),
		Issued: r.Time("issued"), Expires: r.Time("expires")}
	for r.Has("opens") && len(a.Opens) <= MaxOpens {
		o, ok := parseOpening(r.Line("opens", 2000))
		if !ok || o.Organisation != a.Proposer.Name() && o.Organisation != a.Partner.Name() {
			r.Fail("it opens nobody of the two")
		}
		if n := len(a.Opens); n > 0 && a.Opens[n-1].String() >= o.String() {
			r.Fail("it is out of order")
		}
		a.Opens = append(a.Opens, o)
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	switch life := a.Expires.Sub(a.Issued); {
	case a.Proposer.Name() != s.Organisation || a.Proposer.Name() == a.Partner.Name() || a.Proposer == a.Partner || !org.ValidName(a.Partner.Name()):
		return nil, fmt.Errorf("%w: an agreement of %s with %s", org.ErrMalformed, a.Proposer.Name(), a.Partner.Name())
	case a.Serial == 0 || life <= 0 || life > MaxLife || len(a.Opens) > MaxOpens:
		return nil, fmt.Errorf("%w: an agreement without a serial, of more than %d lines, or of more than %d days", org.ErrMalformed, MaxOpens, MaxLife/(24*time.Hour))
	}
	a.hash = s.Hash()
	return a, org.Same(s, a.text())
}

// Propose signs an agreement as the one that proposes it. It puts Opens in order.
func (a *Agreement) Propose(signer note.Signer) ([]byte, error) {
	slices.SortFunc(a.Opens, func(x, y Opening) int { return strings.Compare(x.String(), y.String()) })
	text := a.text()
	if _, err := parse(&org.Statement{Text: text, Organisation: a.Proposer.Name()}); err != nil {
		return nil, fmt.Errorf("proposing an agreement: %w", err)
	}
	return org.Seal(text, signer)
}

// OpenProposal reads what another organisation proposes, and has signed.
func OpenProposal(b []byte, proposer, own org.Key) (*Agreement, error) {
	s, err := org.Open(b, org.KindPartner, proposer.Name(), proposer)
	if err != nil {
		return nil, err
	}
	a, err := parse(s)
	if err != nil {
		return nil, err
	}
	if a.Proposer != proposer || a.Partner != own {
		return nil, fmt.Errorf("%w: it is between other keys", org.ErrSignature)
	}
	return a, nil
}

// Agree signs a proposal as the other one. What comes out is the agreement.
func Agree(proposal []byte, proposer, own org.Key, signer note.Signer) ([]byte, error) {
	if _, err := OpenProposal(proposal, proposer, own); err != nil {
		return nil, err
	}
	n, err := note.Open(proposal, note.VerifierList(proposer))
	if err != nil {
		return nil, org.ErrSignature
	}
	b, err := note.Sign(n, signer)
	if err != nil {
		return nil, fmt.Errorf("signing an agreement: %w", err)
	}
	if _, err := Open(b, own); err != nil {
		return nil, fmt.Errorf("signing an agreement: %w", err)
	}
	return b, nil
}

// Open reads an agreement that own and another have signed. The other's key is
// the one that own has signed that it is.
func Open(b []byte, own org.Key) (*Agreement, error) {
	s, err := org.Peek(b)
	if err != nil {
		return nil, err
	}
	a, err := parse(s)
	if err != nil {
		return nil, err
	}
	if a.Proposer != own && a.Partner != own {
		return nil, fmt.Errorf("%w: it is between others", org.ErrSignature)
	}
	if _, err := org.Open(b, org.KindPartner, a.Proposer.Name(), a.Proposer, a.Partner); err != nil {
		return nil, err
	}
	return a, nil
}

// Other returns the key of the other organisation.
func (a *Agreement) Other(own org.Key) org.Key {
	if a.Proposer == own {
		return a.Partner
	}
	return a.Proposer
}

// Why an agreement does not let two people write to each other.
var (
	ErrNone    = errors.New("there is no agreement with this organisation")
	ErrExpired = errors.New("the agreement with this organisation has expired")
	ErrEnded   = errors.New("the agreement with this organisation was ended")
	ErrClosed  = errors.New("the agreement with this organisation does not open this person")
)

// Opening reports whether somebody of an organisation is open to the other.
func (a *Agreement) Opening(organisation string, e *directory.Entry) bool {
	return e.State == directory.Active && slices.ContainsFunc(a.Opens, func(o Opening) bool {
		return o.Organisation == organisation && (o.Person != "" && o.Person == e.Address || o.Role != "" && e.Has(o.Role))
	})
}

// Partners are the agreements of an organisation. It is for one caller at a time.
type Partners struct {
	own    org.Key
	with   map[string]*Agreement // by the other's name
	ended  map[string]uint64     // the serial up to which they are
	record map[string][][]byte   // the notes that with and ended came from
}

// New returns the agreements of an organisation, of which there are none yet.
func New(own org.Key) *Partners {
	return &Partners{own, make(map[string]*Agreement), make(map[string]uint64), make(map[string][][]byte)}
}

// Apply takes an agreement. One that is in already changes nothing.
func (p *Partners) Apply(b []byte) (*Agreement, error) {
	a, err := Open(b, p.own)
	if err != nil {
		return nil, err
	}
	name := a.Other(p.own).Name()
	old := p.with[name]
	switch {
	case a.Serial <= p.ended[name]:
		if old == nil || old.Serial < a.Serial { // its end came first: State names it all the same
			p.with[name] = a
			p.record[name] = append([][]byte{slices.Clone(b)}, p.record[name]...)
		}
		return nil, fmt.Errorf("%w: agreement %d with %s was ended", org.ErrRollback, a.Serial, name)
	case old == nil:
	case a.Serial == old.Serial && a.hash == old.hash:
		return old, nil
	case a.Serial == old.Serial:
		return nil, fmt.Errorf("%w: agreement %d with %s", org.ErrFork, a.Serial, name)
	case a.Serial < old.Serial:
		return nil, fmt.Errorf("%w: agreement %d with %s after %d", org.ErrRollback, a.Serial, name, old.Serial)
	}
	p.with[name] = a
	p.record[name] = [][]byte{slices.Clone(b)}
	return a, nil
}

// End signs that agreements with a partner up to the one with this serial are over.
func End(signer note.Signer, partner string, serial uint64, at time.Time, reason string) ([]byte, error) {
	text := endText(signer.Name(), partner, serial, at, reason)
	if _, _, err := parseEnd(&org.Statement{Text: text, Organisation: signer.Name()}); err != nil {
		return nil, fmt.Errorf("ending an agreement: %w", err)
	}
	return org.Seal(text, signer)
}

func endText(organisation, partner string, serial uint64, at time.Time, reason string) string {
	w := org.NewWriter(org.KindPartnerEnd, organisation)
	w.Line("partner", partner)
	w.Number("serial", serial)
	w.Time("issued", at)
	w.Optional("reason", reason)
	return w.String()
}

func parseEnd(s *org.Statement) (partner string, serial uint64, err error) {
	r := org.NewReader(s)
	partner, serial = r.Line("partner", 300), r.Number("serial")
	at, reason := r.Time("issued"), r.Optional("reason", maxReason)
	if err := r.End(); err != nil {
		return "", 0, err
	}
	if !org.ValidName(partner) || serial == 0 {
		return "", 0, fmt.Errorf("%w: the end of no agreement", org.ErrMalformed)
	}
	return partner, serial, org.Same(s, endText(s.Organisation, partner, serial, at, reason))
}

// ApplyEnd takes the end of an agreement, by either of the two. It returns the
// partner's name.
func (p *Partners) ApplyEnd(b []byte) (string, error) {
	s, err := org.Peek(b)
	if err != nil {
		return "", err
	}
	key, name := p.own, ""
	if s.Organisation != p.own.Name() {
		name = s.Organisation
		a := p.with[name]
		if a == nil {
			return "", fmt.Errorf("%w: %s", ErrNone, name)
		}
		key = a.Other(p.own)
	}
	if s, err = org.Open(b, org.KindPartnerEnd, key.Name(), key); err != nil {
		return "", err
	}
	other, serial, err := parseEnd(s)
	if err != nil {
		return "", err
	}
	if name == "" {
		name = other
	} else if other != p.own.Name() {
		return "", fmt.Errorf("%w: it ends an agreement with %s", org.ErrSignature, other)
	}
	if serial <= p.ended[name] {
		return name, nil
	}
	p.ended[name] = serial
	p.record[name] = append(p.record[name], slices.Clone(b))
	return name, nil
}

// InForce returns nil if there is an agreement with another organisation, and
// otherwise why not.
func (p *Partners) InForce(other string, now time.Time) error {
	a := p.with[other]
	switch {
	case a == nil:
		return ErrNone
	case a.Serial <= p.ended[other]:
		return ErrEnded
	case now.After(a.Expires):
		return ErrExpired
	}
	return nil
}

// Allows returns nil if somebody of the own organisation and somebody of another,
// by the directory that it shows to this one, can write to each other, and
// otherwise why not.
func (p *Partners) Allows(own *directory.Entry, other string, theirs *directory.Entry, now time.Time) error {
	if err := p.InForce(other, now); err != nil {
		return err
	}
	if a := p.with[other]; !a.Opening(p.own.Name(), own) || !a.Opening(other, theirs) {
		return ErrClosed
	}
	return nil
}

// State is the digest of what there is of agreements: with whom, the newest, and whether
// it was ended. It is zero where there was never one. The organisation's head names it,
// so that no relay can leave out the end of an agreement, or show one that was replaced.
func (p *Partners) State() org.Hash {
	if len(p.with) == 0 {
		return org.Hash{}
	}
	var b strings.Builder
	b.WriteString("sotto partners state v1\n")
	for _, name := range slices.Sorted(maps.Keys(p.with)) {
		a, how := p.with[name], "agreed"
		if a.Serial <= p.ended[name] {
			how = "ended"
		}
		fmt.Fprintf(&b, "%s %d %s %s\n", name, a.Serial, a.hash, how)
	}
	return org.HashOf(b.String())
}

// Notes returns what was applied and still counts, for the device's own store: to
// be applied again in this order.
func (p *Partners) Notes() (notes [][]byte) {
	names := make([]string, 0, len(p.record))
	for name := range p.record {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		notes = append(notes, p.record[name]...)
	}
	return notes
}
