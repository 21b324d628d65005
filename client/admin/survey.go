package admin

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"sotto/client/stanza"
	"sotto/client/store"
)

// A head counts for the lease only where everything is that it names. So a relay that
// has lost one order locks every device, though it still shows the head: in each
// session, and every hour, each node is looked at, and what is missing published again.
// A new head follows: devices ask ever more seldom for what did not come.

// nodes returns the nodes of what the relay has taken, without that of the head.
func (o *Organisation) nodes(ctx context.Context) (nodes []string, err error) {
	err = o.st.View(ctx, func(tx *store.Tx) error {
		items, err := tx.Items("")
		for _, it := range items {
			if it.Node != stanza.NodeHead && !slices.Contains(nodes, it.Node) {
				nodes = append(nodes, it.Node)
			}
		}
		return err
	})
	return nodes, err
}

// compareNode has published again what a node should show and does not. It reports
// whether there is such a thing.
func (o *Organisation) compareNode(ctx context.Context, r Relay, node string) (again bool, err error) {
	var items []store.Item
	err = o.st.View(ctx, func(tx *store.Tx) (err error) {
		items, err = tx.Items(node)
		return err
	})
	if err != nil {
		return false, err
	}
	items = slices.DeleteFunc(items, func(it store.Item) bool { return !it.Published })
	lost, err := missing(ctx, r, node, items)
	if err != nil || len(lost) == 0 {
		return false, err
	}
	return true, o.st.Update(ctx, func(tx *store.Tx) error {
		for _, it := range lost {
			if err := tx.ItemLost(it); err != nil {
				return err
			}
		}
		return nil
	})
}

// missing returns those of a node's items that the relay does not have. It asks for
// the list of their ids (XEP-0060 section 5.5), and for an item itself where that is
// not on it: some relays do not list them.
func missing(ctx context.Context, r Relay, node string, items []store.Item) ([]store.Item, error) {
	listed := make(map[string]bool)
	if len(items) > 0 && items[0].ID != stanza.ItemCurrent { // of those what they say counts, too
		answer, err := asked(ctx, r, stanza.ItemsQuery(node))
		if err != nil {
			return nil, err
		}
		if answer != nil {
			list, _ := stanza.ReadDiscoItems(answer)
			for _, i := range list {
				listed[i.Name] = true
			}
		}
	}
	items = slices.DeleteFunc(items, func(it store.Item) bool { return listed[it.ID] })
	for i, it := range items {
		answer, err := asked(ctx, r, stanza.ItemRequest(node, it.ID))
		if err != nil {
			return nil, err
		}
		var note []byte
		if answer != nil {
			note, _ = stanza.ReadItemNote(answer, node, it.ID)
		}
		if !bytes.Equal(note, it.Note) {
			return items[i:], nil // the others are likely gone, too, and do no harm again
		}
	}
	return nil, nil
}

// asked asks the own account's relay. The answer is nil where it says that there is no
// such thing; an error may pass.
func asked(ctx context.Context, r Relay, payload *stanza.Element) (*stanza.Element, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	answer, err := r.Ask(ctx, "get", "", payload)
	if no, refused := errors.AsType[*stanza.StanzaError](err); refused && no.Type != "wait" {
		return nil, nil
	}
	return answer, err
}
