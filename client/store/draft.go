package store

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// Draft is what is being written in a conversation and has not been sent.
type Draft struct {
	Text     string
	Message  int64 // the id of the message that it is about; 0: none
	Corrects bool  // it is to stand for that message (XEP-0308), not to answer it (XEP-0461)
}

// Draft returns what is being written in a conversation.
func (tx *Tx) Draft(peer string) (d Draft, err error) {
	_, err = tx.one(`SELECT draft, draft_message, draft_corrects FROM conversation WHERE peer = ?`,
		func(st *sqlite3.Stmt) {
			d = Draft{Text: st.ColumnText(0), Message: st.ColumnInt64(1), Corrects: st.ColumnBool(2)}
		}, peer)
	return d, err
}

// SetDraft keeps what is being written in a conversation; the zero Draft removes it.
func (tx *Tx) SetDraft(peer string, d Draft) error {
	if peer == "" {
		return fmt.Errorf("storing a draft: %w", errNoPeer)
	}
	_, err := tx.change(`INSERT INTO conversation (peer, draft, draft_message, draft_corrects) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET draft = excluded.draft, draft_message = excluded.draft_message, draft_corrects = excluded.draft_corrects`,
		peer, d.Text, d.Message, d.Corrects)
	return err
}

// forgetInDraft takes a message whose text is gone out of the draft that is about
// it. What was to correct it begins with its words, and goes with them.
func (tx *Tx) forgetInDraft(message int64) error {
	_, err := tx.change(`UPDATE conversation SET draft = CASE WHEN draft_corrects THEN '' ELSE draft END, draft_message = 0, draft_corrects = 0
		WHERE id = (SELECT conversation FROM message WHERE id = ?1) AND draft_message = ?1`, message)
	return err
}
