package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"rsc.io/qr"

	"sotto/client"
)

// codeDialog shows this device's code, for another phone to scan or another
// person to type. It holds a public key and nothing secret.
type codeDialog struct {
	code  string
	typed bool // it is shown as text, to be typed
}

func (m *Model) showCode() tea.Cmd {
	m.push(&codeDialog{code: m.cfg.Messenger.Code().String()})
	return nil
}

func (d *codeDialog) key(_ *Model, key, _ string) (done bool, _ tea.Cmd) {
	if key == "t" && !d.typed {
		d.typed = true
		return false, nil
	}
	return true, nil
}

func (d *codeDialog) wheel(*Model, int)                             {}
func (d *codeDialog) click(*Model, int, int) (done bool, _ tea.Cmd) { return true, nil }
func (d *codeDialog) covers() bool                                  { return false }
func (d *codeDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	hint := "Scan this. t shows it as text, for /verify. Any other key goes back."
	if lines := m.drawQR(d.code, w, h-1); lines != nil && !d.typed {
		return append(lines, fit(k.m, " "+paint(k.Faint, clip(k.m, hint, w-2, k.more)), w)), rect{0, 0, w, len(lines) + 1}, nil
	}
	bw := min(w-2, 79)
	var lines []string
	for _, s := range wrap(k.m, "This is the code of this device. Type it on the other one: /verify, then the code.", bw-4) {
		lines = append(lines, paint(k.Text, s))
	}
	lines = append(lines, "")
	for _, s := range wrap(k.m, d.code, bw-4) {
		lines = append(lines, paint(k.Fingerprint, s))
	}
	box := k.box("the code of this device", "Esc back", lines, bw)
	return box, center(box, bw, w, h), nil
}

// quiet is the white border that a scanner needs, in modules. The standard asks for
// four, and scanners do with two, which is what fits 24 rows.
const quiet = 2

// drawQR draws a code with half blocks, two rows of modules a line; nil where there
// is no room, or the terminal has no such characters.
func (m *Model) drawQR(s string, w, h int) []string {
	code, err := qr.Encode(s, qr.L)
	if err != nil || m.look.rule == asciiGlyphs.rule {
		return nil
	}
	size := code.Size + 2*quiet
	if size > w || (size+1)/2 > h {
		return nil
	}
	// Black on white wherever there are colours. Where there are none, what is
	// drawn is the one and what is not is the other, as the background is.
	on, invert := "\x1b[38;5;16;48;5;231m", false
	if m.env.profile() <= colorprofile.ASCII {
		on, invert = "", m.look.Dark
	}
	drawn := func(x, y int) bool { return (y < size && code.Black(x-quiet, y-quiet)) != invert }
	left := (w - size) / 2
	var lines []string
	for y := 0; y < size; y += 2 {
		var b strings.Builder
		for x := range size {
			switch top, bottom := drawn(x, y), drawn(x, y+1); {
			case top && bottom:
				b.WriteString("█")
			case top:
				b.WriteString("▀")
			case bottom:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		line := b.String()
		if on != "" {
			line = on + line + reset
		}
		lines = append(lines, spaces(left)+line+spaces(w-size-left))
	}
	return lines
}

func (m *Model) commandCode(string) (bool, tea.Cmd) { return true, m.showCode() }

// commandVerify takes the code that somebody else's screen shows.
func (m *Model) commandVerify(arg string) (bool, tea.Cmd) {
	if arg == "" {
		m.say("/verify takes the code that the other's app shows: xmpp: and so on. Yours is under /code.")
		return false, nil
	}
	code, err := client.ParseCode(arg)
	if err != nil {
		m.warn(sentence(err))
		return false, nil
	}
	return true, m.query(func(q queryContext) tea.Msg {
		n, err := q.VerifyCode(q.ctx, code)
		return verifiedMsg{code.Address, n, err}
	})
}

// verifiedMsg says what became of a code.
type verifiedMsg struct {
	peer string
	n    int
	err  error
}

func (m *Model) verified(msg verifiedMsg) {
	name := shortName(m.conversation(msg.peer).Name.String(), msg.peer)
	switch {
	case msg.err != nil:
		m.warn(sentence(msg.err))
	case msg.n == 1:
		m.say("Compared: the device of " + name + " is the one that this code names.")
	default:
		m.say("Compared: " + count(msg.n, "device") + " of " + name + ".")
	}
}

func (m *Model) commandRejoin(string) (bool, tea.Cmd) {
	return true, m.query(func(q queryContext) tea.Msg {
		return roomMsg{"", "This device is being put back. Your others show it as new, or refused: compare there.", q.Rejoin(q.ctx)}
	})
}
