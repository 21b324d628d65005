package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/internal/harden"
	"sotto/internal/inforce"
	"sotto/internal/role/roletest"
)

// TestAPolicyThatTheOwnMachineCannotMeet: it is put in force, holds for the screens of
// this machine too, and can be taken back.
func TestAPolicyThatTheOwnMachineCannotMeet(t *testing.T) {
	if _, err := os.Stat("/dev/tpmrm0"); err == nil {
		t.Skip("this machine has a TPM")
	}
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
	org := func(args ...string) string {
		t.Helper()
		out, err := at(t, home, append(append([]string{"org"}, args...), "--pin-file", pin)...).CombinedOutput()
		if err != nil {
			t.Fatalf("sotto org %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	org("init", "ward.example", "--relay", url, "--no-recovery-key", "--password-file", password)
	before := org("policy", "show")

	strict := file("strict", "tpm = \"required\"\nsandbox = \"full\"\nservice = true\n")
	if out := org("policy", "set", strict, "--yes"); !strings.Contains(out, "Policy 2 is in force.") {
		t.Fatal(out)
	}
	data := filepath.Join(home, ".local", "share", "sotto", "org", "data")
	for late := time.Now().Add(90 * time.Second); ; { // until it holds before the PIN is given, too
		out := org("policy", "show")
		if !strings.Contains(out, "tpm = \"required\"") {
			t.Fatalf("the policy in force: %s", out)
		}
		copied, err := inforce.Read(data)
		if err != nil {
			t.Fatal(err)
		}
		if copied != nil && copied.Policy.At().Serial == 2 {
			break
		}
		if time.Now().After(late) {
			t.Fatal("the policy does not hold on this machine")
		}
	}
	c := roletest.Start(t, at(t, home, "--profile", "org"), 80, 24)
	if len(harden.Offered().Missing()) > 0 {
		c.See("whole sandbox")
	} else {
		c.See("sotto opened only where a TPM")
	}
	if code := c.Exit(); code == 0 {
		t.Error("the screens opened")
	}

	org("status")
	loose := file("loose", strings.SplitN(before, "\n\n", 2)[1])
	if out := org("policy", "set", loose, "--yes"); !strings.Contains(out, "Policy 3 is in force.") {
		t.Fatal(out)
	}
}
