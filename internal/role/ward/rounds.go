package ward

import (
	"context"
	"errors"
	"strings"
	"time"

	"sotto/client"
	"sotto/client/store"
)

// The colleagues do nothing by themselves: they answer. Okafor answers always; the
// others once, and each shows something else. All come to rooms that they are
// invited to, and say one thing there.

// rounds is what a colleague says to the first message, and in a room.
type rounds struct {
	says  string
	image string // the name of an ECG that comes with it
	wrong string // what is said in error, and taken back
	room  string
}

var roundsOf = map[string]rounds{
	"okafor": {room: "Here. On call for cardiology until 07:00."},
	"lind":   {says: "The bed is yours from 22:00. This is the ECG that came with her.", image: "ecg-bed12.png", room: "ICU is listening."},
	"haddad": {says: "Seen. I call as soon as the repeat is through.", room: "Laboratory is here. Results come to this room."},
	"cardenas": {wrong: "Insulin 100 units in 50 ml, running at 50 ml/h.", says: "I took that back: it was for another bed. Bed 9 has 50 units in 50 ml, at 5 ml/h.",
		room: "Pharmacy is here."},
}

// How long a wrong message stands, and how long one colleague lets the other speak
// first in a room.
const (
	wrongFor = 4 * time.Second
	turn     = 1200 * time.Millisecond
)

// isRoom reports whether an address is not one of the people's.
func isRoom(peer string) bool { return !strings.HasSuffix(peer, "@"+Domain) }

// live lets the colleagues answer until the ward closes.
func (w *ward) live() {
	for i, p := range colleagues {
		m := w.members[p.name]
		said := make(chan client.Message, 64)
		m.answerWith(func(got client.Message) {
			select {
			case said <- got:
			default: // more than anyone on call can answer
			}
		})
		go m.serve(w.ctx, said, time.Duration(i)*turn)
	}
}

// serve answers what comes until the context ends.
func (m *member) serve(ctx context.Context, said <-chan client.Message, wait time.Duration) {
	answered := make(map[string]bool) // conversations
	for n := 0; ; {
		var got client.Message
		select {
		case got = <-said:
		case <-ctx.Done():
			return
		}
		first := !answered[got.Peer]
		switch {
		case got.Kind == store.Notice:
			if isRoom(got.Peer) { // an invitation; whatever else it is changes nothing
				_ = m.JoinRoom(ctx, got.Peer)
			}
		case got.Kind != store.Text || got.Sender.String() != self.address():
		case isRoom(got.Peer):
			if first && pause(ctx, wait) {
				m.answerTo(ctx, got, []string{roundsOf[m.name].room})
			}
			answered[got.Peer] = true
		case m.address() == Open:
			m.answerTo(ctx, got, answer(got.Body.String(), n))
			n++
		case first:
			answered[got.Peer] = true
			m.round(ctx, got)
		default:
			m.answerTo(ctx, got, nil)
		}
	}
}

// round answers the first message.
func (m *member) round(ctx context.Context, got client.Message) {
	r := roundsOf[m.name]
	if r.wrong != "" {
		m.answerTo(ctx, got, nil)
		wrong, err := m.say(ctx, got.Peer, r.wrong)
		if err != nil || !pause(ctx, wrongFor) {
			return
		}
		if _, err := m.Recall(ctx, got.Peer, wrong.ID); err != nil {
			return
		}
	}
	m.answerTo(ctx, got, []string{r.says})
	if r.image != "" {
		_, _ = m.Attach(ctx, got.Peer, r.image, "image/png", ECG(), "") // without it the words stand alone
	}
}

// say sends a text to whoever can read it.
func (m *member) say(ctx context.Context, peer, text string) (client.Message, error) {
	sent, err := m.Send(ctx, peer, text)
	if n := (*client.NewReaders)(nil); errors.As(err, &n) {
		if err := m.AcceptReaders(ctx, n); err != nil {
			return client.Message{}, err
		}
		return m.Send(ctx, peer, text)
	}
	return sent, err
}
