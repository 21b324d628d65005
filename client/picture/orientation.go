package picture

import (
	"encoding/binary"
	"image"
)

// orientation says how an image lies, in the numbers of EXIF (CIPA DC-008, tag 0x0112).
type orientation uint8

const (
	upright    orientation = 1
	mirrored   orientation = 2 // left and right
	upsideDown orientation = 3
	flipped    orientation = 4 // top and bottom
	transposed orientation = 5
	turnRight  orientation = 6 // is to be turned to the right, by a quarter
	transverse orientation = 7
	turnLeft   orientation = 8
)

// swaps reports whether width and height change places.
func (o orientation) swaps() bool { return o >= transposed }

// source maps a rectangle of the image as it is seen to one as it is stored, for
// a stored size of w and h pixels. Both begin at (0, 0).
func (o orientation) source(r image.Rectangle, w, h int) image.Rectangle {
	switch o {
	case mirrored:
		return image.Rect(w-r.Max.X, r.Min.Y, w-r.Min.X, r.Max.Y)
	case upsideDown:
		return image.Rect(w-r.Max.X, h-r.Max.Y, w-r.Min.X, h-r.Min.Y)
	case flipped:
		return image.Rect(r.Min.X, h-r.Max.Y, r.Max.X, h-r.Min.Y)
	case transposed:
		return image.Rect(r.Min.Y, r.Min.X, r.Max.Y, r.Max.X)
	case turnRight:
		return image.Rect(r.Min.Y, h-r.Max.X, r.Max.Y, h-r.Min.X)
	case transverse:
		return image.Rect(w-r.Max.Y, h-r.Max.X, w-r.Min.Y, h-r.Min.X)
	case turnLeft:
		return image.Rect(w-r.Max.Y, r.Min.X, w-r.Min.Y, r.Max.X)
	}
	return r
}

const (
	tagOrientation = 0x0112
	typeShort      = 3
	maxTags        = 512
)

// exifOrientation reads the one tag that is of use from an EXIF block, which is a
// TIFF file. What makes no sense there is taken for upright.
func exifOrientation(b []byte) orientation {
	if len(b) < 8 {
		return upright
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(b[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	at := uint64(order.Uint32(b[4:]))
	if at < 8 || at+2 > uint64(len(b)) {
		return upright
	}
	n := int(order.Uint16(b[at:]))
	b = b[at+2:]
	for range min(n, maxTags) {
		if len(b) < 12 {
			return upright
		}
		if order.Uint16(b) == tagOrientation && order.Uint16(b[2:]) == typeShort && order.Uint32(b[4:]) == 1 {
			if o := order.Uint16(b[8:]); o >= uint16(upright) && o <= uint16(turnLeft) {
				return orientation(o)
			}
			return upright
		}
		b = b[12:]
	}
	return upright
}
