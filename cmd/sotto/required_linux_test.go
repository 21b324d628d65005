package main

import (
	"strings"
	"testing"
	"time"

	"sotto/internal/inforce"
	"sotto/internal/role/roletest"
	"sotto/keystore/tpm"
)

// demands has the organisation sign a policy, and waits until a member's sotto has it.
func (w *clinic) demands(home, body string) {
	t := w.t
	t.Helper()
	if _, err := w.org.SetPolicy(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	if left, err := w.org.Settle(t.Context(), w.c, nil); err != nil || !left.None() {
		t.Fatalf("%+v, %v", left, err)
	}
	for late := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if copied, err := inforce.Read(profileAt(home).Data); err == nil && copied != nil && copied.Policy.Body == body {
			return
		}
		if time.Now().After(late) {
			t.Fatal("the policy does not come")
		}
	}
}

// refuses starts sotto, which does not open, and says why and what to do.
func refuses(t *testing.T, home string, words ...string) {
	t.Helper()
	c := roletest.Start(t, at(t, home), 80, 24)
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, w := range words {
		c.Until("saying "+w, func(screen string) bool { return strings.Contains(strings.Join(strings.Fields(screen), " "), w) })
	}
}

// TestPolicyAsksForATPM that this machine does not have.
func TestPolicyAsksForATPM(t *testing.T) {
	if tpm.Open().Ready() == nil {
		t.Skip("there is a TPM")
	}
	w := newClinic(t)
	w.serve()
	home := t.TempDir()
	c := w.member(home)
	w.demands(home, "tpm = \"required\"\n")
	c.Type("\x0c") // no gate opens from here on
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()
	refuses(t, home, "only where a TPM keeps the device secret", "tell your administrator")
}
