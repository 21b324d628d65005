package tui

import (
	"strings"
	"time"

	"sotto/client"
	"sotto/client/quote"
	"sotto/client/store"
	"sotto/themes"
)

// remark is a line under a message: what sotto says of it.
type remark struct {
	words string
	style themes.Style
}

// sayings are what is said of a message.
func (m *Model) sayings(msg *client.Message) sayings {
	var s sayings
	s.remarks = m.remarks(msg)
	s.instead.words, s.instead.style = m.instead(msg)
	return s
}

// remarks are the lines under a message.
func (m *Model) remarks(msg *client.Message) (list []remark) {
	k := &m.look
	if msg.Gone != store.Here || msg.Kind != store.Text {
		return nil
	}
	if msg.Corrects {
		list = append(list, remark{"corrects " + m.at(msg.AboutTime, msg.Time), k.Warning})
	}
	if msg.CorrectedBy != 0 {
		list = append(list, remark{"corrected below, at " + m.at(msg.Corrected, msg.Time), k.Warning})
	}
	if len(msg.Acks) > 0 {
		parts := make([]string, 0, 5)
		for i, a := range msg.Acks {
			if i == 4 && len(msg.Acks) > 5 {
				parts = append(parts, "and "+itoa(len(msg.Acks)-4)+" others")
				break
			}
			parts = append(parts, m.person(a.Sender.String())+" "+m.at(a.Time, msg.Time))
		}
		list = append(list, remark{"ack " + k.dots(parts...), k.Ack})
	}
	if msg.ID == m.askAck {
		list = append(list, remark{"acknowledge with Alt+Enter", k.Faint})
	}
	if n := len(msg.Reactions); n > 0 {
		who := make([]string, 0, 4)
		for _, r := range msg.Reactions[:min(n, 3)] {
			who = append(who, m.person(r.Sender.String())+" "+clip(k.m, r.Words.String(), 12, k.more))
		}
		if n > 3 {
			who = append(who, "and "+itoa(n-3)+" others")
		}
		list = append(list, remark{"reaction, not encrypted: " + k.dots(who...), k.Faint})
	}
	return list
}

// instead is what is shown in place of a message's text; "" if that is shown.
func (m *Model) instead(msg *client.Message) (string, themes.Style) {
	k := &m.look
	switch {
	case msg.Gone == store.Recalled:
		by := m.person(msg.GoneBy.String())
		if msg.GoneBy.Empty() {
			by = m.person(msg.Sender.String())
		}
		words := "taken back by " + by + " at " + m.at(msg.GoneAt, msg.Time)
		switch s := msg.Recall.State; {
		case msg.Carried == 0 && (s == store.Queued || s == store.Sent):
			words = k.dots(words, s.String())
		case msg.CarriedOf > 0:
			words = k.dots(words, "gone on "+itoa(msg.Carried)+" of "+count(msg.CarriedOf, "other device"))
		}
		return words, k.Faint
	case msg.Gone != store.Here:
		return k.gone(msg)
	case msg.Kind == store.Retraction: // else the other's line says it
		return "took back a message that is not here", k.Notice
	}
	return "", k.Text
}

// at is a time of day, with the day if that is another than the other time's.
func (m *Model) at(t, other time.Time) string {
	t, other = t.In(m.look.zone), other.In(m.look.zone)
	if sameDay(t, other) && t.Year() == other.Year() {
		return t.Format("15:04")
	}
	return t.Format("15:04 on 2 January")
}

// person is what somebody is called within a sentence.
func (m *Model) person(address string) string {
	if address == m.self.Address {
		return "you"
	}
	return shortName(m.conversation(address).Name.String(), address)
}

// unacknowledged is the newest urgent message of somebody else in the open
// conversation that this person has not acknowledged; nil if there is none.
func (m *Model) unacknowledged() *client.Message {
	if m.tl == nil {
		return nil
	}
	for i := len(m.tl.msgs) - 1; i >= 0; i-- {
		if msg := &m.tl.msgs[i]; m.wantsAck(msg) {
			return msg
		}
	}
	return nil
}

// wantsAck reports whether a message waits for this person's word.
func (m *Model) wantsAck(msg *client.Message) bool {
	if msg.Outgoing || msg.Urgency == store.Routine || msg.Kind != store.Text || msg.Gone != store.Here {
		return false
	}
	for _, a := range msg.Acks {
		if a.Sender.String() == m.self.Address {
			return false
		}
	}
	return true
}

// quoted takes the quote off the beginning of a text, for drawing: its lines, and
// the rest.
func quoted(body string) (lines []string, rest string) {
	mark, q, rest := quote.Split(body)
	if q == "" {
		return nil, body
	}
	if mark != "" {
		rest = mark + " " + rest
	}
	return strings.Split(q, "\n"), rest
}
