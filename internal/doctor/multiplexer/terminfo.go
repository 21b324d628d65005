package multiplexer

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Terminfo is what a terminal's description says, as far as sotto asks.
type Terminfo struct {
	Alternate bool // it has an alternate screen (smcup)
	Colors    int  // how many; 0 for none, or where it is not said
}

// maxTerminfo bounds a description, in bytes (term(5)).
const maxTerminfo = 32 << 10

// Lookup reads the description of the terminal $TERM from where ncurses keeps
// them; false where there is none, as on systems with termcap.
func Lookup(getenv func(string) string) (Terminfo, bool) {
	name := getenv("TERM")
	if name == "" || len(name) > 128 || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
		return Terminfo{}, false
	}
	var dirs []string
	if d := getenv("TERMINFO"); d != "" {
		dirs = append(dirs, d)
	}
	if home := getenv("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".terminfo"))
	}
	dirs = append(dirs, filepath.SplitList(getenv("TERMINFO_DIRS"))...)
	dirs = append(dirs, "/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/local/share/terminfo")
	for _, dir := range dirs[:min(len(dirs), 32)] {
		if !filepath.IsAbs(dir) {
			continue
		}
		for _, sub := range []string{name[:1], fmt.Sprintf("%02x", name[0])} {
			if t, ok := readTerminfo(filepath.Join(dir, sub, name)); ok {
				return t, true
			}
		}
	}
	return Terminfo{}, false
}

func readTerminfo(path string) (Terminfo, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return Terminfo{}, false
	}
	f, err := os.Open(path)
	if err != nil {
		return Terminfo{}, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTerminfo))
	if err != nil {
		return Terminfo{}, false
	}
	return parseTerminfo(b)
}

// parseTerminfo reads a compiled description, term(5): a header of six numbers,
// names, flags, numbers, offsets into a table of strings, the table.
func parseTerminfo(b []byte) (t Terminfo, ok bool) {
	const (
		magic16, magic32 = 0o432, 0o1036 // the width of numbers
		maxColors        = 13            // place of max_colors
		enterAlternate   = 28            // place of enter_ca_mode
	)
	short := func(at int) (int, bool) {
		if at < 0 || at+2 > len(b) {
			return 0, false
		}
		return int(int16(binary.LittleEndian.Uint16(b[at:]))), true
	}
	var header [6]int
	for i := range header {
		n, ok := short(2 * i)
		if !ok || n < 0 {
			return t, false
		}
		header[i] = n
	}
	width := 2
	switch header[0] {
	case magic16:
	case magic32:
		width = 4
	default:
		return t, false
	}
	numbers := 12 + header[1] + header[2]
	numbers += numbers % 2
	offsets := numbers + width*header[3]
	if offsets+2*header[4]+header[5] > len(b) {
		return t, false
	}
	if at := numbers + width*maxColors; header[3] > maxColors {
		n, _ := short(at)
		if width == 4 {
			n = int(int32(binary.LittleEndian.Uint32(b[at:])))
		}
		t.Colors = max(0, n)
	}
	if header[4] > enterAlternate {
		n, _ := short(offsets + 2*enterAlternate) // -1: it has none; -2: taken away
		t.Alternate = n >= 0 && n < header[5]
	}
	return t, true
}
