package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/client/omemo/ratchet"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/org/signer"
	"sotto/client/stanza"
	"sotto/client/store"
)

const contact = "sotto@hospital.example"

func database(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// device makes a device with a fingerprint of its own.
func device(t testing.TB, id uint32) (directory.Device, *signer.Key) {
	t.Helper()
	k, err := signer.GenerateDevice(id)
	if err != nil {
		t.Fatal(err)
	}
	return directory.Device{ID: id, Fingerprint: sha256.Sum256(fmt.Append(nil, id)), Signing: k.Public(), Added: orgtest.Noon}, k
}

func found(t testing.TB, st *store.Store) *Organisation {
	t.Helper()
	d, _ := device(t, 1)
	o, err := Found(t.Context(), st, Founding{Name: "hospital.example", Contact: contact, Device: d})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// carrier is a relay that keeps what it is given, and can refuse, or go away.
type carrier struct {
	mu      sync.Mutex
	items   map[string][]byte // node and id
	posts   []*stanza.Element
	order   []string // of what was published
	fail    func(what string) error
	offline bool
	// unlisted says that it does not list the items of a node.
	unlisted bool
	arrived  chan struct{}
}

func newCarrier() *carrier {
	return &carrier{items: make(map[string][]byte), arrived: make(chan struct{}, 1)}
}

func (c *carrier) Online() bool             { return !c.offline }
func (c *carrier) Arrived() <-chan struct{} { return c.arrived }
func (c *carrier) Publish(_ context.Context, node, id string, payload *stanza.Element, _ int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	what := strings.TrimPrefix(node, stanza.NSOrganisation+":") + "/" + id
	if c.fail != nil {
		if err := c.fail(what); err != nil {
			return err
		}
	}
	b, err := stanza.ReadNote(payload)
	if err != nil {
		return err
	}
	c.items[what] = b
	c.order = append(c.order, what)
	return nil
}
func (c *carrier) Retract(_ context.Context, node, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, strings.TrimPrefix(node, stanza.NSOrganisation+":")+"/"+id)
	return nil
}
func (c *carrier) Post(_ context.Context, m *stanza.Element) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		if err := c.fail("post"); err != nil {
			return err
		}
	}
	c.posts = append(c.posts, m)
	return nil
}
func (c *carrier) Ask(_ context.Context, _, _ string, e *stanza.Element) (*stanza.Element, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	none := &stanza.StanzaError{Type: "cancel", Condition: "item-not-found"}
	if e.Is(stanza.NSDiscoItems, "query") {
		if c.unlisted {
			return nil, none
		}
		list := stanza.New(stanza.NSDiscoItems, "query")
		for what := range c.items {
			if node, id := path.Split(what); stanza.NSOrganisation+":"+strings.TrimSuffix(node, "/") == e.Get("node") {
				list.Add(stanza.New(stanza.NSDiscoItems, "item").With("name", id))
			}
		}
		return stanza.New(stanza.NSClient, "iq", list).With("type", "result"), nil
	}
	asked := e.Child(stanza.NSPubSub, "items")
	node, id := asked.Get("node"), asked.Child(stanza.NSPubSub, "item").Get("id")
	b := c.items[strings.TrimPrefix(node, stanza.NSOrganisation+":")+"/"+id]
	if b == nil {
		return nil, none
	}
	return stanza.New(stanza.NSClient, "iq", stanza.New(stanza.NSPubSub, "pubsub", stanza.New(stanza.NSPubSub, "items",
		stanza.New(stanza.NSPubSub, "item", stanza.Note(b)).With("id", id)).With("node", node))), nil
}
func (c *carrier) AskSecretly(context.Context, string, func(string) []byte) (*stanza.Element, error) {
	return nil, errors.New("no commands here")
}

func settle(t testing.TB, o *Organisation, c *carrier) {
	t.Helper()
	left, err := o.Settle(t.Context(), c, nil)
	if err != nil || !left.None() || left.Refused != "" {
		t.Fatalf("left %+v, %v", left, err)
	}
}

// reader is a device that follows what an account shows, and nothing else.
type reader struct {
	anchor org.Anchor
	head   head.Head
	staff  *directory.Directory
	policy *policy.Policy
	ledger *order.Ledger
}

func newReader(o *Organisation, anchor org.Anchor) *reader {
	return &reader{anchor: anchor, staff: directory.New(o.Name(), directory.Staff), ledger: order.NewLedger(time.Time{})}
}

// read reads everything and fails where anything does not fit.
func (r *reader) read(t testing.TB, c *carrier) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for {
		b := c.items[fmt.Sprintf("keys/%d", r.anchor.Number+1)]
		if b == nil {
			break
		}
		a, err := r.anchor.Follow(b)
		must(err)
		r.anchor = a
	}
	h, err := r.head.Follow(c.items["head/current"], r.anchor.Key)
	must(err)
	r.head = h
	p, err := r.policy.Follow(c.items["policy/current"], r.anchor.Key)
	must(err)
	r.policy = p
	must(h.Policy.Against("policy", p.At()))
	if c.items[fmt.Sprintf("directory/%d", r.staff.At().Serial+1)] == nil && r.staff.At() != h.Directory {
		var parts [][]byte
		for i := 1; c.items[fmt.Sprintf("snapshot/%d", i)] != nil; i++ {
			parts = append(parts, c.items[fmt.Sprintf("snapshot/%d", i)])
		}
		_, err := r.staff.Load(parts, r.anchor.Key)
		must(err)
	}
	for r.staff.At().Serial < h.Directory.Serial {
		_, err := r.staff.Apply(c.items[fmt.Sprintf("directory/%d", r.staff.At().Serial+1)], r.anchor.Key)
		must(err)
	}
	must(h.Directory.Against("directory", r.staff.At()))
	for n := h.Orders.First; n <= h.Orders.Last; n++ {
		_, err := order.Open(c.items[fmt.Sprintf("orders/%d", n)], r.anchor.Key)
		must(err)
	}
}

// joiner is somebody who has an invitation.
type joiner struct {
	code   invitation.Code
	keys   *invitation.Keys
	device directory.Device
	key    *signer.Key
	omemo  ratchet.KeyPair
}

// joinWith makes a device with an OMEMO identity of its own.
func joinWith(t testing.TB, code invitation.Code, keys *invitation.Keys, id uint32) *joiner {
	t.Helper()
	j := &joiner{code: code, keys: keys}
	ratchet.GenerateKey(&j.omemo)
	j.device, j.key = device(t, id)
	j.device.Fingerprint = j.omemo.Public
	t.Cleanup(keys.Destroy)
	return j
}

func join(t testing.TB, v *Invited, id uint32) *joiner {
	t.Helper()
	code, err := invitation.ParseCode(v.Code.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := code.Keys(v.PIN.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return joinWith(t, code, keys, id)
}

func (j *joiner) request(t testing.TB) ([]byte, org.Hash) {
	t.Helper()
	b, hash, err := j.keys.Request(j.code, "hospital.example", j.device, j.key, func(m []byte) ([ratchet.SignatureSize]byte, error) { return ratchet.Sign(&j.omemo.Private, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	return b, hash
}

func invite(t testing.TB, o *Organisation, name string, roles ...string) *Invited {
	t.Helper()
	v, err := o.Invite(t.Context(), Invite{Person: invitation.Person{Address: name + "@hospital.example", Name: strings.ToUpper(name[:1]) + name[1:], Roles: roles}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Clear)
	return v
}

// admit has somebody join without a relay.
func admit(t testing.TB, o *Organisation, name string, id uint32, roles ...string) *joiner {
	t.Helper()
	j := join(t, invite(t, o, name, roles...), id)
	b, hash := j.request(t)
	answer, err := o.Receive(t.Context(), name+"@hospital.example", b)
	if err != nil {
		t.Fatal(err)
	}
	a, err := invitation.OpenAnswer(answer, j.code, hash)
	if err != nil || a.Verdict != invitation.Welcome {
		t.Fatalf("%+v, %v", a, err)
	}
	return j
}
