package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sotto/client/omemo"
)

const icu = "icu@rooms.h.example"

func TestRooms(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		if r, err := tx.Room(icu); r != nil || err != nil {
			t.Errorf("a room out of nowhere: %+v %v", r, err)
		}
		if _, err := tx.SetMembers(icu, nil, at(1)); !errors.Is(err, ErrNoRoom) {
			t.Errorf("members of no room: %v", err)
		}
		for _, bad := range []Room{{}, {Address: strings.Repeat("x", maxID+1)}, {Address: icu, Nick: strings.Repeat("x", maxNick+1)}} {
			if tx.PutRoom(bad) == nil {
				t.Errorf("stored %+v", bad)
			}
		}
		for _, r := range []Room{{Address: icu, Name: "ICU", Nick: "al"}, {Address: "b@r", Joined: true}, {Address: icu, Name: "ICU night", Nick: "alice", Topic: "quiet", Joined: true}} {
			if err := tx.PutRoom(r); err != nil {
				return err
			}
		}
		return nil
	})
	m := incoming(icu, "o1", 1)
	m.Sender = icu + "/ben"
	add(t, s, m)
	update(t, s, func(tx *Tx) error {
		want := Room{icu, "ICU night", "alice", "quiet", true}
		if r, err := tx.Room(icu); err != nil || *r != want {
			t.Errorf("%+v %v", r, err)
		}
		if rs, _ := tx.Rooms(); len(rs) != 2 || rs[1] != want {
			t.Errorf("%+v", rs)
		}
		c, _ := tx.Conversation(icu)
		if !c.Room || c.Name != "ICU night" || c.Unread != 1 {
			t.Errorf("%+v", c)
		}
		for i, x := range []struct {
			members, fresh string
		}{{"ben carla", "ben carla"}, {"ben carla", ""}, {"ben dan", "dan"}, {"carla", "carla"}} {
			var list []Member
			for _, a := range strings.Fields(x.members) {
				list = append(list, Member{Address: a, Affiliation: "member"})
			}
			fresh, err := tx.SetMembers(icu, list, at(i))
			if got := strings.Join(fresh, " "); got != x.fresh || err != nil {
				t.Errorf("%d: new are %q %v", i, got, err)
			}
		}
		if fresh, err := tx.PutMember(icu, Member{Address: "eve", Affiliation: "member"}, at(9)); !fresh || err != nil {
			t.Errorf("eve: %v", err)
		}
		if fresh, err := tx.PutMember(icu, Member{Address: "eve", Nick: "Eve", Affiliation: "admin"}, at(10)); fresh || err != nil {
			t.Errorf("eve again: %v", err)
		}
		ms, err := tx.Members(icu)
		if len(ms) != 2 || ms[0].Address != "carla" || !ms[0].Since.Equal(at(3)) || ms[1] != (Member{"eve", "Eve", "admin", ms[1].Since}) || !ms[1].Since.Equal(at(9)) {
			t.Errorf("%+v", ms)
		}
		if err := tx.RemoveMember(icu, "eve"); err != nil {
			return err
		}
		if _, err := tx.SetMembers(icu, make([]Member, MaxMembers+1), at(1)); err == nil {
			t.Error("too many members")
		}
		if err := tx.RemoveRoom(icu); err != nil {
			return err
		}
		if ms, _ := tx.Members(icu); len(ms) != 0 {
			t.Errorf("%+v", ms)
		}
		if c, _ := tx.Conversation(icu); c == nil || c.Room || c.Preview == "" {
			t.Errorf("%+v", c)
		}
		return err
	})
}

func TestReaders(t *testing.T) {
	s := memory(t)
	d := func(jid string, id uint32) omemo.Address { return omemo.Address{JID: jid, Device: id} }
	update(t, s, func(tx *Tx) error {
		both := []omemo.Address{d(ben, 1), d(carla, 1)}
		if fresh, err := tx.NewReaders(icu, both); len(fresh) != 2 || err != nil {
			t.Errorf("%v %v", fresh, err)
		}
		if shown, _ := tx.Shown(icu); shown {
			t.Error("shown before anything was")
		}
		if err := tx.MarkShown(icu, both, at(1)); err != nil {
			return err
		}
		if shown, _ := tx.Shown(icu); !shown {
			t.Error("not shown")
		}
		if fresh, _ := tx.NewReaders(icu, append(both, d(ben, 2))); len(fresh) != 1 || fresh[0] != d(ben, 2) {
			t.Errorf("%v", fresh)
		}
		if fresh, _ := tx.NewReaders(ben, both); len(fresh) != 2 {
			t.Errorf("elsewhere: %v", fresh)
		}
		// Who was away is new again.
		if err := tx.MarkShown(icu, both[:1], at(2)); err != nil {
			return err
		}
		fresh, err := tx.NewReaders(icu, both)
		if len(fresh) != 1 || fresh[0] != both[1] {
			t.Errorf("%v", fresh)
		}
		return err
	})
}

func TestRecipients(t *testing.T) {
	s := memory(t)
	m := outgoing(icu, "o1", 1)
	add(t, s, m)
	theirs := incoming(icu, "o2", 1)
	add(t, s, theirs)
	sum := func() string {
		var p Progress
		view(t, s, func(tx *Tx) (err error) { p, err = tx.Progress(m.ID); return err })
		return fmt.Sprint(p.Of, p.Sent, p.Delivered, p.Read, p.Failed)
	}
	if got := sum(); got != "0 0 0 0 0" {
		t.Errorf("nobody: %s", got)
	}
	update(t, s, func(tx *Tx) error {
		if err := tx.SetRecipients(theirs.ID, []string{"a"}); !errors.Is(err, ErrUnknown) {
			t.Errorf("recipients of what others wrote: %v", err)
		}
		if err := tx.SetRecipients(m.ID, []string{"a", ""}); err == nil {
			t.Error("a recipient without an address")
		}
		if err := tx.SetRecipients(m.ID, make([]string, MaxRecipients+1)); err == nil {
			t.Error("too many recipients")
		}
		return nil
	})
	update(t, s, func(tx *Tx) error { return tx.SetRecipients(m.ID, []string{"a", "b", "c", "d"}) })
	for _, x := range []struct {
		who     string
		state   State
		changed bool
		sum     string
	}{
		{"", Sent, true, "4 4 0 0 0"},
		{"a", Delivered, true, "4 4 1 0 0"},
		{"a", Sent, false, "4 4 1 0 0"},
		{"b", Read, true, "4 4 2 1 0"},
		{"b", Delivered, false, "4 4 2 1 0"},
		{"stranger", Read, false, "4 4 2 1 0"},
		{"c", Failed, true, "4 3 2 1 1"},
		{"a", Failed, false, "4 3 2 1 1"},
		{"c", Delivered, false, "4 3 2 1 1"},
		{"c", Queued, true, "4 3 2 1 0"},
		{"a", State(17), false, "4 3 2 1 0"},
		{"", Delivered, true, "4 4 4 1 0"},
	} {
		var changed bool
		update(t, s, func(tx *Tx) (err error) { changed, err = tx.SetRecipientState(m.ID, x.who, x.state, at(5)); return err })
		if changed != x.changed || sum() != x.sum {
			t.Errorf("%q %v: %v, %s", x.who, x.state, changed, sum())
		}
	}
	// The same as of a whole message.
	for from := Queued; from <= Failed; from++ {
		for to := Queued; to <= Failed; to++ {
			update(t, s, func(tx *Tx) error {
				if _, err := tx.change(`UPDATE recipient SET state = ? WHERE address = 'a'`, int(from)); err != nil {
					return err
				}
				changed, err := tx.SetRecipientState(m.ID, "a", to, at(6))
				if changed != to.follows(from) {
					t.Errorf("%v to %v: %v", from, to, changed)
				}
				return err
			})
		}
	}
	view(t, s, func(tx *Tx) error {
		rs, err := tx.Recipients(m.ID)
		if len(rs) != 4 || rs[1].Address != "b" || rs[1].State != Read || !rs[1].Time.Equal(at(5)) {
			t.Errorf("%+v", rs)
		}
		return err
	})
}

func TestAttachments(t *testing.T) {
	s := memory(t)
	m := outgoing(ben, "o1", 1)
	add(t, s, m)
	update(t, s, func(tx *Tx) error {
		a := Attachment{MessageID: m.ID, Name: "ecg.png", Type: "image/png", Size: 212_000, Key: []byte{1, 2}, State: Uploading}
		b := Attachment{MessageID: m.ID, Size: -7}
		for _, x := range []*Attachment{&a, &b} {
			if err := tx.AddAttachment(x); err != nil {
				return err
			}
		}
		for _, bad := range []Attachment{
			{MessageID: 99}, {MessageID: m.ID, Name: strings.Repeat("x", 256)}, {MessageID: m.ID, URL: strings.Repeat("x", maxURL+1)},
			{MessageID: m.ID, State: Lost + 1}, {MessageID: m.ID, Key: make([]byte, maxFileKey+1)},
		} {
			if tx.AddAttachment(&bad) == nil {
				t.Errorf("stored %+v", bad)
			}
		}
		if err := tx.SetAttachment(a.ID, Broken, 1000); err != nil {
			return err
		}
		if err := tx.SetAttachmentURL(a.ID, "https://up.h.example/x"); err != nil {
			return err
		}
		got, err := tx.Attachments(m.ID)
		a.State, a.Progress, a.URL = Broken, 1000, "https://up.h.example/x"
		if len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(a) || got[1].Size != -1 {
			t.Errorf("%+v", got)
		}
		if moving, _ := tx.Moving(); len(moving) != 1 || moving[0].ID != a.ID {
			t.Errorf("%+v", moving)
		}
		for _, err := range []error{tx.SetAttachment(99, Done, 0), tx.SetAttachmentURL(99, "")} {
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("an unknown file: %v", err)
			}
		}
		if one, _ := tx.Attachment(a.ID); one == nil || one.Name != "ecg.png" {
			t.Errorf("%+v", one)
		}
		if err := tx.RemoveAttachment(b.ID); err != nil {
			return err
		}
		for range MaxAttachments - 1 {
			if err := tx.AddAttachment(&Attachment{MessageID: m.ID}); err != nil {
				return err
			}
		}
		if err := tx.AddAttachment(&Attachment{MessageID: m.ID}); !errors.Is(err, ErrUnknown) {
			t.Errorf("one too many: %v", err)
		}
		if _, _, err := tx.Recall(Recalling{Peer: ben, OriginID: "o1", Sender: self, Time: at(2)}); err != nil {
			return err
		}
		if got, _ := tx.Attachments(m.ID); len(got) != 0 {
			t.Errorf("after a recall: %+v", got)
		}
		return err
	})
}

func TestGaps(t *testing.T) {
	s := memory(t)
	list := func(archive string) (out string) {
		view(t, s, func(tx *Tx) error {
			gaps, err := tx.Gaps(archive)
			for _, g := range gaps {
				out += fmt.Sprintf("%s-%s ", g.After, g.Before)
			}
			return err
		})
		return out
	}
	var id int64
	update(t, s, func(tx *Tx) (err error) {
		if _, err := tx.AddGap(Gap{}); err == nil {
			t.Error("a gap of no archive")
		}
		if _, err = tx.AddGap(Gap{Archive: icu, After: "c", Before: "d", Since: at(30), Until: at(40)}); err != nil {
			return err
		}
		if id, err = tx.AddGap(Gap{Archive: icu, After: "a", Before: "b", Since: at(10), Until: at(20)}); err != nil {
			return err
		}
		if again, err := tx.AddGap(Gap{Archive: icu, After: "a", Before: "b"}); err != nil || again != id {
			t.Errorf("the same gap twice: %v", err)
		}
		_, err = tx.AddGap(Gap{Archive: self, After: "", Before: "x"})
		return err
	})
	if got := list(icu); got != "a-b c-d " {
		t.Errorf("gaps: %s", got)
	}
	update(t, s, func(tx *Tx) error { return tx.FillGap(id, "a1", at(11)) })
	update(t, s, func(tx *Tx) error { return tx.FillGapFromEnd(id, "a9", at(19)) })
	if got := list(icu); got != "a1-a9 c-d " {
		t.Errorf("gaps: %s", got)
	}
	update(t, s, func(tx *Tx) error {
		if err := tx.FillGap(id, "", at(11)); !errors.Is(err, ErrUnknown) {
			t.Errorf("filled up to nothing: %v", err)
		}
		if err := tx.FillGap(99, "x", at(11)); !errors.Is(err, ErrUnknown) {
			t.Errorf("filled what is none: %v", err)
		}
		return tx.FillGap(id, "a9", at(19))
	})
	if got := list(icu); got != "c-d " {
		t.Errorf("gaps: %s", got)
	}
	update(t, s, func(tx *Tx) error {
		for i := range MaxGaps + 5 {
			if _, err := tx.AddGap(Gap{Archive: icu, After: fmt.Sprint("g", i), Before: fmt.Sprint("h", i), Since: at(100 + i)}); err != nil {
				return err
			}
		}
		gaps, err := tx.Gaps(icu)
		if len(gaps) != MaxGaps || gaps[0].After != "c" || gaps[0].Before != "h5" {
			t.Errorf("%d gaps, the first %+v", len(gaps), gaps[0])
		}
		return err
	})
	if got := list(self); got != "-x " {
		t.Errorf("another archive: %s", got)
	}
}
