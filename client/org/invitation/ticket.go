package invitation

import (
	"encoding/hex"
	"fmt"

	"github.com/awnumar/memguard"

	"sotto/client/org"
)

// MaxTicket bounds what Ticket returns, in bytes.
const MaxTicket = keysSize + maxCode

// Ticket returns all that a device needs to ask with: the keys and, behind them, the
// code. So the process that was told the PIN hands on what came of it, and no PIN.
// The caller destroys it.
func (k *Keys) Ticket(c Code) *memguard.LockedBuffer {
	code := c.Append(nil)
	defer clear(code)
	t := memguard.NewBuffer(keysSize + len(code))
	copy(t.Bytes(), k.all.Bytes())
	copy(t.Bytes()[keysSize:], code)
	return t
}

// ReadTicket reads what Ticket has made. It clears nothing of b. The caller clears
// the code and destroys the keys.
func ReadTicket(b []byte) (Code, *Keys, error) {
	if len(b) <= keysSize {
		return Code{}, nil, ErrCode
	}
	c, err := ParseCode(b[keysSize:])
	if err != nil {
		return Code{}, nil, fmt.Errorf("reading an invitation: %w", err)
	}
	k := &Keys{c.ID(), memguard.NewBuffer(keysSize)}
	k.all.Copy(b[:keysSize])
	return c, k, nil
}

// Asked is what a device remembers of a request that it has made, to know the
// answer. Nothing of it is secret.
type Asked struct {
	Invitation string   // id
	Request    org.Hash // what Request has returned
	print      [printSize]byte
}

// Asked returns what is to be remembered of a request.
func (c *Code) Asked(request org.Hash) Asked { return Asked{c.ID(), request, c.print} }

// Write writes it as lines.
func (a *Asked) Write(w *org.Writer) {
	w.Line("invitation", a.Invitation)
	w.Line("request", a.Request.String())
	w.Line("key", hex.EncodeToString(a.print[:]))
}

// ReadAsked reads what Write has written. What is no such thing the reader's Err tells.
func ReadAsked(r *org.Reader) (a Asked) {
	a.Invitation, a.Request = r.Line("invitation", 16), r.Hash("request")
	if b, err := hex.DecodeString(r.Line("key", 2*printSize)); err != nil || len(b) != printSize {
		r.Fail("this is no digest of a key")
	} else {
		copy(a.print[:], b)
	}
	return a
}

// Replaced reports whether a note is the word of the key that the code names that the
// organisation has another since: it will not let anybody in with that code.
func (a *Asked) Replaced(rotation []byte, organisation string) bool {
	r, err := org.OpenRotation(rotation)
	if err != nil || r.From.Name() != organisation {
		return false
	}
	digest := r.From.Fingerprint()
	return [printSize]byte(digest[:printSize]) == a.print
}

// Answer reads the answer to the request. The key it is signed with is in it, and
// the code said that it is the organisation's. Its name is to be shown to the person.
func (a *Asked) Answer(b []byte) (*Answer, error) {
	s, err := org.Peek(b)
	if err != nil {
		return nil, err
	}
	if s.Kind != org.KindAnswer {
		return nil, fmt.Errorf("%w of kind %s", org.ErrMalformed, org.KindAnswer)
	}
	got, err := parseAnswer(s)
	if err != nil {
		return nil, err
	}
	if digest := got.Anchor.Key.Fingerprint(); [printSize]byte(digest[:printSize]) != a.print {
		return nil, ErrOtherKey
	}
	if _, err := org.Open(b, org.KindAnswer, got.Anchor.Key.Name(), got.Anchor.Key); err != nil {
		return nil, err
	}
	if got.Request != a.Request || got.Invitation != a.Invitation {
		return nil, fmt.Errorf("%w: it answers another request", org.ErrSignature)
	}
	return got, nil
}
