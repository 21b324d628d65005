package store

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/awnumar/memguard"
)

// testKey returns a new buffer with the same key every time.
func testKey(fill byte) *memguard.LockedBuffer {
	key := memguard.NewBuffer(KeySize)
	for i := range key.Bytes() {
		key.Bytes()[i] = fill + byte(i)
	}
	return key
}

func openTest(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path, testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func update(t testing.TB, s *Store, fn func(*Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s *Store, fn func(*Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func TestKeepsWhatWasStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder?with#odd%20name", "sotto.db")
	mkdir(t, filepath.Dir(path))
	s := openTest(t, path)
	if !s.Created() {
		t.Error("a new database was not reported as created")
	}
	m := Message{Peer: "ben@h.example", Sender: "ben@h.example", OriginID: "o1", ArchiveID: "a1", Body: "hello", Encrypted: true, Fingerprint: []byte{1, 2}}
	update(t, s, func(tx *Tx) error {
		added, err := tx.AddMessage(&m)
		if !added {
			t.Error("a new message was not added")
		}
		return err
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path)
	if s.Created() {
		t.Error("an existing database was reported as created")
	}
	view(t, s, func(tx *Tx) error {
		got, err := tx.Messages("ben@h.example", 0, 10)
		if len(got) != 1 || got[0].Body != "hello" || got[0].ID != m.ID || !got[0].Encrypted || got[0].Fingerprint[1] != 2 || got[0].Time.UnixMicro() != m.Time.UnixMicro() {
			t.Errorf("got %+v", got)
		}
		return err
	})
}
