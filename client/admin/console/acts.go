package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sotto/client/admin"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/order"
	"sotto/client/org/policy"
	"sotto/client/store"
	"sotto/client/text"
)

func shown(print [32]byte) string { return omemo.Fingerprint(print).String() }

// mayFound says, before a recovery key is shown to anybody, why found would not do: the
// account has to be there, and nothing founded with it.
func (c *Console) mayFound(ctx context.Context, r *Request, a *Answer) error {
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
	if err := c.online(ctx); err != nil {
		return err
	}
	return c.route(ctx, nil, r, a)
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
	return nil
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
	e, err := o.Remove(ctx, r.Address)
	return c.edited(ctx, o, a, e, err)
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
