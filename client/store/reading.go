package store

import (
	"errors"
	"fmt"
)

// ErrReading is returned for what ReadOnly does not let happen.
var ErrReading = errors.New("this was opened with the recovery key, for reading only: nothing is sent or removed. Who is to write opens it with a PIN")

const readingOnly = "opened for reading only"

// readingTriggers keep what people wrote and read as it is: nothing is sent, taken
// back or removed, and nothing counts as read. They are the connection's own.
const readingTriggers = `
CREATE TEMP TRIGGER reading_outbox BEFORE INSERT ON main.outbox BEGIN
	SELECT raise(ABORT, '` + readingOnly + `');
END;
CREATE TEMP TRIGGER reading_read BEFORE UPDATE OF read ON main.message BEGIN
	SELECT raise(IGNORE);
END;
CREATE TEMP TRIGGER reading_removed BEFORE DELETE ON main.message BEGIN
	SELECT raise(ABORT, '` + readingOnly + `');
END;
CREATE TEMP TRIGGER reading_draft BEFORE UPDATE OF draft ON main.conversation BEGIN
	SELECT raise(IGNORE);
END;
CREATE TEMP TRIGGER reading_waiting BEFORE DELETE ON main.waiting BEGIN
	SELECT raise(IGNORE);
END;
CREATE TEMP TRIGGER reading_trust BEFORE UPDATE OF trust ON main.device BEGIN
	SELECT raise(IGNORE);
END;
`

// ReadOnly has nothing sent from this database, and no message changed, until it is
// closed: somebody looks at what belongs to somebody else. What expires goes all the
// same, and the audit log is written.
func (s *Store) ReadOnly() error {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if s.conn == nil {
		return ErrClosed
	}
	if err := s.conn.Exec(readingTriggers); err != nil {
		return fmt.Errorf("opening the messages for reading only: %w", err)
	}
	return nil
}
