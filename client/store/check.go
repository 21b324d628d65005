package store

import (
	"context"
	"errors"

	"github.com/ncruces/go-sqlite3"
)

// Soundness is what Check found.
type Soundness struct {
	Pages    int      // that the database has
	PageSize int      // in bytes
	Messages int      // that are kept in it
	Problems []string // at most 20, as SQLite words them; none if it is sound
}

// maxProblems bounds how many of each kind are looked for.
const maxProblems = 10

// Check reads the whole database, as [PRAGMA integrity_check] and
// foreign_key_check do, and every page's checksum with it. It changes nothing,
// takes its turn like a View, and ends when ctx does. What is damaged beyond
// reading is a problem, not an error.
//
// [PRAGMA integrity_check]: https://sqlite.org/pragma.html#pragma_integrity_check
func (s *Store) Check(ctx context.Context) (Soundness, error) {
	var found Soundness
	note := func(problem string) { found.Problems = append(found.Problems, problem) }
	err := s.View(ctx, func(tx *Tx) error {
		number := func(into *int) func(*sqlite3.Stmt) {
			return func(st *sqlite3.Stmt) { *into = st.ColumnInt(0) }
		}
		foreign := 0
		return errors.Join(
			tx.query(`PRAGMA page_size`, number(&found.PageSize)),
			tx.query(`PRAGMA page_count`, number(&found.Pages)),
			tx.query(`PRAGMA integrity_check(10)`, func(st *sqlite3.Stmt) {
				if text := st.ColumnText(0); text != "ok" && len(found.Problems) < maxProblems {
					note(text)
				}
			}),
			tx.query(`PRAGMA foreign_key_check`, func(st *sqlite3.Stmt) {
				if foreign++; foreign <= maxProblems {
					note("a row of " + st.ColumnText(0) + " belongs to one of " + st.ColumnText(2) + " that is not there")
				}
			}),
			tx.query(`SELECT count(*) FROM message`, number(&found.Messages)),
		)
	})
	if errors.Is(err, ErrDamaged) {
		note("a page cannot be read")
		err = nil
	}
	return found, err
}
