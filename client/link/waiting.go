package link

import (
	"slices"
	"strings"
	"time"

	"sotto/client/stanza"
)

// Bounds of what is known about waiting messages.
const (
	maxWaiting = 99999 // as many are counted
	maxRecent  = 1000  // of so many it is known which they are
)

// arrival is what a message stanza means to somebody who is not there: a message
// to them, or that they saw one on another device.
type arrival struct {
	peer string // bare address
	id   string // of the message; empty if it has none
	stat bool   // marked urgent in the clear (XEP-0131)
	room bool   // it was written in a room
	read bool   // the messages of peer up to id were shown elsewhere (XEP-0333)
	at   time.Time
}

// arrivalOf returns what e means; nil if nothing. A message counts if it has a
// body or is encrypted and is no error, and no part of an audit log; roomNews has more about those of rooms.
// That another device of the account got it as well, as a received carbon says,
// changes nothing: nobody may have looked there. What somebody did look at, the
// other device's own marker says, of which a sent carbon tells. Carbons that do
// not come from the account itself (XEP-0280 section 11) mean nothing. self is the
// own bare address.
func arrivalOf(e *stanza.Element, self string) *arrival {
	if stanza.IsCarbon(e) {
		if from := e.Get("from"); from != "" && from != self {
			return nil
		}
		inner, sent := stanza.ReadCarbon(e)
		if sent {
			m, err := stanza.ReadMessage(inner)
			if err != nil || m.Read == "" {
				return nil
			}
			return &arrival{peer: m.To.Bare().String(), id: strings.Clone(m.Read), read: true}
		}
		if inner.Get("type") == "groupchat" { // of which there are no copies (XEP-0280 section 6.1)
			return nil
		}
		e = inner
	}
	m, err := stanza.ReadMessage(e)
	if err != nil || m.Type == "error" || m.From.Bare().String() == self {
		return nil
	}
	if m.Type != "groupchat" && stanza.IsAudit(e) {
		return nil // for a program
	}
	if !m.HasBody && e.Child("", "encrypted").Child("", "payload") == nil {
		return nil
	}
	id := m.ID
	if id == "" {
		id = m.OriginID
	}
	return &arrival{peer: m.From.Bare().String(), id: strings.Clone(id), stat: m.Urgent, room: m.Type == "groupchat"}
}

// waiting is what came since the last desk went.
type waiting struct {
	n, stat int
	since   time.Time // when the first of them came; zero when none waits
	recent  []arrival // the newest of them
}

// add counts a message, or takes off what was read elsewhere; a may be nil. A
// message that comes again, as after a session was lost, counts once.
func (w *waiting) add(a *arrival) {
	if a == nil {
		return
	}
	if a.read {
		w.read(a.peer, a.id)
		return
	}
	for i := range w.recent {
		if r := &w.recent[i]; a.id != "" && r.id == a.id && r.peer == a.peer {
			if a.stat && !r.stat {
				r.stat = true
				w.stat++
			}
			return
		}
	}
	if w.n >= maxWaiting {
		return
	}
	a.at = time.Now()
	if w.n == 0 {
		w.since = a.at
	}
	w.n++
	if a.stat {
		w.stat++
	}
	if len(w.recent) == maxRecent {
		w.recent = slices.Delete(w.recent, 0, 1)
	}
	w.recent = append(w.recent, *a)
}

// read takes off the messages of peer up to the one with this id. If that one is
// not known nothing is: what came after it must go on to ring.
func (w *waiting) read(peer, id string) {
	last := -1
	for i, r := range w.recent {
		if r.peer == peer && r.id == id {
			last = i
		}
	}
	keep := w.recent[:0]
	for i, r := range w.recent {
		if i > last || r.peer != peer {
			keep = append(keep, r)
			continue
		}
		w.n--
		if r.stat {
			w.stat--
		}
	}
	clear(w.recent[len(keep):])
	w.recent = keep
	switch {
	case w.n == 0:
		w.since = time.Time{}
	case w.n == len(keep):
		w.since = keep[0].at
	}
}
