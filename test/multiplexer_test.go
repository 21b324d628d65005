package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sotto/test/terminal"
)

// TestMultiplexer has sotto in a real tmux, as tmux is and with the option that
// keeps what programs draw: what is said at the lock screen is true, and the
// setting is obeyed.
func TestMultiplexer(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	ada, per := newPerson(t, "Ada"), newPerson(t, "Per")
	for _, p := range []*person{ada, per} { // nobody looks at this tmux, so it is covered otherwise
		p.settings("curtain = false\n")
	}
	ada.join(s, people[0])
	per.join(s, people[1])
	ada.talkTo("Lind, Per")
	const secret = "potassium came back 6.8"
	ada.say(secret)
	ada.delivered(secret)
	ada.quit()
	per.quit()
	if strings.Contains(ada.Scrollback(), secret) {
		t.Errorf("with an alternate screen, left in the history:\n%s", ada.Scrollback())
	}

	ada.run()
	ada.See("tmux is around sotto")
	if strings.Contains(ada.Screen(), "history") {
		t.Errorf("it has an alternate screen:\n%s", ada.Screen())
	}
	ada.unlock()
	ada.quit()

	keeps := terminal.Options{Set: []string{"set -g alternate-screen off"}}
	ada.runIn(keeps)
	ada.See("tmux is around sotto", "stays in its history")
	ada.unlock()
	ada.talkTo("Lind, Per")
	ada.See(secret)
	ada.quit()
	if !strings.Contains(ada.Scrollback(), secret) {
		t.Error("without an alternate screen nothing stays in the history, so the note is wrong")
	}

	config := ada.config()
	set := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		// What nobody has chosen stands there as a comment.
		changed := strings.Replace(strings.Replace(string(b), "# multiplexer", "multiplexer", 1), `multiplexer = "`+from+`"`, `multiplexer = "`+to+`"`, 1)
		if changed == string(b) {
			t.Fatalf("the settings are not %q:\n%s", from, b)
		}
		if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("warn", "refuse")
	for _, o := range []terminal.Options{{}, keeps} {
		ada.runIn(o)
		if code := ada.Exit(); code != 1 {
			t.Errorf("refused with exit code %d", code)
		}
		ada.See(`multiplexer = "refuse"`)
	}
	set("refuse", "allow")
	ada.run()
	ada.See("s o t t o", "PIN")
	if strings.Contains(ada.Screen(), "tmux") {
		t.Errorf("it was allowed:\n%s", ada.Screen())
	}
	ada.unlock()
	ada.quit()

	// doctor asks the same tmux.
	ada.runIn(terminal.Options{Height: 60, Set: keeps.Set}, "doctor", "--offline")
	ada.See("bad   multiplexer  tmux", "alternate-screen off", "set -g alternate-screen on")
	if code := ada.Exit(); code != 1 {
		t.Errorf("doctor ended with exit code %d", code)
	}
	exercised(t, "tmux with alternate-screen on and off")
}

// config is the person's settings file.
func (p *person) config() string {
	return filepath.Join(p.home, "config", "sotto", "default", "config.toml")
}

// settings writes the settings of somebody who has not joined yet.
func (p *person) settings(toml string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.config()), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.config(), []byte(toml), 0o600); err != nil {
		p.t.Fatal(err)
	}
}
