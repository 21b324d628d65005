package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sotto/client/admin"
	"sotto/client/org"
	"sotto/client/org/partner"
)

func (c *Console) partners(ctx context.Context, o *admin.Organisation, _ *Request, a *Answer) error {
	a.key(o.Anchor().Key)
	list, err := o.Partners(ctx)
	for _, p := range list {
		state := "in force"
		switch {
		case p.Ended:
			state = "ended"
		case !p.Expires.After(time.Now()):
			state = "expired"
		}
		a.Partners = append(a.Partners, agreement(p.Agreement, p.With, p.Contact, state))
	}
	return err
}

func agreement(a *partner.Agreement, with org.Key, contact, state string) Partner {
	p := Partner{Name: with.Name(), Contact: contact, Key: with.String(), Serial: a.Serial, Expires: a.Expires, State: state, Opens: []string{}}
	for _, o := range a.Opens {
		p.Opens = append(p.Opens, o.String())
	}
	return p
}

func (c *Console) propose(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	key, err := org.ParseKey(strings.TrimSpace(r.Key))
	if err != nil {
		return err
	}
	p := admin.Proposal{With: key, For: r.For}
	for _, s := range r.Opens {
		opening, err := parseOpening(s, o.Name(), key.Name(), func(address string) bool {
			_, is := o.Directory().Entry(address)
			return is
		})
		if err != nil {
			return err
		}
		p.Opens = append(p.Opens, opening)
	}
	note, err := o.Propose(ctx, p)
	a.Note = string(note)
	return err
}

// parseOpening reads whom an agreement opens: an address; role/NAME of one of the two
// organisations, such as role/cardiology@hospital.example; or, as an organisation can
// have people at other domains, person/ADDRESS of one, such as
// person/carol@mail.example@clinic.example. staff reports who is in the own directory.
func parseOpening(s, own, other string, staff func(address string) bool) (o partner.Opening, err error) {
	kind, name, _ := strings.Cut(s, "/")
	if kind != "role" && kind != "person" {
		kind, name = "", s
	}
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		at = 0
	}
	before, whose := name[:at], strings.TrimPrefix(name[at:], "@")
	known := whose == own || whose == other
	switch {
	case kind == "role" && known && org.ValidRole(before):
		return partner.Opening{Organisation: whose, Role: before}, nil
	case kind == "person" && known && org.ValidAddress(before):
		return partner.Opening{Organisation: whose, Person: before}, nil
	case kind == "" && known && org.ValidAddress(s):
		return partner.Opening{Organisation: whose, Person: s}, nil
	case kind == "" && org.ValidAddress(s) && staff(s):
		return partner.Opening{Organisation: own, Person: s}, nil
	case kind == "" && org.ValidAddress(s):
		return o, fmt.Errorf("%s is neither in the directory nor at %s. Say whose it is: person/%s@%s", s, other, s, other)
	}
	return o, fmt.Errorf("%q names nobody. Write an address, such as alice@%s; or a role and whose it is, such as role/cardiology@%s; or, for somebody at another domain, person/carol@mail.example@%s",
		s, own, own, other)
}

func (c *Console) readAgreement(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	if name, _, err := o.ReadEnd(ctx, []byte(r.Note)); err == nil {
		a.Partners = []Partner{{Name: name, State: "ended", Opens: []string{}}}
		return nil
	} else if !errors.Is(err, admin.ErrNoEnd) {
		return err
	}
	agreed, with, done, err := o.ReadAgreement([]byte(r.Note))
	if err != nil {
		return err
	}
	a.Agreed = done
	a.Partners = []Partner{agreement(agreed, with, r.Contact, "")}
	a.key(with)
	return nil
}

func (c *Console) accept(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	if _, _, err := o.ReadEnd(ctx, []byte(r.Note)); err == nil {
		if err := o.AcceptEnd(ctx, []byte(r.Note)); err != nil {
			return err
		}
		return c.publish(ctx, o, a)
	}
	note, err := o.Accept(ctx, []byte(r.Note), r.Contact)
	if err != nil {
		return err
	}
	a.Note = string(note)
	return c.publish(ctx, o, a)
}

func (c *Console) endPartner(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	note, err := o.EndPartner(ctx, r.Name, r.Reason)
	if err != nil {
		return err
	}
	a.Note = string(note)
	return c.publish(ctx, o, a)
}
