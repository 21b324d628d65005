package link

import (
	"errors"
	"strings"

	"sotto/client/stanza"
)

// Bounds of what waits for the desk.
const (
	maxHeld      = 400     // stanzas, while no desk is attached
	maxHeldBytes = 8 << 20 // of these
	// While a desk is attached, nothing more is read from the relay beyond this.
	maxAhead      = 1000
	maxAheadBytes = 16 << 20
)

// errResent is what a relay earns that resends other stanzas than it sent.
var errResent = errors.New("the relay resent other stanzas than it had sent")

// held is one stanza that the desk must store.
type held struct {
	seq       uint64
	raw       []byte
	message   bool
	done      bool // stored, or dropped because the desk went
	countable bool // a message to a person
	stat      bool
}

// received is what was received in order: one stanza that the desk has or will
// have, or a run of n that need nothing more.
type received struct {
	n    uint32
	held *held
	kind string
	id   string
}

// inbox holds the stanzas that the desk has not reported Stored, and counts for
// XEP-0198: handled grows only over a prefix of what was received, all of it
// stored by the desk or dealt with by the link.
type inbox struct {
	items []*held // in the order of seq
	bytes int
	next  int // the first one that this desk has not been given
	seq   uint64

	window  []received // received in this session after the first handled
	handled uint32     // modulo 2^32
	total   uint32     // received in this session, modulo 2^32
	resent  uint32     // of the stanzas to come on a resumed stream, how many are known
}

// renew begins to count for a new session.
func (in *inbox) renew() {
	in.window, in.handled, in.total, in.resent = nil, 0, 0, 0
}

// resumed prepares for the stanzas that the relay resends after it was told h.
func (in *inbox) resumed(h uint32) { in.resent = in.total - h }

// known reports whether a stanza is one that was received already, before the
// stream broke, and moves past it.
func (in *inbox) known(e *stanza.Element) (bool, error) {
	if in.resent == 0 {
		return false, nil
	}
	ahead := in.total - in.resent - in.handled // its place in window; wraps where the desk has stored it since
	in.resent--
	if int32(ahead) < 0 {
		return true, nil
	}
	for _, r := range in.window {
		if ahead < r.n {
			if r.held != nil && (r.kind != e.Local || r.id != e.Get("id")) {
				return true, errResent
			}
			return true, nil
		}
		ahead -= r.n
	}
	return true, errResent
}

// handle counts a stanza that needs no desk.
func (in *inbox) handle() {
	in.total++
	if n := len(in.window); n > 0 && in.window[n-1].held == nil {
		in.window[n-1].n++
	} else {
		in.window = append(in.window, received{n: 1})
	}
	in.advance()
}

// hold counts a stanza and keeps it for the desk.
func (in *inbox) hold(e *stanza.Element, h *held) {
	in.keep(h)
	in.total++
	in.window = append(in.window, received{1, h, strings.Clone(e.Local), strings.Clone(e.Get("id"))})
}

// keep keeps a stanza that XEP-0198 does not count.
func (in *inbox) keep(h *held) {
	in.seq++
	h.seq = in.seq
	in.items = append(in.items, h)
	in.bytes += len(h.raw)
}

// room reports whether a stanza of n bytes can be held while no desk is attached.
func (in *inbox) room(n int) bool { return len(in.items) < maxHeld && in.bytes+n <= maxHeldBytes }

// full reports whether the desk is too far behind to read on.
func (in *inbox) full() bool { return len(in.items) >= maxAhead || in.bytes >= maxAheadBytes }

// stored takes the desk's word that everything up to seq is stored. What it was
// never given it cannot have stored.
func (in *inbox) stored(seq uint64) {
	n := 0
	for n < in.next && in.items[n].seq <= seq {
		in.drop(in.items[n])
		n++
	}
	in.items = append([]*held(nil), in.items[n:]...)
	in.next -= n
	in.advance()
}

func (in *inbox) drop(h *held) {
	in.bytes -= len(h.raw)
	h.done, h.raw = true, nil
}

// detach keeps the messages for the next desk and drops the rest, which was an
// answer to the desk that went or will be told anew.
func (in *inbox) detach() {
	var keep []*held
	for _, h := range in.items {
		if h.message {
			keep = append(keep, h)
		} else {
			in.drop(h)
		}
	}
	in.items, in.next = keep, 0
	in.advance()
}

// advance raises handled over what is done.
func (in *inbox) advance() {
	for len(in.window) > 0 && (in.window[0].held == nil || in.window[0].held.done) {
		in.handled += in.window[0].n
		in.window[0] = received{}
		in.window = in.window[1:]
	}
}

// waits reports whether a message is one that a person waits for: with a body or
// encrypted, no copy of what this account sent, no error; and whether it is
// marked urgent in the clear (XEP-0131). self is the own bare address.
func waits(e *stanza.Element, self string) (countable, stat bool) {
	if stanza.IsCarbon(e) {
		if from := e.Get("from"); from != "" && from != self {
			return false, false
		}
		inner, sent := stanza.ReadCarbon(e)
		if inner == nil || sent {
			return false, false
		}
		e = inner
	}
	m, err := stanza.ReadMessage(e)
	if err != nil || m.Type == "error" || m.From.Bare().String() == self {
		return false, false
	}
	countable = m.HasBody || e.Child("", "encrypted").Child("", "payload") != nil
	return countable, countable && m.Urgent
}
