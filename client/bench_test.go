package client

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/org/directory"
	"sotto/client/stanza"
	"sotto/client/store"
)

// BenchmarkCatchUp is how many messages a second a client takes from the
// archive: parsed, decrypted, stored with the ratchet in an encrypted database
// on disk, and told to the screen. One operation is one message. The budget is
// 5,000 messages a second, 200 µs each.
func BenchmarkCatchUp(b *testing.B) {
	d := newDouble(b)
	d.messages = make(chan *stanza.Element, b.N+1000)
	st, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "sotto.db"), memguard.NewBufferRandom(store.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	conn := d.attach(1)
	c := run(b, st, conn)
	wait(b, c, func(CaughtUp) bool { return true })
	d.published(c)
	peers := make([]*remote, 4)
	for i := range peers {
		peers[i] = newRemote(b, d, fmt.Sprintf("p%d@mercy.example", i))
		peers[i].start(d, c)
		d.deliver(peers[i].write(c, "first", "first"))
		wait(b, c, func(x MessageAdded) bool { return x.Message.Peer == peers[i].jid })
		d.sent(func(e *stanza.Element) bool {
			if e.Child(stanza.NSOmemo, "encrypted") == nil || e.Get("to") != peers[i].jid {
				return false
			}
			_, err := peers[i].read(e)
			return err == nil
		})
	}
	conn.Close()
	d.archive = append(d.archive, stanza.NewChat(me, "first", stanza.Body("x")).With("from", peers[0].jid))
	if err := st.Update(ctx, func(tx *store.Tx) error { return tx.SetArchivePosition(me, "a0") }); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		p := peers[i/50%len(peers)] // people write in runs
		d.archive = append(d.archive, p.write(c, "m"+strconv.Itoa(i), "Calcium gluconate 10 ml now. #mrn:44120 repeat K in 30 min. "+strconv.Itoa(i)))
	}

	watch := startWatch(b)
	c = run(b, st, d.attach(2))
	for !c.State().CaughtUp {
		select {
		case <-c.Events():
		case <-time.After(time.Second):
		}
	}
	watch.stop()
	n := 0
	for _, p := range peers {
		list, err := c.Messages(ctx, p.jid, 0, b.N+10)
		if err != nil {
			b.Fatal(err)
		}
		for i := range list {
			if list[i].Kind == store.Text && list[i].Encrypted {
				n++
			}
		}
	}
	if n != b.N+len(peers) {
		b.Fatalf("%d of %d messages", n, b.N+len(peers))
	}
}

// BenchmarkEndInCatchUp is how long a client goes on after it was told to end, as
// when sotto is locked, in the middle of taking the archive over: the batch that
// is being stored is given up. The whole of locking has 100 ms.
func BenchmarkEndInCatchUp(b *testing.B) {
	d := newDouble(b)
	d.messages = make(chan *stanza.Element, 1<<20)
	st, err := store.Open(context.Background(), filepath.Join(b.TempDir(), "sotto.db"), memguard.NewBufferRandom(store.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	conn := d.attach(1)
	c := run(b, st, conn)
	wait(b, c, func(CaughtUp) bool { return true })
	d.published(c)
	r := newRemote(b, d, ada)
	r.start(d, c)
	conn.Close()
	from(b, c.ended, "end of Run")
	for i := range 2000 {
		d.archive = append(d.archive, r.write(c, "m"+strconv.Itoa(i), "Calcium gluconate 10 ml now. "+strconv.Itoa(i)))
	}
	if err := st.Update(ctx, func(tx *store.Tx) error { return tx.SetValue(valueCaught, []byte{1}) }); err != nil {
		b.Fatal(err)
	}
	var worst, all time.Duration
	n := 0
	for session := uint64(2); b.Loop(); session++ {
		b.StopTimer()
		conn := d.attach(session)
		c, err := New(Config{Account: Account{Address: me, Password: memguard.NewBufferFromBytes([]byte("pw"))}, Store: st, Link: conn})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		before := d.storedNow()
		for d.storedNow() == before && !c.State().CaughtUp {
			time.Sleep(100 * time.Microsecond)
		}
		busy := !c.State().CaughtUp
		b.StartTimer()
		start := time.Now()
		cancel()
		<-done
		if took := time.Since(start); busy {
			worst, all, n = max(worst, took), all+took, n+1
		}
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms-worst")
	if n > 0 {
		b.ReportMetric(float64(all.Microseconds())/1000/float64(n), "ms-busy")
	}
	b.ReportMetric(float64(n), "busy")
}

// storedNow is what the client has acknowledged.
func (d *double) storedNow() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stored
}

// BenchmarkPeople looks for somebody among 10,000 people of the directory, as one types
// the name: a look-up a key.
func BenchmarkPeople(b *testing.B) {
	c, _ := online(b)
	o := govern(b, c)
	first, last := []string{"Ada", "Per", "Rana", "Luis", "Jörg", "Mei", "Sam"}, []string{"Okafor", "Lind", "Haddad", "Cardenas", "Weiß", "Chen", "Carter"}
	var entries []directory.Entry
	for i := range 10_000 {
		entries = append(entries, directory.Entry{Address: fmt.Sprintf("p%d@mercy.example", i), State: directory.Active,
			Name: fmt.Sprintf("%s, %s %d", last[i%7], first[i/7%7], i), Roles: []string{"physician"}, Department: fmt.Sprint("Ward ", i%40)})
	}
	notes, err := o.staff.Sign(o.key, o.key.Key, time.Now(), entries...)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.store.Update(ctx, func(tx *store.Tx) error { _, err := o.member.ApplyDirectory(tx, notes...); return err }); err != nil {
		b.Fatal(err)
	}
	const typed = "weiss jorg ward 17"
	c.People("x", 50)
	b.ResetTimer()
	keys, found := 0, 0
	for b.Loop() {
		for i := range typed {
			found = len(c.People(typed[:i+1], 50))
			keys++
		}
	}
	if found == 0 {
		b.Error("nobody is found")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(keys), "µs/key")
}
