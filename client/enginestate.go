package client

import (
	"time"

	"sotto/client/text"
	"sotto/client/wire"
)

// onState takes over how the link stands, and starts anew in a new session.
func (c *Client) onState(m wire.State) {
	was := c.online
	c.online = m.Phase == wire.Online
	if c.online {
		c.full = m.Address
		if !was {
			c.onlineAt = time.Now()
		}
	}
	c.mu.Lock()
	c.state.Phase, c.state.Words, c.state.Address = m.Phase, wordsOf(m), text.Line(m.Address)
	c.state.RTT, c.state.Since, c.state.RetryAt = m.RTT, m.Since, m.RetryAt
	c.mu.Unlock()
	switch {
	case c.online && m.Session != c.session:
		c.session = m.Session
		c.startSession()
	case c.online:
		if !was { // resumed: nothing should be missing, and the archive knows
			c.syncBy(syncSoon)
			c.onRoomsResumed()
			c.follow()
			c.retryFiles()
		}
		c.flush()
	}
	c.tellState()
}

// wordsOf makes safe what the link says. Its words about a wrong password are for
// somebody who signs in; here the password was good once, so it was changed
// elsewhere.
func wordsOf(m wire.State) text.Safe {
	words := text.Line(wire.Sentence(m.Words))
	if m.Phase == wire.Refused && m.WrongPassword {
		words = text.Words(words, lineOf("Then quit and run: sotto password"))
	}
	return words
}

// tellState sends the state to the screen.
func (c *Client) tellState() {
	queued := 0
	for _, o := range c.outs {
		if !c.state.sentNow(o) {
			queued++
		}
	}
	c.mu.Lock()
	c.state.Queued, c.state.CaughtUp, c.state.CatchUp = queued, c.archive.done, c.progress()
	s := c.state
	c.mu.Unlock()
	if s != c.told {
		c.told = s
		c.events.put(StateChanged{s})
	}
}

// sentNow reports whether a message is about to be settled, so that it need not
// be counted as queued: the link is online and has it.
func (s *State) sentNow(o *outgoing) bool { return s.Phase == wire.Online && o.handed }
