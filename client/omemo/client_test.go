package omemo

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"sotto/client/stanza"
)

// memory is Keys in memory, with transactions.
type memory struct {
	sessions map[Address][]byte
	preKeys  map[uint32][]byte
	signed   map[uint32]signedPreKey
	identity []byte
	fail     error // what every write fails with
}

type signedPreKey struct {
	key, signature []byte
	created        time.Time
}

func newMemory() *memory {
	return &memory{
		sessions: make(map[Address][]byte),
		preKeys:  make(map[uint32][]byte),
		signed:   make(map[uint32]signedPreKey),
	}
}

func (m *memory) clone() *memory {
	return &memory{maps.Clone(m.sessions), maps.Clone(m.preKeys), maps.Clone(m.signed), m.identity, m.fail}
}

func (m *memory) equal(o *memory) bool {
	same := func(a, b []byte) bool { return bytes.Equal(a, b) }
	return maps.EqualFunc(m.sessions, o.sessions, same) && maps.EqualFunc(m.preKeys, o.preKeys, same) &&
		maps.EqualFunc(m.signed, o.signed, func(a, b signedPreKey) bool { return same(a.key, b.key) && a.created.Equal(b.created) })
}

func (m *memory) Session(peer Address) ([]byte, error) { return bytes.Clone(m.sessions[peer]), nil }

func (m *memory) PutSession(peer Address, state []byte) error {
	if len(state) == 0 {
		delete(m.sessions, peer)
	} else {
		m.sessions[peer] = bytes.Clone(state)
	}
	return m.fail
}

func (m *memory) PreKey(id uint32) ([]byte, error) { return bytes.Clone(m.preKeys[id]), nil }

func (m *memory) PutPreKey(id uint32, key []byte) error {
	m.preKeys[id] = bytes.Clone(key)
	return m.fail
}

func (m *memory) DeletePreKey(id uint32) error { delete(m.preKeys, id); return m.fail }

func (m *memory) PreKeyIDs() ([]uint32, error) { return slices.Sorted(maps.Keys(m.preKeys)), nil }

func (m *memory) SignedPreKey(id uint32) (key, signature []byte, created time.Time, err error) {
	s := m.signed[id]
	return bytes.Clone(s.key), bytes.Clone(s.signature), s.created, nil
}

func (m *memory) PutSignedPreKey(id uint32, key, signature []byte, created time.Time) error {
	m.signed[id] = signedPreKey{bytes.Clone(key), bytes.Clone(signature), created}
	return m.fail
}

func (m *memory) SignedPreKeyIDs() ([]uint32, error) {
	ids := slices.Collect(maps.Keys(m.signed))
	slices.SortFunc(ids, func(a, b uint32) int { return m.signed[a].created.Compare(m.signed[b].created) })
	return ids, nil
}

func (m *memory) DeleteSignedPreKey(id uint32) error { delete(m.signed, id); return m.fail }

func (m *memory) Identity() ([]byte, error) { return bytes.Clone(m.identity), nil }

func (m *memory) PutIdentity(b []byte) error { m.identity = bytes.Clone(b); return m.fail }

// client is a device with its keys.
type client struct {
	t    testing.TB
	jid  string
	keys *memory
	*Device
}

func newClient(t testing.TB, jid string) *client {
	t.Helper()
	k := newMemory()
	d, err := Setup(k)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, jid, k, d}
}

func (c *client) address() Address { return Address{c.jid, c.ID()} }

// published is the bundle as it arrives through the relay.
func (c *client) published() Bundle {
	c.t.Helper()
	b, err := c.Bundle(c.keys)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := stanza.ReadBundle(overTheWire(c.t, b.Element()))
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

func overTheWire(t testing.TB, e *stanza.Element) *stanza.Element {
	t.Helper()
	got, err := stanza.Parse(e.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (c *client) start(peer *client) {
	c.t.Helper()
	if err := c.StartSession(c.keys, peer.address(), peer.published()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) send(text string, to ...*client) *stanza.Element {
	c.t.Helper()
	var addresses []Address
	for _, p := range to {
		addresses = append(addresses, p.address())
	}
	e, err := c.Encrypt(c.keys, addresses, []byte(text))
	if err != nil {
		c.t.Fatal(err)
	}
	return overTheWire(c.t, e)
}

// receive decrypts in a transaction and checks that a failure changes nothing.
func (c *client) receive(from *client, e *stanza.Element) (Decrypted, error) {
	c.t.Helper()
	before := c.keys.clone()
	got, err := c.Decrypt(c.keys, from.jid, e)
	if err != nil && !c.keys.equal(before) {
		c.t.Fatalf("rejected message (%v) changed what is kept", err)
	}
	return got, err
}

func (c *client) mustReceive(from *client, e *stanza.Element, text string) Decrypted {
	c.t.Helper()
	got, err := c.receive(from, e)
	if err != nil || string(got.Plaintext) != text || got.Plaintext == nil {
		c.t.Fatalf("got %q, %v; want %q", got.Plaintext, err, text)
	}
	if got.From != from.address() || got.Identity != from.Fingerprint() {
		c.t.Fatalf("from %v, %v", got.From, got.Identity)
	}
	return got
}

func (c *client) answer(to *client) *stanza.Element {
	c.t.Helper()
	e, err := c.EncryptKey(c.keys, []Address{to.address()})
	if err != nil {
		c.t.Fatal(err)
	}
	return overTheWire(c.t, e)
}

func pair(t testing.TB) (alice, bob *client) {
	alice, bob = newClient(t, "alice@example.org"), newClient(t, "bob@example.org")
	alice.start(bob)
	return alice, bob
}

func established(t testing.TB) (alice, bob *client) {
	alice, bob = pair(t)
	bob.mustReceive(alice, alice.send("hello", bob), "hello")
	if _, err := alice.receive(bob, bob.answer(alice)); err != nil {
		t.Fatal(err)
	}
	return alice, bob
}
