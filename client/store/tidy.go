package store

import (
	"context"

	"github.com/ncruces/go-sqlite3"
)

const (
	tidyPages   = 64 // what one step of Tidy moves, in pages of 4 kB
	enoughParts = 4  // of the index, that a search may have to look through
)

// Tidy joins parts of the search index, as far as a short transaction goes (some
// milliseconds of work), and reports whether there is more to do. Searches in an
// index of few parts are several times as fast. Call it again and again when
// nobody waits for anything, once much was stored; stopping at any point loses
// nothing.
func (s *Store) Tidy(ctx context.Context) (more bool, err error) {
	err = s.Update(ctx, func(tx *Tx) error {
		more = false
		pages := tidyPages
		if !s.tidying {
			parts, err := tx.indexParts()
			if err != nil || parts <= enoughParts {
				return err
			}
			pages = -pages // all parts, and not only those of one size
		}
		before := s.conn.TotalChanges()
		if _, err := tx.change(`INSERT INTO search (search, rank) VALUES ('merge', ?)`, pages); err != nil {
			return err
		}
		// Less than two changes: nothing was left to join (FTS5 says so in its manual).
		more = s.conn.TotalChanges()-before >= 2
		s.tidying = more
		return nil
	})
	return more && err == nil, err
}

// indexParts counts the parts of the search index.
func (tx *Tx) indexParts() (n int, err error) {
	_, err = tx.one(`WITH RECURSIVE part (id) AS (SELECT min(segid) FROM search_idx
			UNION ALL SELECT (SELECT min(segid) FROM search_idx WHERE segid > part.id) FROM part WHERE part.id IS NOT NULL)
		SELECT count(id) FROM part`, func(st *sqlite3.Stmt) { n = st.ColumnInt(0) })
	return n, err
}
