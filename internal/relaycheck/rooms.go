package relaycheck

import (
	"context"
	"strings"
	"time"

	"sotto/client/stanza"
)

// occupied waits until a session is in a room, or is refused.
func occupied(ctx context.Context, s *session, occupant string) (*stanza.Element, error) {
	if err := s.send(ctx, stanza.JoinRoom(occupant, 0)); err != nil {
		return nil, err
	}
	room, _, _ := strings.Cut(occupant, "/")
	e, err := s.within(ctx, 5*time.Second, func(e *stanza.Element) bool {
		from, _, _ := strings.Cut(e.Get("from"), "/")
		if !e.Is(stanza.NSClient, "presence") || from != room {
			return false
		}
		u, _ := stanza.ReadRoomUser(e)
		return e.Get("type") == "error" || u.Has(stanza.StatusSelf)
	})
	if err != nil {
		return nil, err
	}
	if s := stanza.ReadError(e); s != nil {
		return e, s
	}
	return e, nil
}

// address of the room that is made.
func (s *scene) address() string { return s.run + "@" + s.rooms }

// room makes a room as sotto makes them: for members, who see each other's
// addresses, lasting, hidden, with an archive.
func (s *scene) room(ctx context.Context) {
	room := s.address()
	s.later(func(ctx context.Context) {
		_, _ = s.one.set(ctx, room, stanza.DestroyRoom("sotto relay check is done"))
	})
	if _, err := occupied(ctx, s.one, room+"/check"); err != nil {
		s.set("rooms.private", bad("no room could be made", "There are no groups: "+why(err)+".", "Let people make rooms."))
		return
	}
	e, err := s.one.get(ctx, room, stanza.RoomConfigQuery())
	var form stanza.DataForm
	if err == nil {
		form, err = stanza.ReadRoomConfig(e)
	}
	if err != nil {
		s.set("rooms.private", bad("it cannot be configured", "A group cannot be made private: "+why(err)+".", "Let people configure rooms that they make."))
		return
	}
	s.later(func(ctx context.Context) { // Prosody remembers for a month where a lasting room was
		passing, _ := form.Answer(stanza.Field{Var: "muc#roomconfig_persistentroom", Value: "0"})
		_, _ = s.one.set(ctx, room, stanza.RoomConfig(passing))
	})
	s.defaults(form)
	submission, _ := form.Answer(
		stanza.Field{Var: "muc#roomconfig_persistentroom", Value: "1"},
		stanza.Field{Var: "muc#roomconfig_membersonly", Value: "1"},
		stanza.Field{Var: "muc#roomconfig_whois", Value: "anyone"},
		stanza.Field{Var: "muc#roomconfig_publicroom", Value: "0"},
		stanza.Field{Var: "muc#roomconfig_enablearchiving", Value: "1"},
		stanza.Field{Var: "mam", Value: "1"},
	)
	if _, err = s.one.set(ctx, room, stanza.RoomConfig(submission)); err != nil {
		s.set("rooms.private", bad("refused", "A group for members, who see each other's addresses, cannot be made: "+why(err)+".", "Let people make rooms that are persistent, members-only and not anonymous."))
		return
	}
	e, err = s.one.get(ctx, room, stanza.InfoQuery(""))
	var info stanza.RoomInfo
	if err == nil {
		info, err = stanza.ReadRoomInfo(e)
	}
	if err != nil {
		s.set("rooms.private", bad("it does not say what it is", "Who can read along is not known: "+why(err)+".", "See the relay's log."))
		return
	}
	var not []string
	for _, f := range []struct {
		has  bool
		what string
	}{{info.MembersOnly, "members-only"}, {info.NonAnonymous, "non-anonymous"}, {info.Persistent, "persistent"}, {info.Hidden, "hidden"}} {
		if !f.has {
			not = append(not, f.what)
		}
	}
	if len(not) > 0 {
		s.set("rooms.private", bad("not "+strings.Join(not, ", "), "sotto's groups are for members, who see each other's addresses: else nobody knows for whom to encrypt.", "Let people make rooms that are persistent, members-only and not anonymous."))
		return
	}
	s.set("rooms.private", good("members-only, non-anonymous, persistent, hidden"))
	s.extras(info)
	s.roomArchive(ctx, room, info)
}

// defaults judges what a room is that another client makes without asking.
func (s *scene) defaults(form stanza.DataForm) {
	boolean := func(name string) bool { f, _ := form.Field(name); return f.Bool() }
	var wrong []string
	if !boolean("muc#roomconfig_membersonly") {
		wrong = append(wrong, "open to everybody")
	}
	if form.Value("muc#roomconfig_whois") != "anyone" {
		wrong = append(wrong, "anonymous")
	}
	if boolean("muc#roomconfig_publicroom") {
		wrong = append(wrong, "listed")
	}
	if len(wrong) > 0 {
		s.set("rooms.defaults", weak(strings.Join(wrong, ", "), "sotto sets its own rooms right. A room that another client makes is like this until somebody changes it, and cannot be encrypted.", "Make new rooms members-only, not anonymous and hidden by default."))
		return
	}
	s.set("rooms.defaults", good("members-only, non-anonymous, hidden"))
}

// extras are what is good to have.
func (s *scene) extras(info stanza.RoomInfo) {
	if info.OccupantIDs {
		s.set("features.occupants", good("XEP-0421"))
	} else {
		s.set("features.occupants", skip("XEP-0421 missing: sotto does without"))
	}
	if info.Moderation {
		s.set("features.moderation", good("XEP-0425"))
	} else {
		s.set("features.moderation", skip("XEP-0425 missing: the room's owner cannot take back what others wrote"))
	}
}

// roomArchive writes to the room and looks for it in the archive.
func (s *scene) roomArchive(ctx context.Context, room string, info stanza.RoomInfo) {
	missing := weak("missing", "Who was away does not see what a group wrote meanwhile.", "Enable the archive of rooms (XEP-0313).")
	if !info.Archive {
		s.set("rooms.archive", missing)
		return
	}
	id := s.run + "-room"
	if s.one.send(ctx, stanza.NewGroupchat(room, id, stanza.Body("sotto relay check"))) != nil {
		return
	}
	if _, err := s.one.within(ctx, 5*time.Second, withID(id)); err != nil {
		s.set("rooms.archive", bad("the room is silent", "What is written to a room does not come back: "+why(err)+".", "See the relay's log."))
		return
	}
	for range 20 {
		_, ids, _, err := s.page(ctx, s.one, room, stanza.MAMQuery{Last: true, Max: 10})
		if err != nil {
			s.set("rooms.archive", bad("it cannot be read", "Who was away does not see what a group wrote meanwhile: "+why(err)+".", "See the relay's log."))
			return
		}
		for _, got := range ids {
			if got == id {
				s.set("rooms.archive", good("written and read"))
				return
			}
		}
		pause(ctx)
	}
	s.set("rooms.archive", missing)
}
