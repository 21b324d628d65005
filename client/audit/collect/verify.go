package collect

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
)

// FolderReport is what verifying a collector's folder has found.
type FolderReport struct {
	Logs     []*audit.Report
	Sealed   time.Time // of the folder's seal; zero if it has none
	Problems []string  // of the folder itself; those of logs are in Logs
}

// Sound reports whether nothing is wrong.
func (r *FolderReport) Sound() bool {
	for _, l := range r.Logs {
		if !l.Sound() {
			return false
		}
	}
	return len(r.Problems) == 0
}

// Verifying is what a folder is verified with.
type Verifying struct {
	Collector *audit.CollectorKey
	Seals     []*Seal // kept elsewhere; the folder's own is used by itself
	// Key says which key the directory has for a device; nil to trust the folder's.
	Key  func(audit.Device) (ed25519.PublicKey, bool)
	Each func(audit.Entry) // called for each event that is in its place; nil for none
}

// Verify reads every byte of a collector's folder and compares logs with their
// checkpoints, those with both signatures, all with the seals, and what is made
// from the logs with them. It changes nothing. What is wrong is in the report;
// the error says that something could not be read at all.
//
// While a collector has the folder open, what it is just writing may look cut off.
func Verify(dir string, with Verifying) (*FolderReport, error) {
	r := new(FolderReport)
	wrong := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	seals := with.Seals
	switch own, err := readSeal(dir, with.Collector); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		wrong("%v", err)
	default:
		seals = append(seals[:len(seals):len(seals)], own)
		r.Sealed = own.Time
	}
	known := map[audit.Device][]audit.Checkpoint{}
	for _, s := range seals {
		for _, c := range s.Logs {
			known[c.Device] = append(known[c.Device], c)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("verifying the folder of audit logs: %w", err)
	}
	seen := map[audit.Device]bool{}
	for _, e := range entries {
		if e.Name() == sealFile || e.Name() == lockFile {
			continue
		}
		path := filepath.Join(dir, e.Name())
		d, key, err := readKey(filepath.Join(path, keyFile))
		if err != nil || folderName(d) != e.Name() {
			wrong("%s: its key is damaged, or it is no log's folder", e.Name())
			continue
		}
		if with.Key != nil {
			if k, ok := with.Key(d); ok && !key.Equal(k) {
				wrong("%s: its key is not the one in the directory", d)
				continue
			}
		}
		seen[d] = true
		report, err := verifyLog(path, audit.Verifying{Device: d, Key: key, Collector: with.Collector, Known: known[d], Each: with.Each})
		if err != nil {
			return nil, fmt.Errorf("verifying the audit log of %s: %w", d, err)
		}
		r.Logs = append(r.Logs, report)
	}
	for _, s := range seals {
		for _, c := range s.Logs {
			if !seen[c.Device] {
				seen[c.Device] = true
				wrong("%s: its log is missing: on %s there were %d events", c.Device, s.Time.Format(time.DateTime), c.Tree.N)
			}
		}
	}
	return r, nil
}

func verifyLog(dir string, with audit.Verifying) (*audit.Report, error) {
	f, err := os.Open(filepath.Join(dir, logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Verify(bytes.NewReader(nil), with)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := audit.Verify(f, with)
	if err != nil {
		return nil, err
	}
	add := func(what string) { r.Problems = append(r.Problems, audit.Problem{Seq: r.Size, What: what}) }
	same, err := sameHashes(dir, f)
	if err != nil {
		return nil, err
	}
	if !same {
		add("the file of hashes beside it is damaged; the collector makes it anew from the log")
	}
	if what, err := checkEvidence(filepath.Join(dir, evidenceFile), with.Device, with.Key); err != nil {
		return nil, err
	} else if what != "" {
		add(what)
	}
	return r, nil
}

// sameHashes compares the file of hashes with the log.
func sameHashes(dir string, log *os.File) (bool, error) {
	h, err := os.Open(filepath.Join(dir, hashFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer h.Close()
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	var f audit.Frontier
	var at int64
	in := audit.NewFileReader(log)
	buffer := make([]byte, 0, 64*tlog.HashSize)
	compare := newBuffered(h)
	for {
		line, _, err := in.Next()
		if err == io.EOF || errors.Is(err, audit.ErrFile) {
			break
		}
		if err != nil {
			return false, err
		}
		if line == nil {
			continue
		}
		buffer = buffer[:0]
		for _, x := range f.Add(tlog.RecordHash(line)) {
			buffer = append(buffer, x[:]...)
		}
		if !compare.next(buffer) {
			return false, nil
		}
		at += int64(len(buffer))
	}
	info, err := h.Stat()
	return err == nil && info.Size() == at, err
}

// checkEvidence verifies that what is kept as evidence was signed by the device.
func checkEvidence(path string, d audit.Device, key ed25519.PublicKey) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	in := audit.NewFileReader(io.LimitReader(f, maxEvidence))
	for n := 0; ; n++ {
		line, checkpoint, err := in.Next()
		if err == io.EOF {
			return "", nil
		}
		if err != nil && !errors.Is(err, audit.ErrFile) {
			return "", err
		}
		if err == nil && line == nil {
			_, err = audit.OpenCheckpoint(checkpoint, d, key, nil)
		}
		if err != nil || line != nil {
			return fmt.Sprintf("the evidence beside it is damaged at its checkpoint %d", n+1), nil
		}
	}
}

// buffered compares a reader's bytes with what is given, in order.
type buffered struct {
	r   *bufio.Reader
	got []byte
}

func newBuffered(r io.Reader) *buffered { return &buffered{r: bufio.NewReaderSize(r, 64<<10)} }

func (b *buffered) next(want []byte) bool {
	if cap(b.got) < len(want) {
		b.got = make([]byte, len(want))
	}
	got := b.got[:len(want)]
	_, err := io.ReadFull(b.r, got)
	return err == nil && bytes.Equal(got, want)
}
