package recovery

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"

	"sotto/keystore/shares"
)

// TestSameAsAge holds the own Bech32 to age's, both ways.
func TestSameAsAge(t *testing.T) {
	for range 200 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseText([]byte(id.String()))
		if err != nil {
			t.Fatal(err)
		}
		text := k.Text()
		if string(text.Bytes()) != id.String() {
			t.Errorf("%s became %s", id, text.Bytes())
		}
		text.Destroy()
		if r, err := k.Recipient(); err != nil || r != id.Recipient().String() || CheckRecipient(r) != nil {
			t.Errorf("recipient %s, %v; age says %s", r, err, id.Recipient())
		}
		k.Destroy()
	}
}

func TestKeyOpens(t *testing.T) {
	k := New()
	defer k.Destroy()
	name, err := k.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.ParseX25519Recipient(name)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, _ := age.Encrypt(&b, r)
	io.WriteString(w, "hello")
	w.Close()
	id, err := k.Identity()
	if err != nil {
		t.Fatal(err)
	}
	out, err := age.Decrypt(&b, id)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(out); string(got) != "hello" {
		t.Errorf("decrypted %q", got)
	}
}

func TestWrongText(t *testing.T) {
	k := New()
	defer k.Destroy()
	l := k.Text()
	defer l.Destroy()
	good := string(l.Bytes())
	try := func(s string) error {
		k, err := ParseText([]byte(s))
		if k != nil {
			k.Destroy()
		}
		return err
	}
	if try(good) != nil || try(strings.ToLower(good)) != nil {
		t.Fatal("it is not taken as it is")
	}
	for i := range good {
		for _, c := range "QPZRY9X8B1" {
			if byte(c) != good[i] && try(good[:i]+string(c)+good[i+1:]) == nil {
				t.Errorf("with %c at %d it is taken", c, i)
			}
		}
	}
	for _, bad := range []string{"", good + "Q", good[:len(good)-1], "AGE-SECRET-KEY-1", strings.Repeat("q", 74)} {
		if try(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, bad := range []string{"", "age1", "AGE1", good, "age1pq1qqqq", strings.Repeat("a", 1000), "age1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"} {
		if CheckRecipient(bad) == nil {
			t.Errorf("%q is a recipient", bad)
		}
	}
}

func sheets(t testing.TB, k *Key, need, of int) (all []string) {
	t.Helper()
	set, err := k.Split(need, of)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Destroy()
	name, _ := k.Recipient()
	for n := range set.Len() {
		all = append(all, Sheet{"hospital.example", name, n + 1, of, need}.Heading()+string(set.AppendText(make([]byte, 0, shares.TextSize), n)))
	}
	return all
}

func TestReader(t *testing.T) {
	k := New()
	defer k.Destroy()
	all := sheets(t, k, 2, 3)
	text := k.Text()
	defer text.Destroy()

	same := func(what string, got *Key) {
		t.Helper()
		if got == nil {
			t.Errorf("%s: no key", what)
			return
		}
		defer got.Destroy()
		if !got.Secret().EqualTo(k.Secret().Bytes()) {
			t.Errorf("%s: another key", what)
		}
	}
	for what, files := range map[string][]string{
		"a key":              {"# created: today\n# public key: age1xyz\n" + string(text.Bytes()) + "\n"},
		"a key and no end":   {string(text.Bytes())},
		"two shares":         {all[2], all[0]},
		"shares in one file": {all[1] + "\n" + all[2]},
	} {
		var r Reader
		for i, f := range files {
			complete, err := r.File(strings.NewReader(f))
			if err != nil || complete != (i == len(files)-1) {
				t.Errorf("%s, file %d: %v, %v", what, i, complete, err)
			}
		}
		same(what, r.Key())
		r.Destroy()
	}

	// typed, with mistakes
	var r Reader
	defer r.Destroy()
	if _, err := r.Line([]byte("AGE-SECRET-KEY-1QQQ")); !errors.Is(err, ErrText) {
		t.Errorf("half a key: %v", err)
	}
	if _, err := r.Line([]byte("hello")); err == nil || r.Prompt() != "Recovery key, or row 1 of a share" {
		t.Errorf("nonsense: %v, then %q", err, r.Prompt())
	}
	want := 0
	for _, sheet := range all[:2] {
		for _, line := range strings.Split(sheet, "\n") {
			if !isRow([]byte(line)) {
				continue
			}
			var bad *shares.RowError
			if _, err := r.Line([]byte("9999 9999 9999 9")); !errors.As(err, &bad) {
				t.Errorf("a wrong row: %v", err)
			}
			complete, err := r.Line([]byte(line))
			want++
			if err != nil || complete != (want == 2*shares.Rows) {
				t.Fatalf("line %d: %v, %v", want, complete, err)
			}
			if want == 8 && r.Prompt() != "Share 2 of 2, row 3" {
				t.Errorf("prompt %q", r.Prompt())
			}
		}
	}
	same("typed", r.Key())

	for what, f := range map[string]string{
		"nothing": "", "words": "hello\nworld\n", "half a share": all[0][:strings.Index(all[0], "\n4  ")], "a long line": strings.Repeat("x", 5000),
	} {
		var r Reader
		if complete, err := r.File(strings.NewReader(f)); complete || err == nil {
			t.Errorf("%s: %v, %v", what, complete, err)
		}
		r.Destroy()
	}
	one := shareOf(t, all[0])
	defer one.Destroy()
	if c, err := one.File(strings.NewReader(all[0])); c || !errors.Is(err, shares.ErrTwice) {
		t.Errorf("the same share twice: %v, %v", c, err)
	}
}

func shareOf(t testing.TB, sheet string) *Reader {
	t.Helper()
	r := new(Reader)
	if _, err := r.File(strings.NewReader(sheet)); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMadeUpShare has a share with a right checksum that nobody has made.
func TestMadeUpShare(t *testing.T) {
	k, other := New(), New()
	defer k.Destroy()
	defer other.Destroy()
	id, _ := k.id()
	forged, err := shares.Split(other.secret, id, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer forged.Destroy()
	r := shareOf(t, sheets(t, k, 2, 2)[0])
	defer r.Destroy()
	if c, err := r.File(bytes.NewReader(forged.AppendText(make([]byte, 0, shares.TextSize), 1))); c || !errors.Is(err, ErrShares) {
		t.Errorf("%v, %v", c, err)
	}
}

func FuzzReader(f *testing.F) {
	k := New()
	f.Add([]byte(sheets(f, k, 2, 2)[0]))
	f.Add(bytes.Clone(k.Text().Bytes()))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Reader
		defer r.Destroy()
		if complete, err := r.File(bytes.NewReader(b)); complete {
			if err != nil {
				t.Error(err)
			}
			k := r.Key()
			if _, err := k.Recipient(); err != nil {
				t.Error(err)
			}
			k.Destroy()
		}
		_ = CheckRecipient(string(b))
	})
}
