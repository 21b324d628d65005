package ratchet

import (
	"bytes"
	"errors"
	"fmt"
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
	if n := len(bob.session.states[0].skipped); n != 1 {
		t.Errorf("%d skipped keys, want 1", n)
	}
	bob.mustReceive(third)
	if n := len(bob.session.states[0].skipped); n != 0 {
		t.Errorf("%d skipped keys after the missing message came", n)
	}
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
	old := bob.session.states[0].base
	alice.start(bob)
	m := alice.send("sent in the new state")
	if !m.preKey {
		t.Error("first message of the new state is no prekey message")
	}
	bob.mustReceive(m)
	if bob.session.States() != 2 || bob.session.states[0].base == old {
		t.Error("bob does not answer in the new state")
	}
	alice.mustReceive(bob.send("answered in the new state"))
	if alice.session.Pending() {
		t.Error("answer did not come in the new state")
	}
	bob.mustReceive(late)
	if bob.session.States() != 2 || bob.session.states[0].base != old {
		t.Error("bob does not answer in the state that decrypted last")
	}
	alice.mustReceive(bob.send("answered in the old state"))
}
