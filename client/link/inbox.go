package link

import (
	"errors"
	"slices"
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
	seq      uint64
	raw      []byte
	message  bool
	replayed bool     // received, and counted, before; the desk is only told again
	done     bool     // stored, or dropped because the desk went
	arrival  *arrival // of a message: what it means to somebody who is not there
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
	items    []*held // in the order of seq
	bytes    int     // of items, without those replayed
	replayed int     // how many of items are
	next     int     // the first one that this desk has not been given
	seq      uint64
	reserved uint64 // maxPresences numbers after this one are kept for what is replayed

	window  []received // received in this session after the first handled
	handled uint32     // modulo 2^32
	total   uint32     // received in this session, modulo 2^32
	resent  uint32     // of the stanzas to come on a resumed stream, how many are known
}

// renew begins to count for a new session. Presence and answers of the old one
// mean nothing any more.
func (in *inbox) renew() {
	in.remove(func(h *held) bool { return !h.message })
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

// reserve prepares for replay: what is received from now on comes after it.
func (in *inbox) reserve() {
	in.reserved = in.seq
	in.seq += maxPresences
}

// replay gives the desk stanzas that were received before, at most maxPresences,
// in place of those replayed earlier. They have a place in items, so that Stored
// covers them, and none in window, so that nothing is counted twice. Nothing that
// was received after reserve may have been given yet.
func (in *inbox) replay(list [][]byte) {
	in.remove(func(h *held) bool { return h.replayed })
	at := in.next
	for at < len(in.items) && in.items[at].seq <= in.reserved {
		at++
	}
	again := make([]*held, len(list))
	for i, raw := range list {
		again[i] = &held{seq: in.reserved + 1 + uint64(i), raw: raw, replayed: true}
	}
	in.items = slices.Insert(in.items, at, again...)
	in.replayed = len(again)
}

// room reports whether the message e of n bytes can be held while no desk is
// attached. News of other people's devices and the like, of which a new session
// brings one for each contact, leave half of the room to what people wrote; a new
// desk asks for such things anyway.
func (in *inbox) room(e *stanza.Element, n int) bool {
	most := maxHeld
	if e.Child(stanza.NSPubSubEvent, "event") != nil {
		most = maxHeld / 2
	}
	return len(in.items) < most && in.bytes+n <= maxHeldBytes
}

// full reports whether the desk is too far behind to read on.
func (in *inbox) full() bool {
	return len(in.items)-in.replayed >= maxAhead || in.bytes >= maxAheadBytes
}

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
	if h.replayed {
		in.replayed--
	} else {
		in.bytes -= len(h.raw)
	}
	h.done, h.raw = true, nil
}

// remove drops the items for which f holds.
func (in *inbox) remove(f func(*held) bool) {
	var keep []*held
	next := in.next
	for i, h := range in.items {
		switch {
		case !f(h):
			keep = append(keep, h)
			continue
		case i < in.next:
			next--
		}
		in.drop(h)
	}
	in.items, in.next = keep, next
}

// detach keeps the messages for the next desk and drops the rest, which was an
// answer to the desk that went or will be told anew.
func (in *inbox) detach() {
	in.remove(func(h *held) bool { return !h.message })
	in.next = 0
	in.advance()
	in.merge()
}

// merge makes runs of what is done, so that window does not grow from desk to
// desk while the first stanza in it can't be stored.
func (in *inbox) merge() {
	var short []received
	for _, r := range in.window {
		if r.held != nil && r.held.done {
			r = received{n: r.n}
		}
		if n := len(short); r.held == nil && n > 0 && short[n-1].held == nil {
			short[n-1].n += r.n
			continue
		}
		short = append(short, r)
	}
	in.window = short
}

// advance raises handled over what is done.
func (in *inbox) advance() {
	for len(in.window) > 0 && (in.window[0].held == nil || in.window[0].held.done) {
		in.handled += in.window[0].n
		in.window[0] = received{}
		in.window = in.window[1:]
	}
}
