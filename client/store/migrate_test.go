package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// oldDatabase makes a database as a sotto of an older schema version has left it.
func oldDatabase(t *testing.T, path string, version int, sql string) {
	t.Helper()
	key := testKey(1)
	defer key.Destroy()
	name := fmt.Sprint("old-", t.Name())
	registerCipher(name, vfs.Find(""), key)
	defer vfs.Unregister(name)
	conn, err := sqlite3.Open(uri(path, name))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := newStore(conn)
	if err := s.registerSearch(); err != nil {
		t.Fatal(err)
	}
	if err := conn.EnableChecksums("main"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(pragmas); err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations[:version] {
		if err := conn.Exec(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Exec(sql + fmt.Sprintf("; PRAGMA user_version=%d", version)); err != nil {
		t.Fatal(err)
	}
}

// TestMigrateFrom1 opens a database from before there was a search index.
func TestMigrateFrom1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	if err := touch(path); err != nil {
		t.Fatal(err)
	}
	oldDatabase(t, path, 1, `
		INSERT INTO conversation (id, peer, contact, name, draft) VALUES (1, 'ben@h.example', 1, 'Ben', 'half'), (2, 'carla@h.example', 0, '', '');
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3000)
		INSERT INTO message (id, conversation, outgoing, sender, device, origin, archive, place, time, stored, body, state, encrypted, kind, urgency, read)
			SELECT i, 1 + i%2, i%3 = 0, iif(i%3 = 0, 'alice@h.example', iif(i%2, 'carla@h.example', 'ben@h.example')), 7, 'o' || i, 'a' || i,
			i << 32, 1800000000000000 + i*1000000, 1, 'Kalium of bed ' || i || ' #mrn:' || i || iif(i = 2992, ' @alice', ''), iif(i%3 = 0, 2, 0), 1, i%10 = 9, 0, i < 2990 FROM n;
		UPDATE conversation SET last = 2999 + id%2;
		INSERT INTO outbox (message, stanza) VALUES (3000, x'01');
		INSERT INTO session VALUES ('ben@h.example', 7, x'0102');
		INSERT INTO value VALUES ('a', x'03');
		INSERT INTO device VALUES ('ben@h.example', 7, x'aa', 2, 1, 5)`)
	s := openTest(t, path)
	if s.Created() {
		t.Error("taken for a new one")
	}
	if got := messages(t, s, ben, 0, 5000); len(got) != 1500 || got[1499].Body != "Kalium of bed 3000 #mrn:3000" || got[0].Gone != Here || !got[0].Expires.IsZero() || got[0].Reply != "" {
		t.Errorf("%d messages, the last %+v", len(got), got[len(got)-1])
	}
	n := 0
	q := Search{Text: "kalium", Limit: MaxHits}
	for more := true; more; {
		view(t, s, func(tx *Tx) (err error) {
			var hits []Message
			hits, q.After, more, err = tx.Search(q)
			n += len(hits)
			return err
		})
	}
	if n != 2700 {
		t.Errorf("%d found, want all but the notices", n)
	}
	if got := found(t, s, Search{Text: "2998", Peer: ben}); got != "o2998" {
		t.Errorf("found %q", got)
	}
	update(t, s, func(tx *Tx) error {
		if list, err := tx.Marked(Mark{Record, "1234"}, 0, 10); len(list) != 1 || err != nil {
			t.Errorf("marked: %+v %v", list, err)
		}
		if list, err := inboxOf(tx, Me{Names: []string{"alice"}}, 10); origins(list) != "o2992" || err != nil {
			t.Errorf("inbox: %s %v", origins(list), err)
		}
		list, err := tx.Conversations()
		if len(list) != 2 || list[0].Draft+list[1].Draft != "half" || list[0].Unread+list[1].Unread != 11 {
			t.Errorf("list: %+v", list)
		}
		if outs, _ := tx.Outbox(); len(outs) != 1 {
			t.Error("the outbox is empty")
		}
		if ds, _ := tx.Devices(ben); len(ds) != 1 || ds[0].Trust != Verified {
			t.Errorf("devices: %+v", ds)
		}
		if _, gone, err := tx.Recall(Recalling{Peer: ben, OriginID: "o2998", Sender: ben, Time: at(1)}); !gone || err != nil {
			t.Errorf("recall: %v", err)
		}
		return err
	})
	if got := found(t, s, Search{Text: "2998"}); got != "" {
		t.Errorf("found %q after its recall", got)
	}
	if verdict, err := integrity(s); verdict != "ok" || err != nil {
		t.Errorf("%s %v", verdict, err)
	}
}

// TestMigrateFrom2 opens a database from before authors were kept.
func TestMigrateFrom2(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	if err := touch(path); err != nil {
		t.Fatal(err)
	}
	oldDatabase(t, path, 2, `
		INSERT INTO conversation (id, peer) VALUES (1, 'ben@h.example');
		INSERT INTO message (id, conversation, outgoing, sender, device, origin, place, time, stored, body, state, encrypted, kind, urgency, read, gone, gone_by)
			VALUES (1, 1, 0, 'ben@h.example', 7, 'o1', 1, 5, 5, 'indexed before', 0, 1, 0, 0, 1, 0, ''),
				(2, 1, 0, 'ben@h.example', 7, 'o2', 2, 6, 6, '', 0, 1, 0, 0, 1, 1, 'ben@h.example');
		INSERT INTO search (rowid, body, tags) VALUES (0, 'indexed before', sotto_tags(1, 'ben@h.example'));
		INSERT INTO indexed VALUES (0, 1);
		INSERT INTO recalled_ahead (conversation, origin, sender, time) VALUES (1, 'o3', 'ben@h.example', 7);
		INSERT INTO gap VALUES (1, 'alice@h.example', 'a', 'b', 1, 2)`)
	s := openTest(t, path)
	if got := found(t, s, Search{Text: "indexed", Peer: ben}); got != "o1" {
		t.Errorf("found %q", got)
	}
	if got := messages(t, s, ben, 0, 10); len(got) != 2 || got[1].Gone != Recalled || got[1].GoneBy != ben || got[0].Author != "" {
		t.Errorf("%+v", got)
	}
	late := incoming(ben, "o3", 9)
	if add(t, s, late); late.Gone != Recalled {
		t.Error("a recall was forgotten")
	}
	update(t, s, func(tx *Tx) error {
		if gaps, _ := tx.Gaps(self); len(gaps) != 1 {
			t.Errorf("%+v", gaps)
		}
		_, gone, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: ben, Time: at(1)})
		if !gone {
			t.Error("not recalled")
		}
		return err
	})
	if got := found(t, s, Search{Text: "indexed"}); got != "" {
		t.Errorf("found %q", got)
	}
}

// TestMigrationIsAllOrNothing stops a migration midway.
func TestMigrationIsAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	if err := touch(path); err != nil {
		t.Fatal(err)
	}
	oldDatabase(t, path, 1, `INSERT INTO conversation (peer) VALUES ('ben@h.example'); CREATE TABLE gap (x)`)
	if _, err := Open(context.Background(), path, testKey(1)); err == nil {
		t.Fatal("a table of the new schema is there already, and it went well")
	}
	conn := openRaw(t, path)
	st, _, err := conn.Prepare("SELECT (SELECT count(*) FROM sqlite_schema WHERE name = 'member'), (SELECT user_version FROM pragma_user_version)")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if !st.Step() || st.ColumnInt(0) != 0 || st.ColumnInt(1) != 1 {
		t.Errorf("half of the migration is there: %d, version %d", st.ColumnInt(0), st.ColumnInt(1))
	}
}

func openRaw(t *testing.T, path string) *sqlite3.Conn {
	t.Helper()
	key := testKey(1)
	name := fmt.Sprint("raw-", t.Name())
	registerCipher(name, vfs.Find(""), key)
	conn, err := sqlite3.Open(uri(path, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); vfs.Unregister(name); key.Destroy() })
	return conn
}
