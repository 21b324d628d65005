package client

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/awnumar/memguard"

	"sotto/client/audit"
	"sotto/client/backup"
	"sotto/client/locker"
	"sotto/client/store"
)

// keeperOf is a client that does not run, with a database and files in a folder.
func keeperOf(t testing.TB, dir, address string) *Client {
	t.Helper()
	key := memguard.NewBuffer(store.KeySize)
	db, err := store.Open(context.Background(), filepath.Join(dir, "sotto.db"), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	files, err := locker.Open(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Account: Account{Address: address}, Store: db, Files: files, Link: nopConn{}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	backedUp = "alice@ward.example"
	bobs     = "bob@ward.example"
)

var longAgo = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// keepsake fills a client with all that a backup has.
func keepsake(t testing.TB, c *Client) {
	t.Helper()
	add := func(tx *store.Tx, m store.Message) int64 {
		m.Stored = m.Time
		if _, err := tx.AddMessage(&m); err != nil {
			t.Fatal(err)
		}
		return m.ID
	}
	if err := c.store.Update(context.Background(), func(tx *store.Tx) error {
		for i := range 450 {
			add(tx, store.Message{Peer: bobs, Sender: bobs, OriginID: fmt.Sprint("b", i), ArchiveID: fmt.Sprint("arch", i), Body: fmt.Sprintf("line %d <é>", i), Time: longAgo.Add(time.Duration(i) * time.Second)})
		}
		id := add(tx, store.Message{Peer: bobs, Sender: bobs, OriginID: "file", Body: "ECG", Time: longAgo.Add(time.Hour)})
		name := locker.Name{1, 2, 3}
		key := append(name[:], bytes.Repeat([]byte{7}, 44)...)
		if err := c.files.Write(name, bytes.Repeat([]byte("ciphertext "), 20_000)); err != nil {
			return err
		}
		if err := tx.AddAttachment(&store.Attachment{MessageID: id, Name: "ecg.png", Type: "image/png", Size: 219_990, URL: "https://x.example/1", Key: key, State: store.Done}); err != nil {
			return err
		}
		add(tx, store.Message{Peer: bobs, Sender: backedUp, Outgoing: true, State: store.Delivered, OriginID: "mine", Body: "delivered", Time: longAgo.Add(2 * time.Hour)})
		id = add(tx, store.Message{Peer: bobs, Sender: backedUp, Outgoing: true, OriginID: "queued", Body: "queued", Time: longAgo.Add(3 * time.Hour)})
		if err := tx.QueueOut(id); err != nil {
			return err
		}
		add(tx, store.Message{Peer: bobs, Sender: bobs, Body: "a notice without an id", Kind: store.Notice, Time: longAgo.Add(4 * time.Hour)})
		add(tx, store.Message{Peer: bobs, Sender: bobs, OriginID: "stat", Body: "!stat Come", Urgency: store.Stat, Time: longAgo.Add(5 * time.Hour)})
		add(tx, store.Message{Peer: bobs, Sender: bobs, OriginID: "recalled", Body: "a mistake", Time: longAgo.Add(6 * time.Hour)})
		if _, _, err := tx.Recall(store.Recalling{Peer: bobs, OriginID: "recalled", Sender: bobs, Time: longAgo.Add(7 * time.Hour)}); err != nil {
			return err
		}
		return tx.SetDraft(bobs, store.Draft{Text: "half a thought"})
	}); err != nil {
		t.Fatal(err)
	}
}

func save(t testing.TB, c *Client, plan BackupPlan) (*os.File, BackedUp) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "backup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	done, err := c.Backup(context.Background(), f, plan)
	if err != nil {
		t.Fatal(err)
	}
	return f, done
}

// told is what a person sees of a conversation, and what of it waits.
func told(t testing.TB, c *Client, peer string) (lines []string) {
	t.Helper()
	if err := c.store.View(context.Background(), func(tx *store.Tx) error {
		list, err := tx.Messages(peer, 0, 1<<20)
		for _, m := range list {
			files, err := tx.Attachments(m.ID)
			if err != nil {
				return err
			}
			line := fmt.Sprintf("%s %v %s %q %v %v", m.Sender, m.Outgoing, m.OriginID, m.Body, m.Gone, m.State)
			for _, a := range files {
				line += fmt.Sprintf(" [%s %v %d]", a.Name, a.State, c.files.Size(locker.Name(a.Key[:16])))
			}
			lines = append(lines, line)
		}
		out, err2 := tx.Outbox()
		if len(out) > 0 {
			lines = append(lines, fmt.Sprint(len(out), " to be sent"))
		}
		return errors.Join(err, err2)
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

func restore(c *Client, id age.Identity, files ...*os.File) (Restored, error) {
	return c.Restore(context.Background(), files, id, nil)
}

func TestBackupAndRestore(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	old := keeperOf(t, dir, backedUp)
	keepsake(t, old)
	plan := BackupPlan{To: []string{id.Recipient().String()}, Kept: true}
	whole, done := save(t, old, plan)
	if done.Segment != 0 || done.Messages < 456 || done.Files != 1 || done.Keys != 1 {
		t.Errorf("backed up: %+v", done)
	}
	want := told(t, old, bobs)
	want = want[:len(want)-1] // nothing is to be sent from elsewhere
	for i := range want {
		want[i] = strings.Replace(want[i], `"queued" 0 queued`, `"queued" 0 failed`, 1)
	}

	// On another machine, which has a message of its own already, and one of these.
	fresh := keeperOf(t, t.TempDir(), backedUp)
	if err := fresh.store.Update(context.Background(), func(tx *store.Tx) error {
		_, err := tx.AddMessage(&store.Message{Peer: bobs, Sender: bobs, OriginID: "b3", Kind: store.Notice, Body: "This message cannot be decrypted here."})
		_, err2 := tx.AddMessage(&store.Message{Peer: bobs, Sender: bobs, OriginID: "new", Body: "since then"})
		return errors.Join(err, err2)
	}); err != nil {
		t.Fatal(err)
	}
	got, err := restore(fresh, id, whole)
	if err != nil || got.Messages < 455 || got.Files != 1 {
		t.Errorf("restored: %+v, %v", got, err)
	}
	seen := told(t, fresh, bobs)
	// The message that was here as a notice stands where it stood, and has its text.
	moved := func(lines []string, what string) (rest []string, found bool) {
		for _, l := range lines {
			if strings.Contains(l, " "+what+" ") {
				found = true
				continue
			}
			rest = append(rest, l)
		}
		return rest, found
	}
	rest, found := moved(seen, "b3")
	if !found || !strings.Contains(strings.Join(seen, "\n"), `"line 3 <é>"`) {
		t.Error("the notice did not get its text")
	}
	expect, _ := moved(want, "b3")
	expect = append(expect, `bob@ward.example false new "since then" 0 unknown`)
	if a, b := strings.Join(rest, "\n"), strings.Join(expect, "\n"); a != b {
		for i := range max(len(rest), len(expect)) {
			if i >= len(rest) || i >= len(expect) || rest[i] != expect[i] {
				t.Fatalf("line %d of %d (%d): %q, want %q", i, len(rest), len(expect), at1(rest, i), at1(expect, i))
			}
		}
	}
	if err := fresh.store.View(context.Background(), func(tx *store.Tx) error {
		n, _, err := tx.Unread(bobs)
		if n != 1 { // what is new there, and not what was restored
			t.Errorf("%d unread", n)
		}
		d, err2 := tx.Draft(bobs)
		if d.Text != "half a thought" {
			t.Errorf("draft %q", d.Text)
		}
		return errors.Join(err, err2)
	}); err != nil {
		t.Fatal(err)
	}

	// Again: nothing changes.
	again, err := restore(fresh, id, whole)
	if err != nil || again != (Restored{}) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if n := auditedAs(t, fresh.store, audit.Restored, fmt.Sprintf(" count=%d", got.Messages)); n != 1 {
		t.Errorf("the audit log tells of it %d times", n)
	}
	if strings.Join(told(t, fresh, bobs), "\n") != strings.Join(seen, "\n") {
		t.Error("restoring again changed something")
	}

	// What is new since, and what changed, comes with the next segment.
	if err := old.store.Update(context.Background(), func(tx *store.Tx) error {
		_, err := tx.AddMessage(&store.Message{Peer: bobs, Sender: bobs, OriginID: "later", Body: "a day later", ArchiveID: "later"})
		_, _, err2 := tx.Recall(store.Recalling{Peer: bobs, OriginID: "b7", Sender: bobs, Time: time.Now()})
		_, err3 := tx.Correct(store.Correction{Peer: bobs, OriginID: "b9", Sender: bobs, Body: "line 9, corrected #bed:9", Urgency: store.Stat, Time: time.Now()})
		_, err4 := tx.SetState(bobs, "queued", store.Delivered)
		return errors.Join(err, err2, err3, err4)
	}); err != nil {
		t.Fatal(err)
	}
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "files", locker.Name{1, 2, 3}.String()), hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	plan.Series, plan.Segment = done.Series, 0
	more, next := save(t, old, plan)
	if next.Segment != 1 || next.Series != done.Series || next.Messages != 4 || next.Files != 0 {
		t.Errorf("the next: %+v", next)
	}
	got, err = restore(fresh, id, more, whole)
	if err != nil || got.Messages != 1 {
		t.Errorf("the next, restored: %+v, %v", got, err)
	}
	all := strings.Join(told(t, fresh, bobs), "\n")
	if !strings.Contains(all, "a day later") || strings.Contains(all, "line 7 ") {
		t.Error("what came later is not here, or what was recalled is")
	}
	if !strings.Contains(all, `b9 "line 9, corrected #bed:9"`) || strings.Contains(all, `"line 9 <é>"`) {
		t.Error("what was corrected later is as it was before")
	}
	if !strings.Contains(all, fmt.Sprintf(`"queued" 0 %v`, store.Delivered)) {
		t.Error("what went out later is shown as not sent")
	}
	if err := fresh.store.View(context.Background(), func(tx *store.Tx) error {
		found, _, _, err := tx.Search(store.Search{Text: "corrected", Limit: 10})
		if len(found) != 1 {
			t.Errorf("searching for the correction finds %d", len(found))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	// Straight to the second on a third device is refused; both together are fine.
	third := keeperOf(t, t.TempDir(), backedUp)
	if _, err := restore(third, id, more); err == nil || !strings.Contains(err.Error(), "segment 0") {
		t.Errorf("without the whole one: %v", err)
	}
	if got, err := restore(third, id, more, whole, whole); err != nil || got.Files != 1 {
		t.Errorf("both: %+v, %v", got, err)
	}

	// A place where the newest is not there begins anew.
	plan.Segment = 0
	if _, done := save(t, old, plan); done.Segment != 0 || done.Series == next.Series {
		t.Errorf("without the last: %+v", done)
	}
}

func at1(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

// TestNothingButHistory looks for this device's keys in what a backup has.
func TestNothingButHistory(t *testing.T) {
	id, _ := age.GenerateX25519Identity()
	c := keeperOf(t, t.TempDir(), backedUp)
	keepsake(t, c)
	f, _ := save(t, c, BackupPlan{To: []string{id.Recipient().String()}})
	plain, err := age.Decrypt(io.NewSectionReader(f, 0, 1<<40), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("line 17 ")) {
		t.Fatal("the search would not find what is there")
	}
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		what, _, _ := bytes.Cut(line, []byte(":"))
		switch string(what) {
		case `{"header"`, `{"conversation"`, `{"message"`, `{"file"`, `{"data"`, `{"end"`:
		default:
			t.Errorf("a line of %s", what)
		}
	}
	for _, word := range []string{"identity", "prekey", "session", "ratchet", "strand", "password", "audit"} {
		if bytes.Contains(bytes.ToLower(text), []byte(word)) {
			t.Errorf("the backup says %q", word)
		}
	}
	raw, _ := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if bytes.Contains(raw, []byte("line 17")) || bytes.Contains(raw, []byte(backedUp)) {
		t.Error("the file can be read without the key")
	}
}

func TestRestoreRefuses(t *testing.T) {
	id, _ := age.GenerateX25519Identity()
	to := []string{id.Recipient().String()}
	c := keeperOf(t, t.TempDir(), backedUp)
	keepsake(t, c)
	good, _ := save(t, c, BackupPlan{To: to})
	fresh := keeperOf(t, t.TempDir(), backedUp)
	before := told(t, fresh, bobs)

	other, _ := age.GenerateX25519Identity()
	if _, err := restore(fresh, other, good); !errors.Is(err, backup.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	strangers := keeperOf(t, t.TempDir(), "carol@ward.example")
	if _, err := restore(strangers, id, good); err == nil || !strings.Contains(err.Error(), "backup of alice@ward.example") {
		t.Errorf("somebody else's: %v", err)
	}
	another, _ := save(t, c, BackupPlan{To: to})
	if _, err := restore(fresh, id, good, another); err == nil || !strings.Contains(err.Error(), "more than one series") {
		t.Errorf("two series: %v", err)
	}
	foreign, _ := os.CreateTemp(t.TempDir(), "x")
	defer foreign.Close()
	foreign.WriteString("hello")
	if _, err := restore(fresh, id, foreign); !errors.Is(err, backup.ErrForeign) {
		t.Errorf("another file: %v", err)
	}
	if _, err := restore(fresh, id); err == nil {
		t.Error("no file at all")
	}
	if after := told(t, fresh, bobs); len(after) != len(before) {
		t.Error("something was restored")
	}
	if _, err := c.Backup(context.Background(), foreign, BackupPlan{}); !errors.Is(err, errNoKey) {
		t.Errorf("for nobody: %v", err)
	}
	if _, err := c.Backup(context.Background(), foreign, BackupPlan{To: []string{"age1nonsense"}}); err == nil {
		t.Error("for nonsense")
	}

	// Words that are no message's, by somebody who knows the recipient.
	head := `{"header":{"sotto-backup":1,"address":"` + backedUp + `","series":"s","segment":0,"made":"2026-11-22T12:00:00Z"}}` + "\n"
	when := `"time":"2026-11-22T12:00:00Z","stored":"2026-11-22T12:00:00Z"`
	for what, line := range map[string]string{
		"a peer":    `{"conversation":{"peer":"not an address@@"}}`,
		"a sender":  `{"conversation":{"peer":"b@h.example"}}` + "\n" + `{"message":{"sender":"\u001b[2J",` + when + `}}`,
		"a kind":    `{"conversation":{"peer":"b@h.example"}}` + "\n" + `{"message":{"sender":"b@h.example","kind":9,` + when + `}}`,
		"a state":   `{"conversation":{"peer":"b@h.example"}}` + "\n" + `{"message":{"sender":"b@h.example","state":-1,` + when + `}}`,
		"no time":   `{"conversation":{"peer":"b@h.example"}}` + "\n" + `{"message":{"sender":"b@h.example"}}`,
		"an urgent": `{"conversation":{"peer":"b@h.example"}}` + "\n" + `{"message":{"sender":"b@h.example","urgency":7,` + when + `}}`,
	} {
		f, _ := os.CreateTemp(t.TempDir(), "forged")
		w, _ := age.Encrypt(f, id.Recipient())
		fmt.Fprintf(w, "%s%s\n{\"end\":{\"messages\":%d,\"files\":0}}\n", head, line, strings.Count(line, "message"))
		w.Close()
		if _, err := restore(keeperOf(t, t.TempDir(), backedUp), id, f); !errors.Is(err, backup.ErrForeign) {
			t.Errorf("%s: %v", what, err)
		}
		f.Close()
	}
}

// TestRestoreIsCutOff restores from backups that end everywhere, as a kill would: what
// comes then from the whole one is the same as at once.
func TestRestoreIsCutOff(t *testing.T) {
	id, _ := age.GenerateX25519Identity()
	c := keeperOf(t, t.TempDir(), backedUp)
	keepsake(t, c)
	whole, done := save(t, c, BackupPlan{To: []string{id.Recipient().String()}})
	b, err := io.ReadAll(io.NewSectionReader(whole, 0, done.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	once := keeperOf(t, t.TempDir(), backedUp)
	if _, err := restore(once, id, whole); err != nil {
		t.Fatal(err)
	}
	want := strings.Join(told(t, once, bobs), "\n")
	fresh := keeperOf(t, t.TempDir(), backedUp)
	for n := len(b) / 7; n < len(b); n += len(b) / 7 {
		cut, _ := os.CreateTemp(t.TempDir(), "cut")
		cut.Write(b[:n])
		if _, err := restore(fresh, id, cut); !errors.Is(err, backup.ErrAltered) && !errors.Is(err, backup.ErrForeign) {
			t.Errorf("cut off at %d: %v", n, err)
		}
		cut.Close()
	}
	if _, err := restore(fresh, id, whole); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(told(t, fresh, bobs), "\n"); got != want {
		t.Errorf("restored in parts:\n%.2000s\nwant\n%.2000s", got, want)
	}
}

var backupScale = flag.Int("backup-scale", 0, "messages in TestBackupScale")

// TestBackupScale measures: go test -run BackupScale -backup-scale 1000000 ./client
func TestBackupScale(t *testing.T) {
	if *backupScale == 0 {
		t.Skip("with -backup-scale")
	}
	id, _ := age.GenerateX25519Identity()
	c := keeperOf(t, t.TempDir(), backedUp)
	for i := 0; i < *backupScale; {
		if err := c.store.Update(context.Background(), func(tx *store.Tx) error {
			for range 1000 {
				i++
				peer := fmt.Sprintf("p%d@ward.example", i%40)
				if _, err := tx.AddMessage(&store.Message{Peer: peer, Sender: peer, OriginID: fmt.Sprint("o", i), ArchiveID: fmt.Sprint("a", i), Encrypted: true, Fingerprint: make([]byte, 32), Cipher: make([]byte, 32),
					Body: fmt.Sprintf("Bed %d: potassium 6.1, repeat sample sent, ECG unchanged. Please call back when you can.", i),
					Time: longAgo.Add(time.Duration(i) * 7 * time.Second), Read: true}); err != nil { // as people write, and not all in a few seconds
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	most := func(what string, f func()) {
		runtime.GC()
		_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the most that was resident, anew
		stop, peak := make(chan struct{}), make(chan uint64)
		go func() {
			var m runtime.MemStats
			var top uint64
			for {
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapInuse)
				select {
				case <-stop:
					peak <- top
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
		start := time.Now()
		f()
		took := time.Since(start)
		close(stop)
		t.Logf("%s: %v, %.0f messages/s, heap at most %d MB", what, took.Round(time.Millisecond), float64(*backupScale)/took.Seconds(), <-peak>>20)
		status, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmHWM") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	var f *os.File
	var done BackedUp
	plan := BackupPlan{To: []string{id.Recipient().String()}, Kept: true}
	most("whole", func() { f, done = save(t, c, plan) })
	t.Logf("%d MB", done.Bytes>>20)
	plan.Series, plan.Segment = done.Series, done.Segment
	most("next", func() { _, done = save(t, c, plan) })
	if done.Messages != 0 {
		t.Errorf("%+v", done)
	}
	fresh := keeperOf(t, t.TempDir(), backedUp)
	most("restore", func() {
		if _, err := restore(fresh, id, f); err != nil {
			t.Fatal(err)
		}
	})
}
