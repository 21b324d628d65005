package client

import (
	"slices"
	"strings"
	"testing"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// These are relays, and others, that would have a text disappear, or be taken for
// something that nobody said of it.

// holding is a client that has two messages of Ada's.
func holding(t *testing.T) (*Client, *double, *remote) {
	t.Helper()
	c, d, r := talking(t)
	d.deliver(r.write(c, "m1", "!stat Give 10 mg"))
	d.deliver(r.write(c, "m2", "!stat Stop, she is allergic"))
	shows(t, c, "first|!stat Give 10 mg|!stat Stop, she is allergic")
	return c, d, r
}

// recallOf is Ada's recall of a message.
func recallOf(r *remote, c *Client, id, of, body string) *stanza.Element {
	return r.write(c, id, recallText(of, store.Digest(of, body), "I take it back"))
}

// text is the message that says something, or nil.
func textOf(t testing.TB, c *Client, body string) *Message {
	t.Helper()
	for _, m := range messages(t, c, ada) {
		if m.Body.String() == body {
			return &m
		}
	}
	return nil
}

// stays gives a client stanzas, and waits for the message behind them.
func stays(t *testing.T, c *Client, d *double, r *remote, list ...*stanza.Element) {
	t.Helper()
	for _, e := range list {
		d.deliver(e)
	}
	d.deliver(r.write(c, "behind", "behind"))
	eventually(t, "what was sent behind it is there", func() bool { return textOf(t, c, "behind") != nil })
	for _, body := range []string{"!stat Give 10 mg", "!stat Stop, she is allergic"} {
		if textOf(t, c, body) == nil {
			t.Errorf("%q is gone: %s", body, bodies(t, c, ada))
		}
	}
}

// says reports whether a notice has these words.
func says(t testing.TB, c *Client, words string) bool {
	t.Helper()
	for _, m := range messages(t, c, ada) {
		if m.Kind == store.Notice && strings.Contains(m.Body.String(), words) {
			return true
		}
	}
	return false
}

func TestRetractionThatAnybodyCouldWrite(t *testing.T) {
	for name, forge := range map[string]func(*remote, *Client) *stanza.Element{
		"alone": func(*remote, *Client) *stanza.Element {
			return stanza.NewChat(me, "x", stanza.Retract("m2"), stanza.StoreHint()).With("from", ada+"/phone")
		},
		"with a fallback": func(*remote, *Client) *stanza.Element {
			return stanza.NewChat(me, "x", stanza.Retract("m2"), stanza.Fallback{For: stanza.NSRetract, Whole: true}.Element(),
				stanza.Body("was retracted")).With("from", ada+"/phone")
		},
		"on another message": func(r *remote, c *Client) *stanza.Element {
			return r.write(c, "x", "are you there?").Add(stanza.Retract("m2"))
		},
		"as text, unencrypted": func(*remote, *Client) *stanza.Element {
			return stanza.NewChat(me, "x", stanza.Retract("m2"), stanza.Body(recallText("m2", store.Digest("m2", "!stat Stop, she is allergic"), ""))).With("from", ada+"/phone")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, d, r := holding(t)
			stays(t, c, d, r, forge(r, c))
			if !says(t, c, "Nobody can tell whether it was okafor: it stays") {
				t.Errorf("nothing is said of it: %s", bodies(t, c, ada))
			}
		})
	}
}

func TestRecallOfAnotherTextThanItSays(t *testing.T) {
	c, d, r := holding(t)
	// She takes back what she had sent as m9, and a relay had delivered as m2.
	stays(t, c, d, r, recallOf(r, c, "x", "m2", "!stat Give 10 mg"))
	if !says(t, c, "named one with another text. It stays") {
		t.Errorf("nothing is said of it: %s", bodies(t, c, ada))
	}
	e := d.sent(func(e *stanza.Element) bool { s, ok := signalIn(r, e); return ok && s == signalOf("m2", store.Refused) })
	if hasPayload(e) || e.Get("to") != ada {
		t.Errorf("the answer is %s", e.Bytes())
	}
}

// signalIn reads an empty message of the client's.
func signalIn(r *remote, e *stanza.Element) (s [16]byte, ok bool) {
	enc := e.Child(stanza.NSOmemo, "encrypted")
	if enc == nil || hasPayload(e) {
		return s, false
	}
	err := r.st.Update(ctx, func(tx *store.Tx) error {
		got, err := r.dev.Decrypt(tx, me, enc)
		s = got.Signal
		return err
	})
	return s, err == nil
}

func TestRecallBeforeItsMessageKeepsToItsText(t *testing.T) {
	c, d, r := holding(t)
	stays(t, c, d, r, recallOf(r, c, "x", "m8", "never sent so"), r.write(c, "m8", "Give 20 mg"),
		recallOf(r, c, "y", "m9", "Give 30 mg"), r.write(c, "m9", "Give 30 mg"))
	if textOf(t, c, "Give 20 mg") == nil || textOf(t, c, "Give 30 mg") != nil {
		t.Errorf("has %s", bodies(t, c, ada))
	}
}

func TestRecallByWhoDidNotWriteIt(t *testing.T) {
	c, d, r := holding(t)
	mine, err := c.Send(ctx, ada, "mine")
	if err != nil {
		t.Fatal(err)
	}
	id := c.originOf(t, mine.ID)
	other := recallOf(r, c, "x", "m2", "!stat Stop, she is allergic").With("from", "mallory@mercy.example/x")
	stays(t, c, d, r, recallOf(r, c, "w", id, "mine"), other)
	if textOf(t, c, "mine") == nil {
		t.Error("she took back what she had not written")
	}
}

func TestRecallFromAnUntrustedDevice(t *testing.T) {
	c, d, r := holding(t)
	spy := newRemote(t, d, ada)
	d.deliver(listFrom(ada, r.dev.ID(), spy.dev.ID()))
	spy.start(d, c)
	stays(t, c, d, r, recallOf(spy, c, "x", "m2", "!stat Stop, she is allergic"))
	if !says(t, c, "from a device that is not trusted. It stays") {
		t.Errorf("nothing is said of it: %s", bodies(t, c, ada))
	}
}

func TestRecallRepeated(t *testing.T) {
	c, d, r := holding(t)
	e := recallOf(r, c, "x", "m1", "!stat Give 10 mg")
	d.deliver(e)
	eventually(t, "it is gone", func() bool { return textOf(t, c, "!stat Give 10 mg") == nil })
	before := len(messages(t, c, ada))
	again := copied(e)
	again.Set("id", "z")
	again.Children = slices.DeleteFunc(again.Children, func(x *stanza.Element) bool { return x.Local == "origin-id" })
	d.deliver(again)
	d.deliver(e)
	d.deliver(r.write(c, "m1", "!stat Give 10 mg")) // a repeat does not bring it back
	d.deliver(r.write(c, "behind", "behind"))
	eventually(t, "what was sent behind it is there", func() bool { return textOf(t, c, "behind") != nil })
	if n := len(messages(t, c, ada)); n != before+1 || textOf(t, c, "!stat Give 10 mg") != nil {
		t.Errorf("%d lines, %s", n-before, bodies(t, c, ada))
	}
}

// TestAnswersNobodyGave: only the device that was asked says that it was carried out.
func TestAnswersNobodyGave(t *testing.T) {
	c, d, r := talking(t)
	mine, err := c.Send(ctx, ada, "Give 100 mg")
	if err != nil {
		t.Fatal(err)
	}
	e := d.sent(hasPayload)
	if _, err := r.read(e); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is sent", func() bool { return textOf(t, c, "Give 100 mg").State == store.Sent })
	if _, err := c.Recall(soon(t), ada, mine.ID); err != nil {
		t.Fatal(err)
	}
	recall := d.sent(hasPayload)
	body, err := r.read(recall)
	if err != nil {
		t.Fatal(err)
	}
	id, digest, words, ok := readRecall(body)
	if !ok || id != e.Get("id") || string(digest) != string(store.Digest(id, "Give 100 mg")) || !strings.Contains(words, "disregard") {
		t.Errorf("the recall says %q", body)
	}
	if got, ok := stanza.ReadRetract(recall); !ok || got != id {
		t.Errorf("for other apps: %s", recall.Bytes())
	}
	signal := func(of string, o store.Outcome) *stanza.Element {
		var enc *stanza.Element
		r.do(func(tx *store.Tx) (err error) {
			enc, err = r.dev.EncryptSignal(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, signalOf(of, o))
			return err
		})
		return stanza.NewChat(me, newID(), enc).With("from", ada+"/phone")
	}
	emptied := r.write(c, "y", "hello")
	enc := emptied.Child(stanza.NSOmemo, "encrypted")
	enc.Children = slices.DeleteFunc(enc.Children, func(x *stanza.Element) bool { return x.Local == "payload" })
	for _, e := range []*stanza.Element{emptied, signal("another", store.CarriedOut), signal(id, store.Waiting)} {
		d.deliver(e)
	}
	d.deliver(r.write(c, "behind", "behind"))
	eventually(t, "what was sent behind it is there", func() bool { return textOf(t, c, "behind") != nil })
	carried := func() (int, int) {
		f, err := c.Fate(ctx, mine.ID)
		if err != nil {
			t.Fatal(err)
		}
		return f.Message.Carried, f.Message.CarriedOf
	}
	if on, of := carried(); on != 0 || of != 1 {
		t.Errorf("carried out on %d of %d", on, of)
	}
	d.deliver(signal(id, store.CarriedOut))
	eventually(t, "the true answer counts", func() bool { on, _ := carried(); return on == 1 })
}

func TestAcknowledgementOfAnother(t *testing.T) {
	c, d, r := talking(t)
	var ids []string
	for _, s := range []string{"!stat Give 10 mg", "!stat Stop, she is allergic"} {
		if _, err := c.Send(ctx, ada, s); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.sent(hasPayload).Get("id"))
	}
	d.deliver(stanza.NewChat(me, "a", stanza.Reactions(ids[1], seen)).With("from", ada+"/phone"))
	d.deliver(r.write(c, "b", "!ack\n> Give 10 mg").Add(stanza.ReplyTo(me, ids[1]), stanza.Reactions(ids[1], seen)))
	d.deliver(stanza.NewChat(me, "c", stanza.Body("!ack\n> Stop, she is allergic"), stanza.ReplyTo(me, ids[1])).With("from", ada+"/phone"))
	d.deliver(r.write(c, "d", "!ack\n> Give"))
	d.deliver(r.write(c, "e", "> Give 10 mg\nis this right?").Add(stanza.ReplyTo(me, ids[1])))
	d.deliver(r.write(c, "behind", "behind"))
	eventually(t, "what was sent behind it is there", func() bool { return textOf(t, c, "behind") != nil })
	first, second := textOf(t, c, "!stat Give 10 mg"), textOf(t, c, "!stat Stop, she is allergic")
	if len(first.Acks) != 1 || len(second.Acks) != 0 {
		t.Errorf("acknowledged: %+v, %+v", first.Acks, second.Acks)
	}
	if len(second.Reactions) != 1 || len(first.Reactions) != 0 {
		t.Errorf("reactions: %+v, %+v", first.Reactions, second.Reactions)
	}
	if m := textOf(t, c, "> Give 10 mg\nis this right?"); m.About != 0 {
		t.Errorf("it is an answer to %d, which it does not quote", m.About)
	}
}

func TestCorrectionThatARelayAdds(t *testing.T) {
	c, d, r := holding(t)
	mine, err := c.Send(ctx, ada, "mine")
	if err != nil {
		t.Fatal(err)
	}
	stays(t, c, d, r, r.write(c, "m3", "Repeat in an hour").Add(stanza.Replace("m2")), r.write(c, "m4", "Not so").Add(stanza.Replace(c.originOf(t, mine.ID))),
		stanza.NewChat(me, "m5", stanza.Body("plain"), stanza.Replace("m1")).With("from", ada+"/phone"), r.write(c, "m6", "itself").Add(stanza.Replace("m6")))
	for _, body := range []string{"!stat Give 10 mg", "mine", "itself"} {
		if m := textOf(t, c, body); m == nil || m.CorrectedBy != 0 {
			t.Errorf("%q: %+v", body, m)
		}
	}
	if m := textOf(t, c, "!stat Stop, she is allergic"); m.CorrectedBy == 0 {
		t.Error("what is marked as corrected by its sender is not shown as such")
	}
}

// TestModerationByARelay has a room say that a moderator took a message out.
func TestModerationByARelay(t *testing.T) {
	l := newLair(t)
	var enc *stanza.Element
	l.ada.start(l.double, l.c)
	l.ada.do(func(tx *store.Tx) (err error) {
		enc, err = l.ada.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: l.c.device.ID()}}, []byte("Stop, she is allergic"))
		return err
	})
	l.deliver(l.said("okafor", "m1", enc).Add(stanza.New(stanza.NSStanzaID, "stanza-id").With("by", icu).With("id", "s1")))
	l.deliver(stanza.New(stanza.NSClient, "message", stanza.Moderation{ID: "s1", By: icu + "/admin"}.Element()).
		With("type", "groupchat").With("from", icu).With("to", me+"/test"))
	l.deliver(l.said("okafor", "m2", stanza.Retract("s1")))
	l.settledWith()
	list := messages(t, l.c, icu)
	got := bodies(t, l.c, icu)
	if !strings.Contains(got, "Stop, she is allergic") || !strings.Contains(got, "The room says that a moderator took out the message") ||
		!strings.Contains(got, "okafor asked to take back the message") {
		t.Errorf("%d lines: %s", len(list), got)
	}
}

func TestRecallBeforeItsFile(t *testing.T) {
	c, d, r := holding(t)
	link := "aesgcm://files.mercy.example/x/ecg.png#" + strings.Repeat("0123456789ab", 7) + "0123"
	stays(t, c, d, r, r.write(c, "m7", link), recallOf(r, c, "x", "m8", link), r.write(c, "m8", link), r.write(c, "m9", link))
	var files, gone int
	for _, m := range messages(t, c, ada) {
		files += len(m.Files)
		if m.Gone == store.Recalled {
			gone++
		}
	}
	if files != 2 || gone != 1 {
		t.Errorf("%d files are offered, %d are gone: %s", files, gone, bodies(t, c, ada))
	}
}
