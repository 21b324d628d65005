package tui

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"sotto/client"
	"sotto/client/omemo"
	"sotto/client/quote"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// fake is a messenger in memory.
type fake struct {
	mu       sync.Mutex
	convs    []client.Conversation // in the order of the list, but for unread ones
	msgs     map[string][]client.Message
	devices  map[string][]client.Device
	security map[string]client.Security
	drafts   map[string]store.Draft
	state    client.State
	events   chan client.Event
	now      func() time.Time
	lastID   int64

	sent    []string // peer and text
	marked  []string // peers of MarkRead
	readTo  []int64  // and up to which message
	resent  int
	rooms   []string // what was done with rooms
	members []client.Member
	readers *client.NewReaders // what sending answers until they are accepted

	gaps      []client.Gap
	gapErr    error
	searched  []client.Query
	acked     map[int64]bool
	dismissed []int64
	roles     []string
	fates     map[int64]client.Fate

	broken error         // what every writing answers
	slow   chan struct{} // closed when Send may go on; nil: at once

	reading map[string]chan struct{} // closed when Messages of a peer may go on

	files fakeFiles

	joining client.Joining
	org     fakePolicy
}

const (
	ada  = "okafor@mercy.example"
	per  = "lind@mercy.example"
	rana = "haddad@mercy.example"
	icu  = "icu@rooms.mercy.example"
	self = "ng@mercy.example"
)

// night is the moment at which the stories begin.
var night = time.Date(2026, 11, 21, 19, 8, 0, 0, time.UTC)

func newFake(now func() time.Time) *fake {
	f := &fake{
		msgs: map[string][]client.Message{}, devices: map[string][]client.Device{},
		security: map[string]client.Security{}, drafts: map[string]store.Draft{},
		events: make(chan client.Event, 4096), now: now,
		state: client.State{Phase: wire.Online, CaughtUp: true, Since: night},
	}
	contact := func(peer, name, group string, p client.Presence) {
		f.convs = append(f.convs, client.Conversation{Peer: peer, Name: text.Line(name), Group: text.Line(group), Contact: true, Presence: p})
		f.security[peer] = client.Security{Devices: 2, Trusted: 2, Words: text.Line("encrypted, 2 devices ok")}
	}
	here := client.Presence{Available: true}
	contact(rana, "Haddad, Rana", "laboratory", client.Presence{Available: true, Show: "away"})
	contact(icu, "ICU night", "rooms", here)
	f.convs[len(f.convs)-1].Room = true
	contact(per, "Lind, Per", "pharmacy", client.Presence{})
	contact(ada, "Okafor, Ada", "cardiology", client.Presence{Available: true, Status: text.Line("on call until 07:00")})
	f.devices[ada] = []client.Device{device(71, store.Verified), device(72, store.FirstUse)}
	f.devices[self] = []client.Device{device(5, store.Verified)}
	f.devices[self][0].Own = true
	return f
}

func device(id uint32, trust store.Trust) client.Device {
	d := client.Device{ID: id, Known: true, Trust: trust, Active: true, FirstSeen: night.AddDate(0, 0, -7)}
	for i := range d.Fingerprint {
		d.Fingerprint[i] = byte(int(id)*(i+1) + 3*i)
	}
	return d
}

// say adds a message from somebody, or an own one with from "".
func (f *fake) say(peer, from, body string, ago time.Duration, more ...func(*client.Message)) client.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastID++
	m := client.Message{ID: f.lastID, Place: f.lastID, Peer: peer, Sender: text.Line(from), Time: f.now().Add(-ago), Body: text.Sanitize(body), Encrypted: true}
	if from == "" {
		m.Sender, m.Outgoing, m.Read, m.State = text.Line(self), true, true, store.Sent
	}
	switch {
	case len(body) > 4 && body[:5] == "!stat":
		m.Urgency = store.Stat
	case len(body) > 6 && body[:7] == "!urgent":
		m.Urgency = store.Urgent
	}
	for _, change := range more {
		change(&m)
	}
	all := f.msgs[peer]
	at := sort.Search(len(all), func(i int) bool { return before(m, all[i]) < 0 })
	f.msgs[peer] = slices.Insert(all, at, m)
	return m
}

// arrive is say while the screens watch.
func (f *fake) arrive(peer, body string, more ...func(*client.Message)) client.Message {
	m := f.say(peer, peer, body, 0, more...)
	f.events <- client.MessageAdded{Message: m}
	f.events <- client.ConversationsChanged{}
	return m
}

// move changes the state of the last own message of a conversation.
func (f *fake) move(peer string, s store.State, why string) {
	f.mu.Lock()
	var m client.Message
	for i := range f.msgs[peer] {
		if f.msgs[peer][i].Outgoing {
			m = f.msgs[peer][i]
		}
	}
	m.State, m.Why = s, text.Line(why)
	for i := range f.msgs[peer] {
		if f.msgs[peer][i].ID == m.ID {
			f.msgs[peer][i] = m
		}
	}
	f.mu.Unlock()
	f.events <- client.MessageChanged{Message: m}
}

func read(m *client.Message)      { m.Read = true }
func wasRead(m *client.Message)   { m.State = store.Read }
func delivered(m *client.Message) { m.State = store.Delivered }

// ward fills the fake with the conversation of the design.
func (f *fake) ward() {
	f.say(ada, "", "Bed 9 potassium came back 6.8, repeating now.", 6*time.Minute, wasRead)
	f.say(ada, ada, "Hold the spironolactone. ECG?", 5*time.Minute, read)
	f.say(ada, ada, "I am four minutes away.", 5*time.Minute-2*time.Second, read)
	f.say(ada, "", "ECG: peaked T, no widening.", 3*time.Minute, delivered)
	f.say(ada, ada, "!stat Calcium gluconate 10 ml now. #mrn:44120", time.Minute)
	f.say(ada, ada, "Repeat K in 30 min, ask @role/pharmacy.", time.Minute-5*time.Second)
	f.say(icu, per, "Bed 4 is free.", time.Hour)
	f.say(per, per, "Dose is up.", 2*time.Hour, read)
}

func (f *fake) Events() <-chan client.Event { return f.events }
func (f *fake) State() client.State         { f.mu.Lock(); defer f.mu.Unlock(); return f.state }
func (f *fake) Self() client.Self {
	return client.Self{Address: self, Name: text.Line("ng"), Device: 5}
}

func (f *fake) Conversations(context.Context) ([]client.Conversation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.convs)
	for i := range list {
		c := &list[i]
		c.Draft = f.drafts[c.Peer].Text
		for _, m := range f.msgs[c.Peer] {
			c.Last = m.Time
			if !m.Read {
				if c.Unread == 0 {
					c.FirstUnread = m.ID
				}
				c.Unread++
				if m.Urgency == store.Stat {
					c.Stats++
				}
				c.Urgency = max(c.Urgency, m.Urgency)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b client.Conversation) int {
		if a.Urgency != b.Urgency {
			return b.Urgency - a.Urgency
		}
		return min(b.Unread, 1) - min(a.Unread, 1)
	})
	return list, nil
}

// slowly makes the messages of a peer wait until done is closed.
func (f *fake) slowly(peer string, done chan struct{}) {
	f.reading = map[string]chan struct{}{peer: done}
}

func (f *fake) Messages(_ context.Context, peer string, before int64, limit int) ([]client.Message, error) {
	if wait := f.reading[peer]; wait != nil {
		<-wait
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.msgs[peer]
	if before != 0 {
		i := slices.IndexFunc(all, func(m client.Message) bool { return m.ID == before })
		all = all[:max(i, 0)]
	}
	return slices.Clone(all[max(len(all)-limit, 0):]), nil
}

func (f *fake) part(peer string, from, to int) client.Part {
	all := f.msgs[peer]
	from, to = max(from, 0), min(to, len(all))
	p := client.Part{Messages: slices.Clone(all[from:to]), Older: from > 0, Below: len(all) - to}
	for _, m := range all[to:] {
		if m.Urgency == store.Stat && !m.Outgoing {
			p.Stats++
		}
	}
	return p
}

func (f *fake) index(peer string, id int64) int {
	return slices.IndexFunc(f.msgs[peer], func(m client.Message) bool { return m.ID == id })
}

func (f *fake) Around(_ context.Context, peer string, id int64, limit int) (client.Part, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.index(peer, id)
	if i < 0 {
		return client.Part{}, client.ErrNotHere
	}
	return f.part(peer, i-limit/2, i+limit/2), nil
}

func (f *fake) After(_ context.Context, peer string, after int64, limit int) (client.Part, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.index(peer, after)
	return f.part(peer, i+1, i+1+limit), nil
}

func (f *fake) FirstUnread(_ context.Context, peer string, urgent bool) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.msgs[peer] {
		if !m.Outgoing && !m.Read && (!urgent || m.Urgency >= store.Stat) {
			return m.ID, nil
		}
	}
	return 0, nil
}

// FillGap closes a gap, or says that the relay has nothing of it if f.err is that.
func (f *fake) FillGap(_ context.Context, gap int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gapErr == nil {
		f.gaps = slices.DeleteFunc(slices.Clone(f.gaps), func(g client.Gap) bool { return g.ID == gap })
		return 12, nil
	}
	return 0, f.gapErr
}

func (f *fake) Gaps(context.Context, string) ([]client.Gap, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gaps, nil
}

// Search finds as the messenger does, the newest first, a page of f.page messages.
func (f *fake) Search(_ context.Context, q client.Query) (client.Found, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.searched = append(f.searched, q)
	words := store.NewMatcher(q.Text)
	var found client.Found
	for peer, all := range f.msgs {
		for _, m := range all {
			if q.Peer != "" && q.Peer != peer || q.Sender != "" && q.Sender != m.Sender.String() || m.Urgency < q.Urgent ||
				!q.From.IsZero() && m.Time.Before(q.From) || !q.Until.IsZero() && !m.Time.Before(q.Until) {
				continue
			}
			spans := words.Spans(m.Body.String())
			if words.Empty() || spans != nil {
				found.Hits = append(found.Hits, client.Hit{Message: m, Spans: spans})
			}
		}
	}
	slices.SortFunc(found.Hits, func(a, b client.Hit) int { return b.Time.Compare(a.Time) })
	return found, f.broken
}

func (f *fake) Inbox(context.Context) ([]client.Waiting, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []client.Waiting
	for _, peer := range []string{ada, icu, per, rana} {
		for _, m := range f.msgs[peer] {
			switch {
			case m.Urgency > store.Routine && !m.Outgoing && !f.acked[m.ID]:
				list = append(list, client.Waiting{Message: m, Reason: store.Unacknowledged})
			case m.Outgoing && m.State == store.Failed:
				list = append(list, client.Waiting{Message: m, Reason: store.NotSent})
			case !m.Outgoing && !m.Read && strings.Contains(m.Body.String(), "@ng"):
				list = append(list, client.Waiting{Message: m, Reason: store.Mentioned})
			}
		}
	}
	return list, nil
}

func (f *fake) Dismiss(_ context.Context, id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dismissed = append(f.dismissed, id)
	return f.broken
}

func (f *fake) SetRole(_ context.Context, role string, has bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roles = append(f.roles, strings.TrimSpace(role+map[bool]string{true: " mine"}[has]))
	return f.broken
}

func (f *fake) Devices(_ context.Context, peer string) ([]client.Device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.devices[peer]), nil
}

func (f *fake) Security(_ context.Context, peer string) (client.Security, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.security[peer], nil
}

func (f *fake) Draft(_ context.Context, peer string) (store.Draft, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.drafts[peer], nil
}

func (f *fake) Send(_ context.Context, peer, body string) (client.Message, error) {
	if f.slow != nil {
		<-f.slow
	}
	f.mu.Lock()
	broken := f.broken
	if f.readers != nil && f.readers.Peer == peer {
		broken = f.readers
	}
	f.mu.Unlock()
	if broken != nil {
		return client.Message{}, broken
	}
	m := f.say(peer, "", body, 0, func(m *client.Message) { m.State = store.Queued })
	f.mu.Lock()
	f.sent = append(f.sent, peer+" "+body)
	f.mu.Unlock()
	f.events <- client.MessageAdded{Message: m}
	f.events <- client.ConversationsChanged{}
	return m, nil
}

func (f *fake) Reply(_ context.Context, peer string, id int64, body string) (client.Message, error) {
	return f.about(peer, id, body, func(old, m *client.Message) { m.Body = text.Sanitize(quote.Join(old.Body.String(), body)) })
}

func (f *fake) Correct(_ context.Context, peer string, id int64, body string) (client.Message, error) {
	return f.about(peer, id, body, func(old, m *client.Message) {
		m.Corrects, old.CorrectedBy, old.Corrected = true, m.ID, m.Time
	})
}

func (f *fake) Acknowledge(_ context.Context, peer string, id int64, words string) (client.Message, error) {
	body := strings.TrimSpace("!ack " + words)
	return f.about(peer, id, body, func(old, m *client.Message) {
		m.Body = text.Sanitize(quote.Join(old.Body.String(), body))
		old.Acks = append(old.Acks, client.Acknowledgement{Sender: text.Line(self), Time: m.Time})
	})
}

// about says something about an earlier message.
func (f *fake) about(peer string, id int64, body string, change func(old, m *client.Message)) (client.Message, error) {
	f.mu.Lock()
	broken := f.broken
	f.mu.Unlock()
	if broken != nil {
		return client.Message{}, broken
	}
	m := f.say(peer, "", body, 0, func(m *client.Message) { m.State = store.Queued })
	f.mu.Lock()
	f.sent = append(f.sent, peer+" "+body)
	list := f.msgs[peer]
	old := &list[slices.IndexFunc(list, func(x client.Message) bool { return x.ID == id })]
	one := &list[slices.IndexFunc(list, func(x client.Message) bool { return x.ID == m.ID })]
	one.About, one.AboutTime = id, old.Time
	change(old, one)
	m, changed := *one, *old
	f.mu.Unlock()
	f.events <- client.MessageAdded{Message: m}
	f.events <- client.MessageChanged{Message: changed}
	return m, nil
}

func (f *fake) Recall(_ context.Context, peer string, id int64) (bool, error) {
	f.mu.Lock()
	if f.broken != nil {
		defer f.mu.Unlock()
		return false, f.broken
	}
	list := f.msgs[peer]
	m := &list[slices.IndexFunc(list, func(x client.Message) bool { return x.ID == id })]
	m.Gone, m.GoneAt, m.GoneBy, m.Body, m.Urgency, m.CarriedOf = store.Recalled, f.now(), text.Line(self), text.Safe{}, 0, 2
	m.Recall = client.Recall{ID: 1 << 40, State: store.Queued}
	gone := *m
	f.mu.Unlock()
	f.events <- client.MessageChanged{Message: gone}
	return false, nil
}

func (f *fake) Withdraw(_ context.Context, peer string, id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.msgs[peer] = slices.DeleteFunc(f.msgs[peer], func(m client.Message) bool { return m.ID == id })
	f.events <- client.Resync{}
	return f.broken
}

func (f *fake) Forget(_ context.Context, peer string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	delete(f.msgs, peer)
	f.convs = slices.DeleteFunc(f.convs, func(c client.Conversation) bool { return c.Peer == peer })
	return nil
}

func (f *fake) Fate(_ context.Context, id int64) (client.Fate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, list := range f.msgs {
		for _, m := range list {
			if m.ID == id {
				fate := f.fates[id]
				fate.Message = m
				return fate, f.broken
			}
		}
	}
	return client.Fate{}, errors.New("this message is not here any more")
}

func (f *fake) Resend(_ context.Context, id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resent++
	return f.broken
}

func (f *fake) MarkRead(_ context.Context, peer string, upTo int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marked, f.readTo = append(f.marked, peer), append(f.readTo, upTo)
	for i := range f.msgs[peer] {
		f.msgs[peer][i].Read = true
		if f.msgs[peer][i].ID == upTo {
			break
		}
	}
	f.events <- client.ConversationsChanged{}
	return nil
}

func (f *fake) SetLifespan(_ context.Context, peer string, d time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.security[peer]
	s.Lifespan = d
	f.security[peer] = s
	f.events <- client.DevicesChanged{Peer: peer}
	return f.broken
}

func (f *fake) SetDraft(_ context.Context, peer string, draft store.Draft) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drafts[peer] = draft
	return nil
}

func (f *fake) Trust(_ context.Context, peer string, fp omemo.Fingerprint, trust store.Trust) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.devices[peer] {
		if d := &f.devices[peer][i]; d.Fingerprint == fp {
			d.Trust = trust
			f.security[peer] = client.Security{Devices: 2, Trusted: 2, Words: text.Line("encrypted, 2 devices ok")}
			f.events <- client.DevicesChanged{Peer: peer}
			return nil
		}
	}
	return errors.New("no such device")
}

func (f *fake) Code() client.Code {
	return client.Code{Address: self, Devices: map[uint32]omemo.Fingerprint{5: f.devices[self][0].Fingerprint}}
}

func (f *fake) VerifyCode(_ context.Context, code client.Code) (int, error) {
	return len(code.Devices), f.room("verify", code.String())
}

func (f *fake) RemoveDevice(_ context.Context, id uint32) error {
	f.mu.Lock()
	f.devices[self] = slices.DeleteFunc(f.devices[self], func(d client.Device) bool { return d.ID == id })
	f.mu.Unlock()
	err := f.room("removed device", itoa(int(id)))
	f.events <- client.DevicesChanged{Peer: self}
	return err
}

func (f *fake) Rejoin(context.Context) error { return f.room("rejoin") }

func (f *fake) CreateRoom(_ context.Context, name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rooms = append(f.rooms, "create "+name)
	return icu, f.broken
}

func (f *fake) room(what ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rooms = append(f.rooms, strings.Join(what, " "))
	return f.broken
}

func (f *fake) JoinRoom(_ context.Context, peer string) error    { return f.room("join", peer) }
func (f *fake) Invite(_ context.Context, peer, who string) error { return f.room("invite", peer, who) }
func (f *fake) Remove(_ context.Context, peer, who string) error { return f.room("remove", peer, who) }
func (f *fake) SetTopic(_ context.Context, peer, topic string) error {
	return f.room("topic", peer, topic)
}
func (f *fake) SetAffiliation(_ context.Context, peer, who string, a stanza.Affiliation) error {
	return f.room(string(a), peer, who)
}
func (f *fake) Decline(_ context.Context, peer string) error { return f.room("decline", peer) }
func (f *fake) Leave(_ context.Context, peer string) error   { return f.room("leave", peer) }

func (f *fake) Members(context.Context, string) ([]client.Member, error) { return f.members, nil }

func (f *fake) AcceptReaders(_ context.Context, n *client.NewReaders) error {
	f.mu.Lock()
	if f.readers == n {
		f.readers = nil
	}
	f.mu.Unlock()
	return f.room("accept", n.Peer)
}

func (f *fake) draft(peer string) string {
	d, _ := f.Draft(context.Background(), peer)
	return d.Text
}
