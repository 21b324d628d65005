package audit

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Storage is where a [Log] keeps itself: a transaction of the message database
// (store.Tx), so that an event is on disk together with what it tells of.
type Storage interface {
	// AuditSize returns how many events the log has had, removed ones included.
	AuditSize() (int64, error)

	// AppendAudit keeps event number seq, which is AuditSize's, and the hashes that
	// tlog stores for it, one after the other.
	AppendAudit(seq int64, line, hashes []byte) error

	// AuditHashes returns the hashes of event number seq; nil if they are gone.
	AuditHashes(seq int64) ([]byte, error)

	// AuditLines calls fn for each line that is still there, beginning with number
	// from, in their order, at most limit times.
	AuditLines(from int64, limit int, fn func(seq int64, line, hashes []byte)) error

	// PruneAudit removes the lines of all events before number before, and their
	// hashes but for those of the events in keep. It refuses to remove what is not
	// confirmed.
	PruneAudit(before int64, keep []int64) error

	// AuditState returns what SetAuditState kept; the zero State at first.
	AuditState() (State, error)
	SetAuditState(State) error
}

// State is what a log knows of itself beside its events.
type State struct {
	Checkpoint   []byte // the last that was signed, as it was signed; nil if none was
	Confirmation []byte // the last that the collector signed, too; nil if none was
	Confirmed    int64  // how many events the collector has
	Next         int64  // the first event that is to be sent to it
	First        int64  // the first event whose line is still here
}

// ErrPruned is what a proof, or a batch, would need that was removed.
var ErrPruned = errors.New("these events are no longer on this device: the collector has them")

// stored reads hashes from a Storage.
type stored struct{ s Storage }

// ReadHashes implements tlog.HashReader.
func (r stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		row, err := r.s.AuditHashes((n+1)<<level - 1)
		if err != nil {
			return nil, err
		}
		if row == nil {
			return nil, ErrPruned
		}
		if len(row) < (level+1)*tlog.HashSize {
			return nil, fmt.Errorf("reading the audit log: event %d has too few hashes", (n+1)<<level-1)
		}
		copy(list[i][:], row[level*tlog.HashSize:])
	}
	return list, nil
}
