package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAPolicyThatWouldCutEverybodyOff: one that keeps the organisation from its own relay
// is not signed, whoever says yes.
func TestAPolicyThatWouldCutEverybodyOff(t *testing.T) {
	url, home := serveOrganisation(t), t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pin, password := file("pin", orgPIN+"\n"), file("password", orgPassword+"\n")
	org := func(args ...string) (string, error) {
		t.Helper()
		out, err := at(t, home, append(append([]string{"org"}, args...), "--pin-file", pin)...).CombinedOutput()
		return strings.Join(strings.Fields(string(out)), " "), err
	}
	found := []string{"init", "ward.example", "--relay", url, "--no-recovery-key", "--password-file", password}
	out, err := org(append(found, "--policy", file("first", "relays = [\"wss://elsewhere.example/ws\"]\n"))...)
	if err == nil || !strings.Contains(out, "nobody could connect any more") || !strings.Contains(out, "relays does not have "+url) {
		t.Errorf("founded with it: %v: %s", err, out)
	}
	if out, err := org(found...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, x := range []struct{ settings, words string }{
		{`relays = ["wss://elsewhere.example/ws"]`, "relays does not have " + url + ", where the organisation itself is. Add it"},
		{`relays = ["nonsense", "` + url + `"]`, "relays has what is no URL"},
		{`relay-pins = ["nonsense"]`, "relay-pins has what is no SHA-256 of a key"},
	} {
		out, err = org("policy", "set", file("settings", "lease = \"3d\"\n"+x.settings+"\n"), "--yes")
		if err == nil || !strings.Contains(out, "nobody could connect any more, and you could not take it back") || !strings.Contains(out, x.words) {
			t.Errorf("%s: %v: %s", x.settings, err, out)
		}
	}
	if out, err := org("policy", "show"); err != nil || !strings.Contains(out, "# policy 1,") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = org("policy", "set", file("settings", "lease = \"3d\"\nrelays = [\"wss://elsewhere.example/ws\", \""+url+"\"]\n"), "--yes")
	if err != nil || !strings.Contains(out, "Policy 2 is in force.") || strings.Contains(out, "Asking the relay") { // the list says enough
		t.Errorf("%v: %s", err, out)
	}
}
