package client

import (
	"sotto/client/store"
	"sotto/client/text"
)

// A recall is a message of its own only on its way. Here the line of the message
// that was taken back says who did so, and how far that has come.

// lineFor returns the message whose line shows a message: nearly always itself; of a
// recall, the one that it took back. It is nil if that cannot be found.
func lineFor(tx *store.Tx, row *store.Message) (*store.Message, error) {
	if row.Kind != store.Retraction {
		return row, nil
	}
	if shown, err := tx.IsShown(row.ID); err != nil || shown {
		return row, err
	}
	return targetOf(tx, row)
}

// ownRecall fills in how the own recall of a message stands.
func ownRecall(tx *store.Tx, r *store.Message, m *Message) error {
	recall, err := tx.RetractionOf(r.ID)
	if err != nil || recall == nil {
		return err
	}
	m.Recall = Recall{ID: recall.ID, State: recall.State}
	if recall.State == store.Queued || recall.State == store.Sent || recall.State == store.Failed {
		why, err := tx.Value(whyName(recall.ID))
		if err != nil {
			return err
		}
		m.Recall.Why = text.Line(string(why))
	}
	return nil
}
