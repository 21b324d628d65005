package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/text"
)

// The organisation's directory names people whom nobody here has written to yet, and
// says of all what they do. It lies in memory; while it is being read just after
// unlocking, who asks waits, so commands ask.

// maxPeople bounds the people of the directory in the switcher.
const maxPeople = 50

// peopleMsg is who of the directory matches what is written in a switcher.
type peopleMsg struct {
	d     *switcher
	query string
	list  []client.Person
	why   text.Safe // of an address: why there can be no conversation
}

// loadPeople looks for people in the directory.
func (m *Model) loadPeople(d *switcher) tea.Cmd {
	query := d.query()
	if query == d.asked || query == "" {
		return nil
	}
	d.asked = query
	return m.query(func(q queryContext) tea.Msg {
		msg := peopleMsg{d: d, query: query, list: q.People(query, maxPeople)}
		if to := address(query); to != "" {
			if err := q.MayTalk(to); err != nil {
				msg.why = text.Line(err.Error())
			}
		}
		return msg
	})
}

// peopleFound takes who was found. What was found for other letters than stand there
// now is not shown: Enter must not go to somebody by chance.
func (m *Model) peopleFound(msg peopleMsg) {
	if msg.query != msg.d.query() {
		return // an answer that others have overtaken
	}
	msg.d.people, msg.d.why, msg.d.peopleFor = msg.list, msg.why, msg.query
	for _, p := range msg.list {
		m.know(p)
	}
}

// know keeps who somebody is.
func (m *Model) know(p client.Person) {
	if m.known == nil {
		m.known = make(map[string]client.Person)
	}
	m.known[p.Address] = p
}

// introduce adds to conversations what the directory says of the people: the name, if
// they have none here, and what they do, if they are in no group.
func (q queryContext) introduce(list []client.Conversation) map[string]client.Person {
	known := make(map[string]client.Person)
	for i := range list {
		c := &list[i]
		if c.Room {
			continue
		}
		p, ok := q.Person(c.Peer)
		if !ok {
			continue
		}
		known[c.Peer] = p
		described(c, p)
	}
	return known
}

// described is a conversation with what the directory says.
func described(c *client.Conversation, p client.Person) {
	if c.Name.String() == c.Peer {
		c.Name = p.Name
	}
	if c.Group.Empty() {
		c.Group = text.Line(strings.Join(p.About(), ", "))
	}
}

// mayOpen says why there can be no conversation with an address that was typed, and
// reports whether there can. Once the directory is in memory, which it is before
// anybody has typed one, this does not wait; and it must not come later, or what is
// typed next would go elsewhere.
func (m *Model) mayOpen(to string) bool {
	if m.list.find(to) != nil {
		return true // to be read, at least
	}
	if err := m.cfg.Messenger.MayTalk(to); err != nil {
		m.refuseTalk(text.Line(err.Error()))
		return false
	}
	return true
}

func (m *Model) refuseTalk(why text.Safe) {
	m.warn("No conversation: " + strings.TrimRight(why.String(), ".") + ". Your organisation says whom you can write to.")
}
