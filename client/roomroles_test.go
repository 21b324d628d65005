package client

import (
	"fmt"
	"strings"
	"testing"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// role waits until somebody sees another as owner, admin or member of a room.
func (p *person) role(peer string, who *person, want stanza.Affiliation) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%s sees %s as %s", p.name, who.name, want), func() bool {
		list, err := p.Members(soon(p.t), peer)
		for _, m := range list {
			if m.Address == who.jid {
				return m.Affiliation == string(want) && err == nil
			}
		}
		return false
	})
}

func TestRoomRoles(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b, c := w.person("ada"), w.person("per"), w.person("rana")
	peer := a.create("Ward", b)
	if err := b.Invite(soon(t), peer, c.jid); err == nil || !strings.Contains(err.Error(), "only those who run this room") {
		t.Errorf("a member invites: %v", err)
	}
	if err := b.SetAffiliation(soon(t), peer, b.jid, stanza.Owner); err == nil {
		t.Error("a member made itself the owner")
	}
	if err := a.SetAffiliation(soon(t), peer, a.jid, stanza.Member); err == nil || !strings.Contains(err.Error(), "only owner") {
		t.Errorf("the last owner: %v", err)
	}
	if err := a.SetAffiliation(soon(t), peer, c.jid, stanza.Admin); err == nil || !strings.Contains(err.Error(), "/invite") {
		t.Errorf("somebody who is not in it: %v", err)
	}
	if err := a.SetAffiliation(soon(t), peer, b.jid, "king"); err == nil {
		t.Error("made a king")
	}
	if err := a.SetAffiliation(soon(t), peer, b.jid, stanza.Admin); err != nil {
		t.Fatal(err)
	}
	a.role(peer, b, stanza.Admin)
	b.role(peer, b, stanza.Admin)
	b.invite(peer, c) // may do so now
	a.knows(peer, a, b, c)
	if err := a.SetAffiliation(soon(t), peer, b.jid, stanza.Member); err != nil {
		t.Fatal(err)
	}
	b.role(peer, b, stanza.Member)
	if err := a.SetAffiliation(soon(t), peer, c.jid, stanza.Owner); err != nil {
		t.Fatal(err)
	}
	if err := a.SetAffiliation(soon(t), peer, a.jid, stanza.Member); err != nil {
		t.Fatal(err)
	}
	c.role(peer, a, stanza.Member)
	if err := c.Remove(soon(t), peer, a.jid); err != nil {
		t.Fatal(err)
	}
	b.knows(peer, b, c)
}

func TestDecline(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b, c := w.person("ada"), w.person("per"), w.person("rana")
	peer := a.create("Ward", c)
	if err := b.Decline(soon(t), peer); err == nil {
		t.Error("declined without being invited")
	}
	if err := c.Decline(soon(t), peer); err == nil || !strings.Contains(err.Error(), "/leave") {
		t.Errorf("declined from within: %v", err)
	}
	if err := a.Invite(soon(t), peer, b.jid); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the invitation", func() bool { return strings.Contains(bodies(t, b.Client, peer), "invites you") })
	if err := b.Decline(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, b.Client, peer); !strings.Contains(got, "turned this invitation down") {
		t.Error(got)
	}
	// Nobody encrypts to him any more.
	a.knows(peer, a, c)
	m := a.tell(peer, "without him")
	c.hears(peer, a, "without him")
	list, err := a.Recipients(ctx, m.ID)
	if err != nil || len(list) != 1 || list[0].Address != c.jid {
		t.Errorf("written to %+v %v", list, err)
	}
	if err := b.Decline(soon(t), peer); err == nil {
		t.Error("declined twice")
	}
	// Another invitation is one.
	b2 := len(messages(t, b.Client, peer))
	if err := a.Invite(soon(t), peer, b.jid); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another invitation", func() bool { return len(messages(t, b.Client, peer)) > b2 })
	if err := b.JoinRoom(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	a.knows(peer, a, b, c)
}

// TestRoomNewSessionWhileLocked: a link that had to begin a new session while nobody
// was there is in no room. Who unlocks finds everything all the same.
func TestRoomNewSessionWhileLocked(t *testing.T) {
	w := newWardIn(t, t.TempDir(), "ada", "per")
	a, b := w.person("ada"), w.person("per")
	peer := a.create("Ward", b)
	a.tell(peer, "hello")
	b.hears(peer, a, "hello")
	b.lock()
	for i := range 10 {
		a.tell(peer, fmt.Sprintf("locked %d", i))
	}
	w.restart() // forgets every session
	for i := range 10 {
		a.tell(peer, fmt.Sprintf("locked %d", 10+i))
	}
	eventually(t, "Ada's link is back, and all of it is in the room", func() bool {
		list := messages(t, a.Client, peer)
		return a.State().Phase == wire.Online && list[len(list)-1].State >= store.Sent
	})
	b.unlock()
	eventually(t, "all of it is there", func() bool { return strings.Count(bodies(t, b.Client, peer), "locked") >= 20 })
	var got, want []string
	for _, m := range messages(t, b.Client, peer) {
		if strings.HasPrefix(m.Body.String(), "locked") {
			got, want = append(got, m.Body.String()), append(want, fmt.Sprintf("locked %d", len(want)))
		}
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("has %q", got)
	}
	b.tell(peer, "back")
	a.hears(peer, b, "back")
}

// TestRoomRelayRestarts: the relay is restarted again and again while people write.
func TestRoomRelayRestarts(t *testing.T) {
	w := newWardIn(t, t.TempDir(), "ada", "per")
	a, b := w.person("ada"), w.person("per")
	peer := a.create("Ward", b)
	a.tell(peer, "hello")
	b.hears(peer, a, "hello")
	const n = 40
	for i := range n {
		if i%10 == 5 {
			w.restart()
		}
		a.tell(peer, fmt.Sprintf("a%d", i))
		b.tell(peer, fmt.Sprintf("b%d", i))
	}
	for _, x := range []struct {
		reads  *person
		letter string
	}{{b, "a"}, {a, "b"}} {
		x.reads.hears(peer, map[string]*person{"a": a, "b": b}[x.letter], fmt.Sprintf("%s%d", x.letter, n-1))
		var got, want []string
		eventually(t, "all that was written", func() bool {
			got, want = nil, nil
			for _, m := range messages(t, x.reads.Client, peer) {
				if b := m.Body.String(); !m.Outgoing && m.Kind == store.Text && strings.HasPrefix(b, x.letter) && len(b) < 4 {
					got = append(got, b)
				}
			}
			return len(got) >= n
		})
		for i := range n {
			want = append(want, fmt.Sprintf("%s%d", x.letter, i))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("has %s", got)
		}
	}
	if list, err := a.Members(soon(t), peer); len(list) != 2 || err != nil {
		t.Errorf("members: %+v %v", list, err)
	}
}
