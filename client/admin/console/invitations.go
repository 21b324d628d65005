package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sotto/client/admin"
	"sotto/client/org/invitation"
	"sotto/client/text"
)

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
