package text

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hinshun/vt10x"
)

var update = flag.Bool("update", false, "write what comes out of the hostile texts anew")

const hostileFile = "testdata/hostile.txt"

// entry is one hostile text.
type entry struct{ name, in, out, raw string }

// readHostile reads the file: comments up to the first empty line, then entries.
func readHostile(t testing.TB) (head string, all []entry) {
	t.Helper()
	b, err := os.ReadFile(hostileFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(b), "\n\n")
	for block := range strings.SplitSeq(strings.TrimSpace(rest), "\n\n") {
		var e entry
		for l := range strings.SplitSeq(block, "\n") {
			key, value, _ := strings.Cut(l, " ")
			if value = strings.TrimSpace(value); key == "in" || key == "out" {
				if value, err = strconv.Unquote(value); err != nil {
					t.Fatalf("%s: %s is not quoted", e.name, l)
				}
			}
			switch key {
			case "#":
				e.name = value
			case "in":
				e.in = value
			case "out":
				e.out = value
			case "raw":
				e.raw = value
			default:
				t.Fatalf("%s: what is %q", e.name, l)
			}
		}
		all = append(all, e)
	}
	return head, all
}

// in80 is what a terminal with words on it makes of a text in its third line:
// "shows it", or what else it does.
func in80(s string) string {
	const cols, rows = 400, 6
	var answers bytes.Buffer
	vt := vt10x.New(vt10x.WithSize(cols, rows), vt10x.WithWriter(&answers))
	fmt.Fprintf(vt, "\x1b]2;title\x07one\r\ntwo\r\n\r\nfour\r\nfive\x1b[3;1H[")
	mode := vt.Mode()
	_, _ = vt.Write([]byte(s))
	_, _ = vt.Write([]byte("]"))
	var does []string
	if vt.Title() != "title" {
		does = append(does, "changes the title")
	}
	if answers.Len() > 0 {
		does = append(does, "has the terminal type")
	}
	if vt.Mode() != mode {
		does = append(does, "changes modes")
	}
	line := func(y int) string {
		var b strings.Builder
		for x := range cols {
			c := vt.Cell(x, y)
			if c.Char == 0 {
				b.WriteByte(' ')
				continue
			}
			b.WriteRune(c.Char)
			if c.FG != vt10x.DefaultFG || c.BG != vt10x.DefaultBG || c.Mode != 0 {
				b.WriteString("\x00styled")
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	for y, want := range map[int]string{0: "one", 1: "two", 3: "four", 4: "five", 5: ""} {
		if line(y) != want {
			does = append(does, "touches other lines")
			break
		}
	}
	if want := strings.TrimRight("["+strings.ToValidUTF8(s, "\ufffd")+"]", " "); line(2) != want {
		does = append(does, "draws something else")
	}
	if len(does) == 0 {
		return "shows it"
	}
	return strings.Join(does, ", ")
}

// TestHostile holds what comes out of each hostile text to the golden file, and
// has a terminal emulator draw it: it must show exactly that, in its place, and
// do nothing else. That the emulator would notice is shown by the texts as they
// came: most of them make it do more.
func TestHostile(t *testing.T) {
	head, all := readHostile(t)
	if len(all) < 60 {
		t.Fatalf("%d hostile texts", len(all))
	}
	acts := 0
	var fresh strings.Builder
	fresh.WriteString(head + "\n")
	for _, e := range all {
		out, line := Sanitize(e.in), Line(e.in)
		raw := in80(e.in)
		fmt.Fprintf(&fresh, "\n# %s\nin  %s\nout %s\nraw %s\n", e.name, quoted(e.in), quoted(out.String()), raw)
		if why := check(out.String(), true); why != "" {
			t.Errorf("%s: %+q: %s", e.name, out, why)
		}
		if why := check(line.String(), false); why != "" {
			t.Errorf("%s as a line: %+q: %s", e.name, line, why)
		}
		if did := in80(line.String()); did != "shows it" {
			t.Errorf("%s: what came out, %+q, %s", e.name, line, did)
		}
		if raw != "shows it" {
			acts++
		}
		if *update {
			continue
		}
		if out.String() != e.out {
			t.Errorf("%s: Sanitize gives %+q, want %+q", e.name, out, e.out)
		}
		if raw != e.raw {
			t.Errorf("%s: as it came it %s, want: %s", e.name, raw, e.raw)
		}
	}
	t.Logf("%d of %d make an emulator do more than to show them", acts, len(all))
	if acts < 40 {
		t.Errorf("only %d of %d hostile texts do anything to the emulator", acts, len(all))
	}
	if *update {
		if err := os.WriteFile(hostileFile, []byte(fresh.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// quoted writes a text as Go does, with everything but plain letters escaped.
func quoted(s string) string { return strconv.QuoteToASCII(s) }

// What is not to be seen must not be lost either: every character that was taken
// out has left a sign.
func TestHostileLeavesASign(t *testing.T) {
	_, all := readHostile(t)
	for _, e := range all {
		if !strings.ContainsAny(e.in, "\x1b\x07\x05\x0e") && utf8.ValidString(e.in) {
			continue
		}
		if s := Sanitize(e.in).String(); !strings.Contains(s, "<U+") && !strings.Contains(s, "\ufffd") {
			t.Errorf("%s: nothing tells that %+q was there: %+q", e.name, e.in, s)
		}
	}
}
