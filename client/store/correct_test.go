package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCorrection(t *testing.T) {
	s := memory(t)
	m := incoming(ben, "o1", 1)
	m.Body, m.Encrypted, m.Fingerprint = "5 mg #mrn:1", true, []byte{1}
	add(t, s, m)
	whole := Correction{Peer: ben, OriginID: "o1", Sender: ben, Body: "!stat 50 mg #mrn:2", Time: at(10), Urgency: Stat,
		Encrypted: true, Fingerprint: []byte{1}, Cipher: []byte("c1")}
	for _, x := range []struct {
		what   string
		change func(*Correction)
	}{
		{"another's", func(c *Correction) { c.Sender = carla }},
		{"elsewhere", func(c *Correction) { c.Peer = carla }},
		{"of an unknown message", func(c *Correction) { c.OriginID = "o2" }},
		{"not encrypted", func(c *Correction) { c.Encrypted = false }},
		{"from another identity", func(c *Correction) { c.Fingerprint = []byte{2} }},
		{"without an identity", func(c *Correction) { c.Fingerprint = nil }},
	} {
		update(t, s, func(tx *Tx) error {
			c := whole
			x.change(&c)
			got, err := tx.Correct(c)
			if got != nil {
				t.Errorf("%s: %+v", x.what, got)
			}
			return err
		})
	}
	update(t, s, func(tx *Tx) error {
		got, err := tx.Correct(whole)
		if err != nil {
			return err
		}
		if got == nil || got.Body != whole.Body || !got.Corrected.Equal(at(10)) || got.Urgency != Stat || got.ID != m.ID || got.Place != m.Place {
			t.Errorf("corrected: %+v", got)
		}
		if list, _ := tx.Marked(Mark{Record, "1"}, 0, 9); len(list) != 0 {
			t.Error("the old mark is there")
		}
		if list, _ := tx.Marked(Mark{Record, "2"}, 0, 9); len(list) != 1 {
			t.Error("the new mark is not there")
		}
		if list, _ := inboxOf(tx, Me{}, 9); len(list) != 1 {
			t.Error("what became urgent does not wait")
		}
		if known, _ := tx.HasCipher(ben, []byte("c1")); !known {
			t.Error("the correction would count as unreadable when it comes again")
		}
		if known, _ := tx.HasCipher(carla, []byte("c1")); known {
			t.Error("known elsewhere, too")
		}
		older := whole
		older.Time, older.Body = at(9), "older"
		if got, err := tx.Correct(older); got != nil || err != nil {
			t.Errorf("an older one: %+v %v", got, err)
		}
		newer := whole
		newer.Time, newer.Body, newer.Urgency = at(11), "routine after all", Routine
		if got, err := tx.Correct(newer); got == nil || err != nil {
			t.Errorf("a newer one: %v", err)
		}
		if list, _ := inboxOf(tx, Me{}, 9); len(list) != 0 {
			t.Error("what is not urgent any more waits")
		}
		if _, _, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: ben, Time: at(12)}); err != nil {
			return err
		}
		newer.Time = at(13)
		if got, err := tx.Correct(newer); got != nil || err != nil {
			t.Errorf("what was recalled: %+v %v", got, err)
		}
		return nil
	})
}

func TestReactions(t *testing.T) {
	s := memory(t)
	m := incoming(ben, "o1", 1)
	add(t, s, m)
	list := func() string {
		var b []string
		view(t, s, func(tx *Tx) error {
			rs, err := tx.Reactions(m.ID)
			for _, r := range rs {
				b = append(b, r.Sender[:1]+strings.Join(r.Set, ""))
			}
			return err
		})
		return strings.Join(b, " ")
	}
	set := func(sender string, n int, reactions ...string) (changed bool) {
		update(t, s, func(tx *Tx) (err error) { changed, err = tx.SetReactions(m.ID, sender, reactions, at(n)); return err })
		return changed
	}
	set(ben, 1, "+", "✓", "+", "", " ", strings.Repeat("x", 65), "a\nb")
	set(carla, 2, "?")
	if got := list(); got != "b+✓ c?" {
		t.Errorf("got %s", got)
	}
	if !set(ben, 5, "!") || set(ben, 4, "old") {
		t.Error("the newest set does not win")
	}
	if got := list(); got != "c? b!" {
		t.Errorf("got %s", got)
	}
	set(ben, 6)
	if set(ben, 5, "old"); list() != "c?" {
		t.Errorf("what was taken back is there: %s", list())
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint(i))
	}
	set(carla, 9, many...)
	view(t, s, func(tx *Tx) error {
		if rs, _ := tx.Reactions(m.ID); len(rs[0].Set) != MaxReactions || !slices.Equal(rs[0].Set, many[:MaxReactions]) {
			t.Errorf("%+v", rs)
		}
		return nil
	})
	for i := range maxReacting + 20 {
		set(fmt.Sprint("x", i), 10, "+")
	}
	view(t, s, func(tx *Tx) error {
		if rs, _ := tx.Reactions(m.ID); len(rs) > maxReacting {
			t.Errorf("%d have reacted", len(rs))
		}
		return nil
	})
	update(t, s, func(tx *Tx) error {
		if changed, err := tx.SetReactions(99, ben, []string{"+"}, at(1)); changed || err != nil {
			t.Errorf("to an unknown message: %v", err)
		}
		if _, err := tx.SetReactions(m.ID, "", []string{"+"}, at(1)); err == nil {
			t.Error("nobody has reacted")
		}
		if _, _, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: ben, Time: at(1)}); err != nil {
			return err
		}
		if changed, err := tx.SetReactions(m.ID, ben, []string{"+"}, at(20)); changed || err != nil {
			t.Errorf("to what is gone: %v", err)
		}
		return nil
	})
	if got := list(); got != "" {
		t.Errorf("got %s", got)
	}
}

func TestReplyIsKept(t *testing.T) {
	s := memory(t)
	m := incoming(ben, "o2", 1)
	m.Reply, m.ReplyTo = "o1", self
	add(t, s, m)
	long := incoming(ben, "o3", 1)
	long.Reply = strings.Repeat("x", maxID+1)
	add(t, s, long)
	got := messages(t, s, ben, 0, 10)
	if got[0].Reply != "o1" || got[0].ReplyTo != self || got[1].Reply != "" {
		t.Errorf("got %+v", got)
	}
	// So is that of what could be read only later.
	notice := incoming(ben, "o4", 1)
	notice.Kind = Notice
	add(t, s, notice)
	text := incoming(ben, "o4", 1)
	text.Reply = "o2"
	add(t, s, text)
	if got := messages(t, s, ben, 0, 1)[0]; got.Reply != "o2" {
		t.Errorf("got %+v", got)
	}
}
