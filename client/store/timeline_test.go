package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

func TestPagesBothWays(t *testing.T) {
	s := memory(t)
	var ids []int64
	for i, o := range strings.Split("abcdefghij", "") {
		m := incoming(ben, o, i*10)
		m.Read = i < 4
		m.ArchiveID = "x" + o
		add(t, s, m)
		ids = append(ids, m.ID)
		add(t, s, incoming(carla, o, i))
	}
	// Places decide, not ids.
	update(t, s, func(tx *Tx) error { _, err := tx.MoveToEnd(ids[2]); return err })
	view(t, s, func(tx *Tx) error {
		for _, x := range []struct {
			what string
			call func() ([]Message, error)
			want string
		}{
			{"after", func() ([]Message, error) { return tx.MessagesAfter(ben, ids[3], 3) }, "efg"},
			{"after, over the end", func() ([]Message, error) { return tx.MessagesAfter(ben, ids[8], 30) }, "jc"},
			{"after the last", func() ([]Message, error) { return tx.MessagesAfter(ben, ids[2], 30) }, ""},
			{"after none", func() ([]Message, error) { return tx.MessagesAfter(ben, 4711, 30) }, ""},
			{"after, no limit", func() ([]Message, error) { return tx.MessagesAfter(ben, ids[0], 0) }, ""},
			{"after, elsewhere", func() ([]Message, error) { return tx.MessagesAfter(carla, ids[0], 9) }, ""},
			{"around", func() ([]Message, error) { return tx.Around(ben, ids[5], 2, 3) }, "defghi"},
			{"around the first", func() ([]Message, error) { return tx.Around(ben, ids[0], 2, 1) }, "ab"},
			{"around the last", func() ([]Message, error) { return tx.Around(ben, ids[2], 1, 5) }, "jc"},
			{"around another's", func() ([]Message, error) { return tx.Around(carla, ids[2], 1, 5) }, ""},
		} {
			if got, err := x.call(); origins(got) != x.want || err != nil {
				t.Errorf("%s: %q %v, want %q", x.what, origins(got), err, x.want)
			}
		}
		if id, err := tx.FirstUnread(ben); id != ids[4] || err != nil {
			t.Errorf("first unread: %d %v", id, err)
		}
		if id, err := tx.FirstUnread("nobody@h.example"); id != 0 || err != nil {
			t.Errorf("first unread of nobody: %d %v", id, err)
		}
		if m, err := tx.ByArchive(ben, "xe"); m == nil || m.ID != ids[4] || err != nil {
			t.Errorf("by its id in the archive: %+v %v", m, err)
		}
		return nil
	})
}

func TestAt(t *testing.T) {
	s := memory(t)
	fill(t, s, 1000, "x")
	for _, n := range []int{-5, 0, 1, 499, 998, 999, 1000} {
		view(t, s, func(tx *Tx) error {
			id, err := tx.At(ben, at(n))
			if err != nil {
				return err
			}
			want := int64(max(n, 0) + 1)
			if n == 1000 {
				want = 0
			}
			if id != want {
				t.Errorf("at %d: %d, want %d", n, id, want)
			}
			return nil
		})
	}
	view(t, s, func(tx *Tx) error {
		if id, err := tx.At("nobody@h.example", at(1)); id != 0 || err != nil {
			t.Errorf("nobody: %d %v", id, err)
		}
		return nil
	})
}

// small are the tables that grow with people, not with messages, or hold little.
var small = regexp.MustCompile(`^SCAN (c|conversation|r|room|o|outbox|u|unindexed|shard|f VIRTUAL TABLE|CONSTANT ROW|\d+ CONSTANT ROWS)\b|^SCAN \(subquery`)

// sorted are the orders in which messages are read a page at a time, without
// sorting all of them first.
var sorted = regexp.MustCompile(`ORDER BY (m\.place|f\.rowid|i\.moment|m\.expires|k\.message|urgency)`)

// TestNothingIsScanned runs all that a screen asks for, and has SQLite explain
// every statement that was run: none may read all messages.
func TestNothingIsScanned(t *testing.T) {
	s := memory(t)
	fill(t, s, 600, "x")
	m := outgoing(ben, "mine", 1)
	add(t, s, m)
	everything(t, s, m)
	var statements []string
	for sql := range s.stmts {
		statements = append(statements, sql)
	}
	scans := func(sql string) (found []string) {
		err := s.View(context.Background(), func(tx *Tx) error {
			st, _, err := s.conn.Prepare("EXPLAIN QUERY PLAN " + sql)
			if err != nil {
				return err
			}
			defer st.Close()
			for st.Step() {
				if line := st.ColumnText(3); strings.HasPrefix(line, "SCAN ") && !small.MatchString(line) || strings.Contains(line, "AUTOMATIC") || strings.Contains(line, "TEMP B-TREE") && sorted.MatchString(sql) {
					found = append(found, line)
				}
			}
			return st.Err()
		})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		}
		return found
	}
	n := 0
	for _, sql := range statements {
		if !strings.HasPrefix(sql, "SELECT") && !strings.HasPrefix(sql, "UPDATE") && !strings.HasPrefix(sql, "DELETE") && !strings.HasPrefix(sql, "INSERT") {
			continue
		}
		n++
		if got := scans(sql); got != nil {
			t.Errorf("%s\n%v", sql, got)
		}
	}
	if n < 60 {
		t.Errorf("%d statements: some are missing", n)
	}
	for _, sql := range []string{`SELECT * FROM message WHERE body = ''`, `SELECT * FROM message m ORDER BY m.time LIMIT 1`} {
		if scans(sql) == nil {
			t.Errorf("%s does not count as a scan", sql)
		}
	}
}

// everything calls what a screen and an engine call.
func everything(t *testing.T, s *Store, m *Message) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		var errs []error
		do := func(err error) { errs = append(errs, err) }
		_, err := tx.Messages(ben, 0, 10)
		do(err)
		_, err = tx.Messages(ben, 300, 10)
		do(err)
		_, err = tx.Around(ben, 300, 5, 5)
		do(err)
		_, err = tx.At(ben, at(300))
		do(err)
		_, err = tx.FirstUnread(ben)
		do(err)
		_, _, err = tx.Unread(ben)
		do(err)
		_, err = tx.Conversation(ben)
		do(err)
		_, err = tx.ByArchive(ben, "a")
		do(err)
		_, err = tx.MessageByOrigin(ben, "o1")
		do(err)
		for _, q := range []Search{{Text: "words"}, {Text: "words", Peer: ben, Sender: ben}, {From: at(1)}} {
			q.Limit = 10
			_, _, _, err = tx.Search(q)
			do(err)
		}
		_, err = tx.Marked(Mark{Record, "1"}, 0, 10)
		do(err)
		_, err = tx.Inbox(Me{Names: []string{"a"}}, time.Now(), 10)
		do(err)
		_, err = tx.MarkRead(ben, 3)
		do(err)
		_, err = tx.SetState(ben, "mine", Sent)
		do(err)
		do(tx.SetRecipients(m.ID, []string{carla}))
		_, err = tx.SetRecipientState(m.ID, carla, Read, at(1))
		do(err)
		_, err = tx.SetRecipientState(m.ID, "", Read, at(1))
		do(err)
		_, err = tx.Progress(m.ID)
		do(err)
		_, err = tx.Recipients(m.ID)
		do(err)
		_, err = tx.Correct(Correction{Peer: ben, OriginID: "o5", Sender: ben, Body: "better", Time: at(9), Cipher: []byte{1}})
		do(err)
		_, err = tx.SetReactions(5, carla, []string{"+"}, at(1))
		do(err)
		_, err = tx.Reactions(5)
		do(err)
		do(tx.AddAttachment(&Attachment{MessageID: 5}))
		_, err = tx.Attachments(5)
		do(err)
		_, err = tx.Moving()
		do(err)
		_, err = tx.Acknowledge(5, carla, true, at(1))
		do(err)
		_, err = tx.Acknowledgements(5)
		do(err)
		ack := outgoing(ben, "ack", 2)
		ack.Body = "!ack"
		_, err = tx.AddMessage(ack)
		do(err)
		ack = incoming(ben, "ack2", 2)
		ack.Body, ack.Reply = "!ack", "mine"
		_, err = tx.AddMessage(ack)
		do(err)
		_, _, err = tx.Recall(Recalling{Peer: ben, OriginID: "o7", Sender: ben, Time: at(9)})
		do(err)
		_, _, err = tx.Recall(Recalling{Peer: ben, OriginID: "unknown", Sender: ben, Time: at(9)})
		do(err)
		_, err = tx.HasCipher(ben, []byte{1})
		do(err)
		do(tx.SetLifespan(ben, 0))
		_, err = tx.NextExpiry()
		do(err)
		do(tx.SetExpires(9, at(1)))
		do(tx.PutRoom(Room{Address: "r@h.example"}))
		_, err = tx.SetMembers("r@h.example", []Member{{Address: ben}}, at(1))
		do(err)
		_, err = tx.Members("r@h.example")
		do(err)
		_, err = tx.Rooms()
		do(err)
		_, _, err = tx.RecallModerated("r@h.example", "x", ben, at(1))
		do(err)
		_, err = tx.AddGap(Gap{Archive: self})
		do(err)
		_, err = tx.Newest()
		do(err)
		_, err = tx.Outbox()
		do(err)
		_, err = tx.Unconfirmed()
		do(err)
		_, _, err = tx.Confirms(ben)
		do(err)
		for i, x := range []*Message{incoming(ben, "o9", 1), incoming(ben, "new", 1)} {
			x.ArchiveID = fmt.Sprint("arch", i)
			_, _, err = tx.AddArchived(x, 0)
			do(err)
		}
		do(tx.indexNew(1))
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if _, _, err := s.Expire(context.Background(), at(5)); err != nil {
		t.Fatal(err)
	}
	view(t, s, func(tx *Tx) error { return tx.query(`SELECT 1`, func(*sqlite3.Stmt) {}) })
}
