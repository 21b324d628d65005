package relay

import "bytes"

// frame is an element on its way to a client. A stanza that goes to many people
// is written once and shared by all of them; the address of each is put in when
// it is sent.
type frame struct {
	data []byte // nobody changes it
	to   string // put in as "to"; empty where data has one or needs none
}

// size is what f counts against bounds.
func (f frame) size() int { return len(f.data) + len(f.to) }

// append appends f as it goes over the wire.
func (f frame) append(dst []byte) []byte {
	if f.to == "" {
		return append(dst, f.data...)
	}
	n := bytes.IndexAny(f.data, " />")
	dst = append(dst, f.data[:n]...)
	dst = append(dst, ` to="`...)
	for i := 0; i < len(f.to); i++ { // resources can hold anything
		switch f.to[i] {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		default:
			dst = append(dst, f.to[i])
		}
	}
	dst = append(dst, '"')
	return append(dst, f.data[n:]...)
}
