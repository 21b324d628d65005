package recovery

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/awnumar/memguard"

	"sotto/keystore/shares"
)

// MaxLine bounds a line of a key, or a share, as it is typed.
const MaxLine = 128

// Reader takes a key line by line, as a person types it: the whole key, or the rows
// of as many shares as are needed. It is not safe for concurrent use.
type Reader struct {
	key *Key
	set *shares.Set // nil until there is a row of a share
}

// Prompt says what is expected next, in a few words.
func (r *Reader) Prompt() string {
	if r.set == nil {
		return "Recovery key, or row 1 of a share"
	}
	n := r.set.Len() + 1
	if r.set.Need() == 0 {
		return fmt.Sprintf("Share %d, row %d", n, r.set.Next())
	}
	return fmt.Sprintf("Share %d of %d, row %d", n, r.set.Need(), r.set.Next())
}

// Line takes the next line, which stays the caller's and is changed. It reports
// whether the key is complete. An error says what to do, and the same line is
// expected again, or the share that it ends.
func (r *Reader) Line(line []byte) (complete bool, err error) {
	if r.key != nil {
		return true, nil
	}
	line = bytes.TrimSpace(line)
	if r.set == nil {
		if len(line) >= len(textPrefix) && bytes.EqualFold(line[:len(textPrefix)], []byte(textPrefix)) {
			r.key, err = ParseText(line)
			return err == nil, err
		}
		r.set = shares.Collect()
	}
	if _, err := r.set.Row(line); err != nil {
		if r.set.Len() == 0 && r.set.Next() == 1 {
			r.set.Destroy()
			r.set = nil // perhaps it was to be a key
		}
		return false, err
	}
	if r.set.Next() != 1 || r.set.Missing() > 0 {
		return false, nil
	}
	r.key, err = Combined(r.set)
	r.set.Destroy()
	r.set = nil
	return err == nil, err
}

// Key returns the key once it is complete; the caller destroys it. Else nil.
func (r *Reader) Key() *Key {
	k := r.key
	r.key = nil
	return k
}

// Destroy wipes what was typed. A key that Key returned stays.
func (r *Reader) Destroy() {
	if r.key != nil {
		r.key.Destroy()
	}
	if r.set != nil {
		r.set.Destroy()
	}
	r.key, r.set = nil, nil
}

// maxFile bounds a file with a key, or shares, in bytes.
const maxFile = 64 << 10

// ErrFile is returned for a file with neither.
var ErrFile = errors.New("this file has neither a recovery key nor a share of one")

// File takes the key, or shares of it, from a file: one that age wrote, or sheets as
// sotto writes them. Lines that are neither are words for people. It reports whether
// the key is complete.
func (r *Reader) File(f io.Reader) (complete bool, err error) {
	buffer := memguard.NewBuffer(4096)
	defer buffer.Destroy()
	lines := bufio.NewScanner(io.LimitReader(f, maxFile))
	lines.Buffer(buffer.Bytes(), 0)
	found := false
	for lines.Scan() {
		line := lines.Bytes()
		if !isRow(line) && !bytes.HasPrefix(bytes.ToUpper(line), []byte(textPrefix)) {
			continue
		}
		found = true
		complete, err := r.Line(line)
		clear(line)
		if complete || err != nil {
			return complete, err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return false, ErrFile
	case err != nil:
		return false, fmt.Errorf("reading the recovery key: %w", err)
	case !found:
		return false, ErrFile
	case r.set != nil && r.set.Next() != 1:
		return false, fmt.Errorf("a share in this file ends after row %d of %d", r.set.Next()-1, shares.Rows)
	}
	return false, nil
}

// isRow says whether a line of a file looks like a row of a share.
func isRow(line []byte) bool {
	return len(line) > 2 && line[0] >= '1' && line[0] <= '0'+shares.Rows && line[1] == ' ' && line[2] == ' '
}

// Sheet is what is written around a share, for people.
type Sheet struct {
	Organisation, Recipient string
	Number, Of, Need        int
}

// Heading returns the lines before the share, or the key where Of is 0.
func (s Sheet) Heading() string {
	var b strings.Builder
	if s.Of == 0 {
		b.WriteString("The recovery key")
	} else {
		fmt.Fprintf(&b, "Share %d of %d of the recovery key", s.Number, s.Of)
	}
	if s.Organisation != "" {
		b.WriteString(" of " + s.Organisation)
	}
	b.WriteString("\n" + s.Recipient + "\n")
	if s.Of == 0 {
		b.WriteString("Whoever has it opens every vault, at its machine, and every backup.\n\n")
	} else {
		fmt.Fprintf(&b, "Any %d of the %d shares make the key; fewer say nothing about it.\n\n", s.Need, s.Of)
	}
	return b.String()
}
