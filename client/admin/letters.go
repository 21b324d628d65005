package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
	"sotto/client/store"
)

// Happening is something that a letter has led to.
type Happening struct {
	Address string // whose device it was
	Name    string
	Device  uint32             // 0 where it is not known
	Verdict invitation.Verdict // of a request; else ""
	Left    uint64             // attempts, of a wrong PIN
	Order   uint64             // of an acknowledgement; else 0
	Result  order.Result
	Words   string // of the device
	Refused error  // why nothing came of it, and there is no answer
}

func (h Happening) String() string {
	switch who := h.Name + " (" + h.Address + ")"; {
	case h.Refused != nil:
		return fmt.Sprintf("from %s, not answered: %v", h.Address, h.Refused)
	case h.Order != 0:
		said := string(h.Result) + " by"
		if h.Result == order.Nothing {
			said = "nothing to do for"
		}
		s := fmt.Sprintf("order %d: %s device %d of %s", h.Order, said, h.Device, who)
		if h.Words != "" {
			s += ": " + h.Words
		}
		return s
	case h.Verdict == invitation.Welcome:
		return fmt.Sprintf("%s has joined with device %d", who, h.Device)
	case h.Verdict == invitation.WrongPIN:
		return fmt.Sprintf("%s has given a wrong one-time PIN: %d attempts left", who, h.Left)
	case h.Verdict == invitation.Used:
		return fmt.Sprintf("somebody has tried to join as %s with an invitation that was used: if it was not the person, look who has the code and the PIN", who)
	case h.Verdict == invitation.Expired:
		return fmt.Sprintf("%s came with an invitation that has expired", who)
	default:
		return fmt.Sprintf("%s came with an invitation that is void", who)
	}
}

// readOut is how many letters are taken at a time.
const readOut = 64

// TakeLetters deals with what has come, each letter in a transaction: a device is
// let in and its answer kept, an acknowledgement is put to its order. It returns what
// came of it, an entry for each letter but those that were answered before.
func (o *Organisation) TakeLetters(ctx context.Context) (list []Happening, err error) {
	for {
		var letters []store.Letter
		err := o.st.View(ctx, func(tx *store.Tx) (err error) {
			letters, err = tx.Letters(readOut)
			return err
		})
		if err != nil || len(letters) == 0 {
			return list, err
		}
		for i := range letters {
			h, err := o.take(ctx, &letters[i])
			if err != nil {
				return list, err
			}
			if h != nil {
				list = append(list, *h)
			}
		}
	}
}

// refusal is the reason why a letter is thrown away.
type refusal struct{ error }

// take deals with one letter. An error means that it is still there.
func (o *Organisation) take(ctx context.Context, l *store.Letter) (h *Happening, err error) {
	err = o.change(ctx, "read what came", func(c *change) error {
		if l.Kind == store.LetterRequest {
			h, err = c.request(l)
		} else {
			h, err = c.acknowledgement(l)
		}
		if err != nil {
			return err
		}
		return c.RemoveLetter(l.ID)
	})
	if no, ok := errors.AsType[refusal](err); ok {
		h = &Happening{Address: l.Bare, Refused: no.error}
		err = o.st.Update(ctx, func(tx *store.Tx) error { return tx.RemoveLetter(l.ID) })
	}
	return h, err
}

// request answers a request to join.
func (c *change) request(l *store.Letter) (*Happening, error) {
	o := c.o
	s, err := org.Peek(l.Note)
	if err != nil {
		return nil, refusal{err}
	}
	hash := s.Hash()
	if old, err := c.ReplyTo(hash[:]); err != nil {
		return nil, err
	} else if old != nil { // the same again: it counts once, whoever plays it back
		return nil, c.PutReply(store.Reply{Request: hash[:], Sender: l.Sender, Note: old}, c.now)
	}
	r := org.NewReader(s)
	if r.Line("invitation", 16); r.Line("address", org.MaxAddress) != l.Bare || s.Kind != org.KindRequest {
		return nil, refusal{errors.New("it is about another address than the one that it comes from")}
	}
	c.touched = true
	a, err := o.book.Receive(l.Note, c.now)
	if err != nil {
		return nil, refusal{err}
	}
	h := &Happening{Address: a.Person.Address, Name: a.Person.Name, Device: a.Device.ID}
	if a.Answer.Verdict == invitation.Welcome {
		if err := c.admit(a); err != nil {
			return nil, err
		}
	}
	h.Verdict, h.Left = a.Answer.Verdict, a.Answer.Left
	note, err := a.Answer.Sign(o.key)
	if err != nil {
		return nil, err
	}
	if err := c.PutReply(store.Reply{Request: hash[:], Sender: l.Sender, Note: note}, c.now); err != nil {
		return nil, err
	}
	return h, c.keepBook()
}

// admit puts a device into the directory.
func (c *change) admit(a *invitation.Admission) error {
	if a.Again {
		e, ok := c.o.staff.Entry(a.Person.Address)
		if d := e.Device(a.Device.ID); !ok || d == nil || d.Fingerprint != a.Device.Fingerprint || d.Signing != a.Device.Signing {
			a.Answer.Verdict = invitation.Void // it was removed since
		}
		return nil
	}
	e := a.Entry(c.o.staff, c.now)
	if err := c.staffed(e); err != nil {
		return refusal{fmt.Errorf("device %d of %s cannot be put into the directory: %w", a.Device.ID, a.Person.Address, err)}
	}
	c.also = append(c.also, e.Address)
	if err := c.act(audit.Event{Reason: audit.Approved, Peer: audit.PersonOf(e.Address), Device: a.Device.ID}); err != nil {
		return err
	}
	return c.know(e.Address, &a.Device)
}

// acknowledgement keeps what a device says about an order.
func (c *change) acknowledgement(l *store.Letter) (*Happening, error) {
	s, err := org.Peek(l.Note)
	if err != nil {
		return nil, refusal{err}
	}
	b, err := c.Order(org.NewReader(s).Number("order"))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, refusal{errors.New("it is about no order of ours")}
	}
	o, err := c.o.openOrder(b)
	if err != nil {
		return nil, err
	}
	known, err := c.KnownDevices(l.Bare)
	if err != nil {
		return nil, err
	}
	var a *order.Acknowledgement
	err = errors.New("it is by no device that was ever in the directory")
	for _, d := range known {
		key, keyErr := org.ParseKey(d.Key)
		if keyErr != nil {
			return nil, keyErr
		}
		if a, err = order.OpenAcknowledgement(l.Note, o, c.o.name, order.Target{Person: d.Address, Device: d.ID}, key, l.Delegation); err == nil {
			break
		}
	}
	if err != nil {
		return nil, refusal{err}
	}
	heard := store.Heard{Order: o.Number, Address: a.Device.Person, Device: a.Device.Device, Result: string(a.Result), Words: a.Words, At: a.At, Came: c.now}
	before, err := c.HeardOf(o.Number)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(before, func(b store.Heard) bool {
		return b.Address == heard.Address && b.Device == heard.Device && (b.Result == string(order.Obeyed) || b.Result == heard.Result && b.Words == heard.Words)
	}) {
		return nil, c.PutHeard(heard) // devices say it again until they know that it came
	}
	name := ""
	if e, ok := c.o.staff.Entry(l.Bare); ok {
		name = e.Name
	}
	return &Happening{Address: l.Bare, Name: name, Device: heard.Device, Order: o.Number, Result: a.Result, Words: a.Words}, c.PutHeard(heard)
}

// Receive is what becomes of a request from an address, without a relay in between:
// the answer. It is for tests of those who ask.
func (o *Organisation) Receive(ctx context.Context, from string, request []byte) (answer []byte, err error) {
	s, err := org.Peek(request)
	if err != nil {
		return nil, err
	}
	hash := s.Hash()
	err = o.change(ctx, "answer", func(c *change) error {
		_, err := c.request(&store.Letter{Kind: store.LetterRequest, Sender: from, Bare: from, Note: request})
		return err
	})
	if err != nil {
		return nil, err
	}
	err = o.st.View(ctx, func(tx *store.Tx) (err error) {
		answer, err = tx.ReplyTo(hash[:])
		return err
	})
	return answer, err
}

// Hear takes an acknowledgement from an address, as Receive takes a request.
func (o *Organisation) Hear(ctx context.Context, from string, note, delegation []byte) (h *Happening, err error) {
	err = o.change(ctx, "take an acknowledgement", func(c *change) (err error) {
		h, err = c.acknowledgement(&store.Letter{Kind: store.LetterAcknowledgement, Sender: from, Bare: from, Note: note, Delegation: delegation})
		return err
	})
	return h, err
}
