// Package omemo encrypts messages to the devices of people and decrypts theirs,
// as XEP-0384 version 0.3 says (namespace eu.siacs.conversations.axolotl).
//
// A Device is this installation: an identity key, a signed prekey, one-time
// prekeys and the sessions with other devices. It does no I/O: what it must
// remember goes through Keys into the caller's transaction, and what it sends and
// receives are stanza elements. The ratchet itself is in the package beneath.
//
// OMEMO 0.3 encrypts the text of a message and nothing else, and says nothing
// about who may be trusted: Decrypted carries the identity key that sent the
// message, and the caller decides what it is worth.
package omemo
