package stanza

import (
	"reflect"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
)

func TestRoomPresence(t *testing.T) {
	e := parse(t, `<presence xmlns="jabber:client" from="ward@rooms.h/Ada"><x xmlns="http://jabber.org/protocol/muc#user">
		<item affiliation="member" role="participant" jid="ada@h/x" nick="new"><actor nick="Bo"/><reason>because</reason></item>
		<item affiliation="king" role="joker" jid="@@"/><status code="321"/><status code="110"/><status code="x"/></x></presence>`)
	u, ok := ReadRoomUser(e)
	if !ok || len(u.Items) != 1 || !u.Has(StatusSelf) || !u.Has(StatusUnaffiliated) || u.Has(StatusKicked) || !reflect.DeepEqual(u.Status, []int{110, 321}) {
		t.Fatalf("read as %+v", u)
	}
	if i := u.Item(); i.Affiliation != Member || i.Role != Participant || i.JID.String() != "ada@h/x" || i.Nick != "new" || i.Actor != "Bo" || i.Reason != "because" {
		t.Errorf("item read as %+v", i)
	}
	again, ok := ReadRoomUser(New(NSClient, "presence", u.Element()))
	if !ok || !reflect.DeepEqual(again, u) {
		t.Errorf("there and back: %+v", again)
	}
	u = RoomUser{Destroyed: true, Alternate: jid.MustParse("b@rooms.h"), Reason: "merged", Items: []RoomItem{{Affiliation: None, Role: NoRole}}}
	if again, _ := ReadRoomUser(New(NSClient, "presence", u.Element())); !reflect.DeepEqual(again, u) {
		t.Errorf("destruction there and back: %+v", again)
	}
	if _, ok := ReadRoomUser(New(NSClient, "presence")); ok {
		t.Error("a room spoke where there was none")
	}
}

func TestRoomJoin(t *testing.T) {
	if j, ok := ReadRoomJoin(parse(t, JoinRoom("ward@rooms.h/Ada", 0).String())); !ok || j.MaxStanzas != 0 || j.MaxChars != -1 || j.Seconds != -1 {
		t.Errorf("no history read as %+v", j)
	}
	if j, ok := ReadRoomJoin(JoinRoom("ward@rooms.h/Ada", -1)); !ok || j.MaxStanzas != -1 || !j.Since.IsZero() {
		t.Errorf("any history read as %+v", j)
	}
	j, ok := ReadRoomJoin(parse(t, `<presence xmlns="jabber:client"><x xmlns="http://jabber.org/protocol/muc"><history maxchars="5" seconds="-3" since="2026-01-01T00:00:00Z"/></x></presence>`))
	if !ok || j.MaxChars != 5 || j.Seconds != -1 || !j.Since.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("history read as %+v", j)
	}
	if _, ok := ReadRoomJoin(LeaveRoom("ward@rooms.h/Ada")); ok {
		t.Error("leaving was read as entering")
	}
}

func TestRoomItems(t *testing.T) {
	items := []RoomItem{{Affiliation: Owner, JID: jid.MustParse("ada@h"), Reason: "r"}, {Affiliation: Member, JID: jid.MustParse("bo@h")}}
	got, err := ReadRoomItems(parse(t, SetAffiliations(items...).String()))
	if err != nil || !reflect.DeepEqual(got, items) {
		t.Errorf("read as %+v, %v", got, err)
	}
	if got, err = ReadRoomItems(Kick("Bo", "")); err != nil || got[0].Nick != "Bo" || got[0].Role != NoRole || got[0].Affiliation != "" {
		t.Errorf("kick read as %+v, %v", got, err)
	}
	if _, err = ReadRoomItems(parse(t, `<query xmlns="http://jabber.org/protocol/muc#admin"><item affiliation="member" jid="@"/></query>`)); err == nil {
		t.Error("a list with an address that is none was read: who can read would be wrong")
	}
	if _, err = ReadRoomItems(nil); err == nil {
		t.Error("nothing was read as a list")
	}
}

func TestRoomSubject(t *testing.T) {
	if s, ok := ReadRoomSubject(RoomSubject("ward@rooms.h", "1", "night")); !ok || s != "night" {
		t.Errorf("subject %q, %v", s, ok)
	}
	if s, ok := ReadRoomSubject(RoomSubject("ward@rooms.h", "1", "")); !ok || s != "" {
		t.Errorf("no subject %q, %v", s, ok)
	}
	if _, ok := ReadRoomSubject(RoomSubject("ward@rooms.h", "1", "x").Add(Body("y"))); ok {
		t.Error("a message with a body set the subject")
	}
}

func TestRoomInfo(t *testing.T) {
	r, err := ReadRoomInfo(parse(t, `<iq xmlns="jabber:client" type="result" id="1"><query xmlns="http://jabber.org/protocol/disco#info">
		<identity category="conference" type="text" name="Ward 3"/><feature var="http://jabber.org/protocol/muc"/>
		<feature var="muc_membersonly"/><feature var="muc_nonanonymous"/><feature var="urn:xmpp:mam:2"/><feature var="urn:xmpp:occupant-id:0"/>
		<x xmlns="jabber:x:data" type="result"><field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#roominfo</value></field>
		<field var="muc#roominfo_description"><value>nights</value></field><field var="muc#roominfo_occupants"><value>3</value></field></x></query></iq>`))
	if err != nil || r.Name != "Ward 3" || !r.MembersOnly || !r.NonAnonymous || r.Hidden || !r.Archive || !r.OccupantIDs || r.Description != "nights" || r.Occupants != 3 {
		t.Errorf("read as %+v, %v", r, err)
	}
	if _, err := ReadRoomInfo(parse(t, `<iq xmlns="jabber:client" type="result" id="1"><query xmlns="http://jabber.org/protocol/disco#info"/></iq>`)); err == nil {
		t.Error("something that is no room was read as one")
	}
}

func TestSelfPing(t *testing.T) {
	for s, want := range map[string][2]bool{
		`<iq xmlns="jabber:client" type="result" id="1"/>`: {true, true},
		`<iq xmlns="jabber:client" type="error" id="1"><error><not-acceptable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`:                    {false, true},
		`<iq xmlns="jabber:client" type="error" id="1"><error><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`:               {true, true},
		`<iq xmlns="jabber:client" type="error" id="1"><error type="wait"><remote-server-timeout xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`: {false, false},
		`<iq xmlns="jabber:client" type="get" id="1"/>`: {false, false},
	} {
		if joined, known := ReadSelfPing(parse(t, s)); joined != want[0] || known != want[1] {
			t.Errorf("%s: %v, %v", s, joined, known)
		}
	}
}

func TestInvitations(t *testing.T) {
	i, ok := ReadInvitation(parse(t, `<message xmlns="jabber:client" from="ward@rooms.h"><x xmlns="http://jabber.org/protocol/muc#user"><invite from="ada@h/x"><reason>nights</reason></invite></x>
		<x xmlns="jabber:x:conference" jid="ward@rooms.h"/></message>`))
	if !ok || i.Direct || i.Room.String() != "ward@rooms.h" || i.From.String() != "ada@h/x" || i.Reason != "nights" {
		t.Errorf("mediated read as %+v, %v", i, ok)
	}
	i, ok = ReadInvitation(New(NSClient, "message", DirectInvite("ward@rooms.h", "nights")).With("from", "ada@h/x"))
	if !ok || !i.Direct || i.Room.String() != "ward@rooms.h" || i.From.String() != "ada@h/x" || i.Reason != "nights" {
		t.Errorf("direct read as %+v, %v", i, ok)
	}
	// A person cannot speak for a room.
	if i, ok = ReadInvitation(parse(t, `<message xmlns="jabber:client" from="eve@h/x"><x xmlns="http://jabber.org/protocol/muc#user"><invite from="ada@h"/></x></message>`)); ok {
		t.Errorf("forged invitation read as %+v", i)
	}
	for _, bad := range []*Element{DirectInvite("ward@rooms.h/nick", ""), DirectInvite("@", ""), DirectInvite("rooms.h", "")} {
		if i, ok := ReadInvitation(New(NSClient, "message", bad).With("from", "ada@h/x")); ok {
			t.Errorf("%s read as %+v", bad, i)
		}
	}
	d, ok := ReadDecline(parse(t, `<message xmlns="jabber:client" from="ward@rooms.h"><x xmlns="http://jabber.org/protocol/muc#user"><decline from="bo@h"><reason>busy</reason></decline></x></message>`))
	if !ok || d.From.String() != "bo@h" || d.Reason != "busy" {
		t.Errorf("decline read as %+v, %v", d, ok)
	}
	for _, m := range []*Element{MediatedInvite("ward@rooms.h", "1", "bo@h", "r"), DeclineInvite("ward@rooms.h", "1", "ada@h", "")} {
		if x := m.Child(NSMUCUser, "x").Child("", ""); m.Get("to") != "ward@rooms.h" || x.Get("to") == "" {
			t.Errorf("built %s", m)
		}
	}
}
