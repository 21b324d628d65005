package client

import (
	"context"
	"strings"
	"testing"
	"time"

	"sotto/client/store"
	"sotto/client/wire"
)

// find returns the message whose text begins with words, or the one with the id.
func (p *person) find(peer, words string) (m Message, ok bool) {
	p.t.Helper()
	for _, x := range messages(p.t, p.Client, peer) {
		if strings.HasPrefix(x.Body.String(), words) && (words != "" || x.Gone != store.Here) {
			return x, true
		}
	}
	return Message{}, false
}

// holds reports whether a store has words anywhere that a person or a search sees.
func (p *person) holds(words string) bool {
	p.t.Helper()
	found := false
	err := p.st.View(ctx, func(tx *store.Tx) error {
		list, err := tx.Conversations()
		for _, c := range list {
			found = found || strings.Contains(c.Preview, words) || strings.Contains(c.Draft, words)
			rows, err := tx.Messages(c.Peer, 0, 10000)
			if err != nil {
				return err
			}
			for _, m := range rows {
				found = found || strings.Contains(m.Body, words)
			}
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

func (p *person) carried(peer string, id int64) (on, of int) {
	p.t.Helper()
	m := p.row(peer, id)
	return m.Carried, m.CarriedOf
}

func TestRecallLeavesEverySotto(t *testing.T) {
	w := newWard(t, "ada", "per")
	a1, b := w.person("ada"), w.person("per")
	b.say(a1, "hello")
	a1.has(b, "hello")
	a2 := w.person("ada") // a second device of hers
	for _, p := range []*person{a1, b} {
		p.compared(a1.jid, a2)
	}
	wrong := a1.say(b, "Give 100 mg of midazolam")
	for _, p := range []*person{a2, b} {
		peer := a1.jid
		if p == a2 {
			peer = b.jid
		}
		eventually(t, p.name+" has it", func() bool { _, ok := p.find(peer, "Give 100"); return ok })
	}
	answered, err := b.Reply(ctx, a1.jid, firstID(t, b, a1.jid, "Give 100"), "Really?")
	if err != nil || !strings.HasPrefix(answered.Body.String(), "> Give 100 mg of midazolam\nReally?") || answered.About == 0 {
		t.Fatalf("%+v, %v", answered, err)
	}
	a1.has(b, answered.Body.String())
	if err := b.SetDraft(ctx, a1.jid, store.Draft{Text: "> Give 100 mg of midazolam\nare you sure"}); err != nil {
		t.Fatal(err)
	}
	a1.delivered(b, wrong)
	withdrawn, err := a1.Recall(soon(t), b.jid, wrong.ID)
	if err != nil || withdrawn {
		t.Fatal(withdrawn, err)
	}
	if a1.holds("midazolam") {
		t.Error("the text is still here")
	}
	for _, p := range []*person{a2, b} {
		eventually(t, "it is gone on the other devices", func() bool { return !p.holds("midazolam") })
	}
	eventually(t, "both devices have said so", func() bool {
		on, of := a1.carried(b.jid, wrong.ID)
		return on == 2 && of == 2
	})
	m, _ := b.find(a1.jid, "")
	if m.Gone != store.Recalled || m.GoneBy.String() != a1.jid || m.GoneAt.IsZero() {
		t.Errorf("the line says %+v", m)
	}
	for _, p := range []*person{a1, a2, b} { // one line says it
		peer := a1.jid
		if p != b {
			peer = b.jid
		}
		if line, ok := p.find(peer, "I take back my message of"); ok {
			t.Errorf("%s is shown the recall itself: %+v", p.name, line)
		}
		p.shownNowhere(peer, "I take back")
	}
	if got := bodies(t, b.Client, a1.jid); !strings.Contains(got, "> [taken back]\nReally?") {
		t.Errorf("the answer to it is %q", got)
	}
	eventually(t, "the recall is delivered, and its line says so", func() bool {
		m, _ := a1.find(b.jid, "")
		return m.ID == wrong.ID && m.Recall.State == store.Delivered && m.Recall.Why.Empty()
	})
	f, err := a1.Fate(ctx, wrong.ID)
	if err != nil || len(f.Recall) != 2 || f.Recall[0].Outcome != store.CarriedOut || f.Recall[0].Time.IsZero() || f.Recall[0].Own == f.Recall[1].Own {
		t.Errorf("%+v, %v", f, err)
	}
	for _, p := range []*person{a1, a2, b} {
		peer := a1.jid
		if p != b {
			peer = b.jid
		}
		for _, m := range messages(t, p.Client, peer) {
			if m.Kind == store.Notice && !strings.Contains(m.Body.String(), "before this device was set up") && !strings.Contains(m.Body.String(), "new device") {
				t.Errorf("%s is told: %s", p.name, m.Body)
			}
		}
	}
	if _, err := a1.Recall(soon(t), b.jid, wrong.ID); err == nil {
		t.Error("what is gone was taken back again")
	}
	if m, _ := a1.find(b.jid, ""); m.Recall.ID == 0 {
		t.Error("the line does not know its recall")
	} else if _, err := a1.Recall(soon(t), b.jid, m.Recall.ID); err == nil {
		t.Error("a recall was taken back")
	}
}

// shownNowhere holds that words are in no list: not beside a name, not unread, not in
// the inbox, not to be found.
func (p *person) shownNowhere(peer, words string) {
	p.t.Helper()
	list, err := p.Conversations(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range list {
		if strings.Contains(c.Preview.String(), words) || c.Peer == peer && c.Last.IsZero() {
			p.t.Errorf("%s: the conversation list has %+v", p.name, c)
		}
	}
	unread, err := p.Waiting(ctx, peer, 100)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range unread {
		if strings.Contains(m.Body.String(), words) {
			p.t.Errorf("%s: unread is %+v", p.name, m)
		}
	}
	inbox, err := p.Inbox(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range inbox {
		if strings.Contains(m.Body.String(), words) {
			p.t.Errorf("%s: the inbox has %+v", p.name, m)
		}
	}
	found, err := p.Search(ctx, Query{Text: words, Limit: 10})
	if err != nil || len(found.Hits) > 0 {
		p.t.Errorf("%s: found %+v, %v", p.name, found.Hits, err)
	}
}

// compared has somebody trust a new device.
func (p *person) compared(who string, device *person) {
	p.t.Helper()
	eventually(p.t, p.name+" knows the new device", func() bool {
		devices, err := p.Devices(ctx, who)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, d := range devices {
			if d.ID == device.device.ID() && d.Known {
				return true
			}
		}
		return false
	})
	if err := p.Trust(ctx, who, device.device.Fingerprint(), store.Verified); err != nil {
		p.t.Fatal(err)
	}
}

func firstID(t testing.TB, p *person, peer, words string) int64 {
	t.Helper()
	m, ok := p.find(peer, words)
	if !ok {
		t.Fatalf("%s has no %q", p.name, words)
	}
	return m.ID
}

// TestRecallReachesWhoIsAway has one be offline when the message is taken back, and
// the other lock before the answer comes.
func TestRecallReachesWhoIsAway(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	b.say(a, "hello")
	a.has(b, "hello")
	wrong := a.say(b, "Give 100 mg of midazolam")
	a.delivered(b, wrong)
	b.lock()
	if _, err := a.Recall(soon(t), b.jid, wrong.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the recall is with the relay", func() bool { m, _ := a.find(b.jid, ""); return m.ID == wrong.ID && m.Recall.State == store.Sent })
	if on, of := a.carried(b.jid, wrong.ID); on != 0 || of != 1 {
		t.Errorf("carried out on %d of %d, and nobody was there", on, of)
	}
	a.lock()
	b.unlock()
	eventually(t, "it is gone", func() bool { return !b.holds("midazolam") })
	a.unlock()
	eventually(t, "the answer comes", func() bool { on, _ := a.carried(b.jid, wrong.ID); return on == 1 })
	if err := b.st.View(ctx, func(tx *store.Tx) error {
		list, err := tx.Answers()
		if len(list) > 0 {
			t.Logf("answers under way: %+v", list)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestRecallOfWhatHasNotLeft sends nothing.
func TestRecallOfWhatHasNotLeft(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	b.say(a, "hello")
	a.has(b, "hello")
	a.unplug(true)
	a.cut()
	eventually(t, "it is offline", func() bool { return a.State().Phase != wire.Online }) // or it counts as given to the link
	wrong := a.say(b, "Give 100 mg of midazolam")
	withdrawn, err := a.Recall(soon(t), b.jid, wrong.ID)
	if err != nil || !withdrawn {
		t.Fatal(withdrawn, err)
	}
	if got := bodies(t, a.Client, b.jid); got != "hello" {
		t.Errorf("left: %s", got)
	}
	a.unplug(false)
	a.say(b, "after")
	b.has(a, "after")
	if got := bodies(t, b.Client, a.jid); got != "hello|after" {
		t.Errorf("the other has %s", got)
	}
}

func TestRecallInARoom(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b, c := w.person("ada"), w.person("per"), w.person("rana")
	peer := a.create("Night shift", b, c)
	for _, p := range []*person{a, b, c} {
		p.knows(peer, a, b, c)
	}
	b.tell(peer, "hello from per")
	a.hears(peer, b, "hello from per")
	c.hears(peer, b, "hello from per")
	wrong := b.tell(peer, "Give 100 mg of midazolam")
	a.hears(peer, b, "Give 100 mg of midazolam")
	c.hears(peer, b, "Give 100 mg of midazolam")
	if _, err := c.Recall(soon(t), peer, firstID(t, c, peer, "Give 100")); err == nil {
		t.Error("a member took back what somebody else wrote")
	}
	c.lock()
	if _, err := b.Recall(soon(t), peer, wrong.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone at ada's", func() bool { return !a.holds("midazolam") })
	c.unlock()
	eventually(t, "it is gone at rana's", func() bool { return !c.holds("midazolam") })
	eventually(t, "both have said so", func() bool { on, of := b.carried(peer, wrong.ID); return on == 2 && of == 2 })

	// Who made the room moderates it.
	c.tell(peer, "Something that must not be here")
	a.hears(peer, c, "Something that must not be here")
	b.hears(peer, c, "Something that must not be here")
	eventually(t, "the room's moderator takes it out", func() bool {
		_, err := a.Recall(soon(t), peer, firstID(t, a, peer, "Something"))
		return err == nil
	})
	for _, p := range []*person{a, b, c} {
		eventually(t, "it is gone at "+p.name+"'s", func() bool { return !p.holds("must not be here") })
	}
	for _, m := range messages(t, b.Client, peer) {
		if m.Gone == store.Recalled && m.Sender.String() == c.jid && m.GoneBy.String() != a.jid {
			t.Errorf("taken out by %s", m.GoneBy)
		}
	}
}

// TestTwoRecallsAreTwoAnswers: an answer is to one recall, also where many wait.
func TestTwoRecallsAreTwoAnswers(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	b.say(a, "hello")
	a.has(b, "hello")
	var sent []Message
	for _, s := range []string{"one", "two", "three"} {
		sent = append(sent, a.say(b, s))
		b.has(a, s)
	}
	for _, m := range sent[:2] {
		a.delivered(b, m)
		if _, err := a.Recall(soon(t), b.jid, m.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range sent[:2] {
		eventually(t, "carried out", func() bool { on, _ := a.carried(b.jid, m.ID); return on == 1 })
	}
	b.has(a, "three")
	if m := a.row(b.jid, sent[2].ID); m.Gone != store.Here || m.CarriedOf != 0 {
		t.Errorf("%+v", m)
	}
}

func TestCorrectionHidesNothing(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	b.say(a, "hello")
	a.has(b, "hello")
	first := a.say(b, "Give 100 mg")
	b.has(a, "Give 100 mg")
	second, err := a.Correct(ctx, b.jid, first.ID, "Give 10 mg")
	if err != nil || !second.Corrects || second.About != first.ID {
		t.Fatalf("%+v, %v", second, err)
	}
	third, err := a.Correct(ctx, b.jid, second.ID, "Give 1 mg")
	if err != nil {
		t.Fatal(err)
	}
	b.has(a, "Give 1 mg")
	for _, p := range []*person{a, b} {
		peer := map[*person]string{a: b.jid, b: a.jid}[p]
		if got := bodies(t, p.Client, peer); !strings.HasSuffix(got, "Give 100 mg|Give 10 mg|Give 1 mg") {
			t.Errorf("%s has %s", p.name, got)
		}
		old, _ := p.find(peer, "Give 100 mg")
		last, _ := p.find(peer, "Give 1 mg")
		if old.CorrectedBy != last.ID || !last.Corrects || last.About != old.ID || !last.AboutTime.Equal(old.Time) {
			t.Errorf("%s: %+v, %+v", p.name, old, last)
		}
	}
	if _, err := b.Correct(ctx, a.jid, firstID(t, b, a.jid, "Give 1 mg"), "Give 2 mg"); err == nil {
		t.Error("somebody else's message was corrected")
	}
	a.delivered(b, third)
	if m := a.row(b.jid, third.ID); m.Progress.Of != 1 || m.Progress.Delivered != 1 {
		t.Errorf("%+v", m.Progress)
	}
	if f, err := a.Fate(ctx, third.ID); err != nil || len(f.Recipients) != 1 || f.Recipients[0].State != store.Delivered || time.Since(f.Recipients[0].Time) > time.Hour {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAcknowledge(t *testing.T) {
	w := newWard(t, "ada", "per", "rana")
	a, b, c := w.person("ada"), w.person("per"), w.person("rana")
	peer := a.create("Night shift", b, c)
	for _, p := range []*person{a, b, c} {
		p.knows(peer, a, b, c)
	}
	stat := a.tell(peer, "!stat Calcium gluconate 10 ml now")
	other := a.tell(peer, "!stat And an ECG")
	for _, p := range []*person{b, c} {
		p.hears(peer, a, "!stat And an ECG")
	}
	b.tell(peer, "hello") // so that who reads is accepted
	c.hears(peer, b, "hello")
	m, err := b.Acknowledge(ctx, peer, firstID(t, b, peer, "!stat Calcium"), "two minutes")
	if err != nil || m.Body.String() != "!ack\n> Calcium gluconate 10 ml now\ntwo minutes" {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, p := range []*person{a, b, c} {
		eventually(t, p.name+" sees who has it", func() bool {
			m, _ := p.find(peer, "!stat Calcium")
			return len(m.Acks) == 1 && m.Acks[0].Sender.String() == b.jid && len(m.Reactions) == 0
		})
		if m, _ := p.find(peer, "!stat And"); len(m.Acks) != 0 {
			t.Errorf("%s: %+v", p.name, m.Acks)
		}
	}
	if _, err := b.Acknowledge(ctx, peer, firstID(t, b, peer, "hello"), ""); err == nil {
		t.Error("what is not urgent was acknowledged")
	}
	if _, err := a.Acknowledge(ctx, peer, stat.ID, ""); err == nil {
		t.Error("somebody acknowledged an own message")
	}
	// Typed by hand, it says not which: it counts for none.
	c.tell(peer, "!ack")
	a.hears(peer, c, "!ack")
	if m := a.row(peer, other.ID); len(m.Acks) != 0 {
		t.Errorf("%+v", m.Acks)
	}
	var waiting int
	if err := c.st.View(context.Background(), func(tx *store.Tx) error {
		list, err := tx.Inbox(store.Me{}, time.Now(), 10)
		waiting = len(list)
		return err
	}); err != nil || waiting != 0 {
		t.Errorf("%d wait for who typed it, %v", waiting, err)
	}
}

// TestRecallOfAFile has a file leave both sides, whose messages have other labels.
func TestRecallOfAFile(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	b.say(a, "hello")
	a.has(b, "hello")
	content := file(70_001)
	m := a.attachFile(b, "ecg.png", content, "")
	a.delivered(b, m)
	got := b.offered(a, "ecg.png")
	b.fetches(a, got, content)
	if _, err := a.Recall(soon(t), b.jid, m.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return b.row(a.jid, got.ID).Gone == store.Recalled })
	eventually(t, "that is said", func() bool { on, of := a.carried(b.jid, m.ID); return on == 1 && of == 1 })
	eventually(t, "neither keeps it", func() bool { return a.keeps() == 0 && b.keeps() == 0 })
	if files := b.row(a.jid, got.ID).Files; len(files) != 0 {
		t.Errorf("still offered: %+v", files)
	}
}
