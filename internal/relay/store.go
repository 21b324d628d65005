package relay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
)

// store is the SQLite database behind a relay. It belongs to one goroutine.
//
// Writes and failed reads do not return errors one by one: the first error
// sticks, and commit reports it and undoes everything since the last commit.
// The core hands nothing out before commit has succeeded, so a batch of stanzas
// either happened durably or did not happen.
type store struct {
	db     *sqlite3.Conn
	lock   *sqlite3.Conn // held by a running relay, nil otherwise
	stmts  map[string]*sqlite3.Stmt
	inTx   bool
	err    error
	lastID int64 // newest archive id given out
}

// openStore opens the database in folder dir, or one in memory if dir is empty.
// The folder is made if need be. Its files are readable by their owner only,
// whatever the umask and the folder: they hold who writes to whom.
func openStore(dir string) (*store, error) {
	name := ":memory:"
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the relay's data folder: %w", err)
		}
		name = filepath.Join(dir, "relay.db")
		if err := private(name, name+"-wal", name+"-shm", filepath.Join(dir, lockName)); err != nil {
			return nil, fmt.Errorf("open the relay's database: %w", err)
		}
	}
	db, err := sqlite3.OpenFlags(name, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, fmt.Errorf("open the relay's database: %w", err)
	}
	s := &store{db: db, stmts: map[string]*sqlite3.Stmt{}}
	err = s.setUp()
	if err == nil && dir != "" { // in a new folder the log is made only now
		err = private(name+"-wal", name+"-shm")
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open the relay's database: %w", err)
	}
	return s, nil
}

// private makes empty files that only their owner can read, and closes those
// that are there to others. SQLite would make its own as the umask lets it.
func private(paths ...string) error {
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = f.Chmod(info.Mode().Perm() &^ 0o077)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) setUp() (err error) {
	// synchronous=FULL syncs the log at every commit: what has been acknowledged
	// survives a power cut, not only a crash of the relay.
	err = s.db.Exec(`PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
		PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA secure_delete=FAST; PRAGMA cache_size=-16384;`)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginImmediate()
	if err != nil {
		return err
	}
	defer tx.End(&err)
	version := s.number(`PRAGMA user_version`)
	switch {
	case s.err != nil:
		err = s.err
	case version < 0 || version > int64(len(schema)):
		err = fmt.Errorf("its format is version %d, this program knows version %d", version, len(schema))
	default:
		for ; err == nil && version < int64(len(schema)); version++ {
			err = s.db.Exec(schema[version] + fmt.Sprintf(`PRAGMA user_version = %d;`, version+1))
		}
	}
	if err == nil {
		s.lastID = s.number(`SELECT coalesce(max(id), 0) FROM archive`)
		err = s.err
	}
	return err
}

// close ends without committing.
func (s *store) close() error {
	s.rollback()
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	errs = append(errs, s.db.Close())
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

func (s *store) fail(err error) {
	if err != nil && s.err == nil {
		s.err = err
	}
}

// exec runs one statement that writes, inside the transaction of the batch.
func (s *store) exec(sql string, args ...any) {
	if s.err == nil && !s.inTx {
		if err := s.db.Exec(`BEGIN IMMEDIATE`); err != nil {
			s.fail(err)
		} else {
			s.inTx = true
		}
	}
	s.each(sql, nil, args...)
}

// each runs sql and calls row for every row of its result until row returns
// false. Inside row no other statement with the same text may run.
func (s *store) each(sql string, row func(*sqlite3.Stmt) bool, args ...any) {
	if s.err != nil {
		return
	}
	st := s.stmts[sql]
	if st == nil {
		var err error
		st, _, err = s.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			s.fail(fmt.Errorf("%w in %q", err, sql))
			return
		}
		s.stmts[sql] = st
	}
	for i, a := range args {
		s.fail(bind(st, i+1, a))
	}
	if s.err == nil {
		for st.Step() {
			if row != nil && !row(st) {
				break
			}
		}
		s.fail(st.Err())
	}
	s.fail(errors.Join(st.Reset(), st.ClearBindings()))
}

func bind(st *sqlite3.Stmt, i int, a any) error {
	switch v := a.(type) {
	case int64:
		return st.BindInt64(i, v)
	case int:
		return st.BindInt(i, v)
	case string:
		return st.BindText(i, v)
	case []byte:
		if v == nil {
			return st.BindNull(i)
		}
		return st.BindBlob(i, v)
	case nil:
		return st.BindNull(i)
	}
	return fmt.Errorf("cannot bind a %T", a)
}

// number returns the first column of the first row, or 0.
func (s *store) number(sql string, args ...any) (n int64) {
	s.each(sql, func(st *sqlite3.Stmt) bool { n = st.ColumnInt64(0); return false }, args...)
	return n
}

// blob returns the first column of the first row, or nil.
func (s *store) blob(sql string, args ...any) (b []byte) {
	s.each(sql, func(st *sqlite3.Stmt) bool { b = st.ColumnBlob(0, []byte{}); return false }, args...)
	return b
}

// commit makes everything since the last commit durable, or undoes it and
// returns the first error there was.
func (s *store) commit() error {
	if s.err == nil && s.inTx {
		s.fail(s.db.Exec(`COMMIT`))
		s.inTx = s.err != nil
	}
	err := s.err
	if err != nil {
		s.rollback()
	}
	return err
}

func (s *store) rollback() {
	s.err = nil
	if s.inTx && !s.db.GetAutocommit() { // a full disk may have ended the transaction already
		s.err = s.db.Exec(`ROLLBACK`)
	}
	s.inTx = false
}

// meta returns a setting, or nil.
func (s *store) meta(key string) []byte { return s.blob(`SELECT value FROM meta WHERE key=?`, key) }

func (s *store) setMeta(key string, value []byte) {
	s.exec(`INSERT INTO meta VALUES(?,?) ON CONFLICT DO UPDATE SET value=excluded.value`, key, value)
}

// dataVersion changes when another process has written to the database.
func (s *store) dataVersion() int64 { return s.number(`PRAGMA data_version`) }
