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
	"sotto/client/org/partner"
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

func TestLease(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	if stands, left := m.Stands(noon); stands != policy.InTouch || left <= 0 {
		t.Errorf("just joined: %v, %v", stands, left)
	}
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	if stands, _ := m.Stands(noon.Add(8 * 24 * time.Hour)); stands != policy.Lost {
		t.Errorf("eight days later: %v", stands)
	}
	update(t, s, func(tx *store.Tx) error { return m.StoreClock(tx, noon.Add(8*24*time.Hour)) })
	s, m = again(t, s, path)
	if stands, _ := m.Stands(noon.Add(time.Hour)); stands != policy.Behind {
		t.Errorf("the clock was set back: %v", stands)
	}
	// A head that is heard then does not forgive it,
	m.now = func() time.Time { return noon.Add(10 * time.Minute) }
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	if stands, _ := m.Stands(noon.Add(time.Hour)); stands != policy.Behind {
		t.Errorf("the clock was set back, and an old head held for it: %v", stands)
	}
	// but a clock that was years ahead is not held against the device for years.
	update(t, s, func(tx *store.Tx) error { return m.StoreClock(tx, noon.AddDate(9, 0, 0)) })
	m.now = func() time.Time { return noon.Add(15 * time.Minute) }
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	if stands, _ := m.Stands(noon.Add(time.Hour)); stands != policy.InTouch {
		t.Errorf("after a clock that was wrong by years: %v", stands)
	}
}

// TestLeaseOfTheOrganisationItself: there is nobody that its own account could hear.
func TestLeaseOfTheOrganisationItself(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, _ := joined(t, path, h)
	var m *Membership
	update(t, s, func(tx *store.Tx) (err error) {
		m, err = Join(tx, org.NewAnchor(h.key.Key, 0), contact, contact, noon)
		return err
	})
	for _, after := range []time.Duration{0, 90 * 24 * time.Hour, time.Hour} {
		if stands, left := m.Stands(noon.Add(after)); stands != policy.InTouch || left <= 0 {
			t.Errorf("after %v: %v, %v", after, stands, left)
		}
	}
}

// complete has m look whether everything is here.
func complete(t testing.TB, s *store.Store, m *Membership) (here bool) {
	t.Helper()
	update(t, s, func(tx *store.Tx) (err error) { here, err = m.Complete(tx); return err })
	return here
}

// TestCompleteHeads has a relay that passes on each head, and holds back one thing that
// they name: the lease counts from the last of which everything was here, and what is
// held back ends it.
func TestCompleteHeads(t *testing.T) {
	const day = 24 * time.Hour
	for what, name := range map[string]func(h *side) (bring func(tx *store.Tx, m *Membership) error){
		"an order": func(h *side) func(*store.Tx, *Membership) error {
			h.head.Orders = head.Orders{First: 1, Last: 2}
			x := order.Order{Number: 2, Issued: noon.Add(time.Hour), Expires: noon.Add(9 * day), Do: order.Lock, For: order.Target{Person: bob}}
			note, err := x.Sign(h.key)
			if err != nil {
				t.Fatal(err)
			}
			return func(tx *store.Tx, m *Membership) error {
				l := m.Ledger()
				if _, err := l.Receive(note, h.key.Key, m.Self(), m.Head().Issued, noon); !errors.Is(err, order.ErrNotForUs) {
					return err
				}
				l.Settle(1, org.HashOf("1"))
				return m.StoreLedger(tx, l)
			}
		},
		"the policy": func(h *side) func(*store.Tx, *Membership) error {
			note := h.policy(2, "lease = \"3d\"\n")
			return func(tx *store.Tx, m *Membership) error { return m.SetPolicy(tx, note) }
		},
		"an agreement": func(h *side) func(*store.Tx, *Membership) error {
			note, with := agrees(t, h.key, orgtest.New(clinic, "1"), 1), partner.New(h.key.Key)
			if _, err := with.Apply(note); err != nil {
				t.Fatal(err)
			}
			h.head.Partners = with.State()
			return func(tx *store.Tx, m *Membership) error { return m.ApplyPartner(tx, note, "") }
		},
		"the directory": func(h *side) func(*store.Tx, *Membership) error {
			notes := h.sign(person(eve))
			return func(tx *store.Tx, m *Membership) error { _, err := m.ApplyDirectory(tx, notes...); return err }
		},
	} {
		h := newSide(t, hospital)
		path := filepath.Join(t.TempDir(), "db")
		s, m := joined(t, path, h)
		if complete(t, s, m) {
			t.Errorf("%s: everything is here before a head was", what)
		}
		rules, all := h.policy(1, "lease = \"3d\"\n"), h.sign(person(alice), person(bob))
		h.head.Issued = noon.Add(day)
		first := h.beat()
		update(t, s, func(tx *store.Tx) error {
			_, err := m.ApplyDirectory(tx, all...)
			return errors.Join(m.Follow(tx, first), m.SetPolicy(tx, rules), err)
		})
		begins := h.head.Issued
		if got := m.Heard(); !got.Equal(noon) {
			t.Errorf("%s: before anybody has looked the lease counts from %v", what, got)
		}
		if !complete(t, s, m) || !m.Heard().Equal(begins) {
			t.Errorf("%s: everything is here, and the lease counts from %v", what, m.Heard())
		}

		bring := name(h)
		for h.head.Issued.Before(begins.Add(3 * day)) {
			h.head.Issued = h.head.Issued.Add(8 * time.Hour)
			pulse := h.beat()
			update(t, s, func(tx *store.Tx) error { return m.Follow(tx, pulse) })
			if complete(t, s, m) || !m.Heard().Equal(begins) {
				t.Fatalf("%s is missing, and the lease counts from %v", what, m.Heard())
			}
		}
		late := h.head.Issued.Add(time.Minute)
		s, m = again(t, s, path)
		if stands, _ := m.Stands(begins.Add(3*day - time.Minute)); stands != policy.Behind { // the heads are later
			t.Errorf("%s is missing, and the clock is behind the heads: %v", what, stands)
		}
		if stands, _ := m.Stands(late); stands != policy.Lost {
			t.Errorf("%s is missing for longer than the lease: %v", what, stands)
		}
		update(t, s, func(tx *store.Tx) error { return bring(tx, m) })
		if !complete(t, s, m) {
			t.Errorf("%s is here, and something is missing", what)
		}
		if stands, _ := m.Stands(late); stands != policy.InTouch || !m.Heard().Equal(h.head.Issued) {
			t.Errorf("%s is here: %v, from %v", what, stands, m.Heard())
		}
		s, m = again(t, s, path)
		if !m.Heard().Equal(h.head.Issued) {
			t.Errorf("%s: after a restart the lease counts from %v", what, m.Heard())
		}
		// What is here before the head that names it changes nothing.
		more := h.sign(person("zoe@hospital.example"))
		update(t, s, func(tx *store.Tx) error { _, err := m.ApplyDirectory(tx, more...); return err })
		if !complete(t, s, m) {
			t.Errorf("%s: a newer directory than the head names", what)
		}
	}
}

// TestHeard is the newer of the head and the answer that let the device in.
func TestHeard(t *testing.T) {
	h := newSide(t, hospital)
	s, m := joined(t, filepath.Join(t.TempDir(), "db"), h)
	old := h.head.Issued.Add(-time.Hour)
	h.head.Issued = old
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	complete(t, s, m)
	if got := m.Heard(); !got.Equal(noon) {
		t.Errorf("an older head: %v", got)
	}
	h.head.Issued = noon
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	complete(t, s, m)
	if got := m.Heard(); !got.Equal(h.head.Issued) || !got.After(noon) {
		t.Errorf("a newer head: %v", got)
	}
	if got := m.Latest(); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("the latest time: %v", got)
	}
	var none *Membership
	if !none.Heard().IsZero() || !none.Latest().IsZero() {
		t.Error("without an organisation something was heard")
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

// TestPartners opens one person of each side to the other, and ends it.
func TestPartners(t *testing.T) {
	h, c := newSide(t, hospital), newSide(t, clinic)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	a := partner.Agreement{Proposer: h.key.Key, Partner: c.key.Key, Serial: 1, Issued: noon, Expires: noon.AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: hospital, Person: alice}, {Organisation: clinic, Role: "referral"}}}
	proposal, err := a.Propose(h.key)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := partner.Agree(proposal, h.key.Key, c.key.Key, c.key)
	if err != nil {
		t.Fatal(err)
	}
	shown := directory.New(clinic, directory.ForPartner(hospital))
	var updates [][]byte
	show := func(entries ...directory.Entry) [][]byte {
		t.Helper()
		notes, err := shown.Sign(c.key, c.key.Key, noon, entries...)
		if err != nil {
			t.Fatal(err)
		}
		updates = append(updates, notes...)
		return notes
	}
	show(person(carol, "referral"), person("cook@clinic.example", "kitchen"))
	pulse, err := head.Head{For: hospital, Number: 1, Issued: noon, Directory: shown.At(), Orders: head.Orders{First: 1}}.Sign(c.key)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error {
		if _, err := m.ApplyDirectory(tx, h.sign(person(alice), person(bob))...); err != nil {
			return err
		}
		if err := m.FollowPartner(tx, clinic, pulse); !errors.Is(err, ErrNoPartner) {
			t.Errorf("before there is an agreement: %v", err)
		}
		if err := m.ApplyPartner(tx, agreed, "sotto@clinic.example"); err != nil {
			return err
		}
		if err := m.FollowPartner(tx, clinic, pulse); err != nil {
			return err
		}
		if err := m.Follow(tx, pulse); !errors.Is(err, org.ErrSignature) {
			t.Errorf("a partner's head for the own one: %v", err)
		}
		_, err := m.ApplyPartnerDirectory(tx, clinic, updates...)
		return err
	})
	check := func(what string, address string, want error) {
		t.Helper()
		if err := m.MayTalk(address, noon); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %s: %v, want %v", what, address, err, want)
		}
	}
	for range 2 {
		check("open", carol, nil)
		check("not opened", "cook@clinic.example", partner.ErrClosed)
		check("unknown", "dan@clinic.example", directory.ErrStranger)
		if !m.Vouched(carol, uint32(len(carol)), org.HashOf(carol)) {
			t.Error("the partner's device is not vouched for")
		}
		if p := m.Partners(); len(p) != 1 || p[0].Name != clinic || p[0].Contact != "sotto@clinic.example" || p[0].Head.Directory != shown.At() || p[0].Directory.Len() != 2 {
			t.Errorf("partners: %+v", p)
		}
		if p, err := m.Find(carol); err != nil || p.Partner != clinic {
			t.Errorf("%+v, %v", p, err)
		}
		s, m = again(t, s, path)
	}
	if err := m.MayTalk(carol, a.Expires.Add(time.Second)); !errors.Is(err, partner.ErrExpired) {
		t.Errorf("after its end: %v", err)
	}

	// Who has left the partner, or is suspended there, is said so: not that the
	// agreement does not open them.
	gone, idle := person("eva@clinic.example", "referral"), person("fay@clinic.example", "referral")
	update(t, s, func(tx *store.Tx) error {
		_, err := m.ApplyPartnerDirectory(tx, clinic, show(gone, idle)...)
		return err
	})
	check("open", gone.Address, nil)
	check("open", idle.Address, nil)
	gone.State, gone.Devices, idle.State = directory.Removed, nil, directory.Suspended
	update(t, s, func(tx *store.Tx) error {
		_, err := m.ApplyPartnerDirectory(tx, clinic, show(gone, idle)...)
		return err
	})
	for range 2 {
		check("removed", gone.Address, directory.ErrRemoved)
		check("suspended", idle.Address, directory.ErrSuspended)
		s, m = again(t, s, path)
	}
	if err := m.MayTalk(gone.Address, noon); err == nil || err.Error() != gone.Name+" of "+clinic+" has left" {
		t.Errorf("%v", err)
	}

	// A second partner that lists the same person makes it nobody's.
	l := newSide(t, "lab.example")
	b := partner.Agreement{Proposer: l.key.Key, Partner: h.key.Key, Serial: 1, Issued: noon, Expires: noon.AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: hospital, Person: alice}, {Organisation: "lab.example", Role: "referral"}}}
	if proposal, err = b.Propose(l.key); err != nil {
		t.Fatal(err)
	}
	other, err := partner.Agree(proposal, l.key.Key, h.key.Key, h.key)
	if err != nil {
		t.Fatal(err)
	}
	fake := person(carol, "referral")
	fake.Devices[0].Fingerprint = org.HashOf("lab")
	lab := directory.New("lab.example", directory.ForPartner(hospital))
	notes, err := lab.Sign(l.key, l.key.Key, noon, fake)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error {
		if err := m.ApplyPartner(tx, other, ""); err != nil {
			return err
		}
		_, err := m.ApplyPartnerDirectory(tx, "lab.example", notes...)
		return err
	})
	check("listed twice", carol, ErrTwice)
	if m.Vouched(carol, uint32(len(carol)), org.HashOf("lab")) {
		t.Error("one partner vouches for another's person")
	}
	end, err := partner.End(h.key, "lab.example", 1, noon, "")
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error { return m.ApplyPartner(tx, end, "") })
	check("listed once", carol, nil)

	if end, err = partner.End(c.key, hospital, 1, noon, "over"); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error { return m.ApplyPartner(tx, end, "") })
	for range 2 {
		check("ended", carol, directory.ErrStranger)
		if err := s.Update(context.Background(), func(tx *store.Tx) error { return m.ApplyPartner(tx, agreed, "") }); !errors.Is(err, org.ErrRollback) {
			t.Errorf("the agreement is played back: %v", err)
		}
		s, m = again(t, s, path)
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
