package order

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
)

// Result is what became of an order on a device.
type Result string

// The results. A device acknowledges a wipe before it destroys its keys.
const (
	Obeyed  Result = "obeyed"
	Failed  Result = "failed"  // Words says why
	Nothing Result = "nothing" // there was nothing to do, as with a message that is not there
)

// MaxDelegation is how long a Delegation can hold.
const MaxDelegation = 7 * 24 * time.Hour

// Acknowledgement is a device's word about an order. It names the order by its
// digest and the device by address and number, so that it counts for no other.
type Acknowledgement struct {
	Order  uint64
	Hash   org.Hash // of the order
	Device Target   // with Person and Device
	Result Result
	At     time.Time // by the device's clock
	Words  string    // may be ""
}

// Acknowledge returns what a device says about an order.
func (o *Order) Acknowledge(self Self, result Result, at time.Time, words string) Acknowledgement {
	return Acknowledgement{o.Number, o.hash, Target{Person: self.Address, Device: self.Device}, result, at, words}
}

func (a *Acknowledgement) text(organisation string) string {
	w := org.NewWriter(org.KindAcknowledgement, organisation)
	w.Number("order", a.Order)
	w.Line("digest", a.Hash.String())
	w.Line("by", a.Device.String())
	w.Line("result", string(a.Result))
	w.Time("at", a.At)
	w.Optional("words", a.Words)
	return w.String()
}

// Sign returns the note. The signer is the key of the device, or the one that it
// has delegated to.
func (a *Acknowledgement) Sign(organisation string, signer note.Signer) ([]byte, error) {
	text := a.text(organisation)
	if _, err := parseAcknowledgement(&org.Statement{Text: text, Organisation: organisation}); err != nil {
		return nil, fmt.Errorf("signing an acknowledgement: %w", err)
	}
	return org.Seal(text, signer)
}

func parseAcknowledgement(s *org.Statement) (*Acknowledgement, error) {
	r := org.NewReader(s)
	a := &Acknowledgement{Order: r.Number("order"), Hash: r.Hash("digest")}
	a.Device = parseDevice(r, "by")
	a.Result, a.At, a.Words = Result(r.Line("result", 20)), r.Time("at"), r.Optional("words", maxReason)
	if a.Result != Obeyed && a.Result != Failed && a.Result != Nothing {
		r.Fail("there is no result %q", a.Result)
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return a, org.Same(s, a.text(s.Organisation))
}

func parseDevice(r *org.Reader, name string) Target {
	t, ok := parseTarget(r.Line(name, 1200))
	if !ok || t.Device == 0 {
		r.Fail("%s is no device", name)
	}
	return t
}

// OpenAcknowledgement reads an acknowledgement of an order by a device, which has
// this signing key in the directory. delegation is the note by which the device has
// let another key speak, or nil: that one is believed about orders that were issued
// before its time was over, whatever clock the acknowledgement is dated by.
func OpenAcknowledgement(b []byte, o *Order, organisation string, device Target, key org.Key, delegation []byte) (*Acknowledgement, error) {
	var until, from time.Time
	if delegation != nil {
		d, err := OpenDelegation(delegation, organisation, device, key)
		if err != nil {
			return nil, err
		}
		key, from, until = d.To, d.Issued, d.Expires
	}
	s, err := org.Open(b, org.KindAcknowledgement, organisation, key)
	if err != nil {
		return nil, err
	}
	a, err := parseAcknowledgement(s)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Device != device:
		return nil, fmt.Errorf("%w: it is by %s", org.ErrSignature, a.Device)
	case a.Hash != o.hash || a.Order != o.Number:
		return nil, fmt.Errorf("%w: it is about another order, %d", org.ErrSignature, a.Order)
	case delegation != nil && (a.At.After(until) || a.At.Before(from) || o.Issued.After(until)):
		return nil, fmt.Errorf("%w: the key that signed it could do so until %s", org.ErrSignature, org.FormatTime(until))
	}
	return a, nil
}

// Delegation lets another key acknowledge orders for a device for a while. While
// sotto is locked, nothing that runs has the device's key. So each link makes a key
// of its own, and the desk delegates to it when it attaches: no private key goes
// from one to the other. It is worth nothing but acknowledgements.
type Delegation struct {
	Device  Target
	To      org.Key // named as the device's own
	Issued  time.Time
	Expires time.Time
}

func (d *Delegation) text(organisation string) string {
	w := org.NewWriter(org.KindDelegation, organisation)
	w.Line("by", d.Device.String())
	w.Line("to", d.To.String())
	w.Time("issued", d.Issued)
	w.Time("expires", d.Expires)
	return w.String()
}

// Sign returns the note. The signer is the key of the device.
func (d *Delegation) Sign(organisation string, signer note.Signer) ([]byte, error) {
	text := d.text(organisation)
	if _, err := parseDelegation(&org.Statement{Text: text, Organisation: organisation}); err != nil {
		return nil, fmt.Errorf("signing a delegation: %w", err)
	}
	return org.Seal(text, signer)
}

func parseDelegation(s *org.Statement) (*Delegation, error) {
	r := org.NewReader(s)
	d := &Delegation{Device: parseDevice(r, "by"), To: r.Key("to"), Issued: r.Time("issued"), Expires: r.Time("expires")}
	if err := r.End(); err != nil {
		return nil, err
	}
	if life := d.Expires.Sub(d.Issued); life <= 0 || life > MaxDelegation || d.To.Name() != org.DeviceName(d.Device.Device) {
		return nil, fmt.Errorf("%w: a delegation for %v to %s", org.ErrMalformed, life, d.To.Name())
	}
	return d, org.Same(s, d.text(s.Organisation))
}

// OpenDelegation reads a delegation by a device, which has this signing key.
func OpenDelegation(b []byte, organisation string, device Target, key org.Key) (*Delegation, error) {
	s, err := org.Open(b, org.KindDelegation, organisation, key)
	if err != nil {
		return nil, err
	}
	d, err := parseDelegation(s)
	if err != nil {
		return nil, err
	}
	if d.Device != device {
		return nil, fmt.Errorf("%w: it is by %s", org.ErrSignature, d.Device)
	}
	return d, nil
}
