package client

import "sotto/client/store"

// The order of a conversation on the screen. What is written here and what comes
// live goes to its end. The archive's order is the canon: its results, which
// come in it, put themselves right after their predecessor, and what is here
// already moves there if it stands before it. Nothing else moves anything, and
// no clock has a say.
//
// A message is what its first result says. Servers archive again what they
// deliver again, so a further result for a message whose archive id is known to
// be another one moves nothing.

// put stores a message where it belongs.
func (c *Client) put(tx *store.Tx, fx *effects, x *envelope, row *store.Message) (added bool, err error) {
	if x.origin != archived {
		added, err = tx.AddMessage(row)
		if added {
			fx.live, fx.late = true, fx.late || !x.Delay.IsZero()
		}
		return added, err
	}
	after, known := c.cursor(fx, x.peer)
	if !known {
		if after, err = tx.LastUpTo(x.peer, c.archive.base); err != nil {
			return false, err
		}
	}
	added, last, err := tx.AddMessageAfter(row, after)
	switch {
	case err != nil || !added && row.OriginID == past:
		return added, err
	case row.Place == 0: // it was here
		old, err := tx.Message(row.ID)
		if err != nil || old == nil {
			return added, err
		}
		return added, c.place(tx, fx, x, old)
	}
	fx.follow(x.peer, row.ID)
	fx.reordered = fx.reordered || !last
	return added, nil
}

// place puts a message that is here already where a result of the archive has it.
func (c *Client) place(tx *store.Tx, fx *effects, x *envelope, old *store.Message) error {
	if x.origin != archived || old.ArchiveID != x.archiveID {
		return nil
	}
	if after, known := c.cursor(fx, x.peer); known {
		moved, err := tx.MoveAfter(old.ID, after)
		if err != nil {
			return err
		}
		fx.reordered = fx.reordered || moved
	}
	fx.follow(x.peer, old.ID)
	return nil
}

// cursor returns the message that the last result of a conversation is here.
func (c *Client) cursor(fx *effects, peer string) (id int64, known bool) {
	if id, known = fx.cursor[peer]; !known {
		id, known = c.archive.cursor[peer]
	}
	return id, known
}

func (fx *effects) follow(peer string, id int64) {
	if fx.cursor == nil {
		fx.cursor = make(map[string]int64)
	}
	fx.cursor[peer] = id
}

// placed takes over what a committed transaction says about the order.
func (c *Client) placed(fx *effects) {
	a := &c.archive
	a.reordered = a.reordered || fx.reordered
	if a.cursor == nil || len(a.cursor) > maxCursors {
		a.cursor = make(map[string]int64)
	}
	for peer, id := range fx.cursor {
		a.cursor[peer] = id
	}
	switch {
	case fx.late:
		c.syncBy(syncSoon)
	case fx.live:
		c.syncBy(syncLater)
	}
}
