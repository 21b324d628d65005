package client

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// stopwatch measures what a catching up costs.
type stopwatch struct {
	b     *testing.B
	start time.Time
	used  time.Duration
}

func startWatch(b *testing.B) *stopwatch {
	b.ReportAllocs()
	b.ResetTimer()
	return &stopwatch{b, time.Now(), processorTime()}
}

// stop reports messages a second, by the clock and by the processor time of both
// ends.
func (s *stopwatch) stop() {
	s.b.StopTimer()
	s.b.ReportMetric(float64(s.b.N)/time.Since(s.start).Seconds(), "messages/s")
	if used := processorTime() - s.used; used > 0 {
		s.b.ReportMetric(float64(s.b.N)/used.Seconds(), "messages/cpu-s")
	}
}

// BenchmarkCatchUpRoom is BenchmarkCatchUp for a room of twelve people, of whom
// eight write: each message comes with the keys for all of them, and every twentieth
// stanza is a marker of who has read.
func BenchmarkCatchUpRoom(b *testing.B) {
	const writers, devices = 8, 12
	l := &lair{double: newDouble(b), log: &journal{}}
	l.messages = make(chan *stanza.Element, 2*b.N+1000)
	items := []stanza.RoomItem{roomItem(me, stanza.Member), roomItem(ada, stanza.Owner)}
	people := make([]*remote, writers)
	for i := range people {
		people[i] = newRemote(b, l.double, fmt.Sprintf("p%d@mercy.example", i))
		items = append(items, roomItem(people[i].jid, stanza.Member))
	}
	l.list.Store(&items)
	history := &shelf{every: 2 * time.Second}
	history.hide(0, 0)
	l.hook, l.enters = func(iq *stanza.Element) *stanza.Element {
		if iq.Get("to") == icu {
			if e := history.answer(l.double, iq); e != nil {
				return e
			}
		}
		return l.answer(iq)
	}, l.entered
	st, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "sotto.db"), memguard.NewBufferRandom(store.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	if err := st.Update(ctx, func(tx *store.Tx) error {
		return tx.PutRoom(store.Room{Address: icu, Name: "ICU", Nick: "ng", Joined: true})
	}); err != nil {
		b.Fatal(err)
	}
	conn := l.attach(1)
	c := run(b, st, conn)
	wait(b, c, func(CaughtUp) bool { return true })
	l.published(c)
	for _, p := range people {
		p.start(l.double, c)
		l.deliver(p.write(c, "first", "first"))
		wait(b, c, func(x MessageAdded) bool { return x.Message.Peer == p.jid })
		l.sent(func(e *stanza.Element) bool {
			if e.Child(stanza.NSOmemo, "encrypted") == nil || e.Get("to") != p.jid {
				return false
			}
			_, err := p.read(e)
			return err == nil
		})
	}
	l.c = c
	eventually(b, "the client is in the room", l.ready)
	conn.Close()
	from(b, c.ended, "end of Run")
	history.add(b.N+b.N/20, func(i int) *stanza.Element {
		p := people[i/3%writers] // they talk with each other
		from := stanza.RoomUser{Items: []stanza.RoomItem{roomItem(p.jid+"/phone", stanza.Member)}}.Element()
		m := stanza.New(stanza.NSClient, "message", from).With("type", "groupchat").With("id", "m"+strconv.Itoa(i)).With("from", icu+"/"+p.jid[:2])
		if i%21 == 20 {
			return m.Add(stanza.New(stanza.NSMarkers, "displayed").With("id", shelfID(i-1)))
		}
		p.do(func(tx *store.Tx) error {
			enc, err := p.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, []byte("Calcium gluconate 10 ml now. #mrn:44120 repeat K in 30 min. "+strconv.Itoa(i)))
			if err != nil {
				return err
			}
			header := enc.Child(stanza.NSOmemo, "header")
			key := header.Child(stanza.NSOmemo, "key")
			for n := range devices - 1 {
				header.Add(stanza.TextElement(stanza.NSOmemo, "key", key.Text()).With("rid", strconv.Itoa(n+1)))
			}
			m.Add(enc)
			return nil
		})
		return m.Add(stanza.Markable(), stanza.StoreHint(), stanza.Body(fallback))
	})

	watch := startWatch(b)
	c = run(b, st, l.attach(2))
	for done := false; !done; {
		select {
		case <-c.Events():
		case <-time.After(time.Second):
		}
		done = ofRun(b, c, func() bool { r := c.rooms[icu]; return r != nil && r.archive.done })
	}
	watch.stop()
	list, err := c.Messages(ctx, icu, 0, 2*b.N)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for i := range list {
		if list[i].Kind == store.Text && list[i].Encrypted {
			n++
		}
	}
	if want := b.N + b.N/20 - (b.N+b.N/20)/21; n != want {
		b.Fatalf("%d of %d messages", n, want)
	}
}
