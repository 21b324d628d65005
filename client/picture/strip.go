package picture

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"path"
	"strings"
)

// quality is that of the JPEGs made here, from 1 to 100.
const quality = 90

// Strip makes an image anew from nothing but its pixels, the right way up, and
// returns it with its format: a JPEG stays one, a PNG stays one, a GIF becomes a
// PNG of its first frame, and a WebP a JPEG, or a PNG if it was stored without loss
// or is transparent. No metadata survives, neither colours that a palette does not
// use, nor those under what is wholly transparent. Errors are those of Decode. What
// is no image (Sniff) is not for Strip: it returns ErrFormat.
func Strip(ctx context.Context, content []byte) ([]byte, Format, error) {
	p, err := Decode(ctx, content)
	if err != nil {
		return nil, "", err
	}
	format := PNG
	if p.Format == JPEG {
		format = JPEG
	} else if _, lossy := p.img.(*image.YCbCr); lossy {
		format = JPEG
	}
	img := p.upright()
	var out bytes.Buffer
	if format == JPEG {
		err = jpeg.Encode(&out, img, &jpeg.Options{Quality: quality})
	} else {
		err = png.Encode(&out, bare(img))
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, "", fmt.Errorf("take out what does not belong into the image: %w", err)
	}
	return out.Bytes(), format, nil
}

// Name gives a file name the ending of a format, unless it has one of it already.
func (f Format) Name(name string) string {
	ending := path.Ext(name)
	stem := strings.TrimSuffix(name, ending)
	switch lower := strings.ToLower(ending); {
	case f == JPEG && lower != ".jpg" && lower != ".jpeg":
		return withEnding(name, stem, lower, ".jpg")
	case f == PNG && lower != ".png":
		return withEnding(name, stem, lower, ".png")
	}
	return name
}

// withEnding replaces the ending of an image; another belongs to the name.
func withEnding(name, stem, lower, ending string) string {
	switch lower {
	case ".png", ".jpg", ".jpeg", ".gif", ".webp":
		return stem + ending
	}
	return name + ending
}

// upright is the image the right way up.
func (p *Picture) upright() image.Image {
	if p.turn == upright {
		if p.img.Bounds().Min == (image.Point{}) {
			return p.img
		}
	}
	w, h := p.Size()
	b := p.img.Bounds()
	at := func(x, y int) image.Point {
		return p.turn.source(image.Rect(x, y, x+1, y+1), b.Dx(), b.Dy()).Min.Add(b.Min)
	}
	area := image.Rect(0, 0, w, h)
	switch src := p.img.(type) {
	case *image.Gray:
		dst := image.NewGray(area)
		each(w, h, func(x, y int) { q := at(x, y); dst.SetGray(x, y, src.GrayAt(q.X, q.Y)) })
		return dst
	case *image.Paletted:
		dst := image.NewPaletted(area, src.Palette)
		each(w, h, func(x, y int) { q := at(x, y); dst.SetColorIndex(x, y, src.ColorIndexAt(q.X, q.Y)) })
		return dst
	case *image.YCbCr:
		dst := image.NewRGBA(area)
		each(w, h, func(x, y int) {
			q := at(x, y)
			c := src.YCbCrAt(q.X, q.Y)
			r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
			dst.SetRGBA(x, y, color.RGBA{r, g, b, 0xff})
		})
		return dst
	}
	var dst draw.Image
	switch p.img.ColorModel() {
	case color.Gray16Model:
		dst = image.NewGray16(area)
	case color.RGBA64Model, color.NRGBA64Model:
		dst = image.NewNRGBA64(area)
	default:
		dst = image.NewNRGBA(area)
	}
	each(w, h, func(x, y int) { q := at(x, y); dst.Set(x, y, p.img.At(q.X, q.Y)) })
	return dst
}

func each(w, h int, f func(x, y int)) {
	for y := range h {
		for x := range w {
			f(x, y)
		}
	}
}

// bare takes from an image for a PNG what nobody sees: colours that no pixel has,
// and those of wholly transparent pixels.
func bare(img image.Image) image.Image {
	switch src := img.(type) {
	case *image.Paletted:
		var used [256]bool
		for y := src.Rect.Min.Y; y < src.Rect.Max.Y; y++ {
			at := src.PixOffset(src.Rect.Min.X, y)
			for _, v := range src.Pix[at : at+src.Rect.Dx()] {
				used[v] = true
			}
		}
		clean := *src
		clean.Palette = make(color.Palette, len(src.Palette))
		for i, c := range src.Palette {
			if _, _, _, a := c.RGBA(); !used[i] || a == 0 {
				if c = color.Color(color.NRGBA{A: 0xff}); used[i] {
					c = color.NRGBA{}
				}
			}
			clean.Palette[i] = c
		}
		return &clean
	case *image.NRGBA:
		clean := *src
		clean.Pix = bytes.Clone(src.Pix)
		for px := clean.Pix; len(px) >= 4; px = px[4:] {
			if px[3] == 0 {
				clear(px[:3])
			}
		}
		return &clean
	case *image.NRGBA64:
		clean := *src
		clean.Pix = bytes.Clone(src.Pix)
		for px := clean.Pix; len(px) >= 8; px = px[8:] {
			if px[6] == 0 && px[7] == 0 {
				clear(px[:6])
			}
		}
		return &clean
	case *image.NYCbCrA: // of a WebP
		clean := image.NewNRGBA(image.Rect(0, 0, src.Rect.Dx(), src.Rect.Dy()))
		draw.Draw(clean, clean.Rect, src, src.Rect.Min, draw.Src)
		return bare(clean)
	}
	return img
}
