package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"strings"
	"testing"
)

// canary is a word that stands wherever a format has room for some.
func canary(where string) string { return "CANARY-" + where }

func TestNothingButPixelsSurvives(t *testing.T) {
	src := corners(64, 32)
	pal := image.NewPaletted(src.Rect, color.Palette{color.RGBA{0xff, 0, 0, 0xff}, color.RGBA{0, 0xff, 0, 0xff}, color.RGBA{0, 0, 0xff, 0xff}, color.White})
	each(64, 32, func(x, y int) { pal.Set(x, y, src.At(x, y)) })
	words := func(where string) string { return canary(where) + strings.Repeat(" ", 40) }

	var segments [][]byte
	for marker := 0xe0; marker <= 0xef; marker++ {
		segments = append(segments, segment(byte(marker), words(fmt.Sprintf("APP%d", marker-0xe0))))
	}
	thumb := asJPEG(t, corners(16, 16))
	segments = append(segments,
		segment(0xe0, "JFXX\x00\x10"+words("JFXX")+string(thumb)),
		segment(0xe1, "Exif\x00\x00"+exif(binary.LittleEndian, 1, words("EXIF")+string(thumb))),
		segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00"+words("XMP")),
		segment(0xe2, "ICC_PROFILE\x00\x01\x01"+words("ICC")),
		segment(0xe2, "MPF\x00"+words("MPF")),
		segment(0xed, "Photoshop 3.0\x008BIM"+words("IPTC")),
		segment(0xfe, words("COM")))
	jpg := behind(asJPEG(t, src), segments...)
	late := bytes.LastIndex(jpg, []byte{0xff, 0xda})
	jpg = bytes.Join([][]byte{jpg[:late], segment(0xfe, words("COM before the scan")), jpg[late:], []byte(words("after the end"))}, nil)

	png := asPNG(t, src)
	head, rest := png[:ends], png[ends:]
	body, end := rest[:len(rest)-12], rest[len(rest)-12:]
	png = bytes.Join([][]byte{
		head,
		chunk("tEXt", "Comment\x00"+words("tEXt")),
		chunk("iTXt", "XML:com.adobe.xmp\x00\x00\x00\x00\x00"+words("iTXt")),
		chunk("zTXt", "Comment\x00\x00"+words("zTXt")),
		chunk("eXIf", exif(binary.BigEndian, 1, words("eXIf"))),
		chunk("iCCP", "name\x00\x00"+words("iCCP")),
		chunk("tIME", words("tIME")[:7]),
		chunk("sPLT", words("sPLT")),
		chunk("caNv", words("caNv")),
		body,
		chunk("prVt", words("behind the pixels")),
		end,
		[]byte(words("after the end")),
	}, nil)

	gif := asGIF(t, pal, pal)
	ext := func(kind byte, blocks ...string) []byte {
		b := []byte{0x21, kind}
		for _, s := range blocks {
			b = append(append(b, byte(len(s))), s...)
		}
		return append(b, 0)
	}
	at := bytes.IndexByte(gif[13:], 0x21) + 13 // the first extension
	gif = bytes.Join([][]byte{
		gif[:at], ext(0xfe, words("GIF comment")), ext(0xff, "XMP DataXMP", words("GIF application")), gif[at : len(gif)-1],
		ext(0xfe, words("GIF late")), {0x3b}, []byte(words("after the end")),
	}, nil)

	webp := bytes.Join([][]byte{file(t, "lossy.webp"), riff("EXIF", words("WebP EXIF")), riff("XMP ", words("WebP XMP")), riff("cana", words("WebP"))}, nil)
	binary.LittleEndian.PutUint32(webp[4:], uint32(len(webp)-8))
	webp = append(webp, words("after the end")...)

	for name, c := range map[string]struct {
		content  []byte
		format   Format
		canaries int
		size     int
	}{
		"JPEG": {jpg, JPEG, 25, 3000},
		"PNG":  {png, PNG, 9, 600},
		"GIF":  {gif, PNG, 4, 600},
		"WebP": {webp, JPEG, 4, 1500},
	} {
		if n := bytes.Count(c.content, []byte("CANARY")); n < c.canaries {
			t.Fatalf("%s: %d canaries to begin with", name, n)
		}
		decode(t, c.content) // it can be shown with all of them
		clean, format, err := Strip(t.Context(), c.content)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if format != c.format || Sniff(clean) != c.format {
			t.Errorf("%s became %s (%s)", name, format, Sniff(clean))
		}
		for i := 0; i+3 <= len(clean); i++ {
			if s := string(clean[i : i+3]); s == "CAN" || s == "NAR" || s == "ARY" {
				t.Errorf("%s: something of a canary is left: %q", name, clean[max(0, i-8):min(i+16, len(clean))])
			}
		}
		if len(clean) > c.size {
			t.Errorf("%s: %d bytes", name, len(clean))
		}
		if name != "WebP" {
			if got := quarters(t, decode(t, clean)); got != "rgbw" {
				t.Errorf("%s: the quarters are %s", name, got)
			}
		}
		for _, s := range parts(t, clean, format) {
			if !strings.Contains(" IHDR PLTE tRNS IDAT IEND db c0 c4 da ", " "+s+" ") {
				t.Errorf("%s has a part %s", name, s)
			}
		}
	}
}

// parts names the chunks or segments of what Strip made, to its end.
func parts(t *testing.T, b []byte, f Format) (names []string) {
	t.Helper()
	if f == PNG {
		for b = b[8:]; len(b) >= 12; {
			n := binary.BigEndian.Uint32(b)
			names = append(names, string(b[4:8]))
			b = b[12+n:]
		}
	} else {
		for b = b[2:]; len(b) >= 4 && b[0] == 0xff; {
			names = append(names, fmt.Sprintf("%02x", b[1]))
			n := int(binary.BigEndian.Uint16(b[2:])) + 2
			if b[1] == 0xda {
				n = bytes.Index(b, []byte{0xff, 0xd9}) + 2 // the end
			}
			b = b[n:]
		}
	}
	if len(b) != 0 || len(names) < 3 {
		t.Errorf("%d bytes behind %v", len(b), names)
	}
	return names
}

// What is covered by making it transparent, and what a palette holds besides, is
// not sent either.
func TestHiddenColoursDoNotSurvive(t *testing.T) {
	hidden := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	each(8, 8, func(x, y int) { hidden.SetNRGBA(x, y, color.NRGBA{0xde, 0xad, 0xbe, 0}) })
	hidden.SetNRGBA(0, 0, color.NRGBA{1, 2, 3, 0xff})
	deep := image.NewNRGBA64(image.Rect(0, 0, 8, 8))
	each(8, 8, func(x, y int) { deep.SetNRGBA64(x, y, color.NRGBA64{0xdead, 0xbeef, 0xdead, 0}) })
	deep.SetNRGBA64(0, 0, color.NRGBA64{1, 2, 3, 0xffff})
	pal := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{
		color.NRGBA{10, 20, 30, 0xff}, color.NRGBA{0xde, 0xad, 0xbe, 0xff}, color.NRGBA{0xca, 0xfe, 0xba, 0},
	})
	pal.SetColorIndex(3, 3, 2)
	for name, content := range map[string][]byte{"8 bits": asPNG(t, hidden), "16 bits": asPNG(t, deep), "palette": asPNG(t, pal)} {
		clean, _, err := Strip(t.Context(), content)
		if err != nil {
			t.Fatal(err)
		}
		switch img := decode(t, clean).img.(type) {
		case *image.NRGBA:
			if c := img.NRGBAAt(4, 4); c != (color.NRGBA{}) {
				t.Errorf("%s: %v", name, c)
			}
			if c := img.NRGBAAt(0, 0); c != (color.NRGBA{1, 2, 3, 0xff}) {
				t.Errorf("%s: the visible pixel is %v", name, c)
			}
		case *image.NRGBA64:
			if c := img.NRGBA64At(4, 4); c != (color.NRGBA64{}) {
				t.Errorf("%s: %v", name, c)
			}
		case *image.Paletted:
			for i, c := range img.Palette[1:] {
				if r, g, b, _ := c.RGBA(); r+g+b != 0 {
					t.Errorf("%s: colour %d is %v", name, i+1, c)
				}
			}
			if r, _, _, _ := img.Palette[0].RGBA(); r>>8 != 10 {
				t.Errorf("the colour in use is %v", img.Palette[0])
			}
		default:
			t.Errorf("%s: %T", name, img)
		}
	}
}

func TestSizesStayReasonable(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for i := range noise.Pix { // as a photograph: smooth, with some grain
		noise.Pix[i] = uint8((i/2560)/2 + (i%2560)/20 + i*7919%23)
	}
	before := asJPEG(t, noise)
	after, _, err := Strip(t.Context(), before)
	if err != nil || len(after) > len(before) {
		t.Errorf("%d bytes became %d, %v", len(before), len(after), err)
	}
	if len(after) < len(before)/8 {
		t.Errorf("%d bytes became %d: what is left of it?", len(before), len(after))
	}
}

func TestNamesFollowTheFormat(t *testing.T) {
	for _, c := range []struct {
		f          Format
		name, want string
	}{
		{JPEG, "ecg.jpg", "ecg.jpg"}, {JPEG, "ecg.JPEG", "ecg.JPEG"}, {JPEG, "ecg.webp", "ecg.jpg"}, {JPEG, "ecg", "ecg.jpg"},
		{PNG, "ecg.gif", "ecg.png"}, {PNG, "ecg.PNG", "ecg.PNG"}, {PNG, "bed.9", "bed.9.png"}, {PNG, "", ".png"}, {JPEG, "a.png.pdf", "a.png.pdf.jpg"},
	} {
		if got := c.f.Name(c.name); got != c.want {
			t.Errorf("%s as %s: %s", c.name, c.f, got)
		}
	}
}
