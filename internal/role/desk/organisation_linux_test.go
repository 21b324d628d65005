package desk

import (
	"context"
	"net"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/orgtest"
	"sotto/client/store"
)

// TestLease: a device that has not heard the organisation for too long is lost, and
// that which speaks for the organisation never is.
func TestLease(t *testing.T) {
	const contact = "sotto@mercy.example"
	for self, open := range map[string]bool{"ada@mercy.example": false, contact: true} {
		st, err := store.OpenMemory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		err = st.Update(context.Background(), func(tx *store.Tx) error {
			if _, err := omemo.Setup(tx); err != nil {
				return err
			}
			key := orgtest.New("mercy.example", "1")
			_, err := membership.Join(tx, org.NewAnchor(key.Key, 0), contact, self, time.Now().AddDate(0, -3, 0))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		link, other := net.Pipe()
		defer other.Close()
		c, err := client.New(client.Config{Account: client.Account{Address: self}, Store: st, Link: link})
		if err != nil {
			t.Fatal(err)
		}
		if words := lost(c); (words == "") != open {
			t.Errorf("%s: %q", self, words)
		}
	}
}
