package omemo

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"sotto/client/omemo/ratchet"
	"sotto/client/stanza"
)

func TestKeyExchange(t *testing.T) {
	alice, bob := pair(t)
	first := alice.send("first", bob)
	got := bob.mustReceive(alice, first, "first")
	if !got.PreKey || !got.UsedPreKey || got.Heal {
		t.Errorf("first message: %+v", got)
	}
	if n := len(bob.keys.preKeys); n != PreKeyCount-1 {
		t.Errorf("%d prekeys left, want %d", n, PreKeyCount-1)
	}
	got = bob.mustReceive(alice, alice.send("second", bob), "second")
	if !got.PreKey || got.UsedPreKey {
		t.Errorf("second message: %+v", got)
	}
	if _, err := bob.receive(alice, first); !errors.Is(err, ErrDuplicate) {
		t.Errorf("first message again: %v", err)
	}
	got, err := alice.receive(bob, bob.answer(alice))
	if err != nil || got.Plaintext != nil || got.PreKey || got.UsedPreKey {
		t.Errorf("answer: %+v, %v", got, err)
	}
	got = bob.mustReceive(alice, alice.send("", bob), "")
	if got.PreKey {
		t.Errorf("after the answer: %+v", got)
	}
	for _, c := range [][2]*client{{alice, bob}, {bob, alice}} {
		ok, f, err := c[0].HasSession(c[0].keys, c[1].address())
		if err != nil || !ok || f != c[1].Fingerprint() {
			t.Errorf("HasSession: %v, %v, %v", ok, f, err)
		}
	}
	if ok, _, err := alice.HasSession(alice.keys, Address{"carol@example.org", 1}); ok || err != nil {
		t.Errorf("HasSession with nobody: %v, %v", ok, err)
	}
}

func TestHealAfterManyWithoutAnswer(t *testing.T) {
	alice, bob := established(t)
	for i := 1; i <= healAfter+1; i++ {
		text := fmt.Sprint("message ", i)
		if got := bob.mustReceive(alice, alice.send(text, bob), text); got.Heal != (i >= healAfter) {
			t.Errorf("message %d: Heal is %v", i, got.Heal)
		}
	}
	if _, err := alice.receive(bob, bob.answer(alice)); err != nil {
		t.Fatal(err)
	}
	if got := bob.mustReceive(alice, alice.send("x", bob), "x"); got.Heal {
		t.Error("Heal after the answer")
	}
}

func TestManyDevices(t *testing.T) {
	alice, phone := newClient(t, "alice@example.org"), newClient(t, "alice@example.org")
	bob, desk := newClient(t, "bob@example.org"), newClient(t, "bob@example.org")
	stranger := newClient(t, "carol@example.org")
	for _, c := range []*client{phone, bob, desk} {
		alice.start(c)
	}
	// The own device and repetitions are left out.
	e := alice.send("to all", bob, desk, phone, alice, bob)
	x, err := stanza.ReadEncrypted(e)
	if err != nil || len(x.Keys) != 3 || x.SID != alice.ID() || len(x.IV) != 12 || len(x.Payload) != len("to all") {
		t.Fatalf("%+v, %v", x, err)
	}
	for _, c := range []*client{phone, bob, desk} {
		c.mustReceive(alice, e, "to all")
	}
	if _, err := stranger.receive(alice, e); !errors.Is(err, ErrNotForUs) {
		t.Errorf("stranger: %v", err)
	}
	if _, err := alice.receive(alice, e); !errors.Is(err, ErrOwnMessage) {
		t.Errorf("reflected: %v", err)
	}
	before := alice.keys.clone()
	_, err = alice.Encrypt(alice.keys, []Address{stranger.address()}, []byte("x"))
	if !errors.Is(err, ErrNoSession) || !alice.keys.equal(before) {
		t.Errorf("without a session: %v", err)
	}
	for _, to := range [][]Address{nil, {alice.address()}} {
		if _, err := alice.Encrypt(alice.keys, to, []byte("x")); !errors.Is(err, ErrNoRecipients) {
			t.Errorf("to %v: %v", to, err)
		}
	}
}

// Two people may by chance have devices with the same id: both keys are tried.
func TestSameDeviceIDTwice(t *testing.T) {
	alice, bob := established(t)
	carol := newClient(t, "carol@example.org")
	carol.id = bob.ID()
	alice.start(carol)
	for _, to := range [][]*client{{bob, carol}, {carol, bob}} {
		e := alice.send("to both", to...)
		bob.mustReceive(alice, e, "to both")
		carol.mustReceive(alice, e, "to both")
	}
}

func TestCrossingStarts(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2))
	alice, bob := newClient(t, "alice@example.org"), newClient(t, "bob@example.org")
	alice.start(bob)
	bob.start(alice)
	type message struct {
		e    *stanza.Element
		text string
	}
	queues := map[*client][]message{}
	got := make(map[string]int)
	for sent := 0; sent < 400 || len(queues[alice])+len(queues[bob]) > 0; {
		me, peer := alice, bob
		if random.IntN(2) == 0 {
			me, peer = bob, alice
		}
		if q := queues[me]; random.IntN(2) == 0 && len(q) > 0 {
			me.mustReceive(peer, q[0].e, q[0].text)
			got[q[0].text]++
			queues[me] = q[1:]
		} else if sent < 400 {
			text := fmt.Sprint("message ", sent)
			queues[peer] = append(queues[peer], message{me.send(text, peer), text})
			sent++
		}
	}
	for text, n := range got {
		if n != 1 {
			t.Errorf("%s arrived %d times", text, n)
		}
	}
	if len(got) != 400 {
		t.Errorf("%d of 400 arrived", len(got))
	}
}

func TestBothUseTheSamePreKey(t *testing.T) {
	alice, bob := newClient(t, "alice@example.org"), newClient(t, "bob@example.org")
	carol := newClient(t, "carol@example.org")
	b := bob.published()
	b.PreKeys = b.PreKeys[:1]
	for _, c := range []*client{alice, carol} {
		if err := c.StartSession(c.keys, bob.address(), b); err != nil {
			t.Fatal(err)
		}
	}
	bob.mustReceive(alice, alice.send("first", bob), "first")
	if _, err := bob.receive(carol, carol.send("second", bob)); !errors.Is(err, ErrUnknownPreKey) {
		t.Errorf("prekey used before: %v", err)
	}
	carol.start(bob)
	bob.mustReceive(carol, carol.send("again", bob), "again")
}

func TestIdentityIsBoundToTheDevice(t *testing.T) {
	alice, bob := established(t)
	mallory := newClient(t, alice.jid)
	mallory.id = alice.ID()
	mallory.start(bob)
	if _, err := bob.receive(mallory, mallory.send("I am Alice", bob)); !errors.Is(err, ErrIdentityChanged) {
		t.Errorf("message of another identity: %v", err)
	}
	before := bob.keys.clone()
	err := bob.StartSession(bob.keys, alice.address(), mallory.published())
	if !errors.Is(err, ErrIdentityChanged) || !bob.keys.equal(before) {
		t.Errorf("bundle of another identity: %v", err)
	}
	bob.mustReceive(alice, alice.send("still here", bob), "still here")
	if err := bob.Forget(bob.keys, alice.address()); err != nil {
		t.Fatal(err)
	}
	bob.mustReceive(mallory, mallory.send("a new Alice", bob), "a new Alice")
}

func TestStartSessionRefusesBadBundles(t *testing.T) {
	alice, bob, mallory := newClient(t, "a@example.org"), newClient(t, "b@example.org"), newClient(t, "m@example.org")
	for what, c := range map[string]struct {
		change func(b *Bundle)
		want   error
	}{
		"signature altered":      {func(b *Bundle) { b.Signature[10] ^= 1 }, ErrTampered},
		"signed prekey replaced": {func(b *Bundle) { b.SignedPreKey = mallory.published().SignedPreKey }, ErrTampered},
		"identity replaced":      {func(b *Bundle) { b.IdentityKey = mallory.published().IdentityKey }, ErrTampered},
		"our own identity":       {func(b *Bundle) { *b = alice.published() }, ErrTampered},
		"no prekeys":             {func(b *Bundle) { b.PreKeys = nil }, ErrMalformed},
		"identity of no type":    {func(b *Bundle) { b.IdentityKey[0] = 6 }, ErrMalformed},
		"signed prekey of zero":  {func(b *Bundle) { clear(b.SignedPreKey[1:]) }, ErrMalformed},
		"prekey of zero":         {func(b *Bundle) { b.PreKeys = b.PreKeys[:1]; clear(b.PreKeys[0].Key[1:]) }, ErrMalformed},
		"empty":                  {func(b *Bundle) { *b = Bundle{} }, ErrMalformed},
	} {
		b := bob.published()
		c.change(&b)
		err := alice.StartSession(alice.keys, bob.address(), b)
		if !errors.Is(err, c.want) || len(alice.keys.sessions) != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, a := range []Address{{"", 1}, {"b@example.org", 0}, {"b@example.org", 1 << 31}} {
		if err := alice.StartSession(alice.keys, a, bob.published()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", a, err)
		}
	}
}

func TestAlteredMessagesAreRefused(t *testing.T) {
	alice, bob := established(t)
	carol := newClient(t, "carol@example.org")
	carol.start(bob)
	for _, from := range []*client{alice, carol} {
		e := from.send("the dose is 5 mg", bob)
		x, err := stanza.ReadEncrypted(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][]byte{x.IV, x.Payload} {
			for i := range part {
				part[i] ^= 0x40
				if _, err := bob.receive(from, x.Element()); !errors.Is(err, ErrTampered) {
					t.Errorf("byte %d altered: %v", i, err)
				}
				part[i] ^= 0x40
			}
		}
		good := bytes.Clone(x.Payload)
		for _, payload := range [][]byte{{}, good[:len(good)-1], append(bytes.Clone(good), 0)} {
			x.Payload = payload
			if _, err := bob.receive(from, x.Element()); !errors.Is(err, ErrTampered) {
				t.Errorf("payload of %d bytes: %v", len(payload), err)
			}
		}
		x.Payload = good
		x.Keys[0].PreKey = !x.Keys[0].PreKey
		if _, err := bob.receive(from, x.Element()); !errors.Is(err, ErrMalformed) {
			t.Errorf("kind of message altered: %v", err)
		}
		// None of this kept the good copy from being read.
		bob.mustReceive(from, e, "the dose is 5 mg")
	}
	if _, err := bob.Decrypt(bob.keys, alice.jid, stanza.New("jabber:client", "body")); !errors.Is(err, ErrMalformed) {
		t.Errorf("no encrypted element: %v", err)
	}
}

func TestMessageOfALostSession(t *testing.T) {
	alice, bob := established(t)
	if err := bob.Forget(bob.keys, alice.address()); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.receive(alice, alice.send("lost", bob)); !errors.Is(err, ErrNoSession) {
		t.Errorf("no session: %v", err)
	}
	bob.start(alice)
	if _, err := alice.receive(bob, bob.answer(alice)); err != nil {
		t.Fatal(err)
	}
	bob.mustReceive(alice, alice.send("healed", bob), "healed")
}

// Old clients transport the key alone and leave the tag at the end of the payload.
func TestLegacyTagInPayload(t *testing.T) {
	alice, bob := established(t)
	for _, ivSize := range []int{12, 16} {
		key, iv := bytes.Repeat([]byte{7}, keySize), bytes.Repeat([]byte{9}, ivSize)
		gcm, err := newGCM(key, ivSize)
		if err != nil {
			t.Fatal(err)
		}
		x := &stanza.Encrypted{SID: alice.ID(), IV: iv, Payload: gcm.Seal(nil, iv, []byte("legacy"), nil)}
		k, err := alice.encryptKeyTo(alice.keys, bob.address(), key)
		if err != nil {
			t.Fatal(err)
		}
		x.Keys = []stanza.EncKey{k}
		bob.mustReceive(alice, x.Element(), "legacy")
	}
	k, err := alice.encryptKeyTo(alice.keys, bob.address(), make([]byte, 20))
	if err != nil {
		t.Fatal(err)
	}
	x := &stanza.Encrypted{SID: alice.ID(), Keys: []stanza.EncKey{k}, IV: make([]byte, 12), Payload: make([]byte, 20)}
	if _, err := bob.receive(alice, x.Element()); !errors.Is(err, ErrMalformed) {
		t.Errorf("transported key of 20 bytes: %v", err)
	}
}

// A session start without a one-time prekey could be repeated by the relay once
// the session it began is forgotten.
func TestStartWithoutOneTimePreKeyIsRefused(t *testing.T) {
	alice, bob := newClient(t, "alice@example.org"), newClient(t, "bob@example.org")
	b := bob.published()
	offer, err := readOffer(&b)
	if err != nil {
		t.Fatal(err)
	}
	offer.PreKey, offer.PreKeyID = nil, 0
	var z ratchet.Session
	if err := alice.withIdentity(func(own *ratchet.Identity) error { return z.Start(own, offer) }); err != nil {
		t.Fatal(err)
	}
	if err := storeSession(alice.keys, bob.address(), &z); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.receive(alice, alice.send("x", bob)); !errors.Is(err, ErrMalformed) {
		t.Errorf("no one-time prekey: %v", err)
	}
}

func TestFailingStoreIsReported(t *testing.T) {
	alice, bob := pair(t)
	full := errors.New("disk is full")
	e := alice.send("hello", bob)
	alice.keys.fail, bob.keys.fail = full, full
	if _, err := bob.Decrypt(bob.keys, alice.jid, e); !errors.Is(err, full) {
		t.Errorf("Decrypt: %v", err)
	}
	if _, err := alice.Encrypt(alice.keys, []Address{bob.address()}, []byte("x")); !errors.Is(err, full) {
		t.Errorf("Encrypt: %v", err)
	}
	if err := alice.StartSession(alice.keys, bob.address(), bob.published()); !errors.Is(err, full) {
		t.Errorf("StartSession: %v", err)
	}
	if _, err := Setup(&memory{fail: full}); !errors.Is(err, full) {
		t.Errorf("Setup: %v", err)
	}
}
