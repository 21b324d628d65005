package link

import (
	"fmt"
	"slices"
	"testing"

	"sotto/client/stanza"
)

// What is acknowledged is the longest run of stanzas from the first on that are
// all dealt with, whatever desks, cuts and the relay do.
func FuzzCounts(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 3, 0x14, 5, 0, 0x26, 3, 3, 3, 3, 0x34, 7, 8, 0, 7})
	f.Add([]byte{0x0, 0x1, 0x1, 0x2, 0x5, 0x1, 0x7, 0x56, 0x3, 0x3, 0x3, 0xf4, 0x7})
	f.Fuzz(func(t *testing.T, ops []byte) {
		type entry struct {
			e           *stanza.Element
			seq         uint64 // 0: never for the desk
			given, done bool
		}
		var (
			in    inbox
			all   []*entry // of this session
			queue []*entry // for the desk, of any session and replayed ones
		)
		take := func(local string, desk bool) {
			x := &entry{e: stanza.New(stanza.NSClient, local).With("id", fmt.Sprint(len(all))), done: !desk}
			all = append(all, x)
			if !desk {
				in.handle()
				return
			}
			h := &held{raw: []byte("x"), message: local == "message"}
			in.hold(x.e, h)
			x.seq = h.seq
			queue = append(queue, x)
		}
		forget := func(f func(*entry) bool) {
			var keep []*entry
			for _, x := range queue {
				if f(x) {
					x.done = true
				} else {
					keep = append(keep, x)
				}
			}
			queue = keep
		}
		isMessage := func(x *entry) bool { return x.e != nil && x.e.Local == "message" }
		for _, op := range ops {
			n := int(op >> 4)
			switch op & 15 {
			case 0:
				take("message", true)
			case 1:
				take("presence", true)
			case 2:
				take("iq", false)
			case 3:
				if in.next < len(in.items) {
					if queue[in.next].seq != in.items[in.next].seq {
						t.Fatalf("given %d, not %d", in.items[in.next].seq, queue[in.next].seq)
					}
					queue[in.next].given = true
					in.next++
				}
			case 4:
				seq := in.seq
				if n < len(queue) {
					seq = queue[n].seq
				}
				in.stored(seq)
				forget(func(x *entry) bool { return x.given && x.seq <= seq })
			case 5:
				in.detach()
				forget(func(x *entry) bool { return !isMessage(x) })
				for _, x := range queue {
					x.given = false
				}
			case 6:
				// A desk attaches; while it is told the state, stanzas come.
				forget(func(x *entry) bool { return x.e == nil })
				for _, x := range queue {
					x.given = false
				}
				at, first := len(queue), in.seq
				in.next = 0
				in.reserve()
				for range n / 4 {
					take("presence", true)
				}
				in.replay(make([][]byte, n))
				for i := range n {
					queue = slices.Insert(queue, at+i, &entry{seq: first + uint64(i) + 1})
				}
			case 7: // a cut; then everything is resent that the relay was not told of
				h := in.handled
				in.resumed(h)
				for _, x := range all[h:] {
					if known, err := in.known(x.e); !known || err != nil {
						t.Fatalf("%s: known %v, %v", x.e, known, err)
					}
				}
				if known, _ := in.known(stanza.New(stanza.NSClient, "message")); known {
					t.Fatal("a new stanza counts as resent")
				}
			case 8:
				in.renew()
				all = nil
				forget(func(x *entry) bool { return !isMessage(x) })
			}
			done := 0
			for done < len(all) && all[done].done {
				done++
			}
			if int(in.handled) != done || int(in.total) != len(all) {
				t.Fatalf("after %x: %d of %d handled, not %d of %d", op, in.handled, in.total, done, len(all))
			}
			if len(in.items) != len(queue) || in.replayed > len(in.items) || in.bytes != len(in.items)-in.replayed {
				t.Fatalf("after %x: %d items, %d of them replayed, %d bytes; not %d", op, len(in.items), in.replayed, in.bytes, len(queue))
			}
		}
	})
}

// While one message can't be stored, desks may come and go for ever.
func TestWindowIsBounded(t *testing.T) {
	var in inbox
	e := stanza.New(stanza.NSClient, "presence")
	in.hold(e, &held{message: true})
	for range 100 {
		for range 50 {
			in.hold(e, &held{})
			in.handle()
		}
		in.detach()
		if len(in.window) > 2 {
			t.Fatalf("%d entries for one message", len(in.window))
		}
	}
	in.next = 1
	in.stored(in.seq)
	if in.handled != in.total || in.total != 10001 {
		t.Errorf("%d handled of %d", in.handled, in.total)
	}
}

// What a session brought that is lost is not given to the desk as the next one's.
func TestRenewForgetsTheOldSession(t *testing.T) {
	var in inbox
	in.hold(stanza.New(stanza.NSClient, "presence"), &held{raw: []byte("a")})
	in.hold(stanza.New(stanza.NSClient, "message"), &held{raw: []byte("b"), message: true})
	in.next = 1
	in.renew()
	if len(in.items) != 1 || string(in.items[0].raw) != "b" || in.next != 0 || in.bytes != 1 {
		t.Errorf("%d items, next %d, %d bytes", len(in.items), in.next, in.bytes)
	}
}

// Many presences for a new desk do not hold up the relay.
func TestReplayedDoNotFill(t *testing.T) {
	var in inbox
	for range 3 {
		in.reserve()
		in.replay(make([][]byte, maxPresences))
	}
	if len(in.items) != maxPresences || in.full() {
		t.Errorf("%d items, full %v", len(in.items), in.full())
	}
	in.detach()
	if len(in.items) != 0 || in.replayed != 0 {
		t.Errorf("%d items, %d of them replayed", len(in.items), in.replayed)
	}
}
