package collect

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
)

// kept is the log of one device, open for appending.
type kept struct {
	device    audit.Device
	key       ed25519.PublicKey
	frontier  *audit.Frontier
	last      audit.Checkpoint // the zero Checkpoint if there is none
	signed    []byte           // last, with both signatures
	fullest   audit.Checkpoint // the one that told of the most events, the last of these
	newest    time.Time        // the device's clock at its newest event
	log       *os.File
	logEnd    int64
	hashes    *os.File
	reportErr error // why nothing more is taken: its own file is spoilt
}

func (k *kept) close() error { return errors.Join(k.log.Close(), k.hashes.Close()) }

// open reads the log of a device that is in the folder, verifying all of it, and
// makes the file of hashes anew where it is not right. A write that was cut off is
// undone. sound is false if the log is not what it was; then nothing is changed.
func open(dir string, device audit.Device, key ed25519.PublicKey, collector *audit.CollectorKey, seals []audit.Checkpoint) (k *kept, findings []string, sound bool, err error) {
	k = &kept{device: device, key: key, frontier: &audit.Frontier{}}
	if k.log, err = os.OpenFile(filepath.Join(dir, logFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, nil, false, err
	}
	if k.hashes, err = os.OpenFile(filepath.Join(dir, hashFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		k.log.Close()
		return nil, nil, false, err
	}
	settled, tail, wrong, err := k.read(collector, seals)
	if err != nil {
		k.close()
		return nil, nil, false, err
	}
	if wrong != "" {
		return k, []string{wrong}, false, nil
	}
	k.logEnd = settled
	if tail > 0 {
		findings = append(findings, fmt.Sprintf("%d bytes stand behind the last checkpoint: writing was interrupted, or the checkpoint was removed. They were taken away; the device sends them again unless they were confirmed", tail))
		if err := errors.Join(k.log.Truncate(settled), k.log.Sync()); err != nil {
			k.close()
			return nil, nil, false, err
		}
	}
	return k, findings, true, nil
}

// read follows the log to its last checkpoint. wrong says why it is not sound;
// tail is how many bytes follow the last checkpoint.
func (k *kept) read(collector *audit.CollectorKey, seals []audit.Checkpoint) (settled, tail int64, wrong string, err error) {
	info, err := k.log.Stat()
	if err != nil {
		return 0, 0, "", err
	}
	if _, err := k.log.Seek(0, io.SeekStart); err != nil {
		return 0, 0, "", err
	}
	hashes := newRebuild(k.hashes)
	f := audit.NewFileReader(k.log)
	frontier := k.frontier.Clone()
	var reached []audit.Checkpoint // those that the seals tell of
	var newest time.Time
	pending := make([]byte, 0, 1<<16)
	for {
		line, checkpoint, err := f.Next()
		if err == io.EOF || errors.Is(err, audit.ErrFile) {
			break // an interrupted write, unless a checkpoint follows: see below
		}
		if err != nil {
			return 0, 0, "", err
		}
		if line != nil {
			for _, h := range frontier.Add(tlog.RecordHash(line)) {
				pending = append(pending, h[:]...)
			}
			if e, err := audit.ParseLine(line); err == nil {
				newest = e.Time
			}
			continue
		}
		c, err := audit.OpenCheckpoint(checkpoint, k.device, k.key, collector)
		if err != nil {
			return 0, 0, fmt.Sprintf("the checkpoint behind event %d is not genuine: %v", frontier.Size(), err), nil
		}
		if c.Tree.N != frontier.Size() || c.Tree.Hash != frontier.Root() {
			return 0, 0, fmt.Sprintf("the events up to %d are not those that were signed: something was changed, removed or added", c.Tree.N), nil
		}
		if err := hashes.add(pending); err != nil {
			return 0, 0, "", err
		}
		pending = pending[:0]
		k.settle(c, bytes.Clone(checkpoint))
		if slices.ContainsFunc(seals, c.Equal) {
			reached = append(reached, c)
		}
		k.newest = newest
		k.frontier = frontier.Clone()
		_, settled = f.Read()
	}
	for _, s := range seals {
		if !slices.ContainsFunc(reached, s.Equal) && s.Tree.N <= k.frontier.Size() {
			return 0, 0, fmt.Sprintf("the checkpoint of %s is missing", s.Received.Format(time.DateTime)), nil
		}
		if wrong := k.against(s, hashReader{k.hashes}); wrong != "" {
			return 0, 0, wrong, nil
		}
	}
	// A damaged middle looks like an interrupted write: but then, a whole checkpoint
	// comes behind it.
	tail = info.Size() - settled
	if tail > 0 {
		rest := make([]byte, min(tail, 2*audit.MaxBatch))
		if n, err := k.log.ReadAt(rest, settled); err != nil && err != io.EOF {
			return 0, 0, "", err
		} else {
			rest = rest[:n]
		}
		if tail > 2*audit.MaxBatch || hasWhole(rest, collector) {
			return 0, 0, fmt.Sprintf("behind event %d the file is damaged", k.frontier.Size()), nil
		}
	}
	return settled, tail, "", hashes.end()
}

// settle remembers the checkpoint that stands last.
func (k *kept) settle(c audit.Checkpoint, signed []byte) {
	k.last, k.signed = c, signed
	if c.Of >= k.fullest.Of {
		k.fullest = c
	}
}

// hasWhole reports whether a checkpoint ends in what may be an interrupted write.
func hasWhole(rest []byte, collector *audit.CollectorKey) bool {
	_, rest, found := bytes.Cut(rest, []byte("\n— "+collector.Name()+" "))
	return found && bytes.Contains(rest, []byte("\n\n"))
}

// against compares with what the log is known to have been.
func (k *kept) against(c audit.Checkpoint, r tlog.HashReader) string {
	if c.Tree.N > k.frontier.Size() {
		return fmt.Sprintf("the end is missing: there were %d events, and there are %d", c.Tree.N, k.frontier.Size())
	}
	root, err := tlog.TreeHash(c.Tree.N, r)
	if err != nil || root != c.Tree.Hash {
		return fmt.Sprintf("the first %d events are not those that were sealed", c.Tree.N)
	}
	return ""
}

// rebuild makes a file of hashes have the content that it should have, without
// writing what is right already.
type rebuild struct {
	f   *os.File
	at  int64
	old []byte
}

func newRebuild(f *os.File) *rebuild { return &rebuild{f: f} }

func (r *rebuild) add(b []byte) error {
	if cap(r.old) < len(b) {
		r.old = make([]byte, len(b))
	}
	old := r.old[:len(b)]
	n, err := r.f.ReadAt(old, r.at)
	if err != nil && err != io.EOF {
		return err
	}
	if n < len(b) || !bytes.Equal(old, b) {
		if _, err := r.f.WriteAt(b, r.at); err != nil {
			return err
		}
	}
	r.at += int64(len(b))
	return nil
}

func (r *rebuild) end() error { return r.f.Truncate(r.at) }

// rootAt is the root of the first n events.
func (k *kept) rootAt(n int64) (tlog.Hash, error) {
	return tlog.TreeHash(n, hashReader{k.hashes})
}

// leaf is the hash of one event.
func (k *kept) leaf(n int64) (h tlog.Hash, err error) {
	list, err := hashReader{k.hashes}.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
	if err != nil {
		return h, err
	}
	return list[0], nil
}

// append puts lines and the checkpoint behind them on the disk. frontier is what
// there is with them.
func (k *kept) append(lines [][]byte, c audit.Checkpoint, signed []byte, newest time.Time) error {
	var text, hashes []byte
	f := k.frontier.Clone()
	at := tlog.StoredHashCount(f.Size()) * tlog.HashSize
	for _, line := range lines {
		text = append(append(text, line...), '\n')
		for _, h := range f.Add(tlog.RecordHash(line)) {
			hashes = append(hashes, h[:]...)
		}
	}
	text = audit.AppendCheckpoint(text, signed)
	// The hashes first: behind the log's end they mean nothing, and need no sync,
	// since opening makes them anew.
	if _, err := k.hashes.WriteAt(hashes, at); err != nil {
		return err
	}
	if err := appendTo(k.log, k.logEnd, text); err != nil {
		return err
	}
	k.logEnd += int64(len(text))
	k.frontier = f
	k.settle(c, signed)
	if len(lines) > 0 {
		k.newest = newest
	}
	return nil
}

// maxEvidence bounds a file of evidence.
const maxEvidence = 1 << 20

// keepEvidence keeps a checkpoint that contradicts the log: both are signed by the
// device, so that anyone can see that it told two histories.
func keepEvidence(dir string, checkpoint []byte) error {
	f, err := os.OpenFile(filepath.Join(dir, evidenceFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size()+int64(len(checkpoint))+2 > maxEvidence {
		return err
	}
	if _, err := f.Write(audit.AppendCheckpoint(nil, checkpoint)); err != nil {
		return err
	}
	return f.Sync()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
