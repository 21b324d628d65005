package ward

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
)

// The paper of an ECG: a millimetre is 0.04 s wide and 0.1 mV high.
const (
	millimetre = 8 // pixels
	ecgW       = 150 * millimetre
	ecgH       = 60 * millimetre
)

// wave is a part of a heartbeat: a bell of a height in mV and a width in seconds,
// at a time after the beat began.
type wave struct{ at, height, width float64 }

// peaked is a beat as with too much potassium: flat P, broad QRS, tall narrow T.
var peaked = []wave{{0.12, 0.06, 0.03}, {0.26, -0.12, 0.012}, {0.29, 1.1, 0.016}, {0.325, -0.3, 0.016}, {0.56, 0.95, 0.034}}

// ECG draws a strip of an ECG, as a PNG. It is nobody's.
func ECG() []byte {
	paper := color.RGBA{0xff, 0xf4, 0xf2, 0xff}
	thin, thick, ink := color.RGBA{0xff, 0xd6, 0xd2, 0xff}, color.RGBA{0xf4, 0xa6, 0xa0, 0xff}, color.RGBA{0x10, 0x10, 0x18, 0xff}
	img := image.NewPaletted(image.Rect(0, 0, ecgW, ecgH), color.Palette{paper, thin, thick, ink})
	for y := range ecgH {
		for x := range ecgW {
			switch {
			case x%(5*millimetre) < 2 || y%(5*millimetre) < 2:
				img.SetColorIndex(x, y, 2)
			case x%millimetre == 0 || y%millimetre == 0:
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	at := func(x int) int { // how high the pen stands
		t := math.Mod(float64(x)/millimetre*0.04, 0.86)
		mv := 0.0
		for _, w := range peaked {
			d := (t - w.at) / w.width
			mv += w.height * math.Exp(-d*d/2)
		}
		return int(float64(ecgH)*0.62 - mv*10*millimetre*2)
	}
	last := at(0)
	for x := range ecgW {
		y := at(x)
		for v := min(y, last) - 1; v <= max(y, last)+1; v++ {
			img.SetColorIndex(x, v, 3)
			img.SetColorIndex(min(x+1, ecgW-1), v, 3)
		}
		last = y
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // never fails: it writes to memory
	return b.Bytes()
}
