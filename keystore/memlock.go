package keystore

import "errors"

// ErrMemlock is returned by CheckMemlock, with what to do about it.
var ErrMemlock = errors.New("the system does not let sotto lock enough memory to keep keys off the disk")

// lockedPages is how many pages the busiest role has locked at a time: three of
// memguard's own, and a page each for PIN, passwords and keys, with some to spare.
// It fits into 64 KiB, the smallest limit in use, where pages are 4 KiB.
const lockedPages = 14
