package memory

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSearchForms(t *testing.T) {
	t.Parallel()
	const secret = "Kestrel7719"
	s := NewSearch(TextCanary("it", secret))
	var runes, wide, pad []byte
	for _, c := range []byte(secret) {
		runes = append(runes, c, 0, 0, 0)
		wide = append(wide, c, 0)
		pad = append(pad, c^0x5c)
	}
	for form, b := range map[string][]byte{
		"raw": []byte("x" + secret + "x"), "runes": runes, "UTF-16": wide, "HMAC pad": pad,
		"hex": []byte("0" + hex.EncodeToString([]byte(secret))),
	} {
		hits := s.Bytes("here", b)
		if len(hits) != 1 || hits[0] != (Hit{"it", form, "here"}) {
			t.Errorf("as %s: %v", form, hits)
		}
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
