//go:build unix

package gate

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/internal/role"
	"sotto/keystore"
)

// serveTries is how many wrong PINs in a row a file may hold before none is read
// from one any more. A service is started again and again: it must not come near
// the number after which the vault destroys itself.
const serveTries = 3

// errPINFile is an error about the file that the PIN is read from.
type errPINFile string

func (e errPINFile) Error() string { return string(e) }

const (
	errNoPIN    errPINFile = "the PIN file is empty"
	errNobody   errPINFile = "nobody writes the PIN into the pipe"
	errLongPIN  errPINFile = "the PIN file has more than one line, or a line that is longer than any PIN"
	errShortPIN errPINFile = "what is in the PIN file is too short for a PIN. It was not tried"
)

// serve is unlock for a service: the PIN is what standard input has, a file.
func (g *gate) serve() (int, error) {
	if len(g.setup.Invited.Code) > 0 {
		return g.serveInvited()
	}
	if g.setup.Address != "" {
		return g.serveNew()
	}
	if g.setup.Typed {
		return g.serveTyped()
	}
	tried, err := g.triedFromFile()
	if err != nil {
		return 0, err
	}
	pin, err := readPIN(g.line.Bytes(), nextByte)
	if err != nil {
		return 0, err
	}
	opened, code, err := g.tryFromFile(pin, tried)
	pin.Destroy()
	if opened == nil {
		return code, err
	}
	defer opened.Close()
	if err := g.settle(opened); err != nil {
		return 0, err
	}
	return g.handOver(opened)
}

// triedFromFile returns how many PINs were wrong so far, or why none is tried from a
// file any more.
func (g *gate) triedFromFile() (int, error) {
	s, err := g.place.Status()
	if err == nil && s.Tried >= serveTries {
		err = fmt.Errorf("the last %d PINs that were tried here were wrong, so none is tried from a file any more. "+
			"Put the right one into the file, then open the profile once at a terminal: sotto --profile %s", s.Tried, g.setup.Profile.Name)
	}
	return s.Tried, err
}

// tryFromFile is try with patience for other processes, and says what was wrong.
func (g *gate) tryFromFile(pin *memguard.LockedBuffer, tried int) (*keystore.Opened, int, error) {
	opened, code, err := g.try(pin)
	for late := time.Now().Add(busyPatience); errors.Is(err, keystore.ErrBusy) && time.Now().Before(late); {
		opened, code, err = g.try(pin) // which waits a while itself, and counts nothing until it is its turn
	}
	if code == role.ExitWrongPIN {
		g.self.Control.Send(&role.Note{Text: fmt.Sprintf("the PIN in the file is not right (wrong %d times in a row; from %d on it is not tried any more)", tried+1, serveTries)})
	}
	return opened, code, err
}

// busyPatience is how long to wait for other processes that open the vault: cron
// starts many at midnight.
const busyPatience = time.Minute

// pinPatience is how long whoever writes the PIN into a pipe may take for a byte.
const pinPatience = 10 * time.Second

func nextByte(b []byte) (int, error) { return readSoon(0, b) }

// patiently reads from a file as nextByte does from standard input.
func patiently(f *os.File) func([]byte) (int, error) {
	fd := int(f.Fd())
	return func(b []byte) (int, error) { return readSoon(fd, b) }
}

func readSoon(fd int, b []byte) (int, error) {
	if !readableAt(fd, pinPatience) {
		return 0, errNobody
	}
	return unix.Read(fd, b)
}

// readPIN reads one line, byte by byte, into a locked buffer of its own. memory is
// locked, too, longer than any PIN, and wiped afterwards. The end of the line may be
// missing; nothing may come after it.
func readPIN(memory []byte, read func([]byte) (int, error)) (*memguard.LockedBuffer, error) {
	return readLine(memory, read, maxPIN, keystore.MinPIN)
}

// readLine is readPIN for what has other lengths, in bytes.
func readLine(memory []byte, read func([]byte) (int, error), most, least int) (*memguard.LockedBuffer, error) {
	defer clear(memory)
	n, ended := 0, false
	for {
		got, err := read(memory[n : n+1])
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, errNobody):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("read the PIN file: %w", err)
		}
		switch {
		case got == 0:
			if n > 0 && memory[n-1] == '\r' {
				n--
			}
			switch {
			case n == 0:
				return nil, errNoPIN
			case n > most:
				return nil, errLongPIN
			case n < least: // nobody's PIN, so not a guess that counts
				return nil, errShortPIN
			}
			pin := memguard.NewBuffer(n)
			pin.Copy(memory[:n])
			return pin, nil
		case ended:
			return nil, errLongPIN
		case memory[n] == '\n':
			memory[n], ended = 0, true
		case n > most: // one more than a PIN has, for the \r of a line's end
			return nil, errLongPIN
		default:
			n++
		}
	}
}
