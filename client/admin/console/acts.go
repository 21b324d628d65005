package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sotto/client/admin"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
	"sotto/client/org/partner"
	"sotto/client/org/policy"
	"sotto/client/store"
	"sotto/client/text"
)

func shown(print [32]byte) string { return omemo.Fingerprint(print).String() }

// mayFound says, before a recovery key is shown to anybody, why found would not do: the
// account has to be there, and nothing founded with it.
func (c *Console) mayFound(ctx context.Context, r *Request) error {
	switch _, err := c.Organisation(ctx); {
	case err == nil:
		return admin.ErrFounded
	case !errors.Is(err, admin.ErrNone):
		return err
	}
	if self := c.Client.Self().Address; r.Contact != "" && r.Contact != self {
		return fmt.Errorf("this profile is that of %s. Found the organisation with that account (--as %s), or name another profile with --profile", self, self)
	}
	if r.Body != "" {
		if _, err := policy.New(r.Name, 1, time.Now(), r.Body); err != nil {
			return err
		}
	}
	return c.online(ctx)
}

// found founds the organisation, and makes this device its first member.
func (c *Console) found(ctx context.Context, r *Request, a *Answer) error {
	self := c.Client.Self()
	f := admin.Founding{Name: r.Name, Contact: self.Address, Relay: r.Relay, Policy: r.Body, Audit: c.Client.Act}
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		key, err := membership.DeviceKey(tx, self.Device)
		if err != nil {
			return err
		}
		f.Device = directory.Device{ID: self.Device, Fingerprint: self.Fingerprint, Signing: key.Public(), Added: time.Now()}
		return nil
	})
	if err != nil {
		return err
	}
	f.Also = func(tx *store.Tx, anchor org.Anchor) error {
		_, err := membership.Join(tx, anchor, self.Address, self.Address, time.Now())
		return err
	}
	o, err := admin.Found(ctx, c.Store, f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.org = o
	c.mu.Unlock()
	a.key(o.Anchor().Key)
	return c.publish(ctx, o, a)
}

func (a *Answer) key(k org.Key) {
	print := k.Fingerprint()
	a.Key, a.Print = k.String(), shown(print)
}

// check says, before a person is asked to confirm an act, that there is nobody whom it
// would be about.
func check(ctx context.Context, o *admin.Organisation, r *Request) error {
	switch r.Do {
	case "order":
		return o.Reaches(ctx, order.Action(r.Action), order.Target{Person: r.Address, Device: r.Device, Role: r.Role})
	case "suspend", "remove", "remove-device":
		return o.Knows(ctx, r.Address, r.Device)
	case "end-partner":
		return o.HasPartner(ctx, r.Name)
	}
	return nil
}

func (c *Console) status(ctx context.Context, o *admin.Organisation, _ *Request, a *Answer) error {
	left, err := o.Left(ctx)
	if err != nil {
		return err
	}
	h, anchor, p := o.Head(), o.Anchor(), o.Policy()
	print := anchor.Key.Fingerprint()
	s := &Status{Name: o.Name(), Contact: o.Contact(), Relay: o.Relay(), Key: anchor.Key.String(), Fingerprint: shown(print), Keys: anchor.Number,
		Head: h.Number, HeadIssued: h.Issued, Lease: p.Lease(), Directory: h.Directory.Serial, Policy: h.Policy.Serial,
		Letters: left.Letters, Left: Left{Items: left.Items, Answers: left.Answers, Reason: text.Line(left.Refused).String()},
		Invitations: []Invitation{}, Serving: c.Serving, Online: c.Client.Online()}
	for _, e := range o.Directory().All() {
		switch e.State {
		case directory.Active:
			s.Active++
			if len(e.Devices) == 0 {
				s.Without++
			}
		case directory.Suspended:
			s.Suspended++
		default:
			s.Removed++
		}
		s.Devices += len(e.Devices)
	}
	for _, i := range o.Invitations() {
		if i.Open(time.Now()) {
			s.Invitations = append(s.Invitations, Invitation{i.ID, i.For.Address, text.Line(i.For.Name).String(), i.Expires, i.Wrong})
		}
	}
	orders, err := o.Orders(ctx, 1024)
	if err != nil {
		return err
	}
	for _, g := range orders {
		if g.InForce {
			s.Orders++
		}
	}
	partners, err := o.Partners(ctx)
	if err != nil {
		return err
	}
	for _, p := range partners {
		if !p.Ended && p.Expires.After(time.Now()) {
			s.Partners++
		}
	}
	a.Status = s
	s.Accounts, err = c.endings(ctx, o)
	return err
}

func (c *Console) people(_ context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	list := o.Directory().All()
	if r.Query != "" {
		list = o.Directory().Search(r.Query, directory.MaxEntries)
		if e, ok := o.Directory().Entry(r.Query); ok && e.State == directory.Removed {
			list = append(list, e)
		}
	}
	for i := range list {
		if r.Most > 0 && i >= r.Most {
			break
		}
		a.People = append(a.People, person(&list[i]))
	}
	return nil
}

func (c *Console) approve(ctx context.Context, o *admin.Organisation, _ *Request, a *Answer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*c.Wait)
	defer cancel()
	// What came while nobody served is in the archive: it has to be read first.
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	late := time.After(c.Wait)
	for !c.Client.State().CaughtUp {
		select {
		case <-look.C:
			continue
		case <-late:
		case <-ctx.Done():
		}
		break
	}
	return c.publish(ctx, o, a)
}

func (c *Console) settled(ctx context.Context, o *admin.Organisation, _ *Request, a *Answer) error {
	return c.publish(ctx, o, a)
}

func (c *Console) invite(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	department := ""
	if r.Department != nil {
		department = *r.Department
	}
	v, err := o.Invite(ctx, admin.Invite{Person: invitation.Person{Address: r.Address, Name: r.Name, Roles: r.Roles, Department: department},
		For: r.For, Another: r.Another, Anew: r.Reset})
	if err != nil {
		return err
	}
	defer v.Clear()
	in := &Invited{Address: v.Person.Address, Name: text.Line(v.Person.Name).String(), Expires: v.Expires}
	if err := c.account(ctx, o, v, r, in); err != nil {
		_, voidErr := o.Withdraw(context.WithoutCancel(ctx), v.Code.ID())
		return errors.Join(err, voidErr)
	}
	in.Code = v.Code.Append(nil)
	in.PIN = written(v.PIN.Bytes())
	a.Invited = in
	return c.publish(ctx, o, a)
}

// written is a one-time PIN as it is told: in two halves.
func written(pin []byte) []byte {
	if len(pin) != 8 {
		return slices.Clone(pin)
	}
	return append(append(append(make([]byte, 0, 9), pin[:4]...), '-'), pin[4:]...)
}

// account has the relay make the account of somebody who is invited, or says what is
// to be done by hand.
func (c *Console) account(ctx context.Context, o *admin.Organisation, v *admin.Invited, r *Request, in *Invited) error {
	if v.HasPassword {
		in.Account = "in use"
		return nil
	}
	byHand := func(why string) error {
		password := v.Keys.Password()
		defer password.Destroy()
		in.Account, in.Password, in.Why = "by hand", slices.Clone(password.Bytes()), why
		return nil
	}
	if r.ByHand {
		return byHand("")
	}
	if err := c.online(ctx); err != nil {
		return err
	}
	web, err := o.MakeAccountByWeb(ctx, c.Client, v)
	if !web && err == nil {
		err = admin.MakeAccount(ctx, c.Client, v)
	}
	if errors.Is(err, admin.ErrAccountExists) && r.Reset {
		if web {
			_, err = o.ResetAccountByWeb(ctx, c.Client, v)
		} else {
			err = admin.ResetAccount(ctx, c.Client, v)
		}
		if err == nil {
			in.Account = "taken over"
			return nil
		}
	}
	switch {
	case err == nil:
		in.Account = "made"
		return nil
	case errors.Is(err, admin.ErrNotAdmin), errors.Is(err, admin.ErrNoCommands),
		errors.Is(err, admin.ErrCaller), errors.Is(err, admin.ErrToken):
		return byHand(text.Line(err.Error()).String())
	}
	return err
}

// accounts says and sets which HTTP interface of the relay makes accounts.
func (c *Console) accounts(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	switch {
	case r.Off:
		if err := o.SetWeb(ctx, admin.Web{}, nil); err != nil {
			return err
		}
	case r.URL != "":
		if err := o.SetWeb(ctx, admin.Web{URL: r.URL, User: r.User}, r.Secret); err != nil {
			return err
		}
	}
	w, ok, err := o.Web(ctx)
	if ok {
		a.Web = &Web{URL: text.Line(w.URL).String(), User: text.Line(w.User).String()}
	}
	return err
}

// online waits until the relay can be asked.
func (c *Console) online(ctx context.Context) error {
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	late := time.After(c.Wait)
	for !c.Client.Online() {
		select {
		case <-look.C:
		case <-late:
			if s := c.Client.State(); !s.Words.Empty() {
				return fmt.Errorf("not connected: %s", s.Words)
			}
			return errors.New("the relay could not be reached in time")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *Console) withdraw(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	for _, i := range o.Invitations() {
		if (i.ID == r.ID || i.For.Address == r.Address && r.Address != "") && i.Open(time.Now()) {
			if _, err := o.Withdraw(ctx, i.ID); err != nil {
				return err
			}
			a.Found = true
		}
	}
	if !a.Found {
		return errors.New("there is no such invitation that is open. See: sotto org status")
	}
	return nil
}

// edited answers with the entry that has changed.
func (c *Console) edited(ctx context.Context, o *admin.Organisation, a *Answer, e directory.Entry, err error) error {
	if err != nil {
		return err
	}
	if now, ok := o.Directory().Entry(e.Address); ok {
		e = now
	}
	a.People = []Person{person(&e)}
	return c.publish(ctx, o, a)
}

func (c *Console) change(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	e, err := o.Change(ctx, r.Address, func(e *directory.Entry) {
		if r.Name != "" {
			e.Name = r.Name
		}
		if r.Department != nil {
			e.Department = *r.Department
		}
		if r.SetRoles {
			e.Roles = r.Roles
		}
	})
	return c.edited(ctx, o, a, e, err)
}

func (c *Console) suspend(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	e, err := o.Suspend(ctx, r.Address)
	return c.edited(ctx, o, a, e, err)
}

func (c *Console) restore(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	e, err := o.Restore(ctx, r.Address)
	return c.edited(ctx, o, a, e, err)
}

func (c *Console) remove(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	if r.Action == string(order.Wipe) {
		_, err := o.Order(ctx, order.Order{Do: order.Wipe, For: order.Target{Person: r.Address}, Reason: r.Reason}, r.For)
		if err != nil {
			return err
		}
	}
	fate, state := admin.EndAccount, AccountEnded
	switch {
	case r.Keep:
		fate, state = admin.KeepAccount, AccountKept
	case r.Now:
		fate = admin.EndAccountNow
	}
	e, err := o.Remove(ctx, r.Address, fate)
	a.Account = &Account{Address: r.Address, State: state}
	if err := c.edited(ctx, o, a, e, err); err != nil {
		return err
	}
	list, err := c.endings(ctx, o)
	for _, e := range list {
		if e.Address == r.Address {
			a.Account = &e
		}
	}
	return err
}

// endings are the accounts that are to be ended and have not been.
func (c *Console) endings(ctx context.Context, o *admin.Organisation) (list []Account, err error) {
	all, err := o.Endings(context.WithoutCancel(ctx))
	list = []Account{}
	for _, e := range all {
		x := Account{Address: e.Address, State: AccountLater, Why: text.Line(e.Trouble).String()}
		switch {
		case e.Refused != "":
			x.State, x.Why = AccountByHand, text.Line(e.Refused).String()
		case e.Waits:
			x.State, x.Why = AccountWaits, ""
		case x.Why == "" && !c.Client.Online():
			x.Why = "the relay could not be reached in time"
		case x.Why == "":
			x.Why = "the relay does not have yet what was signed"
		}
		list = append(list, x)
	}
	return list, err
}

func (c *Console) removeDevice(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	e, err := o.RemoveDevice(ctx, r.Address, r.Device)
	return c.edited(ctx, o, a, e, err)
}

func (c *Console) policy(_ context.Context, o *admin.Organisation, _ *Request, a *Answer) error {
	p := o.Policy()
	a.Policy = &Policy{Serial: p.Serial, Issued: p.Issued, Body: p.Body}
	return nil
}

// route says where the organisation's own account connects to: whoever changes the
// policy is to look first whether that is allowed afterwards.
func (c *Console) route(_ context.Context, _ *admin.Organisation, _ *Request, a *Answer) error {
	address, relay, ca := c.Client.Route()
	_, domain, _ := strings.Cut(address, "@")
	a.Route = &Route{Domain: domain, Relay: relay, CA: ca}
	return nil
}

func (c *Console) checkPolicy(_ context.Context, o *admin.Organisation, r *Request, a *Answer) (err error) {
	a.Diff, err = o.CheckPolicy(r.Body)
	return err
}

func (c *Console) setPolicy(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	diff, err := o.CheckPolicy(r.Body)
	if err != nil {
		return err
	}
	p, err := o.SetPolicy(ctx, r.Body)
	if err != nil {
		return err
	}
	a.Diff, a.Policy = diff, &Policy{Serial: p.Serial, Issued: p.Issued, Body: p.Body}
	return c.publish(ctx, o, a)
}

func (c *Console) order(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	ord := order.Order{Do: order.Action(r.Action), For: order.Target{Person: r.Address, Device: r.Device, Role: r.Role}, Reason: r.Reason}
	if ord.Do == order.Recall {
		ord.Message = order.Message{Author: r.Author, ID: r.ID}
	}
	signed, err := o.Order(ctx, ord, r.For)
	if err != nil {
		return err
	}
	if err := c.publish(ctx, o, a); err != nil {
		return err
	}
	return c.given(ctx, o, a, 1024, signed.Number)
}

func (c *Console) orders(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	return c.given(ctx, o, a, max(1, min(r.Most, 1024)), 0)
}

// given puts orders into an answer: all, or one.
func (c *Console) given(ctx context.Context, o *admin.Organisation, a *Answer, most int, only uint64) error {
	list, err := o.Orders(ctx, most)
	if err != nil {
		return err
	}
	for _, g := range list {
		if only != 0 && g.Number != only {
			continue
		}
		one := Order{Number: g.Number, Do: string(g.Do), For: g.For.String(), Author: g.Message.Author, Message: text.Line(g.Message.ID).String(),
			Reason: text.Line(g.Reason).String(), Issued: g.Issued, Expires: g.Expires, InForce: g.InForce, Devices: []Carried{}}
		for _, d := range g.Devices {
			result := string(d.Result)
			if result == "" {
				result = "waiting"
			}
			one.Devices = append(one.Devices, Carried{d.Person, text.Line(d.Name).String(), d.Device, result, text.Line(d.Words).String(), d.At})
		}
		a.Orders = append(a.Orders, one)
	}
	return nil
}

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

func (c *Console) rotate(ctx context.Context, o *admin.Organisation, r *Request, a *Answer) error {
	done, err := o.Rotate(ctx, r.Reason)
	if err != nil {
		return err
	}
	for _, i := range done.Invitations {
		a.Void = append(a.Void, i.For.Address)
	}
	a.Anew = done.Partners
	a.key(o.Anchor().Key)
	return c.publish(ctx, o, a)
}
