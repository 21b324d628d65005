package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMarks(t *testing.T) {
	for body, want := range map[string]string{
		"nothing here":                         "",
		"#mrn:44120 now":                       "1:44120",
		"(#MRN:44120), #mrn:44120":             "1:44120",
		"see #mrn:a-1/2. ok":                   "1:a-1/2",
		"@role/Cardiology: @Okafor, look":      "2:cardiology 3:okafor",
		"mail ada@h.example":                   "",
		"@ #mrn: @role/ #mrn:, @...":           "",
		"@role/cath.lab!":                      "2:cath.lab",
		"#mrn:" + strings.Repeat("x", 65):      "",
		"@förde\u202e@x":                       "3:förde",
		strings.Repeat("#mrn:1 ", 1000) + "@a": "1:1 3:a",
	} {
		var got []string
		for _, m := range Marks(body) {
			got = append(got, fmt.Sprintf("%d:%s", m.Kind, m.Value))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%q: %s, want %s", body, g, want)
		}
	}
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "@n%d ", i)
	}
	if n := len(Marks(many.String())); n != maxMarks {
		t.Errorf("%d marks", n)
	}
	for body, want := range map[string]int{"!stat now": Stat, " \n!STAT": Stat, "!urgent: x": Urgent, "!statistics": Routine, "so !stat": Routine, "": Routine, "!sta": Routine} {
		if got := UrgencyOf(body); got != want {
			t.Errorf("%q: %d", body, got)
		}
	}
	for body, want := range map[string]bool{"!ack": true, "!ACK, coming": true, "!acknowledge": false, "ack": false} {
		if Acknowledges(body) != want {
			t.Errorf("%q", body)
		}
	}
}

func FuzzMarks(f *testing.F) {
	for _, s := range []string{"#mrn:44120", "@role/x @y", "!stat", "@\xff", "(@a)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		marks := Marks(s)
		if len(marks) > maxMarks {
			t.Errorf("%d marks", len(marks))
		}
		for i, m := range marks {
			if m.Value == "" || utf8.ValidString(s) && !utf8.ValidString(m.Value) || m.Value != strings.ToLower(m.Value) || slices.Contains(marks[:i], m) {
				t.Errorf("%q: %+v", s, marks)
			}
		}
		UrgencyOf(s)
		Acknowledges(s)
	})
}

func TestInbox(t *testing.T) {
	s := memory(t)
	me := Me{Names: []string{"Alice"}, Roles: []string{"cardiology"}}
	inbox := func(limit int) string {
		var out []Message
		view(t, s, func(tx *Tx) (err error) { out, err = inboxOf(tx, me, limit); return err })
		return origins(out)
	}
	put := func(peer, origin, body string) *Message {
		m := incoming(peer, origin, 1)
		m.Body, m.Urgency = body, UrgencyOf(body)
		add(t, s, m)
		return m
	}
	put(ben, "a", "routine")
	b := put(ben, "b", "look, @alice")
	c := put(carla, "c", "!urgent bed 9")
	d := put(carla, "d", "!stat bed 10")
	e := put(ben, "e", "@role/Cardiology please")
	put(ben, "f", "@role/surgery please")
	g := put(ben, "g", "!stat @bob")
	if got := inbox(10); got != "dgcbe" {
		t.Errorf("inbox: %s", got)
	}
	if got := inbox(2); got != "dg" {
		t.Errorf("two of them: %s", got)
	}
	if got := inbox(0) + inbox(-1); got != "" {
		t.Errorf("none of them: %s", got)
	}
	// Reading is not acknowledging.
	update(t, s, func(tx *Tx) error {
		if _, err := tx.MarkRead(ben, g.ID); err != nil {
			return err
		}
		_, err := tx.MarkRead(carla, d.ID)
		return err
	})
	if got := inbox(10); got != "dgc" {
		t.Errorf("after reading: %s", got)
	}
	_, _ = b, e
	// Others' word does not count as mine.
	theirs := put(carla, "h", "!ack")
	if got := inbox(10); got != "dgc" {
		t.Errorf("after another's: %s", got)
	}
	reply := outgoing(carla, "i", 2)
	reply.Body, reply.Reply = "!ack coming", "c"
	add(t, s, reply)
	if got := inbox(10); got != "dg" {
		t.Errorf("after answering one: %s", got)
	}
	all := outgoing(carla, "j", 2)
	all.Body = "!ack"
	add(t, s, all)
	if got := inbox(10); got != "g" {
		t.Errorf("after acknowledging all of carla's: %s", got)
	}
	update(t, s, func(tx *Tx) error {
		acks, err := tx.Acknowledgements(c.ID)
		if len(acks) != 1 || acks[0].Sender != self {
			t.Errorf("acknowledged: %+v", acks)
		}
		if changed, err := tx.Acknowledge(g.ID, self, true, at(3)); !changed || err != nil {
			t.Errorf("by a reaction: %v", err)
		}
		if changed, err := tx.Acknowledge(g.ID, self, true, at(4)); changed || err != nil {
			t.Errorf("twice: %v", err)
		}
		if changed, err := tx.Acknowledge(99, self, true, at(4)); changed || err != nil {
			t.Errorf("an unknown message: %v", err)
		}
		return err
	})
	if got := inbox(10); got != "" {
		t.Errorf("after all: %s", got)
	}
	// What I sent is acknowledged by the other side.
	mine := outgoing(carla, "k", 3)
	mine.Body, mine.Urgency = "!stat come", Stat
	add(t, s, mine)
	put(carla, "kk", "!ack of what, nobody knows")
	answer := incoming(carla, "l", 4)
	answer.Body, answer.Reply = "!ack two minutes", "k"
	add(t, s, answer)
	theirs = answer
	view(t, s, func(tx *Tx) error {
		acks, err := tx.Acknowledgements(mine.ID)
		if len(acks) != 1 || acks[0].Sender != carla || !acks[0].Time.Equal(theirs.Time) {
			t.Errorf("acknowledged: %+v", acks)
		}
		return err
	})
	// More that waits for others than a page of the inbox holds.
	update(t, s, func(tx *Tx) error {
		for i := range 2*MaxHits + 7 {
			m := incoming(ben, fmt.Sprint("x", i), 1)
			m.Body = "@role/surgery"
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		return nil
	})
	put(ben, "z", "@alice at last")
	put(carla, "y", "!stat")
	if got := inbox(10); got != "yz" {
		t.Errorf("behind many: %s", got)
	}
	list := func(mark Mark, before int64) (out []Message) {
		view(t, s, func(tx *Tx) (err error) { out, err = tx.Marked(mark, before, 3); return err })
		return out
	}
	page := list(Mark{Role, "Surgery"}, 0)
	if len(page) != 3 || page[0].ID < page[1].ID {
		t.Errorf("%+v", page)
	}
	if next := list(Mark{Role, "surgery"}, page[2].ID); len(next) != 3 || next[0].ID >= page[2].ID {
		t.Errorf("%+v", next)
	}
}
