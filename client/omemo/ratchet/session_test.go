package ratchet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"testing"
)

// party is one side of a session, with the keys that its bundle is made of.
type party struct {
	t        testing.TB
	identity KeyPair
	signed   KeyPair
	once     map[uint32]*KeyPair
	nextOnce uint32
	session  *Session
}

func newParty(t testing.TB) *party {
	p := &party{t: t, once: make(map[uint32]*KeyPair), session: new(Session)}
	GenerateKey(&p.identity)
	GenerateKey(&p.signed)
	return p
}

func (p *party) own() *Identity {
	return &Identity{Private: &p.identity.Private, Public: p.identity.Public}
}

func (p *party) offer() *Offer {
	p.nextOnce++
	k := new(KeyPair)
	GenerateKey(k)
	p.once[p.nextOnce] = k
	s := Sign(&p.identity.Private, p.signed.Public.Bytes())
	return &Offer{Identity: p.identity.Public, SignedPreKeyID: 7, SignedPreKey: p.signed.Public, Signature: s[:],
		PreKeyID: p.nextOnce, PreKey: &k.Public}
}

func (p *party) start(peer *party) {
	p.t.Helper()
	if err := p.session.Start(p.own(), peer.offer()); err != nil {
		p.t.Fatal(err)
	}
}

// packet is a message under way.
type packet struct {
	data   []byte
	preKey bool
	text   string
}

func (p *party) send(text string) packet {
	p.t.Helper()
	data, preKey, err := p.session.Encrypt([]byte(text), 42)
	if err != nil {
		p.t.Fatal(err)
	}
	return packet{data, preKey, text}
}

// receive decrypts as a caller would: the session is stored and loaded around it,
// and a prekey that a new state used is deleted.
func (p *party) receive(m packet) (string, error) {
	p.t.Helper()
	before := p.session.Marshal()
	z, err := UnmarshalSession(before)
	if err != nil {
		p.t.Fatal(err)
	}
	plaintext, used, err := p.decrypt(z, m)
	if err != nil {
		if !bytes.Equal(before, z.Marshal()) {
			p.t.Fatalf("rejected message (%v) changed the session", err)
		}
		return "", err
	}
	p.session = z
	if used != 0 {
		delete(p.once, used)
	}
	return string(plaintext), nil
}

var errNoPreKey = errors.New("prekey is gone")

func (p *party) decrypt(z *Session, m packet) (plaintext []byte, used uint32, err error) {
	if !m.preKey {
		parsed, err := ParseMessage(m.data)
		if err != nil {
			return nil, 0, err
		}
		plaintext, err = z.Decrypt(parsed)
		return plaintext, 0, err
	}
	parsed, err := ParsePreKeyMessage(m.data)
	if err != nil {
		return nil, 0, err
	}
	var pre PreKeys
	if !z.Has(parsed) {
		pre.Signed = &p.signed.Private
		if parsed.HasPreKey {
			k := p.once[parsed.PreKeyID]
			if k == nil || parsed.SignedPreKeyID != 7 {
				return nil, 0, errNoPreKey
			}
			pre.OneTime, used = &k.Private, parsed.PreKeyID
		}
	}
	plaintext, err = z.DecryptPreKey(p.own(), pre, parsed)
	return plaintext, used, err
}

func (p *party) mustReceive(m packet) {
	p.t.Helper()
	got, err := p.receive(m)
	if err != nil || got != m.text {
		p.t.Fatalf("receive %q: got %q, %v", m.text, got, err)
	}
}

func pair(t testing.TB) (alice, bob *party) {
	alice, bob = newParty(t), newParty(t)
	alice.start(bob)
	return alice, bob
}

// established is a pair that has heard from each other.
func established(t testing.TB) (alice, bob *party) {
	alice, bob = pair(t)
	bob.mustReceive(alice.send("hello"))
	alice.mustReceive(bob.send("hello back"))
	return alice, bob
}

func TestConversation(t *testing.T) {
	alice, bob := pair(t)
	for i := range 3 {
		m := alice.send(fmt.Sprint("unanswered ", i))
		if !m.preKey {
			t.Error("message before the first answer is no prekey message")
		}
		bob.mustReceive(m)
	}
	if n := bob.session.Unanswered(); n != 3 {
		t.Errorf("%d unanswered, want 3", n)
	}
	if bob.session.States() != 1 {
		t.Errorf("repeated prekey messages made %d states", bob.session.States())
	}
	for i := range 20 {
		for j := range i%3 + 1 {
			m := bob.send(fmt.Sprint("from bob ", i, j))
			if m.preKey {
				t.Error("answer is a prekey message")
			}
			alice.mustReceive(m)
		}
		if n := bob.session.Unanswered(); n != 0 {
			t.Errorf("%d unanswered after an answer", n)
		}
		m := alice.send(fmt.Sprint("from alice ", i))
		if m.preKey {
			t.Error("prekey message after an answer")
		}
		bob.mustReceive(m)
	}
	if r, ok := bob.session.Remote(); !ok || r != alice.identity.Public {
		t.Error("bob's session is not with alice's identity")
	}
	for _, n := range []int{0, 1, 15, 16, 17, 32, 79, 80, 81, MaxPlaintext} {
		bob.mustReceive(alice.send(string(bytes.Repeat([]byte{'x'}, n))))
	}
	if _, _, err := alice.session.Encrypt(make([]byte, MaxPlaintext+1), 1); !errors.Is(err, ErrMalformed) {
		t.Errorf("plaintext too long: %v", err)
	}
}

// The first message as another implementation would read it: the standard library
// and the specifications, none of this package's code.
func TestFirstMessageIsWhatTheSpecificationSays(t *testing.T) {
	alice, bob := pair(t)
	for n := range 3 {
		m := alice.send("the text")
		outer := protobuf(t, m.data[1:])
		if m.data[0] != 0x33 || outer[5].n != 42 || outer[1].n != 1 || outer[6].n != 7 {
			t.Fatalf("prekey message %x", m.data)
		}
		base, identity, inner := outer[2].b, outer[3].b, outer[4].b
		if !bytes.Equal(identity, append([]byte{5}, alice.identity.Public[:]...)) || len(base) != 33 || base[0] != 5 {
			t.Fatalf("identity %x, base %x", identity, base)
		}
		secret := bytes.Repeat([]byte{0xff}, 32)
		secret = append(secret, agree(t, bob.signed.Private[:], identity[1:])...)
		secret = append(secret, agree(t, bob.identity.Private[:], base[1:])...)
		secret = append(secret, agree(t, bob.signed.Private[:], base[1:])...)
		secret = append(secret, agree(t, bob.once[1].Private[:], base[1:])...)
		root := derive(t, secret, make([]byte, 32), "WhisperText", 64)[:32]

		fields := protobuf(t, inner[1:len(inner)-8])
		if inner[0] != 0x33 || fields[2].n != uint64(n) || fields[3].n != 0 {
			t.Fatalf("message %x", inner)
		}
		step := derive(t, agree(t, bob.signed.Private[:], fields[1].b[1:]), root, "WhisperRatchet", 64)
		chainKey := step[32:]
		for range n {
			chainKey = sum(chainKey, 2)
		}
		keys := derive(t, sum(chainKey, 1), make([]byte, 32), "WhisperMessageKeys", 80)
		mac := hmac.New(sha256.New, keys[32:64])
		mac.Write(identity)
		mac.Write(append([]byte{5}, bob.identity.Public[:]...))
		mac.Write(inner[:len(inner)-8])
		if !bytes.Equal(mac.Sum(nil)[:8], inner[len(inner)-8:]) {
			t.Fatal("mac differs")
		}
		block, err := aes.NewCipher(keys[:32])
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Clone(fields[4].b)
		cipher.NewCBCDecrypter(block, keys[64:]).CryptBlocks(text, text)
		if string(text) != "the text"+string(bytes.Repeat([]byte{8}, 8)) {
			t.Fatalf("plaintext %q", text)
		}
	}
}

type protoField struct {
	n uint64
	b []byte
}

func protobuf(t *testing.T, b []byte) map[int]protoField {
	t.Helper()
	fields := make(map[int]protoField)
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		v, m := binary.Uvarint(b[n:])
		b = b[n+m:]
		f := protoField{n: v}
		if tag&7 == 2 {
			f.b, b = b[:v], b[v:]
		}
		fields[int(tag>>3)] = f
	}
	return fields
}

func agree(t *testing.T, private, public []byte) []byte {
	t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	z, err := k.ECDH(p)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func derive(t *testing.T, secret, salt []byte, info string, n int) []byte {
	t.Helper()
	b, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum(k []byte, b byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte{b})
	return h.Sum(nil)
}

func TestRepeatedMessages(t *testing.T) {
	alice, bob := pair(t)
	first := alice.send("first")
	bob.mustReceive(first)
	if _, err := bob.receive(first); !errors.Is(err, ErrDuplicate) {
		t.Errorf("repeated prekey message: %v", err)
	}
	second := alice.send("second, same base key")
	bob.mustReceive(second)
	if len(bob.once) != 0 {
		t.Error("one-time prekey is still there")
	}
	answer := bob.send("answer")
	alice.mustReceive(answer)
	if _, err := alice.receive(answer); !errors.Is(err, ErrDuplicate) {
		t.Errorf("repeated message: %v", err)
	}
	third, fourth := alice.send("third"), alice.send("fourth")
	bob.mustReceive(fourth)
	bob.mustReceive(third)
	for _, m := range []packet{third, fourth} {
		if _, err := bob.receive(m); !errors.Is(err, ErrDuplicate) {
			t.Errorf("repeated %s: %v", m.text, err)
		}
	}
}

func TestThousandOutOfOrderWithGaps(t *testing.T) {
	alice, bob := established(t)
	random := mrand.New(mrand.NewPCG(1, 2))
	var sent []packet
	for i := range 1500 {
		m := alice.send(fmt.Sprint("message ", i))
		if i%3 != 2 { // every third is lost
			sent = append(sent, m)
		}
		if i%97 == 0 { // the ratchet turns now and then
			bob.mustReceive(alice.send("turn"))
			alice.mustReceive(bob.send("turned"))
		}
		// Reordered within the reach of the chains that a receiver keeps open.
		if len(sent) == 50 {
			random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
			for _, m := range sent {
				bob.mustReceive(m)
			}
			sent = sent[:0]
		}
	}

	// A thousand of one chain, wholly shuffled.
	sent = sent[:0]
	for i := range 1000 {
		sent = append(sent, alice.send(fmt.Sprint("shuffled ", i)))
		if i%4 == 0 {
			alice.send("lost")
		}
	}
	random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	for _, m := range sent {
		bob.mustReceive(m)
	}
}

func TestFourHundredCrossingMessages(t *testing.T) {
	for seed := range uint64(20) {
		random := mrand.New(mrand.NewPCG(seed, 0))
		alice, bob := newParty(t), newParty(t)
		alice.start(bob)
		bob.start(alice)
		var toAlice, toBob []packet
		got := make(map[string]int)
		for sent := 0; sent < 400 || len(toAlice)+len(toBob) > 0; {
			switch n := random.IntN(4); {
			case n == 0 && sent < 400:
				toBob = append(toBob, alice.send(fmt.Sprint("a", sent)))
				sent++
			case n == 1 && sent < 400:
				toAlice = append(toAlice, bob.send(fmt.Sprint("b", sent)))
				sent++
			case n == 2 && len(toAlice) > 0:
				alice.mustReceive(toAlice[0])
				got[toAlice[0].text]++
				toAlice = toAlice[1:]
			case n == 3 && len(toBob) > 0:
				bob.mustReceive(toBob[0])
				got[toBob[0].text]++
				toBob = toBob[1:]
			}
		}
		if len(got) != 400 {
			t.Fatalf("seed %d: %d of 400 arrived", seed, len(got))
		}
		for text, n := range got {
			if n != 1 {
				t.Fatalf("seed %d: %s arrived %d times", seed, text, n)
			}
		}
		for _, p := range []*party{alice, bob} {
			if p.session.Pending() {
				t.Error("a side still sends prekey messages")
			}
		}
	}
}

// Random runs of every operation: what is delivered decrypts to what was sent,
// once; what is repeated or altered is refused and changes nothing.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(30) {
		random := mrand.New(mrand.NewPCG(seed, 1))
		sides := [2]*party{newParty(t), newParty(t)}
		var queue [2][]packet // to each side
		var delivered [2][]packet
		starts := 0
		for op := range 400 {
			i := random.IntN(2)
			me, peer := sides[i], sides[1-i]
			switch n := random.IntN(100); {
			case me.session.Empty() || n < 2 && starts < MaxStates:
				// Bounded, since a state that is dropped takes its messages along.
				me.start(peer)
				starts++
			case n < 45:
				queue[1-i] = append(queue[1-i], me.send(fmt.Sprint("message ", op)))
			case n < 80 && len(queue[i]) > 0:
				// Mostly the oldest, sometimes one of the next few, within the
				// ratchet turns whose chains are kept.
				at := 0
				if random.IntN(3) == 0 {
					at = random.IntN(min(len(queue[i]), 10))
				}
				m := queue[i][at]
				queue[i] = append(queue[i][:at:at], queue[i][at+1:]...)
				got, err := me.receive(m)
				if err != nil || got != m.text {
					t.Fatalf("seed %d, operation %d: %q, %v", seed, op, got, err)
				}
				delivered[i] = append(delivered[i], m)
			case n < 85 && len(queue[i]) > 0: // lost
				queue[i] = queue[i][1:]
			case n < 92 && len(delivered[i]) > 0: // repeated
				m := delivered[i][random.IntN(len(delivered[i]))]
				if got, err := me.receive(m); err == nil {
					t.Fatalf("seed %d, operation %d: decrypted twice: %q", seed, op, got)
				}
			case len(queue[i]) > 0: // altered
				m := queue[i][0]
				m.data = bytes.Clone(m.data)
				m.data[len(m.data)/2] ^= 1 << random.IntN(8)
				if got, err := me.receive(m); err == nil {
					t.Fatalf("seed %d, operation %d: altered message gives %q", seed, op, got)
				}
			}
		}
	}
}

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

func TestWithoutOneTimePreKey(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	o := bob.offer()
	o.PreKey, o.PreKeyID = nil, 0
	if err := alice.session.Start(alice.own(), o); err != nil {
		t.Fatal(err)
	}
	m := alice.send("hello")
	if p, err := ParsePreKeyMessage(m.data); err != nil || p.HasPreKey {
		t.Errorf("%+v, %v", p, err)
	}
	bob.mustReceive(m)
	alice.mustReceive(bob.send("hello back"))
}

func TestNewStateIsAnsweredIn(t *testing.T) {
	alice, bob := established(t)
	late := alice.send("sent in the old state, arrives late")
	alice.start(bob)
	m := alice.send("sent in the new state")
	if !m.preKey {
		t.Error("first message of the new state is no prekey message")
	}
	bob.mustReceive(m)
	alice.mustReceive(bob.send("answered in the new state"))
	if alice.session.Pending() {
		t.Error("answer did not come in the new state")
	}
	bob.mustReceive(late)
	alice.mustReceive(bob.send("answered in the old state"))
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
