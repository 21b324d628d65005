package relay

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"
	"mellium.im/xmpp/jid"
)

// account is one local person as the core knows them. Everything in it belongs
// to the core's goroutine.
type account struct {
	id            int64
	name          string // localpart, normalised
	bare          string
	jid           jid.JID // bare, too
	display, team string
	changed       int64 // when the password was last set, microseconds since 1970

	sessions map[string]*session // by resource, detached ones included
	blocks   map[string]bool     // normalised addresses (XEP-0191)
	inFlight map[int64]*mail     // mailbox rows that a session holds unacknowledged
	mail     int64               // mailbox rows, those in flight included
	held     int64               // bytes of the mailbox rows that hold their own stanza
	admin    bool                // may manage accounts (XEP-0133)
	changing bool                // a password change is being worked out
}

// User is an account as the commands list it.
type User struct {
	Address, Name, Group string
	Admin                bool // may manage accounts from afar (XEP-0133)
}

// Errors of account management.
var (
	ErrUserExists  = errors.New("there is already a user of that name")
	ErrUserUnknown = errors.New("there is no user of that name")
)

const maxDisplayName = 256 // bytes

// accountName normalises a localpart for domain (RFC 7622).
func accountName(name, domain string) (string, error) {
	j, err := jid.New(name, domain, "")
	if err != nil || j.Localpart() == "" || len(j.Localpart()) > 256 {
		return "", fmt.Errorf("%q cannot be a user name: use letters, digits, dots and dashes", name)
	}
	return j.Localpart(), nil
}

func checkDisplay(texts ...string) error {
	for _, s := range texts {
		if len(s) > maxDisplayName {
			return fmt.Errorf("a display name or group is at most %d bytes long", maxDisplayName)
		}
	}
	return nil
}

// addUser stores a new account. It leaves errors of the database to commit.
func (s *store) addUser(name, display, team string, c credentials, limit int) error {
	if err := checkDisplay(display, team); err != nil {
		return err
	}
	if s.number(`SELECT count(*) FROM users WHERE name=?`, name) > 0 {
		return ErrUserExists
	}
	if s.number(`SELECT count(*) FROM users`) >= int64(limit) {
		return fmt.Errorf("the relay already has %d users, which is its limit", limit)
	}
	if s.rosterSize() > maxRoster {
		return errors.New("the relay has as many users as fit into a roster: use shorter names, or another relay")
	}
	s.exec(`INSERT INTO users(name, display, team, salt, stored, server, iterations, changed) VALUES(?,?,?,?,?,?,?,?)`,
		name, display, team, c.salt, c.stored, c.server, c.iterations, micros(time.Now()))
	return nil
}

// removeUser deletes an account and all it owns.
func (s *store) removeUser(name string) error {
	id := s.userID(name)
	if id == 0 {
		return ErrUserUnknown
	}
	s.removeMember(id)
	s.exec(`UPDATE uploads SET created=0 WHERE account=?`, id) // and the running relay deletes them
	for _, table := range []string{"archive", "archive_use", "mailbox", "nodes", "items", "blocks"} {
		s.exec(`DELETE FROM `+table+` WHERE account=?`, id)
	}
	s.exec(`DELETE FROM users WHERE id=?`, id)
	return nil
}

func (s *store) setUser(name, display, team string) error {
	if err := checkDisplay(display, team); err != nil {
		return err
	}
	id := s.userID(name)
	if id == 0 {
		return ErrUserUnknown
	}
	s.exec(`UPDATE users SET display=?, team=? WHERE id=?`, display, team, id)
	return nil
}

// setPassword returns the time recorded as that of the change.
func (s *store) setPassword(name string, c credentials) (int64, error) {
	id := s.userID(name)
	if id == 0 {
		return 0, ErrUserUnknown
	}
	now := micros(time.Now())
	s.exec(`UPDATE users SET salt=?, stored=?, server=?, iterations=?, changed=? WHERE id=?`,
		c.salt, c.stored, c.server, c.iterations, now, id)
	return now, nil
}

// maxRoster leaves room below the 1 MiB of one stanza.
const maxRoster = 960 << 10

// rosterSize is about how many bytes the roster has as a stanza.
func (s *store) rosterSize() int64 {
	return s.number(`SELECT coalesce(sum(160 + length(name) + length(display) + length(team) + (SELECT length(value) FROM meta WHERE key='domain')), 0) FROM users`)
}

func (s *store) userID(name string) int64 { return s.number(`SELECT id FROM users WHERE name=?`, name) }

// credentials returns what is kept of the password of name.
func (s *store) credentials(name string) (c credentials, ok bool) {
	s.each(`SELECT salt, stored, server, iterations FROM users WHERE name=?`, func(st *sqlite3.Stmt) bool {
		c = credentials{bytes.Clone(st.ColumnRawBlob(0)), bytes.Clone(st.ColumnRawBlob(1)), bytes.Clone(st.ColumnRawBlob(2)), st.ColumnInt(3)}
		ok = true
		return false
	}, name)
	return c, ok
}

// users returns every account without its sessions.
func (s *store) users(domain string) map[int64]*account {
	all := map[int64]*account{}
	s.each(`SELECT id, name, display, team, changed, admin FROM users`, func(st *sqlite3.Stmt) bool {
		a := &account{id: st.ColumnInt64(0), name: st.ColumnText(1), display: st.ColumnText(2), team: st.ColumnText(3), changed: st.ColumnInt64(4), admin: st.ColumnBool(5)}
		a.bare = a.name + "@" + domain
		a.jid, _ = jid.Parse(a.bare)
		a.sessions, a.inFlight, a.blocks = map[string]*session{}, map[int64]*mail{}, map[string]bool{}
		all[a.id] = a
		return true
	})
	s.each(`SELECT account, address FROM blocks`, func(st *sqlite3.Stmt) bool {
		if a := all[st.ColumnInt64(0)]; a != nil {
			a.blocks[st.ColumnText(1)] = true
		}
		return true
	})
	s.each(`SELECT account, count(*), coalesce(sum(length(stanza)), 0) FROM mailbox GROUP BY account`, func(st *sqlite3.Stmt) bool {
		if a := all[st.ColumnInt64(0)]; a != nil {
			a.mail, a.held = st.ColumnInt64(1), st.ColumnInt64(2)
		}
		return true
	})
	return all
}

// reloadUsers brings the accounts in line with the database and tells everyone
// who is online what changed. It is called at the start and after another
// process (sotto relay user …) has written.
func (c *core) reloadUsers() {
	c.version = c.store.dataVersion()
	fresh := c.store.users(c.domain)
	if c.store.err != nil {
		return
	}
	removed := false
	for name, a := range c.accounts {
		now := fresh[a.id]
		switch {
		case now == nil:
			removed = true
			delete(c.accounts, name)
			delete(c.byID, a.id)
			for _, s := range a.all() {
				c.kill(s, "not-authorized", "this account was removed")
			}
			c.pushRoster(a, true)
		case now.display != a.display || now.team != a.team:
			a.display, a.team = now.display, now.team
			c.pushRoster(a, false)
		}
		if now != nil {
			a.admin = now.admin
		}
		if now != nil && now.changed != a.changed {
			a.changed = now.changed
			for _, s := range a.all() {
				c.kill(s, "not-authorized", "the password was changed")
			}
		}
	}
	for id, a := range fresh {
		if c.byID[id] == nil {
			c.accounts[a.name], c.byID[id] = a, a
			c.pushRoster(a, false)
		}
	}
	c.rosterVersion = ""
	if removed {
		c.reloadRooms()
	}
}

// checkStore notices what another process has written.
func (c *core) checkStore() {
	if v := c.store.dataVersion(); v != c.version && c.store.err == nil {
		c.reloadUsers()
	}
}

// all returns the sessions of a in a fixed order, safe to end while ranging.
func (a *account) all() []*session {
	return slices.SortedFunc(maps.Values(a.sessions), func(x, y *session) int { return cmp.Compare(x.serial, y.serial) })
}

// sorted returns all accounts by name.
func (c *core) sorted() []*account {
	return slices.SortedFunc(maps.Values(c.accounts), func(x, y *account) int { return cmp.Compare(x.name, y.name) })
}

func micros(t time.Time) int64 { return t.UnixMicro() }
