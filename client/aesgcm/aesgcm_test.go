package aesgcm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSealAndOpen(t *testing.T) {
	for _, spare := range []int{0, Overhead, 100} {
		content := append(make([]byte, 0, 1000+spare), bytes.Repeat([]byte("secret "), 142)...)
		want := bytes.Clone(content)
		k := NewKey()
		sealed, err := k.Seal(content)
		if err != nil || len(sealed) != len(want)+Overhead {
			t.Fatalf("%d bytes, %v", len(sealed), err)
		}
		if bytes.Contains(content[:cap(content)], []byte("secret")) {
			t.Errorf("with %d bytes of room, the content is still there", spare)
		}
		b := k.Bytes()
		k.Wipe()
		if hex.EncodeToString(k.Bytes()) != strings.Repeat("0", 2*(NonceSize+KeySize)) {
			t.Error("the key is still there")
		}
		if k, err = ReadKey(b); err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(bytes.Clone(sealed))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q, %v", got, err)
		}
		for _, bad := range [][]byte{nil, sealed[:len(sealed)-1], append(bytes.Clone(sealed), 0), sealed[1:], flipped(sealed, 0), flipped(sealed, len(sealed)-1)} {
			bad = bytes.Clone(bad)
			if got, err := k.Open(bad); !errors.Is(err, ErrAltered) || got != nil {
				t.Errorf("%d bytes were opened: %v", len(bad), err)
			}
			if bytes.Contains(bad, []byte("secret")) {
				t.Error("what is not authentic was left behind")
			}
		}
	}
}

func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

// TestKnownLink reads a link and a file that were made by openssl-like means: the
// test case of GCM with a key of zeros.
func TestKnownLink(t *testing.T) {
	// The Galois/Counter Mode of Operation, test case 14.
	l, ok := ParseLink("aesgcm://h.example/d/x.png#" + strings.Repeat("0", 24) + strings.Repeat("0", 64))
	if !ok {
		t.Fatal("not a link")
	}
	sealed, _ := hex.DecodeString("cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919")
	got, err := l.Key.Open(sealed)
	if err != nil || !bytes.Equal(got, make([]byte, 16)) {
		t.Errorf("%x, %v", got, err)
	}
}

const (
	nonce = "000102030405060708090a0b"
	key   = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"
)

func TestParseLink(t *testing.T) {
	for body, want := range map[string]Link{
		"aesgcm://h.example/a/ecg.png#" + nonce + key:                        {URL: "https://h.example/a/ecg.png", Host: "h.example", Name: "ecg.png", Type: "image/png"},
		"aesgcm://h.example/a/ecg.png#" + nonce + "0c0d0e0f" + key:           {URL: "https://h.example/a/ecg.png", Host: "h.example", Name: "ecg.png", Type: "image/png"},
		"aesgcm://h.example:5443/Bed%209/%C3%BC.PDF?x=1#" + nonce + key:      {URL: "https://h.example:5443/Bed%209/%C3%BC.PDF?x=1", Host: "h.example:5443", Name: "ü.PDF", Type: "application/pdf"},
		"aesgcm://[::1]:80/#" + nonce + key:                                  {URL: "https://[::1]:80/", Host: "[::1]:80", Name: "file", Type: Unknown},
		"aesgcm://h.example#" + nonce + key:                                  {URL: "https://h.example", Host: "h.example", Name: "file", Type: Unknown},
		"aesgcm://h.example/..%2f..%2fetc%2fpasswd#" + nonce + key:           {URL: "https://h.example/..%2f..%2fetc%2fpasswd", Host: "h.example", Name: "passwd", Type: Unknown},
		"aesgcm://h.example/x.jpg#" + nonce + key + "\ndata:image/jpeg,/9j/": {URL: "https://h.example/x.jpg", Host: "h.example", Name: "x.jpg", Type: "image/jpeg"},
		"aesgcm://h.example/x.jpg#" + nonce + key + "\r\n":                   {URL: "https://h.example/x.jpg", Host: "h.example", Name: "x.jpg", Type: "image/jpeg"},
	} {
		got, ok := ParseLink(body)
		if !ok {
			t.Errorf("%s: not read", body)
			continue
		}
		got.Key = nil
		if got != want {
			t.Errorf("%s: %+v", body, got)
		}
	}
	for _, body := range []string{
		"", "aesgcm://", "aesgcm:///x#" + nonce + key, "see aesgcm://h.example/x#" + nonce + key, "aesgcm://h.example/x#" + nonce + key + " look",
		"aesgcm://h.example/x#" + nonce + key + "\nlook", "aesgcm://h.example/x#" + nonce + key + "\ndata:a b", "aesgcm://h.example/x#" + nonce + key + "\ndata:a\nb",
		"AESGCM://h.example/x#" + nonce + key, "https://h.example/x#" + nonce + key, "aesgcm://h.example/x#" + nonce, "aesgcm://h.example/x#" + nonce + key + "00",
		"aesgcm://h.example/x#" + nonce + key[:62] + "zz", "aesgcm://h.example/x", "aesgcm://h.example/a b#" + nonce + key, "aesgcm://u:p@h.example/x#" + nonce + key,
		"aesgcm://h.example/x#a#" + nonce + key, "aesgcm://h.ex\x1bample/x#" + nonce + key, "aesgcm://h\u202eexample/x#" + nonce + key, "aesgcm://h.example/%zz#" + nonce + key,
		"aesgcm://h.example:x/#" + nonce + key, "aesgcm://h.example/" + strings.Repeat("x", MaxURL) + "#" + nonce + key,
	} {
		if l, ok := ParseLink(body); ok {
			t.Errorf("%q is read as %+v", body, l)
		}
	}
}

// TestHiddenName gives a file a URL that does not say what it is called.
func TestHiddenName(t *testing.T) {
	k := NewKey()
	length := 0
	for _, name := range []string{"ecg.png", "a.png", "Müller, Erika 12.03.1961 ECG.png", strings.Repeat("ü", 100) + ".png"} {
		k := NewKey()
		hidden, err := k.HideName(name)
		if err != nil {
			t.Fatal(err)
		}
		if length == 0 {
			length = len(hidden)
		}
		if len(hidden) != length || !strings.HasSuffix(hidden, ".png") || strings.Trim(hidden, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			t.Errorf("%s is called %s", name, hidden)
		}
		link, err := k.Link("https://h.example/slot/" + hidden)
		if err != nil {
			t.Fatal(err)
		}
		l, ok := ParseLink(link)
		if !ok || l.Type != "image/png" || len(name) <= 47 && l.Name != name || !strings.HasSuffix(l.Name, ".png") || !utf8.ValidString(l.Name) {
			t.Errorf("%s came as %+v", name, l)
		}
		if again, _ := k.HideName(name); again != hidden {
			t.Error("in another slot it has another name")
		}
		// A relay that changes the name cannot choose one.
		u := "https://h.example/slot/B" + hidden[1:]
		if strings.HasPrefix(hidden, "B") {
			u = "https://h.example/slot/C" + hidden[1:]
		}
		link, _ = k.Link(u)
		if l, _ := ParseLink(link); l.Name == name {
			t.Error("a changed name was read")
		}
	}
	if hidden, err := k.HideName("what.exe"); err != nil || strings.Contains(hidden, ".") {
		t.Errorf("an unknown ending is kept: %s, %v", hidden, err)
	}
}

func TestLink(t *testing.T) {
	k := NewKey()
	for _, u := range []string{"", "ftp://h.example/x", "https://h.example/x#y", "https://u@h.example/x", "https://h.example/" + strings.Repeat("x", MaxURL), "https://h.example/a b\x00"} {
		if l, err := k.Link(u); !errors.Is(err, ErrURL) {
			t.Errorf("%q became %q, %v", u, l, err)
		}
	}
	got, err := k.Link("http://127.0.0.1:5280/x/y.png")
	if err != nil || !strings.HasPrefix(got, "aesgcm://127.0.0.1:5280/x/y.png#") {
		t.Errorf("%q, %v", got, err)
	}
	if l, ok := ParseLink(got); !ok || l.URL != "https://127.0.0.1:5280/x/y.png" || !bytes.Equal(l.Key.Bytes(), k.Bytes()) {
		t.Errorf("%+v", l)
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("aesgcm://h.example/a/ecg.png#" + nonce + key)
	f.Add("aesgcm://h.example:1/a%20b?c=d#" + nonce + "00000000" + key + "\ndata:image/jpeg,xx")
	k := NewKey()
	hidden, _ := k.HideName("ecg.png")
	link, _ := k.Link("https://h.example/" + hidden)
	f.Add(link)
	f.Fuzz(func(t *testing.T, body string) {
		l, ok := ParseLink(body)
		if !ok {
			return
		}
		if !strings.HasPrefix(l.URL, "https://") || len(l.URL) > MaxURL || l.Host == "" || l.Name == "" || len(l.Name) > MaxName || !utf8.ValidString(l.Name) ||
			strings.ContainsAny(l.Name, "/") || strings.ContainsAny(l.URL, " #\n\r\x00") || strings.Contains(l.URL, "@"+l.Host) {
			t.Errorf("%q: %+v", body, l)
		}
		again, err := l.Key.Link(l.URL)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if m, ok := ParseLink(again); !ok || m.URL != l.URL || m.Name != l.Name || !bytes.Equal(m.Key.Bytes(), l.Key.Bytes()) {
			t.Errorf("%q came back as %+v", body, m)
		}
	})
}
