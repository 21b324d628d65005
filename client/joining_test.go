package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/membership"
	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/orgtest"
	"sotto/client/stanza"
	"sotto/client/store"
)

const theContact = "sotto@mercy.example"

// hospital is an organisation that has invited the double's user, and what it needs
// to answer. Deriving an invitation's keys takes 64 MiB and a while, so there is one.
type hospital struct {
	key    *orgtest.Key
	anchor org.Anchor
	book   []byte // with the one invitation
	ticket []byte // with the right PIN
	wrong  []byte // and with another
}

var theHospital = sync.OnceValue(func() *hospital {
	h := &hospital{key: orgtest.New("mercy.example", "1")}
	h.anchor = org.NewAnchor(h.key.Key, 0)
	book := invitation.NewBook(h.anchor)
	code, pin, keys, err := book.Issue(invitation.Person{Address: me, Name: "A. Ng", Roles: []string{"on-call"}}, theContact, "", invitation.Terms{}, time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		panic(err)
	}
	pin.Destroy()
	h.ticket = bytes.Clone(keys.Ticket(code).Bytes())
	guess, err := code.Keys([]byte("0000-0000"))
	if err != nil {
		panic(err)
	}
	h.wrong = bytes.Clone(guess.Ticket(code).Bytes())
	if h.book, err = book.Append(nil); err != nil {
		panic(err)
	}
	return h
})

// guestOf is a client that has been handed a ticket, with the double as its relay.
func guestOf(t testing.TB, st *store.Store, d *double, session uint64, ticket, password []byte) (c *Client, end func()) {
	t.Helper()
	cfg := Config{Account: Account{Address: me, Password: memguard.NewBufferFromBytes(bytes.Clone(password))}, Store: st, Link: d.attach(session), Invited: true}
	if ticket != nil {
		cfg.Invitation = memguard.NewBufferFromBytes(bytes.Clone(ticket))
		defer cfg.Invitation.Destroy()
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(run); err != nil && !errors.Is(err, ErrLinkEnded) {
			t.Errorf("Run: %v", err)
		}
	}()
	end = sync.OnceFunc(func() { cancel(); from(t, ended, "end of Run") })
	t.Cleanup(end)
	return c, end
}

// shows puts the organisation's head where everybody can read it.
func (h *hospital) shows(t testing.TB, d *double) {
	t.Helper()
	note, err := head.Head{Number: 1, Orders: head.Orders{First: 1}, Issued: time.Now().UTC().Truncate(time.Second)}.Sign(h.key)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.nodes[theContact+" "+stanza.NodeHead] = stanza.Note(note)
	d.mu.Unlock()
}

func isJoin(e *stanza.Element) bool {
	return e.Get("to") == theContact && stanza.ReadJoin(e) != nil
}

// answer judges a request as the organisation does.
func (h *hospital) answer(t testing.TB, book *invitation.Book, e *stanza.Element) *invitation.Admission {
	t.Helper()
	a, err := book.Receive(stanza.ReadJoin(e), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *hospital) says(t testing.TB, d *double, a invitation.Answer, by *orgtest.Key) {
	t.Helper()
	b, err := a.Sign(by)
	if err != nil {
		t.Fatal(err)
	}
	d.deliver(stanza.JoinAnswer(me+"/test", "an answer", b).With("from", theContact+"/serve"))
}

func (h *hospital) opens(t testing.TB) *invitation.Book {
	t.Helper()
	b, err := invitation.ReadBook(h.anchor, h.book)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func memberIn(t testing.TB, st *store.Store) (m *membership.Membership) {
	t.Helper()
	if err := st.View(ctx, func(tx *store.Tx) (err error) {
		m, err = membership.Read(tx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

// leftover are the names of values that joining leaves behind.
func leftover(t testing.TB, st *store.Store) (names string) {
	t.Helper()
	if err := st.View(ctx, func(tx *store.Tx) error {
		for _, name := range []string{valueJoining, valueRequest, valueLimits} {
			if b, err := tx.Value(name); err != nil {
				return err
			} else if b != nil {
				names += name + " "
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(names)
}

func joined(t testing.TB, c *Client) {
	t.Helper()
	eventually(t, "the device has joined", func() bool { return !c.Joining().Active() })
}

func TestJoinAnOrganisation(t *testing.T) {
	h, d, st := theHospital(), newDouble(t), memoryStore(t)
	h.shows(t, d)
	password := invitation.NewPassword()
	defer password.Destroy()
	c, _ := guestOf(t, st, d, 1, h.ticket, password.Bytes())
	if j := c.Joining(); !j.Waiting() || j.Organisation.String() != "mercy.example" || j.Words.Empty() {
		t.Errorf("%+v", j)
	}
	request := d.sent(isJoin)
	d.mu.Lock()
	if d.nodes[me+" "+stanza.NodeDevices] != nil {
		t.Error("others are told of the device before it is let in")
	}
	d.mu.Unlock()
	if got := leftover(t, st); got != "joining joining.request" {
		t.Errorf("once the request is made there is left: %s", got)
	}
	book := h.opens(t)
	a := h.answer(t, book, request)
	if a.Answer.Verdict != invitation.Welcome || a.Device.ID != c.device.ID() || a.Device.Fingerprint != c.device.Fingerprint() || !book.HasPassword(me) {
		t.Fatalf("%+v", a)
	}
	h.says(t, d, a.Answer, h.key)
	joined(t, c)
	logs(t, c, "joined")
	d.published(c)
	m := memberIn(t, st)
	if m == nil || m.Anchor() != h.anchor || m.Contact() != theContact || m.Address() != me || !m.Added().Equal(a.Answer.Issued.UTC().Truncate(time.Second)) {
		t.Fatalf("%+v", m)
	}
	if got := leftover(t, st); got != "" {
		t.Errorf("afterwards there is left: %s", got)
	}
	if err := c.In(); err != nil {
		t.Error(err)
	}
}

// TestJoinGoesOn ends the client after each step: the next goes on from there, with
// the same request.
func TestJoinGoesOn(t *testing.T) {
	h, d, st := theHospital(), newDouble(t), memoryStore(t)
	_, end := guestOf(t, st, d, 1, h.ticket, []byte("pw"))
	end() // before it was online
	if got := leftover(t, st); got != "joining joining.request" {
		t.Fatalf("there is left: %s", got)
	}
	_, end = guestOf(t, st, d, 2, nil, []byte("pw"))
	first := d.sent(isJoin)
	end() // before an answer
	_, end = guestOf(t, st, d, 3, nil, []byte("pw"))
	second := d.sent(isJoin)
	if !bytes.Equal(stanza.ReadJoin(first), stanza.ReadJoin(second)) {
		t.Error("it asks with another request")
	}
	a := h.answer(t, h.opens(t), second)
	// The answer came while nobody was here, and is in the archive.
	b, err := a.Answer.Sign(h.key)
	if err != nil {
		t.Fatal(err)
	}
	end()
	d.mu.Lock()
	d.archive = append(d.archive, stanza.JoinAnswer(me, "an answer", b).With("from", theContact+"/serve"))
	d.mu.Unlock()
	c, _ := guestOf(t, st, d, 4, nil, []byte("pw"))
	joined(t, c)
	if memberIn(t, st) == nil {
		t.Error("it is no member")
	}
}

// TestJoinCutOff is a vault whose gate was killed before it could hand over.
func TestJoinCutOff(t *testing.T) {
	h, d, st := theHospital(), newDouble(t), memoryStore(t)
	c, end := guestOf(t, st, d, 1, nil, []byte("pw"))
	if j := c.Joining(); !j.CutOff || !j.Active() || j.Waiting() || !strings.Contains(j.Words.String(), "sotto join") {
		t.Errorf("%+v", j)
	}
	end()
	h.shows(t, d)
	c, _ = guestOf(t, st, d, 2, h.ticket, []byte("pw"))
	h.says(t, d, h.answer(t, h.opens(t), d.sent(isJoin)).Answer, h.key)
	joined(t, c)
}

func TestJoinVerdicts(t *testing.T) {
	h := theHospital()
	for verdict, words := range map[invitation.Verdict]string{
		invitation.WrongPIN: "4 times more", invitation.Used: "by another device", invitation.Expired: "too old", invitation.Void: "void",
	} {
		t.Run(string(verdict), func(t *testing.T) {
			d, st := newDouble(t), memoryStore(t)
			h.shows(t, d)
			ticket := h.ticket
			if verdict == invitation.WrongPIN {
				ticket = h.wrong
			}
			c, end := guestOf(t, st, d, 1, ticket, []byte("pw"))
			a := h.answer(t, h.opens(t), d.sent(isJoin)).Answer
			if verdict != invitation.WrongPIN {
				a.Verdict, a.Left = verdict, 0
			}
			h.says(t, d, a, h.key)
			eventually(t, "it says so", func() bool { return strings.Contains(c.Joining().Words.String(), words) })
			if j := c.Joining(); j.Verdict != verdict || j.Waiting() || c.In() == nil {
				t.Errorf("%+v", j)
			}
			end()
			// It stays so, and another invitation goes on from there.
			c, end = guestOf(t, st, d, 2, nil, []byte("pw"))
			if j := c.Joining(); j.Verdict != verdict {
				t.Errorf("%+v", j)
			}
			end()
			c, _ = guestOf(t, st, d, 3, h.ticket, []byte("pw"))
			if j := c.Joining(); !j.Waiting() {
				t.Errorf("%+v", j)
			}
			h.says(t, d, h.answer(t, h.opens(t), d.sent(isJoin)).Answer, h.key)
			joined(t, c)
		})
	}
}

// TestJoinOutdated: where the key that the code names has named another since, nobody
// answers. The device finds that out, says so, and goes on with another invitation.
func TestJoinOutdated(t *testing.T) {
	h, d, st := theHospital(), newDouble(t), memoryStore(t)
	h.shows(t, d)
	next, other := orgtest.New("mercy.example", "2"), orgtest.New("mercy.example", "relay")
	changes := func(from *orgtest.Key) {
		t.Helper()
		note, err := org.Rotation{Number: 1, Issued: evening, From: from.Key, To: next.Key}.Sign(from, next)
		if err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		d.nodes[theContact+" "+stanza.NodeKeys] = stanza.Note(note)
		d.mu.Unlock()
	}
	looks := func() (n int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, e := range d.asked {
			if e.Get("to") == theContact && e.Child(stanza.NSPubSub, "pubsub").Child("", "items").Get("node") == stanza.NodeKeys {
				n++
			}
		}
		return n
	}
	changes(other)
	c, end := guestOf(t, st, d, 1, h.ticket, []byte("pw"))
	request := d.sent(isJoin)
	eventually(t, "it looks for another key", func() bool { return looks() == 1 })
	d.deliver(stanza.NewChat(me, "last", stanza.Body("done")).With("from", ada+"/x"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "done" })
	if j := c.Joining(); !j.Waiting() {
		t.Errorf("what another key has signed counts: %+v", j)
	}
	end()

	changes(h.key)
	c, end = guestOf(t, st, d, 2, nil, []byte("pw"))
	if again := d.sent(isJoin); !bytes.Equal(stanza.ReadJoin(again), stanza.ReadJoin(request)) {
		t.Error("it asks with another request")
	}
	const words = "from before your organisation changed its key. Ask for a new one"
	eventually(t, "it says so", func() bool { return strings.Contains(c.Joining().Words.String(), words) })
	if j := c.Joining(); j.Verdict != invitation.Outdated || j.Waiting() || c.In() == nil {
		t.Errorf("%+v", j)
	}
	end()
	c, end = guestOf(t, st, d, 3, nil, []byte("pw"))
	if j := c.Joining(); j.Verdict != invitation.Outdated || !strings.Contains(j.Words.String(), words) {
		t.Errorf("after a restart: %+v", j)
	}
	end()

	// Another invitation, here with the key of before, goes on from there.
	d.mu.Lock()
	delete(d.nodes, theContact+" "+stanza.NodeKeys)
	d.mu.Unlock()
	c, _ = guestOf(t, st, d, 4, h.ticket, []byte("pw"))
	if j := c.Joining(); !j.Waiting() {
		t.Errorf("with another invitation: %+v", j)
	}
	h.says(t, d, h.answer(t, h.opens(t), d.sent(isJoin)).Answer, h.key)
	joined(t, c)
}

// TestJoinHostile is what a relay, or a stranger, can answer.
func TestJoinHostile(t *testing.T) {
	h, d, st := theHospital(), newDouble(t), memoryStore(t)
	// What the relay says of the organisation's name is of no interest.
	(&hospital{key: orgtest.New("evil.example", "1")}).shows(t, d)
	c, _ := guestOf(t, st, d, 1, h.ticket, []byte("pw"))
	good := h.answer(t, h.opens(t), d.sent(isJoin)).Answer
	signed, err := good.Sign(h.key)
	if err != nil {
		t.Fatal(err)
	}
	pretender := orgtest.New("mercy.example", "relay")
	theirs := good
	theirs.Anchor = org.NewAnchor(pretender.Key, 0)
	forged, err := theirs.Sign(pretender)
	if err != nil {
		t.Fatal(err)
	}
	other := good
	other.Request = org.HashOf("another request")
	void := other
	void.Verdict = invitation.Void
	answers := map[string][]byte{"forged": forged, "no note": []byte("welcome"), "giant": bytes.Repeat([]byte("x"), stanza.MaxNoteSize+1)}
	for what, a := range map[string]invitation.Answer{"the answer to another request": other, "void, to another": void} {
		if answers[what], err = a.Sign(h.key); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(signed); i += 7 {
		changed := bytes.Clone(signed)
		changed[i] ^= 1
		if stanza.ReadAnswer(stanza.JoinAnswer(me, "x", changed)) != nil {
			answers[fmt.Sprint("changed at ", i)] = changed
		}
	}
	for what, b := range answers {
		e := stanza.JoinAnswer(me+"/test", "an answer", b).With("from", theContact+"/serve")
		if _, err := stanza.Parse(e.Bytes()); err != nil {
			continue // it does not come as far
		}
		t.Log(what)
		d.deliver(e)
	}
	// What the organisation has signed, and somebody else sends.
	d.deliver(stanza.JoinAnswer(me+"/test", "an answer", signed).With("from", "eve@mercy.example/x"))
	d.deliver(stanza.JoinAnswer(me+"/test", "an answer", signed))
	d.deliver(stanza.NewChat(me, "last", stanza.Body("done")).With("from", ada+"/x"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "done" })
	eventually(t, "the pretender is told of", func() bool {
		j := c.Joining()
		return j.Waiting() && strings.Contains(j.Words.String(), "pretends to be it")
	})
	if memberIn(t, st) != nil {
		t.Fatal("somebody else has let it in")
	}
	// It was not put off by any of this.
	h.says(t, d, good, h.key)
	joined(t, c)
	// And what comes afterwards changes nothing.
	again := good
	again.Verdict = invitation.Void
	h.says(t, d, again, h.key)
	eventually(t, "everything is stored", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.stored == d.seq
	})
	if m := memberIn(t, st); m == nil || c.Joining().Active() {
		t.Error("an answer that came late has thrown it out")
	}
}

func TestJoinAsSomebodyElse(t *testing.T) {
	h := theHospital()
	ticket := memguard.NewBufferFromBytes(bytes.Clone(h.ticket))
	defer ticket.Destroy()
	mine, theirs := newDouble(t), memoryStore(t)
	if _, err := New(Config{Account: Account{Address: ada}, Store: theirs, Link: mine.attach(1), Invitation: ticket}); err == nil || !strings.Contains(err.Error(), me) {
		t.Errorf("%v", err)
	}
}

func FuzzReadWay(f *testing.F) {
	w := way{organisation: "mercy.example", contact: theContact, since: evening, asked: invitation.Asked{Invitation: "0123456789abcdef"}}
	f.Add(w.bytes())
	w.verdict, w.left = invitation.WrongPIN, 4
	f.Add(w.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := readWay(b); err == nil && !bytes.Equal(w.bytes(), b) {
			t.Errorf("%q is written %q", b, w.bytes())
		}
	})
}

// TestJoinOverTheRelayOfTheInvitation holds that what the invitation says of relays
// goes to the link until there is a policy, through a restart, too.
func TestJoinOverTheRelayOfTheInvitation(t *testing.T) {
	h := theHospital()
	terms := invitation.Terms{OnlyRelay: true, PINLength: 8}
	terms.SetPins([]string{"TGUfGqo0R2x4RBWqxHGSTm4hSrVpZmzQ3UrgqWrUkFI="})
	const only = "wss://relay.mercy.example/ws"
	code, pin, keys, err := invitation.NewBook(h.anchor).Issue(invitation.Person{Address: me, Name: "A. Ng"}, theContact, only, terms, time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pin.Destroy()
	defer keys.Destroy()
	ticket := keys.Ticket(code)
	defer ticket.Destroy()
	d, st := newDouble(t), memoryStore(t)
	want := limits{only, "TGUfGqo0R2x4RBWq"}
	c, end := guestOf(t, st, d, 1, ticket.Bytes(), []byte("pw"))
	if got := c.loginLimits(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	end()
	c, _ = guestOf(t, st, d, 2, nil, []byte("pw"))
	if got := c.loginLimits(); got != want {
		t.Errorf("after a restart %+v, want %+v", got, want)
	}
	eventually(t, "the link is told", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.login.Relays == want.relays && d.login.Pins == want.pins
	})
}
