package relay

import (
	"errors"
	"strings"

	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// Managing accounts from afar (XEP-0133, by the commands of XEP-0050), for
// people whom whoever runs the relay has made admins. Admins themselves are
// managed where the relay runs: a stolen admin's session cannot lock out the
// others.

const adminNode = "http://jabber.org/protocol/admin"

// adminCommand is one thing an admin can do. do has a form that was filled in;
// it answers, at once or later.
type adminCommand struct {
	node, title string
	fields      []stanza.FormField
	do          func(*core, *request, stanza.DataForm)
}

var (
	accountField  = stanza.FormField{Var: "accountjid", Type: "jid-single", Label: "Address", Required: true}
	passwordField = stanza.FormField{Var: "password", Type: "text-private", Label: "Password", Required: true}
)

var adminCommands = []adminCommand{
	{adminNode + "#add-user", "Add a user", []stanza.FormField{accountField, passwordField,
		{Var: "password-verify", Type: "text-private", Label: "Password, once more"},
		{Var: "given_name", Type: "text-single", Label: "Given name"},
		{Var: "surname", Type: "text-single", Label: "Surname"}}, (*core).adminAdd},
	{adminNode + "#delete-user", "Remove users and all that is stored for them", []stanza.FormField{
		{Var: "accountjids", Type: "jid-multi", Label: "Addresses", Required: true}}, (*core).adminDelete},
	{adminNode + "#change-user-password", "Set a user's password", []stanza.FormField{accountField, passwordField}, (*core).adminPassword},
}

// command answers a command to the relay. It has one step, so that nothing needs
// to be kept between the question and its form.
func (c *core) command(q *request) {
	if !q.s.account.admin {
		c.no(q, "auth", "forbidden", "only admins of this relay do that")
		return
	}
	var cmd *adminCommand
	for i := range adminCommands {
		if adminCommands[i].node == q.payload.Get("node") {
			cmd = &adminCommands[i]
		}
	}
	x := q.payload.Child(nsData, "x")
	switch action := q.payload.Get("action"); {
	case cmd == nil:
		c.no(q, "cancel", "item-not-found", "")
	case action == "cancel":
		c.commanded(q, "canceled")
	case action != "" && action != "execute" && action != "complete" && action != "next":
		c.no(q, "modify", "bad-request", "", stanza.New(nsCommands, "malformed-action"))
	case x == nil:
		form := stanza.DataForm{Type: "form", FormType: adminNode, Title: cmd.title, Fields: cmd.fields}
		c.commanded(q, "executing", stanza.New(nsCommands, "actions", stanza.New(nsCommands, "complete")).With("execute", "complete"), form.Element())
	default:
		f, err := stanza.ReadDataForm(x)
		switch {
		case err == nil && f.Type == "cancel":
			c.commanded(q, "canceled")
		case err != nil || f.Type != "submit" || f.FormType != adminNode:
			c.no(q, "modify", "bad-request", "", stanza.New(nsCommands, "bad-payload"))
		default:
			cmd.do(c, q, f)
		}
	}
}

// commanded answers a command.
func (c *core) commanded(q *request, status string, more ...*stanza.Element) {
	id := q.payload.Get("sessionid")
	if id == "" || len(id) > stanza.MaxID {
		id = randomID()
	}
	c.yes(q, stanza.New(nsCommands, "command", more...).With("node", q.payload.Get("node")).With("sessionid", id).With("status", status))
}

// adminRefuse answers that a command could not be carried out.
func (c *core) adminRefuse(q *request, err error) {
	condition := "not-acceptable"
	switch {
	case errors.Is(err, ErrUserExists):
		condition = "conflict"
	case errors.Is(err, ErrUserUnknown):
		condition = "item-not-found"
	}
	c.no(q, "modify", condition, err.Error())
}

var errAdmins = errors.New("admins are managed where the relay runs")

// localName returns the name of an account here that an address means.
func (c *core) localName(address string) (string, error) {
	j, err := jid.Parse(strings.TrimSpace(address))
	if err != nil || j.Domainpart() != c.domain || j.Localpart() == "" || j.Resourcepart() != "" {
		return "", errors.New("this is not an address of this relay")
	}
	return accountName(j.Localpart(), c.domain)
}

// derive works out credentials outside the core, one at a time for each admin,
// and goes on inside with what they are for.
func (c *core) derive(q *request, password string, then func(credentials) error) {
	a := q.s.account
	if a.changing {
		c.no(q, "wait", "resource-constraint", "a change is under way already")
		return
	}
	a.changing = true
	iterations := c.cfg.Iterations
	c.background(func() func() error {
		pw := []byte(password)
		creds, err := newCredentials(pw, iterations)
		clear(pw)
		return func() error {
			a.changing = false
			if c.accounts[a.name] != a || !a.admin {
				return nil // not any more
			}
			if err == nil {
				err = then(creds)
			}
			if err != nil {
				c.adminRefuse(q, err)
			} else {
				c.commanded(q, "completed")
			}
			return nil
		}
	})
}

func (c *core) adminAdd(q *request, f stanza.DataForm) {
	name, err := c.localName(f.Value("accountjid"))
	again, verified := f.Field("password-verify")
	display := strings.TrimSpace(f.Value("given_name") + " " + f.Value("surname"))
	switch {
	case err != nil:
	case verified && again.Value() != f.Value("password"):
		err = errors.New("the two passwords are not the same")
	case c.accounts[name] != nil:
		err = ErrUserExists
	}
	if err != nil {
		c.adminRefuse(q, err)
		return
	}
	c.derive(q, f.Value("password"), func(creds credentials) error {
		if err := c.store.addUser(name, display, "", creds, c.limits.Users); err != nil {
			return err
		}
		c.reloadUsers()
		return nil
	})
}

func (c *core) adminDelete(q *request, f stanza.DataForm) {
	field, _ := f.Field("accountjids")
	var names []string
	for _, v := range field.Values {
		name, err := c.localName(v)
		switch a := c.accounts[name]; {
		case err != nil:
		case a == nil:
			err = ErrUserUnknown
		case a.admin:
			err = errAdmins
		}
		if err != nil {
			c.adminRefuse(q, err)
			return
		}
		names = append(names, name)
	}
	if len(names) == 0 || len(names) > maxItems {
		c.no(q, "modify", "bad-request", "name those who are to be removed, at most 200 at a time")
		return
	}
	for _, name := range names {
		if err := c.store.removeUser(name); err != nil && !errors.Is(err, ErrUserUnknown) { // named twice
			c.adminRefuse(q, err)
			return
		}
	}
	c.reloadUsers()
	c.commanded(q, "completed")
}

func (c *core) adminPassword(q *request, f stanza.DataForm) {
	name, err := c.localName(f.Value("accountjid"))
	switch a := c.accounts[name]; {
	case err != nil:
	case a == nil:
		err = ErrUserUnknown
	case a.admin:
		err = errAdmins
	}
	if err != nil {
		c.adminRefuse(q, err)
		return
	}
	c.derive(q, f.Value("password"), func(creds credentials) error {
		if a := c.accounts[name]; a == nil || a.admin {
			return ErrUserUnknown
		}
		if _, err := c.store.setPassword(name, creds); err != nil {
			return err
		}
		c.reloadUsers() // which ends the sessions that the old one began
		return nil
	})
}

// discoCommands lists what an admin can do; others get nothing.
func (c *core) discoCommands(q *request, answer *stanza.Element) {
	if q.s.account.admin {
		for _, cmd := range adminCommands {
			answer.Add(stanza.New(nsDiscoItems, "item").With("jid", c.domain).With("node", cmd.node).With("name", cmd.title))
		}
	}
	c.yes(q, answer)
}

// setAdmin makes an account an admin, or no longer one.
func (s *store) setAdmin(name string, admin bool) error {
	id := s.userID(name)
	if id == 0 {
		return ErrUserUnknown
	}
	s.exec(`UPDATE users SET admin=? WHERE id=?`, flag(admin), id)
	return nil
}
