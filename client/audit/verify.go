package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Report is what verifying a log has found.
type Report struct {
	Device    Device
	First     int64      // the first event that was there to be read
	Size      int64      // one more than the number of the last
	Uncovered int64      // how many stand behind the last checkpoint
	Last      Checkpoint // the last that is genuine; the zero Checkpoint if none is
	From, To  time.Time  // of the first and the last event, by the device's clock
	Problems  []Problem  // the first of them
	More      int        // how many others there are
}

// Problem is one thing that is wrong with a log.
type Problem struct {
	Seq  int64 // the event at which it was noticed
	What string
}

// String is the problem in words for people.
func (p Problem) String() string { return fmt.Sprintf("event %d: %s", p.Seq, p.What) }

// Sound reports whether nothing is wrong.
func (r *Report) Sound() bool { return len(r.Problems) == 0 }

// maxProblems bounds how many are listed.
const maxProblems = 20

func (r *Report) problem(seq int64, what string) {
	if len(r.Problems) >= maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{seq, what})
}

// verifier follows a log from its beginning, or from where it was removed to.
type verifier struct {
	report   *Report
	frontier *Frontier
	known    []Checkpoint // whose roots the log must have had; the reached ones are taken out
	each     func(Entry)
}

// line takes the next line, and returns the hashes that it completes.
func (v *verifier) line(line []byte) []tlog.Hash {
	r, seq := v.report, v.frontier.size
	e, err := ParseLine(line)
	switch {
	case err != nil:
		r.problem(seq, err.Error())
	case e.Seq != seq:
		r.problem(seq, fmt.Sprintf("event %d stands in its place", e.Seq))
	case e.Device != r.Device:
		r.problem(seq, "it is of another device")
	default:
		if r.From.IsZero() {
			r.From = e.Time
		}
		r.To = e.Time
		if v.each != nil {
			v.each(e)
		}
	}
	done := v.frontier.Add(tlog.RecordHash(line))
	r.Size = v.frontier.size
	v.settle()
	return done
}

// settle compares with what is known of a tree of this size.
func (v *verifier) settle() {
	if len(v.known) == 0 {
		return
	}
	rest := v.known[:0]
	for _, c := range v.known {
		switch {
		case c.Tree.N > v.frontier.size:
			rest = append(rest, c)
		case c.Tree.N == v.frontier.size && c.Tree.Hash != v.frontier.Root():
			v.report.problem(v.frontier.size, "something before it was changed, removed or added: these are not the events that were signed")
		}
	}
	v.known = rest
}

// end reports what should still have come.
func (v *verifier) end() {
	for _, c := range v.known {
		v.report.problem(v.frontier.size, fmt.Sprintf("the end is missing: there were %d events on %s", c.Tree.N, c.Time.Format(time.DateTime)))
	}
}

// Verifying is what a log in a file is verified with.
type Verifying struct {
	Device    Device
	Key       ed25519.PublicKey // of the device
	Collector *CollectorKey     // if each checkpoint must have the collector's signature, too
	Known     []Checkpoint      // what the log is known to have been: its end may be missing otherwise. Those with Received must be in the file
	Each      func(Entry)       // called for each event that is in its place; nil for none

	// Hashes is called with the hashes that each line completes, as tlog stores
	// them; nil for none. They are valid until it returns.
	Hashes func([]tlog.Hash)
}

// Verify reads a log from a file: lines, and between them checkpoints, each with
// an empty line before and behind it, as the collector keeps them. Every
// checkpoint must be genuine and have the root of the lines above it, and the
// last must stand at the end. The error is the reader's; what is wrong with the
// log is in the report. It needs little memory, whatever the log's size.
func Verify(in io.Reader, with Verifying) (*Report, error) {
	r := &Report{Device: with.Device}
	v := verifier{report: r, frontier: &Frontier{}, known: append([]Checkpoint(nil), with.Known...), each: with.Each}
	v.settle()
	f := NewFileReader(in)
	wanted := slices.DeleteFunc(slices.Clone(with.Known), func(c Checkpoint) bool { return c.Received.IsZero() })
	for {
		line, checkpoint, err := f.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if !errors.Is(err, ErrFile) {
				return nil, err
			}
			r.problem(v.frontier.size, err.Error())
			break
		}
		if line != nil {
			if done := v.line(line); with.Hashes != nil {
				with.Hashes(done)
			}
			continue
		}
		c, err := OpenCheckpoint(checkpoint, with.Device, with.Key, with.Collector)
		switch {
		case err != nil:
			r.problem(v.frontier.size, "the checkpoint behind it is not genuine: "+err.Error())
			continue
		case c.Tree.N != v.frontier.size:
			r.problem(v.frontier.size, fmt.Sprintf("the checkpoint behind it is of %d events", c.Tree.N))
		case c.Tree.Hash != v.frontier.Root():
			r.problem(v.frontier.size, "something before it was changed, removed or added: these are not the events that the device signed")
		}
		r.Last = c
		wanted = slices.DeleteFunc(wanted, c.Equal)
	}
	for _, c := range wanted {
		if c.Tree.N <= v.frontier.size { // or else the end is missing, which is said below
			r.problem(c.Tree.N, fmt.Sprintf("the checkpoint of %s is missing", c.Received.Format(time.DateTime)))
		}
	}
	if r.Uncovered = v.frontier.size - r.Last.Tree.N; r.Uncovered > 0 {
		r.problem(v.frontier.size, fmt.Sprintf("no checkpoint stands behind the last %d events: something was cut off, or added", r.Uncovered))
	}
	if r.Size == 0 && r.Last.Device == (Device{}) {
		r.problem(0, "the log is empty")
	}
	v.end()
	return r, nil
}

// ErrFile is a log's file that has another form.
var ErrFile = errors.New("the file is not in the form of a log")

// FileReader reads the form of file that [Verify] describes.
type FileReader struct {
	r      *bufio.Reader
	read   int64
	behind int64 // where the last checkpoint ended
}

// NewFileReader returns a reader of a log's file.
func NewFileReader(r io.Reader) *FileReader {
	return &FileReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Next returns the next line, without its end, or else the next checkpoint. They
// are valid until the next call. At the end it returns io.EOF.
func (f *FileReader) Next() (line, checkpoint []byte, err error) {
	line, err = f.until()
	if err != nil || len(line) > 0 {
		return line, nil, err
	}
	for blocks := 0; ; { // the text, and the signatures
		part, err := f.until()
		if err == io.EOF {
			return nil, nil, fmt.Errorf("%w: it ends within a checkpoint", ErrFile)
		}
		if err != nil {
			return nil, nil, err
		}
		if len(part) == 0 {
			if blocks++; blocks == 2 {
				break
			}
		}
		if checkpoint = append(append(checkpoint, part...), '\n'); len(checkpoint) > MaxCheckpoint {
			return nil, nil, fmt.Errorf("%w: a checkpoint of more than %d bytes", ErrFile, MaxCheckpoint)
		}
	}
	f.behind = f.read
	return nil, checkpoint, nil
}

// Read returns how many bytes were read so far, and how many up to the end of the
// last checkpoint.
func (f *FileReader) Read() (all, checkpoint int64) { return f.read, f.behind }

func (f *FileReader) until() ([]byte, error) {
	line, err := f.r.ReadSlice('\n')
	f.read += int64(len(line))
	switch {
	case err == nil && len(line) <= MaxCheckpoint:
		return line[:len(line)-1], nil
	case err == nil, errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrFile, MaxCheckpoint)
	case err == io.EOF && len(line) > 0:
		return nil, fmt.Errorf("%w: the last line has no end", ErrFile)
	}
	return nil, err
}

// AppendCheckpoint writes a checkpoint as a log's file has it.
func AppendCheckpoint(file, checkpoint []byte) []byte {
	file = append(file, '\n')
	file = append(file, checkpoint...)
	return append(file, '\n')
}

// WriteTo writes what is left of a log to w in the form that Verify reads, with a
// checkpoint at its end. A log whose beginning was removed cannot be verified on
// its own; the collector's can.
func (l *Log) WriteTo(w io.Writer, s Storage, checkpoint []byte) error {
	state, err := s.AuditState()
	if err != nil {
		return err
	}
	size, err := s.AuditSize()
	if err != nil {
		return err
	}
	for from := state.First; from < size; {
		var page bytes.Buffer
		n := int64(0)
		if err := s.AuditLines(from, verifyPage, func(_ int64, line, _ []byte) {
			page.Write(line)
			page.WriteByte('\n')
			n++
		}); err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("writing the audit log: event %d is missing", from)
		}
		if _, err := w.Write(page.Bytes()); err != nil {
			return fmt.Errorf("writing the audit log: %w", err)
		}
		from += n
	}
	if _, err := w.Write(AppendCheckpoint(nil, checkpoint)); err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	return nil
}

// Words is the report for people, in one line.
func (r *Report) Words() string {
	if r.Sound() {
		words := fmt.Sprintf("%s: %d events, nothing changed", r.Device, r.Size-r.First)
		if r.Last.Device == (Device{}) {
			return words + ", but no checkpoint that would show whether the end is missing"
		}
		words += ", nothing missing up to " + r.Last.Time.Format(time.DateTime)
		if r.Uncovered > 0 {
			words += fmt.Sprintf(", and %d since then that no checkpoint covers yet", r.Uncovered)
		}
		return words
	}
	words := make([]string, 0, 4)
	for _, p := range r.Problems[:min(3, len(r.Problems))] {
		words = append(words, p.String())
	}
	if n := len(r.Problems) + r.More - len(words); n > 0 {
		words = append(words, fmt.Sprintf("and %d more", n))
	}
	return fmt.Sprintf("%s: NOT SOUND: %s", r.Device, strings.Join(words, "; "))
}
