package collect_test

import (
	"context"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/store"
)

// device is a device with its log in a database in memory.
type device struct {
	t   testing.TB
	id  audit.Device
	s   *store.Store
	log *audit.Log
	now time.Time
}

func newDevice(t testing.TB, id audit.Device) *device {
	t.Helper()
	s, err := store.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l, err := audit.New(id)
	if err != nil {
		t.Fatal(err)
	}
	return &device{t, id, s, l, noon}
}

func (d *device) update(fn func(*store.Tx) error) {
	d.t.Helper()
	if err := d.s.Update(context.Background(), fn); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) grow(n int) {
	d.say(n, audit.Event{Kind: audit.MessageShown, Peer: ben, Message: audit.IDOf("x")})
}

func (d *device) say(n int, e audit.Event) {
	d.t.Helper()
	d.update(func(tx *store.Tx) error {
		for range n {
			d.now = d.now.Add(time.Second)
			if _, err := d.log.Append(tx, d.now, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *device) batch(limit int) []byte {
	d.t.Helper()
	var b *audit.Batch
	d.update(func(tx *store.Tx) (err error) {
		d.now = d.now.Add(time.Second)
		b, _, err = d.log.Batch(tx, d.now, keyOf(d.id), limit)
		return err
	})
	return b.Marshal()
}

func (d *device) confirm(answer []byte) error {
	a, err := audit.ParseAnswer(answer)
	if err != nil {
		d.t.Fatal(err)
	}
	public, _ := lookup(d.id)
	return d.s.Update(context.Background(), func(tx *store.Tx) error { return d.log.Confirm(tx, a, public, collector) })
}

func (d *device) state() (s audit.State) {
	d.update(func(tx *store.Tx) (err error) { s, err = tx.AuditState(); return err })
	return s
}

// rewind has a log that is sent from another place on.
func (d *device) rewind(next int64) {
	d.update(func(tx *store.Tx) error {
		s, err := tx.AuditState()
		if err != nil {
			return err
		}
		s.Next = next
		return tx.SetAuditState(s)
	})
}
