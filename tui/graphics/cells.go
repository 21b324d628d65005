package graphics

import (
	"image"
	"image/color"
	"image/draw"
	"strconv"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// upper is a character whose upper half has one colour and its lower another.
const upper = "▀"

// ramp goes from dark to light, on a dark background.
const ramp = " .:-=+*#%@"

// Style is how characters draw an image.
type Style struct {
	Profile colorprofile.Profile
	ASCII   bool // half-blocks are not at hand
	Dark    bool // the background is: where there are no colours, more ink is lighter
}

// inks reports whether the image is drawn without colours, in shades of ink: a
// pixel is a cell then.
func (s Style) inks() bool {
	return s.ASCII || s.Profile != colorprofile.TrueColor && s.Profile != colorprofile.ANSI256 && s.Profile != colorprofile.ANSI
}

// Shades reports whether a cell is one pixel and not two, see Protocol.Pixels.
func (s Style) Shades() bool { return s.inks() }

// Lines draws an image in characters: for each two rows of pixels, or with Shades
// for each, one line, with the sequences that colour it.
func (s Style) Lines(img *image.RGBA) []string {
	if img == nil || img.Rect.Empty() {
		return nil
	}
	if s.inks() {
		return s.shades(img)
	}
	sgr := s.colours(img)
	w, h := img.Rect.Dx(), img.Rect.Dy()
	lines := make([]string, 0, (h+1)/2)
	for y := 0; y < h; y += 2 {
		var b strings.Builder
		last := ""
		for x := range w {
			top := sgr(x, y)
			bottom := top
			if y+1 < h {
				bottom = sgr(x, y+1)
			}
			on := "\x1b[38;" + top + ";48;" + bottom + "m"
			if on != last {
				b.WriteString(on)
				last = on
			}
			b.WriteString(upper)
		}
		b.WriteString("\x1b[m")
		lines = append(lines, b.String())
	}
	return lines
}

// colours returns what gives a pixel its colour, after 38 or 48.
func (s Style) colours(img *image.RGBA) func(x, y int) string {
	if s.Profile == colorprofile.TrueColor {
		return func(x, y int) string {
			c := img.RGBAAt(x+img.Rect.Min.X, y+img.Rect.Min.Y)
			return "2;" + strconv.Itoa(int(c.R)) + ";" + strconv.Itoa(int(c.G)) + ";" + strconv.Itoa(int(c.B))
		}
	}
	first, last := 16, 255 // the cube and the greys: the same on every terminal
	if s.Profile == colorprofile.ANSI {
		first, last = 0, 15
	}
	var palette color.Palette
	for i := first; i <= last; i++ {
		palette = append(palette, ansi.IndexedColor(uint8(i)))
	}
	few := image.NewPaletted(img.Rect, palette)
	if s.Profile == colorprofile.ANSI { // with 240, the grain of mixing them hides more than it shows
		draw.FloydSteinberg.Draw(few, img.Rect, img, img.Rect.Min)
	} else {
		draw.Draw(few, img.Rect, img, img.Rect.Min, draw.Src)
	}
	return func(x, y int) string {
		return "5;" + strconv.Itoa(first+int(few.ColorIndexAt(x+img.Rect.Min.X, y+img.Rect.Min.Y)))
	}
}

// Fine is how many times finer an image is to be drawn for Ink, each way.
const Fine = 4

// Ink makes an image Fine times smaller each way, for characters: each pixel is the
// mean of what it stands for, and half way to its darkest, so that a line thinner
// than a pixel stays a line. Traces and writing are what is looked at here.
func Ink(img *image.RGBA) *image.RGBA {
	if img == nil {
		return nil
	}
	small := image.NewRGBA(image.Rect(0, 0, img.Rect.Dx()/Fine, img.Rect.Dy()/Fine))
	for y := range small.Rect.Dy() {
		for x := range small.Rect.Dx() {
			var r, g, b int
			darkest, least := color.RGBA{}, 1<<16
			for dy := range Fine {
				for dx := range Fine {
					c := img.RGBAAt(img.Rect.Min.X+x*Fine+dx, img.Rect.Min.Y+y*Fine+dy)
					r, g, b = r+int(c.R), g+int(c.G), b+int(c.B)
					if light := 2*int(c.R) + 5*int(c.G) + int(c.B); light < least {
						darkest, least = c, light
					}
				}
			}
			mix := func(sum int, dark uint8) uint8 { return uint8((sum/(Fine*Fine) + int(dark)) / 2) }
			small.SetRGBA(x, y, color.RGBA{mix(r, darkest.R), mix(g, darkest.G), mix(b, darkest.B), 0xff})
		}
	}
	return small
}

// shades draws an image in characters of more and less ink.
func (s Style) shades(img *image.RGBA) []string {
	lines := make([]string, 0, img.Rect.Dy())
	for y := img.Rect.Min.Y; y < img.Rect.Max.Y; y++ {
		var b strings.Builder
		for x := img.Rect.Min.X; x < img.Rect.Max.X; x++ {
			i := int(color.GrayModel.Convert(img.RGBAAt(x, y)).(color.Gray).Y) * len(ramp) / 256
			if !s.Dark {
				i = len(ramp) - 1 - i
			}
			b.WriteByte(ramp[i])
		}
		lines = append(lines, b.String())
	}
	return lines
}
