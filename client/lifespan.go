package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotto/client/store"
)

// The time to live of a message is written in its text, as its last word:
// !expires:24h. OMEMO 0.3 encrypts nothing but the text, and what stood beside it
// a relay could change or leave out. So whoever wrote a message, and nobody else,
// says how long it lives, and never how long another one does. It runs from the
// moment of sending. What came unencrypted says nothing about it.

// Bounds of a time to live.
const (
	MinLifespan = 10 * time.Second
	MaxLifespan = 365 * 24 * time.Hour
)

const lifespanMark = "!expires:"

// ErrLifespan is the error of what is no time to live.
var ErrLifespan = errors.New("a time to live is a number and s, m, h or d, from 10s to 365d: 24h")

// ParseLifespan reads a time to live: a number without a sign and one of s, m, h
// and d, from MinLifespan to MaxLifespan.
func ParseLifespan(s string) (time.Duration, error) {
	if len(s) < 2 || len(s) > 10 {
		return 0, ErrLifespan
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[len(s)-1]|0x20]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil || unit == 0 || n > uint64(MaxLifespan/unit) {
		return 0, ErrLifespan
	}
	if d := time.Duration(n) * unit; d >= MinLifespan {
		return d, nil
	}
	return 0, ErrLifespan
}

// FormatLifespan writes a time to live as ParseLifespan reads it, in whole seconds.
func FormatLifespan(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Round(time.Second)
	switch {
	case d%day == 0 && d > day:
		return strconv.Itoa(int(d/day)) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return strconv.Itoa(int(d/time.Second)) + "s"
}

// takeLifespan takes the mark off the end of a text. Without one, or without a
// text before it, it returns the text as it is.
func takeLifespan(body string) (rest string, d time.Duration) {
	trimmed := strings.TrimRight(body, " \t\r\n")
	i := strings.LastIndexAny(trimmed, " \t\n") + 1
	word := trimmed[i:]
	if len(word) <= len(lifespanMark) || !strings.EqualFold(word[:len(lifespanMark)], lifespanMark) {
		return body, 0
	}
	d, err := ParseLifespan(word[len(lifespanMark):])
	rest = strings.TrimRight(trimmed[:i], " \t\r\n")
	if err != nil || rest == "" {
		return body, 0
	}
	return rest, d
}

// withLifespan adds to what is encrypted of an own message how long it lives from
// now on. It clears what it was given if it returns something else.
func withLifespan(b []byte, m *store.Message, now time.Time) []byte {
	if m.Expires.IsZero() {
		return b
	}
	left := m.Expires.Sub(m.Time)
	if now.Sub(m.Time) > time.Minute { // it has waited
		left = m.Expires.Sub(now)
	}
	left = min(max(left, MinLifespan), MaxLifespan)
	mark := "\n" + lifespanMark + FormatLifespan(left)
	defer clear(b)
	return slices.Concat(b, []byte(mark))
}

// fleeting gives a message that came the time to live that its text names. It is
// counted from when it was sent, by the relay's word: a relay that lies can make
// it shorter, and by nothing more than the message's delay longer.
func (x *envelope) fleeting(row *store.Message) {
	if row.Kind != store.Text || !row.Encrypted {
		return
	}
	rest, d := takeLifespan(row.Body)
	if d == 0 {
		return
	}
	row.Body, row.Expires = rest, x.at.Add(d)
	if !row.Expires.After(time.Now()) {
		// It is never shown, and its sender is not told that it was delivered.
		x.ended = true
		row.Body, row.Read = "", true
	}
}

// shorter is the smaller of two times to live, of which 0 is for ever.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// SetLifespan says how long the messages of a conversation live from now on: own
// ones everywhere, and others here. 0 is for ever. What was written before is not
// changed.
func (c *Client) SetLifespan(ctx context.Context, peer string, d time.Duration) error {
	peer, err := c.address(peer)
	if err != nil {
		return err
	}
	if d != 0 && (d < MinLifespan || d > MaxLifespan) {
		return ErrLifespan
	}
	var fx effects
	err = c.store.Update(ctx, func(tx *store.Tx) error {
		fx = effects{}
		before, err := tx.Lifespan(peer)
		if err != nil || before == d {
			return err
		}
		if err := tx.SetLifespan(peer, d); err != nil {
			return err
		}
		words := "What is written here from now on stays"
		if d != 0 {
			words = "What is written here from now on is gone " + LifespanWords(d) + " after it was sent: on your devices, and what you write on theirs, too, where the app knows how"
		}
		fx.events = append(fx.events, DevicesChanged{peer}, ConversationsChanged{})
		return c.noteInRoom(tx, &fx, peer, words, true)
	})
	if err != nil {
		return fmt.Errorf("keep how long messages live: %w", err)
	}
	c.events.put(fx.events...)
	return nil
}

// LifespanWords says a time to live in words: "24 hours".
func LifespanWords(d time.Duration) string {
	f := FormatLifespan(d)
	n, _ := strconv.Atoi(f[:len(f)-1])
	return count(n, map[byte]string{'s': "second", 'm': "minute", 'h': "hour", 'd': "day"}[f[len(f)-1]])
}

// giveLife gives an own message its time to live: the one that it was given, or that
// of its conversation, or what is left to the message that it is about, whichever
// is shortest.
func giveLife(tx *store.Tx, row *store.Message, d time.Duration) error {
	all, err := tx.Lifespan(row.Peer)
	if d = shorter(d, all); err == nil && d != 0 {
		if end := row.Time.Add(min(d, MaxLifespan)); row.Expires.IsZero() || end.Before(row.Expires) {
			row.Expires = end
		}
	}
	return err
}

// expires notes when a message that was stored expires.
func (fx *effects) expires(row *store.Message) {
	if !row.Expires.IsZero() {
		fx.ends = soonerOf(fx.ends, row.Expires)
	}
}
