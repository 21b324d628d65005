package store

import "github.com/ncruces/go-sqlite3"

// AllUnread returns up to limit unread messages in the order in which they were
// stored, of one conversation or, if peer is "", of all.
func (tx *Tx) AllUnread(peer string, limit int) (list []Message, err error) {
	if limit <= 0 {
		return nil, nil
	}
	row := func(st *sqlite3.Stmt) { list = append(list, scanMessage(st)) }
	if peer == "" {
		err = tx.query(`SELECT `+messageColumns+` FROM message m JOIN conversation c ON c.id = m.conversation
			WHERE m.read = 0 ORDER BY m.id LIMIT ?`, row, limit)
	} else {
		err = tx.query(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
			WHERE c.peer = ? AND m.read = 0 ORDER BY m.id LIMIT ?`, row, peer, limit)
	}
	return list, err
}

// MarkTaken marks single messages as read. Those that are read already, or are not
// there any more, are left out without an error.
func (tx *Tx) MarkTaken(ids []int64) (newlyRead []Message, err error) {
	for _, id := range ids {
		n, err := tx.change(`UPDATE message SET read = 1 WHERE id = ? AND read = 0`, id)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			m, err := tx.Message(id)
			if err != nil {
				return nil, err
			}
			newlyRead = append(newlyRead, *m)
		}
		// What is urgent waits until it is acknowledged, as with MarkRead.
		if _, err := tx.change(`DELETE FROM waiting WHERE message = ? AND urgency = 0`, id); err != nil {
			return nil, err
		}
	}
	return newlyRead, nil
}
