package main

import (
	"strings"
	"testing"
)

// TestAccountStays says how an account is ended, in lines that can be typed as they are.
func TestAccountStays(t *testing.T) {
	var out strings.Builder
	accountStays(&out, "o$(reboot)&h@hospital.example", false)
	for _, want := range []string{
		"Whoever runs the relay ends it:",
		"prosodyctl deluser 'o$(reboot)&h@hospital.example'\n",
		"ejabberdctl ban_account 'o$(reboot)&h' hospital.example removed\n",
		"sotto relay user remove 'o$(reboot)&h' --data DIR\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	out.Reset()
	accountStays(&out, "bob@hospital.example", true)
	if got := out.String(); !strings.Contains(got, "Once they are wiped") || !strings.Contains(got, "deluser bob@hospital.example\n") {
		t.Error(got)
	}
}

// TestNextNamesTheProfile, where it is not the one that is taken without being named.
func TestNextNamesTheProfile(t *testing.T) {
	for profile, want := range map[string]string{orgProfile: "sotto org serve  ", "ward": "sotto org serve --profile ward  "} {
		var out strings.Builder
		(&office{profile: profile}).next(&out)
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 80 {
				t.Errorf("too wide: %s", line)
			}
		}
	}
}
