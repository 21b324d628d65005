package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// filled is a closed database with some messages, and how many.
func filled(t *testing.T) (path string, n int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sotto.db")
	s := openTest(t, path)
	n = 300
	update(t, s, func(tx *Tx) error {
		for i := range n {
			m := &Message{Peer: "ben@h.example", Sender: "ben@h.example", OriginID: fmt.Sprint("o", i), Time: time.Now(), Body: strings.Repeat("potassium ", 20)}
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		return nil
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, n
}

func TestCheck(t *testing.T) {
	path, n := filled(t)
	s := openTest(t, path)
	got, err := s.Check(t.Context())
	if err != nil || len(got.Problems) != 0 || got.Messages != n || got.PageSize != 4096 || got.Pages < 10 {
		t.Errorf("%+v, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size()%int64(got.PageSize) != 0 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	s.Close()
	if _, err := s.Check(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A changed bit anywhere beyond what opening reads is a problem.
func TestCheckFindsDamage(t *testing.T) {
	path, _ := filled(t)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pages := len(sound) / 4096
	found := 0
	for page := 1; page < pages; page++ {
		b := append([]byte(nil), sound...)
		b[page*4096+1234] ^= 0x10
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), path, testKey(1))
		if err != nil {
			found++ // opening has read it
			continue
		}
		got, err := s.Check(t.Context())
		if err != nil {
			t.Errorf("page %d: %v", page, err)
		}
		if len(got.Problems) > 0 {
			found++
		}
		for _, p := range got.Problems {
			if strings.Contains(p, "potassium") || strings.Contains(p, "ben@") {
				t.Errorf("page %d: it tells what is kept: %q", page, p)
			}
		}
		s.Close()
	}
	// What is damaged in a page that holds nothing is not looked for.
	if err := os.WriteFile(path, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := 0
	s := openTest(t, path)
	view(t, s, func(tx *Tx) error {
		return tx.query(`PRAGMA freelist_count`, func(st *sqlite3.Stmt) { empty = st.ColumnInt(0) })
	})
	if found < pages-1-empty || empty > pages/5 {
		t.Errorf("%d of %d damaged pages are found, and %d are empty", found, pages-1, empty)
	}
}

func TestCheckFindsLostRows(t *testing.T) {
	s, err := OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.conn.Exec(`CREATE TABLE a(id INTEGER PRIMARY KEY); CREATE TABLE b(a REFERENCES a(id)); PRAGMA foreign_keys=off; INSERT INTO b VALUES(7)`); err != nil {
		t.Fatal(err)
	}
	got, err := s.Check(t.Context())
	if err != nil || len(got.Problems) != 1 || got.Problems[0] != "a row of b belongs to one of a that is not there" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCheckEnds(t *testing.T) {
	path, _ := filled(t)
	s := openTest(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}
