// Package shares splits a secret of 32 bytes into n shares, of which any k bring
// it back and fewer say nothing about it (Shamir, 1979): each byte is the value at
// 0 of a random polynomial of degree k-1 over GF(2⁸), and a share has the values
// at its number.
//
// A share is a sheet of paper: six rows of letters and digits, to be kept and typed
// by people. The letters are Crockford's, so that none looks like another; each
// row ends in one that tells of a mistake in it, and of a row in another's place;
// and all six have a checksum. A Set is some shares of one secret.
//
// Secrets are in locked memory, in one buffer for each Set, whatever it holds.
package shares

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/awnumar/memguard"
)

// Bounds.
const (
	Size    = 32 // bytes of the secret
	MinNeed = 2
	Max     = 16 // shares
)

// A share's content is version 1 · id of the set 4 · how many are needed 1 · its
// number 1 · values 32 · checksum 6: three bytes fewer would make no row less.
const (
	version     = 1
	checksum    = 6
	contentSize = 1 + 4 + 1 + 1 + Size + checksum
	valuesAt    = contentSize - Size - checksum
)

// What is wrong with shares, in words for people.
var (
	ErrShare   = errors.New("this share has a mistake, though each row looks right: compare it with the sheet, and type it again")
	ErrVersion = errors.New("this share was made by a newer sotto. Install that version, or a later one")
	ErrOther   = errors.New("this share belongs to another key than those before it")
	ErrTwice   = errors.New("this share was given already: take another sheet")
)

// Set is some shares of one secret. It is not safe for concurrent use.
type Set struct {
	id      [4]byte
	need    int
	numbers []byte // of the shares
	// memory has the values of the shares, one after the other, and then the
	// content of the one that is being typed.
	memory *memguard.LockedBuffer
	rows   int // typed of it
}

// Split makes shares of a secret, numbered from 1. The id tells them from those of
// other secrets and may be known to everybody. The secret stays the caller's, who
// destroys the Set.
func Split(secret *memguard.LockedBuffer, id [4]byte, need, of int) (*Set, error) {
	switch {
	case secret.Size() != Size:
		return nil, fmt.Errorf("splitting a secret: it has not %d bytes", Size)
	case need < MinNeed || of < need || of > Max:
		return nil, fmt.Errorf("a key is split so that %d or more of at most %d shares bring it back", MinNeed, Max)
	}
	s := Collect()
	s.id, s.need = id, need
	// The polynomials' coefficients but the first: need-1 for each byte.
	coefficients := memguard.NewBuffer((need - 1) * Size)
	defer coefficients.Destroy()
	rand.Read(coefficients.Bytes())
	c := coefficients.Bytes()
	for n := range of {
		x := byte(n + 1)
		values := s.values(n)
		for i := range Size {
			y := byte(0)
			for j := need - 2; j >= 0; j-- {
				y = times(y, x) ^ c[j*Size+i]
			}
			values[i] = times(y, x) ^ secret.Bytes()[i]
		}
		s.numbers = append(s.numbers, x)
	}
	return s, nil
}

// Collect returns an empty Set for shares that somebody has.
func Collect() *Set { return &Set{memory: memguard.NewBuffer(Max*Size + contentSize)} }

// Destroy wipes the shares.
func (s *Set) Destroy() { s.memory.Destroy() }

// Len returns how many shares there are.
func (s *Set) Len() int { return len(s.numbers) }

// Need returns how many shares bring the secret back; 0 while there is none.
func (s *Set) Need() int { return s.need }

// Missing returns how many more shares are needed; 1 while there is none.
func (s *Set) Missing() int {
	if s.need == 0 {
		return 1
	}
	return max(0, s.need-len(s.numbers))
}

// ID returns the id of the secret.
func (s *Set) ID() [4]byte { return s.id }

func (s *Set) values(n int) []byte { return s.memory.Bytes()[n*Size:][:Size] }
func (s *Set) content() []byte     { return s.memory.Bytes()[Max*Size:] }

// Combine brings the secret back. Shares that were made up, or changed with their
// checksums, give another secret: the caller finds out. The caller destroys it.
func (s *Set) Combine() (*memguard.LockedBuffer, error) {
	if s.Missing() > 0 || len(s.numbers) == 0 {
		return nil, fmt.Errorf("%d more shares are needed", s.Missing())
	}
	secret := memguard.NewBuffer(Size)
	for n := range s.need {
		// Lagrange: what the share's polynomial that is 1 here, and 0 at the others, is at 0.
		l := byte(1)
		for m := range s.need {
			if m != n {
				l = times(l, times(s.numbers[m], inverse(s.numbers[m]^s.numbers[n])))
			}
		}
		for i, y := range s.values(n) {
			secret.Bytes()[i] ^= times(l, y)
		}
	}
	return secret, nil
}

// pack writes a share's content.
func (s *Set) pack(n int, b []byte) {
	b[0] = version
	copy(b[1:], s.id[:])
	b[5], b[6] = byte(s.need), s.numbers[n]
	copy(b[valuesAt:], s.values(n))
	sum := check(b[:valuesAt+Size])
	copy(b[valuesAt+Size:], sum[:checksum])
}

// take adds the share whose content was typed.
func (s *Set) take() error {
	b := s.content()
	defer clear(b)
	sum := check(b[:valuesAt+Size])
	if subtle.ConstantTimeCompare(sum[:checksum], b[valuesAt+Size:]) != 1 {
		return ErrShare
	}
	id, need, number := [4]byte(b[1:5]), int(b[5]), b[6]
	switch {
	case b[0] > version:
		return ErrVersion
	case b[0] != version || need < MinNeed || need > Max || number == 0 || number > Max:
		return ErrShare
	case s.need != 0 && (id != s.id || need != s.need):
		return ErrOther
	}
	for _, x := range s.numbers {
		if x == number {
			return ErrTwice
		}
	}
	s.id, s.need = id, need
	copy(s.values(len(s.numbers)), b[valuesAt:])
	s.numbers = append(s.numbers, number)
	return nil
}

func check(b []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte("sotto share v1"))
	h.Write(b)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}
