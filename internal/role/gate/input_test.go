package gate

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func feedAll(in *input, s string) (last key) {
	for i := range len(s) {
		last = in.feed(s[i])
	}
	return last
}

// Where leaving would be a mishap, only Ctrl+Q leaves.
func TestInputThatStays(t *testing.T) {
	for keys, want := range map[string]key{"\x03": keyStay, "\x04": keyStay, "12\x03": keyEdit, "12\x03\x03": keyStay, "\x1b]11;\x03": keyStay, "\x11": keyQuit} {
		if last := feedAll(&input{buf: make([]byte, 32), stays: true}, keys); last != want {
			t.Errorf("%q ends with %d, want %d", keys, last, want)
		}
	}
}

func TestInput(t *testing.T) {
	for _, c := range []struct {
		name, keys, want string
		last             key
	}{
		{"digits", "246810", "246810", keyEdit},
		{"enter", "2468\r", "2468", keyEnter},
		{"newline is enter", "1\n", "1", keyEnter},
		{"backspace", "24\x7f6\b7", "27", keyEdit},
		{"backspace on nothing", "\x7f\x7f1", "1", keyEdit},
		{"clear", "1234\x155", "5", keyEdit},
		{"late answer to a mode query", "12\x1b[?2026;2$y34", "1234", keyEdit},
		{"late cursor position", "\x1b[24;80R1", "1", keyEdit},
		{"late colour, ended by BEL", "1\x1b]11;rgb:1212/3434/5656\a2", "12", keyEdit},
		{"late colour, ended by ST", "1\x1b]11;rgb:1212/3434/5656\x1b\\2", "12", keyEdit},
		{"device attributes", "\x1bP>|XTerm(390)\x1b\\1", "1", keyEdit},
		{"arrow and function keys", "1\x1b[A\x1bOP\x1b[15~2", "12", keyEdit},
		{"mouse", "\x1b[<0;10;5M\x1b[<0;10;5m7", "7", keyEdit},
		{"alt and a digit", "\x1b12", "2", keyEdit},
		{"tab and other controls", "\t\x001\x0e2", "12", keyEdit},
		{"cleared", "12\x03", "", keyEdit},
		{"quit", "12\x03\x03", "", keyQuit},
		{"cleared inside a sequence", "12\x1b[1;\x03", "", keyEdit},
		{"quit at once", "12\x11", "", keyQuit},
		{"end of file", "\x04", "", keyQuit},
		{"quit inside a sequence", "\x1b[1;\x03", "", keyQuit},
		{"redraw", "12\x0c", "12", keyRedraw},
		{"to the shell", "12\x1a", "12", keyStop},
		{"a passphrase", "grün ß€😀", "grün ß€😀", keyEdit},
		{"backspace over characters", "a€😀\x7f\x7f", "a", keyEdit},
		{"stray continuation", "1\x82\x832", "12", keyEdit},
		{"cut off character", "1\xe2\x82" + "2", "12", keyEdit},
		{"bytes no text has", "1\xff\xc0\xf52", "12", keyEdit},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &input{buf: make([]byte, 32)}
			last := feedAll(in, c.keys)
			if got := string(in.typed()); got != c.want {
				t.Errorf("typed %q, want %q", got, c.want)
			}
			if last != c.last {
				t.Errorf("last key %v, want %v", last, c.last)
			}
			if got, want := in.characters(), utf8.RuneCountInString(c.want); got != want {
				t.Errorf("%d characters, want %d", got, want)
			}
		})
	}
}

func TestInputFull(t *testing.T) {
	in := &input{buf: make([]byte, 6)}
	feedAll(in, "12345€6"+strings.Repeat("7", 100))
	if got := string(in.typed()); got != "123456" {
		t.Errorf("typed %q: a character that does not fit must be left out whole", got)
	}
}

func TestInputForgets(t *testing.T) {
	in := &input{buf: make([]byte, 16)}
	feedAll(in, "secret\x7f\x7f")
	if !bytes.Equal(in.buf[4:], make([]byte, 12)) {
		t.Errorf("erased characters stay in memory: %q", in.buf)
	}
	in.erase()
	if !bytes.Equal(in.buf, make([]byte, 16)) {
		t.Errorf("an erased line stays in memory: %q", in.buf)
	}
}

func TestInputPauseEndsSequence(t *testing.T) {
	for _, start := range []string{"\x1b", "\x1b[", "\x1b[12;", "\x1b]11;rgb", "\x1b]1\x1b"} {
		in := &input{buf: make([]byte, 16)}
		feedAll(in, start)
		if in.pause() == 0 {
			t.Errorf("%q: would wait for ever", start)
		}
		in.timeout()
		if in.feed('7') != keyEdit || string(in.typed()) != "7" {
			t.Errorf("%q: a digit after the pause is lost", start)
		}
		if in.pause() != 0 {
			t.Errorf("%q: still in a sequence", start)
		}
	}
}

func FuzzInput(f *testing.F) {
	for _, s := range []string{"246810\r", "\x1b[?2026;2$y", "\x1b]11;rgb:1/2/3\x1b\\", "€😀\x7f\x15", "\xf0\x9f\x1b[", "\x1b\x1b\x1bP\x1b\x9c"} {
		f.Add([]byte(s), uint8(16))
	}
	f.Fuzz(func(t *testing.T, keys []byte, size uint8) {
		in := &input{buf: make([]byte, size)}
		for _, c := range keys {
			in.feed(c)
			if in.n < 0 || in.n > len(in.buf) || in.need < 0 || in.n+in.need > len(in.buf) {
				t.Fatalf("n %d need %d of %d", in.n, in.need, len(in.buf))
			}
			if !bytes.Equal(in.buf[in.n:], make([]byte, len(in.buf)-in.n)) {
				t.Fatalf("bytes left behind the end: %q", in.buf)
			}
			for _, b := range in.typed() {
				if b < 0x20 || b == 0x7f {
					t.Fatalf("a control was typed: %q", in.typed())
				}
			}
		}
		if in.need == 0 && in.state == ground {
			for i, b := range in.typed() {
				if b&0xc0 == 0x80 && i == 0 {
					t.Fatalf("starts inside a character: %q", in.typed())
				}
			}
		}
	})
}
