// Package admin is an organisation's own side: who holds its key and signs what it
// says.
//
// It lives in the encrypted database of the organisation's account, the contact, which
// is an ordinary profile otherwise. Everything that is signed is stored in the
// transaction that decides it, together with what it leads to (an invitation that
// is used up, the answer to a request), and only then published: whatever is
// killed in between, the next start goes on, and nothing is signed twice with
// different words. What the relay has not taken is offered again until it has.
//
// Each change signs a new head last, and the head is published last: it names
// what the relay then has.
//
// An Organisation decides and signs; Serve and Settle carry what it has signed to a
// Relay, which is a client.Client, and take what devices say. The package knows no
// network and no screen.
package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/partner"
	"sotto/client/org/policy"
	"sotto/client/org/signer"
	"sotto/client/stanza"
	"sotto/client/store"
)

// What the database keeps beside the tables of store.
const (
	valueFounding = "admin.founding" // name, contact, relay
	valueSeed     = "admin.seed"     // of the key in force
	valueAnchor   = "admin.anchor"
	valueKeys     = "admin.keys" // all public keys there ever were, one a line
	valueBook     = "admin.book"
	valueOrders   = "admin.orders" // first and last in force
)

// How many updates of a directory there are at most after its snapshot, and how many
// before it stay, for devices that were away for a little.
const (
	updatesAfter  = 64
	updatesBefore = 64
)

// manyItems is what nodes with more than one item are to keep: what every relay is
// ready to keep that keeps any.
const manyItems = 256

// maxParts is how large a snapshot can be then: some 40,000 people with a device each.
const maxParts = manyItems

// ErrNone says that no organisation has been founded with this account.
var ErrNone = errors.New("no organisation has been founded with this profile. Found one with: sotto org init")

// Organisation is the organisation whose account this is. Its methods may be called
// at the same time; each change is whole or has not happened.
type Organisation struct {
	st      *store.Store
	now     func() time.Time
	changed chan struct{} // has a value after a change
	audit   func(*store.Tx, audit.Event) error

	mu       sync.Mutex
	stale    bool // what follows is to be read again
	name     string
	contact  string
	relay    string
	key      *signer.Key
	anchor   org.Anchor
	keys     []org.Key
	book     *invitation.Book
	staff    *directory.Directory
	policy   *policy.Policy
	partners *partner.Partners
	shown    map[string]*directory.Directory // what partners get to see, by their names
	head     head.Head
	number   uint64            // of the newest head, those for partners included
	nudges   map[string]uint64 // whom to tell of which head, or a newer one
	refused  string            // why the relay has not taken something; "" if it has
	trouble  string            // what went wrong last that may pass
}

// Open reads the organisation that was founded with this database. The error is
// ErrNone if there is none.
func Open(ctx context.Context, st *store.Store) (*Organisation, error) {
	o := newOrganisation(st)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.load(ctx); err != nil {
		return nil, err
	}
	return o, nil
}

func newOrganisation(st *store.Store) *Organisation {
	return &Organisation{st: st, now: time.Now, changed: make(chan struct{}, 1), nudges: make(map[string]uint64)}
}

// SetClock has the organisation take the time from somewhere else.
func (o *Organisation) SetClock(now func() time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = now
}

// SetAudit has what is done here written into an audit log, in the transaction that
// does it: client.Client's Act.
func (o *Organisation) SetAudit(write func(*store.Tx, audit.Event) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.audit = write
}

// load reads everything from the database. The caller holds the lock.
func (o *Organisation) load(ctx context.Context) error {
	err := o.st.View(ctx, o.read)
	if err != nil && !errors.Is(err, ErrNone) {
		return fmt.Errorf("read the organisation: %w", err)
	}
	o.stale = err != nil
	return err
}

func (o *Organisation) read(tx *store.Tx) error {
	founding, err := tx.Value(valueFounding)
	if err != nil {
		return err
	}
	if founding == nil {
		return ErrNone
	}
	r := org.NewLines(string(founding))
	name, contact, relay := r.Line("name", 300), r.Line("contact", org.MaxAddress), r.Optional("relay", org.MaxLine)
	if err := r.End(); err != nil {
		return err
	}
	o.name, o.contact, o.relay = name, contact, relay
	if err := o.readKeys(tx); err != nil {
		return err
	}
	book, err := tx.Value(valueBook)
	if err != nil {
		return err
	}
	defer clear(book)
	if o.book, err = invitation.ReadBook(o.anchor, book); err != nil {
		return err
	}
	if o.staff, err = o.readDirectory(tx, directory.Staff, stanza.NodeSnapshot, stanza.NodeDirectory); err != nil {
		return err
	}
	o.policy = nil
	if b, err := tx.Item(stanza.NodePolicy, stanza.ItemCurrent); err != nil {
		return err
	} else if b != nil {
		if o.policy, err = policy.Open(b, o.anchor.Key); err != nil {
			return err
		}
	}
	if err := o.readPartners(tx); err != nil {
		return err
	}
	b, err := tx.Item(stanza.NodeHead, stanza.ItemCurrent)
	if err != nil {
		return err
	}
	if o.head, err = head.Open(b, o.anchor.Key); err != nil {
		return err
	}
	o.number = max(o.number, o.head.Number)
	return nil
}

func (o *Organisation) readKeys(tx *store.Tx) error {
	b, err := tx.Value(valueAnchor)
	if err != nil {
		return err
	}
	if err := o.anchor.UnmarshalText(b); err != nil {
		return err
	}
	if b, err = tx.Value(valueKeys); err != nil {
		return err
	}
	o.keys = nil
	r := org.NewLines(string(b))
	for r.Has("key") {
		o.keys = append(o.keys, r.Key("key"))
	}
	if err := r.End(); err != nil {
		return err
	}
	seed, err := tx.Value(valueSeed)
	if err != nil {
		return err
	}
	defer clear(seed)
	if len(seed) != signer.SeedSize {
		return errors.New("its key is damaged")
	}
	locked := memguard.NewBuffer(signer.SeedSize)
	locked.Copy(seed)
	if o.key, err = signer.FromSeed(o.name, locked); err != nil {
		return err
	}
	if o.key.Public() != o.anchor.Key {
		return errors.New("its key is another than the one that it has told of")
	}
	return nil
}

// readDirectory reads a directory out of what is published of it.
func (o *Organisation) readDirectory(tx *store.Tx, name, snapshot, updates string) (*directory.Directory, error) {
	d := directory.New(o.name, name)
	parts, err := tx.Items(snapshot)
	if err != nil {
		return nil, err
	}
	notes := make([][]byte, len(parts))
	for i := range parts {
		notes[i] = parts[i].Note
	}
	if len(notes) > 0 {
		if _, err := d.Load(notes, o.anchor.Key); err != nil {
			return nil, err
		}
	}
	items, err := tx.Items(updates)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(items, func(a, b store.Item) int { return int(serialOf(a)) - int(serialOf(b)) })
	for _, it := range items {
		if serialOf(it) <= d.At().Serial {
			continue
		}
		if _, err := d.Apply(it.Note, o.anchor.Key); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func serialOf(it store.Item) uint64 {
	n, _ := stanza.ReadNumberItem(it.ID)
	return n
}

func (o *Organisation) signal() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// view runs fn with what there is in memory.
func (o *Organisation) view(ctx context.Context, fn func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stale {
		if err := o.load(ctx); err != nil {
			return err
		}
	}
	return fn()
}

// time is the clock's, or that of the newest head if the clock has gone back: what is
// signed never does.
func (o *Organisation) time() time.Time {
	now := o.now().UTC().Truncate(time.Second)
	if now.Before(o.head.Issued) {
		now = o.head.Issued
	}
	return now
}
