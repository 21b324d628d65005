package collect

import (
	"bufio"
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
	switch public, err := ReadPublic(dir); {
	case errors.Is(err, fs.ErrNotExist): // of a collector before there was such a file
	case err != nil:
		wrong("the copy of the collector's key in the folder is damaged: %v", err)
	case public.String() != with.Collector.String():
		wrong("the copy of the collector's key in the folder is another key")
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
		if e.Name() == sealFile || e.Name() == lockFile || e.Name() == publicFile {
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
		f, err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && len(with.Known) == 0 && (info.Size() == 0 || !info.Mode().IsRegular()) {
		return &audit.Report{Device: with.Device}, nil // begun, and nothing was ever answered, as far as anybody knows
	}
	hashes, err := os.Open(filepath.Join(dir, hashFile))
	if errors.Is(err, fs.ErrNotExist) {
		hashes, err = os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	defer hashes.Close()
	same, beside := true, bufio.NewReaderSize(hashes, 64<<10)
	var h tlog.Hash
	with.Hashes = func(done []tlog.Hash) {
		for i := range done {
			_, err := io.ReadFull(beside, h[:])
			same = same && err == nil && h == done[i]
		}
	}
	r, err := audit.Verify(f, with)
	if err != nil {
		return nil, err
	}
	add := func(what string) { r.Problems = append(r.Problems, audit.Problem{Seq: r.Size, What: what}) }
	if _, err := beside.ReadByte(); !same || err != io.EOF {
		add("the file of hashes beside it is damaged; the collector makes it anew from the log")
	}
	if what, err := checkEvidence(filepath.Join(dir, evidenceFile), with.Device, with.Key); err != nil {
		return nil, err
	} else if what != "" {
		add(what)
	}
	return r, nil
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
