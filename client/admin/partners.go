package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/partner"
	"sotto/client/stanza"
	"sotto/client/store"
)

// DefaultAgreement is how long an agreement holds where nobody says.
const DefaultAgreement = 365 * 24 * time.Hour

const (
	// valuePartner and a name is that partner's account.
	valuePartner = "admin.partner."
	// valueAgreed and a name is the highest serial of an agreement with that partner
	// that was proposed or accepted. It outlives a change of the own key, after which
	// the partner still knows the serials from before.
	valueAgreed = "admin.agreed."
)

// What every relay keeps: each partner takes three nodes, and sotto's own relay has 128
// for an account; and devices fetch all agreements in one answer.
const (
	maxPartners        = 32
	maxAgreementsBytes = 512 << 10
)

// room returns an error where an agreement with a partner would be one too many. Those
// that are over count: what they say stays.
func (c *change) room(name string, note []byte) error {
	items, err := c.Items(stanza.NodePartners)
	if err != nil {
		return err
	}
	others, size := 0, len(note)
	for _, it := range items {
		if !strings.HasSuffix(it.ID, ".end") && it.ID != stanza.PartnerItem(name) {
			others++
			size += len(it.Note)
		}
	}
	switch {
	case others >= maxPartners:
		return fmt.Errorf("there are agreements with %d organisations, which is the most. Those that have ended count until the organisation's key is changed: sotto org rotate", maxPartners)
	case size > maxAgreementsBytes:
		return fmt.Errorf("all agreements together would be longer than %d KiB, which is the most. Open roles in place of persons", maxAgreementsBytes>>10)
	}
	return nil
}

func (o *Organisation) resetPartners() {
	o.partners = partner.New(o.anchor.Key)
	o.shown = make(map[string]*directory.Directory)
}

// readPartners reads the agreements and what is shown to each partner.
func (o *Organisation) readPartners(tx *store.Tx) error {
	o.resetPartners()
	items, err := tx.Items(stanza.NodePartners)
	if err != nil {
		return err
	}
	for _, it := range items {
		if strings.HasSuffix(it.ID, ".end") {
			continue
		}
		if _, err := o.partners.Apply(it.Note); err != nil {
			return err
		}
		if err := o.readShown(tx, it.ID); err != nil {
			return err
		}
	}
	for _, it := range items {
		if strings.HasSuffix(it.ID, ".end") {
			if _, err := o.partners.ApplyEnd(it.Note); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *Organisation) readShown(tx *store.Tx, name string) (err error) {
	o.shown[name], err = o.readDirectory(tx, directory.ForPartner(name), stanza.NodeFor(name, stanza.NodeSnapshot), stanza.NodeFor(name, stanza.NodeDirectory))
	if err != nil {
		return err
	}
	b, err := tx.Item(stanza.NodeFor(name, stanza.NodeHead), stanza.ItemCurrent)
	if err != nil || b == nil {
		return err
	}
	h, err := head.Open(b, o.anchor.Key)
	o.number = max(o.number, h.Number)
	return err
}

// Agreed is an agreement as it stands.
type Agreed struct {
	*partner.Agreement
	With    org.Key
	Contact string // the other's address; "" if it was not given
	Ended   bool
}

// Partners returns the agreements that there are or were.
func (o *Organisation) Partners(ctx context.Context) (list []Agreed, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	err = o.st.View(ctx, func(tx *store.Tx) error {
		list, err = o.agreed(tx)
		return err
	})
	return list, err
}

func (o *Organisation) agreed(tx *store.Tx) (list []Agreed, err error) {
	items, err := tx.Items(stanza.NodePartners)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(items, func(a, b store.Item) int { return strings.Compare(a.ID, b.ID) })
	for _, it := range items {
		if name, end := strings.CutSuffix(it.ID, ".end"); end {
			if i := slices.IndexFunc(list, func(a Agreed) bool { return a.With.Name() == name }); i >= 0 {
				list[i].Ended = o.ended(it.Note, list[i].Agreement)
			}
			continue
		}
		a, err := partner.Open(it.Note, o.anchor.Key)
		if err != nil {
			return nil, err
		}
		contact, err := tx.Value(valuePartner + it.ID)
		if err != nil {
			return nil, err
		}
		list = append(list, Agreed{Agreement: a, With: a.Other(o.anchor.Key), Contact: string(contact)})
	}
	return list, nil
}

// ended reports whether a note ends an agreement.
func (o *Organisation) ended(end []byte, a *partner.Agreement) bool {
	s, err := org.Peek(end)
	if err != nil {
		return false
	}
	r := org.NewReader(s)
	r.Line("partner", 300)
	return r.Number("serial") >= a.Serial
}

// Proposal says what to propose to another organisation.
type Proposal struct {
	With  org.Key // as the other tells it
	Opens []partner.Opening
	For   time.Duration // how long; 0 is DefaultAgreement
}

// Propose signs an agreement with another organisation, which counts once that has
// signed it, too. Only its serial is stored: what comes back is for Accept.
func (o *Organisation) Propose(ctx context.Context, p Proposal) (note []byte, err error) {
	life := p.For
	if life == 0 {
		life = DefaultAgreement
	}
	err = o.change(ctx, "propose an agreement", func(c *change) error {
		serial, err := c.lastAgreement(p.With.Name())
		if err != nil {
			return err
		}
		a := partner.Agreement{Proposer: o.anchor.Key, Partner: p.With, Serial: serial + 1, Issued: c.now, Expires: c.now.Add(life), Opens: p.Opens}
		if note, err = a.Propose(o.key); err != nil {
			return err
		}
		if err := c.room(p.With.Name(), note); err != nil {
			return err
		}
		return c.SetValue(valueAgreed+p.With.Name(), []byte(stanza.NumberItem(a.Serial)))
	})
	return note, err
}

// lastAgreement returns the highest serial of agreements with a partner.
func (c *change) lastAgreement(name string) (serial uint64, err error) {
	b, err := c.Value(valueAgreed + name)
	if err != nil {
		return 0, err
	}
	serial, _ = stanza.ReadNumberItem(string(b))
	list, err := c.o.agreed(c.Tx)
	for _, a := range list {
		if a.With.Name() == name {
			serial = max(serial, a.Serial)
		}
	}
	return serial, err
}

// ReadAgreement reads what another organisation proposes to this one, or an agreement
// that it has signed after this one has proposed it. done says which. The other's
// key is the one that it names: people compare its fingerprint.
func (o *Organisation) ReadAgreement(b []byte) (a *partner.Agreement, other org.Key, done bool, err error) {
	own := o.Anchor().Key
	if a, err = partner.Open(b, own); err == nil {
		return a, a.Other(own), true, nil
	}
	s, peekErr := org.Peek(b)
	if peekErr != nil {
		return nil, org.Key{}, false, peekErr
	}
	if s.Kind != org.KindPartner {
		return nil, org.Key{}, false, fmt.Errorf("%w: this is a %q", org.ErrMalformed, s.Kind)
	}
	proposer := org.NewReader(s).Key("key")
	if proposer.IsZero() {
		return nil, org.Key{}, false, err
	}
	if proposer == own {
		return nil, org.Key{}, false, errors.New("this is a proposal of this organisation, which the other has not signed yet")
	}
	a, err = partner.OpenProposal(b, proposer, own)
	return a, proposer, false, err
}

// Accept puts an agreement in force: a proposal of another organisation is signed
// first. It returns the agreement with both signatures, for the other to accept, too.
// contact is the other's address; "" if it is sotto@ and its name.
func (o *Organisation) Accept(ctx context.Context, b []byte, contact string) (note []byte, err error) {
	_, other, done, err := o.ReadAgreement(b)
	if err != nil {
		return nil, err
	}
	if contact == "" {
		contact = "sotto@" + other.Name()
	}
	if !org.ValidAddress(contact) {
		return nil, fmt.Errorf("%q is not an address", contact)
	}
	err = o.change(ctx, "accept the agreement", func(c *change) error {
		note = b
		if !done {
			if note, err = partner.Agree(b, other, o.anchor.Key, o.key); err != nil {
				return err
			}
		}
		c.touched = true
		a, err := o.partners.Apply(note)
		if err != nil {
			return err
		}
		if !a.Expires.After(c.now) {
			return partner.ErrExpired
		}
		name := other.Name()
		if err := c.room(name, note); err != nil {
			return err
		}
		last, err := c.lastAgreement(name)
		if err != nil {
			return err
		}
		if err := c.SetValue(valueAgreed+name, []byte(stanza.NumberItem(max(last, a.Serial)))); err != nil {
			return err
		}
		if err := c.SetValue(valuePartner+name, []byte(contact)); err != nil {
			return err
		}
		if err := c.act(audit.Event{Reason: audit.PartnerAdded, Peer: audit.PersonOf(contact)}); err != nil {
			return err
		}
		if err := c.PutItem(stanza.NodePartners, stanza.PartnerItem(name), note); err != nil {
			return err
		}
		// The end of an earlier one says nothing any more, and may be signed with a
		// key that the partner had before.
		if old, err := c.Item(stanza.NodePartners, stanza.PartnerEndItem(name)); err != nil {
			return err
		} else if old != nil {
			if err := c.PutItem(stanza.NodePartners, stanza.PartnerEndItem(name), nil); err != nil {
				return err
			}
		}
		if o.shown[name] == nil {
			o.shown[name] = directory.New(o.name, directory.ForPartner(name))
		}
		c.dirty, c.staff = true, true
		return nil
	})
	return note, err
}

// EndPartner ends the agreement with a partner, at once and without asking it.
func (o *Organisation) EndPartner(ctx context.Context, name, reason string) (note []byte, err error) {
	err = o.change(ctx, "end the agreement", func(c *change) error {
		list, err := o.agreed(c.Tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(a Agreed) bool { return a.With.Name() == name && !a.Ended })
		if i < 0 {
			return fmt.Errorf("%w: %s. See: sotto org partner list", partner.ErrNone, name)
		}
		if note, err = partner.End(o.key, name, list[i].Serial, c.now, reason); err != nil {
			return err
		}
		return c.ended(note)
	})
	return note, err
}

// ErrNoEnd is returned by ReadEnd for what is another statement.
var ErrNoEnd = errors.New("this does not end an agreement")

// ReadEnd reads that another organisation ends the agreement with this one, up to a
// serial. Only its signature is not checked: AcceptEnd does that.
func (o *Organisation) ReadEnd(ctx context.Context, b []byte) (name string, serial uint64, err error) {
	s, err := org.Peek(b)
	if err != nil {
		return "", 0, err
	}
	if s.Kind != org.KindPartnerEnd {
		return "", 0, ErrNoEnd
	}
	r := org.NewReader(s)
	r.Line("partner", 300)
	serial = r.Number("serial")
	list, err := o.Partners(ctx)
	if err != nil {
		return "", 0, err
	}
	i := slices.IndexFunc(list, func(a Agreed) bool { return a.With.Name() == s.Organisation })
	switch {
	case i < 0:
		return "", 0, fmt.Errorf("%w: %s", partner.ErrNone, s.Organisation)
	case list[i].Serial > serial:
		return "", 0, fmt.Errorf("%w: it ends agreement %d with %s, and by now there is agreement %d", org.ErrRollback, serial, s.Organisation, list[i].Serial)
	}
	return s.Organisation, serial, nil
}

// HasPartner returns nil if there is an agreement that can be ended.
func (o *Organisation) HasPartner(ctx context.Context, name string) error {
	list, err := o.Partners(ctx)
	if err == nil && !slices.ContainsFunc(list, func(a Agreed) bool { return a.With.Name() == name && !a.Ended }) {
		err = fmt.Errorf("%w: %s. See: sotto org partner list", partner.ErrNone, name)
	}
	return err
}

// AcceptEnd takes the end of an agreement that the other has signed.
func (o *Organisation) AcceptEnd(ctx context.Context, note []byte) error {
	return o.change(ctx, "end the agreement", func(c *change) error { return c.ended(note) })
}

func (c *change) ended(note []byte) error {
	c.touched = true
	name, err := c.o.partners.ApplyEnd(note)
	if err != nil {
		return err
	}
	c.dirty, c.staff = true, true
	contact, err := c.Value(valuePartner + name)
	if err != nil {
		return err
	}
	if err := c.act(audit.Event{Reason: audit.PartnerRemoved, Peer: audit.PersonOf(string(contact))}); err != nil {
		return err
	}
	return c.PutItem(stanza.NodePartners, stanza.PartnerEndItem(name), note)
}

// showPartners brings what each partner gets to see in step with the directory and
// its agreement: whom it opens, and nobody else. Who was shown once is shown as
// removed from then on.
func (c *change) showPartners() error {
	o := c.o
	list, err := o.agreed(c.Tx)
	if err != nil {
		return err
	}
	for _, a := range list {
		name := a.With.Name()
		d := o.shown[name]
		if d == nil {
			continue
		}
		over := a.Ended || !a.Expires.After(c.now)
		var entries []directory.Entry
		for _, e := range o.staff.All() {
			_, seen := d.Entry(e.Address)
			switch open := !over && opens(a.Agreement, o.name, &e); {
			case open:
				entries = append(entries, e)
			case seen:
				e.State, e.Devices = directory.Removed, nil
				entries = append(entries, e)
			}
		}
		if len(entries) == 0 {
			continue
		}
		updates, snapshot := stanza.NodeFor(name, stanza.NodeDirectory), stanza.NodeFor(name, stanza.NodeSnapshot)
		err := c.sign(d, updates, entries...)
		if errors.Is(err, directory.ErrNothing) {
			continue
		}
		if err == nil {
			err = c.snapshot(d, snapshot, updates)
		}
		if err == nil {
			err = c.partnerHead(name, d)
		}
		if err != nil {
			return fmt.Errorf("show %s what it may see: %w", name, err)
		}
	}
	return nil
}

// opens reports whether an agreement opens somebody of this organisation.
func opens(a *partner.Agreement, organisation string, e *directory.Entry) bool {
	return e.State != directory.Removed && slices.ContainsFunc(a.Opens, func(p partner.Opening) bool {
		return p.Organisation == organisation && (p.Person != "" && p.Person == e.Address || p.Role != "" && e.Has(p.Role))
	})
}

// partnerHead signs the head of what a partner sees. Its number is of the same row as
// the organisation's own.
func (c *change) partnerHead(name string, d *directory.Directory) error {
	o := c.o
	o.number++
	h := head.Head{For: name, Number: o.number, Issued: c.now, Directory: d.At(), Orders: head.Orders{First: 1}, Keys: o.anchor.Number}
	b, err := h.Sign(o.key)
	if err != nil {
		return err
	}
	return c.PutItem(stanza.NodeFor(name, stanza.NodeHead), stanza.ItemCurrent, b)
}
