package picture

import (
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

//go:embed testdata/*.webp testdata/*.jpg
var files embed.FS

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := files.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// corners is an image of four quarters: red, green, blue and white, from the upper
// left corner by rows.
func corners(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{0xff, 0, 0, 0xff}
			switch {
			case x >= w/2 && y >= h/2:
				c = color.RGBA{0xff, 0xff, 0xff, 0xff}
			case x >= w/2:
				c = color.RGBA{0, 0xff, 0, 0xff}
			case y >= h/2:
				c = color.RGBA{0, 0, 0xff, 0xff}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func asJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asGIF(t testing.TB, frames ...*image.Paletted) []byte {
	t.Helper()
	var b bytes.Buffer
	g := &gif.GIF{Image: frames, Delay: make([]int, len(frames))}
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// segment is a segment of a JPEG.
func segment(marker byte, data string) []byte {
	b := []byte{0xff, marker}
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)+2))
	return append(b, data...)
}

// behind puts segments behind the start of a JPEG.
func behind(content []byte, segments ...[]byte) []byte {
	out := bytes.Clone(content[:2])
	for _, s := range segments {
		out = append(out, s...)
	}
	return append(out, content[2:]...)
}

// exif is an EXIF block with an orientation, and words behind it.
func exif(order binary.AppendByteOrder, o uint16, words string) string {
	head := "II*\x00"
	if order.String() == "BigEndian" {
		head = "MM\x00*"
	}
	b := order.AppendUint32([]byte(head), 8)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 0x010f) // maker, elsewhere
	b = order.AppendUint16(b, 2)
	b = order.AppendUint32(b, uint32(len(words)))
	b = order.AppendUint32(b, 38)
	b = order.AppendUint16(b, tagOrientation)
	b = order.AppendUint16(b, typeShort)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, o)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, 0)
	return string(b) + words
}

// chunk is a chunk of a PNG.
func chunk(name, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, name+data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// ends is where the header chunk of a PNG ends.
const ends = 8 + 12 + 13

func decode(t *testing.T, content []byte) *Picture {
	t.Helper()
	p, err := Decode(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// quarters are the colours of the four quarters, as far as they are pure.
func quarters(t *testing.T, p *Picture) string {
	t.Helper()
	w, h := p.Size()
	img := p.Scale(t.Context(), image.Rect(0, 0, w, h), 2, 2)
	if img == nil {
		t.Fatal("nothing was drawn")
	}
	s := ""
	for y := range 2 {
		for x := range 2 {
			c := img.RGBAAt(x, y)
			const low, high = 40, 215
			switch {
			case c.R > high && c.G < low && c.B < low:
				s += "r"
			case c.G > high && c.R < low && c.B < low:
				s += "g"
			case c.B > high && c.R < low && c.G < low:
				s += "b"
			case c.R > high && c.G > high && c.B > high:
				s += "w"
			default:
				s += "?"
			}
		}
	}
	return s
}

func TestFormatsAndTypesOfPixels(t *testing.T) {
	src := corners(64, 32)
	gray16, deep, pal := image.NewGray16(src.Rect), image.NewNRGBA64(src.Rect), image.NewPaletted(src.Rect, color.Palette{
		color.RGBA{0xff, 0, 0, 0xff}, color.RGBA{0, 0xff, 0, 0xff}, color.RGBA{0, 0, 0xff, 0xff}, color.RGBA{},
	})
	each(64, 32, func(x, y int) {
		gray16.Set(x, y, src.At(x, y))
		deep.Set(x, y, src.At(x, y))
		pal.Set(x, y, src.At(x, y))
		if x >= 32 && y >= 16 {
			pal.SetColorIndex(x, y, 3) // transparent: white as paper
		}
	})
	for _, c := range []struct {
		name    string
		content []byte
		format  Format
		want    string
	}{
		{"JPEG", asJPEG(t, src), JPEG, "rgbw"},
		{"PNG", asPNG(t, src), PNG, "rgbw"},
		{"PNG of 16 bits a channel", asPNG(t, deep), PNG, "rgbw"},
		{"PNG with a palette", asPNG(t, pal), PNG, "rgbw"},
		{"PNG in 16 bits of grey", asPNG(t, gray16), PNG, "???w"},
		{"GIF", asGIF(t, pal), GIF, "rgbw"},
	} {
		p := decode(t, c.content)
		if w, h := p.Size(); w != 64 || h != 32 || p.Format != c.format {
			t.Errorf("%s: %d x %d, %s", c.name, w, h, p.Format)
		}
		if got := quarters(t, p); got != c.want {
			t.Errorf("%s: the quarters are %s", c.name, got)
		}
	}
	for _, name := range []string{"lossy.webp", "lossless.webp", "progressive.jpg", "cmyk.jpg"} {
		p := decode(t, file(t, name))
		if w, h := p.Size(); w != 40 || h != 24 {
			t.Errorf("%s: %d x %d", name, w, h)
		}
		img := p.Scale(t.Context(), image.Rect(0, 0, 40, 24), 1, 24)
		top, bottom := img.RGBAAt(0, 0), img.RGBAAt(0, 23)
		if top.R < 200 || top.B > 60 || bottom.B < 200 || bottom.R > 60 { // a gradient from red to blue
			t.Errorf("%s: from %v to %v", name, top, bottom)
		}
	}
}

func TestEachOrientation(t *testing.T) {
	want := map[uint16]string{1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb", 0: "rgbw", 9: "rgbw"}
	plain, plainPNG := asJPEG(t, corners(64, 32)), asPNG(t, corners(64, 32))
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for o, want := range want {
			block := exif(order, o, "Camera")
			webp := append(file(t, "lossy.webp"), riff("EXIF", block)...)
			binary.LittleEndian.PutUint32(webp[4:], uint32(len(webp)-8))
			if p := decode(t, webp); int(p.turn) != int(o) && o >= 1 && o <= 8 {
				t.Errorf("WebP with orientation %d: %d", o, p.turn)
			}
			png := bytes.Join([][]byte{plainPNG[:ends], chunk("eXIf", block), plainPNG[ends:]}, nil)
			for name, content := range map[string][]byte{"JPEG": behind(plain, segment(0xe1, "Exif\x00\x00"+block)), "PNG": png} {
				p := decode(t, content)
				if got := quarters(t, p); got != want {
					t.Errorf("%s with orientation %d (%s): %s, want %s", name, o, order, got, want)
				}
				w, h := p.Size()
				if swapped := o >= 5 && o <= 8; swapped != (w == 32 && h == 64) {
					t.Errorf("%s with orientation %d: %d x %d", name, o, w, h)
				}
				clean, _, err := Strip(t.Context(), content)
				if err != nil {
					t.Fatal(err)
				}
				if q := decode(t, clean); q.turn != upright || quarters(t, q) != want {
					t.Errorf("%s with orientation %d is %s when it was made anew", name, o, quarters(t, q))
				}
			}
		}
	}
}

func riff(name, data string) []byte {
	b := append([]byte(name), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(data)))
	b = append(b, data...)
	if len(data)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

// claim changes the size that the header of a PNG claims.
func claim(content []byte, w, h uint32) []byte {
	b := bytes.Clone(content)
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestBombsAreRefusedByTheirHeader(t *testing.T) {
	small := asPNG(t, corners(8, 8))
	wide := asGIF(t, image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black, color.White}))
	binary.LittleEndian.PutUint16(wide[6:], 0xffff)
	binary.LittleEndian.PutUint16(wide[8:], 0xffff)
	frame := asJPEG(t, corners(8, 8))
	sof := bytes.Index(frame, []byte{0xff, 0xc0})
	tall := bytes.Clone(frame)
	binary.BigEndian.PutUint16(tall[sof+5:], 0xffff)
	binary.BigEndian.PutUint16(tall[sof+7:], 0xffff)
	slow := bytes.Clone(tall) // fewer pixels, but all coefficients are kept
	slow[sof+1] = 0xc2
	binary.BigEndian.PutUint16(slow[sof+5:], 6000)
	binary.BigEndian.PutUint16(slow[sof+7:], 6000)
	sos := bytes.Index(frame, []byte{0xff, 0xda})
	passes := bytes.Clone(frame[:len(frame)-2])
	for range maxScans {
		passes = append(passes, frame[sos:len(frame)-2]...)
	}
	for name, content := range map[string][]byte{
		"a PNG of 2^31 columns":     claim(small, 1<<31-1, 1),
		"a PNG of 10 gigapixels":    claim(small, 100_000, 100_000),
		"a PNG of 65 megapixels":    claim(small, 65_000, 1000),
		"a GIF of 4 gigapixels":     wide,
		"a JPEG of 4 gigapixels":    tall,
		"a progressive JPEG":        slow,
		"a JPEG of too many passes": passes,
		"a large file":              append(bytes.Clone(small), make([]byte, MaxBytes)...),
	} {
		if p, err := Decode(t.Context(), content); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if _, _, err := Strip(t.Context(), content); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s, made anew: %v", name, err)
		}
	}
}

func TestDamageAndStrangers(t *testing.T) {
	whole := asPNG(t, corners(64, 64))
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"nothing":        {nil, ErrFormat},
		"words":          {[]byte("Dear all,"), ErrFormat},
		"a PDF":          {[]byte("%PDF-1.7 "), ErrFormat},
		"an SVG":         {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), ErrFormat},
		"a TIFF":         {[]byte("II*\x00\x08\x00\x00\x00"), ErrFormat},
		"half a PNG":     {whole[:len(whole)/2], ErrDamaged},
		"a header":       {whole[:8], ErrDamaged},
		"an empty area":  {claim(whole, 0, 64), ErrDamaged},
		"half a WebP":    {file(t, "lossless.webp")[:30], ErrDamaged},
		"half a JPEG":    {file(t, "progressive.jpg")[:200], ErrDamaged},
		"only a RIFF":    {[]byte("RIFF\x04\x00\x00\x00WEBP"), ErrDamaged},
		"a JPEG's start": {[]byte("\xff\xd8\xff"), ErrDamaged},
	} {
		if p, err := Decode(t.Context(), c.content); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestDecodingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	content := asPNG(t, corners(64, 64))
	if _, err := Decode(ctx, content); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, _, err := Strip(ctx, content); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if img := decode(t, content).Scale(ctx, image.Rect(0, 0, 64, 64), 8, 8); img != nil {
		t.Error("it was drawn")
	}
}

// A decoder that panics is an error.
func TestAPanicIsFenced(t *testing.T) {
	if _, err := guarded(PNG, panicking{}); err == nil {
		t.Error("no error")
	}
	if _, err := guardedConfig(GIF, panicking{}); err == nil {
		t.Error("no error")
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("as if") }

func TestScaleTakesMeans(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 4, 2))
	copy(gray.Pix, []uint8{0, 100, 200, 200, 100, 200, 0, 0})
	p := decode(t, asPNG(t, gray))
	img := p.Scale(t.Context(), image.Rect(0, 0, 4, 2), 2, 1)
	if a, b := img.RGBAAt(0, 0).R, img.RGBAAt(1, 0).R; a != 100 || b != 100 {
		t.Errorf("%d, %d", a, b)
	}
	if img = p.Scale(t.Context(), image.Rect(2, 0, 4, 1), 4, 4); img.RGBAAt(3, 3).R != 200 {
		t.Errorf("a part, larger: %v", img.RGBAAt(3, 3))
	}
	for _, none := range []image.Rectangle{{}, image.Rect(4, 0, 9, 9), image.Rect(-5, -5, 0, 0)} {
		if p.Scale(t.Context(), none, 2, 2) != nil {
			t.Errorf("%v was drawn", none)
		}
	}
	if p.Scale(t.Context(), image.Rect(0, 0, 4, 2), 1<<30, 1<<30) != nil {
		t.Error("it drew beyond all bounds")
	}
}
