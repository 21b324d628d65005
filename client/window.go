package client

import (
	"sotto/client/store"
	"sotto/client/wire"
)

// Bounds of what is given to the link at a time. It holds a thousand stanzas for
// the relay, requests and its own among them, and refuses what is more.
const (
	maxGiven      = 700
	maxGivenBytes = 8 << 20
	notesGiven    = maxGiven / 2 // beyond that, receipts and the like leave the room to messages
	maxNotes      = 20000        // of them that wait for their turn
)

// window is what the link was given and the relay has not acknowledged.
type window struct {
	given map[string]int // bytes, by id
	bytes int
	notes []wire.Send // receipts and the like that wait
	held  bool        // there are messages that found no room
	known bool        // the link has said what it holds from before
}

// room reports whether the link may be given something more.
func (w *window) room() bool { return len(w.given) < maxGiven && w.bytes < maxGivenBytes }

// roomForNotes reports whether it may be given a receipt or the like.
func (w *window) roomForNotes() bool { return len(w.given) < notesGiven && w.bytes < maxGivenBytes/2 }

// settle notes that the link holds something no longer.
func (w *window) settle(id string) {
	w.bytes -= w.given[id]
	delete(w.given, id)
}

// give hands a stanza to the link, which keeps it until the relay has it. It
// reports false, and does nothing, when the link has enough.
func (c *Client) give(m wire.Send) bool {
	if !c.window.room() {
		return false
	}
	c.window.settle(m.ID) // in case it is given again
	c.window.given[m.ID] = len(m.Stanza)
	c.window.bytes += len(m.Stanza)
	c.out.send(m)
	return true
}

// note sends a receipt or the like when it is its turn: not while the archive is
// being taken over, where each message that is missed asks for one and they would
// stand before the requests for the next page.
func (c *Client) note(m wire.Send) {
	if c.archiveDone && len(c.window.notes) == 0 && c.window.roomForNotes() && c.give(m) {
		return
	}
	if len(c.window.notes) == maxNotes {
		c.log.Warn("too many receipts wait; the oldest is left out")
		c.window.notes = c.window.notes[1:]
	}
	c.window.notes = append(c.window.notes, m)
}

// refill gives the link what waits for room.
func (c *Client) refill() {
	w := &c.window
	for len(w.notes) > 0 && c.archiveDone && w.roomForNotes() && c.give(w.notes[0]) {
		w.notes[0] = wire.Send{}
		w.notes = w.notes[1:]
	}
	if w.held && len(w.given) < maxGiven*3/4 && w.bytes < maxGivenBytes*3/4 {
		c.kick()
	}
}

// farewell gives the link the receipts that still wait: what they confirm is
// stored, and would be sent again for want of them.
func (c *Client) farewell() {
	c.archiveDone = true
	c.refill()
}

// onPending takes the list of what the link holds. What it was given and does not
// hold, and has not settled, it has refused: that goes out again.
func (c *Client) onPending(m wire.Pending) {
	old := c.window.given
	c.window.given, c.window.bytes, c.window.known = make(map[string]int, len(m.IDs)), 0, true
	for _, id := range m.IDs {
		c.window.given[id] = old[id]
		c.window.bytes += old[id]
	}
	for id := range old {
		if _, held := c.window.given[id]; !held {
			delete(c.answering, id)
			delete(c.orders.acking, id)
		}
	}
	c.sendAcknowledgements()
	for id, o := range c.outs {
		_, o.handed = c.window.given[id]
	}
	c.kick()
}

// handOut gives the link messages that are encrypted, as many as it may have. It
// reports whether all of them found room: none may overtake another.
func (c *Client) handOut(list []store.OutHead) bool {
	for len(list) > 0 && c.window.room() {
		n := min(len(list), encryptAtOnce)
		stanzas := make([][]byte, n)
		err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
			for i := range stanzas {
				if stanzas[i], err = tx.OutStanza(list[i].MessageID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			c.log.Error("read the outbox", "err", err)
			return false
		}
		for i, b := range stanzas {
			if b != nil && !c.hand(list[i].OriginID, b) {
				list = list[i:]
				return false
			}
		}
		list = list[n:]
	}
	return len(list) == 0
}

// hand gives the stanza of a message to the link; false if that has enough.
func (c *Client) hand(id string, b []byte) bool {
	if c.window.held || !c.give(wire.Send{ID: id, Stanza: b}) {
		c.window.held = true
		return false
	}
	if o := c.outs[id]; o != nil {
		o.handed = true
	}
	return true
}
