package audit

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxLine bounds a line in bytes, its end not included. No event comes near it.
const MaxLine = 2048

// lineVersion begins every line. What changes the meaning of lines gets another.
const lineVersion = "1"

const timeFormat = "2006-01-02T15:04:05.000Z"

// ErrLine is a line that is not one of this format.
var ErrLine = errors.New("not a line of an audit log")

// Line writes an entry, without an end of line:
//
//	1 42 2026-11-22T12:08:03.123Z alice@hospital.example/27183 message-received peer=ben@hospital.example message=…
//
// In order and separated by single spaces: the version of the format; the number
// of the event; when (RFC 3339, UTC, milliseconds); the device; the kind; and then
// NAME=VALUE for each field that the event has, in the order by, peer, room, device,
// message, ref, reason, count, serial. Each entry has exactly one line, and each
// line one entry. The error is Check's.
func (e Entry) Line() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return e.appendLine(make([]byte, 0, 160)), nil
}

func (e *Entry) appendLine(b []byte) []byte {
	b = append(b, lineVersion+" "...)
	b = strconv.AppendInt(b, e.Seq, 10)
	b = append(b, ' ')
	b = stamp(e.Time).AppendFormat(b, timeFormat)
	b = append(b, ' ')
	b = append(b, e.Device.String()...)
	b = append(b, ' ')
	b = append(b, e.Kind.String()...)
	for i := range fieldNames {
		if value := e.value(i); value != "" {
			b = append(b, ' ')
			b = append(b, fieldNames[i]...)
			b = append(b, '=')
			b = append(b, value...)
		}
	}
	return b
}

// value is field i as a line has it, or "".
func (e *Event) value(i int) string {
	switch field(1) << i {
	case fBy:
		return e.By.address
	case fPeer:
		return e.Peer.address
	case fRoom:
		return e.Room.address
	case fDevice:
		return positive(uint64(e.Device))
	case fMessage:
		return e.Message.id
	case fRef:
		return e.Ref.id
	case fReason:
		if e.Reason != 0 {
			return e.Reason.String()
		}
	case fCount:
		return positive(uint64(e.Count))
	case fSerial:
		return positive(e.Serial)
	}
	return ""
}

func positive(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// set is the inverse of value.
func (e *Event) set(i int, value string) bool {
	var ok bool
	number := func(bits int) uint64 {
		n, err := strconv.ParseUint(value, 10, bits)
		ok = err == nil
		return n
	}
	switch field(1) << i {
	case fBy:
		e.By, ok = parsePerson(value)
	case fPeer:
		e.Peer, ok = parsePerson(value)
	case fRoom:
		e.Room, ok = parsePerson(value)
	case fDevice:
		e.Device = uint32(number(31))
	case fMessage:
		e.Message, ok = parseID(value)
	case fRef:
		e.Ref, ok = parseID(value)
	case fReason:
		e.Reason, ok = ReasonNamed(value)
	case fCount:
		e.Count = uint32(number(32))
	case fSerial:
		e.Serial = number(64)
	}
	return ok
}

// ParseLine reads what Line wrote, and nothing else: writing the result gives the
// same bytes. Errors match ErrLine and repeat nothing of what is wrong: it may be
// somebody's words.
func ParseLine(line []byte) (Entry, error) {
	if len(line) > MaxLine {
		return Entry{}, fmt.Errorf("%w: longer than %d bytes", ErrLine, MaxLine)
	}
	var e Entry
	words := strings.Split(string(line), " ")
	if len(words) < 5 || len(words) > 5+len(fieldNames) {
		return Entry{}, fmt.Errorf("%w: it has %d words", ErrLine, len(words))
	}
	if words[0] != lineVersion {
		return Entry{}, fmt.Errorf("%w: it is not of version %s, which this sotto reads", ErrLine, lineVersion)
	}
	var err error
	if e.Seq, err = strconv.ParseInt(words[1], 10, 64); err != nil {
		return Entry{}, fmt.Errorf("%w: its number is none", ErrLine)
	}
	if e.Time, err = time.Parse(timeFormat, words[2]); err != nil {
		return Entry{}, fmt.Errorf("%w: its time is none", ErrLine)
	}
	if e.Device, err = ParseDevice(words[3]); err != nil {
		return Entry{}, fmt.Errorf("%w: its device is none", ErrLine)
	}
	var ok bool
	if e.Kind, ok = KindNamed(words[4]); !ok {
		return Entry{}, fmt.Errorf("%w: its kind of event is not known here", ErrLine)
	}
	i := 0
	for at, word := range words[5:] {
		name, value, _ := strings.Cut(word, "=")
		for i < len(fieldNames) && fieldNames[i] != name {
			i++
		}
		if i == len(fieldNames) || !e.set(i, value) {
			return Entry{}, fmt.Errorf("%w: its word %d is not possible there", ErrLine, at+6)
		}
		i++
	}
	if err := e.check(); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrLine, err)
	}
	if !bytes.Equal(e.appendLine(make([]byte, 0, len(line))), line) {
		return Entry{}, fmt.Errorf("%w: the same event is written another way", ErrLine)
	}
	return e, nil
}
