package membership

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/partner"
	"sotto/client/store"
)

// agreement is one with a partner, with what that one shows of its directory.
type agreement struct {
	with    *partner.Agreement
	contact string // the partner's account, as the own one says
	head    head.Head
	book    *book
}

// kept is how valuePartners is kept.
type kept struct {
	Notes    []string          `json:"notes"`    // as partner.Partners wants them again
	Contacts map[string]string `json:"contacts"` // by the partner's name
}

// Partner is a partner of the organisation.
type Partner struct {
	Name      string
	Key       org.Key
	Contact   string // the account that shows its directory; "" if that is not said
	Agreement *partner.Agreement
	Head      head.Head // the newest of those that it shows us
	Directory *directory.Directory
}

// ApplyPartner takes an agreement with a partner, or the end of one (partner.Apply,
// partner.ApplyEnd). contact is the account at which that one shows its directory,
// if the own organisation has said which.
func (m *Membership) ApplyPartner(tx *store.Tx, note []byte, contact string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := make(map[string]org.Key)
	for name, a := range m.agreements {
		before[name] = a.with.Other(m.anchor.Key)
	}
	if err := m.applyPartner(note, contact); err != nil {
		return err
	}
	for name, a := range m.agreements {
		if key, had := before[name]; had && key != a.with.Other(m.anchor.Key) {
			if err := m.renewPartner(tx, name); err != nil {
				return err
			}
		}
		if errors.Is(m.partners.InForce(name, m.now()), partner.ErrEnded) {
			if err := m.dropPartner(tx, name); err != nil {
				return err
			}
		}
	}
	return m.savePartners(tx)
}

// applyPartner changes the memory only. The caller holds the lock.
func (m *Membership) applyPartner(note []byte, contact string) error {
	s, err := org.Peek(note)
	if err != nil {
		return err
	}
	if s.Kind == org.KindPartnerEnd {
		_, err := m.partners.ApplyEnd(note)
		return err
	}
	with, err := m.partners.Apply(note)
	if err != nil {
		return err
	}
	name := with.Other(m.anchor.Key).Name()
	a := m.agreements[name]
	if a == nil {
		own := m.anchor.Key.Name()
		a = &agreement{head: head.Head{For: own}, book: newBook(name, directory.ForPartner(own), "partner "+name)}
		a.book.ready()
		m.agreements[name] = a
	}
	a.with = with
	if bare(contact) {
		a.contact = contact
	}
	return nil
}

// renewPartner forgets what a partner has shown with the key that it had before: with
// another it begins anew. The caller holds the lock.
func (m *Membership) renewPartner(tx *store.Tx, name string) error {
	was := m.agreements[name]
	if err := m.dropPartner(tx, name); err != nil {
		return err
	}
	own := m.anchor.Key.Name()
	a := &agreement{with: was.with, contact: was.contact, head: head.Head{For: own}, book: newBook(name, directory.ForPartner(own), "partner "+name)}
	a.book.ready()
	m.agreements[name] = a
	return nil
}

// dropPartner forgets a partner and what it shows. The caller holds the lock.
func (m *Membership) dropPartner(tx *store.Tx, name string) error {
	a := m.agreements[name]
	delete(m.agreements, name)
	if err := a.book.clear(tx); err != nil {
		return err
	}
	return tx.SetValue(valueShown+name, nil)
}

func (m *Membership) savePartners(tx *store.Tx) error {
	k := kept{Contacts: make(map[string]string)}
	for _, n := range m.partners.Notes() {
		k.Notes = append(k.Notes, string(n))
	}
	for name, a := range m.agreements {
		k.Contacts[name] = a.contact
	}
	return setValue(tx, valuePartners, k)
}

// readPartners reads what savePartners and FollowPartner have kept.
func (m *Membership) readPartners(tx *store.Tx) error {
	var k kept
	if _, err := readValue(tx, valuePartners, &k); err != nil {
		return err
	}
	for _, n := range k.Notes {
		if err := m.applyPartner([]byte(n), ""); err != nil {
			return err
		}
	}
	for name, a := range m.agreements {
		if errors.Is(m.partners.InForce(name, m.now()), partner.ErrEnded) {
			delete(m.agreements, name)
			continue
		}
		a.contact = k.Contacts[name]
		var n signed
		found, err := readValue(tx, valueShown+name, &n)
		if err != nil {
			return err
		}
		if found {
			key, err := org.ParseKey(n.Key)
			if err != nil {
				return err
			}
			if a.head, err = head.Open([]byte(n.Note), key); err != nil {
				return err
			}
		}
		a.book = newBook(name, directory.ForPartner(m.anchor.Key.Name()), "partner "+name)
		if err := a.book.read(tx); err != nil {
			return err
		}
	}
	return nil
}

// Partners returns the partners with whom there is an agreement that was not ended,
// by name.
func (m *Membership) Partners() (list []Partner) {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(m.agreements)) {
		a := m.agreements[name]
		list = append(list, Partner{name, a.with.Other(m.anchor.Key), a.contact, a.with, a.head, a.book.get()})
	}
	return list
}

// PartnersCurrent compares what is here of agreements with what the newest head says:
// org.ErrGap where they are not the same. A head of before there were any says nothing.
func (m *Membership) PartnersCurrent() error {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.partnersCurrent()
}

func (m *Membership) partnersCurrent() error {
	if want := m.head.Partners; want != (org.Hash{}) && want != m.partners.State() {
		return fmt.Errorf("%w: what was agreed with partners", org.ErrGap)
	}
	return nil
}

// Opened returns the names of partners to whom this person is open.
func (m *Membership) Opened(now time.Time) (names []string) {
	if m == nil {
		return nil
	}
	own, ok := m.Directory().Entry(m.address)
	if !ok {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(m.agreements)) {
		if m.partners.InForce(name, now) == nil && m.agreements[name].with.Opening(m.anchor.Key.Name(), &own) {
			names = append(names, name)
		}
	}
	return names
}

// ErrNoPartner is returned for what is said by an organisation with which there is no
// agreement.
var ErrNoPartner = errors.New("there is no agreement with this organisation")

// agreed returns the agreement with a partner, and its key.
func (m *Membership) agreed(name string) (*agreement, org.Key, error) {
	a := m.agreements[name]
	if a == nil {
		return nil, org.Key{}, fmt.Errorf("%s: %w", name, ErrNoPartner)
	}
	return a, a.with.Other(m.anchor.Key), nil
}

// FollowPartner takes the head of what a partner shows of its directory.
func (m *Membership) FollowPartner(tx *store.Tx, name string, note []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, key, err := m.agreed(name)
	if err != nil {
		return err
	}
	next, err := a.head.Follow(note, key)
	if err != nil {
		return err
	}
	a.head = next
	return setValue(tx, valueShown+name, signed{Key: key.String(), Note: string(note)})
}

// ApplyPartnerDirectory is ApplyDirectory of what a partner shows.
func (m *Membership) ApplyPartnerDirectory(tx *store.Tx, name string, updates ...[]byte) ([]directory.Change, error) {
	m.mu.RLock()
	a, key, err := m.agreed(name)
	m.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	return a.book.apply(tx, key, updates)
}

// ReadPartnerSnapshot is ReadSnapshot of what a partner shows.
func (m *Membership) ReadPartnerSnapshot(name string, parts [][]byte) (save func(*store.Tx) error, changes []directory.Change, err error) {
	m.mu.RLock()
	a, key, err := m.agreed(name)
	m.mu.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	return a.book.load(key, parts)
}
