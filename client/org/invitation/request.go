package invitation

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/xeddsa"
)

// request is what a device sends that wants to join.
type request struct {
	organisation string
	invitation   string // id
	address      string
	device       directory.Device
	identity     [xeddsa.SignatureSize]byte // by the device's OMEMO identity key
	password     []byte                     // the account's from now on, encrypted; nil: not told
	code, both   org.Hash                   // MACs

	hash org.Hash
}

// body is the part of the text that the first MAC is of.
func (q *request) body() *org.Writer {
	w := org.NewWriter(org.KindRequest, q.organisation)
	w.Line("invitation", q.invitation)
	w.Line("address", q.address)
	w.Line("device", q.device.String())
	w.Line("identity", base64.StdEncoding.EncodeToString(q.identity[:]))
	w.Optional("password", base64.StdEncoding.EncodeToString(q.password))
	return w
}

// claim is what the OMEMO identity key signs: that it belongs to this device of this
// address. Without it somebody could have another's key put beneath his own name,
// and pass off, with the help of a relay, what the other has written as his.
func (q *request) claim() []byte {
	return []byte("sotto joins with this identity key v1\n" + q.organisation + "\n" + q.invitation + "\n" + q.address + "\n" + q.device.String() + "\n")
}

// same names the device that asks: all that stays the same when it asks again.
func (q *request) same() org.Hash {
	d := q.device
	d.Added = time.Time{}
	return org.HashOf(d.String())
}

func (q *request) text() string {
	w := q.body()
	w.Line("code", q.code.String())
	w.Line("pin", q.both.String())
	return w.String()
}

func mac(key []byte, text string) (sum org.Hash) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	h.Sum(sum[:0])
	return sum
}

// prove fills in the MACs: of the code, over all above it, and of the code with the
// PIN, over that and the first MAC.
func (q *request) prove(keys []byte) (code, both org.Hash) {
	w := q.body()
	code = mac(keys[:keySize], w.String())
	w.Line("code", code.String())
	return code, mac(keys[keySize:2*keySize], w.String())
}

// Request signs that a device wants to join as the address of the code. The signer
// is the device's own key; identity signs with its OMEMO identity key (XEdDSA, as
// xeddsa.Sign does). The second result is the digest by which the answer names the
// request. A device can ask again.
//
// password is the account's by now, and is told to the organisation, encrypted with
// a key of both, if it is one of NewPassword: for the codes of further devices.
// It may be nil.
func (k *Keys) RequestWith(password []byte, c Code, organisation string, device directory.Device, signer note.Signer, identity func(message []byte) ([xeddsa.SignatureSize]byte, error)) ([]byte, org.Hash, error) {
	q := &request{organisation: organisation, invitation: k.id, address: c.Address, device: device}
	var err error
	if q.identity, err = identity(q.claim()); err != nil {
		return nil, org.Hash{}, fmt.Errorf("asking to join: %w", err)
	}
	if bits := bitsOf(password); bits != nil {
		defer bits.Destroy()
		if q.password, err = seal(k.all.Bytes(), bits.Bytes()); err != nil {
			return nil, org.Hash{}, fmt.Errorf("asking to join: %w", err)
		}
	}
	q.code, q.both = q.prove(k.all.Bytes())
	text := q.text()
	if _, err := parseRequest(&org.Statement{Text: text, Organisation: organisation}); err != nil {
		return nil, org.Hash{}, fmt.Errorf("asking to join: %w", err)
	}
	b, err := org.Seal(text, signer)
	return b, org.HashOf(text), err
}

// Request is RequestWith for a device that tells no password.
func (k *Keys) Request(c Code, organisation string, device directory.Device, signer note.Signer, identity func(message []byte) ([xeddsa.SignatureSize]byte, error)) ([]byte, org.Hash, error) {
	return k.RequestWith(nil, c, organisation, device, signer, identity)
}

// sealedSize is the length of a password that was encrypted for the organisation.
const sealedSize = chacha20poly1305.NonceSizeX + passwordSize + chacha20poly1305.Overhead

// passwordKey is what an account's password is encrypted with on its way to the
// organisation. The relay, which knows the password, cannot know the key.
func passwordKey(keys []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, keys[keySize:2*keySize], "sotto invitation account v1", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.NewX(key)
}

func seal(keys, bits []byte) ([]byte, error) {
	aead, err := passwordKey(keys)
	if err != nil {
		return nil, err
	}
	b := make([]byte, chacha20poly1305.NonceSizeX, sealedSize)
	rand.Read(b)
	return aead.Seal(b, b, bits, nil), nil
}

// unseal is the reverse of seal. The caller destroys the result, which is nil if
// there is none.
func unseal(keys, sealed []byte) *memguard.LockedBuffer {
	if len(sealed) != sealedSize {
		return nil
	}
	aead, err := passwordKey(keys)
	if err != nil {
		return nil
	}
	bits := memguard.NewBuffer(passwordSize)
	if _, err := aead.Open(bits.Bytes()[:0], sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], nil); err != nil {
		bits.Destroy()
		return nil
	}
	return bits
}

func parseRequest(s *org.Statement) (*request, error) {
	r := org.NewReader(s)
	q := &request{organisation: s.Organisation, invitation: r.Line("invitation", 16), address: r.Line("address", org.MaxAddress)}
	var ok bool
	if q.device, ok = directory.ParseDevice(r.Line("device", 256)); !ok {
		r.Fail("this is no device")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(r.Line("identity", 128))
	if err != nil || len(signature) != len(q.identity) {
		r.Fail("identity is no signature")
	}
	copy(q.identity[:], signature)
	if r.Has("password") {
		if q.password, err = base64.StdEncoding.Strict().DecodeString(r.Line("password", 128)); err != nil || len(q.password) != sealedSize {
			r.Fail("password is none that was encrypted")
		}
	}
	q.code, q.both = r.Hash("code"), r.Hash("pin")
	if err := r.End(); err != nil {
		return nil, err
	}
	if !org.ValidAddress(q.address) || q.device.Fingerprint == [32]byte{} {
		return nil, fmt.Errorf("%w: it asks for nobody, or for a device without a fingerprint", org.ErrMalformed)
	}
	q.hash = s.Hash()
	return q, org.Same(s, q.text())
}

// openRequest reads a request, and that both keys of the device named in it have
// signed it.
func openRequest(b []byte, organisation string) (*request, error) {
	s, err := org.Peek(b)
	if err != nil {
		return nil, err
	}
	if s.Kind != org.KindRequest {
		return nil, fmt.Errorf("%w of kind %s", org.ErrMalformed, org.KindRequest)
	}
	q, err := parseRequest(s)
	if err != nil {
		return nil, err
	}
	if _, err = org.Open(b, org.KindRequest, organisation, q.device.Signing); err != nil {
		return nil, err
	}
	if !xeddsa.Verify(&q.device.Fingerprint, q.claim(), q.identity[:]) {
		return nil, fmt.Errorf("%w: it was not signed with the OMEMO key that it names", org.ErrSignature)
	}
	return q, nil
}

// Verdict is what the organisation answers.
type Verdict string

// The verdicts.
const (
	Welcome  Verdict = "welcome"
	WrongPIN Verdict = "wrong-pin"
	Used     Verdict = "used"
	Expired  Verdict = "expired"
	Void     Verdict = "void" // too many wrong PINs, or withdrawn

	// Outdated is in no answer: the organisation has changed its key since, and so could
	// not sign one. The device finds that out (Asked.Replaced).
	Outdated Verdict = "outdated"
)

// Words says in a sentence what a verdict means for the person, and what to do.
func (v Verdict) Words() string {
	switch v {
	case Welcome:
		return "the organisation has taken this device in"
	case WrongPIN:
		return "the one-time PIN is wrong: type it again, as it was told to you"
	case Used:
		return "this invitation was used already. If that was not you, tell your administrator at once"
	case Expired:
		return "this invitation has expired: ask your administrator for a new one"
	case Void:
		return "this invitation is void, because of too many wrong PINs or because it was withdrawn: ask your administrator for a new one"
	case Outdated:
		return "this invitation is from before the organisation changed its key: ask your administrator for a new one"
	}
	return "the organisation's answer cannot be read"
}

// Answer is what the organisation answers to a request.
type Answer struct {
	Invitation string   // id
	Request    org.Hash // the request that is answered
	Verdict    Verdict
	Left       uint64 // attempts that are left, of WrongPIN
	Issued     time.Time
	Anchor     org.Anchor // what the device trusts from now on
}

func (a *Answer) text() string {
	w := org.NewWriter(org.KindAnswer, a.Anchor.Key.Name())
	w.Line("key", a.Anchor.Key.String())
	w.Number("keys", a.Anchor.Number)
	w.Line("invitation", a.Invitation)
	w.Line("request", a.Request.String())
	w.Line("verdict", string(a.Verdict))
	w.Number("left", a.Left)
	w.Time("issued", a.Issued)
	return w.String()
}

// Sign returns the note. The signer is the organisation's key.
func (a *Answer) Sign(signer note.Signer) ([]byte, error) {
	text := a.text()
	if _, err := parseAnswer(&org.Statement{Text: text, Organisation: signer.Name()}); err != nil {
		return nil, fmt.Errorf("answering an invitation: %w", err)
	}
	return org.Seal(text, signer)
}

func parseAnswer(s *org.Statement) (*Answer, error) {
	r := org.NewReader(s)
	key := r.Key("key")
	a := &Answer{Anchor: org.NewAnchor(key, r.Number("keys")), Invitation: r.Line("invitation", 16), Request: r.Hash("request"),
		Verdict: Verdict(r.Line("verdict", 20)), Left: r.Number("left"), Issued: r.Time("issued")}
	switch a.Verdict {
	case Welcome, WrongPIN, Used, Expired, Void:
	default:
		r.Fail("there is no verdict %q", a.Verdict)
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return a, org.Same(s, a.text())
}

// ErrOtherKey is returned for an answer that another key has signed than the one
// that the code names.
var ErrOtherKey = errors.New("the answer is not from the organisation that has invited you: the relay, or somebody on the way, pretends to be it")

// OpenAnswer reads the answer to a request, with this digest, that was made with
// the code. The key it is signed with is in it, and the code says that it is the
// organisation's. Its name is to be shown to the person.
func OpenAnswer(b []byte, c Code, sent org.Hash) (*Answer, error) {
	asked := c.Asked(sent)
	return asked.Answer(b)
}
