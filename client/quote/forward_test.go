package quote

import "testing"

func TestForward(t *testing.T) {
	for _, x := range []struct{ body, comment, want string }{
		{"Hold it.\n\nECG?\n", "", "[forwarded] okafor@mercy.example, 21 Nov:\n> Hold it.\n>\n> ECG?"},
		{"!stat Come", "!stat please go\n", "!stat please go\n[forwarded] okafor@mercy.example, 21 Nov:\n> !stat Come"},
		{"[forwarded] a, b:\n> x", "", "[forwarded] okafor@mercy.example, 21 Nov:\n> [forwarded] a, b:\n> > x"},
	} {
		got := Forward("okafor@mercy.example", "21 Nov", x.body, x.comment)
		if got != x.want || !IsForward(got) {
			t.Errorf("%q becomes %q", x.body, got)
		}
	}
	if got := Forward("a\n> b", "now", "x", ""); got != "[forwarded] a > b, now:\n> x" {
		t.Errorf("an author with a line end: %q", got)
	}
	if IsForward("Was this [forwarded] by you?") {
		t.Error("a text that speaks of it is taken for one")
	}
}
