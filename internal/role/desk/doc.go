// Package desk is the role that holds the keys, the messages and the screen.
//
// It has no network: what it sends and receives goes through a socket to the
// link, as ciphertext. Locking is the end of this process; whatever the screens,
// the database and the ratchet still held goes back to the kernel with it.
package desk
