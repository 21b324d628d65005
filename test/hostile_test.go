package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/hostile"
)

const (
	ada     = "ada@mercy.example"
	per     = "per@mercy.example"
	mallory = "mallory@mercy.example" // the relay's own
	eve     = "eve@elsewhere.example"
)

// journal is a log that can be looked at.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// siege is two whole sottos, desk and link each, whose relay is hostile. The relay
// is after Per.
type siege struct {
	*hostile.Relay
	t        *testing.T
	ctx      context.Context
	ada, per *headless.Sotto
	log      *journal        // Per's
	said     map[string]bool // what Ada has written
	clear    map[string]bool // what the relay has written in the clear
	n        int
	rng      *mathrand.Rand
	room     string
	fake     *hostile.Device // which the relay says is Ada's
	shown    map[string]bool // what Per was shown so far: some of it goes with time
}

func besieged(t *testing.T) *siege {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	s := &siege{
		Relay: hostile.Start(t, "ada", "per", "mallory"), t: t, ctx: ctx, log: &journal{}, said: map[string]bool{}, clear: map[string]bool{}, shown: map[string]bool{},
		rng: mathrand.New(mathrand.NewPCG(7, 7)),
	}
	open := func(name string, log *slog.Logger) *headless.Sotto {
		st, err := store.OpenMemory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h, err := headless.Start(headless.Account{Address: name + "@" + s.Domain, Password: "password of " + name, Relay: s.URL, Logger: log}, st)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := h.Close(); err != nil {
				t.Errorf("ending %s: %v", name, err) // also where it has crashed
			}
		})
		if err := h.Online(ctx); err != nil {
			t.Fatal(err)
		}
		return h
	}
	s.ada, s.per = open("ada", nil), open("per", slog.New(slog.NewTextHandler(s.log, nil)))
	for _, x := range []struct {
		h    *headless.Sotto
		peer string
	}{{s.ada, per}, {s.per, ada}} {
		if err := x.h.Until(ctx, "seeing the other's device", func() (bool, error) {
			security, err := x.h.Security(ctx, x.peer)
			return security.Devices == 1, err
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.fake = hostile.NewDevice(t)
	s.true()
	if _, err := s.per.Send(ctx, ada, "mine"); err != nil {
		t.Fatal(err)
	}
	sees(t, ctx, s.ada, per, "mine")
	return s
}

// writes has Ada write something.
func (s *siege) writes() string {
	s.t.Helper()
	s.n++
	body := fmt.Sprintf("true %d", s.n)
	s.said[body] = true
	if _, err := s.ada.Send(s.ctx, per, body); err != nil {
		s.t.Fatal(err)
	}
	return body
}

// true has Ada write something and Per read it. With it, all that was sent to Per
// before has been dealt with.
func (s *siege) true() *stanza.Element {
	s.t.Helper()
	sees(s.t, s.ctx, s.per, ada, s.writes())
	all := s.Heard(per)
	for _, e := range slices.Backward(all) {
		if e.Child(stanza.NSOmemo, "encrypted").Child("", "payload") != nil {
			return e
		}
	}
	s.t.Fatal("no message went through the relay")
	return nil
}

// holds keeps what matches from going to Per, and hands it over.
func (s *siege) holds(matches func(*stanza.Element) bool) <-chan *stanza.Element {
	held := make(chan *stanza.Element, 100)
	s.Set(func(way hostile.Way, who string, e *stanza.Element) []*stanza.Element {
		if way == hostile.Down && who == per && matches(e) {
			held <- e
			return nil
		}
		return []*stanza.Element{e}
	})
	return held
}

// next waits for what is held next.
func next[T any](s *siege, held <-chan T) (e T) {
	s.t.Helper()
	select {
	case e = <-held:
	case <-s.ctx.Done():
		s.t.Fatal("nothing came that could be held: ", s.ctx.Err())
	}
	return e
}

func encrypted(e *stanza.Element) bool {
	return e.Local == "message" && e.Get("type") == "chat" && e.Child(stanza.NSOmemo, "encrypted").Child("", "payload") != nil
}

// from is a copy under another sender.
func from(e *stanza.Element, who string) *stanza.Element {
	return hostile.Copy(e).With("from", who)
}

func carbonOf(from, what string, inner *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSCarbons, what, stanza.New(stanza.NSForward, "forwarded", inner))).
		With("from", from).With("to", per)
}

func resultOf(query string, m *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSMAM, "result",
		stanza.New(stanza.NSForward, "forwarded", stanza.New(stanza.NSDelay, "delay").With("stamp", "2026-11-21T19:02:00Z"), m)).
		With("queryid", query).With("id", "z"+m.Get("id"))).With("to", per)
}

func plain(who, text string) *stanza.Element {
	return stanza.NewChat(per, "forged", stanza.Body(text)).With("from", who)
}

// attacks is what the relay does, and what is seen of it: words in Per's log, on
// Per's screen. "" is for what a relay may do, or is made harmless where it is shown:
// of messages in another order nothing is to be told, and of controls, which any text
// can have, what is on Per's screen after each attack is looked at.
var attacks = []struct {
	name, seen string
	do         func(s *siege)
}{
	{"replays a message", "log: message repeated", func(s *siege) {
		e := s.true()
		again := hostile.Copy(e).With("id", "another")
		for _, x := range again.Children {
			if x.Is(stanza.NSStanzaID, "origin-id") {
				x.Set("id", "another")
			}
		}
		s.Inject(per, e, e, again, carbonOf(per, "received", e), hostile.Copy(e).Add(stanza.New(stanza.NSDelay, "delay").With("stamp", "2020-01-01T00:00:00Z")))
	}},
	{"duplicates everything", "log: message repeated", func(s *siege) {
		s.Set(func(way hostile.Way, who string, e *stanza.Element) []*stanza.Element {
			if e.Local == "message" {
				return []*stanza.Element{e, e, e}
			}
			return []*stanza.Element{e, e}
		})
		for range 4 {
			s.true()
		}
	}},
	{"reorders messages", "", func(s *siege) {
		held := s.holds(encrypted)
		var all []*stanza.Element
		for range 5 {
			s.writes()
			all = append(all, next(s, held))
		}
		s.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		s.Set(nil)
		s.Inject(per, all...)
	}},
	{"drops a message", "Ada's screen: sent", func(s *siege) {
		held := s.holds(encrypted)
		body := s.writes()
		id := next(s, held).Get("id")
		s.holds(func(e *stanza.Element) bool { return e.Get("id") == id }) // also when Ada repeats it
		s.true()
		if err := s.ada.Until(s.ctx, "delivery of what came", func() (bool, error) {
			all, err := s.ada.Conversation(s.ctx, per)
			i := slices.IndexFunc(all, func(m client.Message) bool { return m.Body.String() == body })
			if i >= 0 && all[i].State > store.Sent {
				return false, fmt.Errorf("what was dropped is shown as %v", all[i].State)
			}
			return all[len(all)-1].State == store.Delivered, err
		}); err != nil {
			s.t.Error(err)
		}
	}},
	{"forges senders", "log: message not decrypted", func(s *siege) {
		held := s.holds(encrypted)
		s.writes()
		e := next(s, held)
		s.Set(nil)
		for _, who := range []string{eve + "/x", s.Domain, mallory + "/x", ada + ".example/x", "@", per + "/other"} {
			s.Inject(per, from(e, who))
		}
		s.Inject(per, e)
	}},
	{"alters messages", "screen: damaged or altered on its way", func(s *siege) {
		held := s.holds(encrypted)
		for i := range 5 {
			s.writes()
			e := next(s, held)
			enc := e.Child(stanza.NSOmemo, "encrypted")
			h := enc.Child("", "header")
			switch i {
			case 0:
				enc.Child("", "payload").Children[0].Data = "AAAA"
			case 1:
				h.Child("", "iv").Children[0].Data = "AAAAAAAAAAAAAAAA"
			case 2:
				k := h.Child("", "key").Children[0]
				k.Data = strings.ToUpper(k.Data)
			case 3:
				h.Set("sid", "99999999999")
			case 4:
				h.Child("", "key").Set("rid", "7")
			}
			s.Inject(per, e)
		}
		s.Set(nil)
	}},
	{"empties a message, and sends it whole afterwards", "screen: its key was used before", func(s *siege) {
		held := s.holds(encrypted)
		s.writes()
		e := next(s, held)
		s.Set(nil)
		x := hostile.Copy(e)
		enc := x.Child(stanza.NSOmemo, "encrypted")
		enc.Children = slices.DeleteFunc(enc.Children, func(c *stanza.Element) bool { return c.Local == "payload" })
		s.Inject(per, x, e)
	}},
	{"writes in the clear in Ada's name", "screen: came without encryption", func(s *siege) {
		for i, text := range []string{"!stat Bed 9 to theatre now", "!ack", "!urgent call me"} {
			s.clear[text] = true
			s.Inject(per, plain(ada+"/phone", text).With("id", fmt.Sprint("clear", s.n, i)).Add(stanza.UrgencyHigh()))
		}
	}},
	{"strips the encryption and writes something else", "screen: came without encryption", func(s *siege) {
		held := s.holds(encrypted)
		s.writes()
		e := next(s, held)
		s.Set(nil)
		text := fmt.Sprint("instead of it ", s.n)
		s.clear[text] = true
		s.Inject(per, plain(e.Get("from"), text).With("id", e.Get("id")))
	}},
	{"swaps a device list", "screen: Ada has a new device", func(s *siege) {
		s.Set(func(way hostile.Way, who string, e *stanza.Element) []*stanza.Element {
			if way == hostile.Up && who == per && e.Get("to") == ada && e.Get("type") == "get" {
				items := e.Child(stanza.NSPubSub, "pubsub").Child("", "items")
				if items != nil && items.Get("node") == stanza.NodeBundle(s.fake.ID()) {
					s.Inject(per, stanza.NewIQ("result", s.Full(per), e.Get("id"), stanza.New(stanza.NSPubSub, "pubsub", stanza.New(stanza.NSPubSub, "items",
						stanza.New(stanza.NSPubSub, "item", s.fake.Bundle()).With("id", "current")).With("node", items.Get("node")))).With("from", ada))
					return nil
				}
			}
			return []*stanza.Element{e}
		})
		s.Inject(per, stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
			stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList([]uint32{s.fake.ID(), s.ada.Self().Device})).With("id", "current")).With("node", stanza.NodeDevices))).
			With("from", ada))
		if err := s.per.Until(s.ctx, "seeing the device that the relay adds", func() (bool, error) {
			x, err := s.per.Security(s.ctx, ada)
			return x.Undecided == 1 && x.Warn, err
		}); err != nil {
			s.t.Fatal(err)
		}
		s.secret(ada, ada, "for Ada's own device")
		// And what that device writes is not Ada's, it says.
		s.Set(nil)
	}},
	{"answers in the place of others", "log: reply from somebody who was not asked", func(s *siege) {
		s.Set(func(way hostile.Way, who string, e *stanza.Element) []*stanza.Element {
			if way == hostile.Up && who == per && e.Local == "iq" && e.Get("type") == "get" && e.Get("to") == eve {
				lie := stanza.New(stanza.NSPubSub, "pubsub", stanza.New(stanza.NSPubSub, "items",
					stanza.New(stanza.NSPubSub, "item", stanza.DeviceList([]uint32{s.fake.ID()})).With("id", "current")).With("node", stanza.NodeDevices))
				for _, from := range []string{mallory, mallory + "/x", s.Domain, per, eve + "/x"} {
					s.Inject(per, stanza.NewIQ("result", s.Full(per), e.Get("id"), lie).With("from", from))
				}
			}
			return []*stanza.Element{e}
		})
		m, err := s.per.Send(s.ctx, eve, "to somebody elsewhere")
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.per.Until(s.ctx, "asking for eve's devices", func() (bool, error) {
			return strings.Contains(s.log.String(), "not asked"), nil
		}); err != nil {
			s.t.Error(err)
		}
		if security, err := s.per.Security(s.ctx, eve); err != nil || security.Devices != 0 {
			s.t.Errorf("a stranger's answer counts: %+v, %v", security, err)
		}
		if err := errors.Join(s.per.Withdraw(s.ctx, eve, m.ID), s.per.Forget(s.ctx, eve)); err != nil {
			s.t.Error(err)
		}
		s.Set(nil)
	}},
	{"pushes contacts, and answers what nobody asked", "log: roster push from somebody else", func(s *siege) {
		item := stanza.New(stanza.NSRoster, "query", stanza.New(stanza.NSRoster, "item").With("jid", eve).With("name", "forged").With("subscription", "both"))
		s.Inject(per, stanza.NewIQ("set", s.Full(per), "push", item).With("from", mallory), stanza.NewIQ("result", s.Full(per), "guess", item).With("from", per))
	}},
	{"sends what is too large", "log: larger than 1 MiB", func(s *siege) {
		s.breaks(func() {
			s.Raw(per, fmt.Appendf(nil, `<message xmlns="jabber:client" from="%s/x"><body>%s</body></message>`, ada, strings.Repeat("x", 4<<20)))
		})
	}},
	{"sends what is too deep", "log: nested too deep", func(s *siege) {
		s.breaks(func() {
			s.Raw(per, []byte(`<message xmlns="jabber:client">`+strings.Repeat("<x>", 20000)+strings.Repeat("</x>", 20000)+`</message>`))
		})
	}},
	{"sends no XML", "log: broken XML", func(s *siege) {
		for _, what := range []string{`<!DOCTYPE x [<!ENTITY a "b">]><message xmlns="jabber:client"><body>&a;</body></message>`, "\x00\xff<<<"} {
			s.breaks(func() { s.Raw(per, []byte(what)) })
		}
	}},
	{"forges copies", "log: forged copy of a message", func(s *siege) {
		words := plain(per+"/other", "forged").With("to", ada)
		for _, who := range []string{eve, mallory + "/x", s.Domain, ada, per + "/other"} {
			s.Inject(per, carbonOf(who, "sent", words), carbonOf(who, "received", plain(ada+"/x", "forged")))
		}
		s.Inject(per, carbonOf(per, "sent", plain(eve+"/x", "forged")), carbonOf(per, "received", plain(eve+"/x", "forged").With("to", ada)))
	}},
	{"invents results of the archive", "log: archived message that nobody asked for", func(s *siege) {
		words := plain(ada+"/phone", "forged")
		s.Inject(per, resultOf("guess", words), resultOf("", words), resultOf("guess", words).With("from", eve), resultOf("guess", words).With("from", per))
	}},
	{"puts messages of others into the archive", "log: archived message between others", func(s *siege) {
		e := s.true()
		var asked atomic.Bool
		s.Set(func(way hostile.Way, who string, x *stanza.Element) []*stanza.Element {
			q := x.Child(stanza.NSMAM, "query")
			if way == hostile.Up && who == per && q != nil && x.Get("to") == "" {
				asked.Store(true)
				s.Inject(per, resultOf(q.Get("queryid"), plain(eve+"/x", "forged").With("to", ada)), resultOf(q.Get("queryid"), from(e, eve+"/x")),
					resultOf(q.Get("queryid"), e), resultOf(q.Get("queryid"), hostile.Copy(e).With("id", "new id")))
			}
			return []*stanza.Element{x}
		})
		s.breaks(s.CutAll)
		if err := s.per.Until(s.ctx, "asking for the archive", func() (bool, error) { return asked.Load() && s.per.State().CaughtUp, nil }); err != nil {
			s.t.Error(err)
		}
	}},
	{"confirms what was not sent, and as somebody else", "log: confirmation ignored", func(s *siege) {
		held := make(chan string, 100)
		s.Set(func(way hostile.Way, who string, e *stanza.Element) []*stanza.Element {
			if way == hostile.Up && who == per && encrypted(e) {
				held <- e.Get("id")
				return nil // and it is not even delivered
			}
			return []*stanza.Element{e}
		})
		m, err := s.per.Send(s.ctx, ada, "mine, not confirmed")
		if err != nil {
			s.t.Fatal(err)
		}
		id := next(s, held)
		for _, what := range []*stanza.Element{stanza.Received(id), stanza.Displayed(id)} {
			for _, who := range []string{eve + "/x", mallory + "/x", s.Domain, ada, per + "/other", ada + ".example/x"} {
				s.Inject(per, stanza.NewChat(per, "r", what).With("from", who), carbonOf(who, "received", stanza.NewChat(per, "r", what).With("from", ada+"/x")))
			}
		}
		s.Inject(per, stanza.NewChat(per, "r", stanza.Received("nothing"), stanza.Displayed("nothing")).With("from", ada+"/x"))
		for _, e := range s.Heard(per) { // what she wrote herself
			s.Inject(per, stanza.NewChat(per, "r", stanza.Received(e.Get("id")), stanza.Displayed(e.Get("id"))).With("from", ada+"/x"))
		}
		s.Set(nil)
		s.true()
		all, err := s.per.Conversation(s.ctx, ada)
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range all {
			if all[i].ID == m.ID && all[i].State > store.Sent {
				s.t.Errorf("shown as %v", all[i].State)
			}
		}
	}},
	{"adds a member to a room", "screen: Mallory can read here now", func(s *siege) {
		s.inRoom()
		s.Inject(per, stanza.New(stanza.NSClient, "presence", stanza.RoomUser{Items: []stanza.RoomItem{
			{Affiliation: stanza.Member, Role: stanza.Participant, JID: jid.MustParse(mallory + "/x")}}}.Element()).
			With("from", s.room+"/mallory").With("to", s.Full(per)))
		if err := s.per.Until(s.ctx, "seeing the member that the relay adds", func() (bool, error) {
			x, err := s.per.Security(s.ctx, s.room)
			return x.New != nil && x.Warn, err
		}); err != nil {
			s.t.Fatal(err)
		}
		_, err := s.per.Send(s.ctx, s.room, "not for mallory")
		n, ok := errors.AsType[*client.NewReaders](err)
		if !ok || len(n.Readers) != 1 || n.Readers[0].Address != mallory {
			s.t.Errorf("sent: %v", err)
		}
	}},
	{"forges senders in a room", "log: nobody in the room", func(s *siege) {
		s.inRoom()
		body := fmt.Sprint("true in the room ", s.n)
		s.said[body] = true
		tell(s.t, s.ctx, s.ada, s.room, body)
		sees(s.t, s.ctx, s.per, s.room, body)
		var e *stanza.Element
		for _, x := range s.Heard(per) {
			if x.Get("type") == "groupchat" && x.Child(stanza.NSOmemo, "encrypted") != nil {
				e = x
			}
		}
		s.Inject(per, e, from(e, s.room+"/ghost"), from(e, s.room+"/per"), from(e, "other@rooms."+s.Domain+"/ada"), from(e, ada+"/x"),
			stanza.NewGroupchat(s.Full(per), "f1", stanza.Body("forged")).With("from", s.room+"/ghost"),
			stanza.NewChat(s.Full(per), "f2", stanza.Body("forged")).With("from", s.room+"/ada"))
	}},
	{"invents people and their devices", "log: device list of somebody unknown", func(s *siege) {
		for i := range 50 {
			s.Inject(per, stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
				stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList([]uint32{7})).With("id", "current")).With("node", stanza.NodeDevices))).
				With("from", fmt.Sprintf("p%d@invented.example", i)))
		}
	}},
	{"puts controls into everything", "", func(s *siege) {
		const w = "\u202e\u009b2J"
		s.Inject(per, stanza.New(stanza.NSClient, "presence", stanza.TextElement(stanza.NSClient, "status", w)).With("from", ada+"/x"),
			stanza.NewChat(per, "w", stanza.TextElement(stanza.NSClient, "subject", w)).With("from", ada+"/x"))
		s.clear[w] = true
		s.Inject(per, plain(ada+"/x", w).With("id", "w2"))
	}},
}

// inRoom has both in a room.
func (s *siege) inRoom() {
	s.t.Helper()
	if s.room != "" {
		return
	}
	var err error
	if s.room, err = s.ada.CreateRoom(s.ctx, "ICU"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.ada.Invite(s.ctx, s.room, per); err != nil {
		s.t.Fatal(err)
	}
	sees(s.t, s.ctx, s.per, s.room, "invites you")
	if err := s.per.JoinRoom(s.ctx, s.room); err != nil {
		s.t.Fatal(err)
	}
	belong(s.t, s.ctx, s.per, s.room, ada, per)
	belong(s.t, s.ctx, s.ada, s.room, ada, per)
	tell(s.t, s.ctx, s.per, s.room, "mine in the room")
	sees(s.t, s.ctx, s.ada, s.room, "mine in the room")
}

// breaks does what ends Per's stream, and waits until his sotto has come back.
func (s *siege) breaks(do func()) {
	s.t.Helper()
	was := s.Full(per)
	do()
	if err := s.per.Until(s.ctx, "coming back", func() (bool, error) {
		return s.Full(per) != was && s.per.State().CaughtUp, nil
	}); err != nil {
		s.t.Fatal(err)
	}
}

// secret has Per write to somebody, which only they may read.
func (s *siege) secret(peer, reader, body string) {
	s.t.Helper()
	var sent []*stanza.Element
	var mu sync.Mutex
	s.Set(func(way hostile.Way, who string, e *stanza.Element) []*stanza.Element {
		if way == hostile.Up && who == per && e.Child(stanza.NSOmemo, "encrypted") != nil {
			mu.Lock()
			sent = append(sent, e)
			mu.Unlock()
		}
		return []*stanza.Element{e}
	})
	if _, err := s.per.Send(s.ctx, peer, body); err != nil {
		s.t.Error(err)
		return
	}
	sees(s.t, s.ctx, s.ada, per, body)
	mu.Lock()
	defer mu.Unlock()
	for _, e := range sent {
		if s.fake.Reads(per, e.Child(stanza.NSOmemo, "encrypted")) || strings.Contains(e.String(), fmt.Sprintf("rid=%q", fmt.Sprint(s.fake.ID()))) {
			s.t.Errorf("it was encrypted to the relay's device: %s", e)
		}
	}
}

// check looks at all that Per is shown: nothing forged, nothing twice, nothing out of
// order, and what came in the clear marked and not acted on. It notes the words.
func (s *siege) check() {
	s.t.Helper()
	var shown []string
	defer func() {
		for _, words := range shown {
			s.shown[words] = true
		}
	}()
	rows, err := s.per.Conversations(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range rows {
		all, err := s.per.Conversation(s.ctx, r.Peer)
		if err != nil {
			s.t.Fatal(err)
		}
		last := 0
		for _, m := range all {
			body, n := m.Body.String(), 0
			switch {
			case m.Kind == store.Notice:
				shown = append(shown, body)
				continue
			case m.Outgoing:
				if !strings.HasPrefix(body, "mine") && !strings.HasPrefix(body, "for ") && !strings.HasPrefix(body, "to ") || !m.Encrypted {
					s.t.Errorf("Per did not write %q to %s", body, r.Peer)
				}
				continue
			case m.Encrypted && s.said[body] && m.Sender.String() == ada && !m.Untrusted:
				if _, err := fmt.Sscanf(body, "true %d", &n); err == nil && r.Peer == ada {
					if n < last {
						s.t.Errorf("%q stands after number %d", body, last)
					}
					last = n
				}
			case !m.Encrypted && (s.clear[body] || strings.ContainsAny(body, "⟨\\<[")) && m.Urgency == store.Routine:
			default:
				s.t.Errorf("forged: %q from %s in %s: encrypted %v, trusted %v, urgency %d", body, m.Sender, r.Peer, m.Encrypted, !m.Untrusted, m.Urgency)
			}
			if count[body]++; count[body] > 1 && m.Encrypted {
				s.t.Errorf("%q is shown %d times", body, count[body])
			}
			if strings.ContainsAny(body, "\u202e\u009b\x1b") {
				s.t.Errorf("%q acts on the terminal", body)
			}
		}
		if r.Stats > 0 {
			s.t.Errorf("a STAT of the relay's own waits in %s", r.Peer)
		}
		security, err := s.per.Security(s.ctx, r.Peer)
		if err != nil {
			s.t.Fatal(err)
		}
		shown = append(shown, security.Words.String())
	}
	shown = append(append(shown, s.per.Notices()...), s.per.State().Words.String())
}

// seen holds that an attack can be seen where it is said to be. What is said outside
// of conversations may come after what stands in them.
func (s *siege) seen(what string) {
	s.t.Helper()
	place, words, _ := strings.Cut(what, ": ")
	for late := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		s.check()
		said := fmt.Sprintf("%q", slices.Sorted(maps.Keys(s.shown)))
		found := true
		switch place {
		case "log":
			said = s.log.String()
			found = strings.Contains(said, words)
		case "screen":
			found = strings.Contains(said, words)
		}
		if found || s.t.Failed() {
			return
		}
		if time.Now().After(late) {
			s.t.Errorf("the %s does not say %q:\n%s", place, words, said)
			return
		}
	}
}

// TestHostileRelay has whole sottos bear each of the attacks alone, and all of them
// mixed.
func TestHostileRelay(t *testing.T) {
	for _, a := range attacks {
		t.Run(strings.ReplaceAll(a.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			s := besieged(t)
			a.do(s)
			s.Set(nil)
			s.true()
			s.seen(a.seen)
		})
	}
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		s := besieged(t)
		for _, i := range s.rng.Perm(len(attacks)) {
			attacks[i].do(s)
			s.Set(nil)
			s.true()
			s.check()
		}
		for _, a := range attacks {
			s.seen(a.seen)
		}
	})
	exercised(t, "a hostile relay")
}
