package store

import "github.com/ncruces/go-sqlite3"

// directorySchema is the migration that brings the directories of organisations. An
// entry is a row, so that a change writes what it changes. Up to which update the
// rows are is a value (Value), in the same transaction.
const directorySchema = `
CREATE TABLE directory (
	name    TEXT NOT NULL,
	address TEXT NOT NULL,                    -- bare JID
	entry   TEXT NOT NULL,
	PRIMARY KEY (name, address)
) WITHOUT ROWID;
`

// DirectoryRows returns the entries of a directory, by address.
func (tx *Tx) DirectoryRows(name string) (entries []string, err error) {
	err = tx.query(`SELECT entry FROM directory WHERE name = ? ORDER BY address`,
		func(st *sqlite3.Stmt) { entries = append(entries, st.ColumnText(0)) }, name)
	return entries, err
}

// SetDirectoryRow keeps the entry of an address, in place of the one before.
func (tx *Tx) SetDirectoryRow(name, address, entry string) error {
	_, err := tx.change(`INSERT INTO directory (name, address, entry) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET entry = excluded.entry`, name, address, entry)
	return err
}

// ClearDirectory removes all entries of a directory.
func (tx *Tx) ClearDirectory(name string) error {
	_, err := tx.change(`DELETE FROM directory WHERE name = ?`, name)
	return err
}
