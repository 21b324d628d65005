package tui

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// edited types into a composer: words in <> are keys, | is where the cursor
// ends up in the answer.
func edited(c *composer, input string) string {
	for input != "" {
		if end := strings.IndexByte(input, '>'); input[0] == '<' && end > 0 {
			switch key := input[1:end]; key {
			case "up":
				c.up(ansi.GraphemeWidth)
			case "down":
				c.down(ansi.GraphemeWidth)
			default:
				c.edit(ansi.GraphemeWidth, key)
			}
			input = input[end+1:]
			continue
		}
		n, _ := cluster(ansi.GraphemeWidth, input)
		c.typed(input[:n])
		input = input[n:]
	}
	return string(c.runes[:c.at]) + "|" + string(c.runes[c.at:])
}

func TestEditing(t *testing.T) {
	for input, want := range map[string]string{
		"abc<ctrl+a>x<ctrl+e>y":                              "xabcy|",
		"abc<left><left>x":                                   "ax|bc",
		"abc<ctrl+b><ctrl+f>x":                               "abcx|",
		"one two three<alt+b><alt+b>x":                       "one x|two three",
		"one two<ctrl+a><alt+f>x":                            "onex| two",
		"one two-three<ctrl+w>":                              "one |",
		"one two-three<alt+backspace>":                       "one two-|",
		"one two<ctrl+a><alt+d>":                             "| two",
		"one two<alt+b><ctrl+u>":                             "|two",
		"one two<alt+b><alt+k>":                              "one |",
		"one two<ctrl+w><ctrl+a><ctrl+y>":                    "two|one ",
		"ab<ctrl+t>":                                         "ba|",
		"abc<ctrl+b><ctrl+t>":                                "acb|",
		"abc<backspace><ctrl+h>":                             "a|",
		"abc<home><delete><ctrl+d>":                          "|c",
		"<backspace><delete><ctrl+w><ctrl+u><ctrl+y><right>": "|",
		"a<ctrl+j>b<ctrl+j>c<ctrl+a>x":                       "a\nb\nx|c",
		"ab<ctrl+j>cd<up>x":                                  "abx|\ncd",
		"abc<ctrl+j>d<up>x":                                  "ax|bc\nd",
		"a<ctrl+j>bcd<up><up><down><end>x":                   "a\nbcdx|",
		"a<ctrl+j><ctrl+j>b<ctrl+a><backspace>":              "a\n|b",
		"e\u0301👨‍👩x<left><left>y":                           "e\u0301👨y|👩x", // the joiner falls away, the parts stay
		"e\u0301<backspace>":                                 "|",
		"長い<left>x":                                          "長x|い",
	} {
		var c composer
		if got := edited(&c, input); got != want {
			t.Errorf("%q gives %q, want %q", input, got, want)
		}
		if c.bytes != len(c.String()) {
			t.Errorf("%q: counted %d bytes of %d", input, c.bytes, len(c.String()))
		}
	}
}

func TestBufferIsBoundedAndWiped(t *testing.T) {
	var b buffer
	if !b.insert(strings.Repeat("é", maxDraft/2)) || b.bytes != maxDraft {
		t.Fatalf("%d bytes have no room", b.bytes)
	}
	if b.insert("x") || b.bytes != maxDraft {
		t.Error("more than the bound has room")
	}
	memory := b.runes[:cap(b.runes)]
	b.wipe()
	for i, r := range memory {
		if r != 0 {
			t.Fatalf("rune %d is left after wiping", i)
		}
	}
	b.set("secret")
	memory = b.runes[:cap(b.runes)]
	b.kill(0, 6)
	b.insert(strings.Repeat("x", cap(b.runes)+1))
	if strings.Contains(string(memory), "s") {
		t.Error("growing leaves text behind")
	}
	b.wipeAll()
	if b.yank(); !b.empty() {
		t.Error("what was killed is left after wiping")
	}
}

func TestComposerLayout(t *testing.T) {
	for _, tc := range []struct {
		text string
		w    int
		want string // rows, the cursor as |
	}{
		{"", 10, "|"},
		{"abc", 10, "abc|"},
		{"one two three", 8, "one two /three|"},
		{"abcdefgh", 8, "abcdefgh|"},
		{"abcdefghi", 8, "abcdefgh/i|"},
		{"one two ", 8, "one two |"},
		{"one two x", 8, "one two /x|"},
		{"a\nb\n", 8, "a/b/|"},
		{"長い言葉", 5, "長い/言葉|"},
	} {
		var c composer
		c.set(tc.text)
		rows, x, y := c.layout(ansi.GraphemeWidth, tc.w)
		for n := range rows {
			if n == y {
				i, used := 0, 0
				for used < x && i < len(rows[n]) {
					l, cw := cluster(ansi.GraphemeWidth, rows[n][i:])
					used += cw
					i += l
				}
				rows[n] = rows[n][:i] + "|" + rows[n][i:]
			}
		}
		if got := strings.Join(rows, "/"); got != tc.want {
			t.Errorf("%q in %d columns is %q, want %q", tc.text, tc.w, got, tc.want)
		}
	}
}

// FuzzComposer holds the composer's rules under any input: nothing is lost
// between the rows, the cursor stays on the screen, the bound holds.
func FuzzComposer(f *testing.F) {
	f.Add("one two three\nfour", 8, 3)
	f.Add("長い言葉 👍 e\u0301", 3, 2)
	f.Add(strings.Repeat("x ", 100), 7, 50)
	f.Fuzz(func(t *testing.T, s string, w, at int) {
		w = min(max(w, 2), 200)
		var c composer
		c.paste(s)
		for range min(max(at, 0), 50) {
			c.edit(ansi.WcWidth, "left")
		}
		rows, x, y := c.layout(ansi.WcWidth, w)
		if x < 0 || x > w || y < 0 || y >= len(rows) {
			t.Fatalf("the cursor of %q in %d columns is at %d,%d of %d rows", s, w, x, y, len(rows))
		}
		joined := strings.ReplaceAll(strings.Join(rows, ""), "\n", "")
		if want := strings.ReplaceAll(c.String(), "\n", ""); joined != want {
			t.Fatalf("the rows hold %q, want %q", joined, want)
		}
		for _, key := range []string{"ctrl+w", "ctrl+y", "alt+b", "alt+d", "ctrl+t", "up", "alt+k", "ctrl+u", "delete", "ctrl+j"} {
			c.edit(ansi.WcWidth, key)
			if c.at < 0 || c.at > len(c.runes) || c.bytes > maxDraft || !utf8.ValidString(c.String()) {
				t.Fatalf("after %s the composer is at %d of %d", key, c.at, len(c.runes))
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		text string
		w    int
		want string
	}{
		{"one two three", 7, "one two/three"},
		{"one two three", 8, "one two/three"},
		{"one  two", 20, "one  two"},
		{"abcdefghij", 4, "abcd/efgh/ij"},
		{"go abcdefghij", 4, "go/abcd/efgh/ij"},
		{"well-known fact", 6, "well-/known/fact"},
		{"K -5 to 10", 4, "K -5/to/10"},
		{"a\n\nb", 4, "a//b"},
		{"長い言葉", 5, "長い/言葉"},
		{"a長い言葉", 4, "a長/い言/葉"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301e\u0301/e\u0301"},
		{"", 5, ""},
		{"長", 1, "長"},
		{"trailing   ", 20, "trailing"},
	} {
		if got := strings.Join(wrap(ansi.GraphemeWidth, tc.text, tc.w), "/"); got != tc.want {
			t.Errorf("%q in %d columns is %q, want %q", tc.text, tc.w, got, tc.want)
		}
	}
}

// FuzzWrap holds wrapping to its width, and to losing nothing but spaces.
func FuzzWrap(f *testing.F) {
	f.Add("one two-three 長い言葉\nfour", 5)
	f.Add("   leading", 3)
	f.Fuzz(func(t *testing.T, s string, w int) {
		var c composer // as text arrives: sanitised
		c.paste(s)
		s = c.String()
		w = min(max(w, 2), 100)
		rows := wrap(ansi.WcWidth, s, w)
		for _, r := range rows {
			if got := width(ansi.WcWidth, r); got > w {
				if n, _ := cluster(ansi.WcWidth, r); n < len(r) {
					t.Fatalf("%q in %d columns has a row of %d: %q", s, w, got, r)
				}
			}
		}
		squeeze := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
		if squeeze(strings.Join(rows, "")) != squeeze(s) {
			t.Fatalf("%q in %d columns became %q", s, w, rows)
		}
	})
}
