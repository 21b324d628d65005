package invitation

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/orgtest"
)

// TestFurtherDevice joins two devices: the first makes the account's password, and
// the code for the second carries it, so that nothing changes for the first.
func TestFurtherDevice(t *testing.T) {
	i := invite()
	book := i.book(t)
	password := NewPassword()
	defer password.Destroy()
	request, sent, err := i.keys.RequestWith(password.Bytes(), i.code, hospital, device(laptop), laptop, identify)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(request, password.Bytes()) {
		t.Error("the password stands in the request")
	}
	if book.HasPassword(alice) {
		t.Error("the password is known before it was told")
	}
	a, err := book.Receive(request, noon)
	if err != nil || a.Answer.Verdict != Welcome || !book.HasPassword(alice) {
		t.Fatalf("%+v, %v", a, err)
	}
	answer, err := a.Answer.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	// What the device remembers of its request is enough to know the answer.
	asked := i.code.Asked(sent)
	var w org.Writer
	asked.Write(&w)
	r := org.NewLines(w.String())
	if again := ReadAsked(r); again != asked || r.End() != nil {
		t.Errorf("%+v came back as %+v, %v", asked, again, r.Err())
	}
	if got, err := asked.Answer(answer); err != nil || got.Verdict != Welcome {
		t.Errorf("%+v, %v", got, err)
	}

	stored, err := book.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if book, err = ReadBook(anchor, stored); err != nil {
		t.Fatal(err)
	}
	book = book.Renewed(anchor) // a change of the key loses no password
	code, pin, keys, err := book.Issue(person, DefaultContact(alice), relay, terms, noon, expiry)
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Destroy()
	defer keys.Destroy()
	if !code.Carries() || bytes.Contains(code.Append(nil), password.Bytes()) {
		t.Errorf("%s", code.Append(nil))
	}
	if p := keys.Password(); !p.EqualTo(password.Bytes()) {
		t.Error("the organisation has another password for the account")
	}
	given, err := ParseCode(code.Append(nil))
	if err != nil || given != code {
		t.Fatalf("%+v, %v", given, err)
	}
	phone, err := given.Keys(pin.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Destroy()
	if p := phone.Password(); !p.EqualTo(password.Bytes()) {
		t.Error("the second device gets another password")
	}
	wrong, err := given.Keys([]byte("0000-0000"))
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Destroy()
	if p := wrong.Password(); p.EqualTo(password.Bytes()) {
		t.Error("the password is there without the PIN")
	}
	second := device(orgtest.New("device-7", "phone"))
	second.ID = 7
	request, _, err = phone.RequestWith(password.Bytes(), given, hospital, second, orgtest.New("device-7", "phone"), identify)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := book.Receive(request, noon); err != nil || a.Answer.Verdict != Welcome {
		t.Errorf("%+v, %v", a, err)
	}

	book.ForgetPassword(alice)
	code, pin, keys, err = book.Issue(person, DefaultContact(alice), relay, terms, noon, expiry)
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Destroy()
	defer keys.Destroy()
	if p := keys.Password(); code.Carries() || p.EqualTo(password.Bytes()) {
		t.Error("a password that was to be forgotten is given away")
	}
}

// TestPasswordIsNotPlayedBack holds that nobody but the device, once, says what the
// password is.
func TestPasswordIsNotPlayedBack(t *testing.T) {
	i := invite()
	told, later := NewPassword(), NewPassword()
	defer told.Destroy()
	defer later.Destroy()
	ask := func(keys *Keys, password []byte) []byte {
		b, _, err := keys.RequestWith(password, i.code, hospital, device(laptop), laptop, identify)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	book := i.book(t)
	for _, wrong := range [][]byte{ask(i.wrong, told.Bytes()), ask(i.keys, []byte("hunter2")), ask(i.keys, bytes.ToLower(told.Bytes()))} {
		if _, err := book.Receive(wrong, noon); err != nil || book.HasPassword(alice) {
			t.Errorf("a password is known from what tells none, %v", err)
		}
	}
	book = i.book(t)
	if _, err := book.Receive(ask(i.keys, told.Bytes()), noon); err != nil {
		t.Fatal(err)
	}
	before, _ := book.Append(nil)
	if a, err := book.Receive(ask(i.keys, later.Bytes()), noon); err != nil || !a.Again {
		t.Errorf("%+v, %v", a, err)
	}
	if after, _ := book.Append(nil); !bytes.Equal(before, after) {
		t.Error("a request that comes again has changed the password")
	}
	for what, lines := range map[string]string{
		"short":    "account: " + alice + "\npassword: 00\n",
		"no hex":   "account: " + alice + "\npassword: " + strings.Repeat("x", 32) + "\n",
		"nobody's": "password: " + strings.Repeat("0", 32) + "\n",
		"twice":    strings.Repeat("account: "+alice+"\npassword: "+strings.Repeat("0", 32)+"\n", 2),
	} {
		if _, err := ReadBook(anchor, []byte(lines)); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}

func TestTicket(t *testing.T) {
	i := invite()
	ticket := i.keys.Ticket(i.code)
	defer ticket.Destroy()
	code, keys, err := ReadTicket(ticket.Bytes())
	if err != nil || code != i.code {
		t.Fatalf("%+v, %v", code, err)
	}
	defer keys.Destroy()
	request, sent, err := keys.Request(code, hospital, device(laptop), laptop, identify)
	if err != nil {
		t.Fatal(err)
	}
	a, err := i.book(t).Receive(request, noon.Add(time.Hour))
	if err != nil || a.Answer.Verdict != Welcome || a.Answer.Request != sent {
		t.Errorf("%+v, %v", a, err)
	}
	for n := range ticket.Size() {
		if _, _, err := ReadTicket(ticket.Bytes()[:n]); err == nil {
			t.Errorf("the first %d bytes of a ticket are one", n)
		}
	}
	if _, _, err := ReadTicket(make([]byte, MaxTicket+1)); !errors.Is(err, ErrCode) {
		t.Errorf("%v", err)
	}
	if CheckPIN(i.pin) != nil || !errors.Is(CheckPIN([]byte("7KQX-M2P")), ErrPIN) {
		t.Error("checking PINs")
	}
}
