package collect_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/client/audit/collect"
)

var (
	auditScale  = flag.Int("audit-scale", 0, "events in TestAuditScale")
	auditFolder = flag.String("audit-folder", "", "where TestAuditScale leaves its folder; else it is removed")
)

// TestAuditScale measures a collector's folder of years: so many events, of 30 devices,
// in batches of 50 as they come from people at work. go test ./client/audit/collect
// -v -run AuditScale -args -audit-scale 3000000
func TestAuditScale(t *testing.T) {
	if *auditScale == 0 {
		t.Skip("with -audit-scale")
	}
	dir := *auditFolder
	if dir == "" {
		dir = t.TempDir()
	}
	const devices, batch = 30, 50
	each := *auditScale / devices / batch * batch
	start := time.Now()
	c, _, err := collect.Open(dir, collector, collectorKey, lookup, noon)
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Device
	for i := range devices {
		d := audit.Device{Owner: audit.PersonOf(fmt.Sprintf("p%d@hospital.example", i)), ID: uint32(i + 1)}
		first := stream{t: t, d: d}
		take(t, c, d, first.batch(1)) // makes its folder
		all = append(all, d)
	}
	c.Close()
	if err := os.Remove(filepath.Join(dir, "seal")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	size := int64(0)
	for _, d := range all {
		size += years(t, filepath.Join(dir, fmt.Sprintf("%s-%d", d.Owner, d.ID)), d, each, batch)
	}
	t.Logf("%d events in %d MB, made in %v", each*devices, size>>20, time.Since(start).Round(time.Second))

	measure := func(what string, f func()) {
		_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the most that was resident, anew
		start := time.Now()
		f()
		took := time.Since(start)
		most := "unknown"
		status, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				most = strings.TrimSpace(rest)
			}
		}
		t.Logf("%s: %v, %.0f events/s, resident at most %s", what, took.Round(time.Millisecond), float64(each*devices)/took.Seconds(), most)
	}
	measure("verify", func() {
		r, err := collect.Verify(dir, collect.Verifying{Collector: collector})
		if err != nil || !r.Sound() || len(r.Logs) != devices {
			t.Fatal(err, words(r))
		}
	})
}

// years writes the log of one device, and the hashes beside it; it returns their size.
func years(t *testing.T, dir string, d audit.Device, events, batch int) (size int64) {
	t.Helper()
	open := func(name string) (*os.File, *bufio.Writer) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f, bufio.NewWriterSize(f, 1<<20)
	}
	log, text := open("log")
	hashes, beside := open("hashes")
	var f audit.Frontier
	kinds := []audit.Event{
		{Kind: audit.MessageReceived, Peer: ben, Message: audit.IDOf("0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"), Device: 9},
		{Kind: audit.MessageShown, Peer: ben, Message: audit.IDOf("0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11")},
	}
	for i := range events {
		at := noon.Add(time.Duration(i) * 10 * time.Minute)
		e := audit.Entry{Seq: int64(i), Time: at, Device: d, Event: kinds[i%2]}
		line, err := e.Line()
		if err != nil {
			t.Fatal(err)
		}
		text.Write(line)
		text.WriteByte('\n')
		for _, h := range f.Add(tlog.RecordHash(line)) {
			beside.Write(h[:])
		}
		if (i+1)%batch != 0 {
			continue
		}
		msg, err := audit.Checkpoint{Device: d, Tree: tlog.Tree{N: f.Size(), Hash: f.Root()}, Time: at}.Sign(keyOf(d))
		if err == nil {
			msg, err = collector.Cosign(msg, collectorKey, at)
		}
		if err != nil {
			t.Fatal(err)
		}
		text.Write(audit.AppendCheckpoint(nil, msg))
	}
	for file, w := range map[*os.File]*bufio.Writer{log: text, hashes: beside} {
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return size
}
