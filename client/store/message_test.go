package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	ben   = "ben@h.example"
	carla = "carla@h.example"
	self  = "alice@h.example"
)

func memory(t testing.TB) *Store {
	t.Helper()
	s, err := OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// at is a moment, n seconds after another.
func at(n int) time.Time { return time.Unix(1_800_000_000+int64(n), 0) }

func incoming(peer, origin string, n int) *Message {
	return &Message{Peer: peer, Sender: peer, OriginID: origin, Time: at(n), Body: "body of " + origin}
}

func outgoing(peer, origin string, n int) *Message {
	return &Message{Peer: peer, Sender: self, Outgoing: true, OriginID: origin, Time: at(n), Body: "body of " + origin}
}

func add(t testing.TB, s *Store, m *Message) bool {
	t.Helper()
	var added bool
	update(t, s, func(tx *Tx) (err error) { added, err = tx.AddMessage(m); return err })
	return added
}

func messages(t testing.TB, s *Store, peer string, before int64, limit int) []Message {
	t.Helper()
	var out []Message
	view(t, s, func(tx *Tx) (err error) { out, err = tx.Messages(peer, before, limit); return err })
	return out
}

func origins(ms []Message) string {
	var b strings.Builder
	for _, m := range ms {
		b.WriteString(m.OriginID)
	}
	return b.String()
}

func TestRepeatsAreDropped(t *testing.T) {
	s := memory(t)
	first := incoming(ben, "o1", 1)
	first.ArchiveID = "a1"
	for _, test := range []struct {
		what  string
		m     *Message
		added bool
	}{
		{"the first", first, true},
		{"same origin id", &Message{Peer: ben, Sender: ben, OriginID: "o1", ArchiveID: "a2", Body: "x"}, false},
		{"same archive id, no origin id", &Message{Peer: ben, Sender: ben, ArchiveID: "a1", Body: "x"}, false},
		{"same origin id from another sender", &Message{Peer: ben, Sender: self, Outgoing: true, OriginID: "o1"}, true},
		{"same ids in another conversation", &Message{Peer: carla, Sender: carla, OriginID: "o1", ArchiveID: "a1"}, true},
		{"another message, to which a relay gives the same archive id", &Message{Peer: ben, Sender: ben, OriginID: "o2", ArchiveID: "a1", Body: "x"}, true},
		{"another sender's", &Message{Peer: ben, Sender: self, Outgoing: true, ArchiveID: "a1", Body: "x"}, true},
		{"no ids at all", &Message{Peer: ben, Sender: ben, Body: "x"}, true},
		{"no ids at all, again", &Message{Peer: ben, Sender: ben, Body: "x"}, true},
	} {
		if added := add(t, s, test.m); added != test.added {
			t.Errorf("%s: added is %v", test.what, added)
		}
		if test.m.ID == 0 || !test.added && test.m.ID != first.ID {
			t.Errorf("%s: id is %d", test.what, test.m.ID)
		}
	}
	if n := len(messages(t, s, ben, 0, 100)); n != 6 {
		t.Errorf("%d messages with ben, want 6", n)
	}
}

func TestRepeatTeachesTheArchiveID(t *testing.T) {
	s := memory(t)
	add(t, s, outgoing(ben, "o1", 1))
	again := outgoing(ben, "o1", 1)
	again.ArchiveID = "a1"
	if add(t, s, again) {
		t.Error("our own message came back from the archive, and was added")
	}
	if got := messages(t, s, ben, 0, 1)[0].ArchiveID; got != "a1" {
		t.Errorf("archive id %q", got)
	}
	// A relay that gives one id to two messages must not stop the second's repeat.
	add(t, s, outgoing(ben, "o2", 2))
	again = outgoing(ben, "o2", 2)
	again.ArchiveID = "a1"
	if add(t, s, again) {
		t.Error("added a repeat")
	}
}

func TestTextReplacesItsNotice(t *testing.T) {
	s := memory(t)
	notice := incoming(ben, "o1", 1)
	notice.Kind, notice.Body = Notice, "could not be decrypted"
	add(t, s, notice)
	add(t, s, incoming(ben, "o2", 2))
	update(t, s, func(tx *Tx) error { _, err := tx.MarkRead(ben, notice.ID); return err })

	if again := *notice; add(t, s, &again) {
		t.Error("the same notice was added twice")
	}
	text := incoming(ben, "o1", 9)
	text.Encrypted, text.Urgency = true, Stat
	if !add(t, s, text) || text.ID != notice.ID {
		t.Error("the text did not take the notice's place")
	}
	got := messages(t, s, ben, 0, 10)
	if origins(got) != "o1o2" || got[0].Kind != Text || got[0].Body != "body of o1" || got[0].Read || !got[0].Encrypted {
		t.Errorf("got %+v", got)
	}
	if add(t, s, notice) {
		t.Error("a notice took the text's place")
	}
	if got := messages(t, s, ben, 0, 10)[0]; got.Kind != Text {
		t.Error("the text is gone")
	}
}

func TestPagesInOrder(t *testing.T) {
	s := memory(t)
	// The order is that of coming, whatever the times say.
	for _, m := range []*Message{incoming(ben, "a", 5), incoming(ben, "b", 1), outgoing(ben, "c", 2), incoming(ben, "d", 2), incoming(ben, "e", 4)} {
		add(t, s, m)
	}
	add(t, s, incoming(carla, "x", 3))
	if got := origins(messages(t, s, ben, 0, 100)); got != "abcde" {
		t.Errorf("all: %s", got)
	}
	var pages []string
	before := int64(0)
	for {
		page := messages(t, s, ben, before, 2)
		if len(page) == 0 {
			break
		}
		pages = append(pages, origins(page))
		before = page[0].ID
	}
	if got := strings.Join(pages, " "); got != "de bc a" {
		t.Errorf("pages: %s", got)
	}
	for _, limit := range []int{0, -1} {
		if got := messages(t, s, ben, 0, limit); len(got) != 0 {
			t.Errorf("limit %d: %d messages", limit, len(got))
		}
	}
	if got := messages(t, s, ben, 4711, 10); len(got) != 0 {
		t.Errorf("before an unknown message: %s", origins(got))
	}
	if got := messages(t, s, "nobody@h.example", 0, 10); len(got) != 0 {
		t.Errorf("nobody: %s", origins(got))
	}
}

func TestStateOnlyMovesForward(t *testing.T) {
	// What is allowed, from each state to each.
	allowed := map[State]string{
		Queued: "sent delivered read failed", Sent: "delivered read failed", Delivered: "read", Read: "", Failed: "queued",
	}
	all := []State{Queued, Sent, Delivered, Read, Failed}
	s := memory(t)
	for _, from := range all {
		for _, to := range all {
			m := outgoing(ben, fmt.Sprint(from, to), 1)
			m.State = from
			add(t, s, m)
			var changed bool
			var after State
			update(t, s, func(tx *Tx) (err error) {
				if changed, err = tx.SetState(ben, m.OriginID, to); err != nil {
					return err
				}
				got, err := tx.MessageByOrigin(ben, m.OriginID)
				after = got.State
				return err
			})
			want := slices.Contains(strings.Fields(allowed[from]), to.String())
			if changed != want || want && after != to || !want && after != from {
				t.Errorf("%v to %v: changed %v, now %v", from, to, changed, after)
			}
		}
	}
	add(t, s, incoming(ben, "theirs", 1))
	update(t, s, func(tx *Tx) error {
		for _, origin := range []string{"theirs", "unknown", ""} {
			if changed, err := tx.SetState(ben, origin, Read); changed || err != nil {
				t.Errorf("state of %q: %v %v", origin, changed, err)
			}
		}
		for _, bad := range []State{0, -1, 6} {
			if changed, _ := tx.SetState(ben, "queuedqueued", bad); changed {
				t.Errorf("took state %d", bad)
			}
		}
		return nil
	})
	if m := messages(t, s, ben, 0, 100); m[len(m)-1].OriginID == "theirs" && m[len(m)-1].State != 0 {
		t.Error("an incoming message has a state")
	}
}

func TestNewOutgoingIsQueuedAndRead(t *testing.T) {
	s := memory(t)
	m := outgoing(ben, "o1", 0)
	m.Time = time.Time{}
	add(t, s, m)
	got := messages(t, s, ben, 0, 1)[0]
	if got.State != Queued || !got.Read || got.Time.IsZero() || !got.Time.Equal(got.Stored) {
		t.Errorf("got %+v", got)
	}
	update(t, s, func(tx *Tx) error {
		byID, err := tx.Message(m.ID)
		if byID == nil || byID.OriginID != "o1" {
			t.Errorf("by id: %+v", byID)
		}
		if none, err := tx.Message(99); none != nil || err != nil {
			t.Errorf("an unknown id: %+v %v", none, err)
		}
		if none, err := tx.MessageByOrigin(carla, "o1"); none != nil || err != nil {
			t.Errorf("an origin id in another conversation: %+v %v", none, err)
		}
		if err := tx.SetBody(m.ID, "better"); err != nil {
			t.Error(err)
		}
		tx.SetState(ben, "o1", Sent)
		if err := tx.SetBody(m.ID, "too late"); !errors.Is(err, ErrUnknown) {
			t.Errorf("changed what was sent: %v", err)
		}
		return err
	})
}

func TestMarkRead(t *testing.T) {
	s := memory(t)
	var ids []int64
	for i, origin := range []string{"a", "b", "c", "d"} {
		m := incoming(ben, origin, i)
		if origin == "b" {
			m = outgoing(ben, origin, i)
		}
		if origin == "d" {
			m.Urgency = Stat
		}
		add(t, s, m)
		ids = append(ids, m.ID)
	}
	add(t, s, incoming(carla, "x", 0))
	unread := func() string {
		var n, u int
		view(t, s, func(tx *Tx) (err error) { n, u, err = tx.Unread(ben); return err })
		return fmt.Sprint(n, u)
	}
	mark := func(upTo int64) string {
		var out []Message
		update(t, s, func(tx *Tx) (err error) { out, err = tx.MarkRead(ben, upTo); return err })
		return origins(out)
	}
	if got := unread(); got != "3 2" {
		t.Errorf("unread: %s", got)
	}
	if got := mark(ids[2]); got != "ac" {
		t.Errorf("newly read: %s", got)
	}
	if got := mark(ids[2]); got != "" {
		t.Errorf("newly read again: %s", got)
	}
	if got := unread(); got != "1 2" {
		t.Errorf("unread: %s", got)
	}
	if got := mark(999); got != "" {
		t.Errorf("up to an unknown message: %s", got)
	}
	mark(ids[3])
	if got := unread(); got != "0 0" {
		t.Errorf("unread: %s", got)
	}
}

func TestConversationOrder(t *testing.T) {
	s := memory(t)
	peer := func(name string) string { return name + "@h.example" }
	update(t, s, func(tx *Tx) error {
		for _, name := range []string{"Zoe", "anna", "Otto", "Emil", "Ida", "Max", "Uwe"} {
			if err := tx.PutContact(peer(strings.ToLower(name)), name, "Ward 3"); err != nil {
				return err
			}
		}
		return tx.SetDraft("stranger@x.example", Draft{Text: "dear"})
	})
	for i, m := range []struct {
		name    string
		urgency int
	}{{"emil", Routine}, {"ida", Routine}, {"max", Urgent}, {"uwe", Stat}, {"ida", Routine}, {"max", Routine}} {
		msg := incoming(peer(m.name), fmt.Sprint(i), i)
		msg.Urgency = m.urgency
		add(t, s, msg)
	}
	add(t, s, outgoing(peer("zoe"), "z", 50))
	var list []Conversation
	view(t, s, func(tx *Tx) (err error) { list, err = tx.Conversations(); return err })
	var names []string
	for _, c := range list {
		names = append(names, strings.TrimSuffix(c.Peer, "@h.example"))
	}
	if got := strings.Join(names, " "); got != "uwe max emil ida anna otto stranger@x.example zoe" {
		t.Errorf("order: %s", got)
	}
	max := list[1]
	if max.Unread != 2 || max.Urgency != Urgent || max.Preview != "body of 5" || !max.Last.Equal(at(5)) || max.FirstUnread == 0 || max.Name != "Max" || max.Group != "Ward 3" || !max.Contact {
		t.Errorf("max: %+v", max)
	}
	if list[0].Stats != 1 || max.Stats != 0 {
		t.Errorf("%d and %d STAT messages", list[0].Stats, max.Stats)
	}
	view(t, s, func(tx *Tx) error {
		for _, want := range list {
			want.sort = ""
			if got, err := tx.Conversation(want.Peer); err != nil || *got != want {
				t.Errorf("alone: %+v %v, in the list: %+v", got, err, want)
			}
		}
		if none, err := tx.Conversation("nobody@h.example"); none != nil || err != nil {
			t.Errorf("nobody: %+v %v", none, err)
		}
		return nil
	})
	if zoe := list[7]; !zoe.LastOutgoing || zoe.LastState != Queued || zoe.Unread != 0 || zoe.FirstUnread != 0 {
		t.Errorf("zoe: %+v", zoe)
	}
}

// TestLastMessageLeads stores a message that comes before the one that is there.
func TestLastMessageLeads(t *testing.T) {
	s := memory(t)
	add(t, s, incoming(ben, "new", 10))
	update(t, s, func(tx *Tx) error {
		old := incoming(ben, "old", 20)
		old.ArchiveID = "a1"
		_, reordered, err := tx.AddArchived(old, 0)
		if !reordered {
			t.Error("what was put in front is said to stand last")
		}
		return err
	})
	long := incoming(carla, "long", 1)
	long.Body = strings.Repeat("ä", 1000)
	add(t, s, long)
	view(t, s, func(tx *Tx) error {
		list, err := tx.Conversations()
		for _, c := range list {
			switch {
			case c.Peer == ben && (c.Preview != "body of new" || c.Unread != 2):
				t.Errorf("ben: %+v", c)
			case c.Peer == carla && c.Preview != strings.Repeat("ä", previewSize):
				t.Errorf("a preview of %d bytes", len(c.Preview))
			}
		}
		if first := list[0]; first.FirstUnread != 2 && first.Peer == ben {
			t.Errorf("first unread: %d", first.FirstUnread)
		}
		return err
	})
}

func TestContactsAndDrafts(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		for _, err := range []error{tx.PutContact(ben, "Ben", "ICU"), tx.PutContact(carla, "Carla", ""), tx.SetSubscription(ben, "both"),
			tx.SetDraft(ben, Draft{Text: "half a thought"}), tx.PutContact(ben, "Ben W.", "Ward")} {
			if err != nil {
				return err
			}
		}
		draft, err := tx.Draft(ben)
		if draft.Text != "half a thought" {
			t.Errorf("draft: %+v", draft)
		}
		return err
	})
	update(t, s, func(tx *Tx) error {
		list, err := tx.Conversations()
		if len(list) != 2 || list[0].Name != "Ben W." || list[0].Group != "Ward" || list[0].Subscription != "both" || list[0].Draft != "half a thought" {
			t.Errorf("got %+v", list)
		}
		tx.RemoveContact(carla)
		tx.RemoveContact(ben)
		tx.RemoveContact("nobody@h.example")
		list, _ = tx.Conversations()
		if len(list) != 1 || list[0].Peer != ben || list[0].Contact || list[0].Subscription != "" {
			t.Errorf("after removing: %+v", list)
		}
		tx.SetDraft(ben, Draft{})
		if list, _ = tx.Conversations(); len(list) != 0 {
			t.Errorf("without a draft: %+v", list)
		}
		contacts, _ := tx.Contacts()
		if len(contacts) != 0 {
			t.Errorf("contacts: %v", contacts)
		}
		for _, err := range []error{tx.PutContact("", "x", ""), tx.SetDraft("", Draft{Text: "x"})} {
			if !errors.Is(err, errNoPeer) {
				t.Errorf("no address: %v", err)
			}
		}
		return err
	})
}

func TestOutbox(t *testing.T) {
	s := memory(t)
	theirs := incoming(ben, "in", 0)
	a, b := outgoing(ben, "a", 5), outgoing(carla, "b", 1)
	for _, m := range []*Message{theirs, a, b} {
		add(t, s, m)
	}
	update(t, s, func(tx *Tx) error {
		for _, id := range []int64{a.ID, b.ID, a.ID} {
			if err := tx.QueueOut(id); err != nil {
				return err
			}
		}
		for _, id := range []int64{theirs.ID, 99} {
			if err := tx.QueueOut(id); !errors.Is(err, ErrUnknown) {
				t.Errorf("queued %d: %v", id, err)
			}
		}
		if err := tx.SetOut(theirs.ID, []byte("x")); !errors.Is(err, ErrUnknown) {
			t.Errorf("a stanza for what is not in the outbox: %v", err)
		}
		return tx.SetOut(b.ID, []byte("<message/>"))
	})
	update(t, s, func(tx *Tx) error {
		outs, err := tx.Outbox()
		if len(outs) != 2 || outs[0].MessageID != a.ID || outs[0].Peer != ben || outs[0].OriginID != "a" || outs[0].Stanza != nil ||
			outs[1].Peer != carla || string(outs[1].Stanza) != "<message/>" {
			t.Errorf("outbox: %+v", outs)
		}
		if err := tx.RemoveOut(a.ID); err != nil {
			return err
		}
		if err := tx.RemoveOut(a.ID); err != nil {
			return err
		}
		tx.SetOut(b.ID, nil)
		if outs, _ = tx.Outbox(); len(outs) != 1 || outs[0].Stanza != nil {
			t.Errorf("outbox: %+v", outs)
		}
		return err
	})
}
