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
// its one-time PIN, and hands over what came of them. The request is made of that at
// once, signed with the keys of this device, and only the request is kept: nothing that
// a relay says goes into it. It is sent in every session, and again from time to time,
// until the organisation has answered: whatever dies between, the next start goes on.
// Nothing of it waits for a person.

// The values in the store of a device on its way in.
const (
	valueJoining = "joining" // lines: see way
	valueRequest = "joining.request"

	// valueLimits is what the invitation says of relays, lines: see limits. It stays,
	// for as long as the policy is not here.
	valueLimits = "joining.limits"
)

// joinAgain is after how long a request is sent again that was not answered.
var joinAgain = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// maxKeyItems is how many changes of the organisation's key are looked at.
const maxKeyItems = 256

// Joining is how far this device is on its way into an organisation, fit for a
// screen. It is zero for a device that is not on its way.
type Joining struct {
	Organisation text.Safe // its name, as the invitation says it
	Contact      text.Safe // that account
	Since        time.Time // since when it is under way

	// Verdict is the organisation's answer, or Outdated; "" as long as there is none. It is
	// never Welcome: then the device has joined.
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
	organisation string
	contact      string
	since        time.Time
	asked        invitation.Asked
	verdict      invitation.Verdict
	left         uint64
}

func (w *way) bytes() []byte {
	var b org.Writer
	b.Line("organisation", w.organisation)
	b.Line("contact", w.contact)
	b.Time("since", w.since)
	w.asked.Write(&b)
	if w.verdict != "" {
		b.Line("verdict", string(w.verdict))
		b.Number("left", w.left)
	}
	return []byte(b.String())
}

func readWay(b []byte) (*way, error) {
	r := org.NewLines(string(b))
	w := &way{organisation: r.Line("organisation", org.MaxAddress), contact: r.Line("contact", org.MaxAddress), since: r.Time("since"), asked: invitation.ReadAsked(r)}
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
	look    bool      // it is to be seen whether the key that the code names is still in force
	trouble string    // in words; "" if there is none
	shown   Joining   // guarded by mu

	limits limits // until there is a policy
}

// limits are what an invitation says of relays, as wire.Login has it.
type limits struct{ relays, pins string }

func (l limits) bytes() []byte {
	if l == (limits{}) {
		return nil
	}
	var b org.Writer
	b.Optional("relay", l.relays)
	for pin := range strings.Lines(l.pins) {
		b.Line("pin", strings.TrimSuffix(pin, "\n"))
	}
	return []byte(b.String())
}

func readLimits(b []byte) (l limits, err error) {
	r := org.NewLines(string(b))
	l.relays = r.Optional("relay", org.MaxLine)
	var pins []string
	for r.Has("pin") {
		pins = append(pins, r.Line("pin", org.MaxLine))
	}
	l.pins = strings.Join(pins, "\n")
	return l, r.End()
}

// loginLimits returns what is known of the relays that may be connected to: from the
// policy, and before that has come from the invitation.
func (c *Client) loginLimits() limits {
	if c.Policy() == nil {
		return c.joining.limits
	}
	return limits{strings.Join(c.held.value("relays").List(), "\n"), strings.Join(c.held.value("relay-pins").List(), "\n")}
}

// beginJoining takes over what the gate has handed over, or what was there. It is
// called before Run.
func (c *Client) beginJoining(tx *store.Tx) error {
	c.joining = joining{}
	if t := c.cfg.Invitation; t != nil {
		if err := c.redeem(tx, t); err != nil {
			return err
		}
	}
	b, err := tx.Value(valueLimits)
	if err != nil {
		return err
	}
	if c.joining.limits, err = readLimits(b); err != nil {
		return fmt.Errorf("reading what the invitation says of relays: %w", err)
	}
	b, err = tx.Value(valueJoining)
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

// redeem makes the request of what came of a code and a PIN, and keeps it in the place
// of what was there of an earlier invitation.
func (c *Client) redeem(tx *store.Tx, ticket *memguard.LockedBuffer) error {
	code, keys, err := invitation.ReadTicket(ticket.Bytes())
	if err != nil {
		return err
	}
	defer code.Clear()
	defer keys.Destroy()
	if code.Address != c.self {
		return fmt.Errorf("the invitation is for %s, and this account is %s", code.Address, c.self)
	}
	var password []byte
	if a := &c.cfg.Account; a.Password != nil && a.Next == nil { // with two, it is not known which one counts
		password = a.Password.Bytes()
	}
	signer, err := membership.DeviceKey(tx, c.device.ID())
	if err != nil {
		return err
	}
	now := time.Now()
	device := directory.Device{ID: c.device.ID(), Fingerprint: c.device.Fingerprint(), Signing: signer.Public(), Added: now.UTC().Truncate(time.Second)}
	request, sent, err := keys.RequestWith(password, code, code.Organisation, device, signer, c.device.SignIdentity)
	if err != nil {
		return err
	}
	w := way{organisation: code.Organisation, contact: code.Contact, since: now, asked: code.Asked(sent)}
	var l limits
	l.relays, l.pins = code.Limits()
	return errors.Join(tx.SetValue(valueJoining, w.bytes()), tx.SetValue(valueRequest, request), tx.SetValue(valueLimits, l.bytes()))
}

// joinInSession goes on at once in a new session.
func (c *Client) joinInSession() {
	c.joining.tries, c.joining.dueAt, c.joining.look = 0, time.Time{}, false
	c.joinTick(time.Now())
}

// joinTick does the next step if it is due.
func (c *Client) joinTick(now time.Time) {
	j := &c.joining
	if j.way == nil || j.way.verdict != "" || !c.online {
		return
	}
	if j.look && c.archiveDone { // where an answer of before the change would be
		j.look = false
		c.lookForNewKey()
	}
	if now.Before(j.dueAt) {
		return
	}
	j.look = true
	j.dueAt = now.Add(joinAgain[min(j.tries, len(joinAgain)-1)])
	j.tries++
	id := newID()
	c.out.send(wire.Send{ID: id, Stanza: stanza.JoinRequest(j.way.contact, id, j.request).Bytes()})
}

// lookForNewKey looks whether the key that the code names has named another since. Then
// nobody answers: no answer would be believed. Only that key can say so, and a relay that
// holds it back gains what it gains by holding back the answer.
func (c *Client) lookForNewKey() {
	w := c.joining.way
	c.ask("get", w.contact, stanza.ItemsRequest(stanza.NodeKeys), func(e *stanza.Element, err error) {
		if err != nil || c.joining.way != w || w.verdict != "" {
			return
		}
		items, _ := stanza.ReadItems(e, stanza.NodeKeys)
		for _, item := range items[:min(len(items), maxKeyItems)] {
			note, err := stanza.ReadNote(item.Payload)
			if err != nil || !w.asked.Replaced(note, w.organisation) {
				continue
			}
			next := *w
			next.verdict = invitation.Outdated
			if c.update("keep that the invitation is void", func(tx *store.Tx, _ *effects) error {
				return tx.SetValue(valueJoining, next.bytes())
			}) {
				c.joining.way = &next
				c.joinTrouble("")
			}
			return
		}
	})
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
	if note == nil {
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
	for _, name := range []string{valueJoining, valueRequest} {
		if err := tx.SetValue(name, nil); err != nil {
			return err
		}
	}
	fx.after = append(fx.after, func() {
		c.joining.way, c.joining.request = nil, nil
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
		now = Joining{Organisation: lineOf("%s", w.organisation), Contact: lineOf("%s", w.contact), Since: w.since, Verdict: w.verdict}
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
	case invitation.Outdated:
		return "This invitation is from before your organisation changed its key. Ask for a new one. " + again
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
