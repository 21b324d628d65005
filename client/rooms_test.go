package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sotto/client/store"
)

// create has somebody make a room and invite others, who enter it.
func (p *person) create(name string, guests ...*person) string {
	p.t.Helper()
	peer, err := p.CreateRoom(soon(p.t), name)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, g := range guests {
		p.invite(peer, g)
	}
	return peer
}

func (p *person) invite(peer string, g *person) {
	p.t.Helper()
	if err := p.Invite(soon(p.t), peer, g.jid); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, g.name+" is invited", func() bool {
		return strings.Contains(bodies(p.t, g.Client, peer), "invites you")
	})
	if err := g.JoinRoom(soon(p.t), peer); err != nil {
		p.t.Fatal(err)
	}
}

// tell writes to a room, and accepts who can read there.
func (p *person) tell(peer, body string) Message {
	p.t.Helper()
	m, err := p.Send(ctx, peer, body)
	if n, ok := errors.AsType[*NewReaders](err); ok {
		if err := p.AcceptReaders(ctx, n); err != nil {
			p.t.Fatal(err)
		}
		m, err = p.Send(ctx, peer, body)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// hears waits until an encrypted message of somebody stands in a room.
func (p *person) hears(peer string, from *person, body string) {
	p.t.Helper()
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("%s has: %s", p.name, bodies(p.t, p.Client, peer))
		}
	})
	eventually(p.t, fmt.Sprintf("%s reads %q in the room", p.name, body), func() bool {
		for _, m := range messages(p.t, p.Client, peer) {
			if m.Body.String() != body {
				continue
			}
			if !m.Encrypted || m.Sender.String() != from.jid || m.Outgoing != (p.jid == from.jid) || m.Untrusted {
				p.t.Errorf("%s reads %+v", p.name, m)
			}
			return true
		}
		return false
	})
}

// knows waits until somebody's list of who belongs to a room is as wanted.
func (p *person) knows(peer string, want ...*person) {
	p.t.Helper()
	var names []string
	for _, w := range want {
		names = append(names, w.jid)
	}
	got := ""
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("%s knows as members: %s", p.name, got)
		}
	})
	eventually(p.t, p.name+" knows who belongs to the room", func() bool {
		list, err := p.Members(soon(p.t), peer)
		if err != nil {
			p.t.Fatal(err)
		}
		var is []string
		for _, m := range list {
			is = append(is, m.Address)
		}
		got = strings.Join(is, " ")
		return got == strings.Join(names, " ")
	})
}

// row returns a message of a room as it is now.
func (p *person) row(peer string, id int64) Message {
	p.t.Helper()
	for _, m := range messages(p.t, p.Client, peer) {
		if m.ID == id {
			return m
		}
	}
	return Message{}
}

func TestRoomOfThree(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b, c := w.person("ada"), w.person("per"), w.person("rana")
	if services, err := a.RoomServices(soon(t)); err != nil || len(services) != 1 || services[0] != "rooms.mercy.example" {
		t.Errorf("services %q, %v", services, err)
	}
	peer := a.create("Night shift, ward 4", b, c)
	for _, p := range []*person{a, b, c} {
		p.knows(peer, a, b, c)
		list, err := p.Conversations(ctx)
		if err != nil || len(list) == 0 {
			t.Fatal(err)
		}
		found := false
		for _, x := range list {
			found = found || x.Peer == peer && x.Room && x.Name.String() == "Night shift, ward 4"
		}
		if !found {
			t.Errorf("%s does not list the room: %+v", p.name, list)
		}
	}
	m := a.tell(peer, "Bed 9 goes to theatre at two")
	for _, p := range []*person{b, c} {
		p.hears(peer, a, "Bed 9 goes to theatre at two")
	}
	eventually(t, "it is delivered to both", func() bool {
		x := a.row(peer, m.ID)
		return x.State == store.Delivered && x.Progress.Of == 2 && x.Progress.Delivered == 2
	})
	b.tell(peer, "Who takes bed 9 after?")
	c.tell(peer, "I do")
	for _, p := range []*person{a, b, c} {
		p.hears(peer, b, "Who takes bed 9 after?")
		p.hears(peer, c, "I do")
	}

	// Per has seen it, Rana has not.
	if err := b.MarkRead(ctx, peer, messages(t, b.Client, peer)[len(messages(t, b.Client, peer))-1].ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one has read it", func() bool {
		x := a.row(peer, m.ID)
		return x.State == store.Delivered && x.Progress.Read == 1 && x.Progress.Delivered == 2
	})

	if err := b.SetTopic(soon(t), peer, "Bed 9"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic is known", func() bool {
		r, err := c.Room(ctx, peer)
		return err == nil && r != nil && r.Topic.String() == "Bed 9" && r.Joined
	})

	// Members do not put others out, and owners do.
	if err := b.Remove(soon(t), peer, c.jid); err == nil {
		t.Error("a member removed another one")
	}
	if err := a.Remove(soon(t), peer, c.jid); err != nil {
		t.Fatal(err)
	}
	a.knows(peer, a, b)
	b.knows(peer, a, b)
	eventually(t, "who was removed is told", func() bool {
		return strings.Contains(bodies(t, c.Client, peer), "You were removed from this room")
	})
	if _, err := c.Send(ctx, peer, "still here?"); err == nil {
		t.Error("who was removed writes on")
	}
	a.tell(peer, "only for Per")
	b.hears(peer, a, "only for Per")
	if strings.Contains(bodies(t, c.Client, peer), "only for Per") {
		t.Error("who was removed reads on")
	}

	// The last owner leaves, and the room goes on.
	if err := a.Leave(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	b.knows(peer, b)
	if _, err := a.Send(ctx, peer, "one more thing"); err == nil || !strings.Contains(err.Error(), "not in this room") {
		t.Errorf("who left writes on: %v", err)
	}
	if _, err := b.Send(ctx, peer, "hello?"); err == nil || !strings.Contains(err.Error(), "nobody else") {
		t.Errorf("alone: %v", err)
	}
	eventually(t, "the heir may invite", func() bool { return b.Invite(soon(t), peer, c.jid) == nil })
	if err := c.JoinRoom(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	b.tell(peer, "welcome back")
	c.hears(peer, b, "welcome back")
}

func TestRoomPointsOutWhoIsNew(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b := w.person("ada"), w.person("per")
	peer := a.create("Ward", b)
	a.knows(peer, a, b)
	a.tell(peer, "one")
	b.hears(peer, a, "one")

	// Per has invited nobody: he is shown who reads before he first writes.
	_, err := b.Send(ctx, peer, "two")
	n, ok := errors.AsType[*NewReaders](err)
	if !ok || !n.First || len(n.Readers) != 1 || n.Readers[0].Address != a.jid || n.Readers[0].Known {
		t.Fatalf("%+v, %v", n, err)
	}
	if s, err := b.Security(ctx, peer); err != nil || s.New == nil || s.People != 1 {
		t.Errorf("security %+v, %v", s, err)
	}
	if err := b.AcceptReaders(ctx, n); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Send(ctx, peer, "two"); err != nil {
		t.Fatal(err)
	}
	a.hears(peer, b, "two")

	// Ada invites Rana: Ada has seen that, Per has not.
	c := w.person("rana")
	a.invite(peer, c)
	b.knows(peer, a, b, c)
	if _, err := a.Send(ctx, peer, "three"); err != nil {
		t.Errorf("who invited is asked: %v", err)
	}
	c.hears(peer, a, "three")
	_, err = b.Send(ctx, peer, "four")
	if n, ok = errors.AsType[*NewReaders](err); !ok || n.First || len(n.Readers) != 1 || n.Readers[0].Address != c.jid {
		t.Fatalf("%+v, %v", n, err)
	}
	if !strings.Contains(n.Error(), "Rana can read here now") {
		t.Errorf("words: %v", n)
	}
	if s, err := b.Security(ctx, peer); err != nil || !s.Warn || !strings.Contains(s.Words.String(), "Rana can read here now") {
		t.Errorf("security %+v, %v", s, err)
	}
	if !strings.Contains(bodies(t, b.Client, peer), "Rana can read here now") {
		t.Errorf("nothing says so: %s", bodies(t, b.Client, peer))
	}
	b.tell(peer, "four")
	c.hears(peer, b, "four")

	// A new device of Rana's gets nothing until it is compared, and then is shown.
	c2 := w.person("rana")
	eventually(t, "the new device is seen", func() bool {
		s, err := b.Security(ctx, peer)
		return err == nil && s.Undecided == 1 && s.Warn
	})
	if _, err := b.Send(ctx, peer, "five"); err != nil {
		t.Errorf("a device that gets nothing is no reader: %v", err)
	}
	c.hears(peer, b, "five")
	if err := b.Trust(ctx, c.jid, c2.device.Fingerprint(), store.Verified); err != nil {
		t.Fatal(err)
	}
	_, err = b.Send(ctx, peer, "six")
	if n, ok = errors.AsType[*NewReaders](err); !ok || len(n.Readers) != 1 || !n.Readers[0].Known || n.Readers[0].Devices[0] != c2.device.ID() {
		t.Fatalf("%+v, %v", n, err)
	}
	if err := c2.JoinRoom(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	b.tell(peer, "six")
	c.hears(peer, b, "six")
	c2.hears(peer, b, "six")
	for _, body := range []string{"one", "three", "four", "five"} {
		if strings.Contains("|"+bodies(t, c2.Client, peer)+"|", "|"+body+"|") {
			t.Errorf("the new device reads %q", body)
		}
	}
}

func TestRoomOnAllOwnDevices(t *testing.T) {
	w := newWard(t, "ada", "per")
	a1, b := w.person("ada"), w.person("per")
	a1.say(b, "hello")
	b.has(a1, "hello")
	a2 := w.person("ada")
	for _, p := range []*person{a1, b} {
		eventually(t, "the second device is known", func() bool {
			return p.Trust(ctx, a1.jid, a2.device.Fingerprint(), store.Verified) == nil
		})
	}
	peer := a1.create("Ward", b)
	eventually(t, "the other own device is in the room, too", func() bool {
		r, err := a2.Room(ctx, peer)
		return err == nil && r != nil && r.Joined && r.Name.String() == "Ward"
	})
	a2.knows(peer, a1, b)
	a1.tell(peer, "from the first")
	b.hears(peer, a1, "from the first")
	a2.hears(peer, a1, "from the first")
	b.tell(peer, "to both")
	a1.hears(peer, b, "to both")
	a2.hears(peer, b, "to both")
	if err := a1.Leave(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other own device has left, too", func() bool {
		r, err := a2.Room(ctx, peer)
		return err == nil && r != nil && !r.Joined
	})
}

func TestRoomAfterAbsence(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b, c := w.person("ada"), w.person("per"), w.person("rana")
	peer := a.create("Ward", b, c)
	a.knows(peer, a, b, c)
	a.tell(peer, "hello")
	b.hears(peer, a, "hello")
	c.hears(peer, a, "hello")

	// Per is away; what is written then comes from the archive, in its order.
	b.lock()
	b.link.Close()
	want := []string{"hello"}
	const n = 600 // more than two pages
	for i := range n {
		body := fmt.Sprintf("while away %d", i)
		want = append(want, body)
		a.tell(peer, body)
	}
	c.hears(peer, a, fmt.Sprintf("while away %d", n-1))
	b.connect()
	b.unlock()
	b.hears(peer, a, fmt.Sprintf("while away %d", n-1))
	c.tell(peer, "live")
	b.hears(peer, c, "live")
	want = append(want, "live")
	var got []string
	for _, m := range messages(t, b.Client, peer) {
		if m.Kind == store.Text {
			got = append(got, m.Body.String())
		}
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%d messages, want %d: %.300q", len(got), len(want), got)
	}

	// Written while offline, sent once and in order when the room is entered again.
	b.unplug(true)
	b.cut()
	eventually(t, "it is offline", func() bool { return b.State().Phase != 2 || len(b.conns) == 0 })
	for i := range 5 {
		b.tell(peer, fmt.Sprintf("offline %d", i))
	}
	b.unplug(false)
	a.hears(peer, b, "offline 4")
	var from []string
	for _, m := range messages(t, a.Client, peer) {
		if m.Sender.String() == b.jid && m.Kind == store.Text {
			from = append(from, m.Body.String())
		}
	}
	if got := strings.Join(from, "|"); got != "offline 0|offline 1|offline 2|offline 3|offline 4" {
		t.Errorf("from Per: %s", got)
	}
	eventually(t, "everything is sent", func() bool { return b.State().Queued == 0 })
}

func TestRoomCutTwentyTimes(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	peer := a.create("Ward", b)
	a.knows(peer, a, b)
	a.tell(peer, "a start")
	b.tell(peer, "b start")
	b.hears(peer, a, "a start")
	a.hears(peer, b, "b start")
	const n = 40
	for i := range n {
		switch i % 4 {
		case 1:
			a.cutOnline()
		case 3:
			b.cutOnline()
		}
		a.tell(peer, fmt.Sprintf("a%d", i))
		b.tell(peer, fmt.Sprintf("b%d", i))
	}
	for _, x := range []struct {
		p, from *person
		letter  string
	}{{a, b, "b"}, {b, a, "a"}} {
		for i := range n {
			x.p.hears(peer, x.from, fmt.Sprintf("%s%d", x.letter, i))
		}
		times := make(map[string]int)
		for _, m := range messages(t, x.p.Client, peer) {
			if times[m.Body.String()]++; m.Kind == store.Text && times[m.Body.String()] > 1 {
				t.Errorf("%s has %q twice", x.p.name, m.Body)
			}
		}
	}
	for _, p := range []*person{a, b} {
		eventually(t, "everything is delivered", func() bool {
			for _, m := range messages(t, p.Client, peer) {
				if m.Outgoing && m.State != store.Delivered {
					return false
				}
			}
			return true
		})
	}
}

func TestRoomWithoutKeysOfSomebody(t *testing.T) {
	w := newWard(t, "ada", "per", "rana") // Rana has never signed in
	a, b := w.person("ada"), w.person("per")
	peer := a.create("Ward", b)
	if err := a.Invite(soon(t), peer, "rana@mercy.example"); err != nil {
		t.Fatal(err)
	}
	m := a.tell(peer, "for all")
	b.hears(peer, a, "for all")
	eventually(t, "it says for whom it was not", func() bool {
		x := a.row(peer, m.ID)
		return x.Progress.Of == 2 && x.Progress.Delivered == 1 && x.Progress.Failed == 1 && x.State == store.Sent &&
			strings.Contains(x.Why.String(), "not for Rana")
	})
}

func TestRoomWhileLocked(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	peer := a.create("Ward", b)
	a.tell(peer, "hello")
	b.hears(peer, a, "hello")
	b.lock() // the link stays, and stays in the room
	for i := range 20 {
		a.tell(peer, fmt.Sprintf("locked %d", i))
	}
	b.unlock()
	eventually(t, "all of it is there", func() bool { return strings.Count(bodies(t, b.Client, peer), "locked") >= 20 })
	var got, want []string
	for _, m := range messages(t, b.Client, peer) {
		if strings.HasPrefix(m.Body.String(), "locked") {
			got, want = append(got, m.Body.String()), append(want, fmt.Sprintf("locked %d", len(want)))
		}
	}
	if len(got) != 20 || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("has %q", got)
	}
	b.tell(peer, "back")
	a.hears(peer, b, "back")
	a.tell(peer, "good")
	b.hears(peer, a, "good")
}

func TestInvitedWhileAway(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.say(b, "hello")
	b.has(a, "hello")
	b.lock()
	b.link.Close()
	peer := a.create("Ward")
	if err := a.Invite(soon(t), peer, b.jid); err != nil {
		t.Fatal(err)
	}
	m := a.tell(peer, "before you came")
	eventually(t, "the room has it", func() bool { return a.row(peer, m.ID).State == store.Sent })
	b.connect()
	b.unlock()
	eventually(t, "the invitation is there", func() bool { return strings.Contains(bodies(t, b.Client, peer), "invites you") })
	if sec, err := b.Security(t.Context(), peer); err != nil || !sec.Room || !strings.Contains(sec.Words.String(), "/join or /decline") {
		t.Errorf("the room that invites is shown as %+v, %v", sec, err)
	}
	if n := strings.Count(bodies(t, b.Client, peer), "invites you"); n != 1 {
		t.Errorf("invited %d times", n)
	}
	// Nothing is sent to a room that was not entered.
	if _, err := b.Send(ctx, peer, "too early"); err == nil || !strings.Contains(err.Error(), "not in this room") {
		t.Errorf("too early: %v", err)
	}
	if err := b.JoinRoom(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	// It was encrypted for a member who had not come yet.
	b.hears(peer, a, "before you came")
	b.tell(peer, "here I am")
	a.hears(peer, b, "here I am")
	if err := b.Forget(soon(t), peer); err == nil {
		t.Error("a room was forgotten that we are in")
	}
}
