package invitation

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/omemo/ratchet"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/orgtest"
)

const (
	hospital = "hospital.example"
	alice    = "alice@hospital.example"
	relay    = "wss://relay.hospital.example:5281/ws"
)

var (
	key    = orgtest.New(hospital, "1")
	anchor = org.NewAnchor(key.Key, 0)
	laptop = orgtest.New("device-31415", "laptop")
	person = Person{Address: alice, Name: "Alice Meier", Roles: []string{"physician", "on-call"}, Department: "Cardiology"}
	noon   = orgtest.Noon
	expiry = noon.Add(72 * time.Hour)
	terms  = Terms{PINLength: 10, PINMixed: true, OnlyRelay: true, pins: [MaxPins][PinPrint]byte{{1, 2}, {3}}, count: 2}
)

// identity is the OMEMO identity key of every device here.
var identity, fingerprint = func() (*ratchet.PrivateKey, [32]byte) {
	k := ratchet.PrivateKey(org.HashOf("identity"))
	return &k, k.Public()
}()

func identify(message []byte) ([ratchet.SignatureSize]byte, error) {
	return ratchet.Sign(identity, message), nil
}

func device(k *orgtest.Key) directory.Device {
	return directory.Device{ID: 31415, Fingerprint: fingerprint, Signing: k.Key, Added: noon}
}

// issued is an invitation that was made once for all tests: deriving its keys
// takes 64 MiB and a while.
type issued struct {
	stored []byte // the book
	code   Code
	pin    []byte
	keys   *Keys // with the right PIN
	wrong  *Keys // with another
}

var invite = sync.OnceValue(func() *issued {
	book := NewBook(anchor)
	code, pin, keys, err := book.Issue(person, DefaultContact(alice), relay, terms, noon, expiry)
	if err != nil {
		panic(err)
	}
	i := &issued{code: code, pin: bytes.Clone(pin.Bytes()), keys: keys}
	pin.Destroy()
	if i.wrong, err = code.Keys([]byte("0000-0000")); err != nil {
		panic(err)
	}
	if i.stored, err = book.Append(nil); err != nil {
		panic(err)
	}
	return i
})

// book is the administrator's side, as it comes back from his database.
func (i *issued) book(t testing.TB) *Book {
	t.Helper()
	b, err := ReadBook(anchor, i.stored)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (i *issued) request(t testing.TB, keys *Keys, by *orgtest.Key) ([]byte, org.Hash) {
	t.Helper()
	b, hash, err := keys.Request(i.code, hospital, device(by), by, identify)
	if err != nil {
		t.Fatal(err)
	}
	return b, hash
}

func TestCodeComesBack(t *testing.T) {
	i := invite()
	plain, contact := i.code, i.code
	plain.Relay, plain.Terms = "", Terms{}
	contact.Contact = "admin@clinic.example"
	elsewhere := plain
	elsewhere.Organisation = "group.example"
	for _, c := range []Code{i.code, plain, contact, elsewhere} {
		s := string(c.Append(nil))
		got, err := ParseCode([]byte(s))
		if err != nil || got != c {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
		comma := strings.LastIndexByte(s, ',')
		typed := s[:comma+1] + strings.ToLower(strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(s[comma+1:]))
		if got, err := ParseCode([]byte(" " + typed + "\r\n")); err != nil || got != c {
			t.Errorf("%s: %v", typed, err)
		}
	}
	if s := string(plain.Append(nil)); len(s) != len(alice)+1+47+9 {
		t.Errorf("%s is %d long", s, len(s))
	}
	if !i.code.Names(key.Key) || i.code.Names(orgtest.New(hospital, "2").Key) || i.code.Names(orgtest.New("hospital.example.evil.example", "1").Key) {
		t.Error("it does not name the key")
	}
}

// TestAlteredCode changes each character in turn: none is taken.
func TestAlteredCode(t *testing.T) {
	s := invite().code.Append(nil)
	for i := range s {
		for _, c := range []byte("a7-,@") {
			changed := bytes.Clone(s)
			changed[i] = c
			if got, err := ParseCode(changed); err == nil && got != invite().code {
				t.Errorf("%s is taken", changed)
			}
		}
		if _, err := ParseCode(s[:i]); err == nil {
			t.Errorf("%s is taken", s[:i])
		}
	}
	// What is well formed but mistyped is told from what is none.
	other, bits := bytes.Clone(s), bytes.Clone(s)
	other[0] = 'b'
	bits[len(bits)-1]++ // in bits that are left over
	for _, mistyped := range [][]byte{other, bits, s[:len(s)-1], append(bytes.Clone(s), '0'), bytes.Replace(s, []byte("-"), []byte("!"), 1)} {
		if _, err := ParseCode(mistyped); !errors.Is(err, ErrAltered) {
			t.Errorf("%s: %v", mistyped, err)
		}
	}
	for _, c := range []string{"", ",", "alice@hospital.example", "alice@hospital.example,", "alice@hospital.example,http://x,0", strings.Repeat("x", 5000),
		"alice@hospital.example,ws://relay.example/,04KQX", strings.Replace(string(invite().code.Append(nil)), ",", ",hospital.example,", 1),
		strings.Replace(string(invite().code.Append(nil)), ",", ",clinic,", 1), strings.Replace(string(invite().code.Append(nil)), ",", ",,", 1),
		"alice@hospital.example,wss://user:secret@relay.example/,04KQX"} {
		if _, err := ParseCode([]byte(c)); !errors.Is(err, ErrCode) {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestJoin(t *testing.T) {
	i := invite()
	book := i.book(t)
	request, sent := i.request(t, i.keys, laptop)
	a, err := book.Receive(request, noon.Add(time.Hour))
	if err != nil || a.Answer.Verdict != Welcome || a.Again {
		t.Fatalf("%+v, %v", a, err)
	}
	d := directory.New(hospital, directory.Staff)
	if _, err := d.Sign(key, key.Key, noon, a.Entry(d, noon.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if !d.Vouched(alice, 31415, fingerprint) {
		t.Error("the device is not in the directory")
	}
	e, _ := d.Entry(alice)
	if e.Name != "Alice Meier" || !slices.Equal(e.Roles, []string{"on-call", "physician"}) || !e.Devices[0].Added.Equal(noon.Add(time.Hour)) || e.Devices[0].Signing != laptop.Key {
		t.Errorf("%+v", e)
	}
	b, err := a.Answer.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenAnswer(b, i.code, sent)
	if err != nil || got.Verdict != Welcome || got.Anchor != anchor {
		t.Fatalf("%+v, %v", got, err)
	}

	// Killed before the answer came: the same request again, also after a start of
	// the administrator's program.
	stored, err := book.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	book, err = ReadBook(anchor, stored)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := book.Receive(request, noon.Add(100*time.Hour)); err != nil || a.Answer.Verdict != Welcome || !a.Again {
		t.Errorf("again: %+v, %v", a, err)
	}
	// It asks anew, without having kept what it asked.
	later := device(laptop)
	later.Added = noon.Add(time.Hour)
	if anew, _, err := i.keys.Request(i.code, hospital, later, laptop, identify); err != nil {
		t.Fatal(err)
	} else if a, err := book.Receive(anew, noon); err != nil || a.Answer.Verdict != Welcome || !a.Again {
		t.Errorf("anew: %+v, %v", a, err)
	}
	// Another device, with code and PIN, afterwards.
	late, _ := i.request(t, i.keys, orgtest.New("device-31415", "thief"))
	if a, err := book.Receive(late, noon.Add(time.Hour)); err != nil || a.Answer.Verdict != Used {
		t.Errorf("used: %+v, %v", a, err)
	}
	again, _ := book.Append(nil)
	if !bytes.Equal(stored, again) {
		t.Error("a refused request has changed the book")
	}
}

// TestSecondDevice keeps what is in the directory.
func TestSecondDevice(t *testing.T) {
	i := invite()
	d := directory.New(hospital, directory.Staff)
	phone := directory.Device{ID: 7, Fingerprint: org.HashOf("phone"), Signing: orgtest.New("device-7", "").Key, Added: noon}
	if _, err := d.Sign(key, key.Key, noon, directory.Entry{Address: alice, Name: "Alice", State: directory.Active, Devices: []directory.Device{phone}}); err != nil {
		t.Fatal(err)
	}
	request, _ := i.request(t, i.keys, laptop)
	a, err := i.book(t).Receive(request, noon)
	if err != nil {
		t.Fatal(err)
	}
	e := a.Entry(d, noon)
	if len(e.Devices) != 2 || e.Device(7) == nil || e.Device(31415) == nil {
		t.Errorf("%+v", e.Devices)
	}
}

func TestWrongPIN(t *testing.T) {
	i := invite()
	book := i.book(t)
	right, _ := i.request(t, i.keys, laptop)
	for n := 1; n <= Attempts+1; n++ {
		wrong, sent := i.request(t, i.wrong, laptop)
		a, err := book.Receive(wrong, noon)
		if err != nil {
			t.Fatal(err)
		}
		want, left := WrongPIN, uint64(Attempts-n)
		if n >= Attempts {
			want, left = Void, 0
		}
		if a.Answer.Verdict != want || a.Answer.Left != left {
			t.Errorf("wrong PIN %d: %s with %d left", n, a.Answer.Verdict, a.Answer.Left)
		}
		b, err := a.Answer.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenAnswer(b, i.code, sent); err != nil || got.Verdict != want {
			t.Errorf("%+v, %v", got, err)
		}
		stored, _ := book.Append(nil) // a start does not give attempts back
		if book, err = ReadBook(anchor, stored); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := book.Receive(right, noon); err != nil || a.Answer.Verdict != Void {
		t.Errorf("the right PIN afterwards: %+v, %v", a, err)
	}
}

func TestExpiredAndWithdrawn(t *testing.T) {
	i := invite()
	request, _ := i.request(t, i.keys, laptop)
	if a, err := i.book(t).Receive(request, expiry); err != nil || a.Answer.Verdict != Expired {
		t.Errorf("%+v, %v", a, err)
	}
	book := i.book(t)
	if !book.Withdraw(i.code.ID()) || book.Withdraw("nothing") {
		t.Error("withdrawing")
	}
	if a, err := book.Receive(request, noon); err != nil || a.Answer.Verdict != Void {
		t.Errorf("%+v, %v", a, err)
	}
	book = i.book(t)
	book.Forget(expiry.Add(time.Hour))
	if _, err := book.Receive(request, noon); !errors.Is(err, ErrUnknown) || len(book.All()) != 0 {
		t.Errorf("forgotten: %v", err)
	}
}

// TestHostileRelay is what can be done with a request, and without the code.
func TestHostileRelay(t *testing.T) {
	i := invite()
	request, sent := i.request(t, i.keys, laptop)
	thief := orgtest.New("device-31415", "thief")
	book := i.book(t)
	before, _ := book.Append(nil)
	s, err := org.Peek(request)
	if err != nil {
		t.Fatal(err)
	}
	resign := func(by *orgtest.Key, replace ...string) []byte {
		t.Helper()
		text := strings.NewReplacer(replace...).Replace(s.Text)
		b, err := note.Sign(&note.Note{Text: text}, by)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	mine := device(thief)
	theirs := device(laptop)
	for what, b := range map[string][]byte{
		"another device's keys":         resign(thief, theirs.String(), mine.String()),
		"the same by another device":    resign(thief),
		"another fingerprint":           resign(laptop, org.Hash(fingerprint).String(), org.HashOf("relay").String()),
		"another address":               resign(laptop, "address: alice", "address: mallory"),
		"another invitation":            resign(laptop, i.code.ID(), "0123456789abcdef"),
		"another organisation":          resign(laptop, "organisation: hospital", "organisation: clinic"),
		"without the code":              resign(laptop, "code: ", "code: 00", "\npin: ", "\npin: "),
		"no request":                    []byte("hello\n"),
		"a statement of the hospital's": func() []byte { b, _ := org.Seal("sotto head v1\norganisation: hospital.example\n", key); return b }(),
	} {
		if a, err := book.Receive(b, noon); err == nil {
			t.Errorf("%s: %+v", what, a.Answer.Verdict)
		}
	}
	// Who was invited joins with nobody else's OMEMO key.
	bobs := device(laptop)
	bobs.Fingerprint = org.HashOf("Bob's")
	if b, _, err := i.keys.Request(i.code, hospital, bobs, laptop, identify); err != nil {
		t.Fatal(err)
	} else if _, err := book.Receive(b, noon); !errors.Is(err, org.ErrSignature) {
		t.Errorf("with another's OMEMO key: %v", err)
	}
	// Nor as somebody else.
	other := i.code
	other.Address = "mallory@hospital.example"
	if b, _, err := i.keys.Request(other, hospital, device(laptop), laptop, identify); err != nil {
		t.Fatal(err)
	} else if _, err := book.Receive(b, noon); !errors.Is(err, ErrForged) {
		t.Errorf("as somebody else: %v", err)
	}
	orgtest.Tamper(t, request, func(b []byte) error {
		a, err := i.book(t).Receive(b, noon)
		if err == nil && a.Answer.Verdict != Welcome {
			return errors.New("refused")
		}
		return err
	})
	// None of it has used up an attempt, or anything else.
	if after, _ := book.Append(nil); !bytes.Equal(before, after) {
		t.Error("somebody without the code has changed the book")
	}
	// Who has found the code guesses with a request that is right up to the PIN.
	guess := resign(laptop, s.Text[strings.Index(s.Text, "pin: "):], "pin: "+org.HashOf("guess").String()+"\n")
	if a, err := book.Receive(guess, noon); err != nil || a.Answer.Verdict != WrongPIN {
		t.Errorf("a guess: %+v, %v", a, err)
	}

	// Answers that are not the hospital's, or not to this.
	answer := Answer{Invitation: i.code.ID(), Request: sent, Verdict: Welcome, Issued: noon, Anchor: anchor}
	good, err := answer.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	orgtest.Tamper(t, good, func(b []byte) error { _, err := OpenAnswer(b, i.code, sent); return err })
	pretender := orgtest.New(hospital, "relay")
	forged := answer
	forged.Anchor = org.NewAnchor(pretender.Key, 0)
	b, err := forged.Sign(pretender)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAnswer(b, i.code, sent); !errors.Is(err, ErrOtherKey) {
		t.Errorf("another organisation's answer: %v", err)
	}
	if b, err = answer.Sign(pretender); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAnswer(b, i.code, sent); !errors.Is(err, org.ErrSignature) {
		t.Errorf("another's signature beneath the hospital's key: %v", err)
	}
	if _, err := OpenAnswer(good, i.code, org.HashOf("another request")); !errors.Is(err, org.ErrSignature) {
		t.Errorf("the answer to another request: %v", err)
	}
}

// TestPassword holds that the first password is the same on both sides, different
// for each PIN, and says nothing about the other keys.
func TestPassword(t *testing.T) {
	i := invite()
	keys, err := i.code.Keys(bytes.ToLower(bytes.ReplaceAll(i.pin, []byte("-"), []byte(" "))))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	mine, theirs, other := keys.Password(), i.keys.Password(), i.wrong.Password()
	defer mine.Destroy()
	defer theirs.Destroy()
	defer other.Destroy()
	if !bytes.Equal(mine.Bytes(), theirs.Bytes()) || bytes.Equal(mine.Bytes(), other.Bytes()) || mine.Size() != 26 {
		t.Errorf("%q and %q", mine.Bytes(), theirs.Bytes())
	}
	for _, b := range [][]byte{nil, []byte("1234"), []byte("7KQX-M2PDA"), []byte("7KQX-M2P!"), []byte("7KQXUM2P"), i.pin[:8]} {
		if _, err := i.code.Keys(b); !errors.Is(err, ErrPIN) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	for what, f := range map[string]func(p *Person, contact, relay *string, expires *time.Time){
		"no address":       func(p *Person, _, _ *string, _ *time.Time) { p.Address = "alice" },
		"no name":          func(p *Person, _, _ *string, _ *time.Time) { p.Name = "" },
		"a control":        func(p *Person, _, _ *string, _ *time.Time) { p.Name = "A\x1b]0;x\a" },
		"no role":          func(p *Person, _, _ *string, _ *time.Time) { p.Roles = []string{"On Call"} },
		"no relay":         func(_ *Person, _, r *string, _ *time.Time) { *r = "https://relay.example" },
		"a relay in clear": func(_ *Person, _, r *string, _ *time.Time) { *r = "ws://relay.example" },
		"no contact":       func(_ *Person, c, _ *string, _ *time.Time) { *c = "" },
		"a year":           func(_ *Person, _, _ *string, e *time.Time) { *e = noon.Add(366 * 24 * time.Hour) },
		"over":             func(_ *Person, _, _ *string, e *time.Time) { *e = noon },
	} {
		p, contact, r, expires := person, "admin@hospital.example", relay, expiry
		f(&p, &contact, &r, &expires)
		if _, _, _, err := NewBook(anchor).Issue(p, contact, r, Terms{}, noon, expires); err == nil {
			t.Errorf("%s: invited", what)
		}
	}
}

func FuzzCode(f *testing.F) {
	c := Code{Address: alice, Organisation: hospital, Contact: DefaultContact(alice), Relay: relay, Terms: terms}
	f.Add(c.Append(nil))
	c.Relay, c.Contact, c.Terms = "", "admin@clinic.example", Terms{PINLength: 64}
	f.Add(c.Append(nil))
	c.carries = true
	f.Add(c.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCode(b)
		if err != nil {
			return
		}
		again, err := ParseCode(c.Append(nil))
		if err != nil || again != c {
			t.Errorf("%q comes back as %q, %v", b, again.Append(nil), err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	q := &request{organisation: hospital, invitation: "0123456789abcdef", address: alice, device: device(laptop)}
	f.Add(q.text())
	a := Answer{Invitation: "0123456789abcdef", Verdict: Welcome, Issued: noon, Anchor: anchor}
	f.Add(a.text())
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := org.Seal(text, laptop); err == nil {
			if q, err := openRequest(b, hospital); err == nil && q.text() != text {
				t.Errorf("%q is written %q", text, q.text())
			}
			_, _ = NewBook(anchor).Receive(b, noon)
		}
		if b, err := org.Seal(text, key); err == nil {
			_, _ = OpenAnswer(b, Code{Address: alice}, org.Hash{})
		}
		_, _ = ReadBook(anchor, []byte(text))
	})
}

// TestOutdated: with a code that names the key before, nobody comes in; who tries is
// known, if he has the code; and the device can find out.
func TestOutdated(t *testing.T) {
	i, book, next := invite(), invite().book(t), orgtest.New(hospital, "2")
	rotation := org.Rotation{Number: 1, Issued: noon, From: key.Key, To: next.Key}
	note, err := rotation.Sign(key, next)
	if err != nil {
		t.Fatal(err)
	}
	after, err := anchor.Follow(note)
	if err != nil {
		t.Fatal(err)
	}
	book = book.Renewed(after)
	request, sent := i.request(t, i.keys, laptop)
	before, code, _ := strings.Cut(peek(t, request), "\ncode: ")
	digit := "0"
	if code[0] == '0' {
		digit = "1"
	}
	forged, err := org.Seal(before+"\ncode: "+digit+code[1:], laptop)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if all := book.All(); len(all) != 1 || all[0].Open(noon) || !all[0].Outdated {
			t.Errorf("%+v", all)
		}
		if _, err := book.Receive(request, noon); !errors.Is(err, ErrOutdated) {
			t.Errorf("%v", err)
		}
		if _, err := book.Receive(forged, noon); !errors.Is(err, ErrForged) {
			t.Errorf("without the code: %v", err)
		}
		stored, err := book.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if book, err = ReadBook(after, stored); err != nil {
			t.Fatal(err)
		}
	}
	asked := i.code.Asked(sent)
	other := orgtest.New(hospital, "relay")
	rotation.From = other.Key
	pretended, err := rotation.Sign(other, next)
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Replace(note, []byte("number: 1"), []byte("number: 2"), 1)
	for what, b := range map[string][]byte{"another key's": pretended, "changed": cut, "a request": request, "nothing": nil} {
		if asked.Replaced(b, hospital) {
			t.Errorf("%s counts", what)
		}
	}
	if !asked.Replaced(note, hospital) || asked.Replaced(note, "clinic.example") {
		t.Error("the change of the key is not known")
	}
}

// peek returns the text of a statement.
func peek(t testing.TB, note []byte) string {
	t.Helper()
	s, err := org.Peek(note)
	if err != nil {
		t.Fatal(err)
	}
	return s.Text
}
