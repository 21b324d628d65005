package client

import (
	"strings"
	"testing"

	"sotto/client/stanza"
	"sotto/client/store"
)

// TestBookmarkOfAPerson has a relay name a person's address, and the own one, as rooms
// to be in: then nothing that they write would be read as from them.
func TestBookmarkOfAPerson(t *testing.T) {
	d := newDouble(t)
	d.hook = func(iq *stanza.Element) *stanza.Element {
		answer := stanza.NewIQ("result", me+"/test", iq.Get("id"), nil)
		p := iq.Child("", "")
		switch {
		case p.Is(stanza.NSPubSub, "pubsub") && p.Child(stanza.NSPubSub, "items").Get("node") == stanza.NSBookmarks:
			items := stanza.New(stanza.NSPubSub, "items").With("node", stanza.NSBookmarks)
			for _, who := range []string{ada, me} {
				items.Add(stanza.New(stanza.NSPubSub, "item", stanza.New(stanza.NSBookmarks, "conference").With("autojoin", "true")).With("id", who))
			}
			return answer.Add(stanza.New(stanza.NSPubSub, "pubsub", items))
		case p.Is(stanza.NSDiscoInfo, "query") && (iq.Get("to") == ada || iq.Get("to") == me):
			return answer.With("from", iq.Get("to")).Add(stanza.Info{Identities: []stanza.Identity{{Category: "conference", Type: "text"}},
				Features: []string{stanza.NSMUC, "muc_nonanonymous", "muc_membersonly"}}.Element())
		}
		return nil
	}
	asked := make(chan string, 10)
	d.enters = func(p *stanza.Element) { asked <- p.Get("to") }
	st := memoryStore(t)
	r := newRemote(t, d, ada)
	if err := st.Update(ctx, func(tx *store.Tx) error {
		return tx.PutDevice(store.PeerDevice{Peer: ada, ID: r.dev.ID(), Trust: store.FirstUse})
	}); err != nil {
		t.Fatal(err)
	}
	c := run(t, st, d.attach(1))
	caught(t, c)
	d.published(c)
	eventually(t, "the bookmarks are here", func() bool {
		return ofRun(t, c, func() bool { return c.bookmarks != nil })
	})
	r.start(d, c)
	d.deliver(r.write(c, "m", "K is 6.8"))
	eventually(t, "what was written to this person is shown", func() bool { return strings.Contains(bodies(t, c, ada), "K is 6.8") })
	select {
	case to := <-asked:
		t.Errorf("entered %s", to)
	default:
	}
}
