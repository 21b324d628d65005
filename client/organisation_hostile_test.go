package client

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/stanza"
	"sotto/client/store"
)

// round has the client follow the organisation, and waits until it has.
func (s *staffed) round() {
	s.double.t.Helper()
	before := s.times(stanza.NodeHead, stanza.ItemCurrent)
	s.c.call(s.c.follow)
	eventually(s.double.t, "the organisation is followed", func() bool {
		return s.times(stanza.NodeHead, stanza.ItemCurrent) > before && !ofRun(s.double.t, s.c, func() bool { return s.c.following.busy })
	})
}

// known is what must not change where a statement is refused.
type known struct {
	head, directory, policy, keys uint64
	people                        int
}

func (s *staffed) known() known {
	m := s.c.Membership()
	return known{m.Head().Number, m.Directory().At().Serial, m.Policy().Serial, m.Anchor().Number, m.Directory().Len()}
}

// TestOrganisationHostileRelay plays a relay that edits, plays back, forges, swaps and
// holds back what the organisation has signed. Each time nothing is taken, the person
// is told, the log has it, and an honest relay is followed again.
func TestOrganisationHostileRelay(t *testing.T) {
	// Each begins where everything is known, and does something to what comes next: a
	// policy, three updates, a snapshot, a head. words is what the person is told, ""
	// where it is only that something is held back.
	type old map[string][]byte
	at := func(node, id string) string { return contact + " " + node + " " + id }
	headAt, policyAt := at(stanza.NodeHead, "current"), at(stanza.NodePolicy, "current")
	edited := func(b []byte, from, to string) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
	for what, c := range map[string]struct {
		words string
		edit  func(s *staffed, before old, place string, note []byte) []byte
		still bool // the head is not taken
	}{
		"an old head": {"older than what is known", func(s *staffed, before old, place string, note []byte) []byte {
			if place == headAt {
				return before["head 1"]
			}
			return note
		}, true},
		"an edited head": {"somebody has changed or forged this", func(s *staffed, before old, place string, note []byte) []byte {
			if place == headAt {
				return edited(note, "orders: 1", "orders: 2")
			}
			return note
		}, true},
		"another's head": {"somebody has changed or forged this", func(s *staffed, before old, place string, note []byte) []byte {
			if place == headAt {
				h := s.head
				h.Number += 5
				note, _ = h.Sign(orgtest.New(mercyOrg, "thief"))
			}
			return note
		}, true},
		"a second head with the number": {"two different statements", func(s *staffed, before old, place string, note []byte) []byte {
			if place == headAt {
				h := s.head
				h.Number, h.Directory.Serial, h.Issued = 2, h.Directory.Serial+1, h.Issued.Add(time.Minute)
				note, _ = h.Sign(s.key)
			}
			return note
		}, true},
		"a policy for a head": {"this is no statement", func(s *staffed, before old, place string, note []byte) []byte {
			if place == headAt {
				return s.items[policyAt]
			}
			return note
		}, true},
		"no head": {"", func(s *staffed, before old, place string, note []byte) []byte {
			if place == headAt {
				return nil
			}
			return note
		}, true},
		"the policy before": {"", func(s *staffed, before old, place string, note []byte) []byte {
			if place == policyAt {
				return before["policy 2"]
			}
			return note
		}, false},
		"the first policy": {"older than what is known", func(s *staffed, before old, place string, note []byte) []byte {
			if place == policyAt {
				return before["policy 1"]
			}
			return note
		}, false},
		"an edited policy": {"somebody has changed or forged this", func(s *staffed, before old, place string, note []byte) []byte {
			if place == policyAt {
				return edited(note, `"3d"`, `"9d"`)
			}
			return note
		}, false},
		"another policy with the serial": {"two different statements", func(s *staffed, before old, place string, note []byte) []byte {
			if place == policyAt {
				p, err := policy.New(mercyOrg, 2, time.Now(), "lease = \"90d\"\n")
				if err != nil {
					panic(err)
				}
				note, _ = p.Sign(s.key)
			}
			return note
		}, false},
		"no policy": {"", func(s *staffed, before old, place string, note []byte) []byte {
			if place == policyAt {
				return nil
			}
			return note
		}, false},
		"an edited update": {"somebody has changed or forged this", func(s *staffed, before old, place string, note []byte) []byte {
			return edited(note, "state: active", "state: removed")
		}, false},
		"updates in another order": {"", func(s *staffed, before old, place string, note []byte) []byte {
			switch place {
			case at(stanza.NodeDirectory, "3"):
				return s.items[at(stanza.NodeDirectory, "4")]
			case at(stanza.NodeDirectory, "4"):
				return s.items[at(stanza.NodeDirectory, "3")]
			}
			return note
		}, false},
		"an update once more": {"older than what is known", func(s *staffed, before old, place string, note []byte) []byte {
			if place == at(stanza.NodeDirectory, "3") {
				return s.items[at(stanza.NodeDirectory, "1")]
			}
			return note
		}, false},
		"an update of another directory": {"somebody has changed or forged this", func(s *staffed, before old, place string, note []byte) []byte {
			if place == at(stanza.NodeDirectory, "3") {
				return before["for a partner"]
			}
			return note
		}, false},
		"an update left out": {"", func(s *staffed, before old, place string, note []byte) []byte {
			if place == at(stanza.NodeDirectory, "4") || strings.Contains(place, stanza.NodeSnapshot) {
				return nil
			}
			return note
		}, false},
		"no updates, and the snapshot before": {"", func(s *staffed, before old, place string, note []byte) []byte {
			if strings.Contains(place, stanza.NodeDirectory) {
				return nil
			}
			if place == at(stanza.NodeSnapshot, "1") {
				return before["snapshot"]
			}
			return note
		}, false},
		"no updates, and an edited snapshot": {"somebody has changed or forged this", func(s *staffed, before old, place string, note []byte) []byte {
			if strings.Contains(place, stanza.NodeDirectory) {
				return nil
			}
			return edited(note, "Lind, Bo", "Lind, Bob")
		}, false},
	} {
		t.Run(what, func(t *testing.T) {
			s := staff(t)
			before := old{"head 1": s.note(stanza.NodeHead, "current"), "policy 1": s.note(stanza.NodePolicy, "current")}
			other := directory.New(mercyOrg, directory.ForPartner("clinic.example"))
			if notes, err := other.Sign(s.key, s.key.Key, time.Now(), listed(eve, "Eve")); err != nil {
				t.Fatal(err)
			} else {
				before["for a partner"] = notes[0]
			}
			s.policy(2, "lease = \"2d\"\n")
			before["policy 2"] = s.note(stanza.NodePolicy, "current")
			s.sign(listed("first@"+mercyOrg, "First"))
			s.authority.snapshot()
			before["snapshot"] = s.note(stanza.NodeSnapshot, "1")
			s.beat()
			s.start()
			was := s.known()
			if was.head != 2 || was.policy != 2 || was.directory != 2 {
				t.Fatalf("begins with %+v", was)
			}

			s.relay(func(place string, note []byte) []byte { return c.edit(s, before, place, note) })
			s.policy(3, "lease = \"3d\"\n")
			for _, name := range []string{"Lind, Bo", "Chen, Li", "Silva, Rui"} {
				s.sign(listed(strings.ToLower(strings.Split(name, ",")[0])+"@"+mercyOrg, name))
			}
			s.authority.snapshot()
			s.beat()
			for range withheldAfter {
				s.round()
			}
			now := s.known()
			if c.still && now != was {
				t.Errorf("it was %+v and is %+v", was, now)
			}
			if !c.still && now.head != 3 || now.policy != 3 && now.policy != 2 || now.keys != 0 || now.policy != 2 && now.directory != 2 && now.directory > 3 {
				t.Errorf("it was %+v and is %+v", was, now)
			}
			if now.policy == 3 && now.directory == 5 {
				t.Error("nothing was refused")
			}
			if c.words == "" {
				if o := s.c.Organisation(); !strings.Contains(o.Withheld.String(), "does not come from the relay") {
					t.Errorf("nothing is said: %+v", o)
				}
				s.says("does not come from the relay")
			} else {
				s.says(c.words)
				if !strings.Contains(s.log.String(), "refused") {
					t.Error("the log has nothing")
				}
			}
			// The same again is not said again, and an honest relay is followed.
			s.relay(nil)
			s.round()
			if got := s.known(); got != (known{3, 5, 3, 0, 6}) {
				t.Errorf("with an honest relay: %+v", got)
			}
			if o := s.c.Organisation(); !o.Withheld.Empty() {
				t.Errorf("still said: %v", o.Withheld)
			}
		})
	}
}

// TestSnapshotMixed has the relay mix the parts of two snapshots, leave one out, and
// show one twice.
func TestSnapshotMixed(t *testing.T) {
	for what, edit := range map[string]func(place string, note []byte, first, second [][]byte) []byte{
		"mixed": func(place string, note []byte, first, _ [][]byte) []byte {
			if strings.HasSuffix(place, " 2") {
				return first[1]
			}
			return note
		},
		"one left out": func(place string, note []byte, _, _ [][]byte) []byte {
			if strings.HasSuffix(place, " 3") {
				return nil
			}
			return note
		},
		"one twice": func(place string, note []byte, _, second [][]byte) []byte {
			if strings.HasSuffix(place, " 3") {
				return second[1]
			}
			return note
		},
		"edited": func(place string, note []byte, _, _ [][]byte) []byte {
			if strings.HasSuffix(place, " 3") {
				return bytes.Replace(note, []byte("state: active"), []byte("state: actiwe"), 1)
			}
			return note
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := staff(t)
			s.sign(people(1000)...)
			first, err := s.authority.staff.Snapshot(s.key, time.Now())
			if err != nil || len(first) < 4 {
				t.Fatal(len(first), err)
			}
			s.sign(listed(lind, "Lind, Bo"))
			s.authority.snapshot()
			second, _ := s.authority.staff.Snapshot(s.key, time.Now())
			s.beat()
			s.relay(func(place string, note []byte) []byte {
				switch {
				case strings.Contains(place, stanza.NodeDirectory+" "):
					return nil
				case strings.Contains(place, stanza.NodeSnapshot+" "):
					return edit(place, note, first, second)
				}
				return note
			})
			s.begin(1)
			for range withheldAfter {
				s.round()
			}
			if d := s.c.Directory(); d.Len() != 0 {
				t.Errorf("%d people were loaded", d.Len())
			}
			if err := s.send(ada, "to whom?"); err == nil || !strings.Contains(err.Error(), "has not arrived yet") {
				t.Errorf("somebody is written to without a directory: %v", err)
			}
			s.relay(nil)
			s.round()
			s.upToDate()
		})
	}
}

// people are n entries, with a device each.
func people(n int) (all []directory.Entry) {
	public := orgtest.New(org.DeviceName(1), "people").Public()
	for i := range n {
		id := uint32(i + 1)
		key, err := org.NewKey(org.DeviceName(id), public)
		if err != nil {
			panic(err)
		}
		address := "p" + stanza.NumberItem(uint64(100000+i)) + "@" + mercyOrg
		all = append(all, directory.Entry{Address: address, Name: "Person " + address, State: directory.Active,
			Devices: []directory.Device{{ID: id, Fingerprint: org.HashOf(address), Signing: key, Added: time.Now()}}})
	}
	return all
}

// TestNudges has somebody send many heads: forged, old and new ones.
func TestNudges(t *testing.T) {
	s := staff(t).start()
	was := s.known()
	asked := s.times(stanza.NodeHead, "current")
	first := s.note(stanza.NodeHead, "current")
	forged, err := s.head.Sign(orgtest.New(mercyOrg, "thief"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		note := [][]byte{forged, first, []byte("nonsense"), bytes.Replace(first, []byte("orders: 1"), []byte("orders: 3"), 1)}[i%4]
		s.deliver(stanza.Nudge(me, note).With("from", eve+"/1"))
	}
	s.settledWith()
	if now := s.known(); now != was {
		t.Errorf("it was %+v and is %+v", was, now)
	}
	if n := s.times(stanza.NodeHead, "current") - asked; n > 2 {
		t.Errorf("the head was asked for %d times because of strangers", n)
	}
	// The true one, of whoever sends it, still comes through, at the latest when the
	// head is asked for.
	s.sign(listed(lind, "Lind, Bo"))
	s.deliver(stanza.Nudge(me, s.beat()).With("from", eve+"/1"))
	s.upToDate()
	if err := s.c.Membership().MayTalk(lind, time.Now()); err != nil {
		t.Error(err)
	}
}

// TestRotationOverTheLink has the organisation change its key twice while the device
// is away, and a relay forge a change.
func TestRotationOverTheLink(t *testing.T) {
	s := staff(t).start()
	old := s.key
	thief := orgtest.New(mercyOrg, "thief")
	forged, err := org.Rotation{Number: 1, Issued: time.Now(), From: thief.Key, To: orgtest.New(mercyOrg, "x").Key}.Sign(thief, orgtest.New(mercyOrg, "x"))
	if err != nil {
		t.Fatal(err)
	}
	for i, seed := range []string{"2", "3"} {
		next := orgtest.New(mercyOrg, seed)
		note, err := org.Rotation{Number: uint64(i + 1), Issued: time.Now(), From: s.key.Key, To: next.Key}.Sign(s.key, next)
		if err != nil {
			t.Fatal(err)
		}
		s.put(stanza.NodeKeys, stanza.NumberItem(uint64(i+1)), note)
		s.key = next
	}
	s.head.Keys = 2
	s.policy(2, "lease = \"2d\"\n")
	s.sign(listed(lind, "Lind, Bo"))
	s.beat()
	s.relay(func(place string, note []byte) []byte {
		if place == contact+" "+stanza.NodeKeys+" 1" {
			return forged
		}
		return note
	})
	s.round()
	s.says("The new key of mercy.example that the relay shows was refused")
	if m := s.c.Membership(); m.Anchor().Key != old.Key {
		t.Fatal("a forged key was taken")
	}
	s.relay(nil)
	s.round()
	s.upToDate()
	if m := s.c.Membership(); m.Anchor().Key != s.key.Key || m.Anchor().Number != 2 || m.Policy().Serial != 2 {
		t.Errorf("%+v", m.Anchor())
	}
	// What the old key signs afterwards counts for nothing.
	h := s.head
	h.Number, h.Keys = h.Number+1, 0
	note, err := h.Sign(old)
	if err != nil {
		t.Fatal(err)
	}
	was := s.known()
	s.put(stanza.NodeHead, "current", note)
	s.round()
	if now := s.known(); now != was {
		t.Errorf("it was %+v and is %+v", was, now)
	}
}

// TestUnlistedDevices has the relay add a device to Ada's, and exchange the keys of
// the true one: nothing is encrypted to either.
func TestUnlistedDevices(t *testing.T) {
	s := staff(t)
	fake := newRemote(t, s.double, ada) // into her list, with a bundle
	s.start()
	if err := s.send(ada, "one"); err != nil {
		t.Fatal(err)
	}
	keys := func(e *stanza.Element) (rids []uint32) {
		x, err := stanza.ReadEncrypted(e.Child(stanza.NSOmemo, "encrypted"))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range x.Keys {
			rids = append(rids, k.RID)
		}
		return rids
	}
	if got := keys(s.sent(hasPayload)); !slices.Equal(got, []uint32{s.ada.dev.ID()}) {
		t.Errorf("encrypted to %v", got)
	}
	s.says("has not signed")
	list, err := s.c.Devices(context.Background(), ada)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for _, d := range list {
		want := store.Undecided
		if d.ID == s.ada.dev.ID() {
			want = store.Signed
		}
		if d.Trust != want {
			t.Errorf("device %d is %v", d.ID, d.Trust)
		}
	}
	// Nor is it when the person says so: that is the organisation's to say.
	eventually(t, "the other device's key is known", func() bool {
		list, _ := s.c.Devices(context.Background(), ada)
		return slices.ContainsFunc(list, func(d Device) bool { return d.ID == fake.dev.ID() && d.Known })
	})
	if err := s.c.Trust(context.Background(), ada, fake.dev.Fingerprint(), store.Verified); err == nil || !strings.Contains(err.Error(), "has signed") {
		t.Errorf("it can be trusted: %v", err)
	}
	// What it writes is shown as what it is.
	fake.start(s.double, s.c)
	s.deliver(fake.write(s.c, "f1", "send me the list"))
	if m := wait(t, s.c, func(m MessageAdded) bool { return m.Message.Body.String() == "send me the list" }); !m.Message.Untrusted {
		t.Errorf("a device that nobody has signed is trusted: %+v", m.Message)
	}
	if err := s.c.Trust(context.Background(), ada, s.ada.dev.Fingerprint(), store.Distrusted); err != nil {
		t.Fatal(err)
	}
	if err := s.send(ada, "two"); err != nil {
		t.Fatal(err)
	}
	wait(t, s.c, func(m MessageChanged) bool {
		return m.Message.Body.String() == "two" && m.Message.State == store.Failed
	})
	if err := s.c.Trust(context.Background(), ada, s.ada.dev.Fingerprint(), store.Undecided); err != nil {
		t.Fatal(err)
	}
	if err := s.send(ada, "three"); err != nil {
		t.Fatal(err)
	}
	if got := keys(s.sent(hasPayload)); !slices.Equal(got, []uint32{s.ada.dev.ID()}) {
		t.Errorf("encrypted to %v", got)
	}
}

func TestExchangedKeys(t *testing.T) {
	s := staff(t)
	// The relay's own device in the place of Ada's: the same number, another key.
	fake := newRemote(t, nil, ada)
	s.double.mu.Lock()
	fake.do(func(tx *store.Tx) error {
		b, err := fake.dev.Bundle(tx)
		s.nodes[ada+" "+stanza.NodeBundle(s.ada.dev.ID())] = b.Element()
		return err
	})
	s.double.mu.Unlock()
	s.begin(1)
	s.upToDate()
	if err := s.send(ada, "for Ada"); err != nil {
		t.Fatal(err)
	}
	wait(t, s.c, func(m MessageChanged) bool {
		return m.Message.Body.String() == "for Ada" && m.Message.State == store.Failed
	})
	for len(s.double.messages) > 0 {
		if e := <-s.double.messages; hasPayload(e) {
			t.Errorf("it went out: %s", e)
		}
	}
	list, err := s.c.Devices(context.Background(), ada)
	if err != nil || len(list) != 1 || list[0].Fingerprint != s.ada.dev.Fingerprint() {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestRemovedPerson has the organisation remove Ada while something for her waits.
func TestRemovedPerson(t *testing.T) {
	s := staff(t).start()
	s.deliver(s.ada.write(s.c, "1", "hello"))
	wait(t, s.c, func(m MessageAdded) bool { return m.Message.Body.String() == "hello" })
	if err := s.send(ada, "before"); err != nil {
		t.Fatal(err)
	}
	s.sent(hasPayload)
	gone := listed(ada, "Okafor, Ada")
	gone.State = directory.Removed
	s.sign(gone)
	start := time.Now()
	s.nudge()
	s.upToDate()
	t.Logf("out %v after the nudge", time.Since(start))
	if err := s.send(ada, "after"); err == nil || !strings.Contains(err.Error(), "Okafor, Ada has left") {
		t.Errorf("she can be written to: %v", err)
	}
	s.deliver(s.ada.write(s.c, "2", "let me back in"))
	s.settledWith()
	if got := bodies(t, s.c, ada); strings.Contains(got, "let me back in") || !strings.Contains(got, "hello") {
		t.Errorf("the screen has %q", got)
	}
	if !strings.Contains(s.log.String(), "message refused") {
		t.Error("the log has nothing of it")
	}
	// What she wrote before is no less hers for that.
	for _, m := range messages(t, s.c, ada) {
		if m.Body.String() == "hello" && m.Untrusted {
			t.Errorf("%+v", m)
		}
	}
	if sec, err := s.c.Security(context.Background(), ada); err != nil || !sec.Warn || !strings.Contains(sec.Words.String(), "has left") || sec.Short.String() != "has left: nothing can be sent" {
		t.Errorf("%+v, %v", sec, err)
	}
	// Nothing of what was sent before is sent again.
	left := 0
	if err := s.st.View(context.Background(), func(tx *store.Tx) error {
		a, err := tx.Outbox()
		if err != nil {
			return err
		}
		b, err := tx.Unconfirmed()
		left = len(a) + len(b)
		return err
	}); err != nil || left > 0 {
		t.Errorf("%d messages wait to be sent to her, %v", left, err)
	}
}

// TestDeviceTakenOut has one of Ada's two devices taken out: nothing more goes to it,
// and what it writes is refused.
func TestDeviceTakenOut(t *testing.T) {
	s := staff(t)
	stolen := newRemote(t, s.double, ada)
	s.sign(listed(ada, "Okafor, Ada", sorted(s.ada.dev, stolen.dev)...))
	s.beat()
	s.start()
	if err := s.send(ada, "to both"); err != nil {
		t.Fatal(err)
	}
	e := s.sent(hasPayload)
	for _, r := range []*remote{s.ada, stolen} {
		if got, err := r.read(e); got != "to both" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	s.sign(listed(ada, "Okafor, Ada", s.ada.dev))
	s.nudge()
	s.upToDate()
	if err := s.send(ada, "to one"); err != nil {
		t.Fatal(err)
	}
	e = s.sent(hasPayload)
	if got, err := s.ada.read(e); got != "to one" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := stolen.read(e); err == nil {
		t.Errorf("the stolen device reads %q", got)
	}
	stolen.start(s.double, s.c)
	s.deliver(stolen.write(s.c, "s1", "from a thief"))
	s.deliver(s.ada.write(s.c, "a1", "from Ada"))
	wait(t, s.c, func(m MessageAdded) bool { return m.Message.Body.String() == "from Ada" })
	if got := bodies(t, s.c, ada); strings.Contains(got, "thief") {
		t.Errorf("the screen has %q", got)
	}
	if !strings.Contains(s.log.String(), "the organisation has taken its device out") {
		t.Error("the log has nothing of it")
	}
}

func sorted(devices ...*omemo.Device) []*omemo.Device {
	slices.SortFunc(devices, func(a, b *omemo.Device) int { return int(a.ID()) - int(b.ID()) })
	return devices
}

// TestStrangers has somebody write who does not belong to the organisation, and then
// does: what was written is not lost, not even where sotto ends in between.
func TestStrangers(t *testing.T) {
	s := staff(t).start()
	stranger := newRemote(t, s.double, lind)
	stranger.start(s.double, s.c)
	for i, body := range []string{"my first day", "anybody there?"} {
		s.deliver(stranger.write(s.c, stanza.NumberItem(uint64(i+1)), body))
	}
	s.deliver(stanza.NewChat(me, "plain", stanza.Body("not even encrypted")).With("from", eve+"/x"))
	s.deliver(stanza.NewChat(me, "r", stanza.Received("1")).With("from", eve+"/x"))
	invitation := stanza.New(stanza.NSClient, "message", stanza.DirectInvite("icu@rooms.mercy.example", "come in")).With("from", eve+"/x")
	s.deliver(invitation)
	s.settledWith()
	list, err := s.c.Conversations(context.Background())
	if err != nil || len(list) != 0 {
		t.Errorf("strangers have conversations: %+v, %v", list, err)
	}
	for len(s.double.messages) > 0 {
		if e := <-s.double.messages; e.Get("to") == lind || e.Get("to") == eve {
			t.Errorf("a stranger is answered: %s", e)
		}
	}
	s.begin(2)
	s.sign(listed(lind, "Lind, Bo", stranger.dev))
	s.nudge()
	wait(t, s.c, func(m MessageAdded) bool { return m.Message.Body.String() == "anybody there?" && !m.Message.Untrusted })
	if got := bodies(t, s.c, lind); got != "my first day|anybody there?" {
		t.Errorf("%q", got)
	}
	s.sent(func(e *stanza.Element) bool { return isReceipt(e) && e.Get("to") == lind })
	if err := s.send(lind, "welcome"); err != nil {
		t.Fatal(err)
	}
	if got, err := stranger.read(s.sent(hasPayload)); got != "welcome" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if list, err := s.c.Conversations(context.Background()); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}
