// Package store is the encrypted database of one account: messages,
// conversations, the outbox, and everything OMEMO keeps between messages.
//
// It is SQLite in WAL mode with every page, WAL frame and temporary file
// enciphered by Adiantum, and a checksum in every page. Adiantum is a
// wide-block cipher: a changed bit anywhere makes the whole page noise, which
// the checksum notices. What it cannot notice is a whole page, or the whole
// file, put back to an older state.
//
// A message and the ratchet state that decrypted it belong into one [Store.Update],
// so that either both are on disk or neither is.
package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/awnumar/memguard"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// KeySize is the length of a database key in bytes.
const KeySize = 32

// Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	// turn holds one token; who has it may use what is below. A channel, so
	// that a caller who waits can be cancelled.
	turn chan struct{}

	conn    *sqlite3.Conn // nil once closed
	stmts   map[string]*sqlite3.Stmt
	vfsName string
	guard   *guard // nil in memory
	key     *memguard.LockedBuffer
	created bool
	tidying bool // a round of Tidy is under way
	purge   bool // text was removed, which has to go from the WAL, too
	plain   bool // a test's database in a file that can be read
	expired []Expired
	leaving []RemovedAttachment // by the transaction under way

	removedMu sync.Mutex
	removed   []RemovedAttachment

	shardSize, enoughTexts int // of the search index; tests have small ones
}

// Open opens the database at path, and creates it if there is none; its folder
// must exist. It takes over key (KeySize bytes), which stays in locked memory
// until Close, or is destroyed at once when Open fails.
//
// Only one process can have a database open. Errors that have a remedy match
// [ErrKey], [ErrDamaged], [ErrBusy], [ErrFull], [ErrReadOnly] or [ErrNewer].
func Open(ctx context.Context, path string, key *memguard.LockedBuffer) (*Store, error) {
	return open(ctx, path, key, vfs.Find(""))
}

// OpenMemory opens an empty database that is gone after Close.
func OpenMemory(ctx context.Context) (*Store, error) {
	conn, err := sqlite3.OpenContext(ctx, ":memory:")
	if err != nil {
		return nil, explain("opening a database in memory", err)
	}
	s := newStore(conn)
	if err := s.prepare(ctx, `PRAGMA foreign_keys=on`); err != nil {
		s.abandon()
		return nil, explain("setting up a database in memory", err)
	}
	return s, nil
}

func newStore(conn *sqlite3.Conn) *Store {
	s := &Store{turn: make(chan struct{}, 1), conn: conn, stmts: make(map[string]*sqlite3.Stmt), shardSize: shardSize, enoughTexts: enoughTexts}
	s.turn <- struct{}{}
	return s
}

// pragmas of a database in a file. It is locked exclusively before they are
// run, so the WAL index lives in memory and no -shm file is ever made.
const pragmas = `
PRAGMA journal_mode=wal;
PRAGMA synchronous=full;
PRAGMA fullfsync=on;
PRAGMA checkpoint_fullfsync=on;
PRAGMA secure_delete=on;
PRAGMA foreign_keys=on;
PRAGMA cell_size_check=on;
PRAGMA trusted_schema=off;
PRAGMA journal_size_limit=4194304;
PRAGMA cache_size=-8192;
`

func open(ctx context.Context, path string, key *memguard.LockedBuffer, base vfs.VFS) (*Store, error) {
	const doing = "opening the message database"
	if key == nil {
		return nil, fmt.Errorf("%s: there is no key", doing)
	}
	if key.Size() != KeySize {
		key.Destroy()
		return nil, fmt.Errorf("%s: the key is not %d bytes long", doing, KeySize)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		key.Destroy()
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if err := touch(abs); err != nil {
		key.Destroy()
		return nil, explain(doing, err)
	}
	name := "sotto-" + rand.Text()
	guard := new(guard)
	registerCipher(name, disk{base, guard}, key)
	conn, err := sqlite3.OpenContext(ctx, uri(abs, name))
	if err != nil {
		vfs.Unregister(name)
		key.Destroy()
		return nil, explain(doing, err)
	}
	s := newStore(conn)
	s.vfsName, s.key, s.guard = name, key, guard
	err = s.prepare(ctx, pragmas)
	if err == nil {
		err = syncFolder(filepath.Dir(abs))
	}
	if err == nil {
		s.expired, _, err = s.Expire(ctx, time.Now())
	}
	if err != nil {
		s.abandon()
		return nil, explain(doing, err)
	}
	return s, nil
}

// touch makes an empty file that only its owner can read, if there is none;
// SQLite gives the WAL the same permissions (modeof).
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// uri names the file for SQLite. The key is not in it: textkey only tells the
// cipher to use the key that it holds already.
func uri(abs, vfsName string) string {
	p := filepath.ToSlash(abs)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a Windows drive letter
	}
	q := url.Values{"vfs": {vfsName}, "textkey": {ownKey}, "modeof": {abs}}
	return (&url.URL{Scheme: "file", Path: p, RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20")}).String()
}

// syncFolder makes the names of new files survive a power cut.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // NTFS journals names; a folder cannot be opened for syncing
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// prepare sets the connection up and brings the schema up to date.
func (s *Store) prepare(ctx context.Context, pragmas string) error {
	s.conn.SetInterrupt(ctx)
	defer s.conn.SetInterrupt(context.Background())
	if err := s.conn.Exec("PRAGMA locking_mode=exclusive; PRAGMA temp_store=memory"); err != nil {
		return err
	}
	// Or each statement with a LIMIT is compiled anew whenever one is bound.
	if _, err := s.conn.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true); err != nil {
		return err
	}
	version, err := s.version() // the first page has been read: the key is the right one
	if err != nil {
		return err
	}
	if err := s.registerSearch(); err != nil {
		return err
	}
	if s.created = version == 0; s.created {
		// Room for a checksum in every page has to be there from the start.
		if err := s.conn.EnableChecksums("main"); err != nil {
			return err
		}
	}
	if err := s.conn.Exec(pragmas); err != nil {
		return err
	}
	if err := s.migrate(ctx, version); err != nil {
		return err
	}
	if err := s.conn.Exec("CREATE VIRTUAL TABLE temp.search_words USING fts5vocab('main', 'search', 'instance')"); err != nil {
		return err
	}
	return s.watchAttachments()
}

// Created reports whether Open found no database and made one.
func (s *Store) Created() bool { return s.created }

// Close waits for the transaction under way, closes the database and destroys
// its key. A process that ends without Close loses nothing.
// Later calls of Update and View return [ErrClosed]; of Close, nil.
func (s *Store) Close() error {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if s.conn == nil {
		return nil
	}
	return explain("closing the message database", s.abandon())
}

// abandon closes what is open. The cipher refers to the key until the
// connection is closed, so a connection that will not close keeps it.
func (s *Store) abandon() error {
	for _, st := range s.stmts {
		st.Close()
	}
	s.stmts = nil
	if err := s.conn.Close(); err != nil {
		return err
	}
	s.conn = nil
	if s.vfsName != "" {
		vfs.Unregister(s.vfsName)
	}
	if s.key != nil {
		s.key.Destroy()
	}
	return nil
}

// Update runs fn in a transaction that can write. If fn returns nil, what it
// did is on disk when Update returns nil; otherwise none of it is.
// Transactions run one at a time: fn must not call Update or View, and should
// do nothing slow. A ctx that ends while fn runs undoes the transaction.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	return s.transact(ctx, true, fn)
}

// View runs fn in a transaction that cannot write.
// It takes turns with Update, and the same rules hold for fn.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	return s.transact(ctx, false, fn)
}

func (s *Store) transact(ctx context.Context, write bool, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	if s.conn == nil {
		return ErrClosed
	}

	s.conn.SetInterrupt(ctx)
	defer s.conn.SetInterrupt(context.Background())
	begin := "BEGIN"
	if write {
		begin = "BEGIN IMMEDIATE"
	} else {
		defer s.guard.watch(ctx)()
	}
	tx := &Tx{s: s, ctx: ctx, write: write}
	if err := tx.exec(begin); err != nil {
		return err
	}
	done := false
	defer func() {
		tx.s = nil
		if !done {
			s.rollback()
		}
		s.keepRemoved(done)
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.writeLog(); err != nil {
		return err
	}
	if tx.grew {
		if err := tx.indexNew(indexBatch); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// From here on it is decided: an interrupted COMMIT would leave the caller
	// not knowing.
	s.conn.SetInterrupt(context.Background())
	if err := tx.exec("COMMIT"); err != nil { // or what doomed the transaction
		return err
	}
	done = true
	if s.purge {
		// It has come about all the same if this fails. It is tried again after the
		// next transaction, and by Purge.
		_ = s.emptyWAL()
	}
	return nil
}

// emptyWAL moves what was committed to where it belongs, and truncates the WAL with
// what was there before. Text that was removed is nowhere in the file then, as
// secure_delete has overwritten it.
func (s *Store) emptyWAL() error {
	if s.vfsName != "" || s.plain { // there is none in memory
		if _, _, err := s.conn.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE); err != nil {
			return explain("clearing what was removed from the message database", err)
		}
	}
	s.purge = false
	return nil
}

// Purge returns nil when nothing is left in the WAL of texts that were removed.
// Every Update that removes some tries that by itself; this is for who must know.
func (s *Store) Purge(ctx context.Context) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	switch {
	case s.conn == nil:
		return ErrClosed
	case !s.purge:
		return nil
	}
	return s.emptyWAL()
}

// rollback undoes the transaction, unless SQLite has done so by itself.
func (s *Store) rollback() {
	s.conn.SetInterrupt(context.Background())
	if s.conn.GetAutocommit() {
		return
	}
	if err := s.conn.Exec("ROLLBACK"); err != nil && !s.conn.GetAutocommit() {
		// Nothing can be trusted to be undone: refuse all further work. The
		// file keeps its last committed state.
		s.abandon()
	}
}
