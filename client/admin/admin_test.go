package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo/ratchet"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/partner"
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

func TestFounding(t *testing.T) {
	st, c := database(t), newCarrier()
	if _, err := Open(t.Context(), st); !errors.Is(err, ErrNone) {
		t.Errorf("opened nothing: %v", err)
	}
	o := found(t, st)
	settle(t, o, c)
	if want := []string{"policy/current", "directory/1", "snapshot/1", "head/current"}; !slices.Equal(c.order, want) {
		t.Errorf("published %q", c.order)
	}
	r := newReader(o, o.Anchor())
	r.read(t, c)
	e, _ := r.staff.Entry(contact)
	if len(e.Devices) != 1 || e.State != directory.Active || r.policy.Value("trust").Text() != "directory" {
		t.Errorf("%+v", e)
	}
	d, _ := device(t, 2)
	if _, err := Found(t.Context(), st, Founding{Name: "other.example", Contact: contact, Device: d}); !errors.Is(err, ErrFounded) {
		t.Errorf("founded twice: %v", err)
	}
	again, err := Open(t.Context(), st)
	if err != nil || again.Anchor() != o.Anchor() || again.Head() != o.Head() || again.Name() != "hospital.example" {
		t.Errorf("%+v, %v", again, err)
	}
	for _, name := range []string{"", "hospital", "Hospital.example", "hospital.example\n"} {
		if _, err := Found(t.Context(), database(t), Founding{Name: name, Contact: contact, Device: d}); err == nil {
			t.Errorf("founded %q", name)
		}
	}
}

// TestJoining plays invitation, request and answer as they come through a relay, and
// what a hostile one does with them.
func TestJoining(t *testing.T) {
	st, c := database(t), newCarrier()
	o := found(t, st)
	v := invite(t, o, "alice", "physician")
	j := join(t, v, 31415)
	b, hash := j.request(t)
	put := func(from string, b []byte) bool {
		kept := false
		err := st.Update(t.Context(), func(tx *store.Tx) (err error) {
			kept, err = tx.PutLetter(store.Letter{Kind: store.LetterRequest, Sender: from + "/x", Bare: from, Note: b, At: o.now()})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	if put("mallory@hospital.example", b) {
		t.Error("a request of somebody who was not invited was kept")
	}
	for _, bad := range [][]byte{[]byte("hello"), b[:len(b)-3], []byte(strings.Replace(string(b), "31415", "31416", 1))} {
		put("alice@hospital.example", bad)
	}
	list, err := o.TakeLetters(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, h := range list {
		if h.Refused == nil {
			t.Errorf("answered: %v", h)
		}
	}
	put("alice@hospital.example", b)
	var told []Happening
	left, err := o.Settle(t.Context(), c, func(h []Happening) { told = append(told, h...) })
	if err != nil || !left.None() || len(told) != 1 || told[0].Verdict != invitation.Welcome {
		t.Fatalf("%+v %v %v", left, told, err)
	}
	answers := func() (list [][]byte) {
		for _, m := range c.posts {
			if b := stanza.ReadAnswer(m); b != nil {
				list = append(list, b)
			}
		}
		return list
	}
	a, err := invitation.OpenAnswer(answers()[0], j.code, hash)
	if err != nil || a.Verdict != invitation.Welcome || a.Anchor != o.Anchor() {
		t.Fatalf("%+v, %v", a, err)
	}
	r := newReader(o, a.Anchor)
	r.read(t, c)
	if !r.staff.Vouched("alice@hospital.example", 31415, j.device.Fingerprint) {
		t.Error("the device is not in the directory")
	}
	// played back: the same answer, and nothing else
	serial := o.Directory().At()
	for range 3 {
		put("alice@hospital.example", b)
		settle(t, o, c)
	}
	if all := answers(); len(all) != 4 || string(all[3]) != string(all[0]) || o.Directory().At() != serial {
		t.Errorf("%d answers", len(all))
	}
	// removed, it does not come back by asking again, in whatever words
	if _, err := o.RemoveDevice(t.Context(), "alice@hospital.example", 31415); err != nil {
		t.Fatal(err)
	}
	j.device.Added = j.device.Added.Add(time.Hour)
	b, hash = j.request(t)
	answer, err := o.Receive(t.Context(), "alice@hospital.example", b)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := invitation.OpenAnswer(answer, j.code, hash); err != nil || a.Verdict == invitation.Welcome {
		t.Errorf("%+v, %v", a, err)
	}
	settle(t, o, c)
	r.read(t, c)
	if e, _ := r.staff.Entry("alice@hospital.example"); len(e.Devices) != 0 {
		t.Error("a device that was removed is back")
	}
}

// TestWrongPIN: a request counts once, however often it is played back; after five
// wrong ones there is no way in.
func TestWrongPIN(t *testing.T) {
	o := found(t, database(t))
	v := invite(t, o, "alice")
	code, err := invitation.ParseCode(v.Code.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := code.Keys([]byte("00000000"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := joinWith(t, code, keys, 7)
	for i := range invitation.Attempts {
		wrong.device.Added = wrong.device.Added.Add(time.Second) // another request each time
		b, hash := wrong.request(t)
		for range 3 {
			answer, err := o.Receive(t.Context(), "alice@hospital.example", b)
			if err != nil {
				t.Fatal(err)
			}
			a, err := invitation.OpenAnswer(answer, code, hash)
			if err != nil || a.Left != uint64(invitation.Attempts-1-i) {
				t.Errorf("attempt %d: %+v, %v", i, a, err)
			}
		}
	}
	right := join(t, v, 8)
	b, hash := right.request(t)
	answer, err := o.Receive(t.Context(), "alice@hospital.example", b)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := invitation.OpenAnswer(answer, code, hash); err != nil || a.Verdict != invitation.Void {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestKilledBetweenSigningAndPublishing: whatever is killed where, the next start
// publishes what was signed, and nothing is signed twice.
func TestKilledBetweenSigningAndPublishing(t *testing.T) {
	st, c := database(t), newCarrier()
	o := found(t, st)
	settle(t, o, c)
	r := newReader(o, o.Anchor())
	r.read(t, c)
	dead := errors.New("killed")
	for step := range 6 {
		name := fmt.Sprintf("p%d", step)
		j := join(t, invite(t, o, name), uint32(100+step))
		b, hash := j.request(t)
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.PutLetter(store.Letter{Kind: store.LetterRequest, Sender: name + "@hospital.example/x", Bare: name + "@hospital.example", Note: b, At: o.now()})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		c.fail = func(string) error {
			if n++; n > step {
				return dead
			}
			return nil
		}
		if _, err := o.round(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
		r.read(t, c) // what is there fits together at any time
		c.fail = nil
		if o, err = Open(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		settle(t, o, c)
		r.read(t, c)
		if !r.staff.Vouched(name+"@hospital.example", j.device.ID, j.device.Fingerprint) {
			t.Errorf("step %d: the device is not in the directory", step)
		}
		if a, err := invitation.OpenAnswer(stanza.ReadAnswer(c.posts[lastAnswer(c)]), j.code, hash); err != nil || a.Verdict != invitation.Welcome {
			t.Errorf("step %d: %+v, %v", step, a, err)
		}
	}
}

func lastAnswer(c *carrier) int {
	for i := len(c.posts) - 1; i >= 0; i-- {
		if stanza.ReadAnswer(c.posts[i]) != nil {
			return i
		}
	}
	return 0
}

// TestManyUpdates: the snapshot stays young, old updates go, and devices that were
// away for a little or for long follow.
func TestManyUpdates(t *testing.T) {
	st, c := database(t), newCarrier()
	o := found(t, st)
	settle(t, o, c)
	near, far := newReader(o, o.Anchor()), newReader(o, o.Anchor())
	far.read(t, c)
	admit(t, o, "alice", 5, "physician")
	for i := range 200 {
		if _, err := o.Change(t.Context(), "alice@hospital.example", func(e *directory.Entry) { e.Department = fmt.Sprintf("Ward %d", i) }); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			settle(t, o, c)
			near.read(t, c)
		}
	}
	settle(t, o, c)
	near.read(t, c)
	far.read(t, c)
	newReader(o, o.Anchor()).read(t, c)
	updates := 0
	for what := range c.items {
		if strings.HasPrefix(what, "directory/") {
			updates++
		}
	}
	if updates > updatesAfter+updatesBefore+1 {
		t.Errorf("%d updates are published", updates)
	}
	again, err := Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if again.Directory().At() != o.Directory().At() {
		t.Errorf("%v, %v", again.Directory().At(), o.Directory().At())
	}
	if _, err := again.Change(t.Context(), "alice@hospital.example", func(*directory.Entry) {}); !errors.Is(err, directory.ErrNothing) {
		t.Errorf("a change of nothing: %v", err)
	}
}

func TestOrders(t *testing.T) {
	st, c := database(t), newCarrier()
	o := found(t, st)
	now := time.Now()
	o.SetClock(func() time.Time { return now })
	j := admit(t, o, "alice", 5, "physician")
	admit(t, o, "bob", 6)
	for _, to := range []order.Target{{Person: "carol@hospital.example"}, {Role: "nurse"}, {Person: "alice@hospital.example", Device: 6}} {
		if _, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: to}, 0); err == nil {
			t.Errorf("an order for %s, who is nobody", to)
		}
	}
	lock, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: order.Target{Role: "physician"}, Reason: "drill"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	wipe, err := o.Order(t.Context(), order.Order{Do: order.Wipe, For: order.Target{Person: "alice@hospital.example"}, Reason: "left on a train"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, o, c)
	r := newReader(o, o.Anchor())
	r.read(t, c)
	if r.head.Orders != (head.Orders{First: 1, Last: 2}) {
		t.Errorf("%v", r.head.Orders)
	}
	if _, err := o.Remove(t.Context(), "alice@hospital.example", KeepAccount); err != nil {
		t.Fatal(err)
	}
	ack := wipe.Acknowledge(order.Self{Address: "alice@hospital.example", Device: 5}, order.Obeyed, now, "")
	note, err := ack.Sign("hospital.example", j.key)
	if err != nil {
		t.Fatal(err)
	}
	for from, b := range map[string][]byte{"bob@hospital.example": note, "alice@hospital.example": []byte(strings.Replace(string(note), "obeyed", "failed", 1)), "mallory@hospital.example": note} {
		if h, err := o.Hear(t.Context(), from, b, nil); err == nil {
			t.Errorf("from %s: %+v", from, h)
		}
	}
	if h, err := o.Hear(t.Context(), "alice@hospital.example", note, nil); err != nil || h.Result != order.Obeyed {
		t.Errorf("%+v, %v", h, err)
	}
	// A device says it again until it knows that it came: that is nothing new to tell.
	if h, err := o.Hear(t.Context(), "alice@hospital.example", note, nil); err != nil || h != nil {
		t.Errorf("said again: %+v, %v", h, err)
	}
	list, err := o.Orders(t.Context(), 10)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if d := list[0].Devices; len(d) != 1 || d[0].Result != order.Obeyed || d[0].Name != "Alice" {
		t.Errorf("wipe: %+v", d)
	}
	if d := list[1].Devices; len(d) != 0 || list[1].Number != lock.Number {
		t.Errorf("lock: %+v", d)
	}
	now = now.Add(2 * time.Hour)
	if err := o.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, o, c)
	r.read(t, c)
	if r.head.Orders != (head.Orders{First: 2, Last: 2}) || c.items["orders/1"] != nil || c.items["orders/2"] == nil {
		t.Errorf("%v", r.head.Orders)
	}
}

// TestClockBack: time never goes back in what is signed.
func TestClockBack(t *testing.T) {
	o := found(t, database(t))
	h := o.Head()
	o.SetClock(func() time.Time { return h.Issued.Add(-48 * time.Hour) })
	if err := o.Beat(t.Context()); err != nil || o.Head().Issued != h.Issued || o.Head().Number != h.Number+1 {
		t.Errorf("%+v, %v", o.Head(), err)
	}
}

func TestRotation(t *testing.T) {
	st, c := database(t), newCarrier()
	o := found(t, st)
	admit(t, o, "alice", 5)
	open := invite(t, o, "bob")
	if _, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: order.Target{}}, 0); err != nil {
		t.Fatal(err)
	}
	settle(t, o, c)
	r := newReader(o, o.Anchor())
	r.read(t, c)
	before := r.staff.At()
	done, err := o.Rotate(t.Context(), "once a year")
	if err != nil || len(done.Invitations) != 1 || done.Invitations[0].For.Address != open.Person.Address {
		t.Fatalf("%+v, %v", done, err)
	}
	settle(t, o, c)
	r.read(t, c)
	if r.staff.At() != before || r.anchor.Number != 1 || r.anchor.Key == o.keys[0] {
		t.Errorf("%+v %v", r.staff.At(), r.anchor.Number)
	}
	newReader(o, org.NewAnchor(o.Anchor().Key, 1)).read(t, c)

	// Who comes with an invitation of before is told of, and gets no answer.
	b, hash := join(t, open, 6).request(t)
	if err := st.Update(t.Context(), func(tx *store.Tx) error {
		kept, err := tx.PutLetter(store.Letter{Kind: store.LetterRequest, Sender: "bob@hospital.example/x", Bare: "bob@hospital.example", Note: b, At: o.now()})
		if err == nil && !kept {
			err = errors.New("nobody expects the request")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	came, err := o.TakeLetters(t.Context())
	if err != nil || len(came) != 1 || !errors.Is(came[0].Refused, invitation.ErrOutdated) || !strings.Contains(came[0].String(), "from bob@hospital.example") || !strings.Contains(came[0].String(), "invite them again") {
		t.Errorf("%v, %v", came, err)
	}
	if err := st.View(t.Context(), func(tx *store.Tx) error {
		reply, err := tx.ReplyTo(hash[:])
		if err == nil && reply != nil {
			err = fmt.Errorf("it is answered: %s", reply)
		}
		return err
	}); err != nil {
		t.Error(err)
	}

	again, err := Open(t.Context(), st)
	if err != nil || again.Anchor() != o.Anchor() {
		t.Fatal(err)
	}
	if _, err := again.SetPolicy(t.Context(), "lock-after = \"1m\"\n"); err != nil {
		t.Fatal(err)
	}
	settle(t, again, c)
	r.read(t, c)
	if r.policy.Value("lock-after").Duration() != time.Minute {
		t.Error("the policy is not in force")
	}
}

// TestTwoAtOnce: changes from several goroutines are one row.
func TestTwoAtOnce(t *testing.T) {
	st, c := database(t), newCarrier()
	o := found(t, st)
	admit(t, o, "alice", 5)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 5 {
				if _, err := o.Change(t.Context(), "alice@hospital.example", func(e *directory.Entry) { e.Department = fmt.Sprint("Ward ", i, k) }); err != nil {
					t.Error(err)
				}
				if err := o.Beat(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() { settle(t, o, c) })
	wg.Wait()
	settle(t, o, c)
	newReader(o, o.Anchor()).read(t, c)
	if at := o.Directory().At().Serial; at != 42 {
		t.Errorf("serial %d", at)
	}
}

// TestRelayLost: a relay that has lost what it was given gets everything again.
func TestRelayLost(t *testing.T) {
	o, c := found(t, database(t)), newCarrier()
	settle(t, o, c)
	all := len(c.items)
	c.items = make(map[string][]byte)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- o.Serve(ctx, c, Serving{Every: time.Hour, Round: func(l Left) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if l.None() && len(c.items) == all {
				cancel()
			}
			return nil
		}})
	}()
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(45 * time.Second):
		cancel()
		t.Errorf("%d of %d items", len(c.items), all)
	}
}

// TestRelayLostAnItem: what is missing at a relay that still shows the head is published
// again.
func TestRelayLostAnItem(t *testing.T) {
	o, c := found(t, database(t)), newCarrier()
	admit(t, o, "alice", 7, "nurse")
	if _, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: order.Target{Person: "alice@hospital.example"}, Reason: "drill"}, 0); err != nil {
		t.Fatal(err)
	}
	settle(t, o, c)
	for _, c.unlisted = range []bool{false, true} {
		all := maps.Clone(c.items)
		for what := range all {
			if what == "head/current" {
				continue
			}
			delete(c.items, what)
			c.order = nil
			ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
			err := o.Serve(ctx, c, Serving{Every: time.Hour, Round: func(Left) error {
				if c.items[what] != nil {
					cancel()
				}
				return nil
			}})
			cancel()
			if err != nil || string(c.items[what]) != string(all[what]) {
				t.Errorf("%s is not there again: %v", what, err)
			}
			if !c.unlisted && slices.ContainsFunc(c.order, func(s string) bool { return s != what && s != "head/current" }) {
				t.Errorf("%s was lost, and published was %q", what, c.order)
			}
		}
	}
}

// TestRefused: what a relay refuses is said, kept, and offered again.
func TestRefused(t *testing.T) {
	o, c := found(t, database(t)), newCarrier()
	c.fail = func(string) error {
		return fmt.Errorf("publish: %w", &stanza.StanzaError{Type: "modify", Condition: "policy-violation"})
	}
	left, err := o.Settle(t.Context(), c, nil)
	if err != nil || left.Items != 4 || !strings.Contains(left.Refused, "policy forbids") {
		t.Errorf("%+v, %v", left, err)
	}
	c.fail = nil
	if _, err := o.round(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	settle(t, o, c)
}

// TestFlood: letters are bounded, of one and of all.
func TestFlood(t *testing.T) {
	st := database(t)
	o := found(t, st)
	invite(t, o, "alice")
	kept := 0
	err := st.Update(t.Context(), func(tx *store.Tx) error {
		for i := range 1000 {
			for _, from := range []string{"alice@hospital.example", "mallory@hospital.example"} {
				ok, err := tx.PutLetter(store.Letter{Kind: store.LetterRequest, Sender: from, Bare: from, Note: fmt.Append(nil, "x", i)})
				if err != nil {
					return err
				}
				if ok {
					kept++
				}
			}
		}
		return nil
	})
	if err != nil || kept != 8 {
		t.Errorf("%d kept, %v", kept, err)
	}
	list, err := o.TakeLetters(t.Context())
	if err != nil || len(list) != 8 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestAudit: what an administrator does is written where it is done, and not if it is
// not done.
func TestAudit(t *testing.T) {
	st := database(t)
	d, _ := device(t, 1)
	var events []audit.Event
	write := func(_ *store.Tx, e audit.Event) error {
		if err := e.Check(); err != nil {
			t.Error(err)
		}
		events = append(events, e)
		return nil
	}
	o, err := Found(t.Context(), st, Founding{Name: "hospital.example", Contact: contact, Device: d, Audit: write})
	if err != nil {
		t.Fatal(err)
	}
	admit(t, o, "alice", 5)
	const alice = "alice@hospital.example"
	steps := []func() error{
		func() error { _, err := o.Suspend(t.Context(), alice); return err },
		func() error { _, err := o.Restore(t.Context(), alice); return err },
		func() error {
			_, err := o.Order(t.Context(), order.Order{Do: order.Wipe, For: order.Target{Person: alice, Device: 5}}, 0)
			return err
		},
		func() error { _, err := o.RemoveDevice(t.Context(), alice, 5); return err },
		func() error { _, err := o.Remove(t.Context(), alice, EndAccount); return err },
		func() error { _, err := o.Rotate(t.Context(), ""); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.SetPolicy(t.Context(), "nonsense"); err == nil {
		t.Error("nonsense is a policy")
	}
	var reasons []string
	for _, e := range events {
		reasons = append(reasons, e.Reason.String())
	}
	want := "policy-set founded invited approved altered altered order-wipe removed removed altered"
	if got := strings.Join(reasons, " "); got != want {
		t.Errorf("%s", got)
	}
	dead := errors.New("no room")
	o.SetAudit(func(*store.Tx, audit.Event) error { return dead })
	at := o.Policy().Serial
	if _, err := o.SetPolicy(t.Context(), "lock-after = \"1m\""); !errors.Is(err, dead) || o.view(t.Context(), func() error { return nil }) != nil || o.Policy().Serial != at {
		t.Errorf("what cannot be written down was done: %v, %d", err, o.Policy().Serial)
	}
}

// TestPartners: two organisations agree, each shows the other whom the agreement opens
// and nobody else, and either ends it.
func TestPartners(t *testing.T) {
	hospital, clinic := found(t, database(t)), func() *Organisation {
		d, _ := device(t, 9)
		o, err := Found(t.Context(), database(t), Founding{Name: "clinic.example", Contact: "sotto@clinic.example", Device: d})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}()
	admit(t, hospital, "alice", 5, "cardiology")
	admit(t, hospital, "bob", 6)
	opens := []partner.Opening{{Organisation: "hospital.example", Role: "cardiology"}, {Organisation: "clinic.example", Person: "sotto@clinic.example"}}
	proposal, err := hospital.Propose(t.Context(), Proposal{With: clinic.Anchor().Key, Opens: opens})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hospital.Accept(t.Context(), proposal, ""); err == nil {
		t.Error("a proposal of one's own is accepted")
	}
	tampered := []byte(strings.Replace(string(proposal), "role cardiology", "role nurse", 1))
	if _, err := clinic.Accept(t.Context(), tampered, ""); err == nil {
		t.Error("a proposal that was changed is accepted")
	}
	note, err := clinic.Accept(t.Context(), proposal, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hospital.Accept(t.Context(), note, ""); err != nil {
		t.Fatal(err)
	}
	c := newCarrier()
	settle(t, hospital, c)
	shown := directory.New("hospital.example", directory.ForPartner("clinic.example"))
	follow := func() {
		t.Helper()
		h, err := (head.Head{For: "clinic.example"}).Follow(c.items["for:clinic.example:head/current"], hospital.Anchor().Key)
		if err != nil {
			t.Fatal(err)
		}
		for shown.At().Serial < h.Directory.Serial {
			if _, err := shown.Apply(c.items[fmt.Sprintf("for:clinic.example:directory/%d", shown.At().Serial+1)], hospital.Anchor().Key); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Directory.Against("directory", shown.At()); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	if len(shown.All()) != 1 || shown.Member("alice@hospital.example") != nil {
		t.Errorf("shown: %+v", shown.All())
	}
	if _, err := hospital.Change(t.Context(), "bob@hospital.example", func(e *directory.Entry) { e.Roles = []string{"cardiology"} }); err != nil {
		t.Fatal(err)
	}
	if _, err := hospital.Change(t.Context(), "alice@hospital.example", func(e *directory.Entry) { e.Roles = nil }); err != nil {
		t.Fatal(err)
	}
	settle(t, hospital, c)
	follow()
	if shown.Member("bob@hospital.example") != nil || !errors.Is(shown.Member("alice@hospital.example"), directory.ErrRemoved) {
		t.Errorf("shown: %+v", shown.All())
	}
	again, err := Open(t.Context(), hospital.st)
	if err != nil {
		t.Fatal(err)
	}
	end, err := again.EndPartner(t.Context(), "clinic.example", "it is over")
	if err != nil {
		t.Fatal(err)
	}
	settle(t, again, c)
	follow()
	if !errors.Is(shown.Member("bob@hospital.example"), directory.ErrRemoved) {
		t.Errorf("shown: %+v", shown.All())
	}
	if err := clinic.AcceptEnd(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	if list, err := clinic.Partners(t.Context()); err != nil || len(list) != 1 || !list[0].Ended {
		t.Errorf("%+v, %v", list, err)
	}
	// Serials go on, whatever became of what was proposed, and with another key.
	proposes := func(serial string) []byte {
		t.Helper()
		next, err := hospital.Propose(t.Context(), Proposal{With: clinic.Anchor().Key, Opens: opens})
		if err != nil || !strings.Contains(string(next), "serial: "+serial+"\n") {
			t.Errorf("%s, %v, and not serial %s", next, err, serial)
		}
		return next
	}
	proposes("2")
	if _, err := hospital.Rotate(t.Context(), "once a year"); err != nil {
		t.Fatal(err)
	}
	if note, err = clinic.Accept(t.Context(), proposes("3"), ""); err != nil {
		t.Fatal(err)
	}
	// The clinic's book is read with it, though what has ended the agreement before
	// was signed with a key that does not count any more.
	if clinic, err = Open(t.Context(), clinic.st); err != nil {
		t.Fatal(err)
	}
	if list, err := clinic.Partners(t.Context()); err != nil || len(list) != 1 || list[0].Ended || list[0].Serial != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := clinic.AcceptEnd(t.Context(), end); err == nil {
		t.Error("an end that the old key has signed is taken")
	}
	if _, _, err := clinic.ReadEnd(t.Context(), end); !errors.Is(err, org.ErrRollback) {
		t.Errorf("an end of an earlier agreement: %v", err)
	}
	if _, err := hospital.Accept(t.Context(), note, ""); err != nil {
		t.Fatal(err)
	}
	proposes("4")
}
