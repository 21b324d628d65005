package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
	"sotto/client/text"
)

// Accounts are made and get their first passwords by the commands of XEP-0133, which
// the embedded relay, Prosody (mod_admin_adhoc) and ejabberd (mod_configure) have
// for accounts that they count as admins.

// Why an account could not be made.
var (
	ErrAccountExists = errors.New("there is an account with this address already")
	ErrNotAdmin      = errors.New("the relay does not let the organisation's account manage others. Make it an admin there")
	ErrNoCommands    = errors.New("the relay has no commands to manage accounts with (XEP-0133)")
)

// MakeAccount makes the account of somebody who is invited, with the invitation's
// password. The error is or wraps one of the above where it is the relay's no.
func MakeAccount(ctx context.Context, r Relay, v *Invited) error {
	given, family, _ := strings.Cut(v.Person.Name, " ")
	err := command(ctx, r, v, stanza.CommandAddUser, []stanza.Field{{Var: "accountjid", Value: v.Person.Address},
		{Var: "given_name", Value: given}, {Var: "surname", Value: family}}, "password", "password-verify")
	if err != nil {
		return fmt.Errorf("make the account %s: %w", v.Person.Address, err)
	}
	return nil
}

// ResetAccount gives an account that exists the invitation's password: whoever is
// signed in with it is not any more.
func ResetAccount(ctx context.Context, r Relay, v *Invited) error {
	err := command(ctx, r, v, stanza.CommandChangePassword, []stanza.Field{{Var: "accountjid", Value: v.Person.Address}}, "password")
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", v.Person.Address, err)
	}
	return nil
}

// command runs a command of two steps with the invitation's password in the fields
// named secrets. Fields that the form does not have are left out.
func command(ctx context.Context, r Relay, v *Invited, node string, fields []stanza.Field, secrets ...string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	j, err := jid.Parse(v.Person.Address)
	if err != nil {
		return err
	}
	domain := j.Domainpart()
	answer, err := r.Ask(ctx, "set", domain, stanza.ExecuteCommand(node))
	if err != nil {
		return understood(err)
	}
	c, err := stanza.ReadCommand(answer)
	switch {
	case err != nil:
		return err
	case c.Failed != "":
		return said(c.Failed)
	case c.Form == nil || c.Status != "executing":
		return stanza.ErrCommand
	}
	c.Node = node
	has := func(name string) bool {
		_, ok := c.Form.Field(name)
		return ok
	}
	fields = slices.DeleteFunc(fields, func(f stanza.Field) bool { return !has(f.Var) })
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return !has(s) })
	if len(secrets) == 0 {
		return stanza.ErrCommand
	}
	password := v.Keys.Password()
	defer password.Destroy()
	answer, err = r.AskSecretly(ctx, domain, func(id string) []byte {
		return stanza.AppendCommand(make([]byte, 0, 16<<10), domain, id, c, fields, password.Bytes(), secrets...)
	})
	if err != nil {
		return understood(err)
	}
	if c, err = stanza.ReadCommand(answer); err != nil {
		return err
	}
	if c.Failed != "" {
		return said(c.Failed)
	}
	if c.Status != "completed" {
		return stanza.ErrCommand
	}
	return nil
}

// understood puts a refusal into words of ours.
func understood(err error) error {
	no, ok := errors.AsType[*stanza.StanzaError](err)
	if !ok {
		return err
	}
	switch no.Condition {
	case "conflict":
		return ErrAccountExists
	case "forbidden", "not-allowed", "not-authorized":
		return ErrNotAdmin
	case "item-not-found", "service-unavailable", "feature-not-implemented":
		return ErrNoCommands
	}
	return err
}

// said puts into words of ours what a relay has written.
func said(words string) error {
	if strings.Contains(strings.ToLower(words), "exist") && !strings.Contains(strings.ToLower(words), "not exist") {
		return ErrAccountExists
	}
	return fmt.Errorf("the relay says: %s", text.Line(words))
}
