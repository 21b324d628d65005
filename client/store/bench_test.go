package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"sotto/client/omemo"
)

// BenchmarkInsert stores messages in transactions of 1000, as when catching up.
func BenchmarkInsert(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "sotto.db"))
	n := 0
	for b.Loop() {
		update(b, s, func(tx *Tx) error {
			for range 1000 {
				n++
				m := incoming(fmt.Sprintf("peer%d@hospital.example", n%20), fmt.Sprintf("2f1e-%d-9c", n), n)
				m.ArchiveID, m.Encrypted, m.Fingerprint = fmt.Sprint("1760000000", n), true, make([]byte, 32)
				m.Body = "Bed 12: potassium 6.1, repeat sample sent, ECG unchanged. Please call back when you can."
				if _, err := tx.AddMessage(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkDurable stores a message and its ratchet state, on the disk each time.
func BenchmarkDurable(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "sotto.db"))
	state := make([]byte, 600)
	n := 0
	for b.Loop() {
		n++
		update(b, s, func(tx *Tx) error {
			if _, err := tx.AddMessage(incoming(ben, fmt.Sprint("o", n), n)); err != nil {
				return err
			}
			return tx.PutSession(omemo.Address{JID: ben, Device: 1}, state)
		})
	}
}

// BenchmarkTimeline reads a screenful from the middle of 100,000 messages.
func BenchmarkTimeline(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "sotto.db"))
	fill(b, s, 100_000, "x")
	for b.Loop() {
		if got := messages(b, s, ben, 50_000, 50); len(got) != 50 {
			b.Fatal(len(got))
		}
	}
}

// BenchmarkConversations lists 10,000 contacts, some with unread messages.
func BenchmarkConversations(b *testing.B) {
	s := openTest(b, filepath.Join(b.TempDir(), "sotto.db"))
	update(b, s, func(tx *Tx) error {
		for i := range 10_000 {
			peer := fmt.Sprintf("p%d@hospital.example", i)
			if err := tx.PutContact(peer, fmt.Sprint("Person ", i), "Ward"); err != nil {
				return err
			}
			if i%10 == 0 {
				if _, err := tx.AddMessage(incoming(peer, "o", i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for b.Loop() {
		view(b, s, func(tx *Tx) error { _, err := tx.Conversations(); return err })
	}
}

// BenchmarkOpen opens a database of 100,000 messages.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "sotto.db")
	s := openTest(b, path)
	fill(b, s, 100_000, "x")
	s.Close()
	for b.Loop() {
		s, err := Open(context.Background(), path, testKey(1))
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
