package omemo

import (
	"errors"
	"fmt"
	"time"

	"sotto/client/stanza"
)

// Address names one device of one person.
type Address struct {
	JID    string // bare and normalised
	Device uint32 // 1 to 2^31-1
}

// String returns the address for logs and errors.
func (a Address) String() string { return fmt.Sprintf("%s, device %d", a.JID, a.Device) }

// Bundle is what a device publishes so that others can start a session with it.
type Bundle = stanza.Bundle

// Keys is where OMEMO keeps what it must remember between messages. All calls of
// one Device method happen inside one transaction of the caller, who commits it
// when the method succeeds and rolls it back when it fails; together with the
// message itself, so that neither is ever there without the other.
//
// Byte slices are secret. An implementation copies those it is given (they are
// cleared afterwards), and those it returns become the caller's to clear.
type Keys interface {
	// Session returns the sessions with a device, marshalled; nil when there are none.
	Session(peer Address) ([]byte, error)
	// PutSession replaces them. An empty state removes them.
	PutSession(peer Address, state []byte) error

	// PreKey returns the 32-byte private one-time prekey, nil when it is unknown.
	PreKey(id uint32) ([]byte, error)
	PutPreKey(id uint32, key []byte) error
	DeletePreKey(id uint32) error
	PreKeyIDs() ([]uint32, error)

	// SignedPreKey returns the 32-byte private signed prekey and the 64-byte
	// signature over its public half; a nil key when it is unknown.
	SignedPreKey(id uint32) (key, signature []byte, created time.Time, err error)
	// PutSignedPreKey adds a signed prekey, or replaces the one with the same id.
	PutSignedPreKey(id uint32, key, signature []byte, created time.Time) error
	// SignedPreKeyIDs returns the ids, oldest first.
	SignedPreKeyIDs() ([]uint32, error)
	DeleteSignedPreKey(id uint32) error

	// Identity returns the own device, marshalled; nil when there is none yet.
	Identity() ([]byte, error)
	PutIdentity(identity []byte) error
}

// What the methods of Device fail with, wrapped in what was being done. Input that
// fails leaves everything in Keys as it was.
var (
	// ErrMalformed is input that no correct client sends.
	ErrMalformed = errors.New("malformed OMEMO message")
	// ErrNotForUs is a message without a key for this device: it was sent before
	// the sender knew of this device, or the sender does not encrypt to it.
	ErrNotForUs = errors.New("message is not encrypted for this device")
	// ErrOwnMessage is a message that this device sent, reflected by the relay.
	ErrOwnMessage = errors.New("message was sent by this device")
	// ErrNoSession is a message that no session decrypts, or a device to encrypt
	// to with which there is none. Start a session to go on; what was lost stays lost.
	ErrNoSession = errors.New("no session with this device decrypts the message")
	// ErrDuplicate is a message that was decrypted before, or is so old that its
	// key is gone.
	ErrDuplicate = errors.New("message was decrypted before")
	// ErrUnknownPreKey starts a session with a prekey that this device does not
	// have: it was used before, or the sender has an old bundle.
	ErrUnknownPreKey = errors.New("message uses a prekey that is gone")
	// ErrTampered is a message, bundle or payload whose authentication fails.
	ErrTampered = errors.New("message was altered or is not from who it says")
	// ErrTooFarAhead is a message so many ahead of the last that the keys between
	// would not be kept.
	ErrTooFarAhead = errors.New("too many messages are missing before this one")
	// ErrIdentityChanged is a session start by, or a bundle of, a device with
	// another identity key than it had. Device.Forget gives up the old one.
	ErrIdentityChanged = errors.New("device has another identity key than before")
	// ErrNoRecipients is a message without any device to encrypt to.
	ErrNoRecipients = errors.New("no device to encrypt to")
)

// Fingerprint is a device's public identity key without its leading type byte,
// the value that people compare and that Conversations shows.
type Fingerprint [32]byte

// String returns the fingerprint as people compare it: eight groups of eight hex digits.
func (f Fingerprint) String() string {
	b := make([]byte, 0, 71)
	for i := 0; i < len(f); i += 4 {
		if i > 0 {
			b = append(b, ' ')
		}
		b = fmt.Appendf(b, "%08x", f[i:i+4])
	}
	return string(b)
}

// Order places a message among those that its device encrypted in one session.
// A session consists of chains, which follow each other as the two sides take
// turns: none begins before a message of the one before it was decrypted. Within
// a chain, Counter grows by one with each message.
type Order struct {
	Session, Chain [8]byte // names of the session and the chain; those of others are different
	Counter        uint32
}

// Decrypted is what a message turned out to be.
type Decrypted struct {
	Plaintext []byte      // nil for an empty message, which only moves the ratchet
	Signal    [16]byte    // of an empty message: what EncryptSignal said, or chance
	From      Address     // the device it came from
	Identity  Fingerprint // the identity key that the device proved to have

	// PreKey says that the message started a session or came before the sender
	// knew of ours: answer with an empty message (EncryptKey), once for all that
	// were waiting.
	PreKey bool
	// Heal says that many messages came without an answer: answer with an empty
	// message, so that the other side's ratchet moves.
	Heal bool
	// Exchange names the key exchange that the session began with. It is the same
	// whoever the message is said to be from: OMEMO does not bind an exchange to
	// the addresses of the two, so a relay can deliver it under another name. Who
	// keeps the name that it came under first notices.
	Exchange [16]byte
	// Order says which of two messages of a device was encrypted first. It is
	// authentic: no relay can change it.
	Order Order
	// UsedPreKey says that a one-time prekey is gone: call Maintain and publish
	// the bundle.
	UsedPreKey bool
}
