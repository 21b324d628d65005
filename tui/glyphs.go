package tui

import (
	"runtime"
	"strings"

	"github.com/charmbracelet/colorprofile"
)

// glyphs are the characters the screens draw with, beside letters.
type glyphs struct {
	rule, bar              string // horizontal, vertical
	dot                    string // between parts of a line
	more                   string // where text was cut
	hidden                 string // in place of a message's text
	topLeft, topRight      string
	bottomLeft, bottomRght string
}

var (
	unicodeGlyphs = glyphs{"─", "│", "·", "…", "••••", "┌", "┐", "└", "┘"}
	asciiGlyphs   = glyphs{"-", "|", "-", "~", "****", "+", "+", "+", "+"}
)

// environment answers what the variables of an environment say.
type environment []string

func (e environment) get(name string) string {
	for i := len(e) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// simple reports whether the terminal is known to understand little: it draws
// ASCII, and is asked nothing.
func (e environment) simple() bool {
	term := e.get("TERM")
	return runtime.GOOS != "windows" && (term == "" || term == "dumb" || term == "linux" || term == "ansi" || term == "cons25" || strings.HasPrefix(term, "vt"))
}

// modern reports whether the terminal is known to answer questions at once.
func (e environment) modern() bool {
	for _, name := range []string{"ghostty", "wezterm", "alacritty", "kitty", "foot", "rio"} {
		if strings.Contains(e.get("TERM"), name) {
			return true
		}
	}
	return e.get("WT_SESSION") != ""
}

// glyphs chooses what the terminal can show: ASCII where it is known to be
// simple or where the locale says so, else Unicode.
func (e environment) glyphs() glyphs {
	if e.simple() {
		return asciiGlyphs
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(e.get(name)); v != "" {
			if strings.Contains(v, "utf-8") || strings.Contains(v, "utf8") {
				break
			}
			return asciiGlyphs
		}
	}
	return unicodeGlyphs
}

// profile chooses how many colours to use. It asks neither the terminfo
// database nor tmux: the process that draws may open no file and start nothing.
func (e environment) profile() colorprofile.Profile {
	term := e.get("TERM")
	colors := strings.ToLower(e.get("COLORTERM"))
	switch {
	case e.get("NO_COLOR") != "", term == "" && runtime.GOOS != "windows",
		term == "dumb", strings.HasPrefix(term, "vt"):
		return colorprofile.ASCII // bold and reverse, no colour
	case strings.HasPrefix(term, "screen"):
		return colorprofile.ANSI256
	case colors == "truecolor", colors == "24bit", e.get("WT_SESSION") != "", strings.HasSuffix(term, "-direct"):
		return colorprofile.TrueColor
	case term == "linux":
		return colorprofile.ANSI
	case strings.Contains(term, "256color"), strings.HasPrefix(term, "tmux"),
		term == "xterm-kitty", term == "xterm-ghostty", strings.HasPrefix(term, "alacritty"),
		strings.HasPrefix(term, "foot"), strings.HasPrefix(term, "wezterm"):
		return colorprofile.ANSI256
	}
	return colorprofile.ANSI
}

// background says whether the environment knows the background to be dark.
func (e environment) background() (dark, known bool) {
	v := e.get("COLORFGBG") // "15;0", or "15;default;0"
	i := strings.LastIndexByte(v, ';')
	if i < 0 {
		return true, false
	}
	switch v[i+1:] {
	case "0", "1", "2", "3", "4", "5", "6", "8":
		return true, true
	case "7", "9", "10", "11", "12", "13", "14", "15":
		return false, true
	}
	return true, false
}
