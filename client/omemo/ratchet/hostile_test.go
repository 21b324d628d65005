package ratchet

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math"
	"testing"
)

func TestEveryFlippedByteIsRefused(t *testing.T) {
	alice, bob := pair(t)
	alice.send("lost")
	preKey := alice.send("prekey message")
	registration := bytes.LastIndex(preKey.data, []byte{tagRegistrationID, 42, tagSignedPreKeyID, 7})
	if registration < 0 {
		t.Fatal("no registration id in the prekey message")
	}
	for i := range preKey.data {
		for bit := range 8 {
			if i == registration+1 && bit < 7 {
				continue // not authenticated by the protocol, not used by us
			}
			m := preKey
			m.data = bytes.Clone(m.data)
			m.data[i] ^= 1 << bit
			if got, err := bob.receive(m); err == nil {
				t.Fatalf("byte %d, bit %d of a prekey message: accepted as %q", i, bit, got)
			}
		}
	}
	bob.mustReceive(preKey)
	alice.mustReceive(bob.send("answer"))
	bob.mustReceive(alice.send("turn"))
	alice.send("lost")
	m := alice.send("message")
	next := alice.send("next")
	bob.mustReceive(next) // the flipped ones try a skipped key
	for _, m := range []packet{m, alice.send("on the chain")} {
		for i := range m.data {
			for bit := range 8 {
				f := m
				f.data = bytes.Clone(m.data)
				f.data[i] ^= 1 << bit
				if got, err := bob.receive(f); err == nil {
					t.Fatalf("byte %d, bit %d: accepted as %q", i, bit, got)
				}
			}
		}
		for n := range m.data {
			if _, err := bob.receive(packet{data: m.data[:n]}); err == nil {
				t.Fatalf("cut to %d bytes: accepted", n)
			}
		}
		bob.mustReceive(m)
	}
}

func TestBounds(t *testing.T) {
	alice, bob := established(t)
	for range MaxGap {
		alice.send("lost")
	}
	edge := alice.send("just within reach")
	for range MaxGap {
		alice.send("lost")
	}
	alice.send("lost")
	beyond := alice.send("beyond")
	if _, err := bob.receive(beyond); !errors.Is(err, ErrNoState) {
		t.Errorf("beyond the gap, on a chain not begun: %v", err)
	}
	bob.mustReceive(edge)
	if n := len(bob.session.states[0].skipped); n != MaxSkipped {
		t.Errorf("%d skipped keys, want %d", n, MaxSkipped)
	}
	if _, err := bob.receive(beyond); !errors.Is(err, ErrTooFarAhead) {
		t.Errorf("beyond the gap: %v", err)
	}
	alice.mustReceive(bob.send("turn"))
	alice.send("lost")
	bob.mustReceive(alice.send("new chain"))
	if n := len(bob.session.states[0].skipped); n != MaxSkipped {
		t.Errorf("%d skipped keys after one more, want %d", n, MaxSkipped)
	}
	for range 3 * MaxChains {
		alice.mustReceive(bob.send("turn"))
		bob.mustReceive(alice.send("turn"))
	}
	if n := bob.session.states[0].nchains; n != MaxChains {
		t.Errorf("%d chains, want %d", n, MaxChains)
	}
	for range 3 * MaxStates {
		alice.start(bob)
		bob.mustReceive(alice.send("another state"))
	}
	for _, p := range []*party{alice, bob} {
		if n := p.session.States(); n != MaxStates {
			t.Errorf("%d states, want %d", n, MaxStates)
		}
	}
	if n := len(bob.session.Marshal()); n > MaxSessionSize {
		t.Errorf("marshalled session of %d bytes, bound is %d", n, MaxSessionSize)
	}
	alice.session.states[0].sending.n = math.MaxUint32
	if _, _, err := alice.session.Encrypt([]byte("x"), 1); !errors.Is(err, ErrExhausted) {
		t.Errorf("exhausted chain: %v", err)
	}
}

func TestStartRefusesBadBundles(t *testing.T) {
	alice, bob, mallory := newParty(t), newParty(t), newParty(t)
	for what, c := range map[string]struct {
		change func(o *Offer)
		want   error
	}{
		"signature of another": {func(o *Offer) {
			s := Sign(&mallory.identity.Private, o.SignedPreKey.Bytes())
			o.Signature = s[:]
		}, ErrSignature},
		"other signed prekey":   {func(o *Offer) { o.SignedPreKey = mallory.signed.Public }, ErrSignature},
		"no signature":          {func(o *Offer) { o.Signature = nil }, ErrMalformed},
		"identity of order one": {func(o *Offer) { o.Identity = PublicKey{1} }, ErrMalformed},
		"prekey of order one":   {func(o *Offer) { o.PreKey = &PublicKey{1} }, ErrMalformed},
	} {
		o := bob.offer()
		c.change(o)
		if err := alice.session.Start(alice.own(), o); !errors.Is(err, c.want) || !alice.session.Empty() {
			t.Errorf("%s: %v", what, err)
		}
	}
	alice.start(bob)
	if err := alice.session.Start(alice.own(), mallory.offer()); !errors.Is(err, ErrIdentity) || alice.session.States() != 1 {
		t.Errorf("bundle of another identity: %v", err)
	}
}

func TestPreKeyMessageOfAnotherIdentityIsRefused(t *testing.T) {
	alice, bob := established(t)
	mallory := newParty(t)
	mallory.start(bob)
	if _, err := bob.receive(mallory.send("I am Alice")); !errors.Is(err, ErrIdentity) {
		t.Errorf("another identity: %v", err)
	}
	bob.mustReceive(alice.send("still here"))
}

func TestEmptySession(t *testing.T) {
	var z Session
	if _, _, err := z.Encrypt([]byte("x"), 1); !errors.Is(err, ErrNoState) {
		t.Errorf("Encrypt: %v", err)
	}
	if _, err := z.Decrypt(new(Message)); !errors.Is(err, ErrNoState) {
		t.Errorf("Decrypt: %v", err)
	}
	if _, ok := z.Remote(); ok || z.Unanswered() != 0 || z.Pending() || z.Marshal() != nil {
		t.Error("empty session has contents")
	}
	if _, err := z.DecryptPreKey(new(Identity), PreKeys{}, new(PreKeyMessage)); !errors.Is(err, ErrMalformed) {
		t.Errorf("DecryptPreKey without prekeys: %v", err)
	}
}

func TestWipeClearsEverything(t *testing.T) {
	alice, bob := established(t)
	for range 5 {
		alice.send("lost")
	}
	bob.mustReceive(alice.send("here"))
	states := bob.session.states
	kept := states[0].skipped
	bob.session.Wipe()
	if states[0].core != (core{}) || states[0].skipped != nil || !bob.session.Empty() {
		t.Error("state is not clear")
	}
	for i := range kept[:cap(kept)] {
		if kept[:cap(kept)][i] != (skipped{}) {
			t.Error("skipped key is not clear")
		}
	}
}

func TestUnmarshalRefusesDamage(t *testing.T) {
	alice, bob := established(t)
	alice.send("lost")
	bob.mustReceive(alice.send("here"))
	good := bob.session.Marshal()
	z, err := UnmarshalSession(good)
	if err != nil || !bytes.Equal(z.Marshal(), good) {
		t.Fatalf("round trip: %v", err)
	}
	for n := 1; n < len(good); n++ {
		if _, err := UnmarshalSession(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for _, b := range [][]byte{append(bytes.Clone(good), 0), append([]byte{2}, good[1:]...)} {
		if _, err := UnmarshalSession(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	if z, err := UnmarshalSession(nil); err != nil || !z.Empty() {
		t.Errorf("nothing: %v", err)
	}
}

func TestParseRefusesWhatIsNotCanonical(t *testing.T) {
	alice, bob := established(t)
	m := alice.send("x").data
	body, mac := m[:len(m)-8], m[len(m)-8:]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	if body[36] != tagCounter || body[38] != tagPrevious {
		t.Fatalf("message is not laid out as expected: %x", m)
	}
	for what, b := range map[string][]byte{
		"nothing":               nil,
		"version 2":             join([]byte{0x22}, m[1:]),
		"version 4":             join([]byte{0x44}, m[1:]),
		"repeated counter":      join(body, []byte{tagCounter, 0}, mac),
		"unknown field":         join(body, []byte{7 << 3, 0}, mac),
		"field number zero":     join(body, []byte{0, 0}, mac),
		"overlong counter":      join(body[:37], []byte{0x80, 0x00}, body[38:], mac),
		"counter beyond 32 bit": join(body[:37], []byte{0x80, 0x80, 0x80, 0x80, 0x10}, body[38:], mac),
		"last counter":          join(body[:37], []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, body[38:], mac),
		"no ratchet key":        join(body[:1], body[36:], mac),
		"no counter":            join(body[:36], body[38:], mac),
		"no ciphertext":         join(body[:40], mac),
		"too long":              make([]byte, MaxMessage+1),
	} {
		if _, err := ParseMessage(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	bob.mustReceive(packet{data: m, text: "x"})
	random := make([]byte, 500)
	rand.Read(random)
	if _, err := bob.receive(packet{data: random}); err == nil {
		t.Error("random bytes decrypt")
	}
}
