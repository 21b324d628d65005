package relay

import (
	"context"
	"crypto/rand"
	"fmt"
)

// Managing accounts: of a running relay, and of a data folder whether or not a
// relay is running on it.

// claim records the domain of a new database, and refuses one of another domain.
func (s *store) claim(domain string) error {
	switch have := string(s.meta("domain")); {
	case s.err != nil:
		return s.err
	case have == "":
		secret := make([]byte, 32)
		rand.Read(secret)
		s.setMeta("unknown users", secret)
		s.setMeta("domain", []byte(domain))
		return s.commit()
	case have != domain:
		return fmt.Errorf("this data folder belongs to the domain %s, not %s", have, domain)
	}
	return nil
}

// AddUser makes an account. name is the part of the address before the @; an
// empty display name shows name instead. The password is not kept, and not cleared.
func (r *Relay) AddUser(ctx context.Context, name string, password []byte, display string) error {
	return r.AddUserIn(ctx, name, password, display, "")
}

// AddUserIn does what AddUser does, and puts the user into a roster group.
func (r *Relay) AddUserIn(ctx context.Context, name string, password []byte, display, group string) error {
	name, err := accountName(name, r.cfg.Domain)
	if err != nil {
		return err
	}
	creds, err := newCredentials(password, r.cfg.Iterations)
	if err != nil {
		return err
	}
	return r.do(ctx, func(c *core) error {
		if err := c.store.addUser(name, display, group, creds, c.limits.Users); err != nil {
			return err
		}
		c.reloadUsers()
		return nil
	})
}

// SetName changes what colleagues see.
func (r *Relay) SetName(ctx context.Context, name, display string) error {
	name, err := accountName(name, r.cfg.Domain)
	if err != nil {
		return err
	}
	return r.do(ctx, func(c *core) error {
		a := c.accounts[name]
		if a == nil {
			return ErrUserUnknown
		}
		if err := c.store.setUser(name, display, a.team); err != nil {
			return err
		}
		c.reloadUsers()
		return nil
	})
}

// SetPassword sets a password and ends the sessions of the account.
func (r *Relay) SetPassword(ctx context.Context, name string, password []byte) error {
	name, err := accountName(name, r.cfg.Domain)
	if err != nil {
		return err
	}
	return r.setPassword(ctx, name, password)
}

// RemoveUser removes an account with everything it has stored.
func (r *Relay) RemoveUser(ctx context.Context, name string) error {
	name, err := accountName(name, r.cfg.Domain)
	if err != nil {
		return err
	}
	return r.do(ctx, func(c *core) error {
		if err := c.store.removeUser(name); err != nil {
			return err
		}
		c.reloadUsers()
		return nil
	})
}

// Users lists the accounts by name.
func (r *Relay) Users(ctx context.Context) (users []User, err error) {
	err = r.do(ctx, func(c *core) error {
		for _, a := range c.sorted() {
			users = append(users, User{a.bare, a.title(), a.team, a.admin})
		}
		return nil
	})
	return users, err
}

// Accounts manages the accounts of a data folder. A relay that runs on the
// folder notices within a second. It is for one goroutine.
type Accounts struct {
	store  *store
	domain string
}

// OpenAccounts opens the data folder dir. domain is needed for a new folder and
// has to match that of an old one; it may be empty for an old one.
func OpenAccounts(dir, domain string) (*Accounts, error) {
	if dir == "" {
		return nil, fmt.Errorf("a data folder is needed")
	}
	s, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	if domain == "" {
		if domain = string(s.meta("domain")); domain == "" {
			s.close()
			return nil, fmt.Errorf("this data folder is new: say which domain it is for")
		}
	}
	if err := s.claim(domain); err != nil {
		s.close()
		return nil, err
	}
	return &Accounts{s, domain}, nil
}

// Domain returns the domain of the folder.
func (a *Accounts) Domain() string { return a.domain }

// Close closes the folder.
func (a *Accounts) Close() error { return a.store.close() }

// change runs f and makes it durable.
func (a *Accounts) change(name string, f func(name string) error) error {
	name, err := accountName(name, a.domain)
	if err != nil {
		return err
	}
	if err := f(name); err != nil {
		a.store.rollback()
		return err
	}
	return a.store.commit()
}

// Add makes an account.
func (a *Accounts) Add(name string, password []byte, display, group string) error {
	creds, err := newCredentials(password, defaultIterations)
	if err != nil {
		return err
	}
	return a.change(name, func(name string) error {
		return a.store.addUser(name, display, group, creds, DefaultLimits().Users)
	})
}

// SetAdmin makes an account an admin, who may manage others (XEP-0133), or no
// longer one.
func (a *Accounts) SetAdmin(name string, admin bool) error {
	return a.change(name, func(name string) error { return a.store.setAdmin(name, admin) })
}

// CheckName says whether an account of that name can be added: whether it is one,
// and free.
func (a *Accounts) CheckName(name string) error {
	return a.change(name, func(name string) error {
		if a.store.userID(name) != 0 {
			return ErrUserExists
		}
		return nil
	})
}

// SetPassword sets a password.
func (a *Accounts) SetPassword(name string, password []byte) error {
	creds, err := newCredentials(password, defaultIterations)
	if err != nil {
		return err
	}
	return a.change(name, func(name string) error {
		_, err := a.store.setPassword(name, creds)
		return err
	})
}

// Remove removes an account with everything it has stored.
func (a *Accounts) Remove(name string) error { return a.change(name, a.store.removeUser) }

// List lists the accounts by name.
func (a *Accounts) List() ([]User, error) {
	c := core{accounts: map[string]*account{}}
	for _, acc := range a.store.users(a.domain) {
		c.accounts[acc.name] = acc
	}
	var users []User
	for _, acc := range c.sorted() {
		users = append(users, User{acc.bare, acc.title(), acc.team, acc.admin})
	}
	return users, a.store.commit()
}
