package tui

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPastingCanBeTurnedOff(t *testing.T) {
	term := start(t, terminalSetup{config: func(c *Config) { c.NoPaste, c.Curtain = true, true }})
	term.press("typed").paste("K 6.8\rNa 140\x1b[201~more\r").sees("Pasting is turned off here.", ">  typed").taken()
	if s := term.text(); strings.Contains(s, "K 6.8") || strings.Contains(s, "more") || len(term.sent()) != 0 {
		t.Errorf("something was pasted:\n%s", s)
	}
	term.clock.pass(time.Second)
	term.press("x").misses("Pasting").press(keyCtrlV).sees("Pasting is turned off here.", ">  typedx")
	term.press(keyCtrlK).sees("go to").paste("lind").taken().sees("ICU night")
	term.clock.pass(time.Second)
	term.press(keyEsc).misses("go to")
}

// A text may hold the very sequence that ends a paste. What comes after it in
// one go is neither keys nor commands.
func TestTheEndOfAPasteInAPaste(t *testing.T) {
	for name, tail := range map[string]string{
		"return":            "\r",
		"line end":          "\n",
		"keypad":            "\x1bOM",
		"extended keyboard": "\x1b[13u",
		"modified keys":     "\x1b[27;1;13~",
		"a second paste":    "\x1b[200~\x1b[201~\r",
		"escape":            "\x1b\r\r",
	} {
		t.Run(name, func(t *testing.T) {
			term := start(t, terminalSetup{config: curtained})
			term.paste("one\x1b[201~two" + tail + "/quit" + tail).sees(">  onetwo\n").taken()
			if n := term.sent(); len(n) != 0 {
				t.Errorf("sent %q", n)
			}
			term.clock.pass(time.Second)
			term.press("!").sees("/quit", "!").press(keyEnter)
			term.until("what was pasted is sent by a person", func() bool { return len(term.sent()) == 1 })
		})
	}
}

func TestAPasteDecidesNothingInADialog(t *testing.T) {
	term := start(t, terminalSetup{config: curtained, fake: func(f *fake) {
		f.ward()
		f.devices[ada] = append(f.devices[ada], device(99, 0))
	}})
	term.press(keyF3).sees("> device 99", "NEW since").paste("x\x1b[201~s").paste("\x1b[201~dy\x1b[201~").taken().sees("NEW since")
	term.clock.pass(time.Second)
	term.press("s").misses("NEW since") // a person's
}

// Locking and leaving work whatever came before.
func TestALockInABurst(t *testing.T) {
	for _, key := range []string{keyCtrlL, keyCtrlQ} {
		term := start(t, terminalSetup{})
		term.paste("one\x1b[201~two" + key).ends()
	}
}

func TestCopyKeysAreAnswered(t *testing.T) {
	term := start(t, terminalSetup{})
	for _, k := range []struct{ name, key, says string }{
		{"Ctrl+C", keyCtrlC, "Nothing is copied from here"},
		{"Ctrl+C, modifyOtherKeys", "\x1b[27;5;99~", "Nothing is copied from here"},
		{"Ctrl+C, kitty", "\x1b[99;5u", "Nothing is copied from here"},
		{"Ctrl+Shift+C, kitty", "\x1b[99;6u", "Copying is off"},
		{"Ctrl+Shift+C, kitty with the shifted letter", "\x1b[99:67;6u", "Copying is off"},
		{"Ctrl+Shift+C, modifyOtherKeys", "\x1b[27;6;67~", "Copying is off"},
		{"Ctrl+Insert", "\x1b[2;5~", "Copying is off"},
		{"Cmd+C", "\x1b[99;9u", "Copying is off"},
		{"Cmd+X", "\x1b[120;9u", "Copying is off"},
		{"Ctrl+X", "\x18", "Copying is off"},
		{"Ctrl+V", keyCtrlV, "Paste with your"},
		{"Shift+Insert", "\x1b[2;2~", "Paste with your"},
		{"Cmd+V", "\x1b[118;9u", "Paste with your"},
		{"Ctrl+Shift+V", "\x1b[118;6u", "Paste with your"},
	} {
		t.Run(k.name, func(t *testing.T) {
			term.press("x").misses("cop").press(keyCtrlU)
			term.press(k.key).sees(k.says)
		})
	}
	term.press("draft", keyCtrlC).sees("Cleared, and not copied").misses("draft")
	for _, dialog := range []string{keyF2, keyCtrlK} { // the first covers some of the notice
		term.press(dialog, "\x1b[99;6u").sees("in sotto.").press(keyEsc).quiet()
		time.Sleep(60 * time.Millisecond) // the terminal's own wait after Escape
	}
	if out := term.since(0); strings.Contains(out, "]52") {
		t.Errorf("the clipboard was written: %q", out)
	}
	if got := term.sent(); !slices.Equal(got, nil) {
		t.Errorf("sent %q", got)
	}
}
