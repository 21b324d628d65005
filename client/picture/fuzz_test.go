package picture

import (
	"context"
	"image"
	"image/color"
	"testing"
	"time"
)

func seeds(f *testing.F) {
	img := corners(16, 12)
	pal := image.NewPaletted(img.Rect, color.Palette{color.Black, color.White, color.Transparent})
	f.Add(asPNG(f, img))
	f.Add(asPNG(f, pal))
	f.Add(asJPEG(f, img))
	f.Add(asGIF(f, pal))
	for _, name := range []string{"lossy.webp", "lossless.webp", "progressive.jpg", "cmyk.jpg"} {
		f.Add(file(f, name))
	}
	f.Add([]byte("RIFF\x04\x00\x00\x00WEBP"))
}

// Whatever comes is an image that can be drawn and made anew, or an error.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if h, err := survey(content); err == nil && h.width*h.height > 1<<20 {
			t.Skip("it takes the fuzzer's time")
		}
		p, err := Decode(ctx, content)
		if err != nil {
			return
		}
		w, h := p.Size()
		if w <= 0 || h <= 0 || w > MaxSide || h > MaxSide || w*h > MaxPixels {
			t.Fatalf("%d x %d", w, h)
		}
		if img := p.Scale(ctx, image.Rect(0, 0, w, h), 7, 5); img == nil && ctx.Err() == nil {
			t.Fatal("it cannot be drawn")
		}
		p.Scale(ctx, image.Rect(w/3, h/3, w/2+1, h/2+1), 3, 9)
		clean, format, err := Strip(ctx, content)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			t.Fatal(err)
		}
		q, err := Decode(ctx, clean)
		if err != nil || q.Format != format {
			t.Fatalf("what was made anew: %v, %v", q, err)
		}
		if w2, h2 := q.Size(); w2 != w || h2 != h {
			t.Fatalf("%d x %d became %d x %d", w, h, w2, h2)
		}
	})
}

func FuzzOrientation(f *testing.F) {
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"))
	f.Add([]byte("MM\x00*\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := exifOrientation(b)
		if o < upright || o > turnLeft {
			t.Fatal(o)
		}
		area := image.Rect(0, 0, 30, 20)
		seen := area
		if o.swaps() {
			seen = image.Rect(0, 0, 20, 30)
		}
		if got := o.source(seen, 30, 20); got != area {
			t.Fatalf("%d: the whole is %v", o, got)
		}
	})
}
