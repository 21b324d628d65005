package stanza

import (
	"reflect"
	"testing"
	"time"

	"mellium.im/xmpp/jid"
)

func TestRetract(t *testing.T) {
	m := func(children ...*Element) *Element {
		return New(NSClient, "message", children...).With("type", "chat").With("from", "ada@h/x")
	}
	if id, ok := ReadRetract(m(Retract("m1"))); !ok || id != "m1" {
		t.Errorf("%q, %v", id, ok)
	}
	old := parse(t, `<message xmlns="jabber:client"><apply-to xmlns="urn:xmpp:fasten:0" id="m2"><retract xmlns="urn:xmpp:message-retract:0"/></apply-to></message>`)
	if id, ok := ReadRetract(old); !ok || id != "m2" {
		t.Errorf("older form: %q, %v", id, ok)
	}
	if _, ok := ReadRetract(m(Retract("m1")).With("type", "error")); ok {
		t.Error("a bounced retraction took back a message")
	}
	if _, ok := ReadRetract(m(Moderation{ID: "m1"}.Element())); ok {
		t.Error("a moderation was taken for a person's own retraction")
	}
	if _, ok := ReadRetract(m(Body("x"))); ok {
		t.Error("a message was taken for a retraction")
	}
	for _, want := range []Tombstone{
		{ID: "r1", Time: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)},
		{Time: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Moderated: true, By: "w@rooms.h/Ada", Reason: "wrong room"},
	} {
		if got, ok := ReadTombstone(m(want.Element())); !ok || got != want {
			t.Errorf("tombstone %+v, %v", got, ok)
		}
	}
}

func TestModeration(t *testing.T) {
	id, reason, ok := ReadModerateRequest(parse(t, ModerateRequest("s1", "wrong room").String()))
	if !ok || id != "s1" || reason != "wrong room" {
		t.Errorf("%q, %q, %v", id, reason, ok)
	}
	want := Moderation{ID: "s1", By: "w@rooms.h/Ada", OccupantID: "o", Reason: "wrong room"}
	m := New(NSClient, "message", want.Element()).With("type", "groupchat").With("from", "w@rooms.h")
	if got, ok := ReadModeration(parse(t, m.String())); !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, from := range []string{"w@rooms.h/Eve", "", "@", "rooms.h"} {
		if _, ok := ReadModeration(m.Clone().With("from", from)); ok {
			t.Errorf("%q moderated", from)
		}
	}
	if _, ok := ReadModeration(m.Clone().With("type", "chat")); ok {
		t.Error("a chat message moderated")
	}
}

func TestReplaceReplyReactMark(t *testing.T) {
	m := func(children ...*Element) *Element { return New(NSClient, "message", children...) }
	if id, ok := ReadReplace(m(Replace("m1"))); !ok || id != "m1" {
		t.Errorf("replace %q, %v", id, ok)
	}
	if _, ok := ReadReplace(m(Replace("m1")).With("type", "error")); ok {
		t.Error("a bounced correction corrected")
	}
	id, who, ok := ReadReply(m(ReplyTo("ada@h/x", "m1")))
	if !ok || id != "m1" || !who.Equal(jid.MustParse("ada@h/x")) {
		t.Errorf("reply %q, %v, %v", id, who, ok)
	}
	if id, who, ok = ReadReply(m(ReplyTo("@", "m1"))); !ok || id != "m1" || !who.Equal(jid.JID{}) {
		t.Errorf("reply to an address that is none: %q, %v, %v", id, who, ok)
	}
	id, emoji, ok := ReadReactions(m(Reactions("m1", "👍", "👍", "", "✅")))
	if !ok || id != "m1" || !reflect.DeepEqual(emoji, []string{"👍", "✅"}) {
		t.Errorf("reactions %q, %q, %v", id, emoji, ok)
	}
	if id, emoji, ok = ReadReactions(m(Reactions("m1"))); !ok || id != "m1" || emoji != nil {
		t.Errorf("no reactions %q, %q, %v", id, emoji, ok)
	}
	if what, id, ok := ReadMarker(m(Displayed("m1"))); !ok || what != "displayed" || id != "m1" {
		t.Errorf("marker %q, %q, %v", what, id, ok)
	}
	if _, _, ok := ReadMarker(m(Markable())); ok {
		t.Error("markable is no marker")
	}
	if got := ReadOccupantID(m(OccupantID("o"))); got != "o" {
		t.Errorf("occupant %q", got)
	}
}

func TestFallback(t *testing.T) {
	m := New(NSClient, "message", Fallback{For: NSReply, Start: 0, End: 4}.Element(), Fallback{For: NSRetract, Whole: true}.Element(),
		New(NSFallback, "fallback", New(NSFallback, "body").With("start", "5").With("end", "2")).With("for", NSReply))
	all := ReadFallbacks(parse(t, m.String()))
	if !reflect.DeepEqual(all, []Fallback{{NSReply, 0, 4, false}, {NSRetract, 0, 0, true}}) {
		t.Fatalf("read as %+v", all)
	}
	for _, c := range []struct{ body, ext, want string }{
		{"> é\nja", NSReply, "ja"}, {"> é", NSReply, ""}, {"x", NSRetract, ""}, {"x", "urn:other", "x"},
	} {
		if got := WithoutFallback(c.body, c.ext, all); got != c.want {
			t.Errorf("%q without %s: %q", c.body, c.ext, got)
		}
	}
	overlapping := []Fallback{{"e", 3, 5, false}, {"e", 0, 4, false}, {"e", 90, 99, false}}
	if got := WithoutFallback("abcdefg", "e", overlapping); got != "fg" {
		t.Errorf("overlapping: %q", got)
	}
}

func TestBookmarks(t *testing.T) {
	b := Bookmark{Room: jid.MustParse("w@rooms.h"), Name: "Ward", Nick: "Ada", Autojoin: true, Extensions: New(NSBookmarks, "extensions", New("urn:x", "y"))}
	got := ReadBookmarks([]Item{{ID: "w@rooms.h", Payload: parse(t, b.Element().String())}, {ID: "@", Payload: b.Element()}, {ID: "x@rooms.h"}, {ID: "w@rooms.h/nick", Payload: b.Element()}})
	if len(got) != 1 || got[0].Room.String() != "w@rooms.h" || got[0].Name != "Ward" || got[0].Nick != "Ada" || !got[0].Autojoin || got[0].Extensions == nil {
		t.Errorf("read as %+v", got)
	}
	if p := PublishBookmark(b); p.Child(NSPubSub, "publish").Child(NSPubSub, "item").Get("id") != "w@rooms.h" {
		t.Errorf("built %s", p)
	}
	e := parse(t, `<message xmlns="jabber:client"><event xmlns="http://jabber.org/protocol/pubsub#event"><items node="urn:xmpp:bookmarks:1"><retract id="w@rooms.h"/><retract id="@"/></items></event></message>`)
	if gone := RemovedBookmarks(e); len(gone) != 1 || gone[0].String() != "w@rooms.h" {
		t.Errorf("removed %v", gone)
	}
	if p := RemoveBookmark(b.Room).Child(NSPubSub, "retract"); p.Get("node") != NSBookmarks {
		t.Errorf("built %s", p)
	}
}

func TestUpload(t *testing.T) {
	r, ok := ReadUploadRequest(parse(t, UploadRequest{"f", 7, "image/png"}.Element().String()))
	if !ok || r != (UploadRequest{"f", 7, "image/png"}) {
		t.Errorf("request %+v, %v", r, ok)
	}
	for _, size := range []string{"", "0", "-1", "1e3", "99999999999999999999"} {
		if r, ok := ReadUploadRequest(New(NSUpload, "request").With("filename", "f").With("size", size)); ok {
			t.Errorf("size %q read as %+v", size, r)
		}
	}
	s := Slot{Put: "https://h/put/1", Get: "https://h/get/1", Headers: []Header{{"Authorization", "Bearer x"}}}
	iq := New(NSClient, "iq", s.Element()).With("type", "result").With("id", "1")
	put := iq.Child(NSUpload, "slot").Child(NSUpload, "put")
	put.Add(TextElement(NSUpload, "header", "evil").With("name", "Host"), TextElement(NSUpload, "header", "a\r\nHost: b").With("name", "cookie\r\n"))
	got, err := ReadSlot(iq)
	want := Slot{s.Put, s.Get, []Header{{"Authorization", "Bearer x"}, {"cookie", "aHost: b"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("slot %+v, %v", got, err)
	}
	for _, bad := range []string{"", "/x", "file:///etc/passwd", "https:///x", "https://u:p@h/x", "javascript:x", "http:opaque"} {
		if _, err := ReadSlot(New(NSClient, "iq", Slot{bad, s.Get, nil}.Element()).With("type", "result")); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	info := New(NSClient, "iq", Info{Features: []string{NSUpload}}.Element().Add(UploadInfo(99))).With("type", "result")
	if n, ok := ReadUploadLimit(info); !ok || n != 99 {
		t.Errorf("limit %d, %v", n, ok)
	}
	e := New(NSClient, "iq", New(NSClient, "error", New(NSStanzas, "not-acceptable"), UploadTooLarge(99), New(NSUpload, "retry").With("stamp", "2026-11-22T08:00:00Z"))).With("type", "error")
	if n, at := ReadUploadError(e); n != 99 || at.IsZero() {
		t.Errorf("error %d, %v", n, at)
	}
}

// FuzzExtensions feeds anything that Parse accepts to every reader of a message
// extension: none may panic, and what is read has to keep its bounds.
func FuzzExtensions(f *testing.F) {
	for _, e := range []*Element{
		New(NSClient, "message", Retract("1"), Replace("1"), ReplyTo("a@b", "1"), Reactions("1", "x"), Displayed("1"), OccupantID("1"),
			Fallback{For: NSReply, Start: 1, End: 2}.Element(), Body("> abc"), DirectInvite("r@s", "x")).With("from", "a@b/c"),
		New(NSClient, "message", Moderation{"1", "r@s/n", "o", "x"}.Element()).With("from", "r@s").With("type", "groupchat"),
		New(NSClient, "message", Tombstone{ID: "1"}.Element()),
		New(NSClient, "presence", RoomUser{Items: []RoomItem{{Affiliation: Owner}}, Status: []int{110}, Destroyed: true}.Element()),
		JoinRoom("r@s/n", 3),
		New(NSClient, "iq", SetAffiliations(RoomItem{Affiliation: Member, JID: jid.MustParse("a@b")})).With("type", "result"),
		New(NSClient, "iq", RoomConfig(DataForm{Type: "form", FormType: FormRoomConfig, Fields: []FormField{{Var: "a", Values: []string{"b"}}}}.Element())).With("type", "result"),
		New(NSClient, "iq", Slot{"https://a/b", "https://a/c", []Header{{"Cookie", "x"}}}.Element()).With("type", "result"),
		New(NSClient, "iq", Info{Features: []string{NSUpload, NSMUC}}.Element().Add(UploadInfo(1))).With("type", "result"),
		New(NSClient, "iq", UploadRequest{"a", 1, ""}.Element()).With("type", "get"),
	} {
		f.Add(e.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		for _, id := range func() (ids []string) {
			a, _ := ReadRetract(e)
			b, _ := ReadReplace(e)
			c, _, _ := ReadReply(e)
			d, emoji, _ := ReadReactions(e)
			_, g, _ := ReadMarker(e)
			m, _ := ReadModeration(e)
			if len(emoji) > maxReactions {
				t.Errorf("%d reactions", len(emoji))
			}
			return []string{a, b, c, d, g, m.ID, ReadOccupantID(e)}
		}() {
			if len(id) > MaxID {
				t.Errorf("an id of %d bytes", len(id))
			}
		}
		ReadTombstone(e)
		all := ReadFallbacks(e)
		body := e.Child(NSClient, "body").Text()
		if got := WithoutFallback(body, NSReply, all); len(got) > 3*len(body) {
			t.Errorf("a body grew from %d to %d", len(body), len(got))
		}
		ReadInvitation(e)
		ReadDecline(e)
		ReadRoomUser(e)
		ReadRoomJoin(e)
		ReadRoomSubject(e)
		ReadRoomInfo(e)
		ReadSelfPing(e)
		RemovedBookmarks(e)
		if ev, ok := ReadEvent(e); ok {
			ReadBookmarks(ev.Items)
		}
		ReadSlot(e)
		ReadUploadLimit(e)
		ReadUploadError(e)
		for c := range e.Elements() {
			ReadRoomItems(c)
			ReadModerateRequest(c)
			if r, ok := ReadUploadRequest(c); ok && r.Size <= 0 {
				t.Errorf("size %d", r.Size)
			}
			if form, err := ReadDataForm(c); err == nil {
				x, _ := form.Answer(Field{"a", "b"})
				if _, err := ReadDataForm(x); err != nil {
					t.Errorf("an answer that cannot be read: %s", x)
				}
			}
		}
		if form, err := ReadRoomConfig(e); err == nil {
			form.Element()
		}
	})
}
