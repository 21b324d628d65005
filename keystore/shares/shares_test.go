package shares

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/awnumar/memguard"
)

var testID = [4]byte{1, 2, 3, 4}

func secret(t testing.TB, b []byte) *memguard.LockedBuffer {
	t.Helper()
	l := memguard.NewBufferFromBytes(bytes.Clone(b))
	t.Cleanup(l.Destroy)
	return l
}

func split(t testing.TB, b []byte, need, of int) *Set {
	t.Helper()
	s, err := Split(secret(t, b), testID, need, of)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Destroy)
	return s
}

// sheets are the shares as text.
func sheets(s *Set) (all []string) {
	for n := range s.Len() {
		all = append(all, string(s.AppendText(make([]byte, 0, TextSize), n)))
	}
	return all
}

func typed(t testing.TB, s *Set, sheet string) error {
	t.Helper()
	for i, row := range strings.Split(strings.TrimSuffix(sheet, "\n"), "\n") {
		whole, err := s.Row([]byte(row))
		if err != nil {
			return err
		}
		if whole != (i == Rows-1) {
			t.Errorf("row %d: whole is %v", i+1, whole)
		}
	}
	return nil
}

func collected(t testing.TB, list ...string) *Set {
	t.Helper()
	s := Collect()
	t.Cleanup(s.Destroy)
	for _, sheet := range list {
		if err := typed(t, s, sheet); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestField(t *testing.T) {
	// FIPS 197, sections 4.2 and 4.2.1.
	if times(0x57, 0x83) != 0xc1 || times(0x57, 0x13) != 0xfe || times(0x57, 0x02) != 0xae {
		t.Error("that is not the field of AES")
	}
	for a := range 256 {
		if got := times(byte(a), inverse(byte(a))); a != 0 && got != 1 || a == 0 && got != 0 {
			t.Errorf("%d times its inverse is %d", a, got)
		}
	}
	seen := map[byte]bool{}
	for x, i := byte(1), 0; i < 31; i++ {
		seen[x] = true
		x = times32(x, 2)
	}
	if len(seen) != 31 || seen[0] {
		t.Errorf("2 makes %d of the field of 32", len(seen))
	}
}

// TestVectors holds the format: these sheets were printed once, and have to be
// read for ever.
func TestVectors(t *testing.T) {
	want := []byte("thirty-two bytes of a secret key")
	s := collected(t, vector[0], vector[1], vector[2])
	if s.Need() != 3 || s.ID() != testID {
		t.Errorf("need %d of %x", s.Need(), s.ID())
	}
	got, err := s.Combine()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Destroy()
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("combined: %q", got.Bytes())
	}
}

// TestAnyNeeded tries every choice of shares for every k of n up to 6.
func TestAnyNeeded(t *testing.T) {
	want := make([]byte, Size)
	r := rand.New(rand.NewPCG(1, 2))
	for of := MinNeed; of <= 6; of++ {
		for need := MinNeed; need <= of; need++ {
			for i := range want {
				want[i] = byte(r.Uint32())
			}
			all := sheets(split(t, want, need, of))
			for choice := range 1 << of {
				var some []string
				for i, sheet := range all {
					if choice>>i&1 == 1 {
						some = append(some, sheet)
					}
				}
				r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				s := collected(t, some...)
				got, err := s.Combine()
				switch {
				case len(some) < need && err == nil:
					t.Fatalf("%d of %d: combined %d", need, of, len(some))
				case len(some) >= need && (err != nil || !bytes.Equal(got.Bytes(), want)):
					t.Fatalf("%d of %d, choice %b: %v", need, of, choice, err)
				}
				if got != nil {
					got.Destroy()
				}
				s.Destroy()
			}
		}
	}
}

// TestFewerSayNothing: with one share fewer than needed, each secret is as likely as
// any other. For every value of a byte there is a missing share that makes it.
func TestFewerSayNothing(t *testing.T) {
	s := split(t, make([]byte, Size), 3, 3)
	made := map[byte]bool{}
	for v := range 256 {
		s.values(2)[0] = byte(v)
		got, err := s.Combine()
		if err != nil {
			t.Fatal(err)
		}
		made[got.Bytes()[0]] = true
		got.Destroy()
	}
	if len(made) != 256 {
		t.Errorf("with two of three shares only %d of 256 values are possible", len(made))
	}
	// And what a share says is not the same twice.
	a, b := split(t, make([]byte, Size), 2, 2), split(t, make([]byte, Size), 2, 2)
	if bytes.Equal(a.values(0), b.values(0)) || bytes.Equal(a.values(0), make([]byte, Size)) {
		t.Error("the shares of a secret are not random")
	}
}

func TestMistakes(t *testing.T) {
	s := split(t, []byte("thirty-two bytes of a secret key"), 2, 3)
	all := sheets(s)
	rows := strings.Split(all[0], "\n")[:Rows]

	// Each character changed into each other, each pair exchanged, each row in another's place.
	for row := range rows {
		taken := func(changed string) bool {
			c := Collect()
			defer c.Destroy()
			for i := range row {
				if _, err := c.Row([]byte(rows[i])); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.Row([]byte(changed))
			var bad *RowError
			if err != nil && (!errors.As(err, &bad) || bad.Row != row+1) {
				t.Errorf("row %d: %v", row+1, err)
			}
			if err != nil && c.Next() != row+1 {
				t.Errorf("after a mistake in row %d row %d is next", row+1, c.Next())
			}
			return err == nil
		}
		if !taken(rows[row]) || !taken(strings.ToLower(rows[row])) || !taken(strings.ReplaceAll(rows[row][3:], " ", "")) {
			t.Fatalf("row %d is not taken as it is", row+1)
		}
		for i := range 17 {
			p := i + 3
			if rows[row][p] == ' ' {
				continue
			}
			for _, c := range alphabet + "U*?é" {
				if byte(c) != rows[row][p] && taken(rows[row][:p]+string(c)+rows[row][p+1:]) {
					t.Errorf("row %d with %c at %d is taken", row+1, c, p)
				}
			}
			q := p + 1
			if q < len(rows[row]) && rows[row][q] != ' ' && rows[row][q] != rows[row][p] &&
				taken(rows[row][:p]+rows[row][q:q+1]+rows[row][p:p+1]+rows[row][q+1:]) {
				t.Errorf("row %d with %d and %d exchanged is taken", row+1, p, q)
			}
		}
		for other := range rows {
			if other != row && taken(rows[other][3:]) {
				t.Errorf("row %d is taken for row %d", other+1, row+1)
			}
		}
		for _, bad := range []string{"", "1", rows[row] + "0", rows[row][:len(rows[row])-1], strings.Repeat(" ", 100) + rows[row] + "x", strings.Repeat("0", 1000)} {
			if taken(bad) {
				t.Errorf("row %d: %q is taken", row+1, bad)
			}
		}
	}

	c := collected(t, all[0])
	if err := typed(t, c, all[0]); !errors.Is(err, ErrTwice) {
		t.Errorf("twice: %v", err)
	}
	other, err := Split(secret(t, make([]byte, Size)), [4]byte{9}, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Destroy()
	if err := typed(t, c, sheets(other)[1]); !errors.Is(err, ErrOther) {
		t.Errorf("of another key: %v", err)
	}
	if c.Missing() != 1 || c.Len() != 1 {
		t.Errorf("%d missing, %d there", c.Missing(), c.Len())
	}
	if err := typed(t, c, all[2]); err != nil || c.Missing() != 0 {
		t.Errorf("after mistakes: %v, %d missing", err, c.Missing())
	}
}

// TestLetters takes letters for those they look like.
func TestLetters(t *testing.T) {
	for typed, meant := range map[byte]byte{'o': '0', 'O': '0', 'i': '1', 'I': '1', 'l': '1', 'L': '1', 'z': 'Z', '0': '0'} {
		a, bad := value(typed)
		b, _ := value(meant)
		if bad != 0 || a != b {
			t.Errorf("%c is %d and not %d", typed, a, b)
		}
	}
	for c := range 256 {
		d, bad := value(byte(c))
		known := strings.ContainsRune(alphabet+"oOiIlL", rune(c)) || strings.ContainsRune(strings.ToLower(alphabet), rune(c))
		if known != (bad == 0) {
			t.Errorf("%q: %d, %x", rune(c), d, bad)
		}
	}
}

func TestSplitIsBounded(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {1, 1}, {1, 3}, {3, 2}, {2, 17}, {17, 17}, {-1, 5}} {
		if s, err := Split(secret(t, make([]byte, Size)), testID, c[0], c[1]); err == nil {
			s.Destroy()
			t.Errorf("%d of %d", c[0], c[1])
		}
	}
	if _, err := Split(secret(t, make([]byte, 31)), testID, 2, 3); err == nil {
		t.Error("a secret of 31 bytes")
	}
	s := split(t, make([]byte, Size), Max, Max)
	if got := sheets(s); len(got) != Max || slices.Contains(got, "") || len(got[0]) != TextSize {
		t.Errorf("%d sheets", len(got))
	}
}

func FuzzRow(f *testing.F) {
	s, err := Split(memguard.NewBufferFromBytes([]byte("thirty-two bytes of a secret key")), testID, 2, 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.AppendText(nil, 0))
	f.Add([]byte("1  0000 0000 0000  0\n1\n\n\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Collect()
		defer s.Destroy()
		for _, row := range bytes.Split(b, []byte("\n")) {
			s.Row(row)
		}
		if s.Len() > 0 && (s.Need() < MinNeed || s.Need() > Max) {
			t.Errorf("need %d", s.Need())
		}
		if got, err := s.Combine(); err == nil {
			got.Destroy()
		}
	})
}

// vector are shares 5, 2 and 3 of five of which three are needed.
var vector = []string{`1  040G 40R4 0C2W  A
2  HE5D FZX7 WRHG  W
3  NHNC W9Z9 X5Y8  P
4  A2YY XFRS DFNP  H
5  88YY JJM0 GNSE  0
6  6G0A 1ART ZGH7  B
`, `1  040G 40R4 0C1A  S
2  SXRJ GQED 34RW  3
3  YY0G JVST 2747  E
4  MTXN R9K4 NZ6X  Z
5  P0PS A1QT CQ6A  3
6  1EJP A7JS VG9F  B
`, `1  040G 40R4 0C1T  2
2  CZ5G GKBN FGW7  8
3  7EPX Q5BN 157B  K
4  0DZG EN5P S6DM  M
5  W65N G259 8TE7  R
6  8QKN 5M2S 3RD8  C
`}
