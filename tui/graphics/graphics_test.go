package graphics

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/ansi/sixel"
)

// halves is an image whose left half is red and whose right half is blue.
func halves(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{0xff, 0, 0, 0xff}
			if x >= w/2 {
				c = color.RGBA{0, 0, 0xff, 0xff}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func noise(w, h int, seed uint64) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range img.Pix {
		img.Pix[i] = uint8(r.Uint32())
	}
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 0xff
	}
	return img
}

func TestWhatATerminalSaysIsAYesOrNothing(t *testing.T) {
	for _, c := range []struct {
		id      int
		payload string
		want    bool
	}{{31, "OK", true}, {31, "ENOTSUPPORTED", false}, {31, "", false}, {32, "OK", false}, {0, "OK", false}, {31, "OK\x1b]52;", false}} {
		if got := KnowsKitty(c.id, []byte(c.payload)); got != c.want {
			t.Errorf("%d, %q: %v", c.id, c.payload, got)
		}
	}
	for _, c := range []struct {
		attributes []int
		want       bool
	}{{[]int{62, 4, 22}, true}, {[]int{62, 22}, false}, {[]int{4}, false}, {nil, false}, {[]int{4, 6}, false}, {[]int{65, 1, 9, 4}, true}} {
		if got := KnowsSixel(c.attributes); got != c.want {
			t.Errorf("%v: %v", c.attributes, got)
		}
	}
}

func TestFitKeepsTheShape(t *testing.T) {
	for _, c := range []struct {
		w, h, cols, rows int
		cell             Cell
		wantC, wantR     int
	}{
		{100, 100, 80, 20, Cell{}, 40, 20},
		{400, 100, 80, 20, Cell{}, 80, 10},
		{1, 1000, 80, 20, Cell{}, 1, 20},
		{1000, 1, 80, 20, Cell{}, 80, 1},
		{100, 100, 80, 20, Cell{10, 10}, 20, 20},
		{100, 100, 80, 20, Cell{-1, 7000}, 40, 20},
		{0, 10, 80, 20, Cell{}, 0, 0},
		{10, 10, 0, 20, Cell{}, 0, 0},
	} {
		if gotC, gotR := Fit(c.w, c.h, c.cols, c.rows, c.cell); gotC != c.wantC || gotR != c.wantR {
			t.Errorf("%+v: %d x %d", c, gotC, gotR)
		}
	}
}

func TestPixelsAreBounded(t *testing.T) {
	for _, p := range []Protocol{Cells, Sixel, Kitty} {
		for _, cell := range []Cell{{}, {10, 20}, {128, 128}, {1 << 30, 1 << 30}} {
			w, h := p.Pixels(1000, 500, cell, false)
			if w < 1 || h < 1 || w*h > maxKitty {
				t.Errorf("%d, %v: %d x %d", p, cell, w, h)
			}
			if p == Sixel && (h%6 != 0 || cell.Known() && h > 500*cell.H) {
				t.Errorf("sixel: %d rows of pixels", h)
			}
		}
	}
	if w, h := Cells.Pixels(80, 20, Cell{9, 17}, false); w != 80 || h != 40 {
		t.Errorf("half-blocks: %d x %d", w, h)
	}
	if w, h := Cells.Pixels(80, 20, Cell{9, 17}, true); w != 80 || h != 20 {
		t.Errorf("shades: %d x %d", w, h)
	}
}

func TestHalfBlocks(t *testing.T) {
	img := halves(4, 3)
	for _, c := range []struct {
		name  string
		style Style
		want  []string
	}{
		{"true colour", Style{Profile: colorprofile.TrueColor}, []string{"38;2;255;0;0;48;2;255;0;0m▀▀", "38;2;0;0;255;48;2;0;0;255m▀▀"}},
		{"256", Style{Profile: colorprofile.ANSI256}, []string{"38;5;196;48;5;196m▀▀", "38;5;21;48;5;21m▀▀"}},
		{"16", Style{Profile: colorprofile.ANSI}, []string{"38;5;9;48;5;9m▀▀", "38;5;12;48;5;12m▀▀"}},
	} {
		got := c.style.Lines(img)
		if len(got) != 2 {
			t.Fatalf("%s: %d lines", c.name, len(got))
		}
		for _, want := range c.want {
			if !strings.Contains(got[0], want) {
				t.Errorf("%s: %q misses %q", c.name, got[0], want)
			}
		}
		for _, l := range got {
			if ansi.StringWidth(l) != 4 || !strings.HasSuffix(l, "\x1b[m") {
				t.Errorf("%s: %q", c.name, l)
			}
		}
	}
}

// A line thinner than a pixel is still seen.
func TestInkKeepsThinLines(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 8*Fine, 2*Fine))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	for y := range 2 * Fine {
		img.SetRGBA(9, y, color.RGBA{0, 0, 0, 0xff})
	}
	got := Ink(img)
	if got.Rect.Dx() != 8 || got.Rect.Dy() != 2 {
		t.Fatal(got.Rect)
	}
	if line, paper := got.RGBAAt(2, 1), got.RGBAAt(3, 1); line.R > 100 || paper.R != 0xff {
		t.Errorf("the line is %v on %v", line, paper)
	}
	if Ink(nil) != nil {
		t.Error("nothing became something")
	}
}

func TestShadesOfInk(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 4, 1))
	for x, v := range []uint8{0, 90, 170, 255} {
		img.SetRGBA(x, 0, color.RGBA{v, v, v, 0xff})
	}
	for _, s := range []Style{{Profile: colorprofile.ASCII, Dark: true}, {Profile: colorprofile.NoTTY, Dark: true}, {Profile: colorprofile.ANSI, ASCII: true, Dark: true}} {
		if got := s.Lines(img); len(got) != 1 || got[0] != " -*@" {
			t.Errorf("%+v: %q", s, got)
		}
		s.Dark = false
		if got := s.Lines(img); len(got) != 1 || got[0] != "@*- " {
			t.Errorf("%+v: %q", s, got)
		}
	}
	if (Style{}).Lines(nil) != nil || (Style{}).Lines(image.NewRGBA(image.Rectangle{})) != nil {
		t.Error("nothing was drawn as something")
	}
}

// parsed is what a kitty command holds.
var parsed = regexp.MustCompile(`^\x1b_G([a-zA-Z0-9=,]*)(?:;([A-Za-z0-9+/=]*))?\x1b\\`)

func TestKitty(t *testing.T) {
	for _, img := range []*image.RGBA{halves(8, 8), noise(300, 200, 1)} {
		d, err := Kitty.Draw(img, 4, 2, 40, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Parts {
			if len(p) > maxWrite {
				t.Errorf("a part of %d bytes", len(p))
			}
		}
		all := string(bytes.Join(d.Parts, nil))
		rest, ok := strings.CutPrefix(all, "\x1b7\x1b[3;5H")
		rest, ok2 := strings.CutSuffix(rest, "\x1b8")
		if !ok || !ok2 {
			t.Fatalf("it begins with %q", all[:20])
		}
		var data strings.Builder
		options := ""
		for rest != "" {
			m := parsed.FindStringSubmatch(rest)
			if m == nil {
				t.Fatalf("this is no command: %.80q", rest)
			}
			if options == "" {
				options = m[1]
			}
			data.WriteString(m[2])
			rest = rest[len(m[0]):]
		}
		for _, want := range []string{"a=T", "f=100", "i=5074", "c=40", "r=10", "C=1", "q=2"} {
			if !strings.Contains(","+options+",", ","+want+",") {
				t.Errorf("%s misses %s", options, want)
			}
		}
		raw, err := base64.StdEncoding.DecodeString(data.String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for y := range img.Rect.Dy() {
			for x := range img.Rect.Dx() {
				if color.RGBAModel.Convert(got.At(x, y)) != img.RGBAAt(x, y) {
					t.Fatalf("the pixel at %d, %d is another", x, y)
				}
			}
		}
		if string(d.Remove) != "\x1b_Gq=2,a=d,d=I,i=5074\x1b\\" || string(d.Cancel) != "\x18\x1b_Gq=2,m=0\x1b\\" {
			t.Errorf("%q, %q", d.Remove, d.Cancel)
		}
		for i := range d.Parts { // whatever the last part is, the terminal is outside of sequences
			if p := d.Parts[i]; i+1 < len(d.Parts) && !bytes.HasSuffix(p, []byte("\x1b\\")) {
				t.Errorf("part %d ends within a sequence: %q", i, p[len(p)-10:])
			}
		}
	}
}

var sixels = regexp.MustCompile(`^\x1b7\x1b\[3;5H\x1bP0;1q([-!-~]*)\x1b\\\x1b8$`)

func TestSixel(t *testing.T) {
	d, err := Sixel.Draw(halves(60, 48), 4, 2, 6, 3)
	if err != nil {
		t.Fatal(err)
	}
	m := sixels.FindSubmatch(bytes.Join(d.Parts, nil))
	if m == nil {
		t.Fatalf("%.200q", bytes.Join(d.Parts, nil))
	}
	if bytes.HasSuffix(m[1], []byte("-")) {
		t.Error("it ends with a new line, which may scroll the screen")
	}
	got, err := new(sixel.Decoder).Decode(bytes.NewReader(append(m[1], sixel.LineBreak))) // which it waits for
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []image.Point{{1, 1}, {58, 46}} {
		r, g, b, _ := got.At(p.X, p.Y).RGBA()
		if red := p.X < 30; red != (r > 0xf000) || red == (b > 0xf000) || g > 0xfff {
			t.Errorf("%v: %v", p, got.At(p.X, p.Y))
		}
	}
	if string(d.Cancel) != "\x18" || d.Remove != nil {
		t.Errorf("%q, %q", d.Cancel, d.Remove)
	}
}

// Whatever the pixels are, what goes to the terminal is numbers and base64.
func FuzzDraw(f *testing.F) {
	f.Add(uint64(1), 13, 7)
	f.Add(uint64(2), 1, 1)
	f.Fuzz(func(t *testing.T, seed uint64, w, h int) {
		img := noise(1+(w&63), 1+(h&63), seed)
		for _, p := range []Protocol{Sixel, Kitty} {
			d, err := p.Draw(img, 4, 2, 10, 10)
			if err != nil {
				t.Fatal(err)
			}
			all := bytes.Join(d.Parts, nil)
			if p == Sixel && !sixels.Match(all) {
				t.Fatalf("%q", all)
			}
			if p == Kitty {
				for rest := string(all[len("\x1b7\x1b[3;5H"):]); rest != "\x1b8"; {
					m := parsed.FindString(rest)
					if m == "" {
						t.Fatalf("%q", rest)
					}
					rest = rest[len(m):]
				}
			}
		}
		for _, profile := range []colorprofile.Profile{colorprofile.TrueColor, colorprofile.ANSI256, colorprofile.ANSI, colorprofile.ASCII} {
			for _, l := range (Style{Profile: profile}).Lines(img) {
				if ansi.StringWidth(l) != img.Rect.Dx() || strings.Trim(ansi.Strip(l), upper+ramp) != "" {
					t.Fatalf("%q", l)
				}
			}
		}
	})
}

func TestNoPlaceIsAnError(t *testing.T) {
	img := halves(4, 4)
	if _, err := Cells.Draw(img, 0, 0, 1, 1); err == nil {
		t.Error("characters")
	}
	if _, err := Kitty.Draw(nil, 0, 0, 1, 1); err == nil {
		t.Error("no image")
	}
	if _, err := Kitty.Draw(img, -1, 0, 1, 1); err == nil {
		t.Error("outside")
	}
}
