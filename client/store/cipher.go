package store

import (
	"crypto/rand"

	"github.com/awnumar/memguard"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"
	"lukechampine.com/adiantum/hbsh"

	adi "lukechampine.com/adiantum"
)

// ownKey is what a database's URI says in place of a key.
const ownKey = "own"

// cipher hands the database key to Adiantum without it ever being a string, a
// part of a URI, or SQL.
type cipher struct{ key *memguard.LockedBuffer }

func registerCipher(name string, base vfs.VFS, key *memguard.LockedBuffer) {
	vfs.Register(name, adiantum.Wrap(base, cipher{key}))
}

// KDF turns the word in the URI into a token for HBSH, and makes a random key
// for files without a name (temporary ones).
func (cipher) KDF(secret string) []byte {
	if secret == ownKey {
		return []byte(ownKey)
	}
	key := make([]byte, KeySize)
	rand.Read(key)
	return key
}

// HBSH makes the cipher of a file. It keeps a reference to the key's memory,
// which is why the key lives as long as the connection.
func (c cipher) HBSH(key []byte) *hbsh.HBSH {
	if string(key) == ownKey {
		if !c.key.IsAlive() {
			return nil
		}
		return adi.New(c.key.Bytes())
	}
	if len(key) != KeySize {
		return nil
	}
	return adi.New(key)
}
