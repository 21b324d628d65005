// Package wire is what the desk and the link say to each other.
//
// The desk holds keys and text, the link holds the network; between them goes
// only what the link may see: the relay's address and credential, ciphertext
// stanzas, and how they fared. Messages travel as frames (package frame). Each
// side reads the other's as hostile: every length and number is checked, and a
// message that does not parse ends the connection.
//
// On every attach the desk speaks first, with Login. The link answers with
// State, then Pending, then a Settled for each stanza that was acknowledged
// while no desk was there, then every inbound stanza that no desk has reported
// Stored, in order, and once it is online the newest presence of everybody; then
// live traffic.
package wire

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sotto/client/text"
	"sotto/internal/frame"
)

// Bounds beyond those of a frame.
const (
	MaxAddress  = 3071      // bytes of a JID, RFC 7622 section 3.1
	MaxRelay    = 2048      // bytes of a relay URL
	MaxPassword = 1024      // bytes
	MaxCA       = 256 << 10 // bytes of PEM
	MaxID       = 255       // bytes of a stanza id
	MaxAllowed  = 32 << 10  // bytes of what an organisation says of relays
	ShortPin    = 12        // bytes of a key's digest that suffice, as an invitation has them
	MaxWords    = 1024      // bytes of a sentence
	MaxPending  = frame.MaxFields
)

// ErrMalformed is returned for a frame that is none of the messages here.
var ErrMalformed = errors.New("malformed message between desk and link")

// Message is one of the types of this package.
type Message interface{ encode() (byte, [][]byte) }

// Login (desk to link) says who to be and where. A link that is online as the
// same account keeps its stream.
type Login struct {
	Address  string // bare JID
	Relay    string // wss URL, or ws to loopback; empty: discover it (XEP-0156)
	Resource string // the resource to bind; empty: let the relay choose
	CA       []byte // PEM certificates to trust instead of the system's; may be empty
	Legacy   bool   // permit TLS 1.2 and SCRAM-SHA-1
	Password []byte // the link moves it to locked memory and clears this
	Next     []byte // a password that a change under way may have set already; may be empty

	// What an organisation says of relays, a line each; "" where it does not.
	Relays string // the only relays, as wss URLs
	Pins   string // one of these keys is in the relay's chain: SHA-256 of SubjectPublicKeyInfo, or its first ShortPin bytes, in base64
}

// Send (desk to link) is one stanza for the relay.
type Send struct {
	ID     string // the stanza's id, which Settled repeats
	Stanza []byte
	Clear  bool // is not sent: a password is in Stanza, which is cleared once it is written
}

// Stored (desk to link) says that every inbound stanza up to Seq is in the
// store, so that the link may acknowledge them to the relay (XEP-0198).
type Stored struct{ Seq uint64 }

// Logoff (desk to link) ends the stream and destroys the credential.
type Logoff struct{}

// Withdraw (desk to link) asks for a message stanza back that was not sent yet.
type Withdraw struct{ ID string }

// ChangePassword (desk to link) sets another password for the account (XEP-0077).
type ChangePassword struct{ Password []byte }

// Phase is what the link is doing.
type Phase byte

// The phases of a link.
const (
	Offline    Phase = iota // not connected, and not trying before RetryAt
	Connecting              // connecting or logging in
	Online
	Refused // not trying again until the next Login: Words say what to do
	maxPhase
)

// State (link to desk) says how the link stands, whenever that changes.
type State struct {
	Phase   Phase
	Address string        // full JID when Online
	Session uint64        // grows with every stream that did not resume an earlier one
	RTT     time.Duration // last round trip when Online; 0 if unknown
	Since   time.Time     // when this phase began, to the second
	RetryAt time.Time     // when Offline: the next attempt; else zero
	Words   string        // one sentence for people, see Sentence; empty when there is nothing to say

	// WrongPassword says, when Refused, that the relay did not accept the
	// password: another one may help, where nothing else is wrong.
	WrongPassword bool
}

// Inbound (link to desk) is one stanza from the relay. Seq grows; there can be
// gaps, of stanzas that no desk needs any more.
type Inbound struct {
	Seq    uint64
	Stanza []byte
}

// Pending (link to desk) lists the ids of stanzas that the link still holds and
// will send by itself.
type Pending struct{ IDs []string }

// Settled (link to desk) says that the relay has acknowledged a message stanza.
type Settled struct{ ID string }

// Withdrawn (link to desk) answers Withdraw. Back says that the link does not hold
// the stanza any more and that no part of it was ever sent.
type Withdrawn struct {
	ID   string
	Back bool
}

// PasswordChanged (link to desk) answers ChangePassword. Words are empty on success.
type PasswordChanged struct{ Words string }

const (
	tLogin byte = iota + 1
	tSend
	tStored
	tLogoff
	tChangePassword
	tState
	tInbound
	tPending
	tSettled
	tPasswordChanged
	tWithdraw
	tWithdrawn
)

func (m Login) encode() (byte, [][]byte) {
	return tLogin, [][]byte{[]byte(m.Address), []byte(m.Relay), []byte(m.Resource), m.CA, flag(m.Legacy), m.Password, m.Next, []byte(m.Relays), []byte(m.Pins)}
}
func (m Send) encode() (byte, [][]byte)   { return tSend, [][]byte{[]byte(m.ID), m.Stanza} }
func (m Stored) encode() (byte, [][]byte) { return tStored, [][]byte{frame.Uint64(m.Seq)} }
func (m Logoff) encode() (byte, [][]byte) { return tLogoff, nil }
func (m ChangePassword) encode() (byte, [][]byte) {
	return tChangePassword, [][]byte{m.Password}
}
func (m State) encode() (byte, [][]byte) {
	return tState, [][]byte{{byte(m.Phase)}, []byte(m.Address), frame.Uint64(m.Session), frame.Uint64(uint64(m.RTT)),
		instant(m.Since), instant(m.RetryAt), []byte(m.Words), flag(m.WrongPassword)}
}
func (m Inbound) encode() (byte, [][]byte) {
	return tInbound, [][]byte{frame.Uint64(m.Seq), m.Stanza}
}
func (m Pending) encode() (byte, [][]byte) {
	f := make([][]byte, len(m.IDs))
	for i, id := range m.IDs {
		f[i] = []byte(id)
	}
	return tPending, f
}
func (m Settled) encode() (byte, [][]byte) { return tSettled, [][]byte{[]byte(m.ID)} }
func (m PasswordChanged) encode() (byte, [][]byte) {
	return tPasswordChanged, [][]byte{[]byte(m.Words)}
}
func (m Withdraw) encode() (byte, [][]byte)  { return tWithdraw, [][]byte{[]byte(m.ID)} }
func (m Withdrawn) encode() (byte, [][]byte) { return tWithdrawn, [][]byte{[]byte(m.ID), flag(m.Back)} }

// Write sends m. It is safe for concurrent use.
func Write(c *frame.Conn, m Message) error {
	typ, fields := m.encode()
	if err := c.Write(typ, fields...); err != nil {
		return fmt.Errorf("write to the other role: %w", err)
	}
	return nil
}

// Read returns the next message. Byte slices in it belong to the caller. At the
// end of the connection it returns io.EOF as frame.Conn.Read does.
func Read(c *frame.Conn) (Message, error) {
	typ, fields, err := c.Read()
	if err != nil {
		return nil, err
	}
	return decode(typ, fields)
}

// decode turns the fields of a frame into a message.
func decode(typ byte, f [][]byte) (Message, error) {
	d := decoder{fields: f}
	var m Message
	switch typ {
	case tLogin:
		m = Login{Address: d.text(MaxAddress), Relay: d.text(MaxRelay), Resource: d.text(MaxAddress), CA: d.bytes(MaxCA),
			Legacy: d.flag(), Password: d.bytes(MaxPassword), Next: d.bytes(MaxPassword), Relays: d.text(MaxAllowed), Pins: d.text(MaxAllowed)}
	case tSend:
		m = Send{ID: d.text(MaxID), Stanza: d.bytes(frame.MaxFrame)}
	case tStored:
		m = Stored{d.number()}
	case tLogoff:
		m = Logoff{}
	case tChangePassword:
		m = ChangePassword{d.bytes(MaxPassword)}
	case tState:
		m = State{Phase: d.phase(), Address: d.text(MaxAddress), Session: d.number(), RTT: d.duration(),
			Since: d.instant(), RetryAt: d.instant(), Words: d.words(), WrongPassword: d.flag()}
	case tInbound:
		m = Inbound{d.number(), d.bytes(frame.MaxFrame)}
	case tPending:
		var p Pending
		for range f {
			p.IDs = append(p.IDs, d.text(MaxID))
		}
		m = p
	case tSettled:
		m = Settled{d.text(MaxID)}
	case tPasswordChanged:
		m = PasswordChanged{d.words()}
	case tWithdraw:
		m = Withdraw{d.text(MaxID)}
	case tWithdrawn:
		m = Withdrawn{d.text(MaxID), d.flag()}
	default:
		if m = d.transfer(typ); m == nil {
			m = d.organisation(typ)
		}
		if m == nil {
			m = d.call(typ)
		}
		if m == nil {
			return nil, fmt.Errorf("%w: type %d", ErrMalformed, typ)
		}
	}
	if d.bad || len(d.fields) != 0 {
		return nil, fmt.Errorf("%w: type %d", ErrMalformed, typ)
	}
	return m, nil
}

// decoder takes fields one by one and remembers whether one was wrong.
type decoder struct {
	fields [][]byte
	bad    bool
}

func (d *decoder) bytes(limit int) []byte {
	if len(d.fields) == 0 || len(d.fields[0]) > limit {
		d.bad = true
		return nil
	}
	b := d.fields[0]
	d.fields = d.fields[1:]
	return b
}

func (d *decoder) text(limit int) string {
	b := d.bytes(limit)
	if !utf8.Valid(b) {
		d.bad = true
		return ""
	}
	return string(b)
}

// words takes a sentence. What is in it may end up on a terminal, whoever wrote
// it: so it is made safe here, where it enters, and again by who shows it.
func (d *decoder) words() string { return Sentence(d.text(MaxWords)) }

// Sentence makes a text fit for a State or a PasswordChanged: one line without a
// character that could act on a terminal, of at most MaxWords bytes.
func Sentence(s string) string {
	s = text.Line(s).String()
	for n := MaxWords; len(s) > MaxWords; n -= 16 { // a cut can lay bare a character that has to be written out
		s = text.Line(strings.ToValidUTF8(s[:n], "")).String()
	}
	return s
}

func (d *decoder) number() uint64 {
	n, err := frame.ReadUint64(d.bytes(8))
	d.bad = d.bad || err != nil
	return n
}

func (d *decoder) duration() time.Duration {
	n := d.number()
	if n > uint64(time.Hour) {
		d.bad = true
		return 0
	}
	return time.Duration(n)
}

func (d *decoder) instant() time.Time {
	n := d.number()
	if n == 0 {
		return time.Time{}
	}
	if n > 1<<40 { // far beyond any year a terminal can show
		d.bad = true
		return time.Time{}
	}
	return time.Unix(int64(n), 0)
}

func (d *decoder) flag() bool {
	b := d.bytes(1)
	if len(b) != 1 || b[0] > 1 {
		d.bad = true
		return false
	}
	return b[0] == 1
}

func (d *decoder) phase() Phase {
	b := d.bytes(1)
	if len(b) != 1 || Phase(b[0]) >= maxPhase {
		d.bad = true
		return Offline
	}
	return Phase(b[0])
}

func flag(v bool) []byte {
	if v {
		return []byte{1}
	}
	return []byte{0}
}

func instant(t time.Time) []byte {
	if t.IsZero() || t.Unix() < 0 {
		return frame.Uint64(0)
	}
	return frame.Uint64(uint64(t.Unix()))
}
