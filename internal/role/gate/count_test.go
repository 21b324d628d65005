package gate

import (
	"strings"
	"testing"

	"sotto/internal/role"
	"sotto/keystore"
)

func TestCount(t *testing.T) {
	const other = "The connection process ended."
	for _, c := range []struct {
		tried, limit   int
		note           string
		words, warning string
	}{
		{0, 10, "", "", ""},
		{0, 10, other, other, ""},
		{1, 10, role.WrongPIN, role.WrongPIN, ""},
		{2, 10, role.WrongPIN, role.WrongPIN + " 2 wrong in a row.", ""},
		{4, 10, role.WrongPIN, role.WrongPIN + " 4 wrong in a row.", ""},
		{1, 10, "", "", "The last PIN that was tried here was wrong."},
		{4, 10, other, other, "The last 4 PINs that were tried here were wrong."},
		{5, 10, role.WrongPIN, role.WrongPIN, "5 wrong PINs. After 5 more this vault destroys itself; messages here can then not be read any more. If you forgot the PIN, ask your administrator."},
		{9, 10, "", "", "9 wrong PINs. After 1 more this vault destroys itself; messages here can then not be read any more. If you forgot the PIN, ask your administrator."},
		{50, 0, role.WrongPIN, role.WrongPIN + " 50 wrong in a row.", ""}, // it never destroys itself
	} {
		words, warning := count(keystore.Status{Tried: c.tried, DestroyAfter: c.limit}, c.note)
		if words != c.words || warning != c.warning {
			t.Errorf("%d of %d after %q: %q, %q", c.tried, c.limit, c.note, words, warning)
		}
	}
}

// What is about to happen is the last to go where there is little room.
func TestWarningStays(t *testing.T) {
	v := sample()
	v.note = role.WrongPIN + " And the relay says something long about itself that takes more than one row to say."
	_, v.warning = count(keystore.Status{Tried: 9, DestroyAfter: 10}, role.WrongPIN)
	for _, height := range []int{24, 7} {
		rows, _, _ := v.rows(80, height)
		screen := strings.Join(rows, " ")
		for _, want := range []string{"9 wrong PINs. After 1 more", "destroys itself", "administrator."} {
			if !strings.Contains(screen, want) {
				t.Errorf("no %q in %d rows:\n%s", want, height, strings.Join(rows, "\n"))
			}
		}
	}
}
