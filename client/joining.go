package client

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/invitation"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// How a device gets into an organisation. The gate has been told an invitation and
// its one-time PIN, and hands over what came of them. That is kept until the relay
// has said how the organisation is called; then the request is made, signed with the
// keys of this device, and kept in its place. It is sent in every session, and again
// from time to time, until the organisation has answered: whatever dies between, the
// next start goes on. Nothing of it waits for a person.

// The values in the store of a device on its way in.
const (
	valueJoining  = "joining"          // lines: see way
	valueTicket   = "joining.ticket"   // invitation.Ticket, until there is a request
	valuePassword = "joining.password" // the account's, likewise
	valueRequest  = "joining.request"
)

// joinAgain is after how long a request is sent again that was not answered.
var joinAgain = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// nameAgain is after how long the relay is asked again how the organisation is called.
var nameAgain = [...]time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// Joining is how far this device is on its way into an organisation, fit for a
// screen. It is zero for a device that is not on its way.
type Joining struct {
	Organisation text.Safe // the domain of the account that speaks for it
	Contact      text.Safe // that account
	Since        time.Time // since when it is under way

	// Verdict is the organisation's answer; "" as long as there is none. It is never
	// Welcome: then the device has joined.
	Verdict invitation.Verdict
	// CutOff says that this device was set up with an invitation which has not come
	// here: sotto join has to be run again.
	CutOff bool
	// Words say how it stands and what to do.
	Words text.Safe
}

// Active reports whether the device is on its way in, and so is not to be used yet.
func (j Joining) Active() bool { return !j.Organisation.Empty() || j.CutOff }

// Waiting reports whether the organisation may still let this device in by itself.
func (j Joining) Waiting() bool { return j.Active() && !j.CutOff && j.Verdict == "" }

// JoiningChanged says that what [Client.Joining] returns is another.
type JoiningChanged struct{}

func (JoiningChanged) event() {}

// Joining returns how far this device is on its way into an organisation.
func (c *Client) Joining() Joining {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joining.shown
}

// way is how far a device has come.
type way struct {
	contact string
	since   time.Time
	asked   invitation.Asked // zero before there is a request
	verdict invitation.Verdict
	left    uint64
}

func (w *way) organisation() string { return w.contact[strings.LastIndexByte(w.contact, '@')+1:] }

func (w *way) has() bool { return w.asked.Invitation != "" }

func (w *way) bytes() []byte {
	var b org.Writer
	b.Line("contact", w.contact)
	b.Time("since", w.since)
	if w.has() {
		w.asked.Write(&b)
	}
	if w.verdict != "" {
		b.Line("verdict", string(w.verdict))
		b.Number("left", w.left)
	}
	return []byte(b.String())
}

func readWay(b []byte) (*way, error) {
	r := org.NewLines(string(b))
	w := &way{contact: r.Line("contact", org.MaxAddress), since: r.Time("since")}
	if r.Has("invitation") {
		w.asked = invitation.ReadAsked(r)
	}
	if r.Has("verdict") {
		w.verdict, w.left = invitation.Verdict(r.Line("verdict", 20)), r.Number("left")
	}
	return w, r.End()
}

// joining is what Run keeps of it.
type joining struct {
	way     *way // nil: not on the way
	request []byte
	dueAt   time.Time // of the next step
	tries   int       // in this session
	asking  bool      // the relay is asked how the organisation is called
	trouble string    // in words; "" if there is none
	shown   Joining   // guarded by mu
}

// beginJoining takes over what the gate has handed over, or what was there. It is
// called before Run.
func (c *Client) beginJoining(tx *store.Tx) error {
	c.joining = joining{}
	if t := c.cfg.Invitation; t != nil {
		if err := c.keepTicket(tx, t); err != nil {
			return err
		}
	}
	b, err := tx.Value(valueJoining)
	if err != nil {
		return err
	}
	if b != nil {
		if c.joining.way, err = readWay(b); err != nil {
			return fmt.Errorf("reading how far joining has come: %w", err)
		}
		if c.joining.request, err = tx.Value(valueRequest); err != nil {
			return err
		}
	} else if c.cfg.Invited {
		m, err := membership.Read(tx)
		if err != nil {
			return err
		}
		c.joining.shown.CutOff = m == nil
	}
	c.showJoining()
	return nil
}

// outside reports whether this device is on its way into an organisation, for Run.
func (c *Client) outside() bool { return c.joining.way != nil || c.joining.shown.CutOff }

// keepTicket keeps what came of a code and a PIN, in the place of what was there of an
// earlier invitation.
func (c *Client) keepTicket(tx *store.Tx, ticket *memguard.LockedBuffer) error {
	code, keys, err := invitation.ReadTicket(ticket.Bytes())
	if err != nil {
		return err
	}
	defer code.Clear()
	defer keys.Destroy()
	if code.Address != c.self {
		return fmt.Errorf("the invitation is for %s, and this account is %s", code.Address, c.self)
	}
	w := way{contact: code.Contact, since: time.Now()}
	var password []byte
	if a := &c.cfg.Account; a.Password != nil && a.Next == nil { // with two, it is not known which one counts
		password = a.Password.Bytes()
	}
	return errors.Join(
		tx.SetValue(valueJoining, w.bytes()), tx.SetValue(valueTicket, ticket.Bytes()),
		tx.SetValue(valuePassword, password), tx.SetValue(valueRequest, nil),
	)
}

// joinInSession goes on at once in a new session.
func (c *Client) joinInSession() {
	c.joining.tries, c.joining.dueAt, c.joining.asking = 0, time.Time{}, false
	c.joinTick(time.Now())
}

// joinTick does the next step if it is due.
func (c *Client) joinTick(now time.Time) {
	j := &c.joining
	if j.way == nil || j.way.verdict != "" || !c.online || j.asking || now.Before(j.dueAt) {
		return
	}
	if !j.way.has() {
		c.askName()
		return
	}
	j.dueAt = now.Add(joinAgain[min(j.tries, len(joinAgain)-1)])
	j.tries++
	id := newID()
	c.out.send(wire.Send{ID: id, Stanza: stanza.JoinRequest(j.way.contact, id, j.request).Bytes()})
}

// askName asks how the organisation is called: as the head says that it shows. What
// a relay makes of that, the organisation's signature brings to light.
func (c *Client) askName() {
	j := &c.joining
	j.asking = true
	to := j.way.contact
	if to == c.self {
		to = ""
	}
	session := c.session
	c.ask("get", to, stanza.ItemRequest(stanza.NodeHead, stanza.ItemCurrent), func(e *stanza.Element, err error) {
		if session != c.session {
			return // the next one asks anew
		}
		j.asking = false
		if j.way == nil || j.way.has() {
			return
		}
		name := ""
		if err == nil {
			name = organisationIn(e)
		}
		if name == "" {
			j.dueAt = time.Now().Add(nameAgain[min(j.tries, len(nameAgain)-1)])
			j.tries++
			c.joinTrouble(c.noName(err))
			return
		}
		c.joinTrouble("")
		if c.makeRequest(name) {
			j.tries = 0
			c.joinTick(time.Now())
			return
		}
		j.dueAt = time.Now().Add(nameAgain[len(nameAgain)-1])
	})
}

// organisationIn returns the name of an organisation in the answer to a request for its head.
func organisationIn(e *stanza.Element) string {
	note, err := stanza.ReadItemNote(e, stanza.NodeHead, stanza.ItemCurrent)
	if err != nil || note == nil {
		return ""
	}
	s, err := org.Peek(note)
	if err != nil || s.Kind != org.KindHead {
		return ""
	}
	return s.Organisation
}

// noName says why the organisation's name is not known yet.
func (c *Client) noName(err error) string {
	w := c.joining.way
	switch {
	case errors.Is(err, errOffline):
		return ""
	case err == nil || condition(err) == "item-not-found":
		return fmt.Sprintf("%s shows nothing yet. Tell the administrator: sotto org serve has to run once", w.contact)
	case passing(err):
		return fmt.Sprintf("%s cannot be reached now. It is tried again", w.contact)
	}
	return fmt.Sprintf("The relay does not show what %s says (%s). Tell the administrator", w.contact, describe(err))
}

// makeRequest makes the request, keeps it, and forgets what it was made with.
func (c *Client) makeRequest(organisation string) bool {
	var (
		request []byte
		next    way
	)
	ok := c.update("ask to join", func(tx *store.Tx, _ *effects) error {
		ticket, err := tx.Value(valueTicket)
		if err != nil {
			return err
		}
		defer clear(ticket)
		password, err := tx.Value(valuePassword)
		if err != nil {
			return err
		}
		defer clear(password)
		code, keys, err := invitation.ReadTicket(ticket)
		if err != nil {
			return err
		}
		defer code.Clear()
		defer keys.Destroy()
		signer, err := membership.DeviceKey(tx, c.device.ID())
		if err != nil {
			return err
		}
		device := directory.Device{ID: c.device.ID(), Fingerprint: c.device.Fingerprint(), Signing: signer.Public(), Added: time.Now().UTC().Truncate(time.Second)}
		var sent org.Hash
		if request, sent, err = keys.RequestWith(password, code, organisation, device, signer, c.device.SignIdentity); err != nil {
			return err
		}
		next = *c.joining.way
		next.asked = code.Asked(sent)
		return errors.Join(
			tx.SetValue(valueRequest, request), tx.SetValue(valueJoining, next.bytes()),
			tx.SetValue(valueTicket, nil), tx.SetValue(valuePassword, nil),
		)
	})
	if ok {
		c.joining.way, c.joining.request = &next, request
	}
	return ok
}

// joinStanza takes an answer of the organisation, or the relay's word that the
// request did not reach it. It reports whether the message is one of these.
func (c *Client) joinStanza(tx *store.Tx, fx *effects, e *stanza.Element, m *stanza.Message) (bool, error) {
	w := c.joining.way
	if w == nil || m.From.Bare().String() != w.contact {
		return false, nil
	}
	if m.Type == "error" {
		if e.Child(stanza.NSOrganisation, "join") == nil {
			return false, nil
		}
		fx.after = append(fx.after, func() {
			c.joinTrouble(fmt.Sprintf("%s cannot be reached now. It is tried again", w.contact))
		})
		return true, nil
	}
	note := stanza.ReadAnswer(e)
	if note == nil || !w.has() {
		return false, nil
	}
	a, err := w.asked.Answer(note)
	if err != nil {
		c.log.Warn("answer to the request to join refused", "err", err)
		if errors.Is(err, invitation.ErrOtherKey) {
			fx.after = append(fx.after, func() { c.joinTrouble(fmt.Sprintf("%v. Tell your administrator", err)) })
		}
		return true, nil
	}
	if a.Verdict == invitation.Welcome {
		return true, c.welcome(tx, fx, w, a)
	}
	next := *w
	next.verdict, next.left = a.Verdict, a.Left
	fx.after = append(fx.after, func() {
		c.joining.way = &next
		c.joinTrouble("")
	})
	return true, tx.SetValue(valueJoining, next.bytes())
}

// welcome makes the device a member.
func (c *Client) welcome(tx *store.Tx, fx *effects, w *way, a *invitation.Answer) error {
	member, err := membership.Join(tx, a.Anchor, w.contact, c.self, a.Issued)
	if err != nil {
		return err
	}
	for _, name := range []string{valueJoining, valueTicket, valuePassword, valueRequest} {
		if err := tx.SetValue(name, nil); err != nil {
			return err
		}
	}
	fx.after = append(fx.after, func() {
		c.joining.way, c.joining.request, c.joining.asking = nil, nil, false
		c.joinTrouble("")
		c.belongs(member)
		c.askOwnDevices() // which publishes this one
		c.notice("", "%s has taken this device in", member.Organisation())
	})
	return c.audit(tx, audit.Event{Kind: audit.Joined})
}

// joinTrouble notes what stands in the way, and shows how it stands.
func (c *Client) joinTrouble(words string) {
	c.joining.trouble = words
	c.showJoining()
}

// showJoining brings what screens see up to date.
func (c *Client) showJoining() {
	j := &c.joining
	now := Joining{CutOff: j.shown.CutOff}
	if w := j.way; w != nil {
		now = Joining{Organisation: lineOf("%s", w.organisation()), Contact: lineOf("%s", w.contact), Since: w.since, Verdict: w.verdict}
		now.Words = lineOf("%s", w.words(j.trouble))
	} else if now.CutOff {
		now.Words = lineOf("This device was not let in yet: joining was cut off. Quit, and run sotto join with your invitation and its one-time PIN again")
	}
	c.mu.Lock()
	changed := j.shown != now
	j.shown = now
	c.mu.Unlock()
	if changed {
		c.events.put(JoiningChanged{})
	}
}

// words say how it stands, in sentences without the last stop.
func (w *way) words(trouble string) string {
	const again = "Quit, and run sotto join with it and its one-time PIN: this device and this PIN stay as they are"
	switch w.verdict {
	case "":
		return cmp.Or(trouble, "If this takes longer, tell your administrator: sotto org approve lets it in, and sotto org serve does so by itself. You can leave; it goes on the next time")
	case invitation.WrongPIN:
		return fmt.Sprintf("The one-time PIN was wrong, and can be typed %s more. Quit, and run sotto join with your invitation again", times(w.left))
	case invitation.Used:
		return "This invitation was used already, by another device. If that was not you, tell your administrator at once. Else ask for another invitation. " + again
	case invitation.Expired:
		return "This invitation is too old. Ask your administrator for another one. " + again
	}
	return "This invitation is void, because of too many wrong PINs or because it was withdrawn. Ask your administrator for another one. " + again
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// errNotLetIn is the error of what a device does not do before it is let in.
var errNotLetIn = errors.New("this device was not let in by its organisation yet")

// In returns nil if the device may be used: why not, otherwise, for people.
func (c *Client) In() error {
	if j := c.Joining(); j.Active() {
		return fmt.Errorf("%w. %s", errNotLetIn, j.Words)
	}
	return nil
}
