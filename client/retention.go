package client

import (
	"time"

	"sotto/client/store"
)

// outdated has a message that is older than texts are kept here come without its
// text: it is never shown, and its sender is not told that it was delivered.
func (x *envelope) outdated(tx *store.Tx, row *store.Message) error {
	keep, err := tx.Retention()
	if err != nil || keep == 0 || row.Kind != store.Text {
		return err
	}
	if end := x.at.Add(keep); !end.After(time.Now()) {
		row.Expires, row.Body, row.Read = end, "", true
		x.ended = true
	}
	return nil
}
