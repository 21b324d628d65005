package quote

import (
	"strings"
	"testing"
)

func TestJoinAndSplit(t *testing.T) {
	long := strings.Repeat("Potassium 6.8 and rising. ", 20)
	for _, x := range []struct{ original, answer, want, mark, rest string }{
		{"Bed 9?", "Coming.", "> Bed 9?\nComing.", "", "Coming."},
		{"!stat Calcium now\nand again", "!ack", "!ack\n> Calcium now and again", "!ack", ""},
		{"Bed 9?", "!STAT come", "!stat\n> Bed 9?\ncome", "!stat", "come"},
		{"> Bed 9?\nComing.", "When?", "> Coming.\nWhen?", "", "When?"},
		{"> Bed 9?", "Yes", "> > Bed 9?\nYes", "", "Yes"},
		{"!ack", "good", "> !ack\ngood", "", "good"},
	} {
		body := Join(x.original, x.answer)
		if body != x.want {
			t.Errorf("an answer to %q: %q, want %q", x.original, body, x.want)
		}
		mark, quoted, rest := Split(body)
		if mark != x.mark || rest != x.rest {
			t.Errorf("%q splits into %q, %q, %q", body, mark, quoted, rest)
		}
		if x.original != "!ack" && !Matches(quoted, x.original) {
			t.Errorf("%q does not match %q", quoted, x.original)
		}
	}
	_, quoted, _ := Split(Join(long, "yes"))
	if !Matches(quoted, long) || Matches(quoted, strings.Replace(long, "6.8", "3.8", 1)) {
		t.Errorf("a long text is quoted as %q", quoted)
	}
	if n := len([]rune(quoted)); n > most+2 {
		t.Errorf("%d characters are quoted", n)
	}
}

func TestMatches(t *testing.T) {
	for _, x := range []struct {
		quoted, body string
		want         bool
	}{
		{"Give 10 mg", "Give 10 mg", true},
		{"!stat Give 10 mg", "!stat  Give\n10 mg", true}, // as other clients quote it
		{"Give 10 mg", "Give 20 mg", false},
		{"Give", "Give 10 mg", false},
		{"…", "Give 10 mg", false},
		{" …", "Give 10 mg", false},
		{"Give …", "Give 10 mg", false},
		{"", "", false},
		{"", "Give 10 mg", false},
		{"!ack", "", false},
	} {
		if got := Matches(x.quoted, x.body); got != x.want {
			t.Errorf("%q, %q: %v", x.quoted, x.body, got)
		}
	}
}

func TestWithout(t *testing.T) {
	for _, x := range []struct{ answer, body, want string }{
		{"> Give 10 mg\nyes", "Give 10 mg", "> [taken back]\nyes"},
		{"!ack\n> Give 10 mg", "!stat Give 10 mg", "!ack\n> [taken back]"},
		{"> Give 20 mg\nyes", "Give 10 mg", ""},
		{"Give 10 mg", "Give 10 mg", ""},
	} {
		got, ok := Without(x.answer, x.body, TakenBack)
		if ok != (x.want != "") || ok && got != x.want {
			t.Errorf("%q without %q: %q, %v", x.answer, x.body, got, ok)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("!stat Give 10 mg", "!ack\n> Give 10 mg\nyes")
	f.Add("> a\n>> b", ">\n>\n")
	f.Fuzz(func(t *testing.T, original, answer string) {
		body := Join(original, answer)
		if line := Of(original); line != "" {
			if _, quoted, _ := Split(body); strings.Count(line, "\n") > 0 || quoted == "" {
				t.Errorf("an answer to %q quotes nothing: %q", original, body)
			}
		}
		if out, ok := Without(answer, original, Expired); ok {
			if _, quoted, _ := Split(out); !strings.HasPrefix(quoted, "[expired]") {
				t.Errorf("%q is left in %q", quoted, out)
			}
		}
		one, _ := Without(answer, original, Expired)
		if set, _ := NewSet("another", original, "!stat "+original).Without(answer, Expired); set != one {
			t.Errorf("a set makes %q of %q, and one text %q", set, answer, one)
		}
	})
}
