package memory

import (
	"strings"
	"testing"
)

// TestForbiddenFindsWhatIsForbidden shows that the check of what goes to the
// terminal can fail.
func TestForbiddenFindsWhatIsForbidden(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]string{
		"OSC 52":                      "\x1b]52;c;c2VjcmV0\x07",
		"OSC 52 with ST":              "\x1b]52;p;c2VjcmV0\x1b\\",
		"OSC 52, asking":              "\x1b]52;c;?\x07",
		"OSC 52 in C1":                "\u009d52;c;c2VjcmV0\u009c",
		"OSC 52 in a C1 byte":         "\x9d52;c;c2VjcmV0\x9c",
		"OSC 52 without end":          "\x1b]52;c;c2VjcmV0",
		"OSC 52 through tmux":         "\x1bPtmux;\x1b\x1b]52;c;c2VjcmV0\x07\x1b\\",
		"icon and title":              "\x1b]0;Okafor, Ada\x07",
		"icon":                        "\x1b]1;Okafor\x07",
		"title":                       "\x1b]2;Okafor\x1b\\",
		"empty title":                 "\x1b]2;\x07",
		"title of a screen window":    "\x1bkOkafor\x1b\\",
		"title reported":              "\x1b[21t",
		"title kept":                  "\x1b[22;0t",
		"folder":                      "\x1b]7;file://host/home\x07",
		"link":                        "\x1b]8;;https://example.org\x07x\x1b]8;;\x07",
		"notification":                "\x1b]777;notify;Okafor;6.8\x07",
		"setting the background":      "\x1b]11;#000000\x07",
		"DCS":                         "\x1bP$q\"p\x1b\\",
		"DCS in C1":                   "\u0090+q544e\u009c",
		"APC":                         "\x1b_Gf=100;AAAA\x1b\\",
		"PM":                          "\x1b^hello\x1b\\",
		"SOS":                         "\x1bXhello\x1b\\",
		"printing the screen":         "\x1b[i",
		"printing what comes":         "\x1b[5i",
		"printing the line":           "\x1b[?1i",
		"printing, in C1":             "\u009b5i",
		"printing, broken off before": "\x1b[5\x1b[5i",
		"checksum of the screen":      "\x1b[1;1;1;1;24;80*y",
		"reset":                       "\x1bc",
		"any mouse movement":          "\x1b[?1003h",
		"printing as it comes, DEC":   "\x1b[?5i",
		"insert mode":                 "\x1b[4h",
		"132 columns":                 "\x1b[?3h",
		"setting a key's words":       "\x1b[0;65;68p",
		"soft reset":                  "\x1b[!p",
		"filling a rectangle":         "\x1b[65;1;1;24;80$x",
		"parameters asked":            "\x1b[x",
		"the alignment test":          "\x1b#8",
		"other characters":            "\x1b(0",
		"the palette":                 "\x1b]4;1;?\x07",
		"marks of a shell":            "\x1b]133;A\x07",
		"iTerm's own":                 "\x1b]1337;SetMark\x07",
		"answerback":                  "\x05",
		"shift out":                   "\x0e",
		"bidi override":               "K \u202e8.6\u202c",
		"zero width":                  "po\u200btassium",
		"tag":                         "x\U000e0041",
		"not UTF-8":                   "caf\xe9",
		"CSI without end":             "\x1b[38;5",
		"escape without end":          "x\x1b",
	} {
		if Forbidden([]byte("before \x1b[1mbold\x1b[m "+b)) == nil {
			t.Errorf("%s is not found: %q", name, b)
		}
	}
}

func TestForbiddenLetsTheRestThrough(t *testing.T) {
	t.Parallel()
	const screen = "\x1b[?1049h\x1b[H\x1b[2J\x1b[38;2;1;2;3mÄrztin, 医師\r\n\t\a\b\x1b[0m\x1b[?2026$p\x1b[?u\x1b[>q\x1b[c" +
		"\x1b]11;?\x07\x1b]10;?\x1b\\\x1b[4 q\x1b(B\x1b7\x1b8\x1b=\x1bM\x1b[?25h\x1b[3;4H\x1b[K 6.8 i 5i ]52;c; \x1b[38;5\x18\x0f"
	if found := Forbidden([]byte(screen)); found != nil {
		t.Errorf("nothing is wrong with it, and still: %s", strings.Join(found, "; "))
	}
}

// TestBells shows that what rings is counted, and what only ends a string is not.
func TestBells(t *testing.T) {
	t.Parallel()
	if n := Bells([]byte("\a\x1b]11;?\a\x1b[1mx\a")); n != 2 {
		t.Errorf("%d bells of 2", n)
	}
}
