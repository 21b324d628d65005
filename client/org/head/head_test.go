package head_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
)

var key = orgtest.New("hospital.example", "1")

func mark(serial uint64, s string) head.Mark { return head.Mark{Serial: serial, Hash: org.HashOf(s)} }

func base() head.Head {
	return head.Head{Number: 10, Issued: orgtest.Noon, Directory: mark(42, "d"), Policy: mark(7, "p"),
		Orders: head.Orders{First: 12, Last: 15}, Keys: 1}
}

func sign(t testing.TB, h head.Head, key *orgtest.Key) []byte {
	t.Helper()
	b, err := h.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHeadComesBack(t *testing.T) {
	for _, h := range []head.Head{base(), {Number: 3, Issued: orgtest.Noon, Orders: head.Orders{First: 1}, Partners: org.HashOf("partners")}, {Number: 1, Issued: orgtest.Noon, Orders: head.Orders{First: 1}}} {
		got, err := head.Open(sign(t, h, key), key.Key)
		if err != nil || got != h {
			t.Errorf("%+v: %+v, %v", h, got, err)
		}
	}
	orgtest.Tamper(t, sign(t, base(), key), func(b []byte) error { _, err := head.Open(b, key.Key); return err })
}

// TestFollow is what a relay can try with heads that the organisation has signed.
func TestFollow(t *testing.T) {
	change := func(f func(*head.Head)) []byte {
		h := base()
		h.Number, h.Issued = h.Number+1, h.Issued.Add(time.Minute)
		f(&h)
		return sign(t, h, key)
	}
	for _, c := range []struct {
		what string
		note []byte
		want error
	}{
		{"the next", change(func(*head.Head) {}), nil},
		{"one much later", change(func(h *head.Head) {
			h.Number += 100
			h.Directory, h.Policy = mark(50, "x"), mark(9, "y")
			h.Orders = head.Orders{First: 20, Last: 19}
		}), nil},
		{"the same", sign(t, base(), key), nil},
		{"an old one", change(func(h *head.Head) { h.Number = 9 }), org.ErrRollback},
		{"two of one number", change(func(h *head.Head) { h.Number = 10 }), org.ErrFork},
		{"an older time", change(func(h *head.Head) { h.Issued = orgtest.Noon.Add(-time.Second) }), org.ErrRollback},
		{"an older directory", change(func(h *head.Head) { h.Directory = mark(41, "d") }), org.ErrRollback},
		{"another directory", change(func(h *head.Head) { h.Directory = mark(42, "e") }), org.ErrFork},
		{"no policy any more", change(func(h *head.Head) { h.Policy = head.Mark{} }), org.ErrRollback},
		{"another policy", change(func(h *head.Head) { h.Policy = mark(7, "q") }), org.ErrFork},
		{"fewer orders", change(func(h *head.Head) { h.Orders.Last-- }), org.ErrRollback},
		{"older orders", change(func(h *head.Head) { h.Orders.First-- }), org.ErrRollback},
		{"an older key", change(func(h *head.Head) { h.Keys = 0 }), org.ErrRollback},
		{"another key", sign(t, base(), orgtest.New("hospital.example", "2")), org.ErrSignature},
		{"another organisation", sign(t, base(), orgtest.New("clinic.example", "1")), org.ErrSignature},
	} {
		got, err := base().Follow(c.note, key.Key)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if c.want != nil && got != base() {
			t.Errorf("%s: followed in spite of the error", c.what)
		}
	}
	if h, err := (head.Head{}).Follow(sign(t, base(), key), key.Key); err != nil || h != base() {
		t.Errorf("the first head: %v", err)
	}
}

func TestAgainst(t *testing.T) {
	for _, c := range []struct {
		here head.Mark
		want error
	}{{mark(42, "d"), nil}, {mark(41, "c"), org.ErrGap}, {head.Mark{}, org.ErrGap}, {mark(43, "e"), org.ErrRollback}, {mark(42, "x"), org.ErrFork}} {
		if err := mark(42, "d").Against("directory", c.here); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.here, err, c.want)
		}
	}
}

// TestSignedNonsense is what a broken program with the right key could sign.
func TestSignedNonsense(t *testing.T) {
	good, err := org.Open(sign(t, base(), key), org.KindHead, "hospital.example", key.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"number: 10", "number: 010"}, {"number: 10", "number: -1"}, {"number: 10", "number: 99999999999999999999"}, {"number: 10", "Number: 10"},
		{"12:00:00Z", "12:00:00+00:00"}, {"2026-", "1926-"}, {"orders: 12 to 15", "orders: 15 to 12"}, {"orders: 12 to 15", "orders: 0 to 0"},
		{"orders: 12 to 15", "orders: 1 to 2000"}, {"keys: 1", "keys: 1\nkeys: 1"}, {"keys: 1\n", ""}, {"policy: 7", "policy: 0"}, {"directory: 42 ", "directory: 42  "},
	} {
		text := strings.Replace(good.Text, c[0], c[1], 1)
		if text == good.Text {
			t.Fatalf("%q is not in it", c[0])
		}
		b, err := note.Sign(&note.Note{Text: text}, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := head.Open(b, key.Key); !errors.Is(err, org.ErrMalformed) {
			t.Errorf("%q: %v", c[1], err)
		}
	}
}

// FuzzHead signs whatever comes: so the parser is reached.
func FuzzHead(f *testing.F) {
	s, _ := org.Open(sign(f, base(), key), org.KindHead, "hospital.example", key.Key)
	f.Add(s.Text)
	f.Fuzz(func(t *testing.T, text string) {
		b, err := org.Seal(text, key)
		if err != nil {
			return
		}
		h, err := head.Open(b, key.Key)
		if err != nil {
			return
		}
		again, err := h.Sign(key)
		if err != nil || string(again) != string(b) {
			t.Errorf("%q is written %q, %v", b, again, err)
		}
	})
}

// TestHeadForPartner holds that a head about what a partner is shown is not taken by
// the own people, nor theirs by a partner, nor one partner's by another.
func TestHeadForPartner(t *testing.T) {
	h := head.Head{For: "clinic.example", Number: 3, Issued: orgtest.Noon, Directory: mark(2, "x"), Orders: head.Orders{First: 1}}
	b := sign(t, h, key)
	if got, err := (head.Head{For: "clinic.example"}).Follow(b, key.Key); err != nil || got != h {
		t.Errorf("the partner reads %+v, %v", got, err)
	}
	for _, other := range []head.Head{{}, {For: "lab.example"}} {
		if _, err := other.Follow(b, key.Key); !errors.Is(err, org.ErrSignature) {
			t.Errorf("for %q: %v", other.For, err)
		}
	}
	if _, err := h.Follow(sign(t, base(), key), key.Key); !errors.Is(err, org.ErrSignature) {
		t.Errorf("the own people's head, shown to a partner: %v", err)
	}
	h.For = "clinic"
	if _, err := h.Sign(key); err == nil {
		t.Error("a head for no organisation was signed")
	}
	orgtest.Tamper(t, b, func(b []byte) error { _, err := head.Open(b, key.Key); return err })
}
