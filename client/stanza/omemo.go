package stanza

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// OMEMO 0.3 (XEP-0384 version 0.3.0): what Conversations, Dino, Gajim, Monal and
// profanity speak.
const (
	NSOmemo       = "eu.siacs.conversations.axolotl"
	NodeDevices   = NSOmemo + ".devicelist" // PEP node of the device list
	NotifyDevices = NodeDevices + "+notify" // the feature that asks for its changes
	nodeBundles   = NSOmemo + ".bundles:"   // followed by the device id
)

// Bounds on what a peer may send. A device id is at least 1 and at most MaxDeviceID.
const (
	MaxDeviceID = 1<<31 - 1
	MaxDevices  = 256  // devices of one person
	MaxKeys     = 4096 // keys of one message: a large room, several devices each
	MaxPreKeys  = 1024 // one-time prekeys of one bundle
	MaxKeySize  = 4096 // bytes of one transported key, decoded
)

// ErrOmemo is what reading any OMEMO element fails with, wrapped in what was wrong.
var ErrOmemo = errors.New("malformed OMEMO element")

// EncKey is the message key as encrypted for one device.
type EncKey struct {
	RID    uint32 // the device it is for; two people may have devices with the same id
	PreKey bool   // Data is a prekey message: it starts a session
	Data   []byte // a Signal message or prekey message
}

// Encrypted is the <encrypted/> of a message. Without a payload (nil, while an
// empty one is not nil) it only moves the ratchet.
type Encrypted struct {
	SID     uint32 // the device it is from
	Keys    []EncKey
	IV      []byte // 12 bytes, or 16 from old clients
	Payload []byte // AES-128-GCM ciphertext, without its tag unless from an old client
}

// PreKey is one one-time prekey of a bundle.
type PreKey struct {
	ID  uint32
	Key []byte // 33 bytes: 0x05 and the Curve25519 key
}

// Bundle is what a device publishes so that others can start a session with it.
type Bundle struct {
	IdentityKey    []byte // 33 bytes
	SignedPreKeyID uint32
	SignedPreKey   []byte // 33 bytes
	Signature      []byte // 64 bytes, by IdentityKey over SignedPreKey
	PreKeys        []PreKey
}

// NodeBundle returns the name of the PEP node with the bundle of a device.
func NodeBundle(device uint32) string {
	return nodeBundles + strconv.FormatUint(uint64(device), 10)
}

// ReadEncrypted reads <encrypted/>. Keys for device ids that cannot exist are
// left out; anything else that is wrong is an error. Whether a key decrypts is
// for the caller to find out.
func ReadEncrypted(e *Element) (*Encrypted, error) {
	if !e.Is(NSOmemo, "encrypted") {
		return nil, fmt.Errorf("%w: not <encrypted/>", ErrOmemo)
	}
	header, err := only(e, "header", true)
	if err != nil {
		return nil, err
	}
	payload, err := only(e, "payload", false)
	if err != nil {
		return nil, err
	}
	iv, err := only(header, "iv", true)
	if err != nil {
		return nil, err
	}
	x := new(Encrypted)
	var ok bool
	if x.SID, ok = deviceID(header.Get("sid")); !ok {
		return nil, fmt.Errorf("%w: no valid sid", ErrOmemo)
	}
	if x.IV, err = decode(iv, 16); err != nil {
		return nil, err
	}
	if len(x.IV) != 12 && len(x.IV) != 16 {
		return nil, fmt.Errorf("%w: iv of %d bytes", ErrOmemo, len(x.IV))
	}
	if payload != nil {
		if x.Payload, err = decode(payload, MaxSize); err != nil {
			return nil, err
		}
	}
	for c := range header.Elements() {
		if !c.Is(NSOmemo, "key") {
			continue
		}
		rid, ok := deviceID(c.Get("rid"))
		if !ok {
			continue
		}
		if len(x.Keys) == MaxKeys {
			return nil, fmt.Errorf("%w: more than %d keys", ErrOmemo, MaxKeys)
		}
		data, err := decode(c, MaxKeySize)
		if err != nil {
			return nil, err
		}
		pre := c.Get("prekey")
		x.Keys = append(x.Keys, EncKey{RID: rid, PreKey: pre == "true" || pre == "1", Data: data})
	}
	return x, nil
}

// Element builds <encrypted/>. The prekey attribute is left out where it is
// false, because one library in use reads any value as true.
func (x *Encrypted) Element() *Element {
	header := New(NSOmemo, "header").With("sid", decimal(x.SID))
	for i := range x.Keys {
		key := encode("key", x.Keys[i].Data).With("rid", decimal(x.Keys[i].RID))
		if x.Keys[i].PreKey {
			key.Set("prekey", "true")
		}
		header.Add(key)
	}
	header.Add(encode("iv", x.IV))
	e := New(NSOmemo, "encrypted", header)
	if x.Payload != nil {
		e.Add(encode("payload", x.Payload))
	}
	return e
}

// ReadDeviceList reads the <list/> of a person's devices, in its order. Ids that
// cannot exist and repetitions are left out: one broken client must not hide a
// person's other devices.
func ReadDeviceList(e *Element) ([]uint32, error) {
	if !e.Is(NSOmemo, "list") {
		return nil, fmt.Errorf("%w: not <list/>", ErrOmemo)
	}
	var ids []uint32
	seen := make(map[uint32]bool)
	for c := range e.Elements() {
		if !c.Is(NSOmemo, "device") {
			continue
		}
		id, ok := deviceID(c.Get("id"))
		if !ok || seen[id] {
			continue
		}
		if len(ids) == MaxDevices {
			return nil, fmt.Errorf("%w: more than %d devices", ErrOmemo, MaxDevices)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids, nil
}

// DeviceList builds the <list/> of a person's devices.
func DeviceList(ids []uint32) *Element {
	e := New(NSOmemo, "list")
	for _, id := range ids {
		e.Add(New(NSOmemo, "device").With("id", decimal(id)))
	}
	return e
}

// ReadBundle reads a device's <bundle/>. Lengths are checked here, the signature
// and the keys themselves when a session is started. Prekeys with an id seen
// before are left out.
func ReadBundle(e *Element) (Bundle, error) {
	var b Bundle
	if !e.Is(NSOmemo, "bundle") {
		return b, fmt.Errorf("%w: not <bundle/>", ErrOmemo)
	}
	signed, err := only(e, "signedPreKeyPublic", true)
	if err != nil {
		return b, err
	}
	var ok bool
	if b.SignedPreKeyID, ok = number(signed.Get("signedPreKeyId")); !ok {
		return b, fmt.Errorf("%w: no valid signedPreKeyId", ErrOmemo)
	}
	if b.SignedPreKey, err = decodeExactly(signed, 33); err != nil {
		return b, err
	}
	signature, err := only(e, "signedPreKeySignature", true)
	if err != nil {
		return b, err
	}
	if b.Signature, err = decodeExactly(signature, 64); err != nil {
		return b, err
	}
	identity, err := only(e, "identityKey", true)
	if err != nil {
		return b, err
	}
	if b.IdentityKey, err = decodeExactly(identity, 33); err != nil {
		return b, err
	}
	list, err := only(e, "prekeys", true)
	if err != nil {
		return b, err
	}
	b.PreKeys, err = readPreKeys(list)
	return b, err
}

func readPreKeys(list *Element) ([]PreKey, error) {
	var keys []PreKey
	seen := make(map[uint32]bool)
	for c := range list.Elements() {
		if !c.Is(NSOmemo, "preKeyPublic") {
			continue
		}
		id, ok := number(c.Get("preKeyId"))
		if !ok {
			return nil, fmt.Errorf("%w: no valid preKeyId", ErrOmemo)
		}
		if seen[id] {
			continue
		}
		if len(keys) == MaxPreKeys {
			return nil, fmt.Errorf("%w: more than %d prekeys", ErrOmemo, MaxPreKeys)
		}
		key, err := decodeExactly(c, 33)
		if err != nil {
			return nil, err
		}
		seen[id] = true
		keys = append(keys, PreKey{ID: id, Key: key})
	}
	return keys, nil
}

// Element builds <bundle/>.
func (b *Bundle) Element() *Element {
	keys := New(NSOmemo, "prekeys")
	for _, k := range b.PreKeys {
		keys.Add(encode("preKeyPublic", k.Key).With("preKeyId", decimal(k.ID)))
	}
	return New(NSOmemo, "bundle",
		encode("signedPreKeyPublic", b.SignedPreKey).With("signedPreKeyId", decimal(b.SignedPreKeyID)),
		encode("signedPreKeySignature", b.Signature),
		encode("identityKey", b.IdentityKey),
		keys)
}

// only returns the one OMEMO child called local. Two of them are an error, since
// sender and reader could then mean different ones; so is none if it must be there.
func only(e *Element, local string, must bool) (*Element, error) {
	var found *Element
	for c := range e.Elements() {
		if !c.Is(NSOmemo, local) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: two <%s/>", ErrOmemo, local)
		}
		found = c
	}
	if found == nil && must {
		return nil, fmt.Errorf("%w: no <%s/>", ErrOmemo, local)
	}
	return found, nil
}

// decode reads base64 of at most max bytes. White space is allowed, as some
// clients break lines. The result is never nil unless there is an error.
func decode(e *Element, max int) ([]byte, error) {
	text := e.Text()
	if strings.ContainsAny(text, " \t\r\n") {
		text = strings.Join(strings.Fields(text), "")
	}
	if len(text) > base64.StdEncoding.EncodedLen(max) {
		return nil, fmt.Errorf("%w: <%s/> too long", ErrOmemo, e.Local)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: <%s/> is not base64", ErrOmemo, e.Local)
	}
	if len(b) > max {
		return nil, fmt.Errorf("%w: <%s/> too long", ErrOmemo, e.Local)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

func decodeExactly(e *Element, size int) ([]byte, error) {
	b, err := decode(e, size)
	if err == nil && len(b) != size {
		return nil, fmt.Errorf("%w: <%s/> of %d bytes", ErrOmemo, e.Local, len(b))
	}
	return b, err
}

func encode(local string, b []byte) *Element {
	return TextElement(NSOmemo, local, base64.StdEncoding.EncodeToString(b))
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func number(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

func deviceID(s string) (uint32, bool) {
	n, ok := number(s)
	return n, ok && n >= 1 && n <= MaxDeviceID
}
