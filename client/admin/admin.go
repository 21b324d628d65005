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
	"strconv"
	"sync"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
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

// change is a change under way. What it does to the Organisation in memory counts
// only if it is committed.
type change struct {
	*store.Tx
	o       *Organisation
	now     time.Time
	touched bool     // something in memory has changed
	dirty   bool     // a new head is due
	staff   bool     // the directory has changed
	also    []string // to be told of the new head though they are nobody active
}

// change runs fn in a transaction, signs a head if that is due, and has what was
// signed published afterwards.
func (o *Organisation) change(ctx context.Context, doing string, fn func(*change) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stale {
		if err := o.load(ctx); err != nil {
			return err
		}
	}
	var c *change
	err := o.st.Update(ctx, func(tx *store.Tx) error {
		c = &change{Tx: tx, o: o, now: o.time()}
		if err := fn(c); err != nil {
			return err
		}
		return c.finish()
	})
	if err != nil {
		o.stale = o.stale || c != nil && c.touched
		return fmt.Errorf("%s: %w", doing, err)
	}
	if c.dirty {
		for _, e := range o.staff.All() {
			if e.State != directory.Removed {
				o.nudges[e.Address] = o.head.Number
			}
		}
		for _, a := range c.also {
			o.nudges[a] = o.head.Number
		}
		delete(o.nudges, o.contact)
	}
	o.signal()
	return nil
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

// finish shows partners what they are to see, keeps the directory's snapshot young,
// and signs a head.
func (c *change) finish() error {
	if !c.dirty {
		return nil
	}
	c.touched = true
	o := c.o
	if c.staff {
		if err := c.snapshot(o.staff, stanza.NodeSnapshot, stanza.NodeDirectory); err != nil {
			return err
		}
		if err := c.showPartners(); err != nil {
			return err
		}
	}
	orders, err := c.orders()
	if err != nil {
		return err
	}
	o.number++
	h := head.Head{Number: o.number, Issued: c.now, Directory: o.staff.At(), Policy: o.policy.At(), Orders: orders, Keys: o.anchor.Number,
		Partners: o.partners.State()}
	b, err := h.Sign(o.key)
	if err != nil {
		return err
	}
	if o.head, err = head.Open(b, o.anchor.Key); err != nil {
		return err
	}
	return c.PutItem(stanza.NodeHead, stanza.ItemCurrent, b)
}

// act writes what is done into the audit log.
func (c *change) act(e audit.Event) error {
	if c.o.audit == nil {
		return nil
	}
	e.Kind = audit.AdminActed
	return c.o.audit(c.Tx, e)
}

// sign signs entries of a directory.
func (c *change) sign(d *directory.Directory, node string, entries ...directory.Entry) error {
	c.touched = true
	notes, err := d.Sign(c.o.key, c.o.anchor.Key, c.now, entries...)
	if err != nil {
		return err
	}
	last := d.At().Serial
	for i, b := range notes {
		if err := c.PutItem(node, stanza.NumberItem(last-uint64(len(notes)-1-i)), b); err != nil {
			return err
		}
	}
	c.dirty = true
	return nil
}

// staffed signs entries of the organisation's own directory.
func (c *change) staffed(entries ...directory.Entry) error {
	c.staff = true
	return c.sign(c.o.staff, stanza.NodeDirectory, entries...)
}

// snapshot signs the directory as a whole if there are many updates since it was
// last, and has old updates removed.
func (c *change) snapshot(d *directory.Directory, node, updates string) error {
	old, err := c.Items(node)
	if err != nil {
		return err
	}
	at := uint64(0)
	if len(old) > 0 {
		v, err := c.Value("admin.snapshot." + node)
		if err != nil {
			return err
		}
		at, _ = strconv.ParseUint(string(v), 10, 64)
	}
	serial := d.At().Serial
	if len(old) > 0 && serial-at < updatesAfter {
		return nil
	}
	parts, err := d.Snapshot(c.o.key, c.now)
	if err != nil {
		return err
	}
	if len(parts) > maxParts {
		return fmt.Errorf("the directory is too large for relays: %d parts of at most %d", len(parts), maxParts)
	}
	for i, b := range parts {
		if err := c.PutItem(node, strconv.Itoa(i+1), b); err != nil {
			return err
		}
	}
	for _, it := range old {
		if n := serialOf(it); n > uint64(len(parts)) {
			if err := c.PutItem(it.Node, it.ID, nil); err != nil {
				return err
			}
		}
	}
	items, err := c.Items(updates)
	if err != nil {
		return err
	}
	for _, it := range items {
		if serialOf(it)+updatesBefore <= serial {
			if err := c.PutItem(it.Node, it.ID, nil); err != nil {
				return err
			}
		}
	}
	return c.SetValue("admin.snapshot."+node, []byte(strconv.FormatUint(serial, 10)))
}

// orders returns the range in force, with those at its beginning that have expired
// left out, whose items go.
func (c *change) orders() (head.Orders, error) {
	in, err := readOrders(c.Tx)
	if err != nil {
		return in, err
	}
	first := in.First
	for ; in.First <= in.Last; in.First++ {
		b, err := c.Tx.Order(in.First)
		if err != nil {
			return in, err
		}
		ord, err := c.o.openOrder(b)
		if err != nil {
			return in, err
		}
		if ord.Expires.After(c.now) {
			break
		}
		if err := c.PutItem(stanza.NodeOrders, stanza.NumberItem(in.First), nil); err != nil {
			return in, err
		}
	}
	if in.First == first {
		return in, nil
	}
	return in, writeOrders(c.Tx, in)
}

func readOrders(tx *store.Tx) (head.Orders, error) {
	b, err := tx.Value(valueOrders)
	if err != nil || b == nil {
		return head.Orders{First: 1}, err
	}
	r := org.NewLines(string(b))
	in := head.Orders{First: r.Number("first"), Last: r.Number("last")}
	return in, r.End()
}

func writeOrders(tx *store.Tx, in head.Orders) error {
	var w org.Writer
	w.Number("first", in.First)
	w.Number("last", in.Last)
	return tx.SetValue(valueOrders, []byte(w.String()))
}

// openOrder reads an order that was signed with the key of today or an earlier one.
func (o *Organisation) openOrder(b []byte) (ord *order.Order, err error) {
	err = fmt.Errorf("%w: an order is missing", org.ErrMalformed)
	for _, k := range slices.Backward(o.keys) {
		if ord, err = order.Open(b, k); err == nil {
			return ord, nil
		}
	}
	return nil, err
}

// keepBook stores the invitations.
func (c *change) keepBook() error {
	b, err := c.o.book.Append(nil)
	defer clear(b)
	if err != nil {
		return err
	}
	if b == nil {
		b = []byte{}
	}
	if err := c.SetValue(valueBook, b); err != nil {
		return err
	}
	var addresses []string
	for _, i := range c.o.book.All() {
		addresses = append(addresses, i.For.Address)
	}
	return c.Expect(addresses)
}
