package store

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/audit"
)

// Tx is where the audit log keeps itself, in the transaction of what it tells of.
var _ audit.Storage = (*Tx)(nil)

// auditSchema is the migration that brings the audit log. Its lines are written
// once, and go when the collector has them.
const auditSchema = `
CREATE TABLE audit (
	seq    INTEGER PRIMARY KEY,
	line   TEXT,                              -- NULL where it was removed, and the hashes are still of use
	hashes BLOB NOT NULL                      -- that tlog stores for it, one after the other
);
CREATE TABLE audit_state (
	one          INTEGER PRIMARY KEY CHECK (one = 1),
	checkpoint   BLOB,
	confirmation BLOB,
	confirmed    INTEGER NOT NULL,
	next         INTEGER NOT NULL,
	first        INTEGER NOT NULL
);
CREATE TRIGGER audit_kept BEFORE DELETE ON audit WHEN old.seq >= coalesce((SELECT confirmed FROM audit_state), 0) BEGIN
	SELECT raise(ABORT, 'the collector does not have this event');
END;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit WHEN new.line IS NOT NULL OR new.seq <> old.seq OR new.hashes <> old.hashes
		OR old.seq >= coalesce((SELECT confirmed FROM audit_state), 0) BEGIN
	SELECT raise(ABORT, 'the audit log is not changed');
END;
`

// Log adds an event to the audit log, in this transaction: it is written with the
// others of the transaction when that ends, and either all of it is on the disk or
// nothing. An error of writing it is Update's. The error of Log itself matches
// audit.ErrEvent: there is no such event, and nothing is added.
func (tx *Tx) Log(l *audit.Log, now time.Time, e audit.Event) error {
	if err := e.Check(); err != nil {
		return err
	}
	if !tx.write {
		return ErrViewWrites
	}
	if tx.log != nil && tx.log.Device() != l.Device() {
		return fmt.Errorf("writing the audit log: this transaction is of another device")
	}
	tx.log, tx.logged = l, append(tx.logged, audit.Entry{Time: now, Event: e})
	return nil
}

// writeLog writes what Log was given.
func (tx *Tx) writeLog() error {
	list := tx.logged
	if tx.logged = nil; len(list) == 0 {
		return nil
	}
	return tx.log.AppendAll(tx, list)
}

// AuditSize returns how many events the audit log has had.
func (tx *Tx) AuditSize() (size int64, err error) {
	if err := tx.writeLog(); err != nil {
		return 0, err
	}
	_, err = tx.one(`SELECT seq + 1 FROM audit ORDER BY seq DESC LIMIT 1`, func(st *sqlite3.Stmt) { size = st.ColumnInt64(0) })
	return size, err
}

// AppendAudit keeps event number seq, which must be AuditSize's, and its hashes.
func (tx *Tx) AppendAudit(seq int64, line, hashes []byte) error {
	n, err := tx.change(`INSERT INTO audit (seq, line, hashes)
		SELECT ?1, ?2, ?3 WHERE ?1 = coalesce((SELECT max(seq) + 1 FROM audit), 0)`, seq, string(line), hashes)
	if err == nil && n == 0 {
		return fmt.Errorf("writing the audit log: event %d is not the next", seq)
	}
	return err
}

// AuditHashes returns the hashes of event number seq; nil if they are gone.
func (tx *Tx) AuditHashes(seq int64) (hashes []byte, err error) {
	_, err = tx.one(`SELECT hashes FROM audit WHERE seq = ?`, func(st *sqlite3.Stmt) { hashes = blob(st, 0) }, seq)
	return hashes, err
}

// AuditLines calls fn for each line that is still there, from number from on, at
// most limit times. What fn is given is its own.
func (tx *Tx) AuditLines(from int64, limit int, fn func(seq int64, line, hashes []byte)) error {
	return tx.query(`SELECT seq, line, hashes FROM audit WHERE seq >= ? AND line IS NOT NULL ORDER BY seq LIMIT ?`,
		func(st *sqlite3.Stmt) { fn(st.ColumnInt64(0), []byte(st.ColumnText(1)), blob(st, 2)) }, from, limit)
}

// PruneAudit removes the lines of events before number before, and their hashes
// but for those of the events in keep. The schema refuses to remove what
// State.Confirmed does not cover.
func (tx *Tx) PruneAudit(before int64, keep []int64) error {
	state, err := tx.AuditState()
	if err != nil {
		return err
	}
	if before > state.Confirmed {
		return fmt.Errorf("removing old audit events: the collector has only %d of %d", state.Confirmed, before)
	}
	for _, seq := range keep {
		if _, err := tx.change(`UPDATE audit SET line = NULL WHERE seq = ? AND seq < ?`, seq, before); err != nil {
			return err
		}
	}
	// What keep names has no line any more, and what an earlier call kept may go now.
	from := int64(0)
	for _, seq := range append(keep, before) {
		if _, err := tx.change(`DELETE FROM audit WHERE seq >= ? AND seq < ?`, from, min(seq, before)); err != nil {
			return err
		}
		from = seq + 1
	}
	return nil
}

// AuditState returns what SetAuditState kept.
func (tx *Tx) AuditState() (s audit.State, err error) {
	_, err = tx.one(`SELECT checkpoint, confirmation, confirmed, next, first FROM audit_state`, func(st *sqlite3.Stmt) {
		s = audit.State{Checkpoint: blob(st, 0), Confirmation: blob(st, 1), Confirmed: st.ColumnInt64(2), Next: st.ColumnInt64(3), First: st.ColumnInt64(4)}
	})
	return s, err
}

// SetAuditState keeps what the audit log knows of itself.
func (tx *Tx) SetAuditState(s audit.State) error {
	_, err := tx.change(`INSERT INTO audit_state (one, checkpoint, confirmation, confirmed, next, first) VALUES (1, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET checkpoint = excluded.checkpoint, confirmation = excluded.confirmation,
			confirmed = excluded.confirmed, next = excluded.next, first = excluded.first`,
		s.Checkpoint, s.Confirmation, s.Confirmed, s.Next, s.First)
	return err
}
