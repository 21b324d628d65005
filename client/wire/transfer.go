package wire

import (
	"sotto/internal/frame"
)

// Files move through the link as ciphertext, a chunk at a time. Whoever takes
// bytes in says how many more may come (Want), and no more than Window of them is
// ever under way: so neither side holds a file, and a message that is written
// after a chunk waits for nothing but that chunk. Each transfer has an ID that
// the desk chooses, and that is used once on a connection.
//
// An upload: Put, then from the link Begin, Want and Chunk in turn, and Ended. A
// download: Get, then from the link Begin, after which the desk says Want, the
// link sends Chunk, and in the end Ended. Cancel ends either at once and has no
// answer; what was under way may still come. When the desk goes, its transfers
// end. They need no stream to the relay, but the account of a Login.

// Bounds of transfers.
const (
	MaxChunk    = 64 << 10 // bytes of one Chunk
	Window      = 4 * MaxChunk
	MaxFile     = 1 << 30 // bytes of a file
	MaxURL      = 4096    // bytes
	MaxHeaders  = 16
	MaxHeader   = 4096 // bytes of a header field's value
	MaxType     = 127  // bytes of a media type
	MaxTransfer = 4    // at a time; further ones are refused
)

// Header is one HTTP header field of an upload slot (XEP-0363).
type Header struct{ Name, Value string }

// Put (desk to link) uploads a file to a slot.
type Put struct {
	ID      uint64
	URL     string // https, or http to the relay itself where that is reached by ws
	Type    string // media type to name; may be ""
	Size    uint64 // bytes of the whole file, at least 1
	Resume  bool   // a part may be there: ask, and go on behind it
	Headers []Header
}

// Get (desk to link) downloads a file from the byte From on.
type Get struct {
	ID    uint64
	URL   string // https; for the relay itself where that is reached by ws, http is used
	From  uint64 // what is here already
	Limit uint64 // bytes of the whole file, beyond which it is not taken
}

// Begin (link to desk) says where a transfer begins: an upload behind what the
// server has; a download at From, or at 0 where the server cannot go on.
type Begin struct {
	ID     uint64
	Offset uint64
	Size   uint64 // of a download: the bytes of the whole file, 0 if the server does not say
}

// Want (both ways) permits the other side to send chunks up to the byte Upto of
// the file. An upload has come as far as Upto is beyond Window.
type Want struct{ ID, Upto uint64 }

// Chunk (both ways) is what comes at the byte Offset of the file.
type Chunk struct {
	ID, Offset uint64
	Data       []byte // 1 to MaxChunk bytes
}

// Cancel (desk to link) ends a transfer.
type Cancel struct{ ID uint64 }

// Outcome is how a transfer ended.
type Outcome byte

// The outcomes.
const (
	Complete Outcome = iota // all of it was moved
	Broke                   // the network, or a server that is busy: trying again can help
	Rejected                // the server does not want it so: an upload needs another slot
	Missing                 // there is no such file, or not any more
	TooLarge                // a download is beyond its Limit, or an upload beyond the server's
	maxOutcome
)

// Ended (link to desk) is the last of a transfer.
type Ended struct {
	ID      uint64
	Outcome Outcome
	Words   string // one sentence for people, see Sentence; empty when Complete
}

const (
	tPut byte = iota + 32
	tGet
	tBegin
	tWant
	tChunk
	tCancel
	tEnded
)

func (m Put) encode() (byte, [][]byte) {
	f := [][]byte{frame.Uint64(m.ID), []byte(m.URL), []byte(m.Type), frame.Uint64(m.Size), flag(m.Resume)}
	for _, h := range m.Headers {
		f = append(f, []byte(h.Name), []byte(h.Value))
	}
	return tPut, f
}
func (m Get) encode() (byte, [][]byte) {
	return tGet, [][]byte{frame.Uint64(m.ID), []byte(m.URL), frame.Uint64(m.From), frame.Uint64(m.Limit)}
}
func (m Begin) encode() (byte, [][]byte) {
	return tBegin, [][]byte{frame.Uint64(m.ID), frame.Uint64(m.Offset), frame.Uint64(m.Size)}
}
func (m Want) encode() (byte, [][]byte) {
	return tWant, [][]byte{frame.Uint64(m.ID), frame.Uint64(m.Upto)}
}
func (m Chunk) encode() (byte, [][]byte) {
	return tChunk, [][]byte{frame.Uint64(m.ID), frame.Uint64(m.Offset), m.Data}
}
func (m Cancel) encode() (byte, [][]byte) { return tCancel, [][]byte{frame.Uint64(m.ID)} }
func (m Ended) encode() (byte, [][]byte) {
	return tEnded, [][]byte{frame.Uint64(m.ID), {byte(m.Outcome)}, []byte(m.Words)}
}

// transfer is decode for the messages of this file; nil if typ is none of them.
func (d *decoder) transfer(typ byte) Message {
	switch typ {
	case tPut:
		m := Put{ID: d.number(), URL: d.text(MaxURL), Type: d.text(MaxType), Size: d.offset(), Resume: d.flag()}
		d.bad = d.bad || m.Size == 0 || len(d.fields) > 2*MaxHeaders
		for !d.bad && len(d.fields) > 0 {
			m.Headers = append(m.Headers, Header{d.text(MaxHeader), d.text(MaxHeader)})
		}
		return m
	case tGet:
		return Get{d.number(), d.text(MaxURL), d.offset(), d.offset()}
	case tBegin:
		return Begin{d.number(), d.offset(), d.offset()}
	case tWant:
		return Want{d.number(), d.offset()}
	case tChunk:
		m := Chunk{d.number(), d.offset(), d.bytes(MaxChunk)}
		d.bad = d.bad || len(m.Data) == 0
		return m
	case tCancel:
		return Cancel{d.number()}
	case tEnded:
		return Ended{d.number(), d.outcome(), d.words()}
	}
	return nil
}

// offset takes a number of bytes in a file, or a little beyond its end.
func (d *decoder) offset() uint64 {
	n := d.number()
	if n > MaxFile+Window {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) outcome() Outcome {
	b := d.bytes(1)
	if len(b) != 1 || Outcome(b[0]) >= maxOutcome {
		d.bad = true
		return Broke
	}
	return Outcome(b[0])
}
