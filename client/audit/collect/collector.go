package collect

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
)

// Collector keeps the logs of many devices in a folder. Its methods are safe for
// concurrent use; only one collector can have a folder open.
type Collector struct {
	mu     sync.Mutex
	dir    string
	lock   *os.File
	public *audit.CollectorKey
	key    crypto.Signer
	lookup func(audit.Device) (ed25519.PublicKey, bool)
	sealed map[audit.Device]audit.Checkpoint
	open   map[audit.Device]*kept
	recent []audit.Device // the open ones, that used last at the end
}

// maxOpen bounds the logs that are kept open, each with two files.
const maxOpen = 128

// Clocks of two machines differ by less, and step by less when they are set.
const (
	clockStep = 5 * time.Second
	clockSkew = 5 * time.Minute
)

// ErrInUse is a folder that another collector has open.
var ErrInUse = errors.New("another collector has this folder open. End it first")

// Open opens the collector's folder, or makes it. public is the key that devices
// know from the policy, and key its private half. lookup says which key a
// device's log is signed with, as the organisation's directory has it; it is
// called with devices that are new to the folder.
//
// A log is verified in full when something of its device comes, not before;
// Verify looks at all of them. What Open itself has noticed is in findings.
func Open(dir string, public *audit.CollectorKey, key crypto.Signer, lookup func(audit.Device) (ed25519.PublicKey, bool), now time.Time) (*Collector, []Finding, error) {
	const doing = "opening the folder of audit logs"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	lock, err := lockFolder(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	if err := writePublic(dir, public); err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	c := &Collector{dir: dir, lock: lock, public: public, key: key, lookup: lookup, open: map[audit.Device]*kept{}, sealed: map[audit.Device]audit.Checkpoint{}}
	var findings []Finding
	seal, err := readSeal(dir, public)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, ErrSeal):
		findings = append(findings, Finding{Kind: Spoilt, At: now, What: err.Error()})
	case err != nil:
		lock.Close()
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	default:
		for _, s := range seal.Logs {
			c.sealed[s.Device] = s
			if !exists(filepath.Join(dir, folderName(s.Device), logFile)) {
				findings = append(findings, Finding{Spoilt, s.Device, now, fmt.Sprintf("its log is gone from the folder: on %s there were %d events", seal.Time.Format(time.DateTime), s.Tree.N)})
			}
		}
	}
	return c, findings, nil
}

// Close closes the folder. Everything that was answered is on the disk already.
func (c *Collector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, k := range c.open {
		errs = append(errs, k.close())
	}
	c.open, c.recent = nil, nil
	return errors.Join(append(errs, c.lock.Close())...)
}

// Take takes what a device sent. from is the device that sent it, by the session
// in which it came; now is the collector's clock. It returns what to answer, nil
// for nothing, and what was noticed. When Take returns an answer, all that the
// answer covers is on the disk. The error is of the folder alone: the device may
// send the same once more.
func (c *Collector) Take(from audit.Device, data []byte, now time.Time) (answer []byte, findings []Finding, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := taking{c: c, from: from, now: now.UTC()}
	err = t.take(data)
	if err != nil {
		err = fmt.Errorf("keeping the audit log of %s: %w", from, err)
	}
	return t.answer, t.findings, err
}

// keyOf returns the key that a device's log is signed with: the one in the folder,
// or else the directory's. A device that has left the directory is still heard.
// nil has become a finding.
func (t *taking) keyOf() (ed25519.PublicKey, error) {
	c, d := t.c, t.from
	if k, ok := c.open[d]; ok {
		return k.key, nil
	}
	dir := filepath.Join(c.dir, folderName(d))
	kd, key, err := readKey(filepath.Join(dir, keyFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) && exists(filepath.Join(dir, logFile)):
		t.find(Spoilt, "the key of its log is gone from the folder")
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		if _, was := c.sealed[d]; was {
			t.find(Spoilt, "its log is gone from the folder")
			return nil, nil
		}
		key, ok := c.lookup(d)
		if !ok {
			t.find(Unknown, "the directory has no such device: nothing of it is kept")
			return nil, nil
		}
		return key, nil
	case err != nil || kd != d:
		t.find(Spoilt, "the key of its log in the folder is damaged")
		return nil, nil
	}
	if now, ok := c.lookup(d); ok && !key.Equal(now) {
		t.find(Spoilt, "its log was begun with another key than the directory has now: a new key needs a new device")
		return nil, nil
	}
	return key, nil
}

// log returns the log of a device, opening or beginning it if need be; nil if it is
// spoilt, which has become a finding.
func (t *taking) log(key ed25519.PublicKey) (*kept, error) {
	c, d := t.c, t.from
	if k, ok := c.open[d]; ok {
		c.used(d)
		if k.reportErr != nil {
			t.find(Spoilt, "%v", k.reportErr)
			return nil, nil
		}
		return k, nil
	}
	dir := filepath.Join(c.dir, folderName(d))
	if !exists(filepath.Join(dir, keyFile)) {
		if err := makeFolder(dir, d, key); err != nil {
			return nil, err
		}
	}
	var seals []audit.Checkpoint
	if s, ok := c.sealed[d]; ok {
		seals = append(seals, s)
	}
	k, notes, sound, err := open(dir, d, key, c.public, seals)
	if err != nil {
		return nil, err
	}
	for _, note := range notes {
		if sound {
			t.find(Interrupted, "%s", note)
		} else {
			k.reportErr = fmt.Errorf("the log in the folder is not what it was, and nothing is added to it: %s", note)
			t.find(Spoilt, "%v", k.reportErr)
		}
	}
	c.open[d] = k
	c.used(d)
	if !sound {
		return nil, nil
	}
	return k, nil
}

// used remembers that a log was used last, and closes the one that was not for
// the longest time where there are too many.
func (c *Collector) used(d audit.Device) {
	for i, x := range c.recent {
		if x == d {
			c.recent = append(c.recent[:i], c.recent[i+1:]...)
			break
		}
	}
	c.recent = append(c.recent, d)
	if len(c.recent) > maxOpen {
		old := c.recent[0]
		c.recent = c.recent[1:]
		c.open[old].close()
		delete(c.open, old)
	}
}

// taking is one call of Take.
type taking struct {
	c        *Collector
	from     audit.Device
	now      time.Time
	answer   []byte
	findings []Finding
}

func (t *taking) find(kind Kind, what string, args ...any) {
	t.findings = append(t.findings, Finding{kind, t.from, t.now, fmt.Sprintf(what, args...)})
}

func (t *taking) take(data []byte) error {
	b, err := audit.ParseBatch(data)
	if err != nil {
		t.find(Unreadable, "it sent what is no batch: %v", err)
		return nil
	}
	key, err := t.keyOf()
	if key == nil {
		return err
	}
	if origin, _, _ := bytes.Cut(b.Checkpoint, []byte{'\n'}); string(origin) != t.from.Origin() {
		t.find(Redirected, "it sent a batch of another device's log")
		return nil
	}
	cp, err := audit.OpenCheckpoint(b.Checkpoint, t.from, key, nil)
	if err != nil {
		t.find(Unsigned, "it sent a batch that it did not sign: %v", err)
		return nil
	}
	k, err := t.log(key)
	if k == nil {
		return err
	}
	t.answer = (&audit.Answer{Checkpoint: k.signed}).Marshal()
	if cp.Tree.N != b.From+int64(len(b.Lines)) {
		t.find(Inconsistent, "its checkpoint is of %d events, and the batch ends with number %d", cp.Tree.N, b.From+int64(len(b.Lines)))
		return nil
	}
	if k.fullest.Of > cp.Of && cp.Time.After(k.fullest.Time) {
		t.find(Truncated, "its log became shorter: it had %d events on %s, and %d on %s. Its data was put back to an older state, or its end was removed", k.fullest.Of, k.fullest.Time.Format(time.DateTime), cp.Of, cp.Time.Format(time.DateTime))
		t.answer = nil
		where, err := contradiction(k, cp, b)
		if where == "" || err != nil {
			return err
		}
		return t.fork(k, cp, b, where)
	}
	have := k.frontier.Size()
	switch {
	case b.From > have:
		t.find(Gap, "events %d to %d are missing before what it sent: a batch was lost, is late, or is being held back. They were asked for again", have, b.From-1)
		return nil
	case cp.Tree.N < have, cp.Tree.N == have && !cp.Time.After(k.last.Time):
		return t.old(k, cp, b)
	}
	return t.grow(k, cp, b)
}

// old takes a batch that has nothing new.
func (t *taking) old(k *kept, cp audit.Checkpoint, b *audit.Batch) error {
	root, err := k.rootAt(cp.Tree.N)
	if err != nil {
		return err
	}
	if root != cp.Tree.Hash {
		return t.fork(k, cp, b, "")
	}
	t.find(Replay, "a batch of %s came once more, or late: all of its %d events are here already", cp.Time.Format(time.DateTime), cp.Tree.N)
	return nil
}

// contradiction says where a batch and the log differ; "" if that cannot be seen.
func contradiction(k *kept, cp audit.Checkpoint, b *audit.Batch) (where string, err error) {
	have := k.frontier.Size()
	for i, line := range b.Lines {
		seq := b.From + int64(i)
		if seq >= have {
			break
		}
		h, err := k.leaf(seq)
		if err != nil {
			return "", err
		}
		if h != tlog.RecordHash(line) {
			return fmt.Sprintf("at event %d", seq), nil
		}
	}
	if cp.Tree.N > have {
		return "", nil
	}
	root, err := k.rootAt(cp.Tree.N)
	if err != nil || root == cp.Tree.Hash {
		return "", err
	}
	return fmt.Sprintf("within the first %d events", cp.Tree.N), nil
}

// fork reports two histories and keeps the evidence. where is "" if it is to be
// looked for.
func (t *taking) fork(k *kept, cp audit.Checkpoint, b *audit.Batch, where string) (err error) {
	if where == "" {
		if where, err = contradiction(k, cp, b); err != nil {
			return err
		}
	}
	if where == "" {
		where = fmt.Sprintf("within the first %d events", b.From)
	}
	t.answer = nil
	t.find(Fork, "there are two histories of its log, which differ %s: one of %d events signed on %s, and one of %d signed on %s. Its data was copied or put back, or somebody else has its key. Both signatures are kept as evidence", where,
		k.last.Tree.N, k.last.Time.Format(time.DateTime), cp.Tree.N, cp.Time.Format(time.DateTime))
	return keepEvidence(filepath.Join(t.c.dir, folderName(t.from)), b.Checkpoint)
}

// grow takes a batch that has something new, be it only a sign of life.
func (t *taking) grow(k *kept, cp audit.Checkpoint, b *audit.Batch) error {
	have := k.frontier.Size()
	entries := make([]audit.Entry, len(b.Lines))
	for i, line := range b.Lines {
		e, err := audit.ParseLine(line)
		switch seq := b.From + int64(i); {
		case err != nil:
			t.find(Inconsistent, "event %d cannot be read: %v. If its sotto is newer than this one, update the collector", seq, err)
			return nil
		case e.Device != t.from:
			t.find(Inconsistent, "event %d is of another device, %s", seq, e.Device)
			return nil
		case e.Seq != seq:
			t.find(Reordered, "event %d stands where number %d belongs", e.Seq, seq)
			return nil
		}
		entries[i] = e
	}
	f := k.frontier.Clone()
	same := true
	for i, line := range b.Lines {
		seq := b.From + int64(i)
		h := tlog.RecordHash(line)
		if seq >= have {
			f.Add(h)
			continue
		}
		here, err := k.leaf(seq)
		if err != nil {
			return err
		}
		same = same && here == h
	}
	before, err := k.rootAt(b.From)
	if err != nil {
		return err
	}
	proven := b.From == 0 || tlog.CheckTree(b.Proof, cp.Tree.N, cp.Tree.Hash, b.From, before) == nil
	switch {
	case f.Root() == cp.Tree.Hash && same && proven:
	case f.Root() == cp.Tree.Hash && same:
		t.find(Inconsistent, "the proof that it continues its first %d events is wrong, though it does", b.From)
		return nil
	case f.Root() == cp.Tree.Hash || proven && b.From > 0 && same:
		t.find(Inconsistent, "events between %d and %d are not those that it signed: they were changed before they were sent, or underway", b.From, cp.Tree.N-1)
		return nil
	case b.From == 0 && have == 0:
		t.find(Inconsistent, "the first %d events are not those that it signed", cp.Tree.N)
		return nil
	default:
		return t.fork(k, cp, b, "")
	}
	signed, err := t.c.public.Cosign(b.Checkpoint, t.c.key, t.now)
	if err != nil {
		return err
	}
	cp.Received = t.now.Truncate(time.Second)
	fresh := entries[have-b.From:]
	newest := t.clocks(k, fresh, cp)
	if err := k.append(b.Lines[have-b.From:], cp, signed, newest); err != nil {
		t.answer = nil
		return err
	}
	t.answer = (&audit.Answer{Checkpoint: signed}).Marshal()
	return nil
}

// clocks looks at what the device's clock said, and returns what it said last.
func (t *taking) clocks(k *kept, fresh []audit.Entry, cp audit.Checkpoint) time.Time {
	last, back, ahead := k.newest, 0, 0
	var most, far time.Duration
	var first int64
	for _, e := range fresh {
		if d := last.Sub(e.Time); d > clockStep {
			if back++; back == 1 {
				first = e.Seq
			}
			most = max(most, d)
		}
		if d := e.Time.Sub(t.now); d > clockSkew {
			ahead++
			far = max(far, d)
		}
		last = e.Time
	}
	if back > 0 {
		t.find(ClockBack, "its clock went back %d times, by up to %v, first at event %d. The events' order is that of their numbers", back, most.Round(time.Second), first)
	}
	if d := cp.Time.Sub(t.now); ahead > 0 || d > clockSkew {
		t.find(ClockAhead, "its clock is up to %v ahead of the collector's", max(far, d).Round(time.Second))
	}
	return last
}
