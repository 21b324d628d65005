package relay

import (
	"maps"
	"slices"

	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// Blocking (XEP-0191). Who is blocked sees the blocker as away and unreachable.

// blocking reports whether a blocks the person other, who uses the address full.
func (a *account) blocking(other *account, full string) bool {
	return len(a.blocks) > 0 && (a.blocks[other.bare] || a.blocks[full])
}

// refuseBlocked answers a stanza to somebody whom the sender has blocked.
func (c *core) refuseBlocked(s *session, el *stanza.Element) {
	if t := el.Get("type"); t == "error" || el.Local == "iq" && t == "result" {
		return
	}
	c.send(s, errorReply(el, "cancel", "not-acceptable", "you have blocked this person", stanza.New(nsBlockingError, "blocked")).Bytes())
}

// blockQuery answers requests about the asker's block list.
func (c *core) blockQuery(q *request) {
	a := q.s.account
	switch {
	case q.payload.Local == "blocklist" && !q.set:
		q.s.blockPushes = true
		list := stanza.New(nsBlocking, "blocklist")
		for _, j := range slices.Sorted(maps.Keys(a.blocks)) {
			list.Add(stanza.New(nsBlocking, "item").With("jid", j))
		}
		c.yes(q, list)
		return
	case q.payload.Local == "block" && q.set, q.payload.Local == "unblock" && q.set:
	default:
		c.no(q, "cancel", "service-unavailable", "")
		return
	}
	block := q.payload.Local == "block"
	var addresses []string
	for e := range q.payload.Elements() {
		j, err := jid.Parse(e.Get("jid"))
		if err != nil || !e.Is(nsBlocking, "item") || j.Localpart() == "" || block && j.Bare().String() == a.bare {
			c.no(q, "modify", "bad-request", "this is not an address that can be blocked")
			return
		}
		addresses = append(addresses, j.String())
	}
	switch {
	case block && len(addresses) == 0:
		c.no(q, "modify", "bad-request", "")
		return
	case block && len(a.blocks)+len(addresses) > c.limits.Blocks:
		c.no(q, "wait", "resource-constraint", "the block list is full")
		return
	case !block && len(addresses) == 0:
		addresses = slices.Sorted(maps.Keys(a.blocks)) // all of them
	}
	c.setBlocks(a, addresses, block)
	c.yes(q)
	push := stanza.New(nsBlocking, q.payload.Local)
	for _, j := range addresses {
		push.Add(stanza.New(nsBlocking, "item").With("jid", j))
	}
	for _, o := range a.all() {
		if o.blockPushes {
			c.send(o, stanza.New(stanza.NSClient, "iq", push).With("type", "set").With("id", randomID()).With("to", o.full).Bytes())
		}
	}
}

// setBlocks changes the list of a and what both sides see of each other.
func (c *core) setBlocks(a *account, addresses []string, block bool) {
	type pair struct{ s, o *session }
	apartNow := func() map[pair]bool {
		m := map[pair]bool{}
		for _, s := range a.sessions {
			for _, other := range c.accounts {
				for _, o := range other.sessions {
					if other != a && s.available && o.available {
						m[pair{s, o}] = apart(s, o)
					}
				}
			}
		}
		return m
	}
	before := apartNow()
	for _, j := range addresses {
		if block {
			a.blocks[j] = true
			c.store.exec(`INSERT INTO blocks VALUES(?,?) ON CONFLICT DO NOTHING`, a.id, j)
		} else {
			delete(a.blocks, j)
			c.store.exec(`DELETE FROM blocks WHERE account=? AND address=?`, a.id, j)
		}
	}
	for p, now := range apartNow() {
		switch {
		case now && !before[p]:
			c.send(p.o, stanza.New(stanza.NSClient, "presence").With("type", "unavailable").With("from", p.s.full).With("to", p.o.account.bare).Bytes())
			c.send(p.s, stanza.New(stanza.NSClient, "presence").With("type", "unavailable").With("from", p.o.full).With("to", a.bare).Bytes())
		case !now && before[p]:
			c.sendTo(p.o, p.s.presence, p.o.account.bare)
			c.sendTo(p.s, p.o.presence, a.bare)
		}
	}
}
