package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
	"sotto/client/stanza"
	"sotto/client/store"
)

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
	if _, err := o.Remove(t.Context(), "alice@hospital.example"); err != nil {
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
		func() error { _, err := o.Remove(t.Context(), alice); return err },
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
		if e.Kind != audit.AdminActed {
			t.Errorf("a %s", e.Kind)
		}
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
