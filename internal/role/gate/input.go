package gate

import "time"

// key is what a byte from the terminal came to.
type key int

const (
	keyNone   key = iota // part of something longer, or nothing for a gate
	keyEdit              // what is typed so far has changed
	keyEnter             // finished
	keyQuit              // Ctrl+Q, or Ctrl+C, Ctrl+D with nothing typed: the person wants to leave
	keyStay              // Ctrl+C, Ctrl+D with nothing typed where that does not leave
	keyRedraw            // Ctrl+L: something has written over the lock screen
	keyStop              // Ctrl+Z: back to the shell
	keyIdle              // none for too long, while there is something to be kept from others
)

// How long an escape sequence may pause between two bytes. A terminal sends one
// at once; a person who presses Escape and then a digit does not mean a sequence.
const (
	escapePause   = 50 * time.Millisecond
	sequencePause = 500 * time.Millisecond
)

// where the parser is, as the states of ECMA-48
type state int

const (
	ground state = iota
	escape
	sequence // CSI, SS3: up to a final byte
	text     // OSC, DCS, APC, PM, SOS: up to BEL or ST
	textEnd  // ESC inside text
)

// input collects one line of secret text from single bytes into memory that it
// does not own: a locked buffer. Escape sequences are recognised and dropped,
// because a late answer of the terminal to a question of the desk holds digits.
type input struct {
	buf   []byte // the locked memory; its length is the most that can be typed
	n     int    // bytes typed
	need  int    // continuation bytes that a UTF-8 character still lacks
	state state
	stays bool // Ctrl+C and Ctrl+D never leave
}

// typed is the line so far: a slice of the locked memory.
func (in *input) typed() []byte { return in.buf[:in.n] }

// characters counts what was typed, as a person counts.
func (in *input) characters() int {
	count := 0
	for _, c := range in.buf[:in.n] {
		if c&0xc0 != 0x80 {
			count++
		}
	}
	return count
}

// erase forgets the line.
func (in *input) erase() {
	clear(in.buf)
	in.n, in.need = 0, 0
}

// pause is how long to wait for the next byte before calling timeout; 0 is forever.
func (in *input) pause() time.Duration {
	switch in.state {
	case ground:
		return 0
	case escape:
		return escapePause
	}
	return sequencePause
}

// timeout ends a sequence that did not go on.
func (in *input) timeout() { in.state = ground }

// feed takes the next byte from the terminal.
func (in *input) feed(c byte) key {
	switch in.state {
	case escape:
		switch c {
		case '[', 'O':
			in.state = sequence
		case ']', 'P', '_', '^', 'X':
			in.state = text
		case 0x1b:
		case 3, 4:
			return in.leave()
		default: // Alt with a key, or a short sequence: nothing for us
			in.state = ground
		}
		return keyNone
	case sequence:
		switch {
		case c == 0x1b:
			in.state = escape
		case c >= 0x40 && c <= 0x7e || c == 0x18 || c == 0x1a:
			in.state = ground
		case c == 3, c == 4:
			return in.leave()
		}
		return keyNone
	case text, textEnd:
		switch {
		case c == 0x07 || c == 0x18 || c == 0x1a || in.state == textEnd && c == '\\':
			in.state = ground
		case c == 3, c == 4:
			return in.leave()
		case c == 0x1b:
			in.state = textEnd
		default:
			in.state = text
		}
		return keyNone
	}
	return in.plain(c)
}

// leave clears the line, as a shell does. With nothing to clear the person goes.
func (in *input) leave() key {
	in.state = ground
	switch {
	case in.n == 0 && in.stays:
		return keyStay
	case in.n == 0:
		return keyQuit
	}
	in.erase()
	return keyEdit
}

// plain takes a byte outside sequences.
func (in *input) plain(c byte) key {
	if c&0xc0 == 0x80 { // goes on with a character, or is stray
		if in.need == 0 {
			return keyNone
		}
		in.buf[in.n] = c
		in.n++
		in.need--
		return keyEdit
	}
	in.dropPartial()
	switch {
	case c == 0x1b:
		in.state = escape
	case c == '\r' || c == '\n':
		return keyEnter
	case c == 3 || c == 4:
		return in.leave()
	case c == 0x11: // as where it is unlocked
		in.erase()
		return keyQuit
	case c == 0x7f || c == 0x08:
		in.back()
		return keyEdit
	case c == 0x15 || c == 0x17: // Ctrl+U, Ctrl+W
		in.erase()
		return keyEdit
	case c == 0x0c:
		return keyRedraw
	case c == 0x1a:
		return keyStop
	case c < 0x20 || c == 0xc0 || c == 0xc1 || c > 0xf4:
	default:
		size := 1
		switch {
		case c >= 0xf0:
			size = 4
		case c >= 0xe0:
			size = 3
		case c >= 0xc0:
			size = 2
		}
		if in.n+size > len(in.buf) {
			return keyNone
		}
		in.buf[in.n] = c
		in.n++
		in.need = size - 1
		return keyEdit
	}
	return keyNone
}

// dropPartial removes a character that was cut off.
func (in *input) dropPartial() {
	if in.need > 0 {
		in.back()
	}
}

// back removes the last character.
func (in *input) back() {
	in.need = 0
	for in.n > 0 {
		in.n--
		c := in.buf[in.n]
		in.buf[in.n] = 0
		if c&0xc0 != 0x80 {
			return
		}
	}
}
