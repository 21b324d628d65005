package keystore

import (
	"bytes"
	"errors"
)

// Bounds of a PIN, in characters, which are bytes.
const (
	MinPIN = 6
	MaxPIN = 64
)

// What CheckPIN has against a PIN, in words for people.
var (
	ErrShortPIN   = errors.New("the PIN is too short: use 6 characters or more")
	ErrLongPIN    = errors.New("the PIN is too long: use 64 characters or fewer")
	ErrTypePIN    = errors.New("the PIN has a character that not every keyboard has: use digits, Latin letters, spaces and signs")
	ErrSamePIN    = errors.New("the PIN is one character over and over: choose one that is harder to guess")
	ErrRunPIN     = errors.New("the PIN counts up or down: choose one that is harder to guess")
	ErrRepeatPIN  = errors.New("the PIN repeats a short piece: choose one that is harder to guess")
	ErrPatternPIN = errors.New("the PIN is a pattern on the keyboard, or a word that everybody tries: choose one that is harder to guess")
)

// CheckPIN says in a sentence why a PIN is not good enough, or returns nil.
// Whoever has the device gets guesses at a few a second, so what it refuses is
// what people try first.
func CheckPIN(pin []byte) error {
	switch {
	case len(pin) < MinPIN:
		return ErrShortPIN
	case len(pin) > MaxPIN:
		return ErrLongPIN
	}
	for _, c := range pin {
		if c < ' ' || c > '~' {
			return ErrTypePIN
		}
	}
	for period := 1; period <= 4 && period <= len(pin)/2; period++ {
		if hasPeriod(pin, period) {
			if period == 1 {
				return ErrSamePIN
			}
			return ErrRepeatPIN
		}
	}
	if isRun(pin, 1) || isRun(pin, 2) {
		return ErrRunPIN
	}
	for _, bad := range tried {
		if len(bad) == len(pin) && bytes.EqualFold(pin, bad) {
			return ErrPatternPIN
		}
	}
	return nil
}

// hasPeriod reports whether the PIN is its first period characters repeated.
func hasPeriod(pin []byte, period int) bool {
	for i := period; i < len(pin); i++ {
		if pin[i] != pin[i-period] {
			return false
		}
	}
	return true
}

// isRun reports whether the characters, each taken width times (123456, 112233),
// go up or down by one; for digits 0 follows 9 too.
func isRun(pin []byte, width int) bool {
	var step int
	for i := width; i < len(pin); i++ {
		if i%width != 0 {
			if pin[i] != pin[i-1] {
				return false
			}
			continue
		}
		d := int(pin[i]) - int(pin[i-width])
		switch {
		case pin[i-width] == '9' && pin[i] == '0':
			d = 1
		case pin[i-width] == '0' && pin[i] == '9':
			d = -1
		}
		if d != 1 && d != -1 || step != 0 && d != step {
			return false
		}
		step = d
	}
	return true
}

// tried are the six- to nine-character PINs that lists of leaked ones begin
// with, as far as no rule above catches them.
var tried = [][]byte{
	[]byte("123321"), []byte("321123"), []byte("159753"), []byte("147258"), []byte("258456"),
	[]byte("147852"), []byte("789456"), []byte("456789"), []byte("123654"), []byte("159357"),
	[]byte("741852"), []byte("852456"), []byte("147258369"), []byte("369258147"), []byte("password"),
	[]byte("passwort"), []byte("qwerty"), []byte("qwertz"), []byte("qwerty123"), []byte("azerty"),
	[]byte("asdfgh"), []byte("letmein"), []byte("hospital"), []byte("iloveyou"), []byte("admin123"),
	[]byte("123abc"), []byte("abc123"), []byte("1q2w3e"), []byte("1q2w3e4r"), []byte("q1w2e3"),
}
