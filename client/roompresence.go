package client

import (
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/audit"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
)

// roomPresence takes presence that comes from a room; false if it comes from
// somewhere else.
func (c *Client) roomPresence(e *stanza.Element) bool {
	p, err := stanza.ReadPresence(e)
	if err != nil {
		return false
	}
	r := c.rooms[p.From.Bare().String()]
	if r == nil {
		return false
	}
	u, _ := stanza.ReadRoomUser(e)
	nick := p.From.Resourcepart()
	switch {
	case p.Type == "error":
		if r.phase != entering || e.Get("id") != r.join {
			return true
		}
		refusal := stanza.ReadError(e)
		if refusal.Condition == "conflict" && r.conflict() {
			return true
		}
		c.entered(r, refusal)
	case nick == "" || r.phase == outside:
	case p.Type == "unavailable":
		c.wentOut(r, nick, u)
	case p.Type == "":
		c.cameIn(r, nick, u)
	}
	return true
}

// cameIn notes who is in a room under which nick.
func (c *Client) cameIn(r *room, nick string, u stanza.RoomUser) {
	item := u.Item()
	who := item.JID.Bare().String()
	own := u.Has(stanza.StatusSelf)
	switch {
	case who == "" || item.JID.Localpart() == "":
		if own {
			c.shut(r, errVeiled)
		}
		return
	case own && who != c.self:
		c.log.Warn("a room takes somebody else for us", "room", r.peer)
		return
	case len(r.people) >= 2*store.MaxMembers && r.people[nick] == "":
		return
	}
	r.people[nick] = who
	if r.listed && !r.members[who] && belongs(item.Affiliation) {
		c.memberChanged(r, item)
	} else if r.listed && r.members[who] && (item.Affiliation == stanza.None || belongs(item.Affiliation) && item.Affiliation != r.roles[who]) {
		c.memberChanged(r, item)
	}
	// Not what the link tells again of an earlier entering, before we knocked.
	if own && r.phase == entering && r.join != "" {
		r.nick, r.phase = nick, inside
		r.fresh = u.Has(stanza.StatusCreated)
		c.isInside(r)
	}
}

// belongs reports whether an affiliation makes somebody a member.
func belongs(a stanza.Affiliation) bool {
	return a == stanza.Owner || a == stanza.Admin || a == stanza.Member
}

// wentOut notes that somebody left a room, or that we had to.
func (c *Client) wentOut(r *room, nick string, u stanza.RoomUser) {
	item := u.Item()
	who := r.people[nick]
	if u.Has(stanza.StatusRenamed) && item.Nick != "" {
		delete(r.people, nick)
		if who != "" {
			r.people[item.Nick] = who
		}
		if u.Has(stanza.StatusSelf) {
			r.nick = item.Nick
		}
		return
	}
	delete(r.people, nick)
	if u.Has(stanza.StatusSelf) {
		c.putOut(r, u)
		return
	}
	if who != "" && r.members[who] && (u.Has(stanza.StatusUnaffiliated) || u.Has(stanza.StatusBanned)) {
		item.JID, _ = jid.Parse(who)
		c.memberChanged(r, item)
	}
}

// putOut deals with a room that we are in no longer.
func (c *Client) putOut(r *room, u stanza.RoomUser) {
	was := r.phase
	r.phase, r.listed = outside, false
	clear(r.people)
	by := ""
	if actor := u.Item().Actor; actor != "" {
		by = " by " + text.Line(bounded(actor, 200)).String()
	}
	words := ""
	switch {
	case u.Destroyed:
		words = "This room was closed for everybody" + by
	case u.Has(stanza.StatusUnaffiliated), u.Has(stanza.StatusBanned), u.Has(stanza.StatusClosed):
		words = "You were removed from this room" + by + ". What is written there does not reach you any more"
	case u.Has(stanza.StatusKicked) && !u.Has(stanza.StatusFailed):
		words = "You were put out of this room" + by + ". /join enters it again"
	default: // it shuts down, or takes us for gone
		if was == inside {
			c.later(time.Second, func() { c.reenter(r) })
		} else {
			r.phase = entering
			c.entered(r, errNoAnswer)
		}
		return
	}
	r.wanted = false
	c.update("store a room", func(tx *store.Tx, fx *effects) error {
		old, err := tx.Room(r.peer)
		if err != nil || old == nil || !old.Joined {
			return err
		}
		old.Joined = false
		if err := tx.PutRoom(*old); err != nil {
			return err
		}
		if err := c.audit(tx, audit.Event{Kind: audit.RoomLeft, Peer: audit.PersonOf(r.peer), Reason: audit.Removed}); err != nil {
			return err
		}
		fx.events = append(fx.events, DevicesChanged{r.peer})
		return c.noteInRoom(tx, fx, r.peer, words, false)
	})
	c.publishBookmark(r, false)
	c.flush()
}
