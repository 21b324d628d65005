package membership

import (
	"fmt"
	"slices"
	"time"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/partner"
	"sotto/client/org/policy"
	"sotto/client/store"
)

// farAhead is how far a clock must have been wrong for it to be believed that it was.
const farAhead = 90 * 24 * time.Hour

// Follow takes a head in (head.Follow). An error of org.ErrGap says that the
// organisation has another key by now than is trusted here: Rotate first, and with
// org.ErrSignature that may be so, too.
func (m *Membership) Follow(tx *store.Tx, note []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := m.head.Follow(note, m.anchor.Key)
	if err != nil {
		return err
	}
	switch {
	case next.Keys > m.anchor.Number:
		return fmt.Errorf("%w: the head knows change of key %d, here is %d", org.ErrGap, next.Keys, m.anchor.Number)
	case next.Keys < m.anchor.Number:
		return fmt.Errorf("%w: the head knows change of key %d, here is %d", org.ErrRollback, next.Keys, m.anchor.Number)
	}
	fresh := next.Number > m.head.Number || m.headNote == nil
	m.head, m.headNote = next, slices.Clone(note)
	if err := setValue(tx, valueHead, signed{Key: m.anchor.Key.String(), Note: string(note)}); err != nil {
		return err
	}
	// Where the clock was years ahead once, it is behind itself ever after. A new
	// head that it agrees with puts that right. Less is not forgiven: it is what
	// somebody gains who sets it back.
	now := m.now()
	if fresh && m.latest.Sub(now) > farAhead && next.Issued.Sub(now).Abs() < 10*time.Minute {
		m.latest = now
	}
	return m.saveClock(tx, now)
}

// StoreClock keeps the latest that the clock has ever said. Call it now and then: a
// lease that was used up stays so over a restart.
func (m *Membership) StoreClock(tx *store.Tx, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saveClock(tx, now)
}

func (m *Membership) saveClock(tx *store.Tx, now time.Time) error {
	if now.After(m.latest) {
		m.latest = now
	}
	return tx.SetValue(valueClock, []byte(org.FormatTime(m.latest)))
}

// Rotate takes a change of the organisation's key in (org.Anchor.Follow). What the old
// key has signed counts until it is replaced, except agreements with partners, which
// are agreed on anew.
func (m *Membership) Rotate(tx *store.Tx, note []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := m.anchor.Follow(note)
	if err != nil || next == m.anchor {
		return err
	}
	m.anchor = next
	for name := range m.agreements {
		if err := m.dropPartner(tx, name); err != nil {
			return err
		}
	}
	m.partners = partner.New(next.Key)
	if err := m.savePartners(tx); err != nil {
		return err
	}
	return m.saveSelf(tx)
}

// SetPolicy takes a policy in (policy.Follow).
func (m *Membership) SetPolicy(tx *store.Tx, note []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := m.policy.Follow(note, m.anchor.Key)
	if err != nil {
		return err
	}
	m.policy, m.policyNote, m.policyKey = next, slices.Clone(note), m.anchor.Key
	return setValue(tx, valuePolicy, signed{Key: m.policyKey.String(), Note: string(note)})
}

// PolicyCurrent reports whether the policy is the one that the head names, signed by
// the key that counts now.
func (m *Membership) PolicyCurrent() bool {
	if m == nil {
		return true
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.policy.At() == m.head.Policy && (m.policy == nil || m.policyKey == m.anchor.Key)
}

// ApplyDirectory takes updates of the directory in, one after the other
// (directory.Apply). What those before the first that is refused have changed is
// kept, and returned with the error.
func (m *Membership) ApplyDirectory(tx *store.Tx, updates ...[]byte) ([]directory.Change, error) {
	return m.staff.apply(tx, m.Anchor().Key, updates)
}

// LoadSnapshot takes the whole directory in, of which all parts are given
// (directory.Load).
func (m *Membership) LoadSnapshot(tx *store.Tx, parts [][]byte) ([]directory.Change, error) {
	save, changes, err := m.ReadSnapshot(parts)
	if err != nil {
		return nil, err
	}
	return changes, save(tx)
}

// ReadSnapshot is LoadSnapshot without a transaction, which checking thousands of
// entries would hold up: save, which is to be called with one, keeps what was read.
func (m *Membership) ReadSnapshot(parts [][]byte) (save func(*store.Tx) error, changes []directory.Change, err error) {
	return m.staff.load(m.Anchor().Key, parts)
}

func (b *book) apply(tx *store.Tx, key org.Key, updates [][]byte) (changes []directory.Change, err error) {
	d := b.get()
	before := d.At()
	for _, u := range updates {
		more, refused := d.Apply(u, key)
		if refused != nil {
			err = refused
			break
		}
		changes = append(changes, more...)
	}
	if d.At() == before {
		return nil, err
	}
	if failed := b.save(tx, before, changes); failed != nil {
		return nil, failed
	}
	return changes, err
}

func (b *book) load(key org.Key, parts [][]byte) (func(*store.Tx) error, []directory.Change, error) {
	d := b.get()
	before := d.At()
	changes, err := d.Load(parts, key)
	if err != nil {
		return nil, nil, err
	}
	return func(tx *store.Tx) error { return b.save(tx, before, changes) }, changes, nil
}

// Stands says how the device stands to its organisation now, and how long that stays
// so (policy.Stands). The lease counts from Heard; clocks are compared with every head. The organisation's own account has nobody to hear: were it to
// lock, no device would be heard any more.
func (m *Membership) Stands(now time.Time) (policy.Standing, time.Duration) {
	if m == nil || m.address == m.contact {
		return policy.InTouch, policy.DefaultLease
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.latest) {
		m.latest = now
	}
	return m.policy.Stands(policy.Times{Complete: later(m.added, m.complete), Heard: later(m.added, m.head.Issued), Now: now, Latest: m.latest})
}

// Complete looks whether everything that the newest head names is here, and keeps the
// head's time if it is: the lease counts from there. Otherwise a relay could pass on
// each head, keep one order to itself, and nothing would ever come of it. Call it when
// something was fetched; it reports whether everything is here.
func (m *Membership) Complete(tx *store.Tx) (bool, error) {
	here := m.Directory().At()
	m.mu.Lock()
	defer m.mu.Unlock()
	// What is published before the head that names it may be here already.
	is := func(here, named head.Mark) bool { return here == named || here.Serial > named.Serial }
	switch {
	case m.headNote == nil,
		!is(here, m.head.Directory),
		!is(m.policy.At(), m.head.Policy), m.policy != nil && m.policyKey != m.anchor.Key,
		m.partnersCurrent() != nil,
		len(copyLedger(m.ledger).Missing(m.head.Orders)) > 0:
		return false, nil
	case !m.head.Issued.After(m.complete):
		return true, nil
	}
	m.complete = m.head.Issued
	return true, tx.SetValue(valueComplete, []byte(org.FormatTime(m.complete)))
}

// Heard returns since when the lease counts: when the organisation has signed the
// newest head of which everything that it names was here, or that it has taken the
// device in.
func (m *Membership) Heard() time.Time {
	if m == nil {
		return time.Time{}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return later(m.added, m.complete)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Latest returns the latest time that there has been here: what the clock has ever
// said, or what was heard. A clock that is far behind it was set back, or is wrong.
func (m *Membership) Latest() time.Time {
	if m == nil {
		return time.Time{}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return later(m.latest, later(m.added, m.head.Issued))
}
