package admin_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/admin"
	"sotto/client/link"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
	"sotto/client/org/signer"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/internal/relay"
)

// The organisation's side over a real relay, with what runs in a desk and a link.

const wait = 45 * time.Second

func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for late := time.After(wait); ; {
		if so() {
			return
		}
		select {
		case <-late:
			t.Fatalf("after %v not yet: %s", wait, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// from returns the next value of a channel, or fails the test.
func from[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(wait):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// soon is a context for what needs the relay to answer.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	t.Cleanup(cancel)
	return ctx
}

// somebody is one account's device.
type somebody struct {
	*client.Client
	st  *store.Store
	end func()
}

// start brings a device online, on a store that lasts.
func start(t testing.TB, url, address string, password []byte, st *store.Store) *somebody {
	t.Helper()
	l := link.New(link.Config{Backoff: func(int) time.Duration { return 20 * time.Millisecond }})
	linked := make(chan struct{})
	go func() { l.Run(context.Background()); close(linked) }()
	mine, theirs := net.Pipe()
	go l.Attach(theirs)
	c, err := client.New(client.Config{Store: st, Link: mine, Unattended: true, Account: client.Account{
		Address: address, Relay: url, Password: memguard.NewBufferFromBytes(password)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { c.Run(ctx); close(ran) }()
	ended := false
	s := &somebody{c, st, func() {
		if !ended {
			ended = true
			cancel()
			from(t, ran, "end of the client")
			l.Close()
			from(t, linked, "end of the link")
		}
	}}
	t.Cleanup(s.end)
	eventually(t, address+" has caught up", func() bool { return c.State().CaughtUp })
	return s
}

func memory(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// hospital is a relay with the organisation's account, which is an admin, and others.
func hospital(t testing.TB, names ...string) (url string) {
	t.Helper()
	dir := t.TempDir()
	a, err := relay.OpenAccounts(dir, "hospital.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range append([]string{"sotto"}, names...) {
		if err := a.Add(n, []byte("password of "+n), n, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.SetAdmin("sotto", true), a.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(relay.Config{Domain: "hospital.example", Iterations: 4096, Store: dir})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(context.Background(), ln) }()
	t.Cleanup(func() { r.Close(); from(t, served, "end of the relay") })
	return "ws://" + ln.Addr().String() + "/ws"
}

// ownDevice returns the entry of a device in the directory, and its keys.
func ownDevice(t testing.TB, s *somebody) (d directory.Device, key *signer.Key) {
	t.Helper()
	self := s.Self()
	err := s.st.Update(t.Context(), func(tx *store.Tx) (err error) {
		key, err = membership.DeviceKey(tx, self.Device)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return directory.Device{ID: self.Device, Fingerprint: self.Fingerprint, Signing: key.Public(), Added: time.Now()}, key
}

// identity is what holds a device's OMEMO identity key.
func identity(t testing.TB, s *somebody) (d *omemo.Device) {
	t.Helper()
	err := s.st.Update(t.Context(), func(tx *store.Tx) (err error) {
		d, err = omemo.Setup(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func foundWith(t testing.TB, s *somebody, url string) *admin.Organisation {
	t.Helper()
	d, _ := ownDevice(t, s)
	o, err := admin.Found(t.Context(), s.st, admin.Founding{Name: "hospital.example", Contact: s.Self().Address, Relay: url, Device: d})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// fetch returns a note that an account shows, or nil.
func fetch(t testing.TB, s *somebody, of, node, id string) []byte {
	t.Helper()
	answer, err := s.Ask(soon(t), "get", of, stanza.ItemRequest(node, id))
	if no, ok := errors.AsType[*stanza.StanzaError](err); ok && no.Condition == "item-not-found" {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := stanza.ReadItemNote(answer, node, id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOverRelay(t *testing.T) {
	url := hospital(t)
	st := memory(t)
	s := start(t, url, "sotto@hospital.example", []byte("password of sotto"), st)
	o := foundWith(t, s, url)
	if left, err := o.Settle(soon(t), s, nil); err != nil || !left.None() {
		t.Fatalf("%+v, %v", left, err)
	}
	v, err := o.Invite(t.Context(), admin.Invite{Person: invitation.Person{Address: "alice@hospital.example", Name: "Alice", Roles: []string{"physician"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Clear()
	if v.HasPassword {
		t.Error("the password of an account that nobody has joined with is known")
	}
	if err := admin.MakeAccount(soon(t), s, v); err != nil {
		t.Fatal(err)
	}
	code, err := invitation.ParseCode(v.Code.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := code.Keys(v.PIN.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	password := keys.Password()
	alice := start(t, url, "alice@hospital.example", append([]byte(nil), password.Bytes()...), memory(t))
	password.Destroy()
	h, err := head.Open(fetch(t, alice, code.Contact, stanza.NodeHead, stanza.ItemCurrent), o.Anchor().Key)
	if err != nil || h.Directory.Serial != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
	d, key := ownDevice(t, alice)
	request, hash, err := keys.Request(code, "hospital.example", d, key, identity(t, alice).SignIdentity)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody serves: the request waits in the archive.
	s.end()
	if err := alice.Post(soon(t), stanza.JoinRequest(code.Contact, "", request)); err != nil {
		t.Fatal(err)
	}
	s = start(t, url, "sotto@hospital.example", []byte("password of sotto"), st)
	if o, err = admin.Open(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	var told []string
	go func() {
		served <- o.Serve(ctx, s, admin.Serving{Every: time.Minute, Tell: func(list []admin.Happening) {
			for _, h := range list {
				told = append(told, h.String())
			}
		}})
	}()
	eventually(t, "alice is in the directory at the relay", func() bool {
		b := fetch(t, alice, code.Contact, stanza.NodeDirectory, "2")
		return b != nil && strings.Contains(string(b), "alice@hospital.example")
	})
	eventually(t, "the answer is in the store", func() bool {
		left, err := o.Left(t.Context())
		return err == nil && left.None()
	})
	answer, err := o.Receive(t.Context(), "alice@hospital.example", request) // the same again
	if err != nil {
		t.Fatal(err)
	}
	a, err := invitation.OpenAnswer(answer, code, hash)
	if err != nil || a.Verdict != invitation.Welcome {
		t.Fatalf("%+v, %v", a, err)
	}
	// an order, and what the device says of it
	ord, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: order.Target{Person: "alice@hospital.example"}, Reason: "drill"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the order is at the relay", func() bool { return fetch(t, alice, code.Contact, stanza.NodeOrders, "1") != nil })
	ack := ord.Acknowledge(order.Self{Address: "alice@hospital.example", Device: d.ID}, order.Obeyed, time.Now(), "")
	note, err := ack.Sign("hospital.example", key)
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Post(soon(t), stanza.Acknowledgement{Note: note}.Message(code.Contact, "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the acknowledgement is read", func() bool {
		list, err := o.Orders(t.Context(), 1)
		return err == nil && len(list) == 1 && len(list[0].Devices) == 1 && list[0].Devices[0].Result == order.Obeyed
	})
	cancel()
	if err := from(t, served, "end of Serve"); err != nil {
		t.Error(err)
	}
	if want := "Alice (alice@hospital.example) has joined"; len(told) == 0 || !strings.HasPrefix(told[0], want) {
		t.Errorf("told %q", told)
	}
	if b := fetch(t, alice, code.Contact, stanza.NodeHead, stanza.ItemCurrent); b == nil {
		t.Error("no head")
	} else if _, err := org.Peek(b); err != nil {
		t.Error(err)
	}
}

// TestRelayLostOverRelay: a relay that has lost an order, an update, a part of the
// snapshot or the policy shows it again once the organisation serves.
func TestRelayLostOverRelay(t *testing.T) {
	url := hospital(t)
	st := memory(t)
	s := start(t, url, "sotto@hospital.example", []byte("password of sotto"), st)
	o := foundWith(t, s, url)
	if _, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: order.Target{Person: "sotto@hospital.example"}, Reason: "drill"}, 0); err != nil {
		t.Fatal(err)
	}
	if left, err := o.Settle(soon(t), s, nil); err != nil || !left.None() {
		t.Fatalf("%+v, %v", left, err)
	}
	lost := [][2]string{{stanza.NodeOrders, "1"}, {stanza.NodeDirectory, "1"}, {stanza.NodeSnapshot, "1"}, {stanza.NodePolicy, stanza.ItemCurrent}}
	for _, l := range lost {
		if fetch(t, s, "", l[0], l[1]) == nil {
			t.Fatalf("%s was not published", l)
		}
		if err := s.Retract(soon(t), l[0], l[1]); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- o.Serve(ctx, s, admin.Serving{Every: time.Hour}) }()
	for _, l := range lost {
		eventually(t, l[0]+" is there again", func() bool { return fetch(t, s, "", l[0], l[1]) != nil })
	}
	cancel()
	if err := from(t, served, "end of Serve"); err != nil {
		t.Error(err)
	}
}

// TestHostileLetters: what anybody sends to the organisation's account is kept only
// if it is from somebody who may, and leads to nothing else.
func TestHostileLetters(t *testing.T) {
	url := hospital(t, "mallory", "alice")
	st := memory(t)
	s := start(t, url, "sotto@hospital.example", []byte("password of sotto"), st)
	o := foundWith(t, s, url)
	mallory := start(t, url, "mallory@hospital.example", []byte("password of mallory"), memory(t))
	giant := []byte(strings.Repeat("x", stanza.MaxNoteSize-1) + "\n")
	for _, e := range []*stanza.Element{
		stanza.JoinRequest("sotto@hospital.example", "", []byte("hello")),
		stanza.JoinRequest("sotto@hospital.example", "", giant),
		stanza.Acknowledgement{Note: []byte("hello"), Delegation: giant}.Message("sotto@hospital.example", ""),
		stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSOrganisation, "join")).With("to", "sotto@hospital.example").With("type", "normal"),
	} {
		if err := mallory.Post(soon(t), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mallory.Send(t.Context(), "sotto@hospital.example", "are you there?"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a message that was sent afterwards is here", func() bool {
		list, err := s.Waiting(t.Context(), "mallory@hospital.example", 10)
		return err == nil && len(list) == 1
	})
	left, err := o.Left(t.Context())
	if err != nil || left.Letters != 0 {
		t.Errorf("%+v, %v", left, err)
	}
}
