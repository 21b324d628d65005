package keystore

import (
	"bufio"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
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
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileChangingThePIN$")
		cmd.Env = append(os.Environ(), env+"="+p.vault+"\n"+p.device)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		last, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the child ended: %v", err)
		}
		go func() {
			time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond) // the random moment
			cmd.Process.Kill()
		}()
		rest, _ := io.ReadAll(lines)
		cmd.Wait()
		all := strings.Split(last+string(rest), "\n")
		all = all[:len(all)-1] // what follows the last line's end was cut off
		said, pin, _ := strings.Cut(all[len(all)-1], " ")
		want := []string{pin}
		if said == "to" { // under way: either
			want = pins[:]
		}
		var o *Opened
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
