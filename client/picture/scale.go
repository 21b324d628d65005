package picture

import (
	"context"
	"image"
	"image/color"
)

// Scale draws a part of the picture, in pixels of Size, into an image of w columns
// and h rows. A pixel of it is the mean of those that it stands for, so that thin
// lines grow fainter but do not vanish; one that is larger than those of the
// picture is like the one it lies in, and nothing is made up between them. What is
// transparent becomes white, as on paper. It returns nil if there is nothing to
// draw or ctx has ended.
func (p *Picture) Scale(ctx context.Context, part image.Rectangle, w, h int) *image.RGBA {
	pw, ph := p.Size()
	part = part.Intersect(image.Rect(0, 0, pw, ph))
	if part.Empty() || w <= 0 || h <= 0 || w > MaxPixels/h {
		return nil
	}
	b := p.img.Bounds()
	mean := meanOf(p.img)
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		if ctx.Err() != nil {
			return nil
		}
		y0, y1 := span(part.Min.Y, part.Dy(), y, h)
		for x := range w {
			x0, x1 := span(part.Min.X, part.Dx(), x, w)
			r := p.turn.source(image.Rect(x0, y0, x1, y1), b.Dx(), b.Dy())
			dst.SetRGBA(x, y, mean(r.Add(b.Min)))
		}
	}
	return dst
}

// span is where step i of n lies in size pixels from the first: at least one pixel.
func span(first, size, i, n int) (from, to int) {
	from, to = i*size/n, (i+1)*size/n
	if to <= from {
		to = from + 1
	}
	return first + from, first + min(to, size)
}

// meanOf returns what takes the mean of a part of an image, which must lie within
// it and not be empty.
func meanOf(img image.Image) func(image.Rectangle) color.RGBA {
	switch img := img.(type) {
	case *image.YCbCr:
		return func(r image.Rectangle) color.RGBA { return meanYCbCr(img, r) }
	case *image.Gray:
		return func(r image.Rectangle) color.RGBA { return meanGray(img, r) }
	case *image.RGBA: // what the decoder of PNG makes is opaque
		if img.Opaque() {
			return func(r image.Rectangle) color.RGBA { return meanRGBA(img, r) }
		}
	case *image.Paletted:
		return func(r image.Rectangle) color.RGBA { return meanPaletted(img, r) }
	}
	return func(r image.Rectangle) color.RGBA { return meanAny(img, r) }
}

// sums adds up the pixels of a part, 8 bits a channel.
type sums struct{ r, g, b, n uint64 }

func (s *sums) mean() color.RGBA {
	half := s.n / 2
	return color.RGBA{uint8((s.r + half) / s.n), uint8((s.g + half) / s.n), uint8((s.b + half) / s.n), 0xff}
}

// meanYCbCr takes the mean of each channel and then the colour: an image of a
// camera has many pixels, and this is done for each.
func meanYCbCr(img *image.YCbCr, r image.Rectangle) color.RGBA {
	var luma uint64
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := img.YOffset(r.Min.X, y)
		for _, v := range img.Y[at : at+r.Dx()] {
			luma += uint64(v)
		}
	}
	area := uint64(r.Dx() * r.Dy())
	// The colour is stored more coarsely: its samples from the first to the last.
	first, last := img.COffset(r.Min.X, r.Min.Y), img.COffset(r.Max.X-1, r.Min.Y)
	rows := (img.COffset(r.Min.X, r.Max.Y-1)-first)/img.CStride + 1
	var cb, cr uint64
	for row := range rows {
		from, to := first+row*img.CStride, last+row*img.CStride+1
		for _, v := range img.Cb[from:to] {
			cb += uint64(v)
		}
		for _, v := range img.Cr[from:to] {
			cr += uint64(v)
		}
	}
	n := uint64((last - first + 1) * rows)
	red, green, blue := color.YCbCrToRGB(uint8((luma+area/2)/area), uint8((cb+n/2)/n), uint8((cr+n/2)/n))
	return color.RGBA{red, green, blue, 0xff}
}

func meanGray(img *image.Gray, r image.Rectangle) color.RGBA {
	s := sums{n: uint64(r.Dx() * r.Dy())}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := img.PixOffset(r.Min.X, y)
		for _, v := range img.Pix[at : at+r.Dx()] {
			s.r += uint64(v)
		}
	}
	s.g, s.b = s.r, s.r
	return s.mean()
}

func meanRGBA(img *image.RGBA, r image.Rectangle) color.RGBA {
	s := sums{n: uint64(r.Dx() * r.Dy())}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := img.PixOffset(r.Min.X, y)
		for px := img.Pix[at : at+4*r.Dx()]; len(px) >= 4; px = px[4:] {
			s.r += uint64(px[0])
			s.g += uint64(px[1])
			s.b += uint64(px[2])
		}
	}
	return s.mean()
}

func meanPaletted(img *image.Paletted, r image.Rectangle) color.RGBA {
	s := sums{n: uint64(r.Dx() * r.Dy())}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := img.PixOffset(r.Min.X, y)
		for _, v := range img.Pix[at : at+r.Dx()] {
			if int(v) < len(img.Palette) {
				s.add(img.Palette[v])
			}
		}
	}
	return s.mean()
}

func meanAny(img image.Image, r image.Rectangle) color.RGBA {
	s := sums{n: uint64(r.Dx() * r.Dy())}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			s.add(img.At(x, y))
		}
	}
	return s.mean()
}

// add adds a colour, on white.
func (s *sums) add(c color.Color) {
	r, g, b, a := c.RGBA()
	paper := 0xffff - a
	s.r += uint64((r + paper) >> 8)
	s.g += uint64((g + paper) >> 8)
	s.b += uint64((b + paper) >> 8)
}
