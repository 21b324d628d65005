package membership

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/store"
)

const (
	hospital = "hospital.example"
	clinic   = "clinic.example"
	alice    = "alice@hospital.example"
	bob      = "bob@hospital.example"
	eve      = "eve@hospital.example"
	carol    = "carol@clinic.example"
	contact  = "sotto@hospital.example"
)

var noon = orgtest.Noon

// side is an organisation, as its administrator has it.
type side struct {
	t     testing.TB
	key   *orgtest.Key
	staff *directory.Directory
	head  head.Head
	rules *policy.Policy
}

func newSide(t testing.TB, name string) *side {
	s := &side{t: t, key: orgtest.New(name, "1"), staff: directory.New(name, directory.Staff)}
	s.head = head.Head{Issued: noon, Orders: head.Orders{First: 1}}
	return s
}

func (s *side) sign(entries ...directory.Entry) [][]byte {
	s.t.Helper()
	notes, err := s.staff.Sign(s.key, s.key.Key, noon, entries...)
	if err != nil {
		s.t.Fatal(err)
	}
	return notes
}

func (s *side) policy(serial uint64, body string) []byte {
	s.t.Helper()
	p, err := policy.New(s.key.Name(), serial, noon.Add(time.Duration(serial)*time.Minute), body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.rules = p
	b, err := p.Sign(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// beat signs the next head, as things stand.
func (s *side) beat() []byte {
	s.t.Helper()
	s.head.Number++
	s.head.Issued = s.head.Issued.Add(5 * time.Minute)
	s.head.Directory, s.head.Policy = s.staff.At(), s.rules.At()
	b, err := s.head.Sign(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func person(address string, roles ...string) directory.Entry {
	id := uint32(len(address))
	return directory.Entry{Address: address, Name: "Name of " + address[:3], Roles: roles, State: directory.Active,
		Devices: []directory.Device{{ID: id, Fingerprint: org.HashOf(address), Signing: orgtest.New(org.DeviceName(id), address).Key, Added: noon}}}
}

func open(t testing.TB, path string) *store.Store {
	t.Helper()
	key := memguard.NewBuffer(store.KeySize)
	s, err := store.Open(context.Background(), path, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func update(t testing.TB, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// joined is a device of alice's that has just joined, in a database at path.
func joined(t testing.TB, path string, by *side) (*store.Store, *Membership) {
	t.Helper()
	s := open(t, path)
	var m *Membership
	update(t, s, func(tx *store.Tx) (err error) {
		if _, err = omemo.Setup(tx); err != nil {
			return err
		}
		m, err = Join(tx, org.NewAnchor(by.key.Key, 0), contact, alice, noon)
		return err
	})
	m.now = func() time.Time { return noon.Add(time.Hour) }
	return s, m
}

// again closes the database, opens it, and reads what is in it.
func again(t testing.TB, s *store.Store, path string) (*store.Store, *Membership) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	var m *Membership
	if err := s.View(context.Background(), func(tx *store.Tx) (err error) { m, err = Read(tx); return err }); err != nil {
		t.Fatal(err)
	}
	if m == nil {
		t.Fatal("nothing is known of the organisation any more")
	}
	m.now = func() time.Time { return noon.Add(time.Hour) }
	return s, m
}

func TestComesBack(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	if err := m.MayTalk(bob, noon); !errors.Is(err, ErrNoDirectory) {
		t.Errorf("before the directory is there: %v", err)
	}
	updates := append(h.sign(person(alice, "physician"), person(bob)), h.sign(person(eve))...)
	rules := h.policy(1, "lease = \"1d\"\n")
	pulse := h.beat()
	var device [32]byte
	update(t, s, func(tx *store.Tx) error {
		if err := m.Follow(tx, pulse); err != nil {
			return err
		}
		if err := m.SetPolicy(tx, rules); err != nil {
			return err
		}
		changes, err := m.ApplyDirectory(tx, updates...)
		if err != nil {
			return err
		}
		if len(changes) != 3 {
			t.Errorf("%d changes", len(changes))
		}
		l := m.Ledger()
		l.Missing(head.Orders{First: 3, Last: 3})
		l.Done(&order.Order{Number: 3})
		if err := m.StoreLedger(tx, l); err != nil {
			return err
		}
		key, err := DeviceKey(tx, m.Self().Device)
		if err == nil {
			device = [32]byte(key.Public().Public())
		}
		return err
	})
	for i := range 2 {
		if m.Organisation() != hospital || m.Contact() != contact || m.Anchor().Key != h.key.Key || m.Address() != alice || !m.Added().Equal(noon) {
			t.Errorf("%s at %s, %s", m.Organisation(), m.Contact(), m.Address())
		}
		if m.Head() != h.head || string(m.HeadNote()) != string(pulse) || string(m.PolicyNote()) != string(rules) || m.Policy().Lease() != 24*time.Hour || !m.PolicyCurrent() {
			t.Errorf("head %+v, policy %+v", m.Head(), m.Policy())
		}
		if self := m.Self(); self.Address != alice || self.Device == 0 || !slices.Equal(self.Roles, []string{"physician"}) {
			t.Errorf("self is %+v", self)
		}
		if missing := m.Ledger().Missing(head.Orders{First: 3, Last: 4}); !slices.Equal(missing, []uint64{4}) {
			t.Errorf("orders missing: %v", missing)
		}
		if m.Directory().At() != h.staff.At() || m.Directory().Len() != 3 {
			t.Errorf("directory at %v", m.Directory().At())
		}
		if !m.Vouched(bob, uint32(len(bob)), org.HashOf(bob)) || m.Vouched(bob, uint32(len(bob)), org.HashOf(eve)) || m.Vouched(bob, 1, org.HashOf(bob)) {
			t.Error("the wrong devices are vouched for")
		}
		if i == 0 {
			s, m = again(t, s, path)
		}
	}
	update(t, s, func(tx *store.Tx) error {
		key, err := DeviceKey(tx, m.Self().Device)
		if err == nil && [32]byte(key.Public().Public()) != device {
			t.Error("the device has another key")
		}
		return err
	})
}

func TestOpenMode(t *testing.T) {
	var m *Membership
	if err := m.MayTalk(bob, noon); err != nil || m.Vouched(bob, 1, [32]byte{}) || m.Organisation() != "" || m.Directory() != nil || m.Policy() != nil ||
		m.Ledger() != nil || m.Partners() != nil || m.HeadNote() != nil || m.PolicyNote() != nil || !m.PolicyCurrent() || m.Contact() != "" || m.Self().Device != 0 {
		t.Errorf("a device without an organisation has one: %v", err)
	}
	if stands, _ := m.Stands(noon); stands != policy.InTouch {
		t.Errorf("it stands %v", stands)
	}
	s := open(t, filepath.Join(t.TempDir(), "db"))
	update(t, s, func(tx *store.Tx) error {
		m, err := Read(tx)
		if m != nil {
			t.Error("nothing was kept and something was read")
		}
		return err
	})
}

// TestRefused is what a relay can try. Each attempt has its error, and nothing changes.
func TestRefused(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	first, early := h.sign(person(alice), person(bob)), h.beat()
	rules1 := h.policy(1, "lease = \"1d\"\n")
	second := h.sign(person(eve))
	rules2, late := h.policy(2, "lease = \"2d\"\n"), h.beat()
	rules3 := h.policy(3, "lease = \"3d\"\n")
	third := h.sign(person("dan@hospital.example"))
	update(t, s, func(tx *store.Tx) error {
		for _, err := range []error{m.Follow(tx, late), m.SetPolicy(tx, rules2)} {
			if err != nil {
				return err
			}
		}
		_, err := m.ApplyDirectory(tx, slices.Concat(first, second)...)
		return err
	})
	mallory := newSide(t, hospital)
	mallory.key = orgtest.New(hospital, "mallory")
	forged := mallory.beat()
	keys := h.head
	keys.Keys, keys.Number = 1, keys.Number+1
	newKey, err := keys.Sign(h.key)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(notes ...[]byte) func(*store.Tx) error {
		return func(tx *store.Tx) error { _, err := m.ApplyDirectory(tx, notes...); return err }
	}
	for what, c := range map[string]struct {
		do   func(tx *store.Tx) error
		want error
	}{
		"an old head":                 {func(tx *store.Tx) error { return m.Follow(tx, early) }, org.ErrRollback},
		"another's head":              {func(tx *store.Tx) error { return m.Follow(tx, forged) }, org.ErrSignature},
		"a head of a key not known":   {func(tx *store.Tx) error { return m.Follow(tx, newKey) }, org.ErrGap},
		"an old policy":               {func(tx *store.Tx) error { return m.SetPolicy(tx, rules1) }, org.ErrRollback},
		"a policy for a head":         {func(tx *store.Tx) error { return m.Follow(tx, rules3) }, org.ErrMalformed},
		"an old update":               {apply(first[0]), org.ErrRollback},
		"another's update":            {apply(mallory.sign(person(bob))...), org.ErrSignature},
		"an update after one missing": {apply(h.sign(person("fay@hospital.example"))[0]), org.ErrGap},
		"half a snapshot":             {func(tx *store.Tx) error { _, err := m.LoadSnapshot(tx, nil); return err }, org.ErrGap},
	} {
		at, now := m.Directory().At(), m.Head()
		err := s.Update(context.Background(), c.do)
		if !errors.Is(err, c.want) || m.Directory().At() != at || m.Head() != now || m.Policy().Serial != 2 {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	// What came before the one that is refused counts.
	update(t, s, func(tx *store.Tx) error {
		if changes, err := m.ApplyDirectory(tx, third[0], first[0]); !errors.Is(err, org.ErrRollback) || len(changes) != 1 {
			t.Errorf("%d changes, %v", len(changes), err)
		}
		return nil
	})
	if _, m = again(t, s, path); m.Directory().At().Serial != 3 {
		t.Errorf("it comes back at %v", m.Directory().At())
	}
}

// TestTransactionFails holds that entries are not lost from the disk where the memory
// has gone ahead of it.
func TestTransactionFails(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	for i, e := range []directory.Entry{person(alice), person(bob), person(eve)} {
		fail := errors.New("on purpose")
		err := s.Update(context.Background(), func(tx *store.Tx) error {
			if _, err := m.ApplyDirectory(tx, h.sign(e)...); err != nil {
				return err
			}
			if i == 1 {
				return fail
			}
			return nil
		})
		if (i == 1) != errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	if _, m = again(t, s, path); m.Directory().At().Serial != 3 || m.Directory().Len() != 3 || !m.Vouched(bob, uint32(len(bob)), org.HashOf(bob)) {
		t.Errorf("it comes back at %v with %d", m.Directory().At(), m.Directory().Len())
	}
}

func TestSnapshot(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	h.sign(crowd(1000)...)
	parts, err := h.staff.Snapshot(h.key, noon)
	if err != nil {
		t.Fatal(err)
	}
	save, changes, err := m.ReadSnapshot(parts)
	if err != nil || len(changes) != 1000 {
		t.Fatal(len(changes), err)
	}
	update(t, s, save)
	more := h.sign(person(alice), person(bob))
	update(t, s, func(tx *store.Tx) error { _, err := m.ApplyDirectory(tx, more...); return err })
	if _, m = again(t, s, path); m.Directory().Len() != 1002 || m.Directory().At() != h.staff.At() || m.MayTalk(bob, noon) != nil {
		t.Errorf("%d entries at %v", m.Directory().Len(), m.Directory().At())
	}
}

func TestWhoMayTalk(t *testing.T) {
	h := newSide(t, hospital)
	s, m := joined(t, filepath.Join(t.TempDir(), "db"), h)
	suspended, removed := person(eve), person("old@hospital.example")
	suspended.State, removed.State, removed.Devices = directory.Suspended, directory.Removed, nil
	update(t, s, func(tx *store.Tx) error {
		_, err := m.ApplyDirectory(tx, h.sign(person(alice), person(bob), suspended, removed)...)
		return err
	})
	for address, want := range map[string]error{alice: nil, bob: nil, eve: directory.ErrSuspended, "old@hospital.example": directory.ErrRemoved,
		"mallory@hospital.example": directory.ErrStranger, "": directory.ErrStranger, carol: directory.ErrStranger} {
		if err := m.MayTalk(address, noon); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", address, err, want)
		}
	}
	if m.Vouched(eve, uint32(len(eve)), org.HashOf(eve)) {
		t.Error("a suspended person's device is vouched for")
	}
	own := person(alice)
	own.State = directory.Suspended
	update(t, s, func(tx *store.Tx) error { _, err := m.ApplyDirectory(tx, h.sign(own)...); return err })
	if err := m.MayTalk(bob, noon); !errors.Is(err, ErrOut) || !strings.HasSuffix(err.Error(), ": you are suspended") {
		t.Errorf("while suspended: %v", err)
	}
}

func TestRotation(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	rules := h.policy(1, "lease = \"1d\"\n")
	update(t, s, func(tx *store.Tx) error {
		if _, err := m.ApplyDirectory(tx, h.sign(person(alice), person(bob))...); err != nil {
			return err
		}
		if err := m.SetPolicy(tx, rules); err != nil {
			return err
		}
		return m.Follow(tx, h.beat())
	})
	old := h.key
	h.key = orgtest.New(hospital, "2")
	change, err := org.Rotation{Number: 1, Issued: noon, From: old.Key, To: h.key.Key}.Sign(old, h.key)
	if err != nil {
		t.Fatal(err)
	}
	h.head.Keys = 1
	next := h.beat()
	err = s.Update(context.Background(), func(tx *store.Tx) error { return m.Follow(tx, next) })
	if !errors.Is(err, org.ErrSignature) {
		t.Errorf("a head of the new key before it is known: %v", err)
	}
	update(t, s, func(tx *store.Tx) error {
		if err := m.Rotate(tx, change); err != nil {
			return err
		}
		return m.Rotate(tx, change)
	})
	// Killed here, it goes on with the new key and what the old one has signed.
	s, m = again(t, s, path)
	if m.Anchor().Key != h.key.Key || m.Policy() == nil || m.PolicyCurrent() || m.Head().Number == 0 || m.Directory().Len() != 2 {
		t.Errorf("after the change: %+v, policy current: %v", m.Anchor(), m.PolicyCurrent())
	}
	update(t, s, func(tx *store.Tx) error {
		if err := m.Follow(tx, next); err != nil {
			return err
		}
		b, err := h.rules.Sign(h.key)
		if err != nil {
			return err
		}
		if err := m.SetPolicy(tx, b); err != nil {
			return err
		}
		_, err = m.ApplyDirectory(tx, h.sign(person(eve))...)
		return err
	})
	if !m.PolicyCurrent() || m.MayTalk(eve, noon) != nil {
		t.Error("what the new key has signed does not count")
	}
	if err := s.Update(context.Background(), func(tx *store.Tx) error {
		_, err := m.ApplyDirectory(tx, h.sign(person("x@hospital.example"))...)
		return err
	}); err != nil {
		t.Error(err)
	}
	back := h.head
	back.Number, back.Keys = back.Number+1, 0
	b, err := back.Sign(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(context.Background(), func(tx *store.Tx) error { return m.Follow(tx, b) }); !errors.Is(err, org.ErrSignature) {
		t.Errorf("a head that the old key signs: %v", err)
	}
}

// crowd is n people with a device each.
func crowd(n int) (all []directory.Entry) {
	public := orgtest.New(org.DeviceName(1), "crowd").Public()
	for i := range n {
		id := uint32(i + 1)
		key, err := org.NewKey(org.DeviceName(id), public)
		if err != nil {
			panic(err)
		}
		name := fmt.Sprintf("Person %d of the hospital", i)
		all = append(all, directory.Entry{Address: fmt.Sprintf("p%05d@hospital.example", i), Name: name, Roles: []string{"nurse"}, Department: "Cardiology",
			State: directory.Active, Devices: []directory.Device{{ID: id, Fingerprint: org.HashOf(name), Signing: key, Added: noon}}})
	}
	return all
}

// BenchmarkMembership10000 is what a device does with a directory of ten thousand.
func BenchmarkMembership10000(b *testing.B) {
	h := newSide(b, hospital)
	path := filepath.Join(b.TempDir(), "db")
	s, m := joined(b, path, h)
	h.sign(crowd(10_000)...)
	parts, err := h.staff.Snapshot(h.key, noon)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	save, _, err := m.ReadSnapshot(parts)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("checking a snapshot takes %v", time.Since(start))
	start = time.Now()
	update(b, s, save)
	b.Logf("keeping it takes %v", time.Since(start))
	b.Run("read", func(b *testing.B) {
		var all time.Duration
		for b.Loop() {
			start := time.Now()
			if err := s.View(context.Background(), func(tx *store.Tx) (err error) { m, err = Read(tx); return err }); err != nil {
				b.Fatal(err)
			}
			until := time.Since(start)
			if m.Directory().Len() != 10_000 {
				b.Fatal(m.Directory().Len())
			}
			all += until
		}
		b.ReportMetric(float64(all.Milliseconds())/float64(b.N), "ms-blocking/op")
	})
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			e, _ := h.staff.Entry("p05000@hospital.example")
			e.Department = fmt.Sprint("Department ", e.Changed)
			notes := h.sign(e)
			b.StartTimer()
			update(b, s, func(tx *store.Tx) error { _, err := m.ApplyDirectory(tx, notes...); return err })
		}
	})
	b.Run("search", func(b *testing.B) {
		for b.Loop() {
			m.Directory().Search("person 99", 50)
		}
	})
}
