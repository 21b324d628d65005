package collect_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/client/audit/collect"
)

// stream makes batches of n events each, without a database.
type stream struct {
	t testing.TB
	d audit.Device
	f audit.Frontier
	h []tlog.Hash // as tlog stores them
}

func (s *stream) batch(n int) []byte {
	b := audit.Batch{From: s.f.Size()}
	for range n {
		e := audit.Entry{Seq: s.f.Size(), Time: noon, Device: s.d, Event: audit.Event{Kind: audit.MessageReceived, Peer: ben, Message: audit.IDOf("0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"), Device: 9}}
		line, err := e.Line()
		if err != nil {
			s.t.Fatal(err)
		}
		s.h = append(s.h, s.f.Add(tlog.RecordHash(line))...)
		b.Lines = append(b.Lines, line)
	}
	msg, err := audit.Checkpoint{Device: s.d, Tree: tlog.Tree{N: s.f.Size(), Hash: s.f.Root()}, Time: noon}.Sign(keyOf(s.d))
	if err != nil {
		s.t.Fatal(err)
	}
	b.Checkpoint = msg
	if b.From > 0 && n > 0 {
		read := tlog.HashReaderFunc(func(indexes []int64) (list []tlog.Hash, err error) {
			for _, i := range indexes {
				list = append(list, s.h[i])
			}
			return list, nil
		})
		if b.Proof, err = tlog.ProveTree(s.f.Size(), b.From, read); err != nil {
			s.t.Fatal(err)
		}
	}
	return b.Marshal()
}

// BenchmarkTake takes the first batch, of 100 events, of 1,000 devices.
func BenchmarkTake(b *testing.B) {
	var batches [][]byte
	var devices []audit.Device
	for i := range 1000 {
		s := stream{t: b, d: audit.Device{Owner: audit.PersonOf(fmt.Sprintf("p%d@hospital.example", i)), ID: uint32(i + 1)}}
		devices = append(devices, s.d)
		batches = append(batches, s.batch(100))
	}
	n := 0
	for b.Loop() {
		c := openIn(b, b.TempDir())
		for i, data := range batches {
			if _, findings := take(b, c, devices[i], data); len(findings) > 0 {
				b.Fatal(findings)
			}
			n++
		}
		c.Close()
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "batches/s")
}

// BenchmarkVerify verifies a folder with a log of a million events, with a
// checkpoint behind every thousand.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	s := stream{t: b, d: alice}
	var file bytes.Buffer
	var hashes []byte
	var f audit.Frontier
	for range 1000 {
		batch, err := audit.ParseBatch(s.batch(1000))
		if err != nil {
			b.Fatal(err)
		}
		for _, line := range batch.Lines {
			file.Write(line)
			file.WriteByte('\n')
			for _, h := range f.Add(tlog.RecordHash(line)) {
				hashes = append(hashes, h[:]...)
			}
		}
		msg, err := collector.Cosign(batch.Checkpoint, collectorKey, noon)
		if err != nil {
			b.Fatal(err)
		}
		file.Write(audit.AppendCheckpoint(nil, msg))
	}
	c := openIn(b, dir)
	first := stream{t: b, d: alice}
	take(b, c, alice, first.batch(1)) // makes the folder
	c.Close()
	folder := filepath.Join(dir, "alice@hospital.example-27183")
	for name, content := range map[string][]byte{"log": file.Bytes(), "hashes": hashes} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		r, err := collect.Verify(dir, collect.Verifying{Collector: collector})
		if err != nil || !r.Sound() {
			b.Fatal(err, words(r))
		}
	}
	b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
