package graphics

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"sotto/client/picture"
)

// BenchmarkPhotograph is from the bytes of a JPEG of 12 megapixels to half-blocks
// in true colour for a screen of 80x24.
func BenchmarkPhotograph(b *testing.B) {
	src := image.NewYCbCr(image.Rect(0, 0, 4000, 3000), image.YCbCrSubsampleRatio420)
	for y := range 3000 {
		for x := range 4000 {
			src.Y[src.YOffset(x, y)] = uint8(x/16 + y/16 + x*y%13)
			c := src.COffset(x, y)
			src.Cb[c], src.Cr[c] = color.Gray{uint8(x / 16)}.Y, uint8(y/12)
		}
	}
	var content bytes.Buffer
	if err := jpeg.Encode(&content, src, nil); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(content.Len()))
	style := Style{Profile: colorprofile.TrueColor}
	for b.Loop() {
		p, err := picture.Decode(b.Context(), content.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		w, h := p.Size()
		cols, rows := Fit(w, h, 80, 20, Cell{})
		pw, ph := Cells.Pixels(cols, rows, Cell{}, false)
		if lines := style.Lines(Ink(p.Scale(b.Context(), image.Rect(0, 0, w, h), pw*Fine, ph*Fine))); len(lines) != rows {
			b.Fatalf("%d lines", len(lines))
		}
	}
}
