package keystore

import (
	"os"
	"strings"
	"testing"
	"time"

	"sotto/internal/crash"
)

// TestKilledWhileChangingThePIN kills a process that changes the PIN back and
// forth, at random moments. One of the two must open the vault, and it must be
// the new one if the change was reported as done.
func TestKilledWhileChangingThePIN(t *testing.T) {
	const env = "SOTTO_TEST_CHANGE_PIN"
	pins := [2]string{"246810", "135791"}
	if paths := os.Getenv(env); paths != "" {
		vaultPath, devicePath, _ := strings.Cut(paths, "\n")
		p := cheapAt(vaultPath, devicePath)
		var o *Opened
		now := 0
		for ; o == nil && now < 2; now++ {
			o, _ = p.Open(locked(t, pins[now]))
		}
		now-- // the one that opened it
		for {
			os.Stdout.WriteString("to " + pins[1-now] + "\n")
			if err := o.ChangePIN(locked(t, pins[1-now])); err != nil {
				t.Fatal(err)
			}
			now = 1 - now
			os.Stdout.WriteString("is " + pins[now] + "\n")
		}
	}
	p := cheapPlace(t)
	makeVault(t, p, pins[0]).Close()
	for range 12 {
		all := crash.Kill(t, env, p.vault+"\n"+p.device, 20*time.Millisecond)
		said, pin, _ := strings.Cut(all[len(all)-1], " ")
		want := []string{pin}
		if said == "to" { // under way: either
			want = pins[:]
		}
		var (
			o   *Opened
			err error
		)
		for _, pin := range want {
			if o, err = p.Open(locked(t, pin)); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("after %q the vault does not open: %v", all[len(all)-1], err)
		}
		wantAccount(t, o.Account())
		o.Close()
	}
}
