package client

import (
	"testing"

	"sotto/client/stanza"
)

func TestForgeries(t *testing.T) {
	c, d := online(t)
	words := stanza.NewChat(ada, "x", stanza.Body("forged")).With("from", me+"/other")
	wrap := func(from, what string) *stanza.Element {
		return stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSCarbons, what,
			stanza.New(stanza.NSForward, "forwarded", words))).With("from", from).With("to", me+"/test")
	}
	d.deliver(wrap("eve@mercy.example", "sent"))
	d.deliver(wrap("eve@mercy.example/x", "received"))
	d.deliver(wrap(me+"/other", "sent"))
	d.deliver(result("guess", "a9", words).With("from", me))
	d.deliver(result("guess", "a9", words).With("from", "eve@mercy.example"))
	// A copy of a message between others, even from the own account.
	between := stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSCarbons, "sent", stanza.New(stanza.NSForward, "forwarded",
		stanza.NewChat(ada, "y", stanza.Body("forged")).With("from", "eve@mercy.example")))).With("from", me)
	d.deliver(between)
	// A device list from somebody else's client.
	d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
		stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList([]uint32{7}))).With("node", stanza.NodeDevices))).With("from", ada+"/phone"))
	// A roster push from somebody else.
	d.deliver(stanza.NewIQ("set", me+"/test", "push", stanza.New(stanza.NSRoster, "query",
		stanza.New(stanza.NSRoster, "item").With("jid", "eve@mercy.example").With("name", "forged"))).With("from", "eve@mercy.example"))
	d.deliver(wrap(me, "sent")) // the only true one
	wait(t, c, func(x MessageAdded) bool {
		return x.Message.Outgoing && x.Message.Body.String() == "forged" && !x.Message.Encrypted
	})
	list, err := c.Conversations(ctx)
	if err != nil || len(list) != 1 || list[0].Peer != ada {
		t.Errorf("conversations %+v, %v", list, err)
	}
	if got := bodies(t, c, ada); got != "forged" {
		t.Errorf("conversation is %q", got)
	}
	if devices, err := c.Devices(ctx, ada); err != nil || len(devices) != 0 {
		t.Errorf("devices %+v, %v", devices, err)
	}
}

func TestRepliesFromOthersDoNotCount(t *testing.T) {
	c := &Client{self: me}
	var err error
	if c, err = New(Config{Account: Account{Address: me}, Store: memoryStore(t), Link: nopConn{}}); err != nil {
		t.Fatal(err)
	}
	c.full = me + "/test"
	for _, x := range []struct {
		from, to string
		want     bool
	}{
		{"", "", true}, {me, "", true}, {me + "/test", "", true}, {"", me, true},
		{me + "/other", "", false}, {"mercy.example", "", false}, {ada, "", false}, {"@", "", false},
		{ada, ada, true}, {"OKAFOR@mercy.example", ada, true}, {"", ada, false}, {me, ada, false}, {ada + "/x", ada, false},
		{"mercy.example", "mercy.example", true}, {"", "mercy.example", false},
	} {
		if got := c.answers(x.from, x.to); got != x.want {
			t.Errorf("answers(%q, %q) = %v", x.from, x.to, got)
		}
	}
}

type nopConn struct{}

func (nopConn) Read([]byte) (int, error)    { select {} }
func (nopConn) Write(b []byte) (int, error) { return len(b), nil }
func (nopConn) Close() error                { return nil }
