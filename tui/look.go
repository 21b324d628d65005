package tui

import (
	"hash/fnv"
	"strings"
	"time"

	"sotto/themes"
)

// look is what drawing depends on beside the content: the theme, the
// characters at hand, how wide the terminal takes them to be, and the clock of
// the wall.
type look struct {
	themes.Theme
	glyphs
	m       measure
	zone    *time.Location
	version int // grows when any of the above changes, for caches
}

// person is the style of a person's name. The same address always has the same.
func (k *look) person(address string) themes.Style {
	h := fnv.New32a()
	h.Write([]byte(address))
	return k.Names[int(h.Sum32()%uint32(len(k.Names)))]
}

// dots joins the parts that are not empty.
func (k *look) dots(parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, " "+k.dot+" ")
}

// hrule is a horizontal rule of w columns with one column of margin at the
// left, and a label in it: at its right end, or in the middle.
func (k *look) hrule(w int, label string, st themes.Style, middle bool) string {
	l := line{m: k.m}
	w -= l.space(1).width
	if label == "" {
		return l.add(k.Rule, strings.Repeat(k.rule, max(w, 0))).String()
	}
	label = clip(k.m, " "+label+" ", w, "")
	free := max(w-width(k.m, label), 0)
	left := max(free-2, 0)
	if middle {
		left = free / 2
	}
	l.add(k.Rule, strings.Repeat(k.rule, left))
	l.add(st, label)
	l.add(k.Rule, strings.Repeat(k.rule, free-left))
	return l.String()
}

// shortName is what stands before a person's words: the family name of "Okafor,
// Ada", the local part of an address, else the whole name.
func shortName(name, address string) string {
	if name == "" {
		name, _, _ = strings.Cut(address, "@")
	}
	if family, _, ok := strings.Cut(name, ","); ok && family != "" {
		return family
	}
	return name
}

// count says "1 device" or "2 devices".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + one + "s"
}
