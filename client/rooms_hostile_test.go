package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awnumar/memguard"
	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
	"sotto/client/store"
)

const (
	icu     = "icu@rooms.mercy.example"
	mallory = "mallory@mercy.example"
)

// lair is a room of a hostile relay, which answers what it likes.
type lair struct {
	*double
	c    *Client
	log  *journal
	ada  *remote
	list atomic.Pointer[[]stanza.RoomItem] // who belongs to it, by its word
	open atomic.Bool                       // it lets in more than members
}

func roomItem(who string, a stanza.Affiliation) stanza.RoomItem {
	return stanza.RoomItem{Affiliation: a, JID: jid.MustParse(who)}
}

// newLair is a client in a room with Ada.
func newLair(t *testing.T) *lair {
	t.Helper()
	l := &lair{double: newDouble(t), log: &journal{}}
	l.list.Store(&[]stanza.RoomItem{roomItem(me, stanza.Member), roomItem(ada, stanza.Owner)})
	l.hook, l.enters = l.answer, l.entered
	st := memoryStore(t)
	if err := st.Update(ctx, func(tx *store.Tx) error {
		return tx.PutRoom(store.Room{Address: icu, Name: "ICU", Nick: "ng", Joined: true})
	}); err != nil {
		t.Fatal(err)
	}
	l.ada = newRemote(t, l.double, ada)
	c, err := New(Config{Account: Account{Address: me, Password: memguard.NewBufferFromBytes([]byte("pw"))}, Store: st,
		Link: l.attach(1), Logger: slog.New(slog.NewTextHandler(l.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l.c = c
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); from(t, ended, "end of Run") })
	caught(t, c)
	l.published(c)
	eventually(t, "the client is in the room", func() bool { return l.ready() })
	return l
}

// ready reports whether the client would write there.
func (l *lair) ready() bool {
	return ofRun(l.t, l.c, func() bool { r := l.c.rooms[icu]; return r != nil && l.c.roomReady(icu) })
}

// relisted has the client ask anew who belongs to the room, and waits for the answers.
func (l *lair) relisted() {
	l.t.Helper()
	listing := func() bool { return ofRun(l.t, l.c, func() bool { return l.c.rooms[icu].listing }) }
	eventually(l.t, "nothing is being asked", func() bool { return !listing() })
	l.c.call(func() { l.c.askMembers(l.c.rooms[icu]) })
	eventually(l.t, "the room has said who belongs to it", func() bool { return !listing() })
}

// answer is what the relay says of the room; nil leaves it to the double.
func (l *lair) answer(iq *stanza.Element) *stanza.Element {
	if !strings.HasPrefix(iq.Get("to"), icu) {
		return nil
	}
	answer := stanza.NewIQ("result", "", iq.Get("id"), nil).With("to", me+"/test").With("from", iq.Get("to"))
	switch p := iq.Child("", ""); {
	case p.Is(stanza.NSDiscoInfo, "query"):
		features := []string{stanza.NSMUC, stanza.NSMAM, "muc_nonanonymous", "muc_persistent"}
		if !l.open.Load() {
			features = append(features, "muc_membersonly")
		}
		return answer.Add(stanza.Info{Identities: []stanza.Identity{{Category: "conference", Type: "text"}}, Features: features}.Element())
	case p.Is(stanza.NSMUCAdmin, "query"):
		want := p.Child(stanza.NSMUCAdmin, "item").Get("affiliation")
		var items []stanza.RoomItem
		for _, i := range *l.list.Load() {
			if string(i.Affiliation) == want {
				items = append(items, i)
			}
		}
		return answer.Add(stanza.RoomItemsResult(items))
	case p.Is(stanza.NSMAM, "query"):
		return answer.Add(stanza.New(stanza.NSMAM, "fin").With("complete", "true"))
	}
	return nil
}

// entered answers the presence that enters.
func (l *lair) entered(e *stanza.Element) {
	if e.Get("type") != "" {
		return
	}
	l.deliver(l.presence("okafor", roomItem(ada+"/phone", stanza.Owner)))
	l.deliver(l.presence("ng", roomItem(me+"/test", stanza.Member), stanza.StatusNonAnonymous, stanza.StatusSelf))
}

func (l *lair) presence(nick string, i stanza.RoomItem, status ...int) *stanza.Element {
	i.Role = stanza.Participant
	return stanza.New(stanza.NSClient, "presence", stanza.RoomUser{Items: []stanza.RoomItem{i}, Status: status}.Element()).
		With("from", icu+"/"+nick).With("to", me+"/test")
}

// said is a groupchat message as the room passes it on.
func (l *lair) said(nick, id string, children ...*stanza.Element) *stanza.Element {
	return stanza.NewGroupchat(me+"/test", id, children...).With("from", icu+"/"+nick)
}

// settledWith waits until the client has taken everything that it was given.
func (l *lair) settledWith() {
	l.t.Helper()
	eventually(l.t, "everything is stored and acknowledged", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.stored == l.seq
	})
}

// write sends a message to the room, accepting who reads, and returns the devices
// that it was encrypted to.
func (l *lair) write(body string) []string {
	l.t.Helper()
	_, err := l.c.Send(ctx, icu, body)
	if n, ok := errors.AsType[*NewReaders](err); ok {
		if err := l.c.AcceptReaders(ctx, n); err != nil {
			l.t.Fatal(err)
		}
		_, err = l.c.Send(ctx, icu, body)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return rids(l.sent(func(e *stanza.Element) bool { return e.Get("type") == "groupchat" && hasPayload(e) }))
}

func rids(e *stanza.Element) (list []string) {
	for k := range e.Child(stanza.NSOmemo, "encrypted").Child("", "header").Elements() {
		if k.Local == "key" {
			list = append(list, k.Get("rid"))
		}
	}
	return list
}

// TestRelayAddsMember has a relay put its own people into a room, in each of the
// ways that there are, also after somebody has pressed Enter.
func TestRelayAddsMember(t *testing.T) {
	l := newLair(t)
	spy := newRemote(t, l.double, mallory)
	own := fmt.Sprint(l.ada.dev.ID())
	if got := l.write("for Ada"); len(got) != 1 || got[0] != own {
		t.Fatalf("encrypted to %v", got)
	}
	for name, add := range map[string]func(){
		"by a message": func() {
			l.deliver(stanza.New(stanza.NSClient, "message", stanza.RoomUser{Items: []stanza.RoomItem{roomItem(mallory, stanza.Member)}}.Element()).
				With("from", icu).With("id", "x").With("to", me+"/test"))
		},
		"by presence": func() { l.deliver(l.presence("mallory", roomItem(mallory+"/spy", stanza.Member))) },
		"by the list": func() {
			l.list.Store(&[]stanza.RoomItem{roomItem(me, stanza.Member), roomItem(ada, stanza.Owner), roomItem(mallory, stanza.Member)})
			l.c.call(func() { l.c.askMembers(l.c.rooms[icu]) })
		},
	} {
		add()
		eventually(t, name+": it is pointed out", func() bool {
			s, err := l.c.Security(ctx, icu)
			return err == nil && s.Warn && s.New != nil && strings.Contains(s.Words.String(), "mallory")
		})
		_, err := l.c.Send(ctx, icu, "secret")
		n, ok := errors.AsType[*NewReaders](err)
		if !ok || len(n.Readers) != 1 || n.Readers[0].Address != mallory {
			t.Fatalf("%s: %+v, %v", name, n, err)
		}
		// And not to somebody else whom the relay adds while the person looks.
		l.deliver(l.presence("eve", roomItem(eve+"/spy", stanza.Member)))
		l.settledWith()
		if err := l.c.AcceptReaders(ctx, n); err != nil {
			t.Fatal(err)
		}
		_, err = l.c.Send(ctx, icu, "secret")
		if n, ok = errors.AsType[*NewReaders](err); !ok || len(n.Readers) != 1 || n.Readers[0].Address != eve {
			t.Fatalf("%s: accepted more than was shown: %+v, %v", name, n, err)
		}
		// Who was taken out and is put in again is new again.
		for _, who := range []string{mallory, eve} {
			l.deliver(stanza.New(stanza.NSClient, "message", stanza.RoomUser{Items: []stanza.RoomItem{roomItem(who, stanza.None)}}.Element()).
				With("from", icu).With("id", "y").With("to", me+"/test"))
		}
		l.settledWith()
		l.list.Store(&[]stanza.RoomItem{roomItem(me, stanza.Member), roomItem(ada, stanza.Owner)})
		if got := l.write("for Ada again"); len(got) != 1 || got[0] != own {
			t.Fatalf("%s: encrypted to %v", name, got)
		}
	}

	// Enter is pressed, and then, before anything is encrypted, the relay adds one.
	inside := make(chan struct{})
	l.c.call(func() { <-inside; l.c.rooms[icu].members[mallory] = true })
	if _, err := l.c.Send(ctx, icu, "pressed Enter"); err != nil {
		t.Fatal(err)
	}
	if err := l.c.store.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.PutMember(icu, store.Member{Address: mallory, Affiliation: "member"}, time.Now())
		if err == nil {
			err = tx.PutDevice(store.PeerDevice{Peer: mallory, ID: spy.dev.ID(), Trust: store.FirstUse, Active: true})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	close(inside)
	e := l.sent(func(e *stanza.Element) bool { return e.Get("type") == "groupchat" && hasPayload(e) })
	if got := rids(e); len(got) != 1 || got[0] != own {
		t.Fatalf("encrypted to %v", got)
	}
}

// TestForgeriesInRoom has the relay, and people outside, write in the name of
// others.
func TestForgeriesInRoom(t *testing.T) {
	l := newLair(t)
	l.write("hello")
	l.ada.start(l.double, l.c)
	genuine := func(id, body string) *stanza.Element {
		return l.ada.write(l.c, id, body).Child(stanza.NSOmemo, "encrypted")
	}
	spy := newRemote(t, l.double, mallory)
	spy.start(l.double, l.c)
	evil := func(body string) *stanza.Element { return spy.write(l.c, "z", body).Child(stanza.NSOmemo, "encrypted") }
	archivedAs := func(query, who string, enc *stanza.Element, a stanza.Affiliation) *stanza.Element {
		inner := l.said("okafor", rand.Text(), enc, stanza.RoomUser{Items: []stanza.RoomItem{roomItem(who, a)}}.Element())
		return result(query, rand.Text(), inner).With("from", icu)
	}
	for _, x := range []struct {
		name string
		e    *stanza.Element
		log  string
	}{
		{"nobody in the room", l.said("ghost", "f1", genuine("f1", "forged 1")), "nobody in the room"},
		{"plain text of nobody", l.said("ghost", "f3", stanza.Body("forged 3")), "nobody in the room"},
		{"a private message", l.said("okafor", "f4", stanza.Body("forged 4")).With("type", "chat"), "private message through a room"},
		{"an archive that nobody asked", archivedAs("made up", ada, genuine("f5", "forged 5"), stanza.Owner), "nobody asked for"},
		{"a copy", stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSCarbons, "received", stanza.New(stanza.NSForward, "forwarded",
			stanza.NewChat(me, "f6", stanza.Body("forged 6")).With("from", ada+"/phone")))).With("from", icu), "forged copy"},
		{"another room", stanza.NewGroupchat(me+"/test", "f7", stanza.Body("forged 7")).With("from", "other@rooms.mercy.example/okafor"), ""},
	} {
		l.deliver(x.e)
		l.settledWith()
		if x.log != "" && !strings.Contains(l.log.String(), x.log) {
			t.Errorf("%s: the log does not say %q", x.name, x.log)
		}
	}
	// Presence of somebody who does not belong to it, who then writes.
	l.deliver(l.presence("mallory", stanza.RoomItem{Affiliation: stanza.None, JID: jid.MustParse(mallory + "/spy")}))
	l.deliver(l.said("mallory", "f8", evil("forged 8")))
	l.settledWith()
	if !strings.Contains(l.log.String(), "does not belong to the room") {
		t.Error("a stranger's message is not in the log")
	}
	true1 := l.said("okafor", "t1", genuine("t1", "true 1"))
	l.deliver(true1)
	l.deliver(true1) // and once more
	l.deliver(l.said("okafor", "t1b", true1.Child(stanza.NSOmemo, "encrypted")))
	l.settledWith()
	got := bodies(t, l.c, icu)
	if strings.Count(got, "true 1") != 1 || strings.Contains(got, "forged") {
		t.Errorf("shown: %s", got)
	}
	// A device of the relay's own in Ada's name is shown as one that nobody trusts.
	l.deliver(l.said("okafor", "u1", evil("from a device of Ada's, it says")))
	// What Ada's device wrote in the name of somebody else is not shown at all.
	l.deliver(l.presence("eve", roomItem(eve+"/spy", stanza.Member)))
	l.deliver(l.said("eve", "f9", genuine("f9", "forged 9")))
	l.settledWith()
	for _, m := range messages(t, l.c, icu) {
		if m.Body.String() == "from a device of Ada's, it says" && !m.Untrusted {
			t.Error("a made up device counts as trusted")
		}
	}
	if got = bodies(t, l.c, icu); strings.Contains(got, "forged 9") || !strings.Contains(got, "One of the two is forged") {
		t.Errorf("shown: %s", got)
	}
	for _, peer := range []string{ada, mallory, "other@rooms.mercy.example"} {
		if got := bodies(t, l.c, peer); strings.Contains(got, "forged") {
			t.Errorf("shown in %s: %s", peer, got)
		}
	}
}

// TestRoomThatOpens has a room let in everybody, and one that has more people than
// can be written to.
func TestRoomThatOpens(t *testing.T) {
	l := newLair(t)
	l.write("hello")
	many := []stanza.RoomItem{roomItem(me, stanza.Member)}
	for i := range store.MaxMembers + 1 {
		many = append(many, roomItem(fmt.Sprintf("p%d@mercy.example", i), stanza.Member))
	}
	l.list.Store(&many)
	l.relisted()
	eventually(t, "nothing is sent there", func() bool { return !l.ready() })
	if list, err := l.c.Members(soon(t), icu); err != nil || len(list) != 2 {
		t.Errorf("%d members, %v", len(list), err)
	}
	whole := []stanza.RoomItem{roomItem(me, stanza.Member), {Affiliation: stanza.Owner, JID: jid.MustParse("mercy.example")}}
	l.list.Store(&whole)
	l.relisted()
	if l.ready() {
		t.Error("a whole domain may read, and the room is used")
	}
	back := []stanza.RoomItem{roomItem(me, stanza.Member), roomItem(ada, stanza.Owner)}
	l.list.Store(&back)
	l.relisted()
	eventually(t, "it can be used again", l.ready)

	l.open.Store(true)
	l.deliver(stanza.New(stanza.NSClient, "message", stanza.RoomUser{Status: []int{stanza.StatusConfigured}}.Element()).
		With("type", "groupchat").With("from", icu).With("to", me+"/test"))
	wait(t, l.c, func(n NoticeEvent) bool { return strings.Contains(n.Text.String(), "more than its members") })
	if _, err := l.c.Send(ctx, icu, "to whom?"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-l.messages:
		t.Errorf("sent to an open room: %s", e.Bytes())
	default:
	}
	if err := l.c.JoinRoom(soon(t), icu); err == nil || !strings.Contains(err.Error(), "more than its members") {
		t.Errorf("entered an open room: %v", err)
	}
	// Nor does the address of a person become a room.
	if err := l.c.store.Update(ctx, func(tx *store.Tx) error {
		return tx.PutDevice(store.PeerDevice{Peer: eve, ID: 7, Trust: store.FirstUse, Active: true})
	}); err != nil {
		t.Fatal(err)
	}
	l.deliver(stanza.New(stanza.NSClient, "message", stanza.DirectInvite(eve, "come")).With("from", ada+"/phone").With("id", "i1"))
	l.settledWith()
	if got := bodies(t, l.c, eve); got != "" {
		t.Errorf("invited into a person: %s", got)
	}
	if err := l.c.JoinRoom(soon(t), eve); err == nil {
		t.Error("entered a person")
	}
}
