package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

// The search index holds words and where they are, not texts. Triggers (schema.go)
// take a text out of it in the statement that changes or removes the text, word
// by word and with nothing left behind (FTS5's secure-delete). New texts are listed
// in a table, and indexed when there are indexBatch of them, in the transaction
// that brought the last: one at a time they would cost several times as much.
// Searches read through those few themselves, so nothing is ever missing.
//
// A text's number in the index, its moment, is its time: the newest come first
// and a range of dates is a range of numbers. Moments are unique, so what happened
// at once is put a few sixteenths of a second apart.
//
// What is indexed is divided into shards; see shard.go.
const (
	indexBatch  = 256
	momentsASec = 16
)

func momentOf(us int64) int64 {
	const unit = 1_000_000 / momentsASec
	m := us / unit
	if us%unit < 0 {
		m--
	}
	return m
}

// registerSearch makes known to the connection what the schema refers to.
func (s *Store) registerSearch() error {
	err := fts5.RegisterCustom(s.conn, func(api *fts5.API) error {
		return api.CreateTokenizer("sotto", func([]string) (fts5.Tokenizer, error) { return tokenizer{}, nil })
	})
	if err != nil {
		return fmt.Errorf("registering the search index: %w", err)
	}
	const flags = sqlite3.INNOCUOUS
	err = s.conn.CreateFunction("sotto_tags", 2, flags|sqlite3.DETERMINISTIC, func(c sqlite3.Context, arg ...sqlite3.Value) {
		c.ResultText(conversationTag(arg[0].Int64()) + " " + senderTag(arg[1].Text()))
	})
	if err == nil {
		err = s.conn.CreateFunction("sotto_shard", 2, flags|sqlite3.DETERMINISTIC, func(c sqlite3.Context, arg ...sqlite3.Value) {
			c.ResultText(inShard(arg[0].Int64(), arg[1].Text()))
		})
	}
	if err == nil {
		err = s.conn.CreateFunction("sotto_gone", 0, flags, func(sqlite3.Context, ...sqlite3.Value) { s.purge = true })
	}
	if err != nil {
		return fmt.Errorf("registering the search index: %w", err)
	}
	return nil
}

type tokenizer struct{}

// Tokenize is called by FTS5 for what goes into the index, comes out of it, and
// is looked up.
func (tokenizer) Tokenize(_ fts5.TokenizeFlag, text, _ string, token fts5.TokenCallback) error {
	shard, text := cutShard(text)
	return words(text, func(w []byte, start, end int) error { return token(0, shard+string(w), start, end) })
}

// A tag is a word of two private characters, too short for the index of beginnings,
// by which a search keeps to one conversation or sender without reading the
// matches of others. Tags of senders may coincide: look at the sender, too.
func tag(first rune, n uint32) string {
	return string([]rune{first + rune(n>>15&0x7fff), first + 0x8000 + rune(n&0x7fff)})
}

func conversationTag(id int64) string { return tag(firstTag, uint32(id)) }

func senderTag(sender string) string {
	h := sha256.Sum256([]byte(sender))
	return tag(firstTag+0x10000, binary.BigEndian.Uint32(h[:]))
}

// indexNew indexes what waits for it, if that is at least atLeast texts.
func (tx *Tx) indexNew(atLeast int) error {
	n := 0
	if _, err := tx.one(`SELECT count(*) FROM (SELECT 1 FROM unindexed LIMIT ?)`,
		func(st *sqlite3.Stmt) { n = st.ColumnInt(0) }, atLeast); err != nil || n < atLeast {
		return err
	}
	type text struct {
		id, conversation, moment int64
		sender, body             string
	}
	// In the order of the index, a few at a time.
	for {
		list := make([]text, 0, indexBatch)
		err := tx.query(`SELECT m.id, m.conversation, m.sender, m.body, m.time
			FROM (SELECT message FROM unindexed ORDER BY message LIMIT ?) u CROSS JOIN message m ON m.id = u.message ORDER BY m.time, m.id`,
			func(st *sqlite3.Stmt) {
				list = append(list, text{st.ColumnInt64(0), st.ColumnInt64(1), momentOf(st.ColumnInt64(4)), st.ColumnText(2), st.ColumnText(3)})
			}, 4*indexBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		shard, err := tx.openShard()
		if err != nil {
			return err
		}
		newest, last := int64(0), int64(math.MinInt64)
		for i := range list {
			x := &list[i]
			newest = max(newest, x.id)
			if near := x.moment + indexBatch; last >= x.moment && last < near {
				x.moment = last + 1 // what came at once is the common case of what collides
			}
			moment, err := tx.takeMoment(x.moment, x.id, shard.id)
			if err != nil {
				return err
			}
			last = moment
			shard.add(moment)
			if _, err := tx.change(`INSERT INTO search (rowid, body, tags) VALUES (?, ?, ?)`, moment,
				inShard(shard.id, x.body), inShard(shard.id, conversationTag(x.conversation)+" "+senderTag(x.sender))); err != nil {
				return err
			}
		}
		if err := tx.keepShard(shard); err != nil {
			return err
		}
		if _, err := tx.change(`DELETE FROM unindexed WHERE message <= ?`, newest); err != nil {
			return err
		}
	}
}

// takeMoment gives a message a moment that no other has, at or soon after the
// one it would like. However many want the same, it takes few tries.
func (tx *Tx) takeMoment(want, id, shard int64) (int64, error) {
	for try := range int64(64) {
		moment := want + try
		if try >= 3 {
			moment = want + rand.Int64N(1<<min(try+6, 40))
		}
		n, err := tx.change(`INSERT INTO indexed (moment, message, shard) VALUES (?, ?, ?) ON CONFLICT (moment) DO NOTHING`, moment, id, shard)
		if err != nil || n > 0 {
			return moment, err
		}
	}
	return 0, fmt.Errorf("indexing a message: no moment is free")
}

// Reindex builds the search index anew: for one that is damaged.
func (s *Store) Reindex(ctx context.Context) error {
	return s.Update(ctx, func(tx *Tx) error {
		for _, sql := range []string{
			`INSERT INTO search (search) VALUES ('delete-all')`,
			`DELETE FROM indexed`,
			`DELETE FROM shard`,
			`DELETE FROM unindexed`,
			`INSERT INTO unindexed SELECT id FROM message WHERE kind = 0 AND body <> ''`,
		} {
			if _, err := tx.change(sql); err != nil {
				return err
			}
		}
		return tx.indexNew(1)
	})
}

// micros is a bound of a range of times; none where t is zero.
func micros(t time.Time, none int64) int64 {
	if t.IsZero() {
		return none
	}
	return t.UnixMicro()
}
