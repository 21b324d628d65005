package doctor

import "strings"

// question asks a terminal for its name (XTVERSION) and whether it knows focus
// reports (DECRQM), and last for what every terminal answers (DA1): with that
// all answers are there.
const question = "\x1b[>0q" + "\x1b[?1004$p" + "\x1b[c"

// Bounds of what a terminal answers.
const (
	maxAnswers = 1024 // bytes
	maxName    = 40   // bytes of its name
)

type answer int

const (
	silent answer = iota // it did not say
	yes
	no
)

// answers are what a terminal says about itself.
type answers struct {
	name  string // such as "tmux 3.4" or "XTerm(379)"
	focus answer
	done  bool // the last answer is there
}

// parseAnswers reads what a terminal sent. Anything may be between the answers:
// people type.
func parseAnswers(b []byte) (a answers) {
	if len(b) > maxAnswers {
		b = b[:maxAnswers]
	}
	s := string(b)
	for s != "" {
		at := strings.IndexByte(s, 0x1b)
		if at < 0 || at+1 >= len(s) {
			break
		}
		s = s[at+1:]
		switch s[0] {
		case 'P': // DCS > | text ST
			text, rest, ended := strings.Cut(s[1:], "\x1b\\")
			if !ended {
				return a
			}
			if name, ok := strings.CutPrefix(text, ">|"); ok {
				a.name = printable(name)
			}
			s = rest
		case '[':
			end := strings.IndexFunc(s[1:], func(r rune) bool { return r >= 0x40 && r <= 0x7e })
			if end < 0 {
				return a
			}
			body, final := s[1:1+end], s[1+end]
			s = s[2+end:]
			switch {
			case final == 'c' && strings.HasPrefix(body, "?"):
				a.done = true
				return a
			case final == 'y' && strings.HasPrefix(body, "?1004;"):
				switch strings.TrimSuffix(body[len("?1004;"):], "$") {
				case "1", "2", "3":
					a.focus = yes
				case "0", "4":
					a.focus = no
				}
			}
		}
	}
	return a
}

// printable keeps the ASCII of a name.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxName)]
}
