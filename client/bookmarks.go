package client

import (
	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
	"sotto/client/store"
)

// Bookmarks (XEP-0402) have all own devices be in the same rooms. A room that was
// left keeps its bookmark, without autojoin, so that devices that were away learn
// of it. One whose bookmark is gone gets it back: a relay that loses them must not
// cost anybody messages.

// askBookmarks enters and leaves rooms as the bookmarks say.
func (c *Client) askBookmarks() {
	c.ask("get", "", stanza.ItemsRequest(stanza.NSBookmarks), func(e *stanza.Element, err error) {
		if err != nil && condition(err) != "item-not-found" {
			c.log.Info("bookmarks", "err", err)
			if passing(err) {
				c.later(peerRetry, c.askBookmarks)
			}
			return
		}
		items, _ := stanza.ReadItems(e, stanza.NSBookmarks)
		c.bookmarks = make(map[string]stanza.Bookmark)
		for _, b := range stanza.ReadBookmarks(items) {
			c.bookmarks[b.Room.Bare().String()] = b
		}
		c.followBookmarks()
	})
}

func (c *Client) followBookmarks() {
	for peer, b := range c.bookmarks {
		r := c.rooms[peer]
		switch {
		case b.Autojoin && (r == nil || !r.wanted && r.phase == outside):
			if c.countRooms() >= maxRooms {
				c.log.Warn("more bookmarks than rooms one can be in")
				continue
			}
			if c.isKnownPerson(peer) { // whose messages would then be taken for a room's, and dropped
				c.log.Warn("bookmark of a person, and not of a room", "of", peer)
				continue
			}
			if r == nil {
				r = newRoom(peer, bounded(b.Nick, 128))
				c.rooms[peer] = r
			}
			c.enter(r, func(err error) {
				if err != nil {
					c.log.Warn("bookmarked room not entered", "room", peer, "err", err)
					c.dropRoom(r)
				}
			})
		case !b.Autojoin && r != nil && r.wanted:
			c.leftElsewhere(r)
		}
	}
	for peer, r := range c.rooms {
		if _, there := c.bookmarks[peer]; there || !r.wanted {
			continue
		}
		c.publishBookmark(r, true)
	}
}

// isKnownPerson is isPerson for Run. Where that cannot be found out, it is so.
func (c *Client) isKnownPerson(peer string) bool {
	person := true
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		person, err = c.isPerson(tx, peer)
		return err
	})
	return err != nil || person || peer == c.self
}

// leftElsewhere leaves a room that was left on another own device.
func (c *Client) leftElsewhere(r *room) {
	r.wanted = false
	c.left(r, nil)
}

// publishBookmark tells the own other devices whether we are in a room.
func (c *Client) publishBookmark(r *room, auto bool) {
	address, err := jid.Parse(r.peer)
	if err != nil {
		return
	}
	b := c.bookmarks[r.peer]
	if b.Room.Localpart() != "" && b.Autojoin == auto {
		return
	}
	if b.Room = address; b.Nick == "" {
		b.Nick = r.nick
	}
	b.Name, b.Autojoin = r.name, auto
	if c.bookmarks == nil {
		c.bookmarks = make(map[string]stanza.Bookmark)
	}
	c.bookmarks[r.peer] = b
	c.ask("set", "", stanza.PublishBookmark(b), func(_ *stanza.Element, err error) {
		if err != nil {
			c.log.Warn("publish a bookmark", "err", err)
			delete(c.bookmarks, r.peer)
		}
	})
}
