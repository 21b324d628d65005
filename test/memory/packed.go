package memory

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
)

// maxUnpacked bounds what one packed piece is unpacked to, in bytes.
const maxUnpacked = 8 << 20

// depth is how often what is packed may be packed again.
const depth = 3

// Unpacked looks in what lies packed in b, wherever in it that begins: gzip
// (RFC 1952) and zlib (RFC 1950), which is also how Erlang keeps large terms, and
// what is packed within. A piece that is cut off counts as far as it goes.
func (s *Search) Unpacked(place string, b []byte) []Hit { return s.unpacked(place, b, depth) }

func (s *Search) unpacked(place string, b []byte, depth int) (hits []Hit) {
	if depth == 0 {
		return nil
	}
	for at := 0; at+minPacked <= len(b); at++ {
		var name string
		var r io.Reader
		var err error
		switch {
		case b[at] == 0x1f && b[at+1] == 0x8b && b[at+2] == 8:
			name = "gzip"
			r, err = gzip.NewReader(bytes.NewReader(b[at:]))
		// Deflate with a window of up to 32 kB, no dictionary, and a header whose
		// two bytes are a multiple of 31.
		case b[at]&0x0f == 8 && b[at]>>4 <= 7 && b[at+1]&0x20 == 0 && (int(b[at])<<8|int(b[at+1]))%31 == 0:
			name = "zlib"
			if b[at+2]&6 == 6 { // no such kind of block
				continue
			}
			r, err = zlib.NewReader(bytes.NewReader(b[at:]))
		default:
			continue
		}
		if err != nil {
			continue
		}
		// An error at the end still leaves what came before it.
		piece, _ := io.ReadAll(io.LimitReader(r, maxUnpacked))
		if len(piece) < minCanary {
			continue
		}
		within := place + ", packed with " + name
		hits = append(hits, s.Bytes(within, piece)...)
		hits = append(hits, s.unpacked(within, piece, depth-1)...)
	}
	return hits
}

// minPacked is the least that anything is packed to, in bytes.
const minPacked = 8
