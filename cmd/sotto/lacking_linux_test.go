//go:build amd64 || arm64

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
	"sotto/internal/harden/hardentest"
	"sotto/internal/role/roletest"
)

// lackingName is what this test binary is called to become sotto on a kernel that does
// not know a system call. Its first argument is the call's number.
const lackingName = "lacking"

func lack() {
	nr, err := strconv.ParseUint(os.Args[1], 10, 32)
	if err == nil {
		err = hardentest.Lack(unix.SECCOMP_FILTER_FLAG_TSYNC, uint32(nr))
	}
	if err == nil {
		err = unix.Exec("/proc/self/exe", append([]string{"sotto"}, os.Args[2:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "the test could not take the call away:", err)
	os.Exit(70)
}

// lacking has sotto, and all that it starts, find a kernel without a system call.
func lacking(nr uint32, cmd *exec.Cmd) *exec.Cmd {
	cmd.Args = append([]string{lackingName, fmt.Sprint(nr)}, cmd.Args[1:]...)
	return cmd
}

// TestPolicyAsksForTheWholeSandbox takes a layer of the sandbox away. Where a policy asks
// for all of it sotto locks at once and shows nothing, with why; where the layer is back,
// it opens; and when it is gone again, sotto does not even ask for the PIN.
func TestPolicyAsksForTheWholeSandbox(t *testing.T) {
	if missing := harden.Offered().Missing(); len(missing) > 0 {
		t.Skipf("this system lacks something itself: %q", missing)
	}
	for name, call := range map[string]uint32{"Landlock": unix.SYS_LANDLOCK_CREATE_RULESET, "seccomp": unix.SYS_SECCOMP} {
		t.Run(name, func(t *testing.T) {
			without := func(cmd *exec.Cmd) *exec.Cmd { return lacking(call, cmd) }
			missing := name + " is missing"
			w := newClinic(t)
			w.serve()
			home := t.TempDir()
			c := w.member(home)
			quit(t, c)
			c = roletest.Start(t, without(at(t, home)), 80, 24)
			given(c, "PIN  _", memberPIN+"\r")
			c.See("online", "F1 help")
			if _, err := w.org.SetPolicy(t.Context(), "sandbox = \"full\"\n"); err != nil {
				t.Fatal(err)
			}
			if left, err := w.org.Settle(t.Context(), w.c, nil); err != nil || !left.None() {
				t.Fatalf("%+v, %v", left, err)
			}
			says(c, "only in its whole sandbox", missing)
			c.SeeGone("F1 help")
			c.Type("\x11")
			c.Exit()
			c.Restored()

			// The PIN does not help.
			c = roletest.Start(t, without(at(t, home)), 80, 24)
			given(c, "PIN  _", memberPIN+"\r")
			says(c, "only in its whole sandbox", missing, "Use another machine, or tell your administrator")
			c.Type("\x11")
			c.Exit()
			c.Restored()

			c = roletest.Start(t, at(t, home), 80, 24)
			given(c, "PIN  _", memberPIN+"\r")
			given(c, "put right. Enter the PIN again.", memberPIN+"\r")
			c.See("online", "F1 help")
			quit(t, c)
			c = roletest.Start(t, without(at(t, home)), 80, 24)
			if code := c.Exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			says(c, "ward.example has sotto opened only in its whole sandbox", missing, "Nothing was opened. Use another machine, or tell your administrator", "sotto doctor")
			out, err := without(at(t, home, "listen", "--json", "--pin-file", secret(t, memberPIN))).CombinedOutput()
			if err == nil || !strings.Contains(strings.Join(strings.Fields(string(out)), " "), "only in its whole sandbox") {
				t.Errorf("a program: %v, %s", err, out)
			}
		})
	}
}
