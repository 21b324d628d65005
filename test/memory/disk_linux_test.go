package memory

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNothingReadableOutside is invariants 2 and 3: what two people write to each
// other, their PINs, passwords and keys are nowhere in what their sottos wrote to
// disk, not in what the relay stores, logs and has in memory, and not on the wire,
// although there was no TLS to hide it.
func TestNothingReadableOutside(t *testing.T) {
	t.Parallel()
	r, people := startRelay(t, "Okafor, Ada", "Lind, Per")
	tap := NewTap(t, r.addr)
	var canaries []Canary
	text := func(name, what string) string {
		canaries = append(canaries, TextCanary(name, what))
		return what
	}
	sottos := [2]*sotto{newSotto(t, people[0]), newSotto(t, people[1])}
	ada, per := sottos[0], sottos[1]
	for i, s := range sottos {
		text("PIN of "+nameOf(people[i].display), s.pin)
		text("password of "+nameOf(people[i].display), people[i].password)
		s.join("ws://"+tap.Addr()+"/ws", func(string) {})
	}
	search := func(moment string) {
		t.Helper()
		s := NewSearch(canaries...)
		var all []Hit
		var sizes []string
		dirs := []string{ada.home, per.home, r.dir}
		for _, dir := range dirs {
			hits, size, err := s.Folder(dir)
			if err != nil {
				t.Fatal(err)
			}
			all, sizes = append(all, hits...), append(sizes, fmt.Sprintf("%d kB", size>>10))
		}
		hits, size, messages, err := s.Wire(tap)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hits...)
		unnamed := 0
		for _, c := range sottos {
			family, err := Family(c.PID)
			if errors.Is(err, ErrGone) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range family {
				hits, files, err := s.OpenFiles(p.PID)
				if err != nil {
					t.Fatal(err)
				}
				unnamed += files
				all = append(all, hits...)
			}
		}
		hits, memory, err := s.Memory(r.pid)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			h.Place = "the relay's memory: " + h.Place
			all = append(all, h)
		}
		t.Logf("%s: %d canaries in %s of ada, per and the relay, %d unnamed files, %d kB and %d messages on the wire, %d MB of the relay's memory: %d found",
			moment, len(canaries), strings.Join(sizes, ", "), unnamed, size>>10, messages, memory>>20, len(all))
		for _, c := range canaries {
			if Count(all, c.Name) > 0 {
				t.Errorf("%s: the %s can be read: %s", moment, c.Name, Describe(all, c.Name))
			}
		}
	}

	// They talk; each has something half written.
	ada.See("Lind, Per")
	per.See("Okafor, Ada")
	first, second := text("text of ada", secret("Kestrel")), text("text of per", secret("Heron"))
	ada.say(first)
	per.See(first)
	per.say(second)
	ada.See(second)
	for i, s := range sottos {
		draft := text("draft of "+nameOf(people[i].display), secret("Draft"))
		s.Type(draft)
		s.See(">  " + draft)
	}
	search("talking")

	// One desk crashes, the other locks; a message waits for it.
	desk := per.Role("desk")
	signal(t, desk, syscall.SIGSEGV)
	per.locked(desk)
	ada.lock()
	per.unlock()
	per.Type("\x15") // the draft, if there was the time to keep it
	third := text("text that waits", secret("Curlew"))
	per.Type(third + "\r")
	ada.See("1 waiting")
	search("one desk crashed, the other locked")
	ada.unlock()
	ada.See(third)
	signal(t, ada.Role("desk"), syscall.SIGKILL)
	ada.See("ended unexpectedly", "PIN  _")
	per.lock()

	var ids []Canary
	for i, s := range sottos {
		keys, known := s.keys(people[1-i].address)
		for _, k := range keys {
			k.Name += " of " + nameOf(people[i].display)
			canaries = append(canaries, k)
		}
		ids = append(ids, known...)
	}
	ada.quit()
	per.quit()
	search("at the end")

	// The same search finds what is there: a canary in a file, and the ids of the
	// messages wherever the relay has the messages.
	if len(ids) < 6 {
		t.Fatalf("of three messages, both have only %d", len(ids))
	}
	planted := filepath.Join(ada.tmp(), "planted")
	if err := os.WriteFile(planted, []byte("... "+first+" ..."), 0o600); err != nil {
		t.Fatal(err)
	}
	hits, _, err := NewSearch(canaries...).Folder(ada.home)
	if err != nil || Count(hits, "text of ada") != 1 {
		t.Errorf("a canary in a file is not found: %v, %v", hits, err)
	}
	s := NewSearch(ids...)
	stored, _, err := s.Folder(filepath.Join(r.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	wire, _, _, err := s.Wire(tap)
	if err != nil {
		t.Fatal(err)
	}
	inMemory, _, err := s.Memory(r.pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the ids of three messages: %d in what the relay stores, %d on the wire, %d in its memory", len(stored), len(wire), len(inMemory))
	for _, id := range ids {
		if Count(stored, id.Name) == 0 || Count(inMemory, id.Name) == 0 {
			t.Errorf("the id of a message is not found in what the relay stores or has in memory")
		}
		for _, way := range []string{"a message on the wire to the relay", "a message on the wire from the relay"} {
			if !strings.Contains(Describe(wire, id.Name), way) {
				t.Errorf("the id of a message is not found in %s: %s", way, Describe(wire, id.Name))
			}
		}
	}
}
