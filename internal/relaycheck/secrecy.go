package relaycheck

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sotto/client/stanza"
)

const noSecond = "needs a second account: --and ADDRESS"

// secrecy has the second account ask for what belongs to the first.
func (s *scene) secrecy(ctx context.Context) {
	s.sender(ctx)
	if s.other == nil {
		s.skipAll(noSecond, "secrecy")
		return
	}
	own := s.As.Address.String()
	if s.found["archive.paging"].verdict == "good" {
		s.forbidden("secrecy.archive", "somebody else's archive", func() error {
			_, ids, _, err := s.page(ctx, s.other, own, stanza.MAMQuery{Last: true, Max: 50})
			theirs := func(id string) bool { return strings.HasPrefix(id, s.run+"-m") }
			if err == nil && !slices.ContainsFunc(ids, theirs) {
				return errNothing // some relays answer with the asker's own archive
			}
			return err
		})
	} else {
		s.set("secrecy.archive", skip("no archive to read"))
	}
	s.contacts(ctx, own)
	if s.found["pep.open"].verdict == "good" {
		s.nodes(ctx, own)
	} else {
		s.set("secrecy.private", skip("no node to read"))
		s.set("secrecy.bundles", skip("no node to read"))
	}
	if s.found["rooms.private"].verdict == "good" {
		s.outsider(ctx)
	} else {
		for _, id := range []string{"secrecy.room", "secrecy.history", "secrecy.members"} {
			s.set(id, skip("no room to enter"))
		}
	}
	if _, there := s.found["secrecy.upload"]; !there {
		s.set("secrecy.upload", skip("nothing was uploaded"))
	}
}

// forbidden tries what has to be refused.
func (s *scene) forbidden(id, what string, try func() error) {
	err := try()
	switch {
	case err == nil:
		s.set(id, bad("given to a stranger", "The relay hands out "+what+".", "Ask who wrote the relay, or who changed it. Until it is put right, nothing on it is private."))
	case errors.Is(err, errNothing):
		s.set(id, good("answered with nothing of it"))
	case refused(err), errors.Is(err, errEnded):
		s.set(id, good("refused"))
	case errors.Is(err, context.DeadlineExceeded):
		s.set(id, good("not answered"))
	default:
		s.set(id, skip("%s", why(err)))
	}
}

// errNothing is an answer that gives nothing away.
var errNothing = errors.New("nothing was given")

// contacts adds a contact that nobody else has, and looks for it from outside.
func (s *scene) contacts(ctx context.Context, own string) {
	contact := s.run + "@" + s.As.Address.Domainpart()
	item := func() *stanza.Element {
		return stanza.New(stanza.NSRoster, "item").With("jid", contact)
	}
	s.later(func(ctx context.Context) {
		_, _ = s.one.set(ctx, "", stanza.New(stanza.NSRoster, "query", item().With("subscription", "remove")))
	})
	_, err := s.one.set(ctx, "", stanza.New(stanza.NSRoster, "query", item()))
	added := err == nil // a relay may have made the contacts itself
	e, _ := s.other.get(ctx, "", stanza.RosterQuery())
	theirOwn := stanza.ReadRoster(e.Child(stanza.NSRoster, "query"))
	s.forbidden("secrecy.contacts", "somebody else's contacts", func() error {
		e, err := s.other.get(ctx, own, stanza.RosterQuery())
		given := func(i stanza.RosterItem) bool {
			same := func(o stanza.RosterItem) bool { return o.JID.Equal(i.JID) }
			return i.JID.String() == contact || !added && !slices.ContainsFunc(theirOwn, same)
		}
		if err == nil && !slices.ContainsFunc(stanza.ReadRoster(e.Child(stanza.NSRoster, "query")), given) {
			return errNothing
		}
		return err
	})
}

// nodes reads a closed node, which must fail, and an open one, which must not.
func (s *scene) nodes(ctx context.Context, own string) {
	if s.closed {
		s.forbidden("secrecy.private", "what people keep for themselves, such as their bookmarks", func() error {
			closed := "urn:sotto:" + s.run + ":closed"
			e, err := s.other.get(ctx, own, stanza.ItemsRequest(closed))
			if err != nil {
				return err
			}
			if items, ok := stanza.ReadItems(e, closed); !ok || len(items) == 0 {
				return errNothing
			}
			return nil
		})
	} else {
		s.set("secrecy.private", skip("no closed node could be made"))
	}
	open := "urn:sotto:" + s.run + ":open"
	e, err := s.other.get(ctx, own, stanza.ItemsRequest(open))
	if items, ok := stanza.ReadItems(e, open); err != nil || !ok || len(items) == 0 {
		if err == nil {
			err = errWrong
		}
		s.set("secrecy.bundles", bad("not readable", "Keys of devices that are published for everybody cannot be read by a stranger, who then cannot write: "+why(err)+".", "Let nodes with access_model open be read by everybody."))
		return
	}
	s.set("secrecy.bundles", good("what is published for everybody can be read"))
}

// outsider tries to get into the room that was made, and at its archive.
func (s *scene) outsider(ctx context.Context) {
	room := s.address()
	s.forbidden("secrecy.history", "the archive of a room to who is no member", func() error {
		_, _, _, err := s.page(ctx, s.other, room, stanza.MAMQuery{Last: true, Max: 1})
		return err
	})
	s.forbidden("secrecy.members", "the members of a room to who is none, or lists a hidden room", func() error {
		_, err := s.other.get(ctx, room, stanza.AffiliationsQuery(stanza.Owner))
		if err == nil {
			return nil
		}
		e, listed := s.other.get(ctx, s.rooms, stanza.ItemsQuery(""))
		items, _ := stanza.ReadDiscoItems(e)
		for _, i := range items {
			if listed == nil && i.JID == room {
				return nil
			}
		}
		return err
	})
	s.forbidden("secrecy.room", "a room for members to who is none", func() error {
		_, err := occupied(ctx, s.other, room+"/stranger")
		if err == nil {
			_ = s.other.send(ctx, stanza.LeaveRoom(room+"/stranger"))
		}
		return err
	})
}

// sender writes under another name, from a session of its own, because the relay
// ends it for that.
func (s *scene) sender(ctx context.Context) {
	liar, err := s.login(ctx, s.As)
	if err != nil {
		s.set("secrecy.sender", skip("%s", why(err)))
		return
	}
	defer liar.close()
	pretended := "nobody-" + s.run + "@" + s.As.Address.Domainpart()
	id := s.run + "-spoofed"
	m := stanza.NewChat(s.two.full.String(), id, stanza.NoStoreHint(), stanza.Body("sotto relay check")).With("from", pretended)
	if err := liar.send(ctx, m); err == nil {
		s.settle(ctx, liar, s.two)
	}
	got, err := s.two.within(ctx, settled, withID(id))
	switch {
	case err != nil:
		s.set("secrecy.sender", good("a false sender is refused"))
	case strings.HasPrefix(got.Get("from"), pretended):
		s.set("secrecy.sender", bad("a false sender is delivered", "Anybody can write under anybody's name.", "Ask who wrote the relay: RFC 6120 section 8.1.2.1 forbids it."))
	default:
		s.set("secrecy.sender", good("a false sender is put right"))
	}
}
