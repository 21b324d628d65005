package collect

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sotto/client/audit"
)

// Silent returns a finding for each of the expected devices from which nothing
// new was taken for longer than longest; from which nothing ever was taken, if it has
// been expected for longer than that. An honest device that is on sends a batch now
// and then even when nothing happens. The findings are in the order of the devices.
func (c *Collector) Silent(now time.Time, longest time.Duration, expected map[audit.Device]time.Time) ([]Finding, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []Finding
	for _, d := range slices.SortedFunc(maps.Keys(expected), func(a, b audit.Device) int { return strings.Compare(a.String(), b.String()) }) {
		last, err := c.heard(d)
		if err != nil {
			return nil, fmt.Errorf("looking when %s was heard last: %w", d, err)
		}
		switch {
		case last.Device != d && now.Sub(expected[d]) <= longest: // it has only just joined
		case last.Device != d:
			list = append(list, Finding{Silent, d, now, "nothing was ever heard of its log"})
		case now.Sub(last.Received) > longest:
			list = append(list, Finding{Silent, d, now, fmt.Sprintf("nothing was heard for %v, since %s: it is off or away from the network, or its batches are held back", now.Sub(last.Received).Round(time.Second), last.Received.Format(time.DateTime))})
		}
	}
	return list, nil
}

// Last returns the last checkpoint of a device that the collector signed; false
// if it has none.
func (c *Collector) Last(d audit.Device) (audit.Checkpoint, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, err := c.heard(d)
	return last, last.Device == d, err
}

func (c *Collector) heard(d audit.Device) (audit.Checkpoint, error) {
	if k, ok := c.open[d]; ok && k.reportErr == nil {
		return k.last, nil
	}
	dir := filepath.Join(c.dir, folderName(d))
	_, key, err := readKey(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Checkpoint{}, nil
	}
	if err != nil {
		return audit.Checkpoint{}, err
	}
	return lastIn(filepath.Join(dir, logFile), d, key, c.public)
}

// lastIn reads the checkpoint at the end of a log; the zero Checkpoint if there is
// no genuine one.
func lastIn(path string, d audit.Device, key ed25519.PublicKey, collector *audit.CollectorKey) (audit.Checkpoint, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Checkpoint{}, nil
	}
	if err != nil {
		return audit.Checkpoint{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return audit.Checkpoint{}, err
	}
	tail := make([]byte, min(info.Size(), audit.MaxCheckpoint+audit.MaxLine))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && err != io.EOF {
		return audit.Checkpoint{}, err
	}
	note, _ := bytes.CutSuffix(tail, []byte("\n"))
	at := bytes.LastIndex(note, []byte("\n\n"))
	if at >= 0 {
		at = bytes.LastIndex(note[:at], []byte("\n\n"))
	}
	if at >= 0 {
		note = note[at+2:]
	} else {
		note = bytes.TrimPrefix(note, []byte("\n")) // a log without any event
	}
	c, err := audit.OpenCheckpoint(note, d, key, collector)
	if err != nil {
		return audit.Checkpoint{}, nil
	}
	return c, nil
}
