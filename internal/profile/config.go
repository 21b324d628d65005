package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"

	"sotto/internal/atomicfile"
)

// Config are the settings of a profile.
type Config struct {
	LockAfter     time.Duration // idle time after which the screen locks
	LockUnfocused time.Duration // time without the terminal's focus after which it locks; 0 is never
	LogoffAfter   time.Duration // locked time after which the link logs off
	DestroyAfter  int           // wrong PINs in a row after which the vault destroys itself; 0 is never
	TPM           string        // whether the vault moves into one: "auto", "off", or "required": without one it is not opened
	Theme         string        // "auto", "light" or "dark"
	Curtain       bool          // without the terminal's focus, text is covered
	Reveal        bool          // a message's text is shown only while its line is chosen
	Mouse         bool          // the mouse scrolls and chooses, and selects no text
	Paste         bool          // text can be pasted into the composer
	Multiplexer   string        // around us, tmux or screen: "warn", "refuse" or "allow"
	Address       string        // for display before the vault is open; may be ""
	Organisation  string        // for display; may be ""
	Bell          bool          // the terminal rings for a STAT message that nobody sees
	AttachFrom    []string      // folders that files are attached from, absolute or beneath ~; see Folders
	Service       bool          // it belongs to a program: its PIN may come from a file
	Trust         string        // whose devices are sent to: "first-use", or "compared" ones only; "" is the default for whom it belongs to
}

// Defaults are the settings of a new profile.
func Defaults() Config {
	return Config{
		LockAfter: 2 * time.Minute, LogoffAfter: 15 * time.Minute, DestroyAfter: 10,
		TPM: "auto", Theme: "auto", Curtain: true, Mouse: true, Paste: true, Multiplexer: "warn", Bell: true,
	}
}

// Bounds of settings.
const (
	MinLockAfter   = time.Second
	MaxLockAfter   = time.Hour // of LockUnfocused too
	MinLogoffAfter = time.Second
	MaxLogoffAfter = 7 * 24 * time.Hour

	MinDestroyAfter = 6 // it is announced after the fifth
	MaxDestroyAfter = 100

	maxConfig = 64 << 10 // bytes of a config file
	maxLabel  = 3071     // bytes of an address or an organisation
)

// duration is written like 90s, 2m or 1h30m.
type duration time.Duration

func (d *duration) UnmarshalTOML(value any) error {
	s, _ := value.(string)
	v, err := time.ParseDuration(s)
	if err != nil {
		return errors.New(`this setting is a time: write it like "90s", "2m" or "1h30m"`)
	}
	*d = duration(v)
	return nil
}

// count is a whole number.
type count int

func (n *count) UnmarshalTOML(value any) error {
	v, ok := value.(int64)
	if !ok || v < 0 || v > math.MaxInt32 {
		return errors.New("this setting is a whole number, without quotes")
	}
	*n = count(v)
	return nil
}

// label is a string in quotes, and nothing else.
type label string

func (l *label) UnmarshalTOML(value any) error {
	s, ok := value.(string)
	if !ok {
		return errors.New("this setting is a text: write it in quotes")
	}
	*l = label(s)
	return nil
}

// choice is true or false.
type choice bool

func (c *choice) UnmarshalTOML(value any) error {
	v, ok := value.(bool)
	if !ok {
		return errors.New("this setting is true or false, without quotes")
	}
	*c = choice(v)
	return nil
}

// list is an array of strings in quotes.
type list []string

func (l *list) UnmarshalTOML(value any) error {
	wrong := errors.New(`this setting is a list of texts: write it like ["~/Pictures"]`)
	values, ok := value.([]any)
	if !ok {
		return wrong
	}
	*l = nil
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			return wrong
		}
		*l = append(*l, s)
	}
	return nil
}

func (d duration) MarshalText() ([]byte, error) {
	s := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} { // 2m0s is 2m, 8h0m is 8h
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return []byte(s), nil
}

// file is how a Config is written.
type file struct {
	LockAfter     duration `toml:"lock-after"`
	LockUnfocused duration `toml:"lock-unfocused"`
	LogoffAfter   duration `toml:"logoff-after"`
	DestroyAfter  int      `toml:"destroy-after"`
	TPM           string   `toml:"tpm"`
	Theme         string   `toml:"theme"`
	Curtain       bool     `toml:"curtain"`
	Reveal        bool     `toml:"reveal"`
	Mouse         bool     `toml:"mouse"`
	Paste         bool     `toml:"paste"`
	Multiplexer   string   `toml:"multiplexer"`
	Address       string   `toml:"address,omitempty"`
	Organisation  string   `toml:"organisation,omitempty"`
	Bell          bool     `toml:"bell"`
	AttachFrom    []string `toml:"attach-from,omitempty"`
	Service       bool     `toml:"service,omitempty"`
	Trust         string   `toml:"trust,omitempty"`
}

// Load reads the settings. Where there is no file, they are the defaults; where
// a setting is missing, it is the default. An unknown setting, a wrong type or a
// value out of bounds is an error that names the file and the line.
func (p Profile) Load() (Config, error) {
	c, _, err := p.Chosen()
	return c, err
}

// Chosen is Load, and says which settings stand in the file: those are a person's
// choice, also where they are the defaults.
func (p Profile) Chosen() (Config, map[string]bool, error) {
	f, err := os.Open(p.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return Defaults(), nil, nil
	}
	if err != nil {
		return Config{}, nil, unread("reading the settings", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return Config{}, nil, unread("reading the settings", err)
	}
	c, chosen, err := parseChosen(b)
	if err != nil {
		return Config{}, nil, fmt.Errorf("%s: %w", p.Config, err)
	}
	return c, chosen, nil
}

// Save replaces the settings file. Defaults are written as comments, unless they
// stood in it: what nobody has chosen an organisation may choose.
func (p Profile) Save(c Config) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("saving the settings: %w", err)
	}
	_, chosen, err := p.Chosen()
	if err != nil {
		chosen = nil // it is being replaced by one that can be read
	}
	lines, err := c.lines()
	if err != nil {
		return err
	}
	defaults, err := Defaults().lines()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("# sotto's settings for this profile\n")
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " = ")
		if slices.Contains(defaults, line) && !chosen[name] {
			b.WriteString("# ")
		}
		b.WriteString(line)
	}
	return explain("saving the settings", atomicfile.Write(p.Config, []byte(b.String())))
}

// lines writes each setting as a line of the file.
func (c Config) lines() ([]string, error) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(file{
		duration(c.LockAfter), duration(c.LockUnfocused), duration(c.LogoffAfter), c.DestroyAfter, c.TPM, c.Theme,
		c.Curtain, c.Reveal, c.Mouse, c.Paste, c.Multiplexer, c.Address, c.Organisation, c.Bell, c.AttachFrom,
		c.Service, c.Trust,
	}); err != nil {
		return nil, fmt.Errorf("saving the settings: %w", err)
	}
	return slices.Collect(strings.Lines(b.String())), nil
}

func parseConfig(b []byte) (Config, error) {
	c, _, err := parseChosen(b)
	return c, err
}

// parseChosen reads the settings setting by setting, so that each error has its
// line, and says which there are.
func parseChosen(b []byte) (Config, map[string]bool, error) {
	if len(b) > maxConfig {
		return Config{}, nil, fmt.Errorf("the file is larger than %d KiB", maxConfig>>10)
	}
	var raw map[string]toml.Primitive
	md, err := toml.Decode(string(b), &raw)
	if err != nil {
		return Config{}, nil, plain(err, nil, "")
	}
	c := Defaults()
	seen := make(map[string]bool)
	for _, key := range md.Keys() { // in the file's order
		name, value := key[0], raw[key[0]]
		if seen[name] {
			continue // beneath one that is wrong anyway
		}
		seen[name] = true
		var into any
		switch name {
		case "lock-after":
			into = (*duration)(&c.LockAfter)
		case "lock-unfocused":
			into = (*duration)(&c.LockUnfocused)
		case "logoff-after":
			into = (*duration)(&c.LogoffAfter)
		case "destroy-after":
			into = (*count)(&c.DestroyAfter)
		case "tpm":
			into = (*label)(&c.TPM)
		case "theme":
			into = (*label)(&c.Theme)
		case "curtain":
			into = (*choice)(&c.Curtain)
		case "reveal":
			into = (*choice)(&c.Reveal)
		case "mouse":
			into = (*choice)(&c.Mouse)
		case "paste":
			into = (*choice)(&c.Paste)
		case "multiplexer":
			into = (*label)(&c.Multiplexer)
		case "address":
			into = (*label)(&c.Address)
		case "organisation":
			into = (*label)(&c.Organisation)
		case "bell":
			into = (*choice)(&c.Bell)
		case "attach-from":
			into = (*list)(&c.AttachFrom)
		case "service":
			into = (*choice)(&c.Service)
		case "trust":
			into = (*label)(&c.Trust)
		default:
			into = &refused{fmt.Errorf("there is no setting %q", name)}
		}
		err := md.PrimitiveDecode(value, into)
		if err == nil {
			// Checked one by one, in the file's order; decoding a refusal gives
			// its line.
			if err = c.check(); err != nil {
				err = md.PrimitiveDecode(value, &refused{err})
			}
		}
		if err != nil {
			return Config{}, nil, plain(err, b, name)
		}
	}
	return c, seen, nil
}

// refused fails to decode from anything.
type refused struct{ err error }

func (r *refused) UnmarshalTOML(any) error { return r.err }

// plain takes the parser's decoration off an error about a setting in b.
func plain(err error, b []byte, name string) error {
	pe, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return errors.New(strings.TrimPrefix(err.Error(), "toml: "))
	}
	line := pe.Position.Line
	if line == 0 { // the parser keeps no position of a dotted key's first part
		line = 1
		for l := range bytes.Lines(b) {
			if bytes.HasPrefix(bytes.TrimLeft(l, "[ \t\"'"), []byte(name)) {
				break
			}
			line++
		}
	}
	words := strings.TrimPrefix(pe.Message, "toml: ")
	if rest, ok := strings.CutPrefix(words, "this setting "); ok && name != "" {
		words = name + " " + rest
	}
	return fmt.Errorf("line %d: %s", line, words)
}

func (c Config) check() error {
	switch {
	case c.LockAfter < MinLockAfter || c.LockAfter > MaxLockAfter:
		return fmt.Errorf("lock-after must be from %v to %v", text(MinLockAfter), text(MaxLockAfter))
	case c.LockUnfocused != 0 && (c.LockUnfocused < MinLockAfter || c.LockUnfocused > MaxLockAfter):
		return fmt.Errorf(`lock-unfocused must be from %v to %v, or "0s" for never`, text(MinLockAfter), text(MaxLockAfter))
	case c.LogoffAfter < MinLogoffAfter || c.LogoffAfter > MaxLogoffAfter:
		return fmt.Errorf("logoff-after must be from %v to %v", text(MinLogoffAfter), text(MaxLogoffAfter))
	case c.DestroyAfter != 0 && (c.DestroyAfter < MinDestroyAfter || c.DestroyAfter > MaxDestroyAfter):
		return fmt.Errorf("destroy-after must be from %d to %d, or 0 for never", MinDestroyAfter, MaxDestroyAfter)
	case c.TPM != "auto" && c.TPM != "off" && c.TPM != "required":
		return errors.New(`tpm must be "auto", "off" or "required"`)
	case c.Multiplexer != "warn" && c.Multiplexer != "refuse" && c.Multiplexer != "allow":
		return errors.New(`multiplexer must be "warn", "refuse" or "allow"`)
	case c.Theme != "auto" && c.Theme != "light" && c.Theme != "dark":
		return errors.New(`theme must be "auto", "light" or "dark"`)
	case c.Trust != "" && c.Trust != "compared" && c.Trust != "first-use":
		return errors.New(`trust must be "compared" or "first-use"`)
	case !isLabel(c.Address):
		return errors.New("address must be a line of text")
	case !isLabel(c.Organisation):
		return errors.New("organisation must be a line of text")
	}
	return checkFolders(c.AttachFrom)
}

func text(d time.Duration) string {
	b, _ := duration(d).MarshalText()
	return string(b)
}

// isLabel holds what is shown on the lock screen to one line without controls.
func isLabel(s string) bool {
	return len(s) <= maxLabel && strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) // controls, bidi overrides, zero-width characters
	}) < 0
}
