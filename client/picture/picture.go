// Package picture reads images that somebody else sent, and takes out of images
// what their sender did not mean to send.
//
// PNG, JPEG, GIF (its first frame) and WebP are read. Every byte is hostile: the
// header is looked at first, and what would take too many pixels, too much memory
// or too many passes is refused before anything is decoded. Decoding ends with its
// context, and a decoder that panics is an error like any other.
//
// Strip makes an image anew from its pixels, so that nothing else is left of it:
// no place and time of the exposure, no thumbnail, no comment, no profile, nothing
// behind its end.
package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// Bounds of an image that is decoded.
const (
	// MaxBytes bounds the file.
	MaxBytes = 64 << 20
	// MaxSide bounds the width and the height, in pixels.
	MaxSide = 1<<16 - 1
	// MaxPixels bounds the area: more than the sensor of most telephones has.
	MaxPixels = 64_000_000
	// MaxMemory bounds what decoding takes at once, as far as the header tells.
	MaxMemory = 320 << 20
	// maxScans bounds the passes of a progressive JPEG, each of which goes over
	// the whole image. Encoders make about ten.
	maxScans = 64
	// maxSegments bounds the segments or chunks that are looked through.
	maxSegments = 1 << 16
)

// Errors that Decode and Strip return, beside those of a context.
var (
	// ErrFormat says that the content is no image of a kind that is read here.
	ErrFormat = errors.New("it is no image that can be shown: PNG, JPEG, GIF and WebP can")
	// ErrDamaged says that the image ends too early or contradicts itself.
	ErrDamaged = errors.New("the image is damaged")
	// ErrTooLarge says that the image takes more than is spent on one.
	ErrTooLarge = errors.New("the image is too large to be opened here")
)

// Format is the kind of an image, as its first bytes tell.
type Format string

// The formats, by their media types.
const (
	PNG  Format = "image/png"
	JPEG Format = "image/jpeg"
	GIF  Format = "image/gif"
	WebP Format = "image/webp"
)

// Sniff tells the format by the first bytes of a file; "" if it is none of them.
// It says nothing about the rest.
func Sniff(content []byte) Format {
	switch {
	case bytes.HasPrefix(content, []byte(pngMagic)):
		return PNG
	case bytes.HasPrefix(content, []byte("\xff\xd8\xff")):
		return JPEG
	case bytes.HasPrefix(content, []byte("GIF87a")), bytes.HasPrefix(content, []byte("GIF89a")):
		return GIF
	case len(content) >= 12 && string(content[:4]) == "RIFF" && string(content[8:12]) == "WEBP":
		return WebP
	}
	return ""
}

// Picture is a decoded image, the right way up. It is not changed any more, and
// may be used from several goroutines.
type Picture struct {
	Format Format
	img    image.Image
	turn   orientation
}

// Size returns the width and height in pixels, as a person sees it.
func (p *Picture) Size() (w, h int) {
	b := p.img.Bounds()
	if p.turn.swaps() {
		return b.Dy(), b.Dx()
	}
	return b.Dx(), b.Dy()
}

// Decode reads an image. Of one that moves it reads the first frame. It returns
// ErrFormat, ErrTooLarge or ErrDamaged, possibly wrapped, or the error of ctx,
// which it looks at every few bytes.
func Decode(ctx context.Context, content []byte) (*Picture, error) {
	if len(content) > MaxBytes {
		return nil, ErrTooLarge
	}
	h, err := survey(content)
	if err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	img, err := guarded(h.format, &reader{ctx: ctx, rest: content})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	// The frame of a GIF may be a part of its area.
	if b := img.Bounds(); b.Dx() <= 0 || b.Dy() <= 0 || b.Dx() > h.width || b.Dy() > h.height {
		return nil, fmt.Errorf("%w: its size is not what it says", ErrDamaged)
	}
	return &Picture{Format: h.format, img: img, turn: h.turn}, nil
}

// guarded decodes. The decoders are meant to return errors; those of the standard
// library have panicked all the same, and what a stranger sent must not end the
// process that holds a person's messages.
func guarded(f Format, r io.Reader) (img image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			img, err = nil, errors.New("its decoder gave up")
		}
	}()
	switch f {
	case PNG:
		return png.Decode(r)
	case JPEG:
		return jpeg.Decode(r)
	case GIF:
		return gif.Decode(r)
	}
	return webp.Decode(r)
}

// guardedConfig reads a header.
func guardedConfig(f Format, r io.Reader) (c image.Config, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("its decoder gave up")
		}
	}()
	switch f {
	case PNG:
		return png.DecodeConfig(r)
	case JPEG:
		return jpeg.DecodeConfig(r)
	case GIF:
		return gif.DecodeConfig(r)
	}
	return webp.DecodeConfig(r)
}

// sip is how many bytes a decoder gets at once: so few that a context is looked
// at between two passes of a progressive JPEG, which can be a few bytes long.
const sip = 64

// reader gives content in sips until its context ends.
type reader struct {
	ctx  context.Context
	rest []byte
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n := copy(p[:min(len(p), sip)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
