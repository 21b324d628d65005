package store

import (
	"testing"
	"time"
)

// inboxOf is the inbox without the reasons.
func inboxOf(tx *Tx, me Me, limit int) (list []Message, err error) {
	entries, err := tx.Inbox(me, at(1), limit)
	for _, e := range entries {
		list = append(list, e.Message)
	}
	return list, err
}

func TestInboxOfOwnAndReplies(t *testing.T) {
	s := memory(t)
	inbox := func(now time.Time) (out string) {
		view(t, s, func(tx *Tx) error {
			list, err := tx.Inbox(Me{Names: []string{"alice"}}, now, 10)
			for _, e := range list {
				out += e.OriginID + map[Reason]string{Unacknowledged: "!", NotSent: "-", Mentioned: "@", Replied: "<"}[e.Reason]
			}
			return err
		})
		return out
	}
	soon, later := at(30), at(200)
	for _, id := range []string{"a", "b", "c"} {
		m := outgoing(ben, id, 1)
		m.Stored = at(1)
		add(t, s, m)
		if id != "a" {
			update(t, s, func(tx *Tx) error { return tx.QueueOut(m.ID) })
		}
	}
	update(t, s, func(tx *Tx) error { _, err := tx.SetState(ben, "a", Sent); return err })
	if got := inbox(soon); got != "" {
		t.Errorf("in the inbox at once: %s", got)
	}
	if got := inbox(later); got != "b-c-" {
		t.Errorf("after a while: %s", got)
	}
	reply := func(origin, to string) *Message {
		m := incoming(ben, origin, 2)
		m.Reply = to
		add(t, s, m)
		return m
	}
	reply("d", "nobody's")
	e := reply("e", "a")
	reply("f", "e") // ben answers himself
	mention := incoming(ben, "g", 3)
	mention.Body, mention.Reply = "@alice", "a"
	add(t, s, mention)
	stat := incoming(ben, "h", 4)
	stat.Body, stat.Urgency = "!stat", Stat
	add(t, s, stat)
	if got := inbox(soon); got != "h!e<g@" {
		t.Errorf("replies: %s", got)
	}
	update(t, s, func(tx *Tx) error { _, err := tx.SetState(ben, "c", Failed); return err })
	if got := inbox(later); got != "h!c-b-e<g@" {
		t.Errorf("one has failed: %s", got)
	}
	update(t, s, func(tx *Tx) error { _, err := tx.SetState(ben, "c", Queued); return err })
	if got := inbox(soon); got != "h!e<g@" {
		t.Errorf("it is sent again: %s", got)
	}
	update(t, s, func(tx *Tx) error { _, err := tx.MarkRead(ben, e.ID); return err })
	if got := inbox(soon); got != "h!g@" {
		t.Errorf("one was read: %s", got)
	}
	update(t, s, func(tx *Tx) error {
		if err := tx.Dismiss(mention.ID); err != nil {
			return err
		}
		return tx.Dismiss(stat.ID)
	})
	if got := inbox(soon); got != "h!" {
		t.Errorf("dismissed: %s", got)
	}
}

func TestBelow(t *testing.T) {
	s := memory(t)
	var ids []int64
	for i := range 9 {
		m := incoming(ben, string(rune('a'+i)), i)
		if i%4 == 0 {
			m.Urgency = Stat
		}
		add(t, s, m)
		ids = append(ids, m.ID)
	}
	mine := outgoing(ben, "x", 20)
	mine.Urgency = Stat
	add(t, s, mine)
	for _, x := range []struct {
		after            int64
		limit, n, urgent int
	}{{ids[0], 100, 9, 2}, {ids[3], 100, 6, 2}, {ids[8], 100, 1, 0}, {mine.ID, 100, 0, 0}, {ids[0], 4, 4, 2}, {12345, 100, 0, 0}} {
		view(t, s, func(tx *Tx) error {
			n, urgent, err := tx.Below(ben, x.after, x.limit)
			if n != x.n || urgent != x.urgent {
				t.Errorf("below %d: %d, %d urgent", x.after, n, urgent)
			}
			return err
		})
	}
}

func TestSearchOfUrgent(t *testing.T) {
	for _, all := range []bool{false, true} {
		s := memory(t)
		for i, body := range []string{"!stat bed 9", "bed 9 stat", "!urgent bed 9", "bed 9"} {
			m := incoming(ben, string(rune('a'+i)), i)
			m.Body, m.Urgency = body, UrgencyOf(body)
			add(t, s, m)
		}
		indexAll(t, s, all)
		for urgent, want := range map[int]string{Stat: "a", Urgent: "ca", Routine: "dcba"} {
			if got := found(t, s, Search{Text: "bed", Urgent: urgent}); got != want {
				t.Errorf("urgent %d, indexed %v: %q, want %q", urgent, all, got, want)
			}
			if got := found(t, s, Search{Urgent: urgent}); got != want {
				t.Errorf("urgent %d, indexed %v, of any text: %q, want %q", urgent, all, got, want)
			}
		}
	}
}
