package keystore

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStarvedGuessesDoNotCount gives the right PIN where there is not enough
// memory to stretch it, as often as the vault bears wrong ones: a machine that is
// too small must not destroy a vault. Such a process tries nothing, and counts
// nothing.
func TestStarvedGuessesDoNotCount(t *testing.T) {
	const env = "SOTTO_TEST_STARVED"
	heavy := func(vaultPath, devicePath string) Place {
		p := At(vaultPath, devicePath)
		p.floor = kdf{memory: 256 << 10, time: 1, threads: 1}
		return p
	}
	if paths := os.Getenv(env); paths != "" {
		vaultPath, devicePath, _ := strings.Cut(paths, "\n")
		pin := locked(t, rightPIN)
		starve(t, 128<<20)
		o, err := heavy(vaultPath, devicePath).Open(pin)
		if err == nil {
			o.Close()
		}
		os.Stdout.WriteString("enough memory\n")
		return
	}
	base := cheapPlace(t)
	p := heavy(base.vault, base.device)
	p.DestroyAfter = 10
	makeVault(t, p, rightPIN).Close()
	for range p.DestroyAfter {
		cmd := exec.Command(os.Args[0], "-test.run=^TestStarvedGuessesDoNotCount$")
		cmd.Env = append(os.Environ(), env+"="+p.vault+"\n"+p.device)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "memory") || strings.Contains(string(out), "enough memory") {
			t.Fatalf("it was to run out of memory: %v\n%s", err, out)
		}
	}
	wantTried(t, p, 0)
	wantOpen(t, p)
}

// starve leaves this process so many bytes of address space, and no more.
func starve(t *testing.T, left uint64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, _, _ := strings.Cut(string(b), " ")
	var used uint64
	for _, c := range pages {
		used = 10*used + uint64(c-'0')
	}
	limit := used*uint64(os.Getpagesize()) + left
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
}
