package store

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// MaxRecipients is how many recipients of one message are told apart.
const MaxRecipients = 2000

// Recipient is how far a message of ours has come with one of those who shall
// have it.
type Recipient struct {
	Address string // bare JID
	State   State
	Time    time.Time // when it came so far
}

// Progress sums up the recipients of a message.
type Progress struct {
	Of        int // recipients
	Sent      int // of those, who has come at least so far
	Delivered int
	Read      int
	Failed    int
}

// SetRecipients says who shall have a message that was just written; as Queued.
// Those who are known stay as they are.
func (tx *Tx) SetRecipients(messageID int64, addresses []string) error {
	if found, err := tx.one(`SELECT 1 FROM message WHERE id = ? AND outgoing`, func(*sqlite3.Stmt) {}, messageID); err != nil {
		return err
	} else if !found {
		return ErrUnknown
	}
	if len(addresses) > MaxRecipients {
		return fmt.Errorf("storing the recipients of a message: %d are more than %d", len(addresses), MaxRecipients)
	}
	now := time.Now()
	for _, a := range addresses {
		if a == "" {
			return fmt.Errorf("storing the recipients of a message: %w", errNoPeer)
		}
		if _, err := tx.change(`INSERT INTO recipient (message, address, state, time) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			messageID, a, int(Queued), now); err != nil {
			return err
		}
	}
	return nil
}

// SetRecipientState moves a message forward with one recipient, or, where the
// address is "", with all. It reports false, without an error, if that changes
// nothing: the message was not for that address, or has come further there. The
// message's own state stays as it is.
func (tx *Tx) SetRecipientState(messageID int64, address string, s State, at time.Time) (changed bool, err error) {
	// The same order as State.follows.
	var from [3]int
	switch s {
	case Queued:
		from = [3]int{int(Failed)}
	case Sent:
		from = [3]int{int(Queued)}
	case Delivered, Failed:
		from = [3]int{int(Queued), int(Sent)}
	case Read:
		from = [3]int{int(Queued), int(Sent), int(Delivered)}
	default:
		return false, nil
	}
	sql := `UPDATE recipient SET state = ?1, time = ?2 WHERE message = ?3 AND address = ?4 AND state IN (?5, ?6, ?7)`
	if address == "" {
		sql = `UPDATE recipient SET state = ?1, time = ?2 WHERE message = ?3 AND ?4 = '' AND state IN (?5, ?6, ?7)`
	}
	n, err := tx.change(sql, int(s), at, messageID, address, from[0], from[1], from[2])
	return n > 0, err
}

// Recipients returns how far a message has come with each recipient, by address.
func (tx *Tx) Recipients(messageID int64) (list []Recipient, err error) {
	err = tx.query(`SELECT address, state, time FROM recipient WHERE message = ? ORDER BY address`, func(st *sqlite3.Stmt) {
		list = append(list, Recipient{st.ColumnText(0), State(st.ColumnInt(1)), fromMicro(st.ColumnInt64(2))})
	}, messageID)
	return list, err
}

// Progress returns how far a message has come altogether, as for "delivered to 5
// of 7, read by 3". Of is 0 where there are no recipients to tell apart.
func (tx *Tx) Progress(messageID int64) (p Progress, err error) {
	_, err = tx.one(`SELECT count(*), count(*) FILTER (WHERE state BETWEEN ?2 AND ?4), count(*) FILTER (WHERE state BETWEEN ?3 AND ?4),
			count(*) FILTER (WHERE state = ?4), count(*) FILTER (WHERE state = ?5) FROM recipient WHERE message = ?1`,
		func(st *sqlite3.Stmt) {
			p = Progress{st.ColumnInt(0), st.ColumnInt(1), st.ColumnInt(2), st.ColumnInt(3), st.ColumnInt(4)}
		}, messageID, int(Sent), int(Delivered), int(Read), int(Failed))
	return p, err
}
