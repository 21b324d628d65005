package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
)

// header is what is known of an image before it is decoded.
type header struct {
	format        Format
	width, height int // as stored, before it is turned
	pixel         int // bytes that decoding takes for a pixel, at most
	turn          orientation
}

// check holds an image to the bounds.
func (h header) check() error {
	switch {
	case h.width <= 0 || h.height <= 0:
		return fmt.Errorf("%w: it has no area", ErrDamaged)
	case h.width > MaxSide || h.height > MaxSide || h.width > MaxPixels/h.height:
		return fmt.Errorf("%w: it has %d x %d pixels", ErrTooLarge, h.width, h.height)
	case h.width*h.height > MaxMemory/h.pixel:
		return fmt.Errorf("%w: its %d x %d pixels take too much memory", ErrTooLarge, h.width, h.height)
	}
	return nil
}

// survey reads what an image says of itself.
func survey(content []byte) (header, error) {
	h := header{format: Sniff(content), turn: upright}
	if h.format == "" {
		return h, ErrFormat
	}
	c, err := guardedConfig(h.format, bytes.NewReader(content))
	if err != nil {
		return h, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	h.width, h.height = c.Width, c.Height
	h.pixel = depth(c)
	switch h.format {
	case JPEG:
		err = h.surveyJPEG(content)
	case PNG:
		h.surveyPNG(content)
	case WebP:
		h.pixel = 8 // lossless is decoded into one image after the other
		h.surveyWebP(content)
	}
	return h, err
}

// depth is how many bytes a pixel of a colour model takes.
func depth(c image.Config) int {
	switch c.ColorModel {
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	case color.Gray16Model:
		return 2
	case color.GrayModel:
		return 1
	}
	if _, ok := c.ColorModel.(color.Palette); ok {
		return 1
	}
	return 4
}

// surveyJPEG walks the segments (ITU-T T.81, B.1.1.4): the passes are counted, the
// way up is read, and a progressive image, whose coefficients are all kept until
// its end, is weighed as that.
func (h *header) surveyJPEG(b []byte) error {
	scans, components := 0, 3
	for range maxSegments {
		i := bytes.IndexByte(b, 0xff)
		if i < 0 || i+1 >= len(b) {
			return nil
		}
		marker := b[i+1]
		b = b[i+1:] // a second 0xff is fill, and begins a marker itself
		if marker == 0xff {
			continue
		}
		b = b[1:]
		if marker == 0 || marker == 0x01 || marker >= 0xd0 && marker <= 0xd8 { // no segment
			continue
		}
		if marker == 0xd9 || len(b) < 2 { // the end
			return nil
		}
		n := int(binary.BigEndian.Uint16(b))
		if n < 2 || n > len(b) {
			return nil // the decoder will say so
		}
		segment := b[2:n]
		switch marker {
		case 0xda:
			if scans++; scans > maxScans {
				return fmt.Errorf("%w: it is made of too many passes", ErrTooLarge)
			}
		case 0xc0, 0xc1, 0xc2:
			if len(segment) > 5 {
				components = int(segment[5])
			}
			h.pixel = max(h.pixel, components)
			if marker == 0xc2 {
				h.pixel += 4 * components
			}
		case 0xe1:
			if rest, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok && h.turn == upright {
				h.turn = exifOrientation(rest)
			}
		}
		b = b[n:]
	}
	return fmt.Errorf("%w: it is made of too many parts", ErrTooLarge)
}

const pngMagic = "\x89PNG\r\n\x1a\n"

// surveyPNG looks for the way up (PNG 3rd edition, 11.3.4.7). Chunks of text are
// not decompressed: the decoder skips them.
func (h *header) surveyPNG(b []byte) {
	b = b[len(pngMagic):]
	for range maxSegments {
		if len(b) < 12 {
			return
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n)+12 > uint64(len(b)) {
			return
		}
		if string(b[4:8]) == "eXIf" {
			h.turn = exifOrientation(b[8 : 8+n])
			return
		}
		b = b[12+n:]
	}
}

// surveyWebP looks for the way up (RFC 9649, section 2.7.1.5).
func (h *header) surveyWebP(b []byte) {
	b = b[12:]
	for range maxSegments {
		if len(b) < 8 {
			return
		}
		n := uint64(binary.LittleEndian.Uint32(b[4:]))
		if n+8 > uint64(len(b)) {
			return
		}
		if string(b[:4]) == "EXIF" {
			h.turn = exifOrientation(bytes.TrimPrefix(b[8:8+n], []byte("Exif\x00\x00")))
			return
		}
		b = b[min(8+n+n&1, uint64(len(b))):]
	}
}
