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
// right one. It has two blocks of its own; what is before it fills whole blocks,
// too.
//
//	(sequence 4 · tried 4 · first 8 bytes of their SHA-256 · zeros to 4096) × 2
//
// The slot with the higher sequence counts, and the other one is written next,
// in place, with its whole block: a write that is cut off, or that ruins the
// sectors that it meant, leaves the tally as it was, and never reaches what is
// not counted anew with every PIN. No space is needed for it, and the device
// secret is not written again.
const (
	slotSize  = 4 + 4 + 8
	blockSize = 4096 // bytes: the sector of today's disks, or a multiple of it, and a page
	tallySize = 2 * blockSize

	maxTried = 1 << 20
	// ordered in place of a number says that the vault is to be destroyed, whatever
	// it bears: see Place.Wipe. Nobody can try as many PINs.
	ordered = maxTried + 1
)

// filled is n rounded up to whole blocks.
func filled(n int) int { return (n + blockSize - 1) / blockSize * blockSize }

type tally struct{ sequence, tried uint32 }

// slot is one slot's content.
func (t tally) slot() []byte {
	b := binary.BigEndian.AppendUint32(nil, t.sequence)
	b = binary.BigEndian.AppendUint32(b, t.tried)
	sum := sha256.Sum256(append([]byte("sotto wrong PINs v1"), b...))
	return append(b, sum[:slotSize-len(b)]...)
}

// block is the slot with its block.
func (t tally) block() []byte { return append(t.slot(), make([]byte, blockSize-slotSize)...) }

// offset is where in a tally its block is.
func (t tally) offset() int { return int(t.sequence%2) * blockSize }

// newTally is the end of a new file, in which nothing was tried.
func newTally() []byte { return append(tally{}.block(), make([]byte, blockSize)...) }

// parseTally reads a tally. It reports whether one of the slots is sound.
func parseTally(b []byte) (t tally, ok bool) {
	if len(b) != tallySize {
		return t, false
	}
	for i := range 2 {
		s := b[i*blockSize:][:slotSize]
		found := tally{binary.BigEndian.Uint32(s), binary.BigEndian.Uint32(s[4:])}
		if found.offset() == i*blockSize && found.tried <= ordered && bytes.Equal(found.slot(), s) &&
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
	if _, err := f.WriteAt(t.block(), info.Size()-tallySize+int64(t.offset())); err != nil {
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
	if why, _ := epitaph(o.vault); why != nil {
		err = why
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
	var err error
	if o.content, o.tallies[0], o.sound[0], err = readVault(o.vault); err != nil {
		return err
	}
	if err := checkLayout(o.content); err != nil {
		return err
	}
	if o.tallies[1], o.sound[1], err = readTally(o.device); err != nil {
		return err
	}
	if !o.sound[0] && !o.sound[1] {
		return ErrDamaged
	}
	return nil
}

// readVault reads a vault's file, at most one byte more than it may have. One
// that is too short for a tally is all content.
func readVault(f *os.File) (content []byte, t tally, ok bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, t, false, err
	}
	size := min(info.Size(), int64(maxVault)+1)
	if size >= tallySize {
		if t, ok, err = readTally(f); err != nil {
			return nil, t, false, err
		}
		size -= tallySize
	}
	content, err = io.ReadAll(io.NewSectionReader(f, 0, size))
	return content, t, ok, err
}

// readTally reads the tally at the end of a file, and nothing else. A block that
// the disk cannot read is as good as damaged.
func readTally(f *os.File) (t tally, ok bool, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() < tallySize {
		return t, false, err
	}
	b := make([]byte, tallySize)
	for i := 0; i < tallySize; i += blockSize {
		if _, err := f.ReadAt(b[i:][:blockSize], info.Size()-tallySize+int64(i)); err != nil {
			clear(b[i:][:blockSize])
		}
	}
	t, ok = parseTally(b)
	return t, ok, nil
}

// tried is how many PINs were tried since the last right one: the higher number
// of the two, whatever was done to the other file.
func (o *files) tried() int { return int(max(o.tallies[0].tried, o.tallies[1].tried)) }

// setTried writes the number to both files, or ordered. After an error the first
// is as it was, as far as that can be.
func (o *files) setTried(n int) error {
	next := o.tallies
	if n != ordered {
		n = min(n, maxTried)
	}
	for i, f := range []*os.File{o.vault, o.device} {
		next[i].tried = uint32(n)
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
	Tried        int    // PINs since the last right one
	DestroyAfter int    // at so many it destroys itself; 0 is never
	Destroyed    bool   // it has, or it was about to and Destroy has to be called
	Ordered      bool   // because its organisation ordered it
	TPM          bool   // it is sealed to a TPM
	Recovery     string // the recipient of the recovery key that opens it, too; "" is none
}

// Status reads the status. It changes nothing.
func (p Place) Status() (Status, error) {
	const doing = "looking at the vault"
	switch err := Epitaph(p.vault); {
	case errors.Is(err, ErrWiped):
		return Status{Destroyed: true, Ordered: true}, nil
	case errors.Is(err, ErrDestroyed):
		return Status{Destroyed: true}, nil
	case err != nil:
		return Status{}, err
	}
	content, t, sound, err := p.readVault()
	if err != nil {
		return Status{}, explain(doing, missing(err, ErrNoVault))
	}
	v, err := parseVault(content, p.floor)
	if err != nil {
		return Status{}, explain(doing, err)
	}
	s := Status{DestroyAfter: int(v.limit), TPM: v.index != 0, Recovery: v.slot.recipient}
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
	s.Ordered = s.Tried == ordered
	s.Destroyed = s.Ordered || s.DestroyAfter > 0 && s.Tried >= s.DestroyAfter
	return s, nil
}

// readVault reads the vault's file without writing to it, or locking it.
func (p Place) readVault() (content []byte, t tally, sound bool, err error) {
	f, err := os.Open(p.vault)
	if err != nil {
		return nil, t, false, err
	}
	defer f.Close()
	return readVault(f)
}
