//go:build amd64 || arm64

package harden_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/awnumar/memguard"
	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum"
	"golang.org/x/sys/unix"

	"sotto/client/store"
	"sotto/internal/harden"
	"sotto/tui/attach"
)

func TestDesk(t *testing.T) {
	c := start(t, "desk", "TZ=America/St_Johns")
	c.say("go on")
	for _, word := range frames {
		c.sees(word)
		c.terminal.WriteString("x")
	}
	c.hear("drawn")
	c.threads()
	c.say("checked")
	c.hear("waiting for TERM")
	c.cmd.Process.Signal(syscall.SIGTERM)
	c.hear("waiting for WINCH")
	c.cmd.Process.Signal(syscall.SIGWINCH)
	r := c.end()
	r.holds(t)
	r.refused(t)
	for _, a := range r.Table {
		t.Logf("%-45s by %-8s %s", a.Name, a.By, a.Error)
	}
	if len(r.Works) < 15 {
		t.Errorf("only %d things were tried that must work", len(r.Works))
	}
}

// deskRole is in the order of the real desk: key, database, confinement, screen.
func deskRole(dir string, socket *os.File, r *report) error {
	os.Setenv("SQLITE_TMPDIR", dir)
	ctx := context.Background()
	key := memguard.NewBufferRandom(store.KeySize)
	db, err := store.Open(ctx, filepath.Join(dir, "sotto.db"), key)
	if err != nil {
		return err
	}
	conn, err := sqlite3.Open("file:" + filepath.Join(dir, "raw.db") + "?vfs=adiantum&textkey=test")
	if err != nil {
		return err
	}
	if err := conn.Exec(`PRAGMA journal_mode=wal; PRAGMA locking_mode=exclusive; CREATE TABLE t(a, b)`); err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM)

	if err := confined(r, func() (harden.Layers, error) { return harden.Desk(dir) }); err != nil {
		return err
	}

	r.try("hear from a socket that it inherited", func() error { return expect(socket, "go on") })
	r.try("store messages", func() error { return messages(ctx, db, 3000) })
	for _, sql := range []struct{ what, sql string }{
		{"write a large transaction", `BEGIN; WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<20000)
			INSERT INTO t SELECT x, hex(randomblob(200)) FROM c; COMMIT`},
		{"write the log back", `PRAGMA wal_checkpoint(TRUNCATE)`},
		{"sort with temporary files", `PRAGMA temp_store=file; PRAGMA cache_size=-200; CREATE TABLE s AS SELECT * FROM t ORDER BY b; DROP TABLE s`},
		{"use a temporary table", `CREATE TEMP TABLE tt AS SELECT * FROM t; DROP TABLE tt`},
		{"vacuum", `DELETE FROM t WHERE a % 2; VACUUM`},
		{"change the journal", `PRAGMA locking_mode=normal; PRAGMA journal_mode=delete; INSERT INTO t VALUES(1, 2); PRAGMA journal_mode=wal`},
		{"check the database", `PRAGMA integrity_check`},
	} {
		r.try(sql.what, func() error { return conn.Exec(sql.sql) })
	}
	r.try("close a database", conn.Close)
	r.try("open a database again", func() error {
		conn, err := sqlite3.Open("file:" + filepath.Join(dir, "raw.db") + "?vfs=adiantum&textkey=test")
		if err != nil {
			return err
		}
		return errors.Join(conn.Exec(`SELECT count(*) FROM t`), conn.Close())
	})
	r.try("go on storing messages", func() error { return messages(ctx, db, 100) })
	r.try("start 32 threads", func() error { threads(32); return nil })
	r.try("collect garbage", func() error { runtime.GC(); return nil })
	r.try("draw with Bubble Tea", func() error { return draw(socket) })
	r.try("lock memory", lockMemory)
	r.try("make random bytes", func() error { _, err := rand.Read(make([]byte, 1<<16)); return err })
	r.try("know the time zone", func() error {
		if _, offset := time.Date(2026, 1, 1, 0, 0, 0, 0, time.Local).Zone(); offset != -12600 {
			return fmt.Errorf("the time zone is %d s from UTC", offset)
		}
		return nil
	})
	r.try("take signals that were asked for before", func() error {
		socket.WriteString("waiting for TERM\n")
		return await(signals)
	})
	r.try("take signals that are asked for now", func() error {
		winch := make(chan os.Signal, 1)
		signal.Notify(winch, syscall.SIGWINCH)
		socket.WriteString("waiting for WINCH\n")
		return await(winch)
	})
	r.try("put the terminal right", func() error {
		modes, err := unix.IoctlGetTermios(0, unix.TCGETS)
		if err != nil {
			return err
		}
		return errors.Join(unix.IoctlSetTermios(0, unix.TCSETSF, modes), unix.IoctlSetInt(0, unix.TCFLSH, unix.TCIFLUSH))
	})
	r.Table = harden.Probe(dir, r.Layers)
	r.try("close the messages", db.Close)
	return nil
}

func TestDeskThatAttaches(t *testing.T) {
	r := start(t, "desk that attaches").end()
	r.holds(t)
	r.refused(t)
	if len(r.Works) < 3 {
		t.Errorf("only %d things were tried that must work", len(r.Works))
	}
	r.wants(t, map[string]string{"list the root folder": "Landlock", "write outside its folder": "Landlock", "make a folder": "seccomp"})
}

// attachRole reads what may be attached, and can do nothing else with it. The
// folder lies beside its own, where the probe tries to write.
func attachRole(dir string, _ *os.File, r *report) error {
	pictures, other := filepath.Join(filepath.Dir(dir), "pictures"), filepath.Join(filepath.Dir(dir), "other")
	for _, d := range []string{pictures, other, filepath.Join(pictures, "bed9")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	for _, f := range []string{"pictures/ecg.png", "pictures/bed9/x.png", "other/secret"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(dir), f), []byte("content"), 0o600); err != nil {
			return err
		}
	}
	gone := filepath.Join(filepath.Dir(dir), "gone")
	if err := confined(r, func() (harden.Layers, error) { return harden.Desk(dir, pictures, gone) }); err != nil {
		return err
	}
	folders := attach.Folders{{Shown: "~/Pictures", Path: pictures}, {Shown: "~/Other", Path: other}}
	ctx := context.Background()
	for _, name := range []string{"~/Pictures/ecg.png", "~/Pictures/bed9/x.png"} {
		r.try("read "+name, func() error {
			f, err := folders.Read(ctx, name, 100)
			if err == nil && string(f.Content) != "content" {
				err = fmt.Errorf("read %q", f.Content)
			}
			return err
		})
	}
	r.try("list what there is", func() error {
		if got := folders.Complete(ctx, "~/Pictures/"); len(got) != 2 {
			return fmt.Errorf("listed %q", got)
		}
		return nil
	})
	r.Table = harden.Probe(dir, r.Layers)
	for name, try := range map[string]func() error{
		"read a folder that was not given": func() error { _, err := folders.Read(ctx, "~/Other/secret", 100); return err },
		"list a folder that was not given": func() error { _, err := os.ReadDir(other); return err },
		"write to a folder that is read":   func() error { return os.WriteFile(filepath.Join(pictures, "new"), nil, 0o600) },
		"change a file that is read":       func() error { return os.WriteFile(filepath.Join(pictures, "ecg.png"), nil, 0o600) },
		"empty a file that is read":        func() error { return os.Truncate(filepath.Join(pictures, "ecg.png"), 0) },
		"remove a file that is read":       func() error { return os.Remove(filepath.Join(pictures, "ecg.png")) },
	} {
		if try() == nil {
			return errors.New("it could " + name)
		}
	}
	return nil
}

func expect(socket *os.File, want string) error {
	if got, err := hear(socket); err != nil || got != want {
		return fmt.Errorf("heard %q, %v", got, err)
	}
	return nil
}

func await(c chan os.Signal) error {
	select {
	case <-c:
		return nil
	case <-time.After(patience):
		return errors.New("it did not come")
	}
}

func messages(ctx context.Context, db *store.Store, n int) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		for range n {
			m := &store.Message{Peer: "bob@example.org", Sender: "bob@example.org", OriginID: rand.Text(), Time: time.Now(), Body: strings.Repeat("potassium ", 20)}
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// threads starts n threads, which all live at the same time and then end.
func threads(n int) {
	running, done := make(chan bool), make(chan bool)
	release := make(chan bool)
	for range n {
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with it
			running <- true
			<-release
			done <- true
		}()
	}
	for range n {
		<-running
	}
	close(release)
	for range n {
		<-done
	}
}

func lockMemory() error {
	for range 5 {
		b := memguard.NewBufferRandom(48)
		b.Freeze()
		b.Melt()
		e := b.Seal()
		open, err := e.Open()
		if err != nil {
			return err
		}
		open.Destroy()
	}
	return nil
}

// frames are drawn one after the other, a key between them. No two have the same
// letter at the same place: each is written to the terminal as a whole.
var frames = []string{"frost", "maple", "funky", "click"}

// screen shows a frame; a key leads to the next.
type screen struct{ frame int }

func (s screen) Init() tea.Cmd { return nil }

func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if _, ok := msg.(tea.KeyPressMsg); ok {
		if s.frame++; s.frame == len(frames) {
			return s, tea.Quit
		}
	}
	return s, nil
}

func (s screen) View() tea.View {
	v := tea.NewView(frames[min(s.frame, len(frames)-1)])
	v.AltScreen = true
	return v
}

func draw(socket *os.File) error {
	if _, err := tea.NewProgram(screen{}, tea.WithoutSignalHandler()).Run(); err != nil {
		return err
	}
	socket.WriteString("drawn\n")
	return expect(socket, "checked")
}

// x32Role makes a call that must end it at once.
func x32Role(dir string, _ *os.File, r *report) error {
	if _, err := harden.Desk(dir); err != nil {
		return err
	}
	syscall.RawSyscall(0x40000000|unix.SYS_GETPID, 0, 0, 0)
	return errors.New("a call by another architecture's number came back")
}

func TestOtherArchitecturesKill(t *testing.T) {
	c := start(t, "x32")
	var b [1]byte
	if n, _ := c.report.Read(b[:]); n != 0 {
		t.Fatalf("it lived on: %s", c.end().Fatal)
	}
	c.cmd.Wait()
	if s := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGSYS {
		t.Errorf("it ended with %v", c.cmd.ProcessState)
	}
}

// twiceRole tries to be confined as a desk and then as a link, which may more.
func twiceRole(dir string, _ *os.File, r *report) error {
	before := harden.Offered()
	var err error
	if r.Layers, err = harden.Desk(dir); err != nil {
		return err
	}
	if r.Layers != before {
		return fmt.Errorf("what was offered, %+v, is not what holds, %+v", before, r.Layers)
	}
	if _, err := harden.Link(); err == nil {
		return errors.New("a desk could make itself a link")
	}
	_, _, e := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
	if e != unix.ENOSYS {
		return fmt.Errorf("clone3: %v", e)
	}
	r.Table = harden.Probe(dir, r.Layers)
	return nil
}

func TestNothingWidens(t *testing.T) { start(t, "twice").end().refused(t) }
