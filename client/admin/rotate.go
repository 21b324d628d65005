package admin

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/invitation"
	"sotto/client/org/signer"
	"sotto/client/stanza"
	"sotto/client/store"
)

// maxChanges is how many changes of the key are shown: relays keep no more.
const maxChanges = manyItems - 56

// Rotated says what a change of the key has left behind.
type Rotated struct {
	Invitations []invitation.Invitation // that were open, and are void
	Partners    []string                // whose agreements have to be made again
}

// Rotate replaces the organisation's key by a new one. What the old one has signed
// and is in force is signed again, word for word. Open invitations name the old key
// and are void, and agreements are with the old key and are over.
func (o *Organisation) Rotate(ctx context.Context, reason string) (*Rotated, error) {
	done := new(Rotated)
	err := o.change(ctx, "change the key", func(c *change) error {
		*done = Rotated{}
		next, err := signer.Generate(o.name)
		if err != nil {
			return err
		}
		r := org.Rotation{Number: o.anchor.Number + 1, Issued: c.now, From: o.anchor.Key, To: next.Public(), Reason: reason}
		b, err := r.Sign(o.key, next)
		if err != nil {
			return err
		}
		for _, i := range o.book.All() {
			if i.Open(c.now) {
				done.Invitations = append(done.Invitations, i)
			}
		}
		agreed, err := o.agreed(c.Tx)
		if err != nil {
			return err
		}
		for _, a := range agreed {
			if !a.Ended && a.Expires.After(c.now) {
				done.Partners = append(done.Partners, a.With.Name())
			}
		}
		c.touched, c.dirty, c.staff = true, true, true
		if o.anchor, err = o.anchor.Follow(b); err != nil {
			return err
		}
		if err := c.act(audit.Event{Reason: audit.Altered, Serial: r.Number, Ref: audit.IDOf(next.Public().Fingerprint().String())}); err != nil {
			return err
		}
		o.key, o.keys = next, append(slices.Clone(o.keys), next.Public())
		o.book = o.book.Renewed(o.anchor)
		if err := c.keepKey(); err != nil {
			return err
		}
		if err := c.keepBook(); err != nil {
			return err
		}
		if err := c.ForgetReplies(); err != nil {
			return err
		}
		items, err := c.Items("")
		if err != nil {
			return err
		}
		for _, it := range items {
			if err := c.again(it); err != nil {
				return fmt.Errorf("sign %s of %s again: %w", it.ID, it.Node, err)
			}
		}
		o.resetPartners()
		if err := c.PutItem(stanza.NodeKeys, stanza.NumberItem(r.Number), b); err != nil {
			return err
		}
		if r.Number > maxChanges { // who has missed more joins again
			if err := c.PutItem(stanza.NodeKeys, stanza.NumberItem(r.Number-maxChanges), nil); err != nil {
				return err
			}
		}
		if o.staff, err = o.readDirectory(c.Tx, "staff", stanza.NodeSnapshot, stanza.NodeDirectory); err != nil {
			return err
		}
		if p, err := c.Item(stanza.NodePolicy, stanza.ItemCurrent); err != nil {
			return err
		} else if o.policy, err = o.policy.Follow(p, o.anchor.Key); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// again signs a statement again, with the key of now.
func (c *change) again(it store.Item) error {
	switch it.Node {
	case stanza.NodeHead, stanza.NodeKeys: // a new one comes; each was signed by the keys of its time
		return nil
	case stanza.NodePolicy, stanza.NodeOrders, stanza.NodeDirectory, stanza.NodeSnapshot:
	default: // of partners: with keys that do not count any more
		return c.PutItem(it.Node, it.ID, nil)
	}
	s, err := org.Peek(it.Note)
	if err != nil {
		return err
	}
	b, err := note.Sign(&note.Note{Text: s.Text}, c.o.key)
	if err != nil {
		return err
	}
	if it.Node == stanza.NodeOrders {
		if n, ok := stanza.ReadNumberItem(it.ID); ok {
			if err := c.PutOrder(n, b); err != nil {
				return err
			}
		}
	}
	return c.PutItem(it.Node, it.ID, b)
}
