package gate

import (
	"strings"
	"testing"

	"github.com/awnumar/memguard"
)

func TestRulesForPINs(t *testing.T) {
	mixed := rules{length: 8, mixed: true}
	for _, x := range []struct {
		r    rules
		pin  string
		want string // part of why it is refused; "" if it is taken
	}{
		{rules{}, "739251", ""},
		{rules{}, "7392", "too short"},
		{rules{length: 8}, "739251", "asks for 8 characters or more"},
		{rules{length: 8}, "73925164", ""},
		{mixed, "73925164", "asks for 8 characters or more, letters and digits among them"},
		{mixed, "kqxvbnmw", "not mixed"},
		{mixed, "k7q", "too short"},
		{mixed, "kq7xvb2n", ""},
		{mixed, "7392516!", "not mixed"}, // a sign is no letter
		{mixed, "[7392516", "not mixed"}, // nor is what stands between the letters
		{mixed, "abcdefg1", ""},
		{mixed, "password", "not mixed"},
		{rules{length: 6, mixed: true}, "qwerty123", "everybody tries"},
		{rules{}, "old PIN 5", "as it was"},
	} {
		pin, old := buffer(x.pin), buffer("old PIN 5")
		err := x.r.refuses(pin, old)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v of %q: %v, want %q", x.r, x.pin, err, x.want)
		}
		if err != nil && strings.Contains(err.Error(), x.pin) {
			t.Errorf("the error has the PIN in it: %v", err)
		}
	}
	if w := (rules{length: 4}).words(); w != "6 characters or more" {
		t.Errorf("words: %q", w)
	}
}

func buffer(s string) *memguard.LockedBuffer {
	b := memguard.NewBuffer(len(s))
	b.Copy([]byte(s))
	return b
}
