// Package membership is what a device knows of the organisation that it belongs to:
// whom it trusts, what was heard last, the directory, the policy, the agreements with
// partners, and which orders were dealt with. It lies in the device's encrypted
// database and has no network: who fetches statements hands them over, and here each
// is checked against all that is known and kept, or refused with an error of package
// org that says what somebody has tried.
//
// A statement counts from the moment it is taken in, and what it says is on disk with
// the transaction that it was given. If that one fails, the memory is ahead of the
// disk until the next that succeeds, or until the process ends; nothing depends on
// the difference, as everything only goes forward and is fetched again.
//
// A nil *Membership is a device without an organisation (open mode): everybody may
// be talked to, and nothing is vouched for.
package membership

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/org/partner"
	"sotto/client/org/policy"
	"sotto/client/store"
)

// Names of values in the store.
const (
	valueSelf     = "organisation"
	valueHead     = "organisation head"
	valuePolicy   = "organisation policy"
	valuePartners = "organisation partners"
	valueLedger   = "organisation orders"
	valueClock    = "organisation clock"
	valueComplete = "organisation complete"
	valueShown    = "organisation shown by " // and the partner's name
)

// Membership is what a device knows of its organisation. Its methods may be called at
// the same time, those with a transaction in one of their own each.
type Membership struct {
	address string
	contact string
	device  uint32
	added   time.Time
	now     func() time.Time

	mu         sync.RWMutex
	anchor     org.Anchor
	head       head.Head
	headNote   []byte
	policy     *policy.Policy
	policyNote []byte
	policyKey  org.Key // which has signed policyNote
	partners   *partner.Partners
	agreements map[string]*agreement // by the partner's name
	ledger     *order.Ledger
	latest     time.Time // that the clock has ever said
	complete   time.Time // in the newest head of which everything that it names was here
	staff      *book
}

// self is how valueSelf is kept.
type self struct {
	Anchor  org.Anchor `json:"anchor"`
	Contact string     `json:"contact"`
	Address string     `json:"address"`
	Added   time.Time  `json:"added"`
}

// signed is how notes are kept, with the key that they were checked with.
type signed struct {
	Key  string `json:"key"`
	Note string `json:"note"`
}

// Join keeps that this device belongs to an organisation from now on: whom it trusts,
// the account that speaks for it, the own address, and when the organisation says
// that it has taken the device in (Answer.Issued). It takes the place of an earlier
// one. The device must have its OMEMO identity.
func Join(tx *store.Tx, anchor org.Anchor, contact, address string, added time.Time) (*Membership, error) {
	const doing = "joining the organisation"
	for _, a := range []string{contact, address} {
		if !org.ValidAddress(a) {
			return nil, fmt.Errorf("%s: %q is no address", doing, a)
		}
	}
	if anchor.Key.IsZero() {
		return nil, fmt.Errorf("%s: it has no key", doing)
	}
	old, err := Read(tx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if old != nil {
		if err := old.forget(tx); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
	}
	m := &Membership{anchor: anchor, contact: contact, address: address, added: added.UTC().Truncate(time.Second)}
	m.ledger = order.NewLedger(m.added)
	if err := m.begin(tx); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	m.staff.ready()
	if err := m.saveSelf(tx); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return m, m.StoreLedger(tx, m.ledger)
}

// Read returns what was kept, or nil if the device belongs to no organisation. The
// directory may still be read while it returns: who needs it first waits for it.
func Read(tx *store.Tx) (*Membership, error) {
	const doing = "reading what is known of the organisation"
	b, err := tx.Value(valueSelf)
	if err != nil || b == nil {
		return nil, err
	}
	var s self
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	m := &Membership{anchor: s.Anchor, contact: s.Contact, address: s.Address, added: s.Added, ledger: new(order.Ledger)}
	if err := m.begin(tx); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if err := m.read(tx); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return m, nil
}

func (m *Membership) begin(tx *store.Tx) (err error) {
	m.now = time.Now
	m.partners = partner.New(m.anchor.Key)
	m.agreements = make(map[string]*agreement)
	m.staff = newBook(m.anchor.Key.Name(), directory.Staff, directory.Staff)
	m.device, err = omemo.DeviceID(tx)
	if err == nil && m.device == 0 {
		err = errors.New("the device has no keys yet")
	}
	return err
}

// read takes in all that Read has not.
func (m *Membership) read(tx *store.Tx) error {
	ledger, err := tx.Value(valueLedger)
	if err != nil {
		return err
	}
	if err := m.ledger.UnmarshalText(ledger); err != nil {
		return err
	}
	clock, err := tx.Value(valueClock)
	if err != nil {
		return err
	}
	m.latest, _ = org.ParseTime(string(clock))
	complete, err := tx.Value(valueComplete)
	if err != nil {
		return err
	}
	m.complete, _ = org.ParseTime(string(complete))
	var n signed
	if found, err := readValue(tx, valueHead, &n); err != nil {
		return err
	} else if found {
		key, err := org.ParseKey(n.Key)
		if err != nil {
			return err
		}
		m.headNote = []byte(n.Note)
		if m.head, err = head.Open(m.headNote, key); err != nil {
			return err
		}
	}
	n = signed{}
	if found, err := readValue(tx, valuePolicy, &n); err != nil {
		return err
	} else if found {
		if m.policyKey, err = org.ParseKey(n.Key); err != nil {
			return err
		}
		m.policyNote = []byte(n.Note)
		if m.policy, err = policy.Open(m.policyNote, m.policyKey); err != nil {
			return err
		}
	}
	if err := m.readPartners(tx); err != nil {
		return err
	}
	return m.staff.read(tx)
}

// readValue reads a value that was kept as JSON, and reports whether there is one.
func readValue(tx *store.Tx, name string, v any) (bool, error) {
	b, err := tx.Value(name)
	if err != nil || b == nil {
		return false, err
	}
	return true, json.Unmarshal(b, v)
}

func setValue(tx *store.Tx, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.SetValue(name, b)
}

func (m *Membership) saveSelf(tx *store.Tx) error {
	return setValue(tx, valueSelf, self{m.anchor, m.contact, m.address, m.added})
}

// forget removes all that is kept.
func (m *Membership) forget(tx *store.Tx) error {
	for name := range m.agreements {
		if err := m.dropPartner(tx, name); err != nil {
			return err
		}
	}
	for _, name := range []string{valueSelf, valueHead, valuePolicy, valuePartners, valueLedger, valueClock, valueComplete} {
		if err := tx.SetValue(name, nil); err != nil {
			return err
		}
	}
	return m.staff.clear(tx)
}

// Organisation returns the organisation's name; "" in open mode.
func (m *Membership) Organisation() string {
	if m == nil {
		return ""
	}
	return m.Anchor().Key.Name()
}

// Contact returns the address of the account that speaks for the organisation.
func (m *Membership) Contact() string {
	if m == nil {
		return ""
	}
	return m.contact
}

// Address returns the own address.
func (m *Membership) Address() string {
	if m == nil {
		return ""
	}
	return m.address
}

// Anchor returns what the device trusts.
func (m *Membership) Anchor() org.Anchor {
	if m == nil {
		return org.Anchor{}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.anchor
}

// Head returns the newest head; the zero Head if none was heard.
func (m *Membership) Head() head.Head {
	if m == nil {
		return head.Head{}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.head
}

// HeadNote returns the newest head as it was signed, or nil.
func (m *Membership) HeadNote() []byte {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.headNote)
}

// Policy returns the policy that was read last; nil if there is none.
func (m *Membership) Policy() *policy.Policy {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.policy
}

// PolicyNote returns the policy as it was signed, or nil. After a change of the
// organisation's key it is that which the old key has signed, until SetPolicy.
func (m *Membership) PolicyNote() []byte {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.policyNote)
}

// Directory returns the organisation's directory. It is empty, and At says none,
// until it was fetched; nil in open mode.
func (m *Membership) Directory() *directory.Directory {
	if m == nil {
		return nil
	}
	return m.staff.get()
}

// Self returns who this device is to orders.
func (m *Membership) Self() order.Self {
	if m == nil {
		return order.Self{}
	}
	e, _ := m.Directory().Entry(m.address)
	return order.Self{Address: m.address, Device: m.device, Roles: e.Roles, Contact: m.address == m.contact}
}

// Added returns when the organisation has taken the device in, by its clock.
func (m *Membership) Added() time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.added
}

// Ledger returns a copy of what is known of orders, to be changed and given to
// StoreLedger. Only one caller may do so at a time.
func (m *Membership) Ledger() *order.Ledger {
	if m == nil {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return copyLedger(m.ledger)
}

// StoreLedger keeps what is known of orders.
func (m *Membership) StoreLedger(tx *store.Tx, l *order.Ledger) error {
	b, err := l.MarshalText()
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.ledger = copyLedger(l)
	m.mu.Unlock()
	return tx.SetValue(valueLedger, b)
}

// copyLedger copies by way of what is kept on disk, which loses nothing.
func copyLedger(l *order.Ledger) *order.Ledger {
	c := new(order.Ledger)
	if b, err := l.MarshalText(); err == nil {
		_ = c.UnmarshalText(b) // it was written by MarshalText
	}
	return c
}

// bare reports whether s is a bare address.
func bare(s string) bool {
	j, err := jid.Parse(s)
	return err == nil && j.Localpart() != "" && j.Resourcepart() == "" && j.String() == s
}
