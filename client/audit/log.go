package audit

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Log is the log of one device. It holds nothing of what it logs: everything is in
// the Storage that each call is given, and what a call did is undone when that
// transaction is. A Log may be used by several goroutines, each with a
// transaction of its own.
type Log struct{ device Device }

// New returns the log of a device.
func New(device Device) (*Log, error) {
	if !device.Valid() {
		return nil, errors.New("an audit log needs a device with an address and a number")
	}
	return &Log{device}, nil
}

// Append adds an event to the log, in the transaction of what it tells of. The
// first event of a log is always LogStarted; it is added by itself if need be.
// Errors are the Storage's, or match ErrEvent.
func (l *Log) Append(s Storage, now time.Time, e Event) (Entry, error) {
	size, err := s.AuditSize()
	if err != nil {
		return Entry{}, err
	}
	if size == 0 && e.Kind != LogStarted {
		if _, err := l.append(s, size, now, Event{Kind: LogStarted}); err != nil {
			return Entry{}, err
		}
		size++
	}
	return l.append(s, size, now, e)
}

func (l *Log) append(s Storage, seq int64, now time.Time, e Event) (Entry, error) {
	entry := Entry{seq, stamp(now), l.device, e}
	line, err := entry.Line()
	if err != nil {
		return Entry{}, fmt.Errorf("writing the audit log: %w", err)
	}
	hashes, err := tlog.StoredHashesForRecordHash(seq, tlog.RecordHash(line), stored{s})
	if err != nil {
		return Entry{}, fmt.Errorf("writing the audit log: %w", err)
	}
	return entry, s.AppendAudit(seq, line, join(hashes))
}

// AppendAll is Append for many events, whose Time is when they happened, in one
// go: what it reads of the tree, it reads once. It sets Seq and Device of each.
func (l *Log) AppendAll(s Storage, list []Entry) error {
	if len(list) == 0 {
		return nil
	}
	size, err := s.AuditSize()
	if err != nil {
		return err
	}
	if size == 0 && list[0].Kind != LogStarted {
		list = append([]Entry{{Time: list[0].Time, Event: Event{Kind: LogStarted}}}, list...)
	}
	f, err := FrontierAt(size, stored{s})
	if err != nil {
		return fmt.Errorf("writing the audit log: %w", err)
	}
	for i := range list {
		e := &list[i]
		e.Seq, e.Time, e.Device = f.Size(), stamp(e.Time), l.device
		line, err := e.Line()
		if err != nil {
			return fmt.Errorf("writing the audit log: %w", err)
		}
		if err := s.AppendAudit(e.Seq, line, join(f.Add(tlog.RecordHash(line)))); err != nil {
			return err
		}
	}
	return nil
}

// Device returns whose log it is.
func (l *Log) Device() Device { return l.device }

func join(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

// Checkpoint signs the log as it is now, and keeps what it signed, so that Verify
// finds a missing end. now is the device's clock. Sign one when the device locks,
// and now and then.
func (l *Log) Checkpoint(s Storage, now time.Time, key crypto.Signer) ([]byte, error) {
	size, err := s.AuditSize()
	if err != nil {
		return nil, err
	}
	msg, err := l.sign(s, size, size, now, key)
	if err != nil {
		return nil, err
	}
	state, err := s.AuditState()
	if err != nil {
		return nil, err
	}
	state.Checkpoint = msg
	return msg, s.SetAuditState(state)
}

// sign signs the first size of the log's events.
func (l *Log) sign(s Storage, size, of int64, now time.Time, key crypto.Signer) ([]byte, error) {
	root, err := tlog.TreeHash(size, stored{s})
	if err != nil {
		return nil, fmt.Errorf("signing the audit log: %w", err)
	}
	return Checkpoint{Device: l.device, Tree: tlog.Tree{N: size, Hash: root}, Time: now, Of: of}.Sign(key)
}

// Batch makes what the collector is to be sent next: at most limit events (MaxLines
// at most) from State.Next on, a checkpoint behind them, and the proof that it
// continues what the collector has. With no new events it is a sign of life.
// more says that there are further events.
func (l *Log) Batch(s Storage, now time.Time, key crypto.Signer, limit int) (b *Batch, more bool, err error) {
	size, err := s.AuditSize()
	if err != nil {
		return nil, false, err
	}
	state, err := s.AuditState()
	if err != nil {
		return nil, false, err
	}
	if state.Next < state.First || state.Next > size {
		return nil, false, fmt.Errorf("sending the audit log from event %d: %w", state.Next, ErrPruned)
	}
	b = &Batch{From: state.Next}
	total := 0
	err = s.AuditLines(b.From, min(max(limit, 0), MaxLines), func(seq int64, line, _ []byte) {
		if total += len(line) + 1; seq == b.From+int64(len(b.Lines)) && total <= maxBatchText {
			b.Lines = append(b.Lines, bytes.Clone(line))
		}
	})
	if err != nil {
		return nil, false, err
	}
	to := b.From + int64(len(b.Lines))
	if len(b.Lines) == 0 && limit > 0 && to < size {
		return nil, false, fmt.Errorf("sending the audit log: event %d is missing", to)
	}
	if b.From > 0 && b.From < to {
		if b.Proof, err = tlog.ProveTree(to, b.From, stored{s}); err != nil {
			return nil, false, fmt.Errorf("proving that the audit log goes on: %w", err)
		}
	}
	b.Checkpoint, err = l.sign(s, to, size, now, key)
	return b, to < size, err
}

// ErrForked is a confirmation of another history than this device's: its log was
// put back to an older state and went on differently, or somebody else has its
// key. It does not heal. The device needs a new log, which is a new device.
var ErrForked = errors.New("the collector has another history of this device: its data was put back to an older state, or was copied. Join this device anew")

// Renew begins anew with another collector, which has nothing yet: what is still
// here is sent to it. What was removed is not, so a collector that takes the place of
// another one wants its folder.
func (l *Log) Renew(s Storage) error {
	state, err := s.AuditState()
	if err != nil {
		return err
	}
	state.Confirmation, state.Confirmed, state.Next = nil, state.First, state.First
	return s.SetAuditState(state)
}

// Confirm takes a collector's answer, as ParseAnswer read it, and moves
// State.Confirmed and State.Next. It returns ErrForked if what the collector has
// is not what this device wrote, and ErrSignature or ErrCheckpoint if the answer is
// none of that collector's: audit both.
func (l *Log) Confirm(s Storage, a *Answer, device ed25519.PublicKey, collector *CollectorKey) error {
	size, err := s.AuditSize()
	if err != nil {
		return err
	}
	state, err := s.AuditState()
	if err != nil {
		return err
	}
	if a.Checkpoint == nil {
		if state.Confirmation != nil {
			return fmt.Errorf("%w: the collector had %d events, and now has none", ErrForked, state.Confirmed)
		}
		state.Next = 0
		return s.SetAuditState(state)
	}
	c, err := OpenCheckpoint(a.Checkpoint, l.device, device, collector)
	if err != nil {
		return fmt.Errorf("reading the collector's answer: %w", err)
	}
	switch {
	case c.Tree.N > size:
		return fmt.Errorf("%w: it has %d events, and there are %d", ErrForked, c.Tree.N, size)
	case c.Tree.N <= state.Confirmed && state.Confirmation != nil:
		// An old answer, or that of a collector that has lost something. It is sent
		// again as far as it is still here.
		state.Next = max(c.Tree.N, state.First)
		return s.SetAuditState(state)
	}
	root, err := tlog.TreeHash(c.Tree.N, stored{s})
	if err != nil {
		return fmt.Errorf("comparing with the collector: %w", err)
	}
	if root != c.Tree.Hash {
		return fmt.Errorf("%w: they differ within the first %d events", ErrForked, c.Tree.N)
	}
	state.Confirmed, state.Next, state.Confirmation = c.Tree.N, c.Tree.N, bytes.Clone(a.Checkpoint)
	return s.SetAuditState(state)
}

// pruneBatch bounds what Prune removes in one call.
const pruneBatch = 10_000

// Prune removes lines from before before that the collector has confirmed, at most
// some thousand in a call, and appends an event that says how many. It stops at
// the first that is younger. What it keeps of them is enough to prove that later
// checkpoints continue the confirmed one.
func (l *Log) Prune(s Storage, now, before time.Time) (removed int, err error) {
	state, err := s.AuditState()
	if err != nil {
		return 0, err
	}
	to, stop := state.First, false
	var bad error
	err = s.AuditLines(state.First, pruneBatch, func(seq int64, line, _ []byte) {
		if stop || seq != to || seq >= state.Confirmed {
			stop = true
			return
		}
		e, err := ParseLine(line)
		if err != nil {
			stop, bad = true, err
			return
		}
		if stop = !e.Time.Before(before); !stop {
			to++
		}
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("removing old audit events: number %d: %w", to, bad)
	}
	removed = int(to - state.First)
	if err != nil || removed == 0 {
		return 0, err
	}
	if err := s.PruneAudit(to, frontierRecords(to)); err != nil {
		return 0, err
	}
	state.First = to
	if err := s.SetAuditState(state); err != nil {
		return 0, err
	}
	_, err = l.Append(s, now, Event{Kind: AuditPruned, Count: uint32(removed)})
	return removed, err
}

// frontierRecords returns the records with which the subtrees of the frontier at
// size end: tlog stores their hashes there. Of a tree whose first size records
// are settled, no proof between later sizes needs any other of their hashes.
func frontierRecords(size int64) (list []int64) {
	end := int64(0)
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size&(1<<level) != 0 {
			end += 1 << level
			list = append(list, end-1)
		}
	}
	return list
}

// ProveEvent proves that an event is in the log of a checkpoint's size
// (tlog.CheckRecord verifies it). It returns ErrPruned where too much is gone.
func (l *Log) ProveEvent(s Storage, size, seq int64) (tlog.RecordProof, error) {
	if seq < 0 || seq >= size {
		return nil, fmt.Errorf("proving event %d of %d: there is none", seq, size)
	}
	return tlog.ProveRecord(size, seq, stored{s})
}

// ProveGrowth proves that the log at size to continues the log at size from
// (tlog.CheckTree verifies it).
func (l *Log) ProveGrowth(s Storage, from, to int64) (tlog.TreeProof, error) {
	if from < 1 || from > to {
		return nil, fmt.Errorf("proving that %d events continue %d: they do not", to, from)
	}
	return tlog.ProveTree(to, from, stored{s})
}

// verifyPage is how many lines Verify reads at a time.
const verifyPage = 4096

// Verify reads all that is left of the log and compares it with its hashes, with
// the last checkpoint that the device signed and with the last that the collector
// confirmed. It returns what it found wrong in the report. It changes nothing.
func (l *Log) Verify(s Storage, key ed25519.PublicKey, collector *CollectorKey) (*Report, error) {
	state, err := s.AuditState()
	if err != nil {
		return nil, err
	}
	size, err := s.AuditSize()
	if err != nil {
		return nil, err
	}
	r := &Report{Device: l.device, First: state.First, Size: state.First}
	f, err := FrontierAt(state.First, stored{s})
	if errors.Is(err, ErrPruned) {
		r.problem(state.First, "the hashes of earlier events are missing")
		f, err = &Frontier{size: state.First}, nil
	}
	if err != nil {
		return nil, err
	}
	known := l.open(r, "its last checkpoint", state.Checkpoint, key, nil)
	known = append(known, l.open(r, "the collector's confirmation", state.Confirmation, key, collector)...)
	v := verifier{report: r, frontier: f, known: known}
	v.settle()
	for from := state.First; from < size; {
		n := int64(0)
		err := s.AuditLines(from, verifyPage, func(seq int64, line, hashes []byte) {
			if seq != from+n {
				r.problem(from+n, "it is missing")
				n = seq - from
			}
			n++
			if done := v.line(line); !bytes.Equal(join(done), hashes) {
				r.problem(seq, "its hashes are not those of its line")
			}
		})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			r.problem(from, "it is missing, and all behind it")
			break
		}
		from += n
	}
	v.end()
	r.Uncovered = max(0, size-r.Last.Tree.N)
	return r, nil
}

// open verifies a checkpoint that the log has kept.
func (l *Log) open(r *Report, what string, msg []byte, key ed25519.PublicKey, collector *CollectorKey) []Checkpoint {
	if msg == nil {
		return nil
	}
	c, err := OpenCheckpoint(msg, l.device, key, collector)
	if err != nil {
		r.problem(r.First, what+" is not genuine: "+err.Error())
		return nil
	}
	if c.Tree.N > r.Last.Tree.N {
		r.Last = c
	}
	return []Checkpoint{c}
}
