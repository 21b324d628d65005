package tui

import (
	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
)

// kept is the draft to store: with it what it answers or corrects, or what was to
// correct a message would go out as a message of its own after locking.
func (c *composer) kept() store.Draft { return c.about.draft(c.written()) }

// draft is what is written, with what it is about.
func (a *about) draft(written string) store.Draft {
	if a == nil || a.ack {
		return store.Draft{Text: written}
	}
	return store.Draft{Text: written, Message: a.id, Corrects: a.correct}
}

// aboutOf reads the message that a draft is about; nil if it is about none, or its
// text is gone.
func (q queryContext) aboutOf(peer string, d store.Draft) (*client.Message, error) {
	if d.Message == 0 {
		return nil, nil
	}
	part, err := q.read(peer, d.Message, 2)
	if err != nil {
		return nil, err
	}
	for i := range part.Messages {
		if msg := &part.Messages[i]; msg.ID == d.Message && isText(msg) {
			return msg, nil
		}
	}
	return nil, nil
}

// offerDraft puts the draft of a conversation that was opened into the composer.
func (m *Model) offerDraft(msg openedMsg) {
	c, draft := m.composer(), text.Sanitize(msg.draft.Text).String()
	switch {
	case c.empty() && c.about == nil:
		if draft != "" {
			c.set(draft)
		}
	case m.tl.blank && draft != "": // typing began before the draft was there
		c.set(draft + "\n" + c.written())
		c.dirty = true
	default:
		return // it was opened before, and this is newer
	}
	switch d := msg.draft; {
	case c.about != nil || d.Message == 0:
	case msg.about == nil:
		c.dirty = true
		if draft != "" {
			m.warn("What you were writing about is no longer here. Enter sends this as a message of its own.")
		}
	case d.Corrects:
		c.about = &about{id: d.Message, correct: true, words: "corrects " + m.excerpt(msg.about)}
	default:
		c.about = &about{id: d.Message, words: "answers " + m.excerpt(msg.about)}
	}
}
