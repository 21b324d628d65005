package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/audit"
)

// Tx is a transaction. It is valid until the function that got it returns, and
// only in that function's goroutine.
//
// Once a call has failed on the database (not merely found nothing), the
// transaction is doomed: every later call returns the same error, and so does
// the Update around it.
type Tx struct {
	s      *Store
	ctx    context.Context
	write  bool
	grew   bool // a text was added
	failed error

	log    *audit.Log // where logged goes
	logged []audit.Entry
}

// nullable binds "" as NULL, for columns where nothing must not equal nothing.
type nullable string

// exec runs a statement that returns no rows.
func (tx *Tx) exec(sql string, args ...any) error {
	return tx.query(sql, nil, args...)
}

// change is exec for what View must refuse. It returns how many rows changed.
func (tx *Tx) change(sql string, args ...any) (int64, error) {
	if !tx.write {
		return 0, ErrViewWrites
	}
	if err := tx.exec(sql, args...); err != nil {
		return 0, err
	}
	return tx.s.conn.Changes(), nil
}

// query runs a statement and calls row for each of its rows. row must not run
// the same statement. sql must be a constant: each is compiled once and kept.
func (tx *Tx) query(sql string, row func(*sqlite3.Stmt), args ...any) error {
	if tx.s == nil {
		return ErrEnded
	}
	if tx.failed != nil {
		return tx.failed
	}
	if err := tx.run(sql, row, args); err != nil {
		if ctxErr := interrupted(tx.ctx, err); ctxErr != err {
			tx.failed = ctxErr
		} else {
			tx.failed = explain(tx.doing(), err)
		}
		return tx.failed
	}
	return nil
}

func (tx *Tx) doing() string {
	if tx.write {
		return "writing to the message database"
	}
	return "reading the message database"
}

func (tx *Tx) run(sql string, row func(*sqlite3.Stmt), args []any) (err error) {
	st, ok := tx.s.stmts[sql]
	if !ok {
		st, _, err = tx.s.conn.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return err
		}
		tx.s.stmts[sql] = st
	}
	defer func() {
		// Reset repeats the error of the last Step. What was bound may be a
		// message's text, and is let go.
		if resetErr := st.Reset(); err == nil {
			err = resetErr
		}
		if len(args) > 0 {
			st.ClearBindings()
		}
	}()
	for i, arg := range args {
		if err := bind(st, i+1, arg); err != nil {
			return err
		}
	}
	for st.Step() {
		if row != nil {
			row(st)
		}
	}
	return st.Err()
}

func bind(st *sqlite3.Stmt, i int, arg any) error {
	switch v := arg.(type) {
	case string:
		return st.BindText(i, v)
	case nullable:
		if v == "" {
			return st.BindNull(i)
		}
		return st.BindText(i, string(v))
	case []byte:
		if v == nil {
			return st.BindNull(i)
		}
		return st.BindBlob(i, v)
	case int64:
		return st.BindInt64(i, v)
	case int:
		return st.BindInt(i, v)
	case uint32:
		return st.BindInt64(i, int64(v))
	case bool:
		return st.BindBool(i, v)
	case time.Time:
		return st.BindInt64(i, micro(v))
	}
	return fmt.Errorf("binding a %T", arg)
}

// blob copies a column out; nil when it is NULL.
func blob(st *sqlite3.Stmt, col int) []byte {
	if st.ColumnType(col) == sqlite3.NULL {
		return nil
	}
	return st.ColumnBlob(col, []byte{})
}

// one runs a query for at most one row, and reports whether there was one.
func (tx *Tx) one(sql string, row func(*sqlite3.Stmt), args ...any) (found bool, err error) {
	err = tx.query(sql, func(st *sqlite3.Stmt) {
		found = true
		row(st)
	}, args...)
	return found, err
}

// micro is how times are kept: microseconds since 1970 (UTC). The zero time is 0.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

var errNoPeer = errors.New("no address given")
