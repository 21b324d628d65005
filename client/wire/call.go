package wire

import "sotto/internal/frame"

// A call is one request over HTTPS to a program of the relay that the desk's own
// settings name: how an organisation has accounts made where its account is no admin
// (ejabberd's HTTP API). It is sent once, and nothing it is answered is followed.

// Bounds of a call.
const (
	MaxCall   = 16 << 10 // bytes of its body
	MaxSecret = 2 << 10  // bytes of its Authorization
	MaxReply  = 16 << 10 // bytes of the answer's body
	MaxCalls  = 4        // at a time; further ones are refused
)

// Call (desk to link) posts JSON. It needs the account of a Login, whose trust holds.
type Call struct {
	ID   uint64
	URL  string // https, or http to the relay itself where that is reached by ws
	Auth []byte // value of the header field Authorization; the link clears it
	Body []byte // JSON; the link clears it
}

// Called (link to desk) answers a Call.
type Called struct {
	ID     uint64
	Status uint64 // of HTTP; 0: there was no answer, and Words say why
	Body   []byte
	Words  string // one sentence for people, see Sentence
}

const (
	tCall byte = iota + 56
	tCalled
)

func (m Call) encode() (byte, [][]byte) {
	return tCall, [][]byte{frame.Uint64(m.ID), []byte(m.URL), m.Auth, m.Body}
}
func (m Called) encode() (byte, [][]byte) {
	return tCalled, [][]byte{frame.Uint64(m.ID), frame.Uint64(m.Status), m.Body, []byte(m.Words)}
}

// call is decode for the messages of this file; nil if typ is none of them.
func (d *decoder) call(typ byte) Message {
	switch typ {
	case tCall:
		return Call{d.number(), d.text(MaxURL), d.bytes(MaxSecret), d.bytes(MaxCall)}
	case tCalled:
		m := Called{d.number(), d.number(), d.bytes(MaxReply), d.words()}
		d.bad = d.bad || m.Status > 999
		return m
	}
	return nil
}
