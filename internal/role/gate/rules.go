package gate

import (
	"errors"
	"fmt"

	"github.com/awnumar/memguard"

	"sotto/keystore"
)

// rules are what a PIN has beyond what every PIN has (keystore.CheckPIN): as the
// organisation asks for it.
type rules struct {
	length int  // characters, at least
	mixed  bool // letters and digits
}

// errOldPIN is the error of a new PIN that is the old one.
var errOldPIN = errors.New("this is the PIN as it was: choose another")

// check says in a sentence what a PIN lacks, or returns nil.
func (r rules) check(pin []byte) error {
	var letter, digit bool
	for _, c := range pin {
		digit = digit || c >= '0' && c <= '9'
		letter = letter || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	switch {
	case len(pin) < r.length:
		return fmt.Errorf("the PIN is too short: your organisation asks for %s", r.words())
	case r.mixed && !(letter && digit):
		return fmt.Errorf("the PIN is not mixed: your organisation asks for %s", r.words())
	}
	return nil
}

// words say what a PIN has.
func (r rules) words() string {
	w := fmt.Sprintf("%d characters or more", max(r.length, keystore.MinPIN))
	if r.mixed {
		w += ", letters and digits among them"
	}
	return w
}

// refuses says in a sentence why a new PIN is not good enough, or returns nil. old
// may be nil.
func (r rules) refuses(pin, old *memguard.LockedBuffer) error {
	if err := r.check(pin.Bytes()); err != nil {
		return err
	}
	if old != nil && old.EqualTo(pin.Bytes()) {
		return errOldPIN
	}
	return keystore.CheckPIN(pin.Bytes())
}
