package relaycheck

import (
	"context"
	"time"

	"sotto/client/stanza"
)

// shortest is how long a relay should keep a broken session: a phone in a lift,
// a laptop carried to another ward.
const shortest = 300 * time.Second

// pause waits a moment before something is asked again.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// settled is what is waited after settle, for relays of several machines.
const settled = 100 * time.Millisecond

// settle has the relay do all that it was sent: it answers a ping after what the
// sender sent before, and another one after what the recipient was to get.
func (s *scene) settle(ctx context.Context, sender, recipient *session) {
	for _, who := range []*session{sender, recipient} {
		_, _ = who.get(ctx, who.full.Domainpart(), stanza.Ping())
	}
}

// session tries what belongs to a connection, but for what becomes of one that
// breaks: see resumption.
func (s *scene) session(ctx context.Context) {
	if s.found["features.carbons"].verdict == "good" {
		s.carbons(ctx)
	} else {
		s.set("session.carbons", skip("not offered"))
	}
	if s.found["features.idle"].verdict == "good" {
		s.idle(ctx)
	} else {
		s.set("session.idle", skip("not offered"))
	}
	if s.found["features.blocking"].verdict == "good" {
		s.blocking(ctx)
	} else {
		s.set("session.blocking", skip("not offered"))
	}
}

// carbons looks whether a second device gets a copy.
func (s *scene) carbons(ctx context.Context) {
	if _, err := s.two.set(ctx, "", stanza.New(stanza.NSCarbons, "enable")); err != nil {
		s.set("session.carbons", weak("refused", "Copies for other devices cannot be turned on: "+why(err)+".", "Enable message carbons (XEP-0280)."))
		return
	}
	// ejabberd copies only between those who are there. With this priority nothing
	// comes here that is meant for the person.
	for _, who := range []*session{s.one, s.two} {
		_ = who.send(ctx, stanza.New(stanza.NSClient, "presence", stanza.TextElement(stanza.NSClient, "priority", "-1")))
	}
	defer func() {
		for _, who := range []*session{s.one, s.two} {
			_ = who.send(ctx, stanza.New(stanza.NSClient, "presence").With("type", "unavailable"))
		}
		_, _ = s.two.set(ctx, "", stanza.New(stanza.NSCarbons, "disable"))
	}()
	s.settle(ctx, s.one, s.two)
	if s.other == nil {
		s.set("session.carbons", good("turned on; a copy is tried with --and"))
		return
	}
	id := s.run + "-carbon"
	if err := s.other.send(ctx, stanza.NewChat(s.one.full.String(), id, stanza.NoStoreHint(), stanza.Body("sotto relay check"))); err != nil {
		return
	}
	_, err := s.two.within(ctx, 4*time.Second, func(e *stanza.Element) bool {
		inner, sent := stanza.ReadCarbon(e)
		return inner.Get("id") == id && !sent && e.Get("from") == s.As.Address.String()
	})
	if err != nil {
		s.set("session.carbons", weak("no copy came", "A person's other devices learn of messages late.", "See the relay's log."))
		return
	}
	s.set("session.carbons", good("a second device got a copy"))
}

// idle tells the relay that nobody looks, and that somebody does again.
func (s *scene) idle(ctx context.Context) {
	for _, active := range []bool{false, true} {
		if s.two.send(ctx, stanza.ClientState(active)) != nil {
			return
		}
	}
	if _, err := s.two.get(ctx, s.As.Address.Domainpart(), stanza.Ping()); err != nil && !refused(err) {
		s.set("session.idle", bad("the connection ended", "The relay announces XEP-0352 and ends a connection that uses it.", "See the relay's log."))
		return
	}
	s.set("session.idle", good("taken"))
}

// blocking blocks the second account and lets it through again.
func (s *scene) blocking(ctx context.Context) {
	e, err := s.one.get(ctx, "", stanza.BlockList())
	if err != nil {
		s.set("session.blocking", weak("failed", "Who is blocked cannot be read: "+why(err)+".", "Enable the blocking command (XEP-0191)."))
		return
	}
	if s.other == nil {
		s.set("session.blocking", good("%d blocked; blocking is tried with --and", len(stanza.ReadBlocking(e.Child(stanza.NSBlocking, "blocklist")))))
		return
	}
	stranger := s.And.Address
	for _, j := range stanza.ReadBlocking(e.Child(stanza.NSBlocking, "blocklist")) {
		if j.Equal(stranger) {
			s.set("session.blocking", skip("the second account is blocked already"))
			return
		}
	}
	if _, err := s.one.set(ctx, "", stanza.Block(stranger.String())); err != nil {
		s.set("session.blocking", weak("refused", "Nobody can be blocked: "+why(err)+".", "Enable the blocking command (XEP-0191)."))
		return
	}
	open := true
	unblock := func(ctx context.Context) {
		if open {
			_, err := s.one.set(ctx, "", stanza.Unblock(stranger.String()))
			open = err != nil
		}
	}
	s.later(unblock)
	id := s.run + "-blocked"
	_ = s.other.send(ctx, stanza.NewChat(s.one.full.String(), id, stanza.NoStoreHint(), stanza.Body("sotto relay check")))
	s.settle(ctx, s.other, s.one)
	_, err = s.one.within(ctx, settled, withID(id))
	unblock(ctx)
	if err == nil {
		s.set("session.blocking", bad("it came through", "A message of somebody who is blocked was delivered.", "See the relay's log."))
		return
	}
	s.set("session.blocking", good("a blocked message did not come through"))
}
