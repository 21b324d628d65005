package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Batch is what a device sends to its collector, end-to-end encrypted:
//
//	sotto audit batch 1
//	FROM LINES HASHES
//	the proof that the checkpoint continues the first FROM events, a hash a line
//	the events, a line each
//	an empty line
//	the checkpoint
type Batch struct {
	From       int64          // the number of the first event
	Lines      [][]byte       // without ends of lines; none for a sign of life
	Proof      tlog.TreeProof // from From to the checkpoint's size; none where either is 0 or they are the same
	Checkpoint []byte         // signed by the device, of From+len(Lines) events
}

// Bounds of a batch.
const (
	MaxLines     = 2000     // events in a batch
	MaxBatch     = 1 << 20  // bytes
	MaxText      = 48 << 10 // bytes of what a Log makes, so that it goes through any relay
	maxBatchText = MaxText - maxProof*46 - MaxCheckpoint - 128
	maxProof     = 128 // hashes: two for each bit of a size
)

// IsBatch and IsAnswer report whether a text that came is meant to be one. It may be
// none all the same.
func IsBatch(text []byte) bool { return bytes.HasPrefix(text, []byte(batchHeader+"\n")) }

// IsAnswer: see IsBatch.
func IsAnswer(text []byte) bool { return bytes.HasPrefix(text, []byte(answerHeader+"\n")) }

// ErrBatch is what is no batch, or no answer.
var ErrBatch = errors.New("not a batch of an audit log")

const (
	batchHeader  = "sotto audit batch 1"
	answerHeader = "sotto audit answer 1"
)

// Marshal writes the batch.
func (b *Batch) Marshal() []byte {
	out := fmt.Appendf(nil, "%s\n%d %d %d\n", batchHeader, b.From, len(b.Lines), len(b.Proof))
	for _, h := range b.Proof {
		out = fmt.Appendf(out, "%s\n", h)
	}
	for _, line := range b.Lines {
		out = append(append(out, line...), '\n')
	}
	return append(append(out, '\n'), b.Checkpoint...)
}

// ParseBatch reads what Marshal wrote, within the bounds of this package. It
// verifies nothing: neither signature, nor proof, nor lines. The result refers
// to data. Errors match ErrBatch.
func ParseBatch(data []byte) (*Batch, error) {
	if len(data) > MaxBatch {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrBatch, MaxBatch)
	}
	rest := data
	next := func() (line []byte, ok bool) {
		line, rest, ok = bytes.Cut(rest, []byte{'\n'})
		return line, ok
	}
	header, _ := next()
	numbers, ok := next()
	if string(header) != batchHeader || !ok {
		return nil, fmt.Errorf("%w: it begins as something else", ErrBatch)
	}
	var b Batch
	words := bytes.Split(numbers, []byte{' '})
	if len(words) != 3 {
		return nil, fmt.Errorf("%w: its second line is none", ErrBatch)
	}
	from, err1 := strconv.ParseInt(string(words[0]), 10, 62)
	lines, err2 := strconv.ParseInt(string(words[1]), 10, 31)
	hashes, err3 := strconv.ParseInt(string(words[2]), 10, 31)
	if errors.Join(err1, err2, err3) != nil || from < 0 || lines < 0 || lines > MaxLines || hashes < 0 || hashes > maxProof {
		return nil, fmt.Errorf("%w: its second line is none", ErrBatch)
	}
	b.From = from
	for range hashes {
		line, ok := next()
		h, err := tlog.ParseHash(string(line))
		if !ok || err != nil {
			return nil, fmt.Errorf("%w: its proof is none", ErrBatch)
		}
		b.Proof = append(b.Proof, h)
	}
	for range lines {
		line, ok := next()
		if !ok || len(line) == 0 || len(line) > MaxLine {
			return nil, fmt.Errorf("%w: it lacks lines", ErrBatch)
		}
		b.Lines = append(b.Lines, line)
	}
	if empty, ok := next(); !ok || len(empty) != 0 || len(rest) == 0 || len(rest) > MaxCheckpoint {
		return nil, fmt.Errorf("%w: it lacks a checkpoint", ErrBatch)
	}
	b.Checkpoint = rest
	if !bytes.Equal(b.Marshal(), data) {
		return nil, fmt.Errorf("%w: the same is written another way", ErrBatch)
	}
	return &b, nil
}

// Of reports whether the batch's checkpoint is one that a device has signed. The lines
// may be others all the same.
func (b *Batch) Of(d Device, key ed25519.PublicKey) bool {
	_, err := OpenCheckpoint(b.Checkpoint, d, key, nil)
	return err == nil
}

// Answer is what the collector sends back, end-to-end encrypted: the last
// checkpoint of the device that it has, with its own signature below the
// device's; nil if it has nothing yet. What it covers is on the collector's disk.
//
//	sotto audit answer 1
//	an empty line
//	the checkpoint, if there is one
type Answer struct{ Checkpoint []byte }

// Marshal writes the answer.
func (a *Answer) Marshal() []byte { return append([]byte(answerHeader+"\n\n"), a.Checkpoint...) }

// To reports whether the answer is to a device: without a checkpoint, or with one that
// the device has signed. Whose signature is below that it does not ask.
func (a *Answer) To(d Device, key ed25519.PublicKey) bool {
	if len(a.Checkpoint) == 0 {
		return true
	}
	v, err := deviceVerifier(d, key)
	if err != nil {
		return false
	}
	n, err := note.Open(a.Checkpoint, note.VerifierList(v))
	if err != nil {
		return false
	}
	c, err := parseText(n.Text)
	return err == nil && c.Device == d
}

// ParseAnswer reads what Marshal wrote. It verifies nothing; see Log.Confirm.
func ParseAnswer(data []byte) (*Answer, error) {
	rest, ok := bytes.CutPrefix(data, []byte(answerHeader+"\n\n"))
	if !ok || len(rest) > MaxCheckpoint {
		return nil, fmt.Errorf("%w: nor an answer to one", ErrBatch)
	}
	if len(rest) == 0 {
		return &Answer{}, nil
	}
	return &Answer{rest}, nil
}
