package store

import (
	"math"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"
)

// The search index consists of shards: each has some hundred thousand texts, in the
// order in which they were indexed. FTS5 reads all texts that have a word before
// it finds the newest that has a second one, or gathers all words that begin as
// one does; so a search asks one shard at a time, those with the newest texts
// first, and ends when no other can have newer ones than it has found.
//
// All of them are in one table of FTS5. A shard is a character at the beginning of
// each of its words, so what belongs to a shard stands together there.
const shardSize = 128 << 10 // texts

// The characters of shards are private, and no part of words.
const (
	firstShard = '\ue000'
	lastShard  = '\uf8ff'
)

// inShard marks a text, or words to look up, as belonging to a shard.
func inShard(id int64, text string) string { return string(shardMark(id)) + text }

func shardMark(id int64) rune {
	return firstShard + rune(min(max(id, 0), lastShard-firstShard))
}

// cutShard takes the mark off.
func cutShard(s string) (shard, text string) {
	if r, n := utf8.DecodeRuneInString(s); r >= firstShard && r <= lastShard {
		return s[:n], s[n:]
	}
	return "", s
}

// shard is a part of the search index.
type shard struct {
	id        int64
	low, high int64 // moments of the first and the last text that it has had
	texts     int   // how many it has had
}

func (s *shard) add(moment int64) {
	s.low, s.high = min(s.low, moment), max(s.high, moment)
	s.texts++
}

func scanShard(st *sqlite3.Stmt) shard {
	return shard{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2), st.ColumnInt(3)}
}

// openShard returns the shard to index into: the last one, or a new one when that
// is full.
func (tx *Tx) openShard() (*shard, error) {
	var s shard
	found, err := tx.one(`SELECT id, low, high, texts FROM shard ORDER BY id DESC LIMIT 1`, func(st *sqlite3.Stmt) { s = scanShard(st) })
	if err != nil {
		return nil, err
	}
	if (!found || s.texts >= tx.s.shardSize) && shardMark(s.id) < lastShard {
		s = shard{id: s.id + 1, low: math.MaxInt64, high: math.MinInt64}
	}
	return &s, nil
}

func (tx *Tx) keepShard(s *shard) error {
	_, err := tx.change(`INSERT INTO shard (id, low, high, texts) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT DO UPDATE SET low = ?2, high = ?3, texts = ?4`, s.id, s.low, s.high, s.texts)
	return err
}

// shardsIn returns the shards that may have texts of a range, those with the newest
// first.
func (tx *Tx) shardsIn(r *searchRange) (list []shard, err error) {
	err = tx.query(`SELECT id, low, high, texts FROM shard WHERE high >= ? AND low <= ? ORDER BY high DESC, id DESC`,
		func(st *sqlite3.Stmt) { list = append(list, scanShard(st)) }, r.low, r.high)
	return list, err
}
