package org_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/edwards25519"
	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/orgtest"
)

const name = "hospital.example"

// TestLight holds that the link can verify what it obeys: these packages bring
// neither keys nor texts nor a database with them.
func TestLight(t *testing.T) {
	for _, pkg := range []string{"sotto/client/org", "sotto/client/org/head", "sotto/client/org/order"} {
		out, err := exec.Command("go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		if !slices.Contains(deps, "golang.org/x/mod/sumdb/note") {
			t.Fatalf("%s: list of imports makes no sense: %d of them", pkg, len(deps))
		}
		for _, d := range deps {
			for _, bad := range []string{"net/http", "crypto/tls", "os/exec", "sotto/keystore", "sotto/client/omemo", "sotto/client/store",
				"sotto/client/stanza", "sotto/tui", "github.com/awnumar", "github.com/ncruces", "charm.land", "sotto/client/link"} {
				if d == bad || strings.HasPrefix(d, bad+"/") {
					t.Errorf("%s imports %s", pkg, d)
				}
			}
			if d == "sotto/client" {
				t.Errorf("%s imports %s", pkg, d)
			}
		}
	}
}

// TestDocumented holds that docs/organisation.md has an example of every kind of
// statement.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/organisation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []org.Kind{org.KindHead, org.KindKey, org.KindUpdate, org.KindSnapshot, org.KindPolicy, org.KindOrder, org.KindPartner,
		org.KindPartnerEnd, org.KindAnswer, org.KindRequest, org.KindAcknowledgement, org.KindDelegation} {
		if !strings.Contains(string(doc), "\n"+k.Title()+"\n") {
			t.Errorf("there is no example of %q", k.Title())
		}
	}
}

func text(lines ...string) string {
	return "sotto head v1\norganisation: " + name + "\n" + strings.Join(lines, "\n") + "\n"
}

func TestNotesCannotBeTamperedWith(t *testing.T) {
	key := orgtest.New(name, "1")
	b, err := org.Seal(text("one: 1", "", "two: Ä"), key)
	if err != nil {
		t.Fatal(err)
	}
	orgtest.Tamper(t, b, func(b []byte) error {
		_, err := org.Open(b, org.KindHead, name, key.Key)
		return err
	})
}

func TestOpenRefuses(t *testing.T) {
	key, other, device := orgtest.New(name, "1"), orgtest.New(name, "2"), orgtest.New("device-7", "")
	good, err := org.Seal(text("a: 1"), key)
	if err != nil {
		t.Fatal(err)
	}
	both, err := org.Seal(text("a: 1"), key, other)
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := org.Seal(text("a: 1"), other, key)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(text string) []byte { // as somebody would who has the key and another program
		b, err := note.Sign(&note.Note{Text: text}, key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		what string
		note []byte
		kind org.Kind
		name string
		keys []org.Key
		want error
	}{
		{"as it should be", good, org.KindHead, name, []org.Key{key.Key}, nil},
		{"by both", both, org.KindHead, name, []org.Key{key.Key, other.Key}, nil},
		{"of another kind", good, org.KindOrder, name, []org.Key{key.Key}, org.ErrMalformed},
		{"of another organisation", good, org.KindHead, "clinic.example", []org.Key{key.Key}, org.ErrSignature},
		{"by another key with the name", good, org.KindHead, name, []org.Key{other.Key}, org.ErrSignature},
		{"by another key", good, org.KindHead, name, []org.Key{device.Key}, org.ErrSignature},
		{"by one of two", good, org.KindHead, name, []org.Key{key.Key, other.Key}, org.ErrSignature},
		{"by one more", both, org.KindHead, name, []org.Key{key.Key}, org.ErrSignature},
		{"by both in the wrong order", swapped, org.KindHead, name, []org.Key{key.Key, other.Key}, org.ErrSignature},
		{"without a key to check with", good, org.KindHead, name, nil, org.ErrSignature},
		{"with the zero key", good, org.KindHead, name, []org.Key{{}}, org.ErrSignature},
		{"empty", nil, org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"no signature", []byte(text("a: 1")), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"a control", seal(text("a: \u009b31m")), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"an override", seal(text("a: \u202eevil")), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"a hidden character", seal(text("a: x\u200by")), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"a space at the end", seal(text("a: x ")), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"a long line", seal(text("a: " + strings.Repeat("x", org.MaxLine))), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"many lines", seal(text(slices.Repeat([]string{"a: 1"}, org.MaxLines)...)), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"long", seal(text(slices.Repeat([]string{"a: " + strings.Repeat("x", 60)}, 1000)...)), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"of another version", seal("sotto head v2\norganisation: " + name + "\n"), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"without a name", seal("sotto head v1\na: 1\n"), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
		{"of one line", seal("sotto head v1\n"), org.KindHead, name, []org.Key{key.Key}, org.ErrMalformed},
	} {
		s, err := org.Open(c.note, c.kind, c.name, c.keys...)
		if !errors.Is(err, c.want) || c.want != nil && s != nil {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	k := orgtest.New(name, "1").Key
	again, err := org.ParseKey(k.String())
	if err != nil || again != k {
		t.Fatalf("%v: %v, %v", k, again, err)
	}
	if v, err := note.NewVerifier(k.String()); err != nil || v.KeyHash() != k.KeyHash() || v.Name() != k.Name() {
		t.Errorf("the note package reads %v as %v, %v", k, v, err)
	}
	encoded := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	small := make([]byte, 32) // y = 0 is of order 4
	one := append([]byte{1}, make([]byte, 31)...)
	// y = p+1 is a second encoding of the identity.
	second := append([]byte{0xee}, slices.Repeat([]byte{0xff}, 30)...)
	second = append(second, 0x7f)
	for _, b := range [][]byte{small, one, second, nil, make([]byte, 31), make([]byte, 33)} {
		if k, err := org.NewKey(name, b); err == nil {
			t.Errorf("%x is taken as a key: %v", b, k)
		}
	}
	for _, s := range []string{
		"", name, name + "+00000000+" + encoded(append([]byte{1}, k.Public()...)),
		strings.Replace(k.String(), "hospital", "hospitals", 1), strings.ToUpper(k.String()), k.String() + "\n", k.String() + "=",
		"Hospital.example" + k.String()[len(name):], strings.Repeat("a", 600),
	} {
		if k, err := org.ParseKey(s); err == nil {
			t.Errorf("%q is taken as a key: %v", s, k)
		}
	}
	for _, s := range []string{"", "hospital", "a b.example", "a.example.", ".example", "-a.example", "a-.example", "Ä.example", "a+b.example", strings.Repeat("a.", 130) + "b"} {
		if org.ValidName(s) {
			t.Errorf("%q is taken as a name", s)
		}
	}
	if (org.Key{}).Verify(nil, make([]byte, 64)) {
		t.Error("the zero key verifies something")
	}
}

// TestSmallOrder holds that every point of small order is refused, in each encoding
// that verifies, and nothing else of a thousand keys.
func TestSmallOrder(t *testing.T) {
	// Of order 8, which all others are multiples of.
	b, _ := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	sum := edwards25519.NewIdentityPoint()
	for range 8 {
		found[string(sum.Bytes())] = true
		for _, sign := range []byte{0, 0x80} {
			b := sum.Bytes()
			b[31] ^= sign
			if k, err := org.NewKey(name, b); err == nil {
				t.Errorf("%x is taken as a key: %v", b, k)
			}
		}
		sum.Add(sum, p)
	}
	if len(found) != 8 {
		t.Fatalf("%d points of small order", len(found))
	}
	for y := byte(0xed); y != 0; y++ { // not below p
		b := append([]byte{y}, slices.Repeat([]byte{0xff}, 31)...)
		if k, err := org.NewKey(name, b); err == nil {
			t.Errorf("%x is taken as a key: %v", b, k)
		}
	}
	for i := range 1000 {
		orgtest.New(name, strconv.Itoa(i)) // panics where a key is refused
	}
}

func TestRotation(t *testing.T) {
	one, two, three, thief := orgtest.New(name, "1"), orgtest.New(name, "2"), orgtest.New(name, "3"), orgtest.New(name, "thief")
	rotate := func(n uint64, from, to *orgtest.Key, at time.Time) []byte {
		t.Helper()
		b, err := org.Rotation{Number: n, Issued: at, From: from.Key, To: to.Key, Reason: "once a year"}.Sign(from, to)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first, second := rotate(1, one, two, orgtest.Noon), rotate(2, two, three, orgtest.Noon.Add(time.Hour))
	a := org.NewAnchor(one.Key, 0)
	orgtest.Tamper(t, first, func(b []byte) error { _, err := a.Follow(b); return err })
	b, err := a.Follow(first)
	if err != nil || b.Key != two.Key {
		t.Fatalf("%v: %v", b.Key, err)
	}
	c, err := b.Follow(second)
	if err != nil || c.Key != three.Key {
		t.Fatalf("%v: %v", c.Key, err)
	}
	for _, x := range []struct {
		what string
		from org.Anchor
		note []byte
		want error
	}{
		{"the same again", b, first, nil},
		{"played back", c, first, org.ErrRollback},
		{"left out", a, second, org.ErrGap},
		{"two of one number", b, rotate(1, one, thief, orgtest.Noon), org.ErrFork},
		{"by the old key", b, rotate(2, one, thief, orgtest.Noon.Add(time.Hour)), org.ErrSignature},
		{"by a stranger", a, rotate(1, thief, two, orgtest.Noon), org.ErrSignature},
		{"dated before", b, rotate(2, two, three, orgtest.Noon.Add(-time.Hour)), org.ErrRollback},
		{"of another organisation, in another place", b, func() []byte {
			one, two := orgtest.New("clinic.example", "1"), orgtest.New("clinic.example", "2")
			return rotate(1, one, two, orgtest.Noon)
		}(), org.ErrSignature},
		{"of another organisation", a, rotate(1, orgtest.New("clinic.example", "1"), orgtest.New("clinic.example", "2"), orgtest.Noon), org.ErrSignature},
	} {
		got, err := x.from.Follow(x.note)
		if !errors.Is(err, x.want) || x.want != nil && got != x.from {
			t.Errorf("%s: %v, want %v", x.what, err, x.want)
		}
	}
	// Who names a key that is not his cannot sign with it.
	if _, err := (org.Rotation{Number: 1, Issued: orgtest.Noon, From: one.Key, To: two.Key}).Sign(one, thief); err == nil {
		t.Error("a rotation to a key that has not signed it")
	}
	for _, a := range []org.Anchor{a, b, c, org.NewAnchor(two.Key, 7)} {
		text, err := a.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again org.Anchor
		if err := again.UnmarshalText(text); err != nil || again != a {
			t.Errorf("%s comes back as %v, %v", text, again, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key := orgtest.New(name, "1")
	good, _ := org.Seal(text("a: 1"), key)
	f.Add(good)
	f.Add([]byte("sotto head v1\norganisation: hospital.example\n\n— hospital.example AAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := org.Open(b, org.KindHead, name, key.Key)
		if err == nil && string(b) != string(good) {
			t.Errorf("forged: %q", b)
		}
		if err != nil && s != nil {
			t.Error("both a statement and an error")
		}
		if s, err := org.Peek(b); err == nil {
			if !strings.HasPrefix(string(b), s.Text) || s.Text[:6] != "sotto " {
				t.Errorf("%q is read as %q", b, s.Text)
			}
			r := org.NewReader(s)
			for r.More() && r.Err() == nil {
				r.Line("a", 100)
			}
		}
		_, _ = org.ParseKey(string(b))
		_, _ = org.NewAnchor(key.Key, 0).Follow(b)
		var a org.Anchor
		_ = a.UnmarshalText(b)
	})
}

// FuzzAddress holds what both ways to check an address must have in common.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"alice@hospital.example", "al.ice-1@h.example", "Alice@h.example", "a@b", "ä@ö.example", "a@b.example/x", "a@xn--a.example", "a@1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if org.ValidAddress(s) && !org.SlowAddress(s) {
			t.Errorf("%q is an address by the short way only", s)
		}
	})
}
