//go:build unix

package role

import (
	"encoding/binary"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// What is written to a terminal, as ECMA-48 and xterm name it.
const (
	AltOn  = "\x1b[?1049h" // the alternate screen: what the shell showed comes back after
	AltOff = "\x1b[?1049l"
	Clear  = "\x1b[H\x1b[2J"

	// Reset ends whatever state a process left behind that died in the middle:
	// an unfinished sequence (CAN), synchronised output, mouse reports, focus
	// reports, bracketed paste, keyboard protocols, margins, colours, a hidden cursor.
	Reset = "\x18\x1b\\\x1b[?2026l" +
		"\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[?2031l" +
		"\x1b[=0u\x1b[<99u\x1b[>4m\x1b[?1l\x1b>" +
		"\x1b[?6l\x1b[r\x1b[?7h\x1b(B\x0f\x1b[0m\x1b[?25h"

	// Blackout blanks the screen at once, even in the middle of a frame.
	Blackout = "\x18\x1b\\\x1b[?2026l\x1b[0m" + Clear
)

// forgetImage ends what may be half a picture, in kitty's protocol, and takes the one
// that a desk draws (see tui/graphics) out of the terminal's memory: there it would
// outlive a desk that was killed, for whoever asks for it by its number.
const forgetImage = "\x18\x1b\\\x1b_Gq=2,m=0\x1b\\\x1b_Gq=2,a=d,d=I,i=5074\x1b\\"

// keepsImages reports whether a desk may have drawn pictures there: not within tmux
// and screen, which would take the sequence for a title, nor on simple terminals.
func keepsImages(getenv func(string) string) bool {
	term := getenv("TERM")
	for _, simple := range []string{"screen", "tmux", "dumb", "linux", "ansi", "cons25", "vt"} {
		if strings.HasPrefix(term, simple) {
			return false
		}
	}
	return term != "" && getenv("TMUX") == "" && getenv("STY") == ""
}

// Terminal is the person's terminal.
type Terminal struct {
	in, out *os.File
	saved   unix.Termios
	forget  string // forgetImage, or "" where there can be none
}

// OpenTerminal takes standard input and output for the terminal and remembers
// the modes it has now.
func OpenTerminal() (*Terminal, error) {
	t := &Terminal{in: os.Stdin, out: os.Stdout}
	saved, err := unix.IoctlGetTermios(0, ioctlGet)
	if err != nil {
		return nil, ErrNoTerminal
	}
	if _, err := unix.IoctlGetTermios(1, ioctlGet); err != nil {
		return nil, ErrNoTerminal
	}
	t.saved = *saved
	if keepsImages(os.Getenv) {
		t.forget = forgetImage
	}
	return t, nil
}

// Inherited is the terminal of a role whose watch saved its modes.
func Inherited(saved []byte) *Terminal {
	t := &Terminal{in: os.Stdin, out: os.Stdout}
	if _, err := binary.Decode(saved, binary.NativeEndian, &t.saved); err != nil {
		// Without them: what is there now, made sane.
		if now, err := unix.IoctlGetTermios(0, ioctlGet); err == nil {
			t.saved = *now
		}
		t.saved.Iflag |= unix.BRKINT | unix.ICRNL | unix.IXON
		t.saved.Oflag |= unix.OPOST
		t.saved.Lflag |= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
	}
	return t
}

// Saved is the modes that OpenTerminal found, for Inherited.
func (t *Terminal) Saved() []byte {
	b, err := binary.Append(nil, binary.NativeEndian, t.saved)
	if err != nil {
		return nil // Inherited makes sane ones
	}
	return b
}

// Raw gives every key to sotto as it is typed, without echo.
func (t *Terminal) Raw() error {
	raw := t.saved
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	return retry(func() error { return unix.IoctlSetTermios(0, ioctlSet, &raw) })
}

// Restore gives the terminal back as it was found: the modes, the screen, the
// cursor. What was typed meanwhile and not read is dropped; it must not reach the shell.
func (t *Terminal) Restore() error {
	t.Write(t.forget + Reset + Clear + AltOff)
	err := retry(func() error { return unix.IoctlSetTermios(0, ioctlSetFlush, &t.saved) })
	t.Flush() // what came between dropping and setting
	return err
}

// Abandon leaves the terminal to a shell that has it already, and has set the
// modes it wants: what sotto had switched on goes, and what it showed.
func (t *Terminal) Abandon() { t.Write(Reset + Clear + AltOff) }

// Blackout blanks the screen in the place of a desk that did not, or could not.
func (t *Terminal) Blackout() { t.Write(t.forget + Blackout) }

// Repair makes the screen usable after a role that died.
func (t *Terminal) Repair() { t.Write(t.forget + Reset + Clear) }

// Flush drops what was typed and not read yet.
func (t *Terminal) Flush() { flush(0, flushInput) }

// Drop drops what was written and not shown yet, so that a terminal that takes
// nothing any more does not keep what is written next from coming first.
func (t *Terminal) Drop() { flush(1, flushOutput) }

// Write writes control sequences or text in one write. A terminal that is gone
// is noticed where it is read.
func (t *Terminal) Write(s string) { t.out.WriteString(s) }

// Size is the size in columns and rows, or 80 by 24 when the terminal does not say.
func (t *Terminal) Size() (columns, rows int) {
	ws, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24
	}
	return int(ws.Col), int(ws.Row)
}

func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// Hush switches off the echo of the terminal at a descriptor, until restore is called.
func Hush(fd int) (restore func(), err error) {
	now, err := unix.IoctlGetTermios(fd, ioctlGet)
	if err != nil {
		return nil, ErrNoTerminal
	}
	saved, quiet := *now, *now
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ICANON
	quiet.Iflag |= unix.ICRNL
	if err := retry(func() error { return unix.IoctlSetTermios(fd, ioctlSet, &quiet) }); err != nil {
		return nil, err
	}
	return func() { retry(func() error { return unix.IoctlSetTermios(fd, ioctlSet, &saved) }) }, nil
}

// FlushInput drops what was typed at the terminal at a descriptor and not read yet.
func FlushInput(fd int) { flush(fd, flushInput) }

// Modes remembers the modes of the terminal at a descriptor, for who starts a role that
// may die while they are others. restore does nothing where there is no terminal.
func Modes(fd int) (restore func()) {
	saved, err := unix.IoctlGetTermios(fd, ioctlGet)
	if err != nil {
		return func() {}
	}
	return func() { retry(func() error { return unix.IoctlSetTermios(fd, ioctlSet, saved) }) }
}
