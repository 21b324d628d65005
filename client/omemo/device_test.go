package omemo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sotto/client/omemo/ratchet"
	"sotto/client/stanza"
)

func TestSetupMakesADeviceOnce(t *testing.T) {
	k := newMemory()
	d, err := Setup(k)
	if err != nil {
		t.Fatal(err)
	}
	if d.ID() < 1 || d.ID() > stanza.MaxDeviceID {
		t.Errorf("device id %d", d.ID())
	}
	before := k.clone()
	again, err := Setup(k)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != d.ID() || again.Fingerprint() != d.Fingerprint() || !k.equal(before) {
		t.Error("the second Setup made another device")
	}
	b, err := d.Bundle(k)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.PreKeys) != PreKeyCount {
		t.Errorf("%d prekeys", len(b.PreKeys))
	}
	for _, p := range b.PreKeys {
		if p.ID < 1 || p.ID > maxPreKeyID || len(p.Key) != 33 {
			t.Errorf("prekey %d of %d bytes", p.ID, len(p.Key))
		}
	}
	identity, err := ratchet.ParsePublicKey(b.IdentityKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := ratchet.Verify(&identity, b.SignedPreKey, b.Signature); err != nil {
		t.Error(err)
	}
	if Fingerprint(identity) != d.Fingerprint() {
		t.Error("bundle has another identity")
	}
}

func TestSetupRefusesDamage(t *testing.T) {
	k := newMemory()
	if _, err := Setup(k); err != nil {
		t.Fatal(err)
	}
	good := k.identity
	for what, b := range map[string][]byte{
		"short":     good[:36],
		"long":      append(bytes.Clone(good), 0),
		"format":    append([]byte{9}, good[1:]...),
		"device id": append([]byte{identityFormat, 0, 0, 0, 0}, good[5:]...),
		"negative":  append([]byte{identityFormat, 0x80, 0, 0, 1}, good[5:]...),
	} {
		k.identity = b
		if _, err := Setup(k); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestFingerprintString(t *testing.T) {
	var f Fingerprint
	for i := range f {
		f[i] = byte(i)
	}
	want := "00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f"
	if got := f.String(); got != want {
		t.Errorf("got %q", got)
	}
}

func TestMaintainReplenishes(t *testing.T) {
	c := newClient(t, "alice@example.org")
	ids, err := c.keys.PreKeyIDs()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if changed, err := c.Maintain(c.keys, now); err != nil || changed {
		t.Errorf("nothing to do: %v, %v", changed, err)
	}
	for _, id := range ids[:3] {
		delete(c.keys.preKeys, id)
	}
	if changed, err := c.Maintain(c.keys, now); err != nil || !changed || len(c.keys.preKeys) != PreKeyCount {
		t.Errorf("%d prekeys, %v, %v", len(c.keys.preKeys), changed, err)
	}
}

func TestSignedPreKeyLife(t *testing.T) {
	alice, bob := pair(t)
	born := time.Now()
	early := alice.send("sent before the rotations", bob)
	first := bob.published().SignedPreKeyID
	for day := 1; day <= 34; day++ {
		now := born.Add(time.Duration(day) * 24 * time.Hour).Add(time.Minute)
		changed, err := bob.Maintain(bob.keys, now)
		if err != nil || changed != (day%7 == 0) {
			t.Errorf("day %d: changed is %v, %v", day, changed, err)
		}
	}
	if len(bob.keys.signed) != 5 || bob.published().SignedPreKeyID == first {
		t.Errorf("%d signed prekeys, newest %d", len(bob.keys.signed), bob.published().SignedPreKeyID)
	}
	archived := bob.keys.clone()
	if _, err := bob.receive(alice, early); err != nil {
		t.Errorf("message to a signed prekey replaced less than four weeks ago: %v", err)
	}
	bob.keys = archived
	if _, err := bob.Maintain(bob.keys, born.Add(35*24*time.Hour+2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if key, _, _, _ := bob.keys.SignedPreKey(first); key != nil {
		t.Error("the first signed prekey is still there")
	}
	if _, err := bob.receive(alice, early); err == nil || !strings.Contains(err.Error(), ErrUnknownPreKey.Error()) {
		t.Errorf("message to a deleted signed prekey: %v", err)
	}
	alice.start(bob)
	bob.mustReceive(alice, alice.send("with the newest", bob), "with the newest")
}

func TestClockThatWasWrong(t *testing.T) {
	c := newClient(t, "alice@example.org")
	id := c.published().SignedPreKeyID
	s := c.keys.signed[id]
	now := s.created
	s.created = now.Add(1000 * 24 * time.Hour)
	c.keys.signed[id] = s
	if changed, err := c.Maintain(c.keys, now); err != nil || changed {
		t.Errorf("%v, %v", changed, err)
	}
	if !c.keys.signed[id].created.Equal(now) {
		t.Error("signed prekey is still dated in the future")
	}
	if changed, err := c.Maintain(c.keys, now.Add(RotateAfter)); err != nil || !changed {
		t.Errorf("a week later: %v, %v", changed, err)
	}
}

func TestBundleWithoutKeys(t *testing.T) {
	c := newClient(t, "alice@example.org")
	if _, err := c.Bundle(newMemory()); err == nil {
		t.Error("a bundle without keys")
	}
	for id := range c.keys.preKeys {
		c.keys.preKeys[id] = []byte{1, 2, 3}
		break
	}
	if _, err := c.Bundle(c.keys); err == nil {
		t.Error("a bundle of damaged keys")
	}
}

func TestSignIdentity(t *testing.T) {
	k := newMemory()
	if id, err := DeviceID(k); id != 0 || err != nil {
		t.Errorf("before there is a device: %d, %v", id, err)
	}
	d, err := Setup(k)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := DeviceID(k); id != d.ID() || err != nil {
		t.Errorf("device %d, %v; it is %d", id, err, d.ID())
	}
	message := []byte("sotto join-request v1\norganisation: hospital.example\n")
	signature, err := d.SignIdentity(message)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ratchet.ParsePublicKey(append([]byte{5}, func() []byte { f := d.Fingerprint(); return f[:] }()...))
	if err != nil {
		t.Fatal(err)
	}
	if err := ratchet.Verify(&key, message, signature[:]); err != nil {
		t.Error(err)
	}
	if err := ratchet.Verify(&key, append(message, '\n'), signature[:]); err == nil {
		t.Error("another message has the same signature")
	}
	if _, err := d.SignIdentity(make([]byte, ratchet.PublicKeySize)); err == nil {
		t.Error("what could be a signed prekey was signed")
	}
}
