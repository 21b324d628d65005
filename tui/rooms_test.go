package tui

import (
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
)

// inICU is a still with a room open.
func inICU(t *testing.T) (*Model, *fake) {
	t.Helper()
	m := (&scene{fill: (*fake).ward, act: func(*Model) {}}).still(t, 80, 24, nil, "dark")
	run(m, m.openPeer(icu))
	return m, m.cfg.Messenger.(*fake)
}

func TestRoomCommands(t *testing.T) {
	m, f := inICU(t)
	for _, x := range []struct{ typed, done, said string }{
		{"/room Night shift", "create Night shift", "nobody else is in it"},
		{"/invite Lind", "invite " + icu + " " + per, "is invited"},
		{"/invite nobody at all", "", "Nobody is called"},
		{"/remove " + per, "remove " + icu + " " + per, "cannot read"},
		{"/topic Bed 9", "topic " + icu + " Bed 9", ""},
		{"/admin Lind", "admin " + icu + " " + per, "runs this room"},
		{"/owner Lind", "owner " + icu + " " + per, "owns this room"},
		{"/member Lind", "member " + icu + " " + per, "a member and nothing more"},
		{"/decline", "decline " + icu, "turned the invitation down"},
		{"/join", "join " + icu, "You are in the room"},
	} {
		f.rooms = nil
		m.composer().clear()
		m.composer().paste(x.typed)
		feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
		if got := strings.Join(f.rooms, "|"); got != x.done || !strings.Contains(m.notice.words, x.said) {
			t.Errorf("%s: did %q, said %q", x.typed, got, m.notice.words)
		}
	}
	f.rooms = nil
	m.composer().clear()
	m.composer().paste("/leave")
	feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	if len(f.rooms) > 0 || !strings.Contains(m.notice.words, "Enter again") {
		t.Errorf("leaving was not asked: %q, %q", f.rooms, m.notice.words)
	}
	feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	if !slices.Equal(f.rooms, []string{"leave " + icu}) {
		t.Errorf("did %q", f.rooms)
	}
}

func TestRoomCommandsOfNoRoom(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.ward()
	m := still(t, 80, 24, Config{Open: ada}, f)
	for _, typed := range []string{"/join", "/decline", "/leave", "/topic Bed 9", "/invite haddad", "/remove haddad", "/admin haddad"} {
		m.composer().clear()
		m.composer().paste(typed)
		feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
		if len(f.rooms) > 0 || !strings.Contains(m.notice.words, "This is no room") {
			t.Errorf("%s: did %q, said %q", typed, f.rooms, m.notice.words)
		}
	}
}

// A room that one is invited to is not known as a room yet.
func TestInvitationsAreAnswered(t *testing.T) {
	const ward = "ward-5@rooms.mercy.example"
	f := newFake(newWristwatch().now)
	f.ward()
	f.convs = append(f.convs, client.Conversation{Peer: ward, Name: text.Line(ward)})
	m := still(t, 80, 24, Config{Open: ward}, f)
	for typed, done := range map[string]string{"/join": "join " + ward, "/decline": "decline " + ward} {
		f.rooms = nil
		m.composer().clear()
		m.composer().paste(typed)
		feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
		if !slices.Equal(f.rooms, []string{done}) {
			t.Errorf("%s: did %q, said %q", typed, f.rooms, m.notice.words)
		}
	}
}

func TestRoomPointsOutNewReaders(t *testing.T) {
	m, f := inICU(t)
	n := &client.NewReaders{Peer: icu, Readers: []client.Reader{{Address: rana, Name: text.Line("Haddad, Rana")}}}
	f.readers = n
	f.security[icu] = client.Security{New: n, Warn: true, Words: text.Line("Haddad can read here now")}
	f.members = []client.Member{
		{Address: self, Name: text.Line("Ng"), Affiliation: "owner", Own: true},
		{Address: rana, Name: text.Line("Haddad, Rana"), Affiliation: "member", New: true, Devices: []client.Device{device(9, store.FirstUse)}},
	}
	m.composer().paste("potassium 6.8")
	feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	if len(f.sent) > 0 || !strings.Contains(m.notice.words, "Haddad") || m.composer().String() != "potassium 6.8" {
		t.Fatalf("sent %q, said %q, composer %q", f.sent, m.notice.words, m.composer().String())
	}
	// Another text is asked about anew.
	m.composer().paste(" again")
	feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	if len(f.sent) > 0 || f.readers == nil {
		t.Fatalf("sent %q", f.sent)
	}
	feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	if !slices.Equal(f.sent, []string{icu + " potassium 6.8 again"}) || !slices.Contains(f.rooms, "accept "+icu) {
		t.Fatalf("sent %q, did %q, said %q", f.sent, f.rooms, m.notice.words)
	}

	// In the list of members, Enter accepts what it shows.
	f.readers, f.rooms = n, nil
	m.composer().paste("/members")
	feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	shown := plain(m)
	for _, want := range []string{"ICU night · 2 people, 1 device", "> Haddad, Rana", "NEW since your last message", "Ng (you)", "known since", "Enter: they may read"} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
	feed(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	if !slices.Contains(f.rooms, "accept "+icu) || len(m.dialogs) > 0 {
		t.Errorf("did %q", f.rooms)
	}
}
