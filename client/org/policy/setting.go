package policy

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotto/client/org"
)

// Kind is what the values of a setting are.
type Kind int

// The kinds of settings.
const (
	Duration Kind = iota // "90s", "2m", "1h30m", "30d"
	Count                // a whole number
	Choice               // true or false
	Word                 // one of a few words
	Text                 // a line
	List                 // ["one", "two"]
	Folders              // a List of folders, which stands for all that is beneath them, too
)

// Bounds of values.
const (
	maxText = 512 // bytes
	maxList = 32  // of a list
)

const day = 24 * time.Hour

// Setting is a setting that a policy can decide.
type Setting struct {
	Name string
	Help string // a sentence
	Kind Kind

	Personal bool // a person has it too, and may make it stricter
	More     bool // of a Duration or Count: more is stricter; otherwise less
	Never    bool // of a Duration or Count: 0 is allowed, and means never, the loosest
	Strict   bool // of a Choice: the stricter of both
	Min, Max int64
	Words    []string // of a Word, the loosest first

	Default Value // what holds where nobody decides; unset where that means nothing
}

// section is a group of settings.
type section struct {
	title    string
	settings []Setting
}

// Settings returns all settings, in the order in which they are written.
func Settings() []Setting {
	var all []Setting
	for _, s := range sections() {
		all = append(all, s.settings...)
	}
	return all
}

// sections are all settings. Their bounds and defaults are those of package
// profile where a person has the setting, too: a test holds that.
func sections() []section {
	return []section{
		{"Locking", []Setting{
			{Name: "lock-after", Help: "A screen that nobody touches locks after this time.",
				Kind: Duration, Personal: true, Min: 1, Max: seconds(time.Hour), Default: Time(2 * time.Minute)},
			{Name: "lock-unfocused", Help: "A terminal without the focus locks after this time; 0s is never.",
				Kind: Duration, Personal: true, Never: true, Min: 1, Max: seconds(time.Hour), Default: Time(0)},
			{Name: "logoff-after", Help: "A locked sotto logs off after this time.",
				Kind: Duration, Personal: true, Min: 1, Max: seconds(7 * day), Default: Time(15 * time.Minute)},
			{Name: "lease", Help: "A device that has not heard from the organisation for this time locks until it has.",
				Kind: Duration, Min: seconds(10 * time.Minute), Max: seconds(90 * day)},
		}},
		{"PIN", []Setting{
			{Name: "pin-length", Help: "The least number of characters of a PIN.",
				Kind: Count, More: true, Min: 6, Max: 64, Default: Number(6)},
			{Name: "pin-characters", Help: "\"mixed\" asks for letters and digits.",
				Kind: Word, Words: []string{"any", "mixed"}, Default: Is("any")},
			{Name: "pin-age", Help: "A PIN is changed after this time; 0s is never.",
				Kind: Duration, Never: true, Min: seconds(day), Max: seconds(3660 * day), Default: Time(0)},
			{Name: "destroy-after", Help: "So many wrong PINs in a row destroy the vault; 0 is never.",
				Kind: Count, Personal: true, Never: true, Min: 6, Max: 100, Default: Number(10)},
			{Name: "tpm", Help: "Whether the vault is bound to the machine's TPM.",
				Kind: Word, Personal: true, Words: []string{"off", "auto", "required"}, Default: Is("auto")},
		}},
		{"Screen", []Setting{
			{Name: "curtain", Help: "Text is covered while the terminal has not the focus.",
				Kind: Choice, Personal: true, Strict: true, Default: Bool(true)},
			{Name: "reveal", Help: "Text is shown only while its line is chosen.",
				Kind: Choice, Personal: true, Strict: true, Default: Bool(false)},
			{Name: "mouse", Help: "The mouse scrolls, and so selects no text.",
				Kind: Choice, Personal: true, Strict: true, Default: Bool(true)},
			{Name: "paste", Help: "Text can be pasted into sotto.",
				Kind: Choice, Personal: true, Strict: false, Default: Bool(true)},
			{Name: "multiplexer", Help: "What happens within tmux or screen.",
				Kind: Word, Personal: true, Words: []string{"allow", "warn", "refuse"}, Default: Is("warn")},
		}},
		{"Messages", []Setting{
			{Name: "trust", Help: "Which devices are sent to: any seen first, those compared, those in the directory.",
				Kind: Word, Personal: true, Words: []string{"first-use", "compared", "directory"}},
			{Name: "retention", Help: "Text is removed from devices after this time; 0s is never.",
				Kind: Duration, Never: true, Min: seconds(time.Hour), Max: seconds(3660 * day), Default: Time(0)},
			{Name: "relay-retention", Help: "Relays keep messages, which they cannot read, no longer than this; 0s is as they like.",
				Kind: Duration, Never: true, Min: seconds(time.Hour), Max: seconds(3660 * day), Default: Time(0)},
			{Name: "receipts", Help: "Whoever reads a message says so to its author; that it has arrived is said always.",
				Kind: Choice, Strict: true, Default: Bool(true)},
			{Name: "forwarding", Help: "Whom messages can be forwarded to.",
				Kind: Word, Words: []string{"anybody", "organisation", "nobody"}, Default: Is("anybody")},
		}},
		{"Files", []Setting{
			{Name: "attachments", Help: "What can be attached.",
				Kind: Word, Words: []string{"all", "images", "none"}, Default: Is("all")},
			{Name: "attachment-size", Help: "The most MiB of a file; 0 is what the relay takes.",
				Kind: Count, Never: true, Min: 1, Max: 4096, Default: Number(0)},
			{Name: "attach-from", Help: "Files are attached from these folders and what is beneath them.",
				Kind: Folders, Personal: true},
			{Name: "saving", Help: "A backup can be made to a key of one's own, too; nothing else is ever saved outside sotto.",
				Kind: Choice, Strict: false, Default: Bool(false)},
			{Name: "backup", Help: "sotto backup can be used.",
				Kind: Choice, Strict: false, Default: Bool(true)},
		}},
		{"Machine", []Setting{
			{Name: "sandbox", Help: "\"full\" refuses to start where the system lacks a layer of it.",
				Kind: Word, Words: []string{"any", "full"}, Default: Is("any")},
			{Name: "service", Help: "A program may open a profile of its own with a PIN from a file.",
				Kind: Choice, Personal: true, Strict: false, Default: Bool(false)},
		}},
		{"Relay", []Setting{
			{Name: "relays", Help: "The only relays that are connected to, as wss:// URLs.", Kind: List},
			{Name: "relay-pins", Help: "The only keys of relays: SHA-256 of the SubjectPublicKeyInfo, in base64.", Kind: List},
			{Name: "legacy", Help: "TLS 1.2 and SCRAM-SHA-1 are taken, too.",
				Kind: Choice, Strict: false, Default: Bool(false)},
		}},
		{"Services", []Setting{
			{Name: "auditor", Help: "The address that audit events go to.", Kind: Text},
			{Name: "auditor-key", Help: "The key with which the auditor confirms them, as sotto audit key prints it.", Kind: Text},
			{Name: "recovery-key", Help: "The age recipient that opens vaults and backups in an emergency.", Kind: Text},
			{Name: "fhir-endpoint", Help: "For programs that read it: where FHIR AuditEvents go. sotto sends nothing there.", Kind: Text},
		}},
	}
}

// seconds is d in the unit of bounds.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// lookup finds settings by name.
func lookup() map[string]*Setting {
	m := make(map[string]*Setting)
	for _, s := range Settings() {
		m[s.Name] = &s
	}
	return m
}

// Value is the value of a setting. The zero Value is none.
type Value struct {
	set  bool
	n    int64 // of a Duration in seconds, a Count, a Choice (1 is true)
	s    string
	list []string
}

// Time returns the value of a Duration.
func Time(d time.Duration) Value { return Value{set: true, n: seconds(d)} }

// Number returns the value of a Count.
func Number(n int) Value { return Value{set: true, n: int64(n)} }

// Bool returns the value of a Choice.
func Bool(b bool) Value {
	v := Value{set: true}
	if b {
		v.n = 1
	}
	return v
}

// Is returns the value of a Word or a Text.
func Is(s string) Value { return Value{set: true, s: s} }

// Of returns the value of a List or of Folders.
func Of(list ...string) Value { return Value{set: true, list: slices.Clone(list)} }

// Set reports whether there is a value.
func (v Value) Set() bool { return v.set }

// Duration returns the value of a Duration.
func (v Value) Duration() time.Duration { return time.Duration(v.n) * time.Second }

// Int returns the value of a Count.
func (v Value) Int() int { return int(v.n) }

// Bool returns the value of a Choice.
func (v Value) Bool() bool { return v.n != 0 }

// Text returns the value of a Word or a Text.
func (v Value) Text() string { return v.s }

// List returns the value of a List or of Folders.
func (v Value) List() []string { return slices.Clone(v.list) }

func (v Value) equal(w Value) bool {
	return v.set == w.set && v.n == w.n && v.s == w.s && slices.Equal(v.list, w.list)
}

// Format writes a value of the setting as a policy has it.
func (s *Setting) Format(v Value) string {
	switch s.Kind {
	case Duration:
		return `"` + formatDuration(v.n) + `"`
	case Count:
		return strconv.FormatInt(v.n, 10)
	case Choice:
		return strconv.FormatBool(v.n != 0)
	case Word, Text:
		return `"` + v.s + `"`
	}
	quoted := make([]string, len(v.list))
	for i, e := range v.list {
		quoted[i] = `"` + e + `"`
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// check says what is wrong with a value, in words after the setting's name.
func (s *Setting) check(v Value) error {
	switch s.Kind {
	case Duration, Count:
		if v.n == 0 && s.Never || v.n >= s.Min && v.n <= s.Max {
			return nil
		}
		never := ""
		if s.Never {
			never = ", or " + s.Format(Value{}) + " for never"
		}
		return fmt.Errorf("must be from %s to %s%s", s.Format(Value{n: s.Min}), s.Format(Value{n: s.Max}), never)
	case Word:
		if !slices.Contains(s.Words, v.s) {
			return fmt.Errorf(`must be "%s"`, strings.Join(s.Words, `" or "`))
		}
	case Text:
		return checkText(v.s)
	case List, Folders:
		if len(v.list) > maxList {
			return fmt.Errorf("has more than %d texts", maxList)
		}
		for i, e := range v.list {
			if err := checkText(e); err != nil {
				return err
			}
			if slices.Contains(v.list[:i], e) {
				return fmt.Errorf("has %q twice", e)
			}
			if s.Kind == Folders && !isFolder(e) {
				return fmt.Errorf("%q is not a folder as it is written here: absolute or beneath ~, with neither .. nor a slash at its end", e)
			}
		}
	}
	return nil
}

func checkText(s string) error {
	if s == "" || !org.IsLine(s, maxText) || strings.ContainsAny(s, `"\`) {
		return fmt.Errorf("must be a line of up to %d bytes, without quotes and backslashes", maxText)
	}
	return nil
}

func isFolder(s string) bool {
	rest := s
	if s == "~" {
		return true
	}
	if strings.HasPrefix(s, "~/") {
		rest = s[1:]
	}
	return path.IsAbs(rest) && path.Clean(rest) == rest
}

// stricter returns the stricter of two values that are set, and whether that is a.
// Of lists it is what is in both; a then means that nothing of a was taken away.
func (s *Setting) stricter(a, b Value) (Value, bool) {
	switch s.Kind {
	case Duration, Count:
		x, y := a.n, b.n
		if s.Never { // never is the loosest
			if x == 0 {
				x = math.MaxInt64
			}
			if y == 0 {
				y = math.MaxInt64
			}
		}
		if s.More {
			x, y = y, x
		}
		if x <= y {
			return a, true
		}
		return b, false
	case Choice:
		if a.Bool() == b.Bool() || a.Bool() == s.Strict {
			return a, true
		}
		return b, false
	case Word:
		if slices.Index(s.Words, a.s) >= slices.Index(s.Words, b.s) {
			return a, true
		}
		return b, false
	case List, Folders:
		both := Value{set: true}
		for _, e := range a.list {
			if slices.ContainsFunc(b.list, func(of string) bool {
				return e == of || s.Kind == Folders && strings.HasPrefix(e, strings.TrimSuffix(of, "/")+"/")
			}) {
				both.list = append(both.list, e)
			}
		}
		return both, len(both.list) == len(a.list)
	}
	return b, a.equal(b) // a text is as the organisation says
}

// formatDuration writes seconds with the units people use, days included.
func formatDuration(n int64) string {
	if n == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		unit string
		n    int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		if k := n / u.n; k > 0 {
			b.WriteString(strconv.FormatInt(k, 10) + u.unit)
			n -= k * u.n
		}
	}
	return b.String()
}

// parseDuration reads such times: each unit once at most, the largest first.
func parseDuration(s string) (int64, bool) {
	if s == "0s" {
		return 0, true
	}
	var total int64
	last := int64(math.MaxInt64)
	for s != "" {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		if i == 0 || i > 9 || i == len(s) {
			return 0, false
		}
		k, err := strconv.ParseInt(s[:i], 10, 64)
		unit := map[byte]int64{'d': 86400, 'h': 3600, 'm': 60, 's': 1}[s[i]]
		if err != nil || unit == 0 || unit >= last {
			return 0, false
		}
		total, last = total+k*unit, unit
		s = s[i+1:]
	}
	return total, total > 0
}
