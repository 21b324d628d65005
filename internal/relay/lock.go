package relay

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
)

const lockName = "relay.lock"

// lockFolder makes sure that one relay at a time runs on a data folder, whose
// sessions are in memory. It holds an exclusive lock on a database of its own,
// which works on every system and goes with the process.
func lockFolder(dir string) (*sqlite3.Conn, error) {
	db, err := sqlite3.OpenFlags(filepath.Join(dir, lockName), sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	if err != nil {
		return nil, fmt.Errorf("lock the relay's data folder: %w", err)
	}
	if err := db.Exec(`PRAGMA busy_timeout=0; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE`); err != nil {
		err = errors.Join(err, db.Close())
		if errors.Is(err, sqlite3.BUSY) {
			return nil, errors.New("another relay is running on this data folder")
		}
		return nil, fmt.Errorf("lock the relay's data folder: %w", err)
	}
	return db, nil
}
