package client

import (
	"time"

	"sotto/client/stanza"
)

// pingRooms asks, from time to time, whether we are still in (XEP-0410), and who
// belongs to the room.
func (c *Client) pingRooms() {
	for _, r := range c.rooms {
		if r.phase == inside {
			c.ping(r)
			c.askMembers(r)
		}
	}
	c.later(roomPing, c.pingRooms)
}

// ping asks a room whether we are still in it, and enters again if not.
func (c *Client) ping(r *room) {
	if r.pinging {
		return
	}
	r.pinging = true
	c.ask("get", r.peer+"/"+r.nick, stanza.Ping(), func(_ *stanza.Element, err error) {
		r.pinging = false
		if !c.here(r) || r.phase != inside || err == nil || passing(err) {
			return
		}
		switch condition(err) {
		case "service-unavailable", "feature-not-implemented", "item-not-found":
			return // it is passed on to a client that knows no pings: we are in
		}
		c.log.Info("no longer in a room", "room", r.peer, "err", err)
		r.phase, r.listed = outside, false
		c.enter(r, nil)
	})
}

// onRoomsResumed looks after a stream was resumed: a relay may have lost who is in.
func (c *Client) onRoomsResumed() {
	for _, r := range c.rooms {
		if r.phase == inside {
			c.ping(r)
			r.archive.syncAt = soonerOf(r.archive.syncAt, time.Now().Add(syncSoon))
		}
	}
}
