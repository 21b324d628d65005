package store

import (
	"fmt"
	"testing"
	"time"

	"sotto/client/omemo"
)

func TestKeys(t *testing.T) {
	s := memory(t)
	peer := omemo.Address{JID: ben, Device: 1<<31 - 1}
	update(t, s, func(tx *Tx) error {
		if state, err := tx.Session(peer); state != nil || err != nil {
			t.Errorf("a session out of nowhere: %x %v", state, err)
		}
		if key, sig, created, err := tx.SignedPreKey(1); key != nil || sig != nil || !created.IsZero() || err != nil {
			t.Errorf("a signed prekey out of nowhere")
		}
		if id, err := tx.Identity(); id != nil || err != nil {
			t.Errorf("an identity out of nowhere")
		}
		if key, err := tx.PreKey(1); key != nil || err != nil {
			t.Errorf("a prekey out of nowhere")
		}
		given := []byte{1, 2, 3}
		for _, err := range []error{
			tx.PutSession(peer, given), tx.PutIdentity([]byte{9}), tx.PutIdentity([]byte{10}),
			tx.PutPreKey(7, []byte{7}), tx.PutPreKey(3, []byte{3}), tx.PutPreKey(1<<31, []byte{4}), tx.DeletePreKey(3), tx.DeletePreKey(3),
			tx.PutSignedPreKey(2, []byte{2}, []byte{22}, at(1)), tx.PutSignedPreKey(1, []byte{1}, []byte{11}, at(2)),
			tx.PutSignedPreKey(3, []byte{3}, []byte{33}, at(3)), tx.DeleteSignedPreKey(3),
		} {
			if err != nil {
				return err
			}
		}
		clear(given)
		return nil
	})
	update(t, s, func(tx *Tx) error {
		state, err := tx.Session(peer)
		if fmt.Sprint(state) != "[1 2 3]" {
			t.Errorf("session %x: the store kept the caller's slice, or lost it", state)
		}
		if other, _ := tx.Session(omemo.Address{JID: ben, Device: 1}); other != nil {
			t.Error("the session of another device")
		}
		if id, _ := tx.Identity(); fmt.Sprint(id) != "[10]" {
			t.Errorf("identity %x", id)
		}
		if ids, _ := tx.PreKeyIDs(); fmt.Sprint(ids) != "[7 2147483648]" {
			t.Errorf("prekeys %v", ids)
		}
		if ids, _ := tx.SignedPreKeyIDs(); fmt.Sprint(ids) != "[2 1]" {
			t.Errorf("signed prekeys %v, want the oldest first", ids)
		}
		key, sig, created, _ := tx.SignedPreKey(1)
		if fmt.Sprint(key, sig) != "[1] [11]" || !created.Equal(at(2)) {
			t.Errorf("signed prekey %x %x %v", key, sig, created)
		}
		tx.PutSession(peer, nil)
		if state, _ := tx.Session(peer); state != nil {
			t.Error("the session is still there")
		}
		return err
	})
}

func TestDevices(t *testing.T) {
	s := memory(t)
	devices := func() string {
		var out string
		view(t, s, func(tx *Tx) error {
			ds, err := tx.Devices(ben)
			for _, d := range ds {
				if d.FirstSeen.IsZero() {
					t.Errorf("device %d was never seen", d.ID)
				}
				out += fmt.Sprintf("%d %x %v %v; ", d.ID, d.Fingerprint, d.Trust, d.Active)
			}
			return err
		})
		return out
	}
	active := func(ids ...uint32) string {
		var fresh []uint32
		update(t, s, func(tx *Tx) (err error) { fresh, err = tx.SetActiveDevices(ben, ids); return err })
		return fmt.Sprint(fresh)
	}
	if got := active(5, 3, 5); got != "[5 3]" {
		t.Errorf("new devices: %s", got)
	}
	update(t, s, func(tx *Tx) error {
		return tx.PutDevice(PeerDevice{Peer: ben, ID: 3, Fingerprint: []byte{0xab}, Trust: Verified, Active: true})
	})
	if got := active(3, 8); got != "[8]" {
		t.Errorf("new devices: %s", got)
	}
	if got, want := devices(), "3 ab verified true; 5  undecided false; 8  undecided true; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	seen := at(3)
	update(t, s, func(tx *Tx) error {
		// Without a fingerprint, the known one stays.
		if err := tx.PutDevice(PeerDevice{Peer: ben, ID: 3, Trust: Distrusted, FirstSeen: seen}); err != nil {
			return err
		}
		ds, err := tx.Devices(ben)
		if !ds[0].FirstSeen.Equal(seen) {
			t.Errorf("first seen %v", ds[0].FirstSeen)
		}
		return err
	})
	if got := active(); got != "[]" {
		t.Errorf("new devices: %s", got)
	}
	if got, want := devices(), "3 ab distrusted false; 5  undecided false; 8  undecided false; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := active(5); got != "[]" {
		t.Errorf("a device that came back is new: %s", got)
	}
	update(t, s, func(tx *Tx) error {
		for _, bad := range []PeerDevice{{ID: 1}, {Peer: ben, ID: 1, Trust: Withdrawn + 1}, {Peer: ben, ID: 1, Trust: -1}} {
			if err := tx.PutDevice(bad); err == nil {
				t.Errorf("stored %+v", bad)
			}
		}
		return nil
	})
}

func TestValuesAndArchivePositions(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		if v, err := tx.Value("a"); v != nil || err != nil {
			t.Errorf("a value out of nowhere: %q %v", v, err)
		}
		tx.SetValue("a", []byte("1"))
		tx.SetValue("a", []byte("2"))
		tx.SetValue("empty", []byte{})
		if v, _ := tx.Value("a"); string(v) != "2" {
			t.Errorf("value %q", v)
		}
		if v, _ := tx.Value("empty"); v == nil || len(v) != 0 {
			t.Errorf("an empty value came back as %#v", v)
		}
		tx.SetValue("a", nil)
		if v, _ := tx.Value("a"); v != nil {
			t.Errorf("removed, and yet %q", v)
		}
		if id, err := tx.ArchivePosition(self); id != "" || err != nil {
			t.Errorf("a position out of nowhere: %q %v", id, err)
		}
		tx.SetArchivePosition(self, "x1")
		tx.SetArchivePosition(self, "x2")
		id, err := tx.ArchivePosition(self)
		if id != "x2" {
			t.Errorf("position %q", id)
		}
		return err
	})
}

func TestTimes(t *testing.T) {
	for _, want := range []time.Time{{}, at(0), time.Unix(0, 0).Add(time.Microsecond), time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := fromMicro(micro(want)); !got.Equal(want) {
			t.Errorf("%v came back as %v", want, got)
		}
	}
}
