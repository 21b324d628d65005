package client

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/stanza"
	"sotto/client/store"
)

const (
	mercyOrg = "mercy.example"
	contact  = "sotto@" + mercyOrg
	lind     = "lind@" + mercyOrg
)

// authority is an organisation, as its administrator has it, whose account the double
// keeps.
type authority struct {
	t     testing.TB
	d     *double
	key   *orgtest.Key
	staff *directory.Directory
	head  head.Head
	rules *policy.Policy

	mu    sync.Mutex
	items map[string][]byte                      // "account node id" to the note
	edit  func(place string, note []byte) []byte // what the relay makes of it, unless nil
	asked map[string]int
}

func newAuthority(t testing.TB, d *double) *authority {
	h := &authority{t: t, d: d, key: orgtest.New(mercyOrg, "1"), staff: directory.New(mercyOrg, directory.Staff), items: make(map[string][]byte), asked: make(map[string]int)}
	h.head = head.Head{Issued: time.Now().Add(-time.Hour), Orders: head.Orders{First: 1}}
	d.hook = h.answer
	return h
}

// answer is what the double says where it is asked for statements.
func (h *authority) answer(iq *stanza.Element) *stanza.Element {
	items := iq.Child(stanza.NSPubSub, "pubsub").Child(stanza.NSPubSub, "items")
	node := items.Get("node")
	if iq.Get("type") != "get" || !strings.HasPrefix(node, stanza.NSOrganisation) {
		return nil
	}
	account := iq.Get("to")
	h.mu.Lock()
	defer h.mu.Unlock()
	answer := stanza.New(stanza.NSPubSub, "items").With("node", node)
	want := items.Child(stanza.NSPubSub, "item")
	for place, note := range maps.All(h.items) {
		id, found := strings.CutPrefix(place, account+" "+node+" ")
		if !found || want != nil && want.Get("id") != id {
			continue
		}
		if h.edit != nil {
			note = h.edit(place, note)
		}
		if note != nil {
			answer.Add(stanza.New(stanza.NSPubSub, "item", stanza.Note(note)).With("id", id))
		}
	}
	h.asked[account+" "+node+" "+want.Get("id")]++
	if len(answer.Children) == 0 {
		return stanza.ErrorReply(iq, "cancel", "item-not-found").With("from", account).With("to", me+"/test")
	}
	return stanza.NewIQ("result", "", iq.Get("id"), stanza.New(stanza.NSPubSub, "pubsub", answer)).With("from", account).With("to", me+"/test")
}

func (h *authority) put(node, id string, note []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.items[contact+" "+node+" "+id] = note
}

// relay has the relay do something with what it is asked for.
func (h *authority) relay(edit func(place string, note []byte) []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.edit = edit
}

func (h *authority) times(node, id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[contact+" "+node+" "+id]
}

// sign changes the directory.
func (h *authority) sign(entries ...directory.Entry) {
	h.t.Helper()
	before := h.staff.At().Serial
	notes, err := h.staff.Sign(h.key, h.key.Key, time.Now(), entries...)
	if err != nil {
		h.t.Fatal(err)
	}
	for i, n := range notes {
		h.put(stanza.NodeDirectory, stanza.NumberItem(before+uint64(i)+1), n)
	}
}

func (h *authority) snapshot() {
	h.t.Helper()
	parts, err := h.staff.Snapshot(h.key, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	for i, n := range parts {
		h.put(stanza.NodeSnapshot, stanza.NumberItem(uint64(i)+1), n)
	}
}

func (h *authority) policy(serial uint64, body string) {
	h.t.Helper()
	p, err := policy.New(mercyOrg, serial, time.Now().Add(time.Duration(serial)*time.Second), body)
	if err != nil {
		h.t.Fatal(err)
	}
	note, err := p.Sign(h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.rules = p
	h.put(stanza.NodePolicy, stanza.ItemCurrent, note)
}

// beat signs the next head, as things stand, and returns it.
func (h *authority) beat() []byte {
	h.t.Helper()
	h.head.Number++
	h.head.Issued = h.head.Issued.Add(time.Second)
	if h.head.Directory = h.staff.At(); h.rules != nil {
		p, err := policy.Open(h.note(stanza.NodePolicy, stanza.ItemCurrent), h.key.Key)
		if err != nil {
			h.t.Fatal(err)
		}
		h.head.Policy = p.At()
	}
	note, err := h.head.Sign(h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.put(stanza.NodeHead, stanza.ItemCurrent, note)
	return note
}

func (h *authority) note(node, id string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.items[contact+" "+node+" "+id]
}

// nudge has the head delivered.
func (h *authority) nudge() {
	h.t.Helper()
	h.d.deliver(stanza.Nudge(me, h.beat()).With("from", contact+"/1"))
}

// listed is the entry of somebody with these devices.
func listed(address, name string, devices ...*omemo.Device) directory.Entry {
	e := directory.Entry{Address: address, Name: name, State: directory.Active}
	for _, d := range devices {
		e.Devices = append(e.Devices, directory.Device{ID: d.ID(), Fingerprint: d.Fingerprint(),
			Signing: orgtest.New(org.DeviceName(d.ID()), address).Key, Added: time.Now()})
	}
	return e
}

// staffed is a client in an organisation with Ada, who has a device, and the relay's log.
type staffed struct {
	*double
	*authority
	c   *Client
	st  *store.Store
	ada *remote
	log *journal

	config Config // more of it
}

func staff(t testing.TB) *staffed {
	t.Helper()
	s := &staffed{double: newDouble(t), log: &journal{}, st: memoryStore(t)}
	s.authority = newAuthority(t, s.double)
	var own *omemo.Device
	err := s.st.Update(context.Background(), func(tx *store.Tx) (err error) {
		if own, err = omemo.Setup(tx); err != nil {
			return err
		}
		_, err = membership.Join(tx, org.NewAnchor(s.key.Key, 0), contact, me, time.Now().Add(-2*time.Hour))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.ada = newRemote(t, s.double, ada)
	s.sign(listed(me, "Ng, Wei", own), listed(ada, "Okafor, Ada", s.ada.dev))
	s.policy(1, "lease = \"7d\"\n")
	s.beat()
	return s
}

// start runs the client until it has what the head names.
func (s *staffed) start() *staffed {
	s.double.t.Helper()
	s.begin(1)
	s.upToDate()
	s.ada.start(s.double, s.c)
	return s
}

func (s *staffed) begin(session uint64) {
	t := s.double.t
	t.Helper()
	cfg := s.config
	cfg.Account, cfg.Store = Account{Address: me, Password: memguard.NewBufferFromBytes([]byte("pw"))}, s.st
	cfg.Link, cfg.Logger = s.attach(session), slog.New(slog.NewTextHandler(s.log, nil))
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.c = c
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); from(t, ended, "end of Run") })
	wait(t, c, func(CaughtUp) bool { return true })
	s.published(c)
}

// upToDate waits until the client has all that was signed.
func (s *staffed) upToDate() {
	s.double.t.Helper()
	eventually(s.double.t, "what the head names is there", func() bool {
		m := s.c.Membership()
		return m.Head().Number == s.head.Number && m.Directory().At() == s.authority.staff.At() && m.PolicyCurrent()
	})
}

// says waits until the client has told the person something with these words.
func (s *staffed) says(words string) {
	s.double.t.Helper()
	wait(s.double.t, s.c, func(n NoticeEvent) bool { return strings.Contains(n.Text.String(), words) })
}

// settledWith waits until the client has taken everything that it was given.
func (s *staffed) settledWith() {
	s.double.t.Helper()
	eventually(s.double.t, "everything is stored", func() bool {
		s.double.mu.Lock()
		defer s.double.mu.Unlock()
		return s.stored == s.seq
	})
}

func (s *staffed) send(to, body string) error {
	_, err := s.c.Send(context.Background(), to, body)
	return err
}

func TestOrganisationIsFollowed(t *testing.T) {
	s := staff(t)
	// The relay calls Ada by another name than the organisation does.
	s.roster = append(s.roster, stanza.New(stanza.NSRoster, "item").With("jid", ada).With("name", "Lind, Bo").With("subscription", "both"))
	s.start()
	if list, err := s.c.Conversations(context.Background()); err != nil || len(list) != 1 || list[0].Name.String() != "Okafor, Ada" {
		t.Errorf("%+v, %v", list, err)
	}
	o := s.c.Organisation()
	if o.Name.String() != mercyOrg || o.Contact.String() != contact || o.People != 2 || o.Standing != policy.InTouch || !o.Withheld.Empty() || !o.Out.Empty() {
		t.Errorf("%+v", o)
	}
	if err := s.send(ada, "in the organisation"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ada.read(s.sent(hasPayload)); got != "in the organisation" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	s.deliver(s.ada.write(s.c, "1", "hello"))
	if m := wait(t, s.c, func(m MessageAdded) bool { return !m.Message.Outgoing }); m.Message.Body.String() != "hello" || m.Message.Untrusted || m.Message.Trust != store.Signed {
		t.Errorf("%+v", m.Message)
	}
	if sec, err := s.c.Security(context.Background(), ada); err != nil || sec.Warn || sec.Words.String() != "encrypted, 1 device signed by mercy.example" {
		t.Errorf("%+v, %v", sec, err)
	}
	// A nudge brings the next policy and the next update at once.
	s.policy(2, "lease = \"1d\"\n")
	s.sign(listed(lind, "Lind, Bo"))
	s.nudge()
	s.upToDate()
	if s.c.Membership().Policy().Lease() != 24*time.Hour || s.c.Directory().Len() != 3 {
		t.Errorf("policy %+v", s.c.Membership().Policy())
	}
	if found := s.c.Directory().Search("lind", 5); len(found) != 1 {
		t.Errorf("found %v", found)
	}
}

// TestNobodyReadsTheContact: who writes to the organisation's own account is told that
// nobody reads it, and whom to ask.
func TestNobodyReadsTheContact(t *testing.T) {
	s := staff(t)
	s.sign(listed(contact, mercyOrg, newRemote(t, s.double, contact).dev))
	s.beat()
	s.start()
	err := s.send(contact, "may I have another device?")
	if err == nil || !strings.Contains(err.Error(), "nobody reads") || !strings.Contains(err.Error(), "Ask your administrator") || !Declines(err) {
		t.Errorf("%v", err)
	}
	if err := s.c.MayTalk(contact); err == nil || !strings.Contains(err.Error(), "nobody reads") {
		t.Errorf("%v", err)
	}
	if p, ok := s.c.Person(contact); !ok || !strings.Contains(p.Why.String(), "nobody reads") {
		t.Errorf("%+v, %v", p, ok)
	}
	if err := s.send(ada, "for a person"); err != nil {
		t.Error(err)
	}
	if got, err := s.ada.read(s.sent(hasPayload)); got != "for a person" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
