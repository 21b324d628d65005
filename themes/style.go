package themes

import (
	"fmt"
	"strconv"
	"strings"
)

// Style is how one kind of text is drawn. The zero value is the terminal's own.
type Style struct {
	Color                           Color
	Bold, Faint, Underline, Reverse bool
}

// Color is a foreground colour. The zero value is the terminal's own.
type Color struct {
	kind    byte // 0 the terminal's, 1 an index of the palette, 2 red, green and blue
	r, g, b uint8
}

// Index is a colour of the 256-colour palette; the first 16 are the person's own choice.
func Index(i uint8) Color { return Color{kind: 1, r: i} }

// RGB is a colour of its own.
func RGB(r, g, b uint8) Color { return Color{2, r, g, b} }

// ParseStyle reads a style such as "75 bold" or "#d03030 underline": a colour
// ("default", an index from 0 to 255, or #rrggbb), then any of bold, faint,
// underline and reverse.
func ParseStyle(s string) (Style, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Style{}, fmt.Errorf("style %q has no colour; write default for none", s)
	}
	var st Style
	var err error
	if st.Color, err = parseColor(words[0]); err != nil {
		return Style{}, err
	}
	for _, w := range words[1:] {
		switch w {
		case "bold":
			st.Bold = true
		case "faint":
			st.Faint = true
		case "underline":
			st.Underline = true
		case "reverse":
			st.Reverse = true
		default:
			return Style{}, fmt.Errorf("%q is not one of bold, faint, underline, reverse", w)
		}
	}
	return st, nil
}

func parseColor(s string) (Color, error) {
	if s == "default" {
		return Color{}, nil
	}
	if len(s) == 7 && s[0] == '#' {
		v, err := strconv.ParseUint(s[1:], 16, 32)
		if err != nil {
			return Color{}, fmt.Errorf("%q is not a colour such as #4080c0", s)
		}
		return RGB(uint8(v>>16), uint8(v>>8), uint8(v)), nil
	}
	v, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return Color{}, fmt.Errorf("%q is not a colour: default, 0 to 255, or #rrggbb", s)
	}
	return Index(uint8(v)), nil
}

// SGR returns the escape sequence that begins the style, empty for the
// terminal's own. "\x1b[m" ends it.
func (s Style) SGR() string {
	var p []string
	if s.Bold {
		p = append(p, "1")
	}
	if s.Faint {
		p = append(p, "2")
	}
	if s.Underline {
		p = append(p, "4")
	}
	if s.Reverse {
		p = append(p, "7")
	}
	c := s.Color
	switch {
	case c.kind == 1 && c.r < 8:
		p = append(p, strconv.Itoa(30+int(c.r)))
	case c.kind == 1 && c.r < 16:
		p = append(p, strconv.Itoa(90+int(c.r)-8))
	case c.kind == 1:
		p = append(p, "38;5;"+strconv.Itoa(int(c.r)))
	case c.kind == 2:
		p = append(p, fmt.Sprintf("38;2;%d;%d;%d", c.r, c.g, c.b))
	}
	if len(p) == 0 {
		return ""
	}
	return "\x1b[" + strings.Join(p, ";") + "m"
}

// Components returns the colour's red, green and blue. ok is false for the
// terminal's own colours, which nobody can know.
func (c Color) Components() (r, g, b uint8, ok bool) {
	switch {
	case c.kind == 2:
		return c.r, c.g, c.b, true
	case c.kind == 1 && c.r >= 232:
		v := 8 + 10*(c.r-232)
		return v, v, v, true
	case c.kind == 1 && c.r >= 16:
		level := func(n uint8) uint8 {
			if n == 0 {
				return 0
			}
			return 55 + 40*n
		}
		n := c.r - 16
		return level(n / 36), level(n / 6 % 6), level(n % 6), true
	}
	return 0, 0, 0, false
}
