package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sotto/client/locker"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/org/partner"
	"sotto/client/stanza"
	"sotto/client/store"
)

// house is an organisation on a real relay, whose account publishes there.
type house struct {
	*ward
	t       *testing.T
	account *person
	key     *orgtest.Key
	staff   *directory.Directory
	head    head.Head
}

func newHouse(t *testing.T, names ...string) *house {
	w := newWard(t, append(names, "sotto")...)
	return &house{ward: w, t: t, account: w.person("sotto"), key: orgtest.New(mercyOrg, "1"), staff: directory.New(mercyOrg, directory.Staff),
		head: head.Head{Issued: time.Now().Add(-time.Hour), Orders: head.Orders{First: 1}}}
}

// member is somebody whose device has joined.
func (h *house) member(name string) *person {
	h.t.Helper()
	p := &person{t: h.t, w: h.ward, name: name, jid: name + "@" + mercyOrg, st: memoryStore(h.t), kept: locker.Memory()}
	var dev *omemo.Device
	if err := p.st.Update(ctx, func(tx *store.Tx) (err error) {
		if dev, err = omemo.Setup(tx); err != nil {
			return err
		}
		_, err = membership.Join(tx, org.NewAnchor(h.key.Key, 0), contact, p.jid, time.Now())
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	h.sign(listed(p.jid, strings.ToUpper(name[:1])+name[1:], dev))
	h.beat()
	p.connect()
	p.unlock()
	return p
}

func (h *house) publish(node, id string, note []byte) {
	h.t.Helper()
	if err := h.account.Publish(ctx, node, id, stanza.Note(note), 1024); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) sign(entries ...directory.Entry) {
	h.t.Helper()
	before := h.staff.At().Serial
	notes, err := h.staff.Sign(h.key, h.key.Key, time.Now(), entries...)
	if err != nil {
		h.t.Fatal(err)
	}
	for i, n := range notes {
		h.publish(stanza.NodeDirectory, stanza.NumberItem(before+uint64(i)+1), n)
	}
}

func (h *house) beat() []byte {
	h.t.Helper()
	h.head.Number++
	h.head.Issued = h.head.Issued.Add(time.Second)
	h.head.Directory = h.staff.At()
	note, err := h.head.Sign(h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.publish(stanza.NodeHead, stanza.ItemCurrent, note)
	return note
}

// nudge tells people of a new head, and waits until they have followed.
func (h *house) nudge(people ...*person) {
	h.t.Helper()
	note := h.beat()
	for _, p := range people {
		if err := h.account.Post(soon(h.t), stanza.Nudge(p.jid, note)); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, p := range people {
		eventually(h.t, p.name+" knows the directory", func() bool { return p.Directory().At() == h.staff.At() })
	}
}

// TestOrganisationRoom has a room of members and one who is none: they cannot read,
// nor be invited, and who leaves the organisation is dropped.
func TestOrganisationRoom(t *testing.T) {
	h := newHouse(t, "ada", "per", "rana", "eve")
	a, b, c := h.member("ada"), h.member("per"), h.member("rana")
	h.nudge(a, b, c)
	outsider := h.person("eve")
	peer := a.create("Night shift", b, c)
	a.knows(peer, a, b, c)
	if err := a.Invite(soon(t), peer, outsider.jid); err == nil || !strings.Contains(err.Error(), "is not in the directory") {
		t.Errorf("an outsider is invited: %v", err)
	}
	a.tell(peer, "Bed 9 goes to theatre")
	b.hears(peer, a, "Bed 9 goes to theatre")
	c.hears(peer, a, "Bed 9 goes to theatre")
	// Somebody slips the outsider in: the relay's administrator, say.
	for _, p := range []*person{a} {
		if _, err := p.Ask(soon(t), "set", peer, stanza.SetAffiliations(stanza.RoomItem{Affiliation: stanza.Member, JID: outsider.selfID})); err != nil {
			t.Fatal(err)
		}
	}
	a.knows(peer, a, outsider, b, c)
	if err := outsider.JoinRoom(soon(t), peer); err != nil {
		t.Fatal(err)
	}
	if sec, err := a.Security(ctx, peer); err != nil || !sec.Warn || !strings.Contains(sec.Words.String(), "not of mercy.example") {
		t.Errorf("%+v, %v", sec, err)
	}
	a.tell(peer, "And bed 10")
	b.hears(peer, a, "And bed 10")
	outsider.tell(peer, "I am new here")
	eventually(t, "the outsider has what was sent, and cannot read it", func() bool {
		got := bodies(t, outsider.Client, peer)
		return strings.Contains(got, "not encrypted for this device") || strings.Contains(got, "could not be opened")
	})
	if got := bodies(t, outsider.Client, peer); strings.Contains(got, "bed 10") {
		t.Errorf("the outsider reads %q", got)
	}

	// Rana leaves.
	gone := listed(c.jid, "Rana")
	gone.State = directory.Removed
	h.sign(gone)
	start := time.Now()
	h.nudge(a, b)
	a.knows(peer, a, outsider, b)
	b.knows(peer, a, outsider, b)
	t.Logf("the room has dropped her %v after the nudge", time.Since(start))
	a.tell(peer, "Without Rana")
	b.hears(peer, a, "Without Rana")
	for _, p := range []*person{a, b} {
		if got := bodies(t, p.Client, peer); strings.Contains(got, "I am new here") {
			t.Errorf("%s reads what an outsider wrote: %q", p.name, got)
		}
	}
	if got := bodies(t, c.Client, peer); strings.Contains(got, "Without Rana") {
		t.Errorf("she reads %q", got)
	}
}

// TestOrganisationAway has somebody offline while much changes; the next connection
// brings it.
func TestOrganisationAway(t *testing.T) {
	h := newHouse(t, "ada", "per")
	a, b := h.member("ada"), h.member("per")
	h.nudge(a, b)
	m := a.say(b, "hello")
	a.delivered(b, m)
	b.has(a, "hello")
	a.unplug(true)
	a.cut()
	gone := listed(b.jid, "Per")
	gone.State = directory.Removed
	h.sign(gone)
	h.sign(people(30)...)
	h.beat()
	if _, err := a.Send(ctx, b.jid, "written while away"); err != nil {
		t.Fatal(err)
	}
	a.unplug(false)
	eventually(t, "the directory is there", func() bool { return a.Directory().At() == h.staff.At() })
	eventually(t, "what waited was not sent, or was refused", func() bool {
		_, err := a.Send(ctx, b.jid, "again")
		return errors.Is(err, directory.ErrRemoved)
	})
}

// TestPartnerOverTheLink opens somebody of another organisation, whose account shows
// its directory, and closes it again.
func TestPartnerOverTheLink(t *testing.T) {
	const clinic = "clinic.example"
	h := newHouse(t, "ada", "carol", "clinic")
	a := h.member("ada")
	theirs := orgtest.New(clinic, "1")
	carol, account := h.person("carol"), h.person("clinic")
	if _, err := a.Send(ctx, carol.jid, "hello"); !errors.Is(err, directory.ErrStranger) {
		t.Fatalf("%v", err)
	}
	agreement := partner.Agreement{Proposer: h.key.Key, Partner: theirs.Key, Serial: 1, Issued: time.Now(), Expires: time.Now().AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: mercyOrg, Person: a.jid}, {Organisation: clinic, Person: carol.jid}}}
	proposal, err := agreement.Propose(h.key)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := partner.Agree(proposal, h.key.Key, theirs.Key, theirs)
	if err != nil {
		t.Fatal(err)
	}
	shown := directory.New(clinic, directory.ForPartner(mercyOrg))
	notes, err := shown.Sign(theirs, theirs.Key, time.Now(), listed(carol.jid, "Carol", carol.device))
	if err != nil {
		t.Fatal(err)
	}
	theirHead, err := head.Head{For: mercyOrg, Number: 1, Issued: time.Now(), Directory: shown.At(), Orders: head.Orders{First: 1}}.Sign(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for node, note := range map[string][]byte{stanza.NodeHead: theirHead, stanza.NodeDirectory: notes[0]} {
		id := map[string]string{stanza.NodeHead: stanza.ItemCurrent, stanza.NodeDirectory: "1"}[node]
		if err := account.Publish(ctx, stanza.NodeFor(mercyOrg, node), id, stanza.Note(note), 64); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.account.Publish(ctx, stanza.NodePartners, stanza.PartnerItem(clinic), stanza.PartnerNote(agreed, account.jid), 64); err != nil {
		t.Fatal(err)
	}
	h.nudge(a)
	eventually(t, "carol may be written to", func() bool { return a.Membership().MayTalk(carol.jid, time.Now()) == nil })
	m := a.say(carol, "dear colleague")
	a.delivered(carol, m)
	carol.has(a, "dear colleague")
	carol.say(a, "dear Ada")
	a.has(carol, "dear Ada")
	if o := a.Organisation(); len(o.Partners) != 1 || o.Partners[0].String() != clinic {
		t.Errorf("%+v", o)
	}

	end, err := partner.End(theirs, mercyOrg, 1, time.Now(), "over")
	if err != nil {
		t.Fatal(err)
	}
	h.publish(stanza.NodePartners, stanza.PartnerEndItem(clinic), end)
	h.nudge(a)
	eventually(t, "carol may not be written to any more", func() bool {
		_, err := a.Send(ctx, carol.jid, "still there?")
		return errors.Is(err, directory.ErrStranger)
	})
	carol.say(a, "anybody?")
	carol.say(a, "nobody?")
	a.call(a.follow)
	if got := bodies(t, a.Client, carol.jid); strings.Contains(got, "body?") {
		t.Errorf("%q", got)
	}
}

// BenchmarkOrganisation10000 is what a client does in an organisation of ten thousand:
// the snapshot over the link, an update, and the start.
func BenchmarkOrganisation10000(b *testing.B) {
	s := staff(b)
	s.sign(people(10_000)...)
	s.authority.snapshot()
	s.beat()
	start := time.Now()
	s.begin(1)
	s.upToDate()
	first := time.Since(start)
	b.Run("snapshot", func(b *testing.B) { // there is one first time only
		for b.Loop() {
		}
		b.ReportMetric(float64(first.Microseconds())/1000, "ms-first")
	})
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			e, _ := s.authority.staff.Entry(lind)
			e = listed(lind, "Lind "+stanza.NumberItem(e.Changed+1))
			s.sign(e)
			s.beat()
			b.StartTimer()
			s.c.call(s.c.follow)
			for s.c.Directory().At() != s.authority.staff.At() {
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	b.Run("search", func(b *testing.B) {
		for b.Loop() {
			s.c.Directory().Search("person p1099", 50)
		}
	})
	b.Run("start", func(b *testing.B) {
		var there time.Duration
		for b.Loop() {
			start := time.Now()
			c, err := New(Config{Account: Account{Address: me}, Store: s.st, Link: discard{}})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if c.Directory().Len() < 10_000 {
				b.Fatal(c.Directory().Len())
			}
			there += time.Since(start)
			b.StartTimer()
		}
		b.ReportMetric(float64(there.Microseconds())/1000/float64(b.N), "ms-until-directory")
	})
}

// discard is a link that nobody talks to.
type discard struct{}

func (discard) Read([]byte) (int, error)    { return 0, context.Canceled }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

func TestWhoHasJustJoinedIsNotSaidToBeOut(t *testing.T) {
	s := staff(t)
	// The organisation takes this device in now: what it has signed so far is from before.
	s.authority.staff = directory.New(mercyOrg, directory.Staff)
	s.sign(listed(ada, "Okafor, Ada", s.ada.dev))
	s.beat()
	if err := s.st.Update(context.Background(), func(tx *store.Tx) error {
		_, err := membership.Join(tx, org.NewAnchor(s.key.Key, 0), contact, me, time.Now())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.start()
	if o := s.c.Organisation(); !o.Out.Empty() {
		t.Errorf("before the organisation has said anything since: %q", o.Out)
	}
	// What it signs from then on counts.
	s.authority.head.Issued = time.Now().Add(time.Second)
	s.nudge()
	s.upToDate()
	if o := s.c.Organisation(); o.Out.String() != "you are not in the organisation's directory" {
		t.Errorf("somebody who is not in the directory of now is told %q", o.Out)
	}
	if sec, err := s.c.Security(context.Background(), ada); err != nil || sec.Short.String() != "you are not in mercy.example now" {
		t.Errorf("%+v, %v", sec, err)
	}
}
