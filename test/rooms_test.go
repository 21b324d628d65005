package test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/profanity"
	"sotto/test/proxy"
	"sotto/test/server"
)

// TestRoom has three people in a room on each server: made, entered on invitation,
// written in, cut off and caught up with, and one taken out of it again.
func TestRoom(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		people := team(t, s, "Okafor, Ada", "Lind, Per", "Haddad, Rana")
		link := proxy.Start(t, s.Addr)
		ada, rana := start(t, s, people[0], s.WebSocket), start(t, s, people[2], s.WebSocket)
		per := start(t, s, people[1], through(s, link))
		address := func(i int) string { return s.Address(people[i]) }

		room, err := ada.CreateRoom(ctx, "Night shift")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				for _, h := range []*headless.Sotto{ada, per, rana} {
					t.Logf("%s: %s", h.Self().Address, said(h, room))
				}
			}
		})
		for i, h := range []*headless.Sotto{per, rana} {
			if err := ada.Invite(ctx, room, address(i+1)); err != nil {
				t.Fatal(err)
			}
			sees(t, ctx, h, room, "invites you")
			if err := h.JoinRoom(ctx, room); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range []*headless.Sotto{ada, per, rana} {
			belong(t, ctx, h, room, address(0), address(1), address(2))
		}
		first := tell(t, ctx, ada, room, "Bed 9 goes to theatre at two")
		sees(t, ctx, per, room, "Bed 9 goes to theatre at two")
		sees(t, ctx, rana, room, "Bed 9 goes to theatre at two")
		tell(t, ctx, per, room, "Who takes it after?")
		tell(t, ctx, rana, room, "I do")
		for _, h := range []*headless.Sotto{ada, per, rana} {
			sees(t, ctx, h, room, "Who takes it after?")
			sees(t, ctx, h, room, "I do")
		}
		if err := ada.Until(ctx, "delivery to both", func() (bool, error) {
			all, err := ada.Conversation(ctx, room)
			i := slices.IndexFunc(all, func(m client.Message) bool { return m.ID == first.ID })
			return i >= 0 && all[i].State == store.Delivered && all[i].Progress.Delivered == 2, err
		}); err != nil {
			t.Fatal(err)
		}
		if err := per.SetTopic(ctx, room, "Bed 9"); err != nil {
			t.Fatal(err)
		}
		if err := rana.Until(ctx, "the topic", func() (bool, error) {
			r, err := rana.Room(ctx, room)
			return r != nil && r.Topic.String() == "Bed 9", err
		}); err != nil {
			t.Fatal(err)
		}

		// Away for a while: what is written then comes from the archive.
		link.SetAway(true)
		link.Cut()
		for i := range 20 {
			tell(t, ctx, rana, room, fmt.Sprintf("while Per is away %d", i))
		}
		sees(t, ctx, ada, room, "while Per is away 19")
		link.SetAway(false)
		if err := per.Until(ctx, "catching up", func() (bool, error) {
			return strings.Count(said(per, room), "while Per is away") >= 20, nil
		}); err != nil {
			t.Fatal(err)
		}
		if got := said(per, room); strings.Count(got, "while Per is away") != 20 || strings.Index(got, "away 0") > strings.Index(got, "away 19") {
			t.Errorf("caught up with: %s", got)
		}

		// Cut off again and again, and nothing is lost, repeated, or out of order.
		const n = 60
		for i := range n {
			if i%12 == 5 {
				link.Cut()
			}
			tell(t, ctx, ada, room, fmt.Sprintf("a%d", i))
			tell(t, ctx, per, room, fmt.Sprintf("p%d", i))
		}
		for _, x := range []struct {
			reads  *headless.Sotto
			sender int
			letter string
		}{{per, 0, "a"}, {rana, 0, "a"}, {ada, 1, "p"}, {rana, 1, "p"}} {
			sees(t, ctx, x.reads, room, fmt.Sprintf("%s%d", x.letter, n-1))
			var got, want []string
			for i := range n {
				want = append(want, fmt.Sprintf("%s%d", x.letter, i))
			}
			if err := x.reads.Until(ctx, "all that was written", func() (bool, error) {
				all, err := x.reads.Conversation(ctx, room)
				got = nil
				for _, m := range all {
					if b := m.Body.String(); m.Sender.String() == address(x.sender) && m.Kind == store.Text && strings.HasPrefix(b, x.letter) && len(b) < 4 {
						got = append(got, b)
					}
				}
				return len(got) >= n && slices.Equal(got, want), err // the archive says the order
			}); err != nil {
				t.Error(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s has %q", x.reads.Self().Address, got)
			}
		}

		if err := ada.Remove(ctx, room, address(2)); err != nil {
			t.Fatal(err)
		}
		sees(t, ctx, rana, room, "You were removed from this room")
		belong(t, ctx, per, room, address(0), address(1))
		tell(t, ctx, per, room, "only the two of us")
		sees(t, ctx, ada, room, "only the two of us")
		if got := said(rana, room); strings.Contains(got, "only the two of us") {
			t.Errorf("who was removed reads on: %s", got)
		}
		if err := per.Leave(ctx, room); err != nil {
			t.Fatal(err)
		}
		sees(t, ctx, per, room, "You have left this room")
		t.Logf("%s: %s", s.Name, said(per, room)[max(len(said(per, room))-300, 0):])
	})
}

// TestRoomWithProfanity has two sottos and somebody who uses another program in a
// room, on each server that such a program can log in to.
func TestRoomWithProfanity(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		if s.Client == 0 {
			return // profanity does not speak WebSocket
		}
		needProfanity(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		people := team(t, s, "Okafor, Ada", "Lind, Per", "Haddad, Rana")
		ada, rana := start(t, s, people[0], s.WebSocket), start(t, s, people[2], s.WebSocket)
		other := profanity.Start(t, s, people[1]) // last, so that their keys are there
		room, err := ada.CreateRoom(ctx, "Ward")
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{1, 2} {
			if err := ada.Invite(ctx, room, s.Address(people[i])); err != nil {
				t.Fatal(err)
			}
		}
		sees(t, ctx, rana, room, "invites you")
		if err := rana.JoinRoom(ctx, room); err != nil {
			t.Fatal(err)
		}
		other.SecureRoom(room)
		for i := range 3 {
			mine, theirs := fmt.Sprintf("ECG %d is done", i), fmt.Sprintf("K is 5.%d now", i)
			tell(t, ctx, ada, room, mine)
			sees(t, ctx, rana, room, mine)
			other.Hear(mine)
			other.SayInRoom(theirs)
			sees(t, ctx, ada, room, theirs)
			sees(t, ctx, rana, room, theirs)
		}
		for _, h := range []*headless.Sotto{ada, rana} {
			for _, m := range conversation(t, ctx, h, room) {
				if m.Kind == store.Text && !m.Encrypted {
					t.Errorf("%s got in the clear: %q", h.Self().Address, m.Body)
				}
			}
		}
		exercised(t, "a room with profanity over "+s.Name)
	})
}

// tell writes to a room, and accepts who reads there.
func tell(t *testing.T, ctx context.Context, h *headless.Sotto, room, body string) client.Message {
	t.Helper()
	for {
		m, err := h.Send(ctx, room, body)
		if n, ok := errors.AsType[*client.NewReaders](err); ok { // one more while these were accepted
			err = h.AcceptReaders(ctx, n)
			if err == nil {
				continue
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// said is what stands in a conversation.
func said(h *headless.Sotto, peer string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, err := h.Conversation(ctx, peer)
	if err != nil {
		return err.Error()
	}
	var b []string
	for _, m := range all {
		b = append(b, m.Body.String())
	}
	return strings.Join(b, " | ")
}

// sees waits until a text stands in a conversation; what people wrote must have
// come encrypted.
func sees(t *testing.T, ctx context.Context, h *headless.Sotto, peer, text string) {
	t.Helper()
	if err := h.Until(ctx, "reading "+text, func() (bool, error) {
		all, err := h.Conversation(ctx, peer)
		for _, m := range all {
			if strings.Contains(m.Body.String(), text) {
				if m.Kind == store.Text && (!m.Encrypted || m.Untrusted) {
					return false, fmt.Errorf("%q came unprotected: %+v", text, m)
				}
				return true, err
			}
		}
		return false, err
	}); err != nil {
		t.Fatal(err)
	}
}

// belong waits until somebody knows who belongs to a room.
func belong(t *testing.T, ctx context.Context, h *headless.Sotto, room string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if err := h.Until(ctx, "knowing who belongs to the room", func() (bool, error) {
		list, err := h.Members(ctx, room)
		var is []string
		for _, m := range list {
			is = append(is, m.Address)
		}
		return slices.Equal(is, want), err
	}); err != nil {
		t.Fatal(err)
	}
}
