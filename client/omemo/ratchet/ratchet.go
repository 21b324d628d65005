// Package ratchet is the Signal protocol, version 3, as OMEMO 0.3 uses it: X3DH to
// start a session, the Double Ratchet to go on, XEdDSA for signed prekeys. It is
// pure computation: bytes in, bytes out.
//
// # Promises
//
// Input that is rejected is an error that errors.Is knows, never a panic, and
// changes nothing: a message is tried on a copy, which takes the session's place
// only once the message is authenticated. Parsing is strict: unknown or repeated
// fields, overlong numbers, and keys that are not the canonical encoding of a
// point of large order are refused, so that no byte of a message can change
// unnoticed (the sender's registration id excepted, which the protocol does not
// authenticate and this package does not use).
//
// When both sides start a session at once, each gets two. A Session therefore
// holds several states, tries those that can fit, and answers in the one that
// decrypted last. Nothing is lost then, whatever the order of arrival.
//
// # Secrets in memory
//
// Secrets live in arrays of fixed size, never in strings, and every function
// clears its temporaries; Wipe clears a Session. This package therefore computes
// X25519, HMAC and HKDF itself, on the field arithmetic of filippo.io/edwards25519
// and on crypto/sha256, because the standard library's versions leave copies of
// their keys on the heap. Two remainders it cannot reach: the expanded key of
// crypto/aes, which belongs to one message, and what the compiler or a growing
// stack left on a goroutine's stack. Both go with the process.
//
// # Concurrency
//
// A Session is for one goroutine at a time. Functions without one are safe for
// concurrent use.
//
// # References
//
// https://signal.org/docs/specifications/x3dh/,
// https://signal.org/docs/specifications/doubleratchet/,
// https://signal.org/docs/specifications/xeddsa/, RFC 7748 (X25519), RFC 5869
// (HKDF), XEP-0384 version 0.3.
package ratchet

import "errors"

// Bounds on what a session keeps and on what a peer can make it do.
const (
	MaxStates  = 8    // states of one session; the one that decrypted longest ago goes first
	MaxChains  = 5    // receiving chains of one state, as in Signal; the oldest goes first
	MaxGap     = 2000 // messages that may be missing before one of the same chain
	MaxSkipped = 2000 // keys kept for missing messages in one state; the oldest go first

	MaxPlaintext = 1024 // bytes; OMEMO transports 32
	MaxMessage   = 2048 // bytes of a message or prekey message on the wire
)

// What this package's functions fail with, possibly wrapped.
var (
	// ErrMalformed is a message, key, signature or stored session that no correct
	// implementation writes.
	ErrMalformed = errors.New("malformed message")
	// ErrTampered is a message whose authentication fails.
	ErrTampered = errors.New("message authentication failed")
	// ErrSignature is a signed prekey that its identity did not sign.
	ErrSignature = errors.New("signature does not match")
	// ErrDuplicate is a message whose key was used before, or was too old to keep.
	ErrDuplicate = errors.New("message key was used before")
	// ErrTooFarAhead is a message more than MaxGap after the last of its chain.
	ErrTooFarAhead = errors.New("too many messages are missing")
	// ErrNoState is a message that fits no state of the session. A message of a
	// lost session and one with an altered ratchet key look the same.
	ErrNoState = errors.New("no session state fits")
	// ErrIdentity is a prekey message or bundle with another identity key than
	// the session has.
	ErrIdentity = errors.New("identity key differs from the session's")
	// ErrExhausted is a chain that has sent 2^32-1 messages without an answer.
	ErrExhausted = errors.New("sending chain is exhausted")
)
