package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/awnumar/memguard"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"sotto/client/omemo"
	"sotto/internal/crash"
)

// fill stores n messages with ben whose text contains canary.
func fill(t testing.TB, s *Store, n int, canary string) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		for i := range n {
			m := incoming(ben, fmt.Sprint("o", i), i)
			m.Body = fmt.Sprint(canary, " ", i, " ", strings.Repeat("words ", 20))
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// integrity is what SQLite says about the database.
func integrity(s *Store) (string, error) {
	var out []string
	err := s.View(context.Background(), func(tx *Tx) error {
		return tx.query(`PRAGMA integrity_check`, func(st *sqlite3.Stmt) { out = append(out, st.ColumnText(0)) })
	})
	return strings.Join(out, "; "), err
}

// TestNothingReadableOnDisk puts a canary everywhere and searches every file.
func TestNothingReadableOnDisk(t *testing.T) {
	const canary = "Canary-7f3a-Metastasen"
	dir, tmp := t.TempDir(), t.TempDir()
	t.Setenv("SQLITE_TMPDIR", tmp)
	s := openTest(t, filepath.Join(dir, "sotto.db"))
	fill(t, s, 2000, canary)
	secret := []byte(canary)
	update(t, s, func(tx *Tx) error {
		m := outgoing(canary+"@h.example", canary, 1)
		if _, err := tx.AddMessage(m); err != nil {
			return err
		}
		return errors.Join(tx.SetDraft(ben, Draft{Text: canary}), tx.PutContact(ben, canary, canary), tx.SetValue(canary, secret),
			tx.PutSession(omemo.Address{JID: canary, Device: 1}, secret), tx.PutPreKey(1, secret), tx.PutIdentity(secret),
			tx.QueueOut(m.ID), tx.SetOut(m.ID, secret))
	})
	view(t, s, func(tx *Tx) error { // sorts that have no index, and are larger than the cache
		return tx.query(`SELECT a.body FROM message a, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) ORDER BY a.body || a.id DESC`, nil)
	})
	files := func() (names []string) {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			if bytes.Contains(b, []byte("Canary-")) || bytes.Contains(b, []byte("SQLite format")) || bytes.Contains(b, []byte("CREATE TABLE")) || bytes.Contains(b, []byte("h.example")) {
				t.Errorf("%s can be read", filepath.Base(path))
			}
			if info, _ := d.Info(); info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s is open to others: %v", d.Name(), info.Mode())
			}
			names = append(names, fmt.Sprint(d.Name(), len(b) > 100<<10))
			return nil
		})
		return names
	}
	if got := fmt.Sprint(files()); got != "[sotto.dbtrue sotto.db-waltrue]" && got != "[sotto.dbfalse sotto.db-waltrue]" {
		t.Errorf("files while open (and whether they are large): %s", got)
	}
	s.Close()
	if got := fmt.Sprint(files()); got != "[sotto.dbtrue]" {
		t.Errorf("files after closing: %s", got)
	}
	if entries, _ := os.ReadDir(tmp); len(entries) != 0 {
		t.Errorf("temporary files: %v", entries)
	}
	// The search itself must be able to find something.
	os.WriteFile(filepath.Join(tmp, "control"), []byte("x"+canary), 0o600)
	if b, _ := os.ReadFile(filepath.Join(tmp, "control")); !bytes.Contains(b, []byte("Canary-")) {
		t.Error("the search finds nothing")
	}
	s = openTest(t, filepath.Join(dir, "sotto.db"))
	if got := messages(t, s, ben, 0, 1); !strings.HasPrefix(got[0].Body, canary) {
		t.Error("what was hidden so well is gone")
	}
}

func TestWrongKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	s := openTest(t, path)
	fill(t, s, 10, "x")
	s.Close()
	before, _ := os.ReadFile(path)
	wrong := testKey(2)
	_, err := Open(context.Background(), path, wrong)
	if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "does not open with this key") {
		t.Errorf("got %v", err)
	}
	if wrong.IsAlive() {
		t.Error("the key is still in memory")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	short := memguard.NewBuffer(KeySize - 1)
	if _, err := Open(context.Background(), path, short); err == nil || short.IsAlive() {
		t.Errorf("a short key: %v", err)
	}
	if _, err := Open(context.Background(), path, nil); err == nil {
		t.Error("opened without a key")
	}
	s = openTest(t, path)
	if n := len(messages(t, s, ben, 0, 100)); n != 10 {
		t.Errorf("%d messages", n)
	}
}

// TestDamageIsNoticed changes one bit in every page. Whatever is read after
// that is either right or refused.
func TestDamageIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	s := openTest(t, path)
	fill(t, s, 300, "x")
	want := messages(t, s, ben, 0, 1000)
	s.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for at := 0; at < len(good); at += page {
		bad := bytes.Clone(good)
		bad[at+rand.IntN(page)] ^= 1 << rand.IntN(8)
		os.WriteFile(path, bad, 0o600)
		s, err := Open(context.Background(), path, testKey(1))
		if err == nil {
			var got []Message
			if err = s.View(context.Background(), func(tx *Tx) (err error) {
				got, err = tx.Messages(ben, 0, 1000)
				return err
			}); err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("page %d was damaged, and other messages were read", at/page)
			}
			if err == nil { // the page is of something else
				var verdict string
				if verdict, err = integrity(s); err == nil && verdict != "ok" {
					err = ErrDamaged
				}
			}
			s.Close()
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrKey) {
			t.Errorf("page %d: %v", at/page, err)
		}
		if at > 0 && errors.Is(err, ErrKey) {
			t.Errorf("page %d: the key was blamed: %v", at/page, err)
		}
	}
	for _, n := range []int{1, 100, page, len(good) / 2 &^ (page - 1)} {
		os.WriteFile(path, good[:n], 0o600)
		s, err := Open(context.Background(), path, testKey(1))
		if err == nil {
			_, err = integrity(s)
			if err == nil {
				err = s.View(context.Background(), func(tx *Tx) error { _, err := tx.Messages(ben, 0, 1000); return err })
			}
			s.Close()
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrKey) {
			t.Errorf("cut off at %d: %v", n, err)
		}
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	s := openTest(t, path)
	fill(t, s, 1, "x")
	if _, err := Open(context.Background(), path, testKey(1)); !errors.Is(err, ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
	fill(t, s, 2, "x") // and the first is none the worse
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	s := openTest(t, path)
	if v, err := s.version(); v != len(migrations) || err != nil {
		t.Errorf("version %d %v", v, err)
	}
	if err := s.conn.Exec(fmt.Sprint("PRAGMA user_version=", len(migrations)+1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(context.Background(), path, testKey(1)); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v", err)
	}
}

// fullDisk is a file system on which writes fail after so many bytes.
type fullDisk struct {
	vfs.VFSFilename
	left atomic.Int64
}

func (d *fullDisk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := d.VFSFilename.OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	return fullFile{f, d}, flags, nil
}

type fullFile struct {
	vfs.File
	disk *fullDisk
}

func (f fullFile) WriteAt(b []byte, off int64) (int, error) {
	if f.disk.left.Add(-int64(len(b))) < 0 {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(b, off)
}

// TestFullDisk fills the disk at every point of a growing database.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	disk := &fullDisk{VFSFilename: vfs.Find("").(vfs.VFSFilename)}
	disk.left.Store(1 << 40)
	s, err := open(context.Background(), path, testKey(1), disk)
	if err != nil {
		t.Fatal(err)
	}
	stored, failed := 0, 0
	for i := range 60 {
		disk.left.Store(rand.Int64N(600 << 10))
		err := s.Update(context.Background(), func(tx *Tx) error {
			for j := range 20 {
				m := incoming(ben, fmt.Sprintf("%03d-%d", i, j), i)
				m.Body = strings.Repeat("long ", 200)
				if _, err := tx.AddMessage(m); err != nil {
					return err
				}
			}
			return nil
		})
		switch {
		case err == nil:
			stored += 20
		case errors.Is(err, ErrFull):
			failed++
		default:
			t.Fatalf("got %v, want %v", err, ErrFull)
		}
	}
	if stored == 0 || failed == 0 {
		t.Fatalf("%d stored, %d failed: this shows nothing", stored, failed)
	}
	disk.left.Store(0)
	s.Close() // may fail: the disk is full
	disk.left.Store(1 << 40)
	s = openTest(t, path)
	if n := len(messages(t, s, ben, 0, 10000)); n != stored {
		t.Errorf("%d messages, want %d", n, stored)
	}
	if verdict, err := integrity(s); verdict != "ok" || err != nil {
		t.Errorf("%s %v", verdict, err)
	}
}

// TestFullDiskOnFirstOpen finds no room for an empty database.
func TestFullDiskOnFirstOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	disk := &fullDisk{VFSFilename: vfs.Find("").(vfs.VFSFilename)}
	for room := int64(0); ; room += 4096 {
		disk.left.Store(room)
		s, err := open(context.Background(), path, testKey(1), disk)
		if err == nil {
			defer s.Close()
			if room == 0 {
				t.Error("a database without a byte")
			}
			if reserved, err := s.conn.FileControl("main", sqlite3.FCNTL_RESERVE_BYTES); reserved != 8 || err != nil || !s.Created() {
				t.Errorf("after all the attempts, it has no checksums: %v %v", reserved, err)
			}
			return
		}
		if !errors.Is(err, ErrFull) {
			t.Fatalf("room for %d: %v", room, err)
		}
	}
}

// TestKilled kills a process that writes, at random moments. Each message is
// stored with the state that the ratchet would have after it: both must be
// there or neither, and all that was acknowledged.
func TestKilled(t *testing.T) {
	const env = "SOTTO_TEST_STORE"
	peer := omemo.Address{JID: ben, Device: 1}
	count := func(s *Store) (n int) {
		view(t, s, func(tx *Tx) error {
			state, err := tx.Session(peer)
			n, _ = strconv.Atoi(string(state))
			return err
		})
		return n
	}
	if path := os.Getenv(env); path != "" {
		s := openTest(t, path)
		for n := count(s) + 1; ; n++ {
			update(t, s, func(tx *Tx) error {
				m := incoming(ben, fmt.Sprint("o", n), n)
				m.Body = strings.Repeat("long ", n%500)
				if _, err := tx.AddMessage(m); err != nil {
					return err
				}
				return tx.PutSession(peer, []byte(strconv.Itoa(n)))
			})
			fmt.Println(n)
		}
	}
	path := filepath.Join(t.TempDir(), "sotto.db")
	total := 0
	for range 15 {
		said := crash.Kill(t, env, path, 60*time.Millisecond)
		acknowledged, err := strconv.Atoi(said[len(said)-1])
		if err != nil {
			t.Fatal(err)
		}
		s := openTest(t, path)
		if verdict, err := integrity(s); verdict != "ok" || err != nil {
			t.Fatalf("%s %v", verdict, err)
		}
		all, n := messages(t, s, ben, 0, 1<<20), count(s)
		if len(all) != n {
			t.Fatalf("%d messages, and the ratchet at %d", len(all), n)
		}
		if n < acknowledged || n > acknowledged+1 {
			t.Fatalf("%d stored, %d acknowledged", n, acknowledged)
		}
		for i, m := range all {
			if m.OriginID != fmt.Sprint("o", i+1) || len(m.Body) != 5*((i+1)%500) {
				t.Fatalf("message %d is %s with %d bytes", i+1, m.OriginID, len(m.Body))
			}
		}
		total = n
		s.Close()
	}
	if total < 15 {
		t.Errorf("only %d messages in all", total)
	}
}
