package main

import "testing"

func TestFolded(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"fits well.", 10, "fits well."},
		{"one two three", 8, "one two\nthree"},
		{"one two three", 7, "one two\nthree"},
		{"a --profile  b", 9, "a\n--profile\n b"},
		{"/a/long/path is long", 5, "/a/long/path\nis\nlong"},
		{"first\nsecond one", 7, "first\nsecond\none"},
		{"wörter breit", 7, "wörter\nbreit"},
	} {
		if got := folded(c.text, c.width); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}
