package keystore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Each of the two files ends in a tally: how many PINs were tried since the last
// right one.
//
//	(sequence 4 · tried 4 · first 8 bytes of their SHA-256) × 2
//
// The slot with the higher sequence counts, and the other one is written next,
// in place: a write that is cut off leaves the tally as it was. No space is
// needed for it, and the device secret is not written again.
const (
	slotSize  = 4 + 4 + 8
	tallySize = 2 * slotSize

	maxTried = 1 << 20
)

type tally struct{ sequence, tried uint32 }

// slot is one slot's content.
func (t tally) slot() []byte {
	b := binary.BigEndian.AppendUint32(nil, t.sequence)
	b = binary.BigEndian.AppendUint32(b, t.tried)
	sum := sha256.Sum256(append([]byte("sotto wrong PINs v1"), b...))
	return append(b, sum[:slotSize-len(b)]...)
}

// offset is where in a tally its slot is.
func (t tally) offset() int { return int(t.sequence%2) * slotSize }

// newTally is the end of a new file, in which nothing was tried.
func newTally() []byte { return append(tally{}.slot(), make([]byte, slotSize)...) }

// parseTally reads a tally. It reports whether one of the slots is sound.
func parseTally(b []byte) (t tally, ok bool) {
	if len(b) != tallySize {
		return t, false
	}
	for i := range 2 {
		s := b[i*slotSize:][:slotSize]
		found := tally{binary.BigEndian.Uint32(s), binary.BigEndian.Uint32(s[4:])}
		if found.offset() == i*slotSize && found.tried <= maxTried && bytes.Equal(found.slot(), s) &&
			(!ok || found.sequence > t.sequence) {
			t, ok = found, true
		}
	}
	return t, ok
}

// record writes a tally over the one at the end of a file, and puts it on the disk.
func record(f *os.File, t tally) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(t.slot(), info.Size()-tallySize+int64(t.offset())); err != nil {
		return err
	}
	return f.Sync()
}

// files are the vault's two files, open for reading and writing, and this
// process the only one that tries PINs.
type files struct {
	place         Place
	vault, device *os.File
	content       []byte // the vault's, without the tally
	tallies       [2]tally
	sound         [2]bool // the tally could be read
}

// How long to wait for another process that tries a PIN just now, and how often
// to look.
const (
	busyPatience = 3 * time.Second
	busyPause    = 20 * time.Millisecond
)

// openFiles opens and reads both files. It fails where they can be read but not
// written: no attempt could be counted.
func (p Place) openFiles() (*files, error) {
	o := &files{place: p}
	var err error
	if o.vault, err = p.lockVault(); err != nil {
		return nil, missing(err, ErrNoVault)
	}
	if o.device, err = os.OpenFile(p.device, os.O_RDWR, 0); err != nil {
		err = missing(err, ErrNoDevice)
	}
	if tomb, _ := isTomb(o.vault); tomb {
		err = ErrDestroyed
	}
	if err == nil {
		err = o.read()
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func missing(err, remedy error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return remedy
	}
	return err
}

// lockVault opens the vault and locks it. The lock holds for the file that has
// that name in the end: it may be replaced meanwhile.
func (p Place) lockVault() (*os.File, error) {
	for late := time.Now().Add(busyPatience); ; time.Sleep(busyPause) {
		f, err := os.OpenFile(p.vault, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		ok, err := p.lock(f)
		if err == nil && ok {
			var held, named os.FileInfo
			if held, err = f.Stat(); err == nil {
				if named, err = os.Stat(p.vault); err == nil && os.SameFile(held, named) {
					return f, nil
				}
			}
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		if time.Now().After(late) {
			return nil, ErrBusy
		}
	}
}

func (o *files) read() error {
	b, err := io.ReadAll(io.LimitReader(o.vault, int64(maxVault)+1))
	if err != nil {
		return err
	}
	o.content, o.tallies[0], o.sound[0] = cutTally(b)
	if o.tallies[1], o.sound[1], err = readTally(o.device); err != nil {
		return err
	}
	if !o.sound[0] && !o.sound[1] {
		return ErrDamaged
	}
	return nil
}

// cutTally takes the tally off the end of a file.
func cutTally(b []byte) (content []byte, t tally, ok bool) {
	n := max(0, len(b)-tallySize)
	t, ok = parseTally(b[n:])
	return b[:n:n], t, ok
}

// readTally reads the tally at the end of a file, and nothing else.
func readTally(f *os.File) (t tally, ok bool, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() < tallySize {
		return t, false, err
	}
	b := make([]byte, tallySize)
	if _, err := f.ReadAt(b, info.Size()-tallySize); err != nil {
		return t, false, err
	}
	t, ok = parseTally(b)
	return t, ok, nil
}

// tried is how many PINs were tried since the last right one: the higher number
// of the two, whatever was done to the other file.
func (o *files) tried() int { return int(max(o.tallies[0].tried, o.tallies[1].tried)) }

// setTried writes the number to both files. After an error the first is as it
// was, as far as that can be.
func (o *files) setTried(n int) error {
	next := o.tallies
	for i, f := range []*os.File{o.vault, o.device} {
		next[i].tried = uint32(min(n, maxTried))
		if o.sound[i] {
			next[i].sequence++
		}
		if err := o.place.record(f, next[i]); err != nil {
			if i == 1 {
				back := next[0]
				back.sequence, back.tried = back.sequence+1, o.tallies[0].tried
				if o.place.record(o.vault, back) == nil {
					o.tallies[0] = back
				}
			}
			return fmt.Errorf("counting PINs in %s: %w", f.Name(), err)
		}
	}
	o.tallies, o.sound = next, [2]bool{true, true}
	return nil
}

// close closes the files and lets others try.
func (o *files) close() {
	for _, f := range []*os.File{o.vault, o.device} {
		if f != nil {
			f.Close()
		}
	}
}

// Status is what a vault says about itself without its PIN.
type Status struct {
	Tried        int  // PINs since the last right one
	DestroyAfter int  // at so many it destroys itself; 0 is never
	Destroyed    bool // it has, or it was about to and Destroy has to be called
	TPM          bool // it is sealed to a TPM
}

// Status reads the status. It changes nothing.
func (p Place) Status() (Status, error) {
	const doing = "looking at the vault"
	if gone, err := Destroyed(p.vault); gone || err != nil {
		return Status{Destroyed: gone}, err
	}
	b, err := readFile(p.vault)
	if err != nil {
		return Status{}, explain(doing, missing(err, ErrNoVault))
	}
	content, t, sound := cutTally(b)
	v, err := parseVault(content, p.floor)
	if err != nil {
		return Status{}, explain(doing, err)
	}
	s := Status{DestroyAfter: int(v.limit), TPM: v.index != 0}
	if sound {
		s.Tried = int(t.tried)
	}
	// Without the device's file there is nothing to try, but something to finish.
	if f, err := os.Open(p.device); err == nil {
		defer f.Close()
		t, ok, err := readTally(f)
		if err == nil && ok {
			s.Tried = max(s.Tried, int(t.tried))
		} else if !sound {
			return s, explain(doing, ErrDamaged)
		}
	}
	s.Destroyed = s.DestroyAfter > 0 && s.Tried >= s.DestroyAfter
	return s, nil
}

// readFile reads no more than the longest of the files can be.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(maxVault)+1))
}
