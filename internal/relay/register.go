package relay

import (
	"context"

	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// Changing one's own password (XEP-0077 section 3.3). Accounts are made and
// removed by whoever runs the relay, never here.

func (c *core) register(q *request) {
	a := q.s.account
	p := q.payload
	if !q.set {
		c.yes(q, stanza.New(nsRegister, "query", stanza.New(nsRegister, "registered"),
			stanza.TextElement(nsRegister, "username", a.name), stanza.New(nsRegister, "password")))
		return
	}
	if p.Child(nsRegister, "remove") != nil {
		c.no(q, "cancel", "not-allowed", "accounts are removed by whoever runs the relay")
		return
	}
	user, password := p.Child(nsRegister, "username").Text(), []byte(p.Child(nsRegister, "password").Text())
	name, err := accountName(user, c.domain)
	if j, jerr := jid.Parse(user); jerr == nil && j.String() == a.bare {
		name, err = a.name, nil // some clients send the whole address
	}
	switch {
	case err != nil || name != a.name:
		c.no(q, "modify", "bad-request", "only one's own password can be changed")
		return
	case len(password) < minPassword || len(password) > maxPassword:
		c.no(q, "modify", "not-acceptable", "a password needs 8 to 1024 characters")
		return
	case a.changing:
		c.no(q, "wait", "resource-constraint", "a change is under way already")
		return
	}
	a.changing = true
	iterations := c.cfg.Iterations
	c.background(func() func() error {
		creds, err := newCredentials(password, iterations)
		clear(password)
		return func() error { c.changePassword(q, creds, err); return nil }
	})
}

// changePassword ends what register began, back in the core.
func (c *core) changePassword(q *request, creds credentials, err error) {
	a := q.s.account
	a.changing = false
	if c.accounts[a.name] != a {
		return
	}
	if err != nil {
		c.no(q, "modify", "not-acceptable", err.Error())
		return
	}
	if changed, err := c.store.setPassword(a.name, creds); err == nil {
		a.changed = changed
		c.yes(q)
		// Whoever logged in with the old password, be it one that was stolen,
		// has to log in anew.
		for _, s := range a.all() {
			if s != q.s {
				c.kill(s, "not-authorized", "the password was changed")
			}
		}
	}
}

// setPassword derives credentials outside the core and stores them.
func (r *Relay) setPassword(ctx context.Context, name string, password []byte) error {
	creds, err := newCredentials(password, r.cfg.Iterations)
	if err != nil {
		return err
	}
	return r.do(ctx, func(c *core) error {
		changed, err := c.store.setPassword(name, creds)
		if a := c.accounts[name]; err == nil && a != nil {
			a.changed = changed
			for _, s := range a.all() {
				c.kill(s, "not-authorized", "the password was changed")
			}
		}
		return err
	})
}
