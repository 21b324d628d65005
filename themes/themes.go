// Package themes reads the colours of the screen from small TOML files.
//
// A theme gives each kind of text (a time, a STAT mark, a rule) a colour and
// attributes. It sets foregrounds only, so it stays readable on the person's
// own background. Colour is never the only sign of anything: without colours
// every screen says the same.
package themes

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// Auto names no theme but the wish to choose by the terminal's background.
const Auto = "auto"

// maxSize bounds a theme's file, in bytes.
const maxSize = 16 << 10

// maxNames bounds the colours for people's names.
const maxNames = 32

//go:embed *.toml
var files embed.FS

// Theme is one set of styles.
type Theme struct {
	Name string
	Dark bool // meant for a dark background

	Text        Style   // words of messages
	Faint       Style   // times, hints, what matters least
	Rule        Style   // lines between areas
	Title       Style   // the name of the open conversation
	Accent      Style   // keys, the prompt
	Own         Style   // "you"
	Names       []Style // other people, chosen by their address; at least four
	Stat        Style   // STAT
	Urgent      Style   // URGENT
	Ack         Style   // ACK
	Mark        Style   // #mrn: and @role/ in a message
	Unread      Style   // the line above what is new, unread counts
	State       Style   // queued, sent, delivered, read
	Failed      Style   // not sent, and the reason
	Good        Style   // encrypted, trusted
	Warning     Style   // a new device, offline, not encrypted
	Chosen      Style   // the chosen line of a list
	Notice      Style   // what sotto itself says
	Fingerprint Style   // what two people compare
}

// file is a theme as it stands in TOML.
type file struct {
	Name       string            `toml:"name"`
	Background string            `toml:"background"`
	Names      []string          `toml:"names"`
	Styles     map[string]string `toml:"styles"`
}

// slots names each style of t.
func (t *Theme) slots() map[string]*Style {
	return map[string]*Style{
		"text": &t.Text, "faint": &t.Faint, "rule": &t.Rule, "title": &t.Title,
		"accent": &t.Accent, "own": &t.Own, "stat": &t.Stat, "urgent": &t.Urgent, "ack": &t.Ack,
		"mark": &t.Mark, "unread": &t.Unread, "state": &t.State, "failed": &t.Failed,
		"good": &t.Good, "warning": &t.Warning, "chosen": &t.Chosen,
		"notice": &t.Notice, "fingerprint": &t.Fingerprint,
	}
}

// Parse reads a theme. Every style must be there, and nothing unknown may be.
func Parse(b []byte) (Theme, error) {
	if len(b) > maxSize {
		return Theme{}, fmt.Errorf("theme is larger than %d bytes", maxSize)
	}
	var f file
	meta, err := toml.Decode(string(b), &f)
	if err != nil {
		return Theme{}, fmt.Errorf("read theme: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Theme{}, fmt.Errorf("theme has an unknown setting %q", unknown[0].String())
	}
	t := Theme{Name: f.Name}
	if !validName(f.Name) {
		return Theme{}, errors.New("theme's name must be 1 to 32 letters, digits or hyphens")
	}
	switch f.Background {
	case "dark":
		t.Dark = true
	case "light":
	default:
		return Theme{}, fmt.Errorf("theme's background is %q, must be dark or light", f.Background)
	}
	if len(f.Names) < 4 || len(f.Names) > maxNames {
		return Theme{}, fmt.Errorf("theme has %d colours for names, must be 4 to %d", len(f.Names), maxNames)
	}
	for i, s := range f.Names {
		st, err := ParseStyle(s)
		if err != nil {
			return Theme{}, fmt.Errorf("theme's names, number %d: %w", i+1, err)
		}
		t.Names = append(t.Names, st)
	}
	slots := t.slots()
	for name, s := range f.Styles {
		slot, ok := slots[name]
		if !ok {
			return Theme{}, fmt.Errorf("theme has an unknown style %q", name)
		}
		if *slot, err = ParseStyle(s); err != nil {
			return Theme{}, fmt.Errorf("theme's style %q: %w", name, err)
		}
	}
	for name := range slots {
		if _, ok := f.Styles[name]; !ok {
			return Theme{}, fmt.Errorf("theme lacks the style %q", name)
		}
	}
	return t, nil
}

// validName reports whether s can name a theme.
func validName(s string) bool {
	if s == "" || len(s) > 32 || s == Auto {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Load returns the built-in theme of that name.
func Load(name string) (Theme, error) {
	b, err := files.ReadFile(name + ".toml")
	if errors.Is(err, fs.ErrNotExist) || !validName(name) {
		return Theme{}, fmt.Errorf("no theme %q, there are %s and %s", name, strings.Join(Names(), ", "), Auto)
	}
	if err != nil {
		return Theme{}, fmt.Errorf("read theme: %w", err)
	}
	return Parse(b)
}

// For returns the built-in theme for a dark or a light background.
func For(dark bool) (Theme, error) {
	if dark {
		return Load("dark")
	}
	return Load("light")
}

// Names lists the built-in themes, sorted.
func Names() []string {
	entries, _ := files.ReadDir(".") // an embedded folder is always there
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	sort.Strings(names)
	return names
}
