//go:build linux

package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sotto/client/store"
	"sotto/test/proxy"
)

// TestFilesKilled ends the desk, the link and the whole sotto with SIGKILL while
// files move over a slow network: they go on from where they were, what had
// arrived at the relay is not sent again, and nothing readable is on the disk.
func TestFilesKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	s := embedded(t)
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	// A file is where its sender's connection leads.
	line, second := proxy.Start(t, s.Addr), proxy.Start(t, s.Addr)
	per := start(t, s, people[1], through(s, second))
	ada := newPerson(t, "Ada")
	folder := filepath.Join(ada.home, "shared")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	ada.stayOpen()
	ada.run("join", s.Address(people[0]), "--relay", through(s, line), "--ca", s.CAFile)
	ada.See("Password of " + s.Address(people[0]))
	ada.Enter(people[0].Password)
	ada.See("New PIN")
	ada.Enter(ada.pin)
	ada.See("Again")
	ada.Enter(ada.pin)
	ada.See("lock in", "online")
	ada.quit()
	configs, err := filepath.Glob(filepath.Join(ada.home, "config", "sotto", "*", "config.toml"))
	if err != nil || len(configs) != 1 {
		t.Fatalf("settings: %v, %v", configs, err)
	}
	settings, err := os.ReadFile(configs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(configs[0], fmt.Appendf(nil, "attach-from = [%q]\n%s", folder, settings), 0o600); err != nil {
		t.Fatal(err)
	}
	const size = 12_000_000
	mine, theirs := strings.Repeat("Kestrel says that bed 9 sleeps. ", size/32), strings.Repeat("Heron reads what is written. \n", 6_000_000/30)
	if err := os.WriteFile(filepath.Join(folder, "night.mp4"), []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}

	ada.run()
	ada.unlock()
	ada.talkTo("Lind, Per")
	ada.say("A film of the night")
	ada.delivered("A film of the night")
	line.SetRate(500_000) // slow enough that there is something left when somebody has unlocked
	before, _ := line.Bytes()
	kill := func(role string) {
		t.Helper()
		pid := ada.role(role)
		if err := syscall.Kill(pid.pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		ada.until("ending the "+role, func() bool { return ada.roles()[role] != pid })
	}
	moved := func(bytes int64) {
		t.Helper()
		up, _ := line.Bytes()
		_, down := second.Bytes()
		ada.until("moving some of the file", func() bool {
			u, _ := line.Bytes()
			_, d := second.Bytes()
			return u-up >= bytes || d-down >= bytes
		})
	}
	again := func() {
		t.Helper()
		ada.unlock()
		ada.SeeMatch(`\A Lind, Per`)
	}

	ada.Enter("/attach night.mp4")
	ada.SeeMatch(`uploading \d+ %`)
	moved(1_500_000)
	kill("desk")
	again()
	ada.SeeMatch(`uploading`)
	moved(1_500_000)
	kill("link")
	again() // a link that has ended takes the screen with it
	moved(1_500_000)
	if err := syscall.Kill(ada.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ada.run()
	again()
	line.SetRate(0)
	got := offers(t, ctx, per, s.Address(people[0]), "night.mp4")
	if up, _ := line.Bytes(); up-before > size*7/4 {
		t.Errorf("%d bytes went up for a file of %d: it began anew", up-before, size)
	}
	ada.SeeMatch(`night\.mp4.*(delivered|read)`)
	if err := per.Fetch(ctx, got.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	has(t, ctx, per, s.Address(people[0]), got.Files[0].ID, []byte(mine))

	// The other way.
	m := give(t, ctx, per, s.Address(people[0]), "report.txt", []byte(theirs), "")
	ada.See("report.txt")
	reaches(t, ctx, per, m, store.Delivered)
	_, before = second.Bytes()
	second.SetRate(250_000)
	ada.Press("Enter")
	moved(1_000_000)
	kill("desk")
	again()
	moved(1_000_000)
	kill("link")
	again()
	moved(1_000_000)
	second.SetRate(0)
	ada.SeeMatch(`report\.txt.*Enter to look`)
	ada.Press("Enter")
	ada.See("Heron reads what is written")
	if _, down := second.Bytes(); down-before > 6_000_000*7/4 {
		t.Errorf("%d bytes came down for a file of 6000000: it began anew", down-before)
	}
	ada.Press("Escape")
	ada.lock()
	for _, dir := range []string{"data", "state", "tmp", "run", "config"} {
		if _, err := os.Stat(filepath.Join(ada.home, dir)); err == nil && dir != "run" && dir != "tmp" {
			neverOnDisk(t, filepath.Join(ada.home, dir), "it was moved", "Kestrel says", "Heron reads", "night.mp4", "report.txt")
		}
	}
	neverOnDisk(t, s.Dir, "it was moved", "Kestrel says", "Heron reads", "night.mp4", "report.txt")
	exercised(t, "kill -9 of the desk, the link and the watch while files move")
}
