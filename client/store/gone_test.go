package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"sotto/client/omemo"
)

// openPlain opens a database as Open does, but without the cipher, so that what is
// in its file can be read.
func openPlain(t *testing.T, path string) *Store {
	t.Helper()
	conn, err := sqlite3.Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(conn)
	s.plain = true
	if err := s.prepare(context.Background(), pragmas); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// onDisk says which of the words are in the database's file or its WAL. The
// index keeps its words folded, and shortened by what they have in common.
func onDisk(t *testing.T, path string, words ...string) (found []string) {
	t.Helper()
	for _, name := range []string{path, path + "-wal"} {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		b = bytes.ToLower(b)
		for _, w := range words {
			for _, part := range []string{w, w[2:], w[4:]} {
				if bytes.Contains(b, []byte(strings.ToLower(part))) {
					found = append(found, filepath.Base(name)+": "+part)
				}
			}
		}
	}
	return found
}

// TestGoneTextIsNowhere recalls, corrects, expires and removes texts with canaries
// in a database that can be read, among many others, and looks for them in every
// byte of the file.
func TestGoneTextIsNowhere(t *testing.T) {
	for name, without := range map[string]string{
		"as it is":                     "",
		"without SQLite's overwriting": "PRAGMA secure_delete=off",
		"without the index's":          "INSERT INTO search (search, rank) VALUES ('secure-delete', 0)",
	} {
		t.Run(name, func(t *testing.T) {
			secure := without == ""
			path := filepath.Join(t.TempDir(), "sotto.db")
			s := openPlain(t, path)
			if err := s.conn.Exec(without); err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			var canaries []string
			canary := func() string {
				var b strings.Builder
				for range 14 {
					b.WriteByte("bcdfghjklmnpqrstvwxz"[rng.IntN(20)])
				}
				canaries = append(canaries, b.String())
				return b.String()
			}
			type planted struct {
				*Message
				how int
			}
			var list []planted
			const n = 2500
			for i := 0; i < n; {
				update(t, s, func(tx *Tx) error {
					for range 1 + rng.IntN(60) {
						i++
						peer := fmt.Sprintf("p%d@h.example", rng.IntN(7))
						m := incoming(peer, fmt.Sprint("o", i), i+rng.IntN(50))
						if rng.IntN(3) == 0 {
							m = outgoing(peer, fmt.Sprint("o", i), i)
						}
						m.Body = strings.Repeat(fmt.Sprintf("words of %d ", rng.IntN(500)), rng.IntN(60))
						how := rng.IntN(80)
						if how < 5 {
							m.Body += " " + canary() + " #mrn:" + canary() + " @role/" + canary()
							if rng.IntN(4) == 0 {
								m.Body = strings.Repeat(canary()+" ", 1+rng.IntN(300)) + m.Body // overflow pages
							}
						}
						if how == 2 {
							m.Expires = at(1)
						}
						if _, err := tx.AddMessage(m); err != nil {
							return err
						}
						if how < 5 {
							list = append(list, planted{m, how})
							if err := tx.AddAttachment(&Attachment{MessageID: m.ID, Name: canary(), Key: []byte(canary()), URL: canary()}); err != nil {
								return err
							}
							if _, err := tx.SetReactions(m.ID, ben, []string{canary()}, at(1)); err != nil {
								return err
							}
						}
						if how == 70 { // rows that grow make pages split
							if _, err := tx.change(`UPDATE message SET body = ? WHERE id = ?`, strings.Repeat("grown ", rng.IntN(400)), 1+rng.IntN(i)); err != nil {
								return err
							}
						}
					}
					return nil
				})
				if rng.IntN(10) == 0 { // some go while others come
					goOne(t, s, list[rng.IntN(len(list))].Message, 1)
				}
			}
			if got := onDisk(t, path, canaries[len(canaries)-40:]...); len(got) < 40 {
				t.Fatalf("only %d of the canaries are seen: this test shows nothing", len(got))
			}
			for _, p := range list {
				if p.how != 2 {
					goOne(t, s, p.Message, p.how)
				}
			}
			if gone, _, err := s.Expire(context.Background(), at(2)); err != nil || len(gone) == 0 {
				t.Fatal(len(gone), err)
			}
			found := onDisk(t, path, canaries...)
			switch {
			case !secure && len(found) == 0:
				t.Error("without secure deletion the canaries are gone, too: this test shows nothing")
			case secure && len(found) > 0:
				t.Errorf("%d of %d are still in the file, as %v", len(found), len(canaries), found[:min(len(found), 10)])
			}
			if st, err := os.Stat(path + "-wal"); err != nil || st.Size() != 0 {
				t.Errorf("the WAL: %v %v", st.Size(), err)
			}
			if verdict, err := integrity(s); verdict != "ok" || err != nil {
				t.Errorf("%s %v", verdict, err)
			}
			if err := s.conn.Exec("INSERT INTO search (search) VALUES ('integrity-check')"); err != nil {
				t.Error(err)
			}
		})
	}
}

// goOne has a message go, one way or another.
func goOne(t *testing.T, s *Store, m *Message, how int) {
	t.Helper()
	update(t, s, func(tx *Tx) (err error) {
		switch how {
		case 3:
			_, err = tx.Correct(Correction{Peer: m.Peer, OriginID: m.OriginID, Sender: m.Sender, Body: "harmless", Time: time.Now()})
			if err == nil {
				_, _, err = tx.Recall(Recalling{Peer: m.Peer, OriginID: m.OriginID, Sender: m.Sender, Time: at(1)}) // the attachment goes, too
			}
		case 4:
			if _, err = tx.change(`UPDATE conversation SET last = NULL WHERE last = ?`, m.ID); err == nil {
				_, err = tx.change(`DELETE FROM message WHERE id = ?`, m.ID)
			}
		default:
			_, _, err = tx.Recall(Recalling{Peer: m.Peer, OriginID: m.OriginID, Sender: m.Sender, Time: at(1)})
		}
		return err
	})
}

func TestRecallIsTheAuthors(t *testing.T) {
	s := memory(t)
	m := incoming(ben, "o1", 1)
	m.Urgency, m.Body, m.ArchiveID = Stat, "!stat secret words #mrn:1 @role/cardiology", "a1"
	add(t, s, m)
	update(t, s, func(tx *Tx) error {
		for _, who := range []string{carla, self, "Ben@h.example"} {
			if got, gone, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: who, Time: at(2)}); got != nil || gone || err != nil {
				t.Errorf("%s recalled ben's message: %+v %v", who, got, err)
			}
		}
		if _, gone, err := tx.RecallModerated(ben, "a1", carla, at(2)); gone || err != nil {
			t.Errorf("a moderator in a conversation that is no room: %v", err)
		}
		return nil
	})
	if got := messages(t, s, ben, 0, 10); got[0].Body == "" || got[0].Gone != Here {
		t.Fatalf("it is gone: %+v", got)
	}
	update(t, s, func(tx *Tx) error {
		got, gone, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: ben, Time: at(3)})
		if !gone || got.Body != "" || got.Gone != Recalled || got.GoneBy != ben || !got.GoneAt.Equal(at(3)) || got.Urgency != Routine || !got.Read {
			t.Errorf("recalled: %+v", got)
		}
		if _, gone, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: ben, Time: at(4)}); gone || err != nil {
			t.Errorf("twice: %v %v", gone, err)
		}
		if hits, _, _, err := tx.Search(Search{Text: "secret", Limit: 10}); len(hits) != 0 || err != nil {
			t.Errorf("found: %+v %v", hits, err)
		}
		if list, err := tx.Marked(Mark{Record, "1"}, 0, 10); len(list) != 0 || err != nil {
			t.Errorf("marked: %+v %v", list, err)
		}
		if list, err := inboxOf(tx, Me{Roles: []string{"cardiology"}}, 10); len(list) != 0 || err != nil {
			t.Errorf("inbox: %+v %v", list, err)
		}
		list, _ := tx.Conversations()
		if list[0].LastGone != Recalled || list[0].Unread != 0 || list[0].Urgency != 0 {
			t.Errorf("list: %+v", list[0])
		}
		return err
	})
	// A repeat, and the archive's copy, do not bring it back.
	again := incoming(ben, "o1", 1)
	again.ArchiveID = "a1"
	if add(t, s, again) {
		t.Error("it came back")
	}
	update(t, s, func(tx *Tx) error {
		_, _, err := tx.AddArchived(archived(again, "a2"), 0)
		if got, _ := tx.Message(m.ID); got.Body != "" {
			t.Error("the archive brought it back")
		}
		return err
	})
}

func TestRecallBeforeItsMessage(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		for i := range maxAhead + 10 {
			if _, _, err := tx.Recall(Recalling{Peer: ben, OriginID: fmt.Sprint("o", i), Sender: ben, Time: at(5)}); err != nil {
				return err
			}
		}
		return nil
	})
	for i, want := range map[int]Gone{5: Here, 500: Recalled, maxAhead + 9: Recalled} {
		m := incoming(ben, fmt.Sprint("o", i), 1)
		m.Body = "secret"
		add(t, s, m)
		if m.Gone != want || (m.Body == "") != (want == Recalled) {
			t.Errorf("%d: %+v", i, m)
		}
	}
	update(t, s, func(tx *Tx) error {
		if hits, _, _, err := tx.Search(Search{Text: "secret", Limit: 10}); len(hits) != 1 || err != nil {
			t.Errorf("found: %+v %v", hits, err)
		}
		return nil
	})
	other := incoming(ben, "o501", 1)
	other.Sender = carla
	add(t, s, other)
	if other.Gone != Here {
		t.Error("ben has recalled what carla says")
	}
	// What could not be decrypted is recalled, too, and does not come back.
	notice := incoming(carla, "n1", 1)
	notice.Kind = Notice
	add(t, s, notice)
	update(t, s, func(tx *Tx) error {
		_, _, err := tx.Recall(Recalling{Peer: carla, OriginID: "n1", Sender: carla, Time: at(2)})
		return err
	})
	if add(t, s, incoming(carla, "n1", 1)) {
		t.Error("its text came after all")
	}
}

// TestNicknamesChangeHands lets somebody take the nickname of somebody else.
func TestNicknamesChangeHands(t *testing.T) {
	const room, nick = "icu@rooms.example", "icu@rooms.example/night"
	s := memory(t)
	put := func(origin, author string) *Message {
		m := incoming(room, origin, 1)
		m.Sender, m.Author, m.Body = nick, author, "secret"
		add(t, s, m)
		return m
	}
	put("o1", ben)
	put("o2", "")
	update(t, s, func(tx *Tx) error {
		if _, gone, err := tx.Recall(Recalling{Peer: room, OriginID: "o1", Sender: nick, Author: carla, Time: at(2)}); gone || err != nil {
			t.Errorf("carla has recalled what ben said: %v", err)
		}
		if m, err := tx.Correct(Correction{Peer: room, OriginID: "o1", Sender: nick, Author: carla, Body: "x", Time: at(2)}); m != nil || err != nil {
			t.Errorf("carla has corrected what ben said: %v", err)
		}
		if m, err := tx.Correct(Correction{Peer: room, OriginID: "o1", Sender: nick, Author: ben, Body: "secret", Time: at(2)}); m == nil || m.Author != ben || err != nil {
			t.Errorf("ben: %+v %v", m, err)
		}
		for _, o := range []string{"o1", "o2"} {
			if _, gone, err := tx.Recall(Recalling{Peer: room, OriginID: o, Sender: nick, Author: ben, Time: at(2)}); !gone || err != nil {
				t.Errorf("ben, %s: %v", o, err)
			}
		}
		for _, o := range []string{"o3", "o4"} {
			if _, _, err := tx.Recall(Recalling{Peer: room, OriginID: o, Sender: nick, Author: carla, Time: at(2)}); err != nil {
				return err
			}
		}
		return nil
	})
	if m := put("o3", ben); m.Gone != Here {
		t.Error("carla has recalled what ben was to say")
	}
	if m := put("o4", carla); m.Gone != Recalled {
		t.Error("carla has not recalled what she was to say")
	}
}

// TestPurge fails to clear the WAL at first.
func TestPurge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	disk := &fullDisk{VFSFilename: vfs.Find("").(vfs.VFSFilename)}
	disk.left.Store(1 << 40)
	s, err := open(context.Background(), path, testKey(1), disk)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := incoming(ben, "o1", 1)
	add(t, s, m)
	s.purge = true
	if err := s.Purge(context.Background()); err != nil || s.purge {
		t.Fatal(err)
	}
	fill(t, s, 300, "x")
	disk.left.Store(0)
	s.purge = true
	if err := s.Purge(context.Background()); !errors.Is(err, ErrFull) {
		t.Errorf("on a full disk: %v", err)
	}
	disk.left.Store(1 << 40)
	update(t, s, func(*Tx) error { return nil })
	if st, err := os.Stat(path + "-wal"); s.purge || err != nil || st.Size() != 0 {
		t.Errorf("the next transaction has not cleared it: %v", err)
	}
	s.Close()
	if err := s.Purge(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestModeration(t *testing.T) {
	s := memory(t)
	const room = "icu@rooms.example"
	update(t, s, func(tx *Tx) error { return tx.PutRoom(Room{Address: room, Nick: "alice"}) })
	m := incoming(room, "o1", 1)
	m.Sender, m.ArchiveID = room+"/carla", "a1"
	add(t, s, m)
	update(t, s, func(tx *Tx) error {
		if got, gone, _ := tx.RecallModerated(room, "a2", room+"/ben", at(2)); gone || got != nil {
			t.Error("another message")
		}
		got, gone, err := tx.RecallModerated(room, "a1", room+"/ben", at(2))
		if !gone || got.GoneBy != room+"/ben" {
			t.Errorf("%+v", got)
		}
		return err
	})
}

func TestRecallBookkeeping(t *testing.T) {
	s := memory(t)
	m, other := outgoing(ben, "o1", 1), outgoing(ben, "o2", 1)
	add(t, s, m)
	add(t, s, other)
	d1, d2 := omemo.Address{JID: ben, Device: 1}, omemo.Address{JID: ben, Device: 2}
	update(t, s, func(tx *Tx) error {
		if err := tx.ExpectRecall(m.ID, []omemo.Address{d1}); err != ErrUnknown {
			t.Errorf("not recalled yet: %v", err)
		}
		if err := tx.QueueOut(m.ID); err != nil {
			return err
		}
		if _, _, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: self, Time: at(1)}); err != nil {
			return err
		}
		if outs, _ := tx.Outbox(); len(outs) != 0 {
			t.Error("it still goes out")
		}
		if err := tx.ExpectRecall(m.ID, []omemo.Address{d1, d2, d1}); err != nil {
			return err
		}
		for _, x := range []struct {
			d    omemo.Address
			o    Outcome
			want bool
		}{{d1, Refused, true}, {d1, CarriedOut, true}, {d1, CarriedOut, false}, {d1, Refused, false}, {omemo.Address{JID: carla, Device: 1}, CarriedOut, false}} {
			if changed, err := tx.SetRecall(m.ID, x.d, x.o, at(2)); changed != x.want || err != nil {
				t.Errorf("%+v: %v %v", x, changed, err)
			}
		}
		if _, err := tx.SetRecall(m.ID, d2, Waiting, at(2)); err == nil {
			t.Error("took Waiting for an answer")
		}
		got, err := tx.RecallDevices(m.ID)
		if len(got) != 2 || got[0].Outcome != CarriedOut || !got[0].Time.Equal(at(2)) || got[1].Address != d2 || got[1].Outcome != Waiting {
			t.Errorf("%+v", got)
		}
		return err
	})
}
