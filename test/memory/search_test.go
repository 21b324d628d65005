package memory

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSearchForms(t *testing.T) {
	t.Parallel()
	const secret = "Kestrel7719"
	s := NewSearch(TextCanary("it", secret))
	var runes, wide, other, pad []byte
	for _, c := range []byte(secret) {
		runes = append(runes, c, 0, 0, 0)
		wide = append(wide, c, 0)
		other = append(other, 0, c)
		pad = append(pad, c^0x5c)
	}
	for _, c := range []struct {
		form string
		b    []byte
	}{
		{"raw", []byte("x" + secret + "x")}, {"runes", runes}, {"UTF-16", wide}, {"UTF-16", other}, {"HMAC pad", pad},
		{"hex", []byte("0" + hex.EncodeToString([]byte(secret)))},
		{"percent", []byte("x%4b%65%73%74%72%65%6c%37%37%31%39")}, {"percent", []byte("%4B%65%73%74%72%65%6C%37%37%31%39")},
	} {
		hits := s.Bytes("here", c.b)
		if len(hits) != 1 || hits[0] != (Hit{"it", c.form, "here"}) {
			t.Errorf("as %s: %v", c.form, hits)
		}
	}
	if hits := NewSearch(TextCanary("it", "Ärztin, 4 / 7")).Bytes("", []byte("q=%C3%84rztin%2C+4+%2F+7&")); len(hits) != 1 {
		t.Errorf("in a URL: %v", hits)
	}
	for before := range 7 {
		for after := range 4 {
			b := []byte(strings.Repeat("a", before) + secret + strings.Repeat("z", after))
			for name, e := range map[string]*base64.Encoding{"standard": base64.StdEncoding, "URL": base64.RawURLEncoding} {
				if n := Count(s.Bytes("", e.AppendEncode(nil, b)), "it"); n != 1 {
					t.Errorf("in %s base64, after %d and before %d other bytes: found %d", name, before, after, n)
				}
			}
		}
	}
	if hits := s.Bytes("", []byte("Kestrel771 estrel7719 kestrel7719")); hits != nil {
		t.Errorf("found what is not there: %v", hits)
	}
}

// TestSearchUnpacks shows that packing something does not hide it.
func TestSearchUnpacks(t *testing.T) {
	t.Parallel()
	s := NewSearch(TextCanary("it", "Kestrel7719"))
	// Long enough to be packed, and not only copied.
	text := []byte(strings.Repeat("Kestrel is a falcon. ", 20) + "Kestrel7719" + strings.Repeat(" 7719 is a number.", 20))
	pack := func(to func(io.Writer) io.WriteCloser, b []byte) []byte {
		var packed bytes.Buffer
		w := to(&packed)
		w.Write(b)
		w.Close()
		return packed.Bytes()
	}
	inGzip := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	inZlib := func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
	for name, b := range map[string][]byte{
		"gzip": pack(inGzip, text), "zlib": pack(inZlib, text),
		"gzip in zlib":        pack(inZlib, pack(inGzip, text)),
		"zlib that is cut":    pack(inZlib, append(text, make([]byte, 3000)...))[:120],
		"UTF-16 in gzip":      pack(inGzip, wider(text)),
		"gzip behind garbage": append([]byte("\x78\x9c\x1f\x8b\x08 garbage"), pack(inGzip, text)...),
	} {
		if bytes.Contains(b, []byte("Kestrel7719")) {
			t.Fatalf("%s: it is not packed", name)
		}
		if hits := s.Unpacked("here", b); Count(hits, "it") == 0 {
			t.Errorf("%s: %v", name, hits)
		}
	}
}

func wider(b []byte) (w []byte) {
	for _, c := range b {
		w = append(w, c, 0)
	}
	return w
}

// TestSearchInPieces holds that a copy is found once, wherever the border
// between two pieces of memory is.
func TestSearchInPieces(t *testing.T) {
	t.Parallel()
	const secret = "Kestrel7719"
	s := NewSearch(TextCanary("it", secret))
	all := []byte(strings.Repeat("Kestrel", 40) + secret + secret + strings.Repeat("7719", 40))
	for cut := range all {
		n := 0
		hit := func(*needle, int) { n++ }
		tail := s.in(all[:cut], 0, hit)
		s.in(all[cut-tail:], tail, hit)
		if n != 2 {
			t.Errorf("cut at %d: found %d of 2", cut, n)
		}
	}
}

func TestSearchFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := NewSearch(TextCanary("it", "Kestrel7719"))
	deep := filepath.Join(dir, "a", "Kestrel7719")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "b"), []byte("\x00Kestrel7719\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	hits, size, err := s.Folder(dir)
	if err != nil || size != 13 || Count(hits, "it") != 3 { // two names hold it
		t.Errorf("found %v in %d bytes, %v", hits, size, err)
	}
	if _, _, err := s.Folder(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there is searched without complaint")
	}
}
