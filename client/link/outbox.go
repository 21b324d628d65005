package link

import (
	"errors"
	"slices"
)

// Bounds of what waits for the relay's acknowledgement.
const (
	maxOut      = 1000
	maxOutBytes = 16 << 20
)

// errHandled is the stream error of XEP-0198 section 4: the relay claims to have
// handled what was never sent, or takes back what it had said.
var errHandled = errors.New("the relay acknowledged stanzas that were not sent")

type kind byte

const (
	other kind = iota // presence, iq
	message
)

// outgoing is one stanza on its way to the relay.
type outgoing struct {
	id   string // of a message from the desk, for Settled; else empty
	b    []byte
	kind kind
	wipe bool
	sent bool // it was written to some stream, and may have arrived

	order uint64 // that it acknowledges; 0: none
}

// outbox holds, in order, the stanzas that the relay has not acknowledged. The
// first sent of them were written to the stream or to the one it resumes.
type outbox struct {
	items  []outgoing
	bytes  int
	sent   int
	flying int    // bytes of the first sent
	acked  uint32 // how many the relay has handled in this session, modulo 2^32
}

// push appends a stanza; it reports false, and keeps nothing, when there is no room.
func (o *outbox) push(x outgoing) bool {
	if len(o.items) >= maxOut || o.bytes+len(x.b) > maxOutBytes {
		return false
	}
	o.items = append(o.items, x)
	o.bytes += len(x.b)
	return true
}

// crowded reports whether answers to requests of others should be left out.
func (o *outbox) crowded() bool { return len(o.items) > maxOut/2 || o.bytes > maxOutBytes/2 }

// next returns the first stanza that was not sent yet.
func (o *outbox) next() (outgoing, bool) {
	if o.sent == len(o.items) {
		return outgoing{}, false
	}
	return o.items[o.sent], true
}

// took notes that the stanza which next returned is sent.
func (o *outbox) took() {
	o.flying += len(o.items[o.sent].b)
	o.items[o.sent].sent = true
	o.sent++
}

// ack takes the relay's count of handled stanzas and returns those that are done.
func (o *outbox) ack(h uint32) ([]outgoing, error) {
	n := h - o.acked // modulo 2^32
	if uint64(n) > uint64(o.sent) {
		return nil, errHandled
	}
	o.acked = h
	return o.done(int(n)), nil
}

// done removes the first n stanzas, which must have been sent.
func (o *outbox) done(n int) []outgoing {
	gone := o.items[:n:n]
	o.items = append([]outgoing(nil), o.items[n:]...)
	o.sent -= n
	for i := range gone {
		o.bytes -= len(gone[i].b)
		o.flying -= len(gone[i].b)
	}
	return gone
}

// resend makes everything be sent again on a resumed session.
func (o *outbox) resend() { o.sent, o.flying = 0, 0 }

// renew prepares for a new session: messages are sent again, the rest is dropped,
// since what it asked for or said belonged to the old session. first goes ahead.
func (o *outbox) renew(first ...outgoing) {
	items := first
	for _, x := range o.items {
		switch {
		case x.kind == message:
			items = append(items, x)
		case x.wipe:
			clear(x.b)
		}
	}
	*o = outbox{items: items}
	for i := range items {
		o.bytes += len(items[i].b)
	}
}

// withdraw removes a message from the desk that was never sent; it reports false
// when there is no such message.
func (o *outbox) withdraw(id string) bool {
	for i := o.sent; i < len(o.items); i++ {
		if x := &o.items[i]; x.id == id && id != "" && !x.sent {
			o.bytes -= len(x.b)
			o.items = slices.Delete(o.items, i, i+1)
			return true
		}
	}
	return false
}

// has reports whether a message from the desk with this id is held.
func (o *outbox) has(id string) bool {
	for i := range o.items {
		if o.items[i].id == id && id != "" {
			return true
		}
	}
	return false
}

// ids lists the messages from the desk, in order.
func (o *outbox) ids() []string {
	var ids []string
	for i := range o.items {
		if o.items[i].id != "" {
			ids = append(ids, o.items[i].id)
		}
	}
	return ids
}
