package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"sotto/client/text"
)

// maxHistory is how many sent messages of a conversation Up and Down go through.
const maxHistory = 50

// composer is where a message is written.
type composer struct {
	buffer
	history []string // what was sent from here, oldest first
	back    int      // how far back in history; 0: not at all
	draft   string   // what stood here before going back
	dirty   bool     // changed since the draft was stored
	about   *about   // what is written answers or corrects a message; nil: it does not
}

// edit does what a readline key does, and reports whether it was one.
func (c *composer) edit(m measure, key string) (known, room bool) {
	room = true
	size, at := c.bytes, c.at
	switch key {
	case "left", "ctrl+b":
		c.at = c.left(m)
	case "right", "ctrl+f":
		c.at = c.right(m)
	case "home", "ctrl+a":
		c.at = c.lineStart()
	case "end", "ctrl+e":
		c.at = c.lineEnd()
	case "alt+b", "ctrl+left", "alt+left":
		c.at = c.wordLeft()
	case "alt+f", "ctrl+right", "alt+right":
		c.at = c.wordRight()
	case "backspace", "ctrl+h", "shift+backspace":
		c.remove(c.left(m), c.at)
	case "delete", "ctrl+d":
		c.remove(c.at, c.right(m))
	case "ctrl+w":
		c.kill(c.spaceLeft(), c.at)
	case "alt+backspace", "ctrl+backspace":
		c.kill(c.wordLeft(), c.at)
	case "alt+d", "ctrl+delete":
		c.kill(c.at, c.wordRight())
	case "ctrl+u":
		c.kill(c.lineStart(), c.at)
	case "alt+k":
		end := c.lineEnd()
		if end == c.at {
			end = min(end+1, len(c.runes)) // join with the next line, as Emacs does
		}
		c.kill(c.at, end)
	case "ctrl+y":
		room = c.yank()
	case "ctrl+t":
		c.swap()
		c.dirty = true
	case "shift+enter", "ctrl+j":
		room = c.insert("\n")
	default:
		return false, true
	}
	if c.bytes != size {
		c.dirty = true
	}
	if c.bytes != size || c.at != at {
		c.stay()
	}
	return true, room
}

// typed inserts what a key typed, and reports whether it had room.
func (c *composer) typed(s string) bool {
	for _, r := range s {
		if !unicode.IsGraphic(r) {
			s = text.Line(s).String()
			break
		}
	}
	c.dirty = true
	c.stay()
	return c.insert(s)
}

// paste inserts text from outside, and reports whether it had room. A last
// line end is left out: it came with copying, and sends nothing. Terminals paste
// a line end as the return that the key would send.
func (c *composer) paste(s string) bool {
	if len(s) > maxDraft+utf8.UTFMax {
		s = s[:maxDraft+utf8.UTFMax]
	}
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	c.dirty = true
	c.stay()
	return c.insert(strings.TrimRight(text.Sanitize(s).String(), "\n"))
}

// clear empties the composer.
func (c *composer) clear() {
	c.wipe()
	c.stay()
	c.dirty = true
}

// sent remembers what was sent, for Up.
func (c *composer) sent(s string) {
	if n := len(c.history); n > 0 && c.history[n-1] == s {
		return
	}
	c.history = append(c.history, s)
	if len(c.history) > maxHistory {
		c.history = append([]string(nil), c.history[1:]...)
	}
}

// up goes to the line above, or from an empty composer to what was sent
// before. It reports false if there is nothing above.
func (c *composer) up(m measure) bool {
	if start := c.lineStart(); start > 0 && c.back == 0 {
		column := c.at - start
		c.at = start - 1
		c.at = min(c.lineStart()+column, c.at)
		return true
	}
	if !c.empty() && c.back == 0 || c.back == len(c.history) {
		return false
	}
	if c.back == 0 {
		c.draft = c.String()
	}
	c.back++
	c.set(c.history[len(c.history)-c.back])
	return true
}

// down goes to the line below, or to what was sent later, and last back to the
// draft.
func (c *composer) down(m measure) bool {
	if end := c.lineEnd(); end < len(c.runes) && c.back == 0 {
		column := c.at - c.lineStart()
		c.at = end + 1
		c.at = min(c.at+column, c.lineEnd())
		return true
	}
	if c.back == 0 {
		return false
	}
	c.back--
	if c.back == 0 {
		c.set(c.draft)
		c.draft = ""
		return true
	}
	c.set(c.history[len(c.history)-c.back])
	return true
}

// stay makes a message from history the draft, once it is changed.
func (c *composer) stay() { c.back, c.draft = 0, "" }

// written is the draft to store: not a message from history that is only looked at.
func (c *composer) written() string {
	if c.back > 0 {
		return c.draft
	}
	return c.String()
}

// layout breaks the text into rows of at most w columns and finds the cursor.
// Every row is the text as it stands; a space that does not fit begins the
// next row, so that the cursor always moves when a key is typed. After a full
// row the cursor stands in column w, which is left free for it.
func (c *composer) layout(m measure, w int) (rows []string, x, y int) {
	w = max(w, 2)
	s := c.String()
	at := len(string(c.runes[:c.at]))
	start, used, i := 0, 0, 0
	brk, brkUsed := -1, 0 // after the last space of this row
	flush := func(end int) {
		rows = append(rows, s[start:end])
		start = end
		brk = -1
	}
	for {
		if i == at {
			x, y = used, len(rows)
		}
		if i == len(s) {
			break
		}
		if s[i] == '\n' {
			flush(i)
			i++
			start, used = i, 0
			continue
		}
		n, cw := cluster(m, s[i:])
		if used+cw > w {
			if brk > start && s[i] != ' ' {
				if at >= brk && at <= i {
					x, y = x-brkUsed, len(rows)+1
				}
				used -= brkUsed
				flush(brk)
			} else {
				flush(i)
				used = 0
				if i == at {
					x, y = 0, len(rows)
				}
			}
		}
		used += cw
		i += n
		if s[i-1] == ' ' {
			brk, brkUsed = i, used
		}
	}
	rows = append(rows, s[start:])
	return rows, x, y
}
