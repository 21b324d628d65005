//go:build linux

package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/store"
	"sotto/internal/role/roletest"
	"sotto/keystore"
	"sotto/test/headless"
	"sotto/test/memory"
	"sotto/test/server"
	"sotto/test/terminal"
)

const (
	// kills is how often each role is killed.
	kills = 50
	// atOnce is how many kills a sotto bears in a minute before it gives up.
	atOnce = 5
)

// TestKilled is invariant 7: each role is killed with SIGKILL at random moments
// while two people write to each other, and one of them types, locks and
// unlocks. The terminal stays usable, nothing that was sent or received is lost
// or doubled, no process is left and nothing readable on the disk. SOTTO_SEED
// repeats a run, as far as the system does.
func TestKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SOTTO_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SOTTO_SEED=%d", seed)
	for _, role := range []string{"watch", "gate", "desk", "link"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			h := fnv.New64()
			h.Write([]byte(role))
			v := newVictim(t, role, mathrand.New(mathrand.NewPCG(seed, h.Sum64())))
			v.open()
			for i := range kills {
				if i > 0 && i%atOnce == 0 && role != "watch" {
					v.leave()
					v.open()
				}
				v.round(i)
			}
			v.check()
			exercised(t, fmt.Sprintf("kill -9 of the %s, %d times", role, kills))
		})
	}
}

// victim is a sotto at a terminal, with a shell around it.
type victim struct {
	*roletest.Console
	t      *testing.T
	role   string // the one that is killed
	rng    *mathrand.Rand
	server *server.Server
	ada    *person
	per    *headless.Sotto

	mine, theirs, draft string   // a word that is in all that Ada sends, that Per sends, and that she only begins
	tried, shown        []string // what Ada has sent, and which of it was on the screen
	unlocked            bool     // the last PIN was right
	said                atomic.Int64
	killed              atomic.Bool // in this round
	deaths              chan []process
	all                 map[process]bool
	stop                func() // ends Per's writing
	checked             int    // kills while a PIN may have been checked, since it was right
}

func newVictim(t *testing.T, role string, rng *mathrand.Rand) *victim {
	t.Helper()
	s := embedded(t)
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	v := &victim{
		t: t, role: role, rng: rng, server: s, ada: newPerson(t, "Ada"), all: map[process]bool{}, deaths: make(chan []process, 1),
		mine: "Kestrel" + rand.Text()[:8], theirs: "Heron" + rand.Text()[:8], draft: "Draft" + rand.Text()[:8],
	}
	v.ada.pin = "pin" + rand.Text()[:8]
	v.per = start(t, s, people[1], s.WebSocket)

	cmd := exec.Command("/bin/sh", "-c", `while read -r line; do eval "$line"; echo "[ended $?]"; done`)
	cmd.Env = append(v.ada.env(), "PATH="+os.Getenv("PATH"), "TERM=xterm-256color", "LANG=C.UTF-8")
	cmd.Dir = v.ada.home
	v.Console = roletest.Start(t, cmd, 80, 24)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("of %d, these run: %v, killed %v, unlocked %v, tried %d", v.PID, rolesOf(t, v.PID), v.killed.Load(), v.unlocked, len(v.tried))
			out := v.Output()
			t.Logf("the last that was written: %q", out[max(0, len(out)-2000):])
		}
	})
	v.ada.stayOpen()
	v.Type(binary + " join " + s.Address(people[0]) + " --relay " + s.WebSocket + " --ca " + s.CAFile + "\r")
	v.Under(binary)
	v.See("Password of")
	v.Type(people[0].Password + "\r")
	v.See("New PIN")
	v.Type(v.ada.pin + "\r")
	v.See("Again")
	v.Type(v.ada.pin + "\r")
	v.See("Lind, Per", "online", "F1 help")
	ctx, cancel := context.WithTimeout(t.Context(), terminal.Patience)
	defer cancel()
	if err := v.per.Until(ctx, "seeing Ada's device", func() (bool, error) {
		security, err := v.per.Security(ctx, s.Address(people[0]))
		return security.Devices == 1, err
	}); err != nil {
		t.Fatal(err)
	}
	v.sends()
	v.lock()
	v.leave()

	// Per writes all the time.
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
			}
			if _, err := v.per.Send(t.Context(), s.Address(people[0]), fmt.Sprintf("%s %d", v.theirs, n)); err != nil {
				t.Errorf("Per writes: %v", err)
				return
			}
			v.said.Store(n)
		}
	}()
	v.stop = sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
	t.Cleanup(v.stop)
	return v
}

// open starts sotto from the shell.
func (v *victim) open() {
	v.t.Helper()
	v.Type("clear; " + binary + "\r")
	v.Under(binary)
	v.prompt()
	v.unlocked = false
}

// prompt waits for the lock screen to take a PIN.
func (v *victim) prompt() {
	v.t.Helper()
	v.See("PIN  _")
}

// enter types the PIN, and waits for the conversations. It is false if the kill
// came first, or another lock screen.
func (v *victim) enter() bool {
	v.t.Helper()
	if !v.types("\x15"+v.ada.pin, strings.Repeat("• ", len(v.ada.pin))+"_") {
		return false
	}
	v.Type("\r")
	open, entered := false, time.Now()
	v.Until("opening", func(screen string) bool {
		open = strings.Contains(screen, "F1 help") && strings.Contains(screen, "Lind, Per")
		replaced := strings.Contains(screen, "PIN  _") && time.Since(entered) > time.Second // see types
		return open || replaced || v.killed.Load()
	})
	if open {
		v.unlocked, v.checked = true, 0
	}
	return open
}

// types types keys and waits for a text; it is false if the kill came first.
// Where somebody was killed, the lock screen is still about to be replaced for a
// moment, and what was typed at the one before goes with it: then it types again.
func (v *victim) types(keys, text string) bool {
	v.t.Helper()
	seen, typed := false, time.Time{}
	v.Until("seeing "+text, func(screen string) bool {
		if seen = strings.Contains(screen, text); seen || v.killed.Load() {
			return true
		}
		if time.Since(typed) > time.Second {
			typed = time.Now()
			v.Type(keys)
		}
		return false
	})
	return seen
}

// sees waits for texts; it is false if the kill came first.
func (v *victim) sees(texts ...string) bool {
	v.t.Helper()
	seen := false
	v.Until("seeing "+strings.Join(texts, ", "), func(screen string) bool {
		seen = !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(screen, text) })
		return seen || v.killed.Load()
	})
	return seen
}

// sends sends a line, and waits until it stands among the messages.
func (v *victim) sends() bool {
	v.t.Helper()
	line := fmt.Sprintf("%s %d", v.mine, len(v.tried)+1)
	v.Type("\x15" + line) // Ctrl+U: a draft may stand there
	if !v.sees(">  " + line) {
		return false
	}
	v.tried = append(v.tried, line)
	v.Type("\r")
	shown := false
	v.Until("having sent "+line, func(screen string) bool {
		shown = strings.Contains(screen, line) && !strings.Contains(screen, ">  "+line)
		return shown || v.killed.Load()
	})
	if shown {
		v.shown = append(v.shown, line)
	}
	return shown
}

// lock locks with Ctrl+L.
func (v *victim) lock() bool {
	v.t.Helper()
	v.Type("\x0c")
	v.unlocked = false
	return v.sees("PIN  _")
}

// leave ends sotto from the lock screen.
func (v *victim) leave() {
	v.t.Helper()
	if v.unlocked {
		v.lock()
	}
	v.prompt()
	v.killed.Store(false)
	v.types("\x11", "[ended 0]") // Ctrl+Q, which a shell does not mind
}

// round does what a person does until the kill comes, and then what a person
// does about it.
func (v *victim) round(i int) {
	v.t.Helper()
	// Before the PIN is complete nothing is as costly as after it. A gate dies
	// with the PIN entered in every third round, and not again before one was
	// right: the vault counts those tries, too.
	opens := v.role == "desk" || i%3 == 0
	if v.role == "gate" && v.checked > 0 {
		v.unkilled()
		opens = false
	}
	if v.role == "gate" && v.unlocked {
		v.lock()
	}
	v.killed.Store(false)
	wait := time.Duration(v.rng.Int64N(int64(200 * time.Millisecond)))
	if opens {
		wait = time.Duration(v.rng.Int64N(int64(800 * time.Millisecond)))
	}
	if v.role == "gate" && opens {
		wait = time.Duration(v.rng.Int64N(int64(400 * time.Millisecond)))
	}
	go v.kill(v.PID, wait)
	v.lives(opens)
	family := <-v.deaths
	for _, p := range family {
		v.all[p] = true
	}
	switch v.role {
	case "watch":
		gone(v.t, family)
		v.Restored()
		if i%atOnce == 0 {
			v.usable(i)
		}
		v.open()
	default:
		v.settle()
		v.hidden()
	}
}

// settle goes to the lock screen, wherever the kill has led: a link that had no
// password yet is replaced without a word, and the PIN may have been entered.
func (v *victim) settle() {
	v.t.Helper()
	pressed := time.Time{}
	v.Until("locked, and asking for the PIN", func(screen string) bool {
		if v.Role("desk") == 0 && v.Role("gate") != 0 && strings.Contains(screen, "PIN  _") {
			return true
		}
		if time.Since(pressed) > 500*time.Millisecond {
			pressed = time.Now()
			v.Type("\x0c\x15") // Ctrl+L locks, and Ctrl+U takes back what was begun
		}
		return false
	})
	v.unlocked = false
}

// unkilled unlocks in peace.
func (v *victim) unkilled() {
	v.t.Helper()
	v.killed.Store(false)
	for tries := 0; !v.unlocked && !v.enter(); tries++ {
		if tries == 5 {
			v.t.Fatalf("it does not open:\n%s", v.Screen())
		}
	}
}

// lives types, sends, locks and unlocks until the kill comes.
func (v *victim) lives(opens bool) {
	v.t.Helper()
	for !v.killed.Load() {
		switch {
		case !v.unlocked && !opens: // begins with the PIN, and thinks better of it
			v.Type("12")
			v.sees("• • _")
			v.Type("\x15")
			v.sees("PIN  _")
		case !v.unlocked:
			v.checked++
			v.enter()
		case v.role == "gate":
			v.lock() // the kill comes late, and finds the next gate
		default:
			switch v.rng.IntN(6) {
			case 0:
				v.lock()
			case 1, 2:
				v.Type("\x15" + v.draft)
				v.sees(">  " + v.draft)
			default:
				v.sends()
			}
		}
	}
}

// kill kills the role when it is time, and there is one.
func (v *victim) kill(watch int, wait time.Duration) {
	time.Sleep(wait)
	for late := time.Now().Add(terminal.Patience); time.Now().Before(late); time.Sleep(time.Millisecond) {
		pid := watch
		if v.role == "watch" {
			// Stopped, so that it starts nobody between the look and the kill.
			syscall.Kill(watch, syscall.SIGSTOP)
			for processState(watch) != "T" && time.Now().Before(late) {
				time.Sleep(time.Millisecond)
			}
			// A role at its very end has looked for the watch for the last time, and is
			// nobody, too: it is given the time to be gone.
			time.Sleep(100 * time.Millisecond)
			if roletest.Child(watch, "gate") == 0 && roletest.Child(watch, "desk") == 0 {
				syscall.Kill(watch, syscall.SIGCONT)
				continue // nobody else has the terminal, see TestNobodyLeft
			}
		} else {
			pid = roletest.Child(watch, v.role)
		}
		if pid == 0 {
			continue
		}
		all := family(v.t, watch)
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			v.killed.Store(true)
			v.deaths <- all
			return
		}
	}
	v.killed.Store(true)
	v.deaths <- nil
	v.t.Errorf("no %s to kill", v.role)
}

// hidden holds that nothing of the conversations can be read.
func (v *victim) hidden() {
	v.t.Helper()
	for _, word := range []string{v.mine, v.theirs, v.draft, "Lind"} {
		if s := v.Screen(); strings.Contains(s, word) {
			v.t.Errorf("killed, and %s is still readable:\n%s", word, s)
		}
	}
}

// usable holds that the shell can be used as before: what is typed is seen, and
// what was written is gone.
func (v *victim) usable(i int) {
	v.t.Helper()
	v.hidden()
	// What was typed between the end of the watch and that of the gate the shell
	// may have read: it waits for its next line all the time.
	v.Type("\r")
	word := fmt.Sprintf("still here %d", i)
	v.Type("echo " + word + "\r")
	v.Until("echoing", func(screen string) bool { return strings.Count(screen, word) == 2 })
}

// check ends all and looks at what is left.
func (v *victim) check() {
	v.t.Helper()
	t := v.t
	v.stop()
	v.killed.Store(false)
	v.prompt()
	v.unkilled()
	for !v.sends() {
	}
	v.See(fmt.Sprintf("%s %d", v.theirs, v.said.Load()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ada, per := v.ada, v.per
	address := ""
	last := v.tried[len(v.tried)-1]
	if err := per.Until(ctx, "hearing the last message", func() (bool, error) {
		conversations, err := per.Conversations(ctx)
		if err != nil || len(conversations) != 1 {
			return false, err
		}
		address = conversations[0].Peer
		all, err := per.Messages(ctx, address, 0, 5)
		return slices.ContainsFunc(all, func(m client.Message) bool { return m.Body.String() == last }), err
	}); err != nil {
		t.Errorf("%v\n%s", err, v.Screen())
		return
	}
	v.leave()
	for _, p := range slices.Collect(maps.Keys(v.all)) {
		gone(t, []process{p})
	}

	// Both have the same, once.
	hers, his := map[string]int{}, map[string]int{}
	for _, body := range v.stored(per.Self().Address) {
		hers[body]++
	}
	all, err := per.Messages(ctx, address, 0, 5000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		his[m.Body.String()]++
	}
	var theirs []string
	for n := range v.said.Load() {
		theirs = append(theirs, fmt.Sprintf("%s %d", v.theirs, n+1))
	}
	for _, wrong := range compare(hers, his, v.tried, v.shown, theirs) {
		t.Error(wrong)
	}
	t.Logf("%d of Ada's messages, %d of them seen to be sent; %d of Per's; %d processes", len(v.tried), len(v.shown), len(theirs), len(v.all))

	// Nothing of it can be read.
	canaries := []memory.Canary{}
	for _, word := range []string{v.mine, v.theirs, v.draft, ada.pin} {
		canaries = append(canaries, memory.TextCanary(word, word))
	}
	search := memory.NewSearch(canaries...)
	for _, dir := range []string{ada.home, v.server.Dir} {
		hits, size, err := search.Folder(dir)
		if err != nil || size == 0 {
			t.Fatalf("looking into %s: %d bytes, %v", dir, size, err)
		}
		for _, c := range canaries {
			if memory.Count(hits, c.Name) > 0 {
				t.Errorf("%s can be read: %s", c.Name, memory.Describe(hits, c.Name))
			}
		}
	}
	if err := os.WriteFile(filepath.Join(ada.tmp(), "planted"), []byte("..."+v.draft+"..."), 0o600); err != nil {
		t.Fatal(err)
	}
	if hits, _, err := search.Folder(ada.home); err != nil || memory.Count(hits, v.draft) != 1 {
		t.Errorf("what is planted is not found: %v, %v", hits, err)
	}
}

// stored returns the messages in Ada's database.
func (v *victim) stored(peer string) (bodies []string) {
	v.t.Helper()
	t := v.t
	pin := memguard.NewBufferFromBytes(bytes.Clone([]byte(v.ada.pin)))
	defer pin.Destroy()
	share := filepath.Join(v.ada.home, "data", "sotto", "default")
	vault, err := keystore.Open(filepath.Join(share, "vault"), filepath.Join(v.ada.home, "state", "sotto", "default", "device.key"), pin)
	if err != nil {
		t.Fatal(err)
	}
	defer vault.Close()
	key, err := vault.DatabaseKey()
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(share, "data", "sotto.db"), key)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(t.Context(), func(tx *store.Tx) error {
		all, err := tx.Messages(peer, 0, 5000)
		for _, m := range all {
			bodies = append(bodies, m.Body)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return bodies
}

// compare says what is wrong with what both have: what was seen to be sent, and
// all of the other's, must be there once on both sides; what was cut off in
// being sent, on both or on neither.
func compare(hers, his map[string]int, tried, shown, theirs []string) (wrong []string) {
	for _, line := range slices.Concat(shown, theirs) {
		if hers[line] != 1 || his[line] != 1 {
			wrong = append(wrong, fmt.Sprintf("%q: Ada has it %d times, Per %d times", line, hers[line], his[line]))
		}
	}
	for _, line := range tried {
		if hers[line] != his[line] || hers[line] > 1 {
			wrong = append(wrong, fmt.Sprintf("%q, cut off: Ada has it %d times, Per %d times", line, hers[line], his[line]))
		}
	}
	for _, all := range []map[string]int{hers, his} {
		for line := range all {
			if !slices.Contains(tried, line) && !slices.Contains(theirs, line) {
				wrong = append(wrong, fmt.Sprintf("nobody wrote %q", line))
			}
		}
	}
	return wrong
}

// The comparison finds what is lost, doubled and made up.
func TestKilledComparison(t *testing.T) {
	t.Parallel()
	tried, shown, theirs := []string{"a", "b"}, []string{"a"}, []string{"c"}
	for what, c := range map[string]struct {
		hers, his map[string]int
		wrong     int
	}{
		"right, and the cut off one is sent":   {map[string]int{"a": 1, "b": 1, "c": 1}, map[string]int{"a": 1, "b": 1, "c": 1}, 0},
		"right, and the cut off one is not":    {map[string]int{"a": 1, "c": 1}, map[string]int{"a": 1, "c": 1}, 0},
		"what was seen is lost":                {map[string]int{"c": 1}, map[string]int{"c": 1}, 1},
		"what was seen does not arrive":        {map[string]int{"a": 1, "c": 1}, map[string]int{"c": 1}, 2},
		"the other's is lost":                  {map[string]int{"a": 1}, map[string]int{"a": 1, "c": 1}, 1},
		"the other's is doubled":               {map[string]int{"a": 1, "c": 2}, map[string]int{"a": 1, "c": 1}, 1},
		"the cut off one is kept and not sent": {map[string]int{"a": 1, "b": 1, "c": 1}, map[string]int{"a": 1, "c": 1}, 1},
		"two have run together":                {map[string]int{"a": 1, "c": 1, "bb": 1}, map[string]int{"a": 1, "c": 1, "bb": 1}, 2},
	} {
		if wrong := compare(c.hers, c.his, tried, shown, theirs); len(wrong) != c.wrong {
			t.Errorf("%s: %q", what, wrong)
		}
	}
}

// TestKilledBetween kills the watch when the gate has done all that it had to,
// and no desk has been started: the gate puts the terminal right.
func TestKilledBetween(t *testing.T) {
	t.Parallel()
	home := newPerson(t, "the demo")
	cmd := exec.Command("/bin/sh", "-c", `"$0" demo; read -r line`, binary)
	cmd.Env = append(home.env(), "PATH="+os.Getenv("PATH"), "TERM=xterm-256color", "LANG=C.UTF-8")
	c := roletest.Start(t, cmd, 80, 24)
	c.Under(binary)
	c.See("PIN  _")
	all := family(t, c.PID)
	syscall.Kill(c.PID, syscall.SIGSTOP)
	c.Type("246810\r")
	c.See("checking")
	// It writes the key then, which shows nowhere but in its end, were it to end.
	gate := c.Role("gate")
	for late := time.Now().Add(2 * time.Second); !roletest.Gone(gate) && time.Now().Before(late); {
		time.Sleep(20 * time.Millisecond)
	}
	syscall.Kill(c.PID, syscall.SIGKILL)
	gone(t, all)
	c.Restored()
}

// Where all that have the terminal are killed at once, nobody puts it right, and
// the look at it says so.
func TestNobodyLeft(t *testing.T) {
	t.Parallel()
	home := newPerson(t, "the demo")
	cmd := exec.Command("/bin/sh", "-c", `"$0" demo; read -r line`, binary)
	cmd.Env = append(home.env(), "PATH="+os.Getenv("PATH"), "TERM=xterm-256color", "LANG=C.UTF-8")
	c := roletest.Start(t, cmd, 80, 24)
	c.Under(binary)
	c.See("PIN  _")
	if left := c.Left(); !strings.Contains(left, "the modes were") {
		t.Errorf("while sotto has the terminal, the look at it says %q", left)
	}
	all := family(t, c.PID)
	gate := c.Role("gate")
	for _, pid := range []int{gate, c.PID} { // stopped first, so that neither sees the other go
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	for _, pid := range []int{gate, c.PID} {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	gone(t, all)
	if left := c.Left(); !strings.Contains(left, "the modes were") {
		t.Errorf("with nobody left, the look at the terminal says %q", left)
	}
}
