package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/store"
)

// An own device is removed where it is shown, after a question.
func TestRemoveADevice(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ward()
		f.devices[self] = append(f.devices[self], device(8, store.Undecided))
	}})
	done := func() []string {
		term.fake.mu.Lock()
		defer term.fake.mu.Unlock()
		return slices.Clone(term.fake.rooms)
	}
	term.press("/devices", keyEnter).sees("> device 8", "NEW since", "r remove")
	term.press("r").sees("Remove this device from your account?")
	term.press(keyEsc).misses("Remove this device")
	term.press("y")
	term.press("d").sees("Refuse this device").press(keyEsc).misses("Refuse this device")
	if got := done(); len(got) != 0 {
		t.Errorf("did %q", got)
	}
	term.press("r").sees("Remove this device").press("y").misses("device 8")
	if got := done(); !slices.Equal(got, []string{"removed device 8"}) {
		t.Errorf("did %q", got)
	}
}

func TestCodes(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/code", keyEnter).sees("Scan this", "▀").press(keyEsc).misses("Scan this")
	term.press("/code", keyEnter).sees("Scan this").press("t").sees("xmpp:", "Type it on the other one").press("t").misses("xmpp:")
	term.press("/verify", keyEnter).sees("takes the code").press(keyCtrlU)
	term.press("/verify okafor@mercy.example", keyEnter).sees("This is not a code").press(keyCtrlU)
	code := "xmpp:" + ada + "?omemo-sid-71=" + strings.Repeat("0a", 32)
	term.press("/verify "+code, keyEnter).sees("Compared: the device of Okafor")
	term.press("/rejoin", keyEnter).sees("is being put back")
	term.fake.mu.Lock()
	defer term.fake.mu.Unlock()
	if got := term.fake.rooms; !slices.Equal(got, []string{"verify " + code, "rejoin"}) {
		t.Errorf("did %q", got)
	}
}

// What another own device has sent says so.
func TestSentFromAnotherDevice(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.say(ada, "", "from here", time.Minute, delivered, func(m *client.Message) { m.Device = 5 })
		f.say(ada, "", "from the other", time.Minute, delivered, func(m *client.Message) { m.Device = 8 })
	}})
	term.sees("from here", "other device · delivered")
	for _, l := range strings.Split(term.text(), "\n") {
		if strings.Contains(l, "from here") && strings.Contains(l, "other device") {
			t.Error(l)
		}
	}
}
