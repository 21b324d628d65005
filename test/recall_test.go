package test

import (
	"context"
	"strings"
	"testing"

	"sotto/client"
	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/profanity"
	"sotto/test/proxy"
	"sotto/test/server"
)

// message waits until a message with words is in a conversation and is as wanted.
func message(t *testing.T, ctx context.Context, h *headless.Sotto, peer, words string, so func(client.Message) bool) client.Message {
	t.Helper()
	var found client.Message
	if err := h.Until(ctx, "having "+words+" as wanted", func() (bool, error) {
		all, err := h.Conversation(ctx, peer)
		for _, m := range all {
			if strings.Contains(m.Body.String(), words) && (so == nil || so(m)) {
				found = m
				return true, err
			}
		}
		return false, err
	}); err != nil {
		t.Fatalf("%v: %s", err, said(h, peer))
	}
	return found
}

// lacks waits until words stand nowhere in a conversation.
func lacks(t *testing.T, ctx context.Context, h *headless.Sotto, peer, words string) {
	t.Helper()
	if err := h.Until(ctx, "having no more "+words, func() (bool, error) {
		return !strings.Contains(said(h, peer), words), nil
	}); err != nil {
		t.Fatalf("%v: %s", err, said(h, peer))
	}
}

// carried waits until a recall was carried out on all devices that had the message.
func carried(t *testing.T, ctx context.Context, h *headless.Sotto, id int64, devices int) {
	t.Helper()
	var f client.Fate
	if err := h.Until(ctx, "hearing of the recall from all", func() (_ bool, err error) {
		f, err = h.Fate(ctx, id)
		return f.Message.Carried == devices && f.Message.CarriedOf == devices, err
	}); err != nil {
		t.Fatalf("%v: %+v", err, f.Recall)
	}
}

// compared has somebody trust a new device of somebody.
func compared(t *testing.T, ctx context.Context, h, device *headless.Sotto) {
	t.Helper()
	self := device.Self()
	if err := h.Until(ctx, "knowing the new device", func() (bool, error) {
		list, err := h.Devices(ctx, self.Address)
		for _, d := range list {
			if d.ID == self.Device && d.Known {
				return true, err
			}
		}
		return false, err
	}); err != nil {
		t.Fatal(err)
	}
	if err := h.Trust(ctx, self.Address, self.Fingerprint, store.Verified); err != nil {
		t.Fatal(err)
	}
}

// TestRecallOnEachServer takes messages back between two people, one of whom has
// two devices while the other is away, and in a room; and corrects, answers and
// acknowledges there.
func TestRecallOnEachServer(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		people := team(t, s, "Okafor, Ada", "Lind, Per", "Haddad, Rana")
		link := proxy.Start(t, s.Addr)
		ada, rana := start(t, s, people[0], s.WebSocket), start(t, s, people[2], s.WebSocket)
		per := start(t, s, people[1], through(s, link))
		a, p := s.Address(people[0]), s.Address(people[1])
		send := func(h *headless.Sotto, peer, body string) client.Message {
			t.Helper()
			return tell(t, ctx, h, peer, body)
		}
		send(per, a, "hello")
		sees(t, ctx, ada, p, "hello")
		second := start(t, s, people[0], s.WebSocket)
		compared(t, ctx, ada, second)
		compared(t, ctx, per, second)

		// Taken back while Per is away: it is gone when he comes back, and on Ada's
		// other device at once.
		wrong := send(ada, p, "Give 100 mg of midazolam")
		sees(t, ctx, per, a, "midazolam")
		sees(t, ctx, second, p, "midazolam")
		message(t, ctx, ada, p, "midazolam", func(m client.Message) bool { return m.State >= store.Delivered })
		link.SetAway(true)
		link.Cut()
		if _, err := ada.Recall(ctx, p, wrong.ID); err != nil {
			t.Fatal(err)
		}
		lacks(t, ctx, ada, p, "midazolam")
		lacks(t, ctx, second, p, "midazolam")
		link.SetAway(false)
		lacks(t, ctx, per, a, "midazolam")
		carried(t, ctx, ada, wrong.ID, 2)
		lacks(t, ctx, per, a, "I take back my message") // the line of the message says it
		lacks(t, ctx, ada, p, "I take back my message")

		// Corrected, answered, acknowledged.
		first := send(ada, p, "!stat Give 10 mg of calcium")
		better, err := ada.Correct(ctx, p, first.ID, "!stat Give 10 ml of calcium")
		if err != nil {
			t.Fatal(err)
		}
		old := message(t, ctx, per, a, "10 mg of calcium", func(m client.Message) bool { return m.CorrectedBy != 0 })
		newer := message(t, ctx, per, a, "10 ml of calcium", func(m client.Message) bool { return m.Corrects && m.About == old.ID })
		if _, err := per.Acknowledge(ctx, a, newer.ID, "two minutes"); err != nil {
			t.Fatal(err)
		}
		by := func(who string) func(client.Message) bool {
			return func(m client.Message) bool { return len(m.Acks) == 1 && m.Acks[0].Sender.String() == who }
		}
		message(t, ctx, ada, p, "10 ml of calcium", by(p))
		message(t, ctx, second, p, "10 ml of calcium", by(p))
		if _, err := ada.Reply(ctx, p, message(t, ctx, ada, p, "two minutes", nil).ID, "Good"); err != nil {
			t.Fatal(err)
		}
		message(t, ctx, per, a, "\nGood", func(m client.Message) bool { return m.About != 0 })
		f, err := ada.Fate(ctx, better.ID)
		if err != nil || len(f.Recipients) != 1 || f.Recipients[0].State < store.Delivered {
			t.Errorf("%+v, %v", f.Recipients, err)
		}

		inARoom(t, ctx, s, ada, per, rana)
	})
}

// inARoom does the same among three.
func inARoom(t *testing.T, ctx context.Context, s *server.Server, ada, per, rana *headless.Sotto) {
	t.Helper()
	a, p, r := ada.Self().Address, per.Self().Address, rana.Self().Address
	room, err := ada.CreateRoom(ctx, "Night shift")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*headless.Sotto{per, rana} {
		if err := ada.Invite(ctx, room, h.Self().Address); err != nil {
			t.Fatal(err)
		}
		sees(t, ctx, h, room, "invites you")
		if err := h.JoinRoom(ctx, room); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*headless.Sotto{ada, per, rana} {
		belong(t, ctx, h, room, a, p, r)
	}
	tell(t, ctx, rana, room, "!stat Potassium of bed 9 is 7.1")
	sees(t, ctx, per, room, "is 7.1")
	sees(t, ctx, ada, room, "is 7.1")
	tell(t, ctx, per, room, "hello")
	if _, err := per.Acknowledge(ctx, room, message(t, ctx, per, room, "is 7.1", nil).ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*headless.Sotto{ada, per, rana} {
		message(t, ctx, h, room, "is 7.1", func(m client.Message) bool { return len(m.Acks) == 1 && m.Acks[0].Sender.String() == p })
	}
	wrong := tell(t, ctx, per, room, "Give 100 mg of midazolam")
	for _, h := range []*headless.Sotto{ada, rana} {
		sees(t, ctx, h, room, "midazolam")
	}
	message(t, ctx, per, room, "midazolam", func(m client.Message) bool { return m.Progress.Delivered == 2 })
	theirs := message(t, ctx, rana, room, "midazolam", nil)
	if err := rana.MarkRead(ctx, room, theirs.ID); err != nil {
		t.Fatal(err)
	}
	message(t, ctx, per, room, "midazolam", func(m client.Message) bool { return m.Progress.Read == 1 })
	if _, err := rana.Recall(ctx, room, theirs.ID); err == nil {
		t.Error("a member took back what somebody else wrote")
	}
	if _, err := per.Recall(ctx, room, wrong.ID); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*headless.Sotto{ada, per, rana} {
		lacks(t, ctx, h, room, "midazolam")
	}
	if err := per.Until(ctx, "hearing of it from everybody", func() (bool, error) {
		f, err := per.Fate(ctx, wrong.ID)
		sotto := 0
		for _, d := range f.Recall {
			if d.Outcome == store.CarriedOut {
				sotto++
			}
		}
		return sotto >= 2, err
	}); err != nil {
		t.Fatal(err)
	}
	if s.Name != "" {
		exercised(t, "recall, correction, answer and acknowledgement over "+s.Name)
	}
}

// TestRecallWithProfanity shows what somebody sees who uses another app: the words,
// and no answer to the one who asked.
func TestRecallWithProfanity(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		if s.Client == 0 {
			return // profanity does not speak WebSocket
		}
		needProfanity(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		people := team(t, s, "Okafor, Ada", "Lind, Per")
		ada := start(t, s, people[0], s.WebSocket) // first, so that her keys are there
		other := profanity.Start(t, s, people[1])
		a, p := s.Address(people[0]), s.Address(people[1])
		other.Secure(a)
		other.Say("Bed 9 potassium came back 6.8")
		sees(t, ctx, ada, p, "came back 6.8")
		wrong := tell(t, ctx, ada, p, "Give 100 mg of midazolam")
		other.Hear("Give 100 mg of midazolam")
		if _, err := ada.Reply(ctx, p, message(t, ctx, ada, p, "came back 6.8", nil).ID, "Repeat it"); err != nil {
			t.Fatal(err)
		}
		other.Screen.See("> Bed 9 potassium came back 6.8", "Repeat it")
		if _, err := ada.Recall(ctx, p, wrong.ID); err != nil {
			t.Fatal(err)
		}
		other.Screen.See("I take back my message of", "please disregard and delete it")
		lacks(t, ctx, ada, p, "midazolam")
		message(t, ctx, ada, p, "", func(m client.Message) bool { return m.ID == wrong.ID && m.Recall.State >= store.Delivered })
		f, err := ada.Fate(ctx, wrong.ID)
		if err != nil || f.Message.Carried != 0 || f.Message.CarriedOf != 1 || f.Recall[0].Outcome != store.Waiting {
			t.Errorf("%+v, %v", f, err)
		}
		other.Say("!ack coming")
		if m := message(t, ctx, ada, p, "!ack coming", nil); m.About != 0 {
			t.Errorf("%+v", m)
		}
		exercised(t, "recall with profanity over "+s.Name)
	})
}

// TestRecallOnTheScreen is what two people see and press.
func TestRecallOnTheScreen(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	ada, per := newPerson(t, "Ada"), newPerson(t, "Per")
	ada.join(s, people[0])
	per.join(s, people[1])
	ada.talkTo("Lind, Per")
	per.talkTo("Okafor, Ada")
	per.Type("!stat Bed 9 potassium is 7.1") // of which the mark is shown as a word
	per.Press("Enter")
	ada.See("STAT", "Bed 9 potassium is 7.1", "acknowledge with Alt+Enter")
	ada.Press("M-Enter")
	ada.See("ack you")
	per.SeeMatch(`ack Okafor \d\d:\d\d`)

	ada.say("Give 100 mg of midazolam")
	per.See("Give 100 mg of midazolam")
	ada.delivered("Give 100 mg of midazolam")
	ada.Press("M-t")
	ada.See("Alt+T again takes back")
	ada.Press("M-t")
	ada.SeeMatch(`taken back by you (at|on \d+ \w+) \d\d:\d\d · gone on 1 of 1`)
	per.SeeMatch(`taken back by Okafor (at|on \d+ \w+) \d\d:\d\d`)
	for _, p := range []*person{ada, per} {
		p.SeeGone("midazolam")
		p.SeeGone("took back")
	}

	ada.say("Give 10 mg")
	ada.Press("M-e")
	ada.See("corrects", "Esc: not so")
	ada.Press("BSpace", "BSpace")
	ada.Type("ml")
	ada.Press("Enter")
	per.See("Give 10 mg", "corrected below, at", "Give 10 ml", "corrects")
	per.Press("M-Up")
	per.See("Alt+R answer")
	per.Press("M-r")
	per.See("answers", "Give 10 ml")
	per.say("Done")
	ada.See("> Give 10 ml", "Done")
	ada.Press("M-w")
	ada.See("the message of", "Esc back")
	ada.SeeMatch(`Lind, Per +(read|delivered) \d\d:\d\d`)
	ada.Press("Escape")
	ada.SeeGone("Esc back")
	ada.quit()
	per.quit()
	exercised(t, "taking back, correcting, answering and acknowledging on the screen")
}
