package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/audit"
	"sotto/internal/crash"
)

var auditKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))

func auditLog(t testing.TB) *audit.Log {
	t.Helper()
	l, err := audit.New(audit.Device{Owner: audit.PersonOf("alice@h.example"), ID: 7})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func auditReport(t testing.TB, s *Store, l *audit.Log) (r *audit.Report) {
	t.Helper()
	collector, err := audit.NewCollectorKey("c", auditKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	view(t, s, func(tx *Tx) (err error) {
		r, err = l.Verify(tx, auditKey.Public().(ed25519.PublicKey), collector)
		return err
	})
	return r
}

// TestAuditKilled kills a process that stores messages and says so in the audit
// log, at random moments. Each message has its event and each event its message,
// all that was acknowledged is there, and what is there is sound.
func TestAuditKilled(t *testing.T) {
	const env = "SOTTO_TEST_AUDIT"
	l := auditLog(t)
	if path := os.Getenv(env); path != "" {
		s := openTest(t, path)
		for n := len(messages(t, s, ben, 0, 1<<20)) + 1; ; n++ {
			update(t, s, func(tx *Tx) error {
				m := incoming(ben, fmt.Sprint("o", n), n)
				if _, err := tx.AddMessage(m); err != nil {
					return err
				}
				if _, err := l.Append(tx, time.Now(), audit.Event{Kind: audit.MessageReceived, Peer: audit.PersonOf(ben), Message: audit.IDOf(m.OriginID)}); err != nil {
					return err
				}
				if n%7 != 0 {
					return nil
				}
				_, err := l.Checkpoint(tx, time.Now(), auditKey)
				return err
			})
			fmt.Println(n)
		}
	}
	path := filepath.Join(t.TempDir(), "sotto.db")
	total := 0
	for range 12 {
		said := crash.Kill(t, env, path, 60*time.Millisecond)
		acknowledged, err := strconv.Atoi(said[len(said)-1])
		if err != nil {
			t.Fatal(err)
		}
		s := openTest(t, path)
		total = len(messages(t, s, ben, 0, 1<<20))
		var events int64
		view(t, s, func(tx *Tx) (err error) { events, err = tx.AuditSize(); return err })
		if events != int64(total)+1 || total < acknowledged || total > acknowledged+1 {
			t.Fatalf("%d messages, %d events, %d acknowledged", total, events, acknowledged)
		}
		if r := auditReport(t, s, l); !r.Sound() || r.Size != events || r.Last.Tree.N != int64(total/7*7)+1 && total >= 7 {
			t.Fatalf("%s, and a checkpoint of %d", r.Words(), r.Last.Tree.N)
		}
		s.Close()
	}
	if total < 12 {
		t.Errorf("only %d messages in all", total)
	}
}

// TestAuditIsNotChanged runs what a mistake in the program might.
func TestAuditIsNotChanged(t *testing.T) {
	s, l := memory(t), auditLog(t)
	add := func(n int) {
		update(t, s, func(tx *Tx) error {
			for range n {
				if _, err := l.Append(tx, at(1), audit.Event{Kind: audit.Unlocked}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	add(20)
	update(t, s, func(tx *Tx) error { return tx.SetAuditState(audit.State{Confirmed: 10}) })
	for _, sql := range []string{
		`DELETE FROM audit`, `DELETE FROM audit WHERE seq = 10`, `UPDATE audit SET line = 'x' WHERE seq = 3`, `UPDATE audit SET line = NULL WHERE seq = 10`,
		`UPDATE audit SET hashes = x'00' WHERE seq = 3`, `UPDATE audit SET seq = 100 WHERE seq = 3`,
	} {
		if err := s.Update(context.Background(), func(tx *Tx) error { _, err := tx.change(sql); return err }); err == nil {
			t.Errorf("done: %s", sql)
		}
	}
	view(t, s, func(tx *Tx) error {
		n := 0
		err := tx.AuditLines(0, 100, func(seq int64, line, hashes []byte) {
			if seq != int64(n) || !bytes.Contains(line, []byte(fmt.Sprintf("1 %d ", n))) || len(hashes) < 32 {
				t.Errorf("event %d is %d: %s", n, seq, line)
			}
			n++
		})
		if n != 21 {
			t.Errorf("%d events", n)
		}
		return err
	})
	update(t, s, func(tx *Tx) error { return tx.PruneAudit(10, []int64{7, 9}) })
	update(t, s, func(tx *Tx) error {
		var left []int64
		if err := tx.query(`SELECT seq FROM audit WHERE seq < 12 ORDER BY seq`, func(st *sqlite3.Stmt) { left = append(left, st.ColumnInt64(0)) }); err != nil {
			return err
		}
		if fmt.Sprint(left) != "[7 9 10 11]" {
			t.Errorf("left: %v", left)
		}
		if size, _ := tx.AuditSize(); size != 21 {
			t.Errorf("%d events", size)
		}
		if err := tx.AppendAudit(5, []byte("x"), []byte("x")); err == nil {
			t.Error("a removed event was written again")
		}
		return nil
	})
	if err := s.View(context.Background(), func(tx *Tx) error { return tx.AppendAudit(21, []byte("x"), []byte("x")) }); err == nil {
		t.Error("written in a View")
	}
}

// TestAuditOnDisk holds that the log is as unreadable as the rest.
func TestAuditOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	s, l := openTest(t, path), auditLog(t)
	update(t, s, func(tx *Tx) error {
		for range 1000 {
			if _, err := l.Append(tx, at(1), audit.Event{Kind: audit.MessageSent, Peer: audit.PersonOf(ben), Message: audit.IDOf("x")}); err != nil {
				return err
			}
		}
		_, err := l.Checkpoint(tx, at(1), auditKey)
		return err
	})
	s.Close()
	b, err := os.ReadFile(path)
	if err != nil || len(b) < 100_000 {
		t.Fatalf("%d bytes %v", len(b), err)
	}
	for _, word := range []string{"message-sent", "h.example", "sotto-audit"} {
		if bytes.Contains(b, []byte(word)) {
			t.Errorf("%q can be read", word)
		}
	}
	s = openTest(t, path)
	if r := auditReport(t, s, l); !r.Sound() || r.Size != 1001 || r.Uncovered != 0 {
		t.Error(r.Words())
	}
}

// TestMigrateToAudit opens a database from before there was an audit log.
func TestMigrateToAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	if err := touch(path); err != nil {
		t.Fatal(err)
	}
	oldDatabase(t, path, slices.Index(migrations[:], auditSchema), `INSERT INTO conversation (peer) VALUES ('ben@h.example')`)
	s := openTest(t, path)
	update(t, s, func(tx *Tx) error {
		if size, err := tx.AuditSize(); size != 0 || err != nil {
			t.Errorf("%d events %v", size, err)
		}
		if state, err := tx.AuditState(); state.Checkpoint != nil || state.Confirmed != 0 || err != nil {
			t.Errorf("%+v %v", state, err)
		}
		_, err := auditLog(t).Append(tx, at(1), audit.Event{Kind: audit.Unlocked})
		return err
	})
}

// BenchmarkAuditAppend appends to a log of 100,000 events, 100 in a transaction.
func BenchmarkAuditAppend(b *testing.B) {
	s, l := openTest(b, filepath.Join(b.TempDir(), "sotto.db")), auditLog(b)
	n := 0
	add := func(count int) {
		update(b, s, func(tx *Tx) error {
			for range count {
				n++
				if _, err := l.Append(tx, at(n), audit.Event{Kind: audit.MessageReceived, Peer: audit.PersonOf(ben), Message: audit.IDOf("0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"), Device: 9}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 100 {
		add(1000)
	}
	b.ResetTimer()
	for b.Loop() {
		add(100)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/event")
}

// BenchmarkAuditVerify verifies a log of a million events.
func BenchmarkAuditVerify(b *testing.B) {
	s, l := openTest(b, filepath.Join(b.TempDir(), "sotto.db")), auditLog(b)
	for range 100 {
		update(b, s, func(tx *Tx) error {
			for range 10_000 {
				if _, err := l.Append(tx, at(1), audit.Event{Kind: audit.MessageReceived, Peer: audit.PersonOf(ben), Message: audit.IDOf("0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"), Device: 9}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	update(b, s, func(tx *Tx) error { _, err := l.Checkpoint(tx, at(1), auditKey); return err })
	b.ResetTimer()
	for b.Loop() {
		if r := auditReport(b, s, l); !r.Sound() {
			b.Fatal(r.Words())
		}
	}
	b.ReportMetric(1_000_001*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
