package keystore

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	rightPIN = "246810"
	wrongPIN = "975310"
)

func limitedPlace(t testing.TB, limit int) Place {
	p := cheapPlace(t)
	p.DestroyAfter = limit
	makeVault(t, p, rightPIN).Close()
	return p
}

func wantTried(t testing.TB, p Place, want int) {
	t.Helper()
	if s, err := p.Status(); err != nil || s.Tried != want {
		t.Errorf("status %+v %v, want %d tried", s, err, want)
	}
}

func wantOpen(t testing.TB, p Place) {
	t.Helper()
	o, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatalf("the right PIN: %v", err)
	}
	wantAccount(t, o.Account())
	o.Close()
}

func tryWrong(t testing.TB, p Place, times int) {
	t.Helper()
	for range times {
		if _, err := p.Open(locked(t, wrongPIN)); err != ErrWrongPIN {
			t.Fatalf("a wrong PIN: %v", err)
		}
	}
}

func keep(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func putBack(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWrongPINsAreCounted(t *testing.T) {
	p := limitedPlace(t, 10)
	wantTried(t, p, 0)
	for i := range 7 {
		tryWrong(t, p, 1)
		wantTried(t, p, i+1)
	}
	wantOpen(t, p)
	wantTried(t, p, 0)
	tryWrong(t, p, 2)
	for _, nobodys := range []string{strings.Repeat("1", MaxPIN+1)} {
		if _, err := p.Open(locked(t, nobodys)); err != ErrWrongPIN {
			t.Errorf("%d characters: %v", len(nobodys), err)
		}
	}
	wantTried(t, p, 2)
	o, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.ChangePIN(locked(t, "135791")); err != nil {
		t.Fatal(err)
	}
	wantTried(t, p, 0)
}

// rollback is an attack: it puts an old copy of one file, or nothing, in its
// place whenever that could help, and guesses on. It returns how many wrong PINs
// it could try, at most 40.
func rollback(t *testing.T, p Place, path string, remove bool) int {
	t.Helper()
	clean := keep(t, path)
	for tried := range 40 {
		if remove {
			os.Remove(path)
			if _, err := p.Open(locked(t, wrongPIN)); err == nil || errors.Is(err, ErrWrongPIN) {
				t.Fatalf("without %s: %v", filepath.Base(path), err)
			}
		}
		putBack(t, path, clean)
		if _, err := p.Open(locked(t, wrongPIN)); err != ErrWrongPIN {
			if !errors.Is(err, ErrDestroyed) {
				t.Fatalf("after %d guesses: %v", tried, err)
			}
			return tried + 1
		}
	}
	return 40
}

// TestRollback restores, removes and damages one file alone. A place that counts
// in one file only shows what the attack would gain otherwise.
func TestRollback(t *testing.T) {
	which := map[string]func(Place) string{
		"vault":         func(p Place) string { return p.vault },
		"device secret": func(p Place) string { return p.device },
	}
	for name, path := range which {
		for _, remove := range []bool{false, true} {
			p := limitedPlace(t, 10)
			if n := rollback(t, p, path(p), remove); n != 10 {
				t.Errorf("%s, removed first %v: %d guesses", name, remove, n)
			}
		}
		p := limitedPlace(t, 10)
		p.record = func(f *os.File, t tally) error {
			if f.Name() != path(p) {
				return nil
			}
			return record(f, t)
		}
		if n := rollback(t, p, path(p), false); n != 40 {
			t.Errorf("%s, with the number in it alone: only %d guesses, so this test shows nothing", name, n)
		}

		p = limitedPlace(t, 10)
		tryWrong(t, p, 4)
		b := keep(t, path(p))
		putBack(t, path(p), append(b[:len(b)-tallySize], bytes.Repeat([]byte{1}, tallySize)...))
		wantTried(t, p, 4)
		tryWrong(t, p, 1)
		wantTried(t, p, 5)
		wantOpen(t, p)
	}
	p := limitedPlace(t, 10)
	for _, path := range which {
		b := keep(t, path(p))
		putBack(t, path(p), append(b[:len(b)-tallySize], make([]byte, tallySize)...))
	}
	if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrDamaged) {
		t.Errorf("no number to be read in either: %v", err)
	}
}

// TestNewVaultIsNoWayBack makes another vault in the place of one, and puts the
// first back: what had been tried still counts.
func TestNewVaultIsNoWayBack(t *testing.T) {
	p := limitedPlace(t, 10)
	clean := keep(t, p.vault)
	tryWrong(t, p, 7)
	os.Remove(p.vault)
	makeVault(t, p, wrongPIN).Close()
	putBack(t, p.vault, clean)
	if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrDevice) {
		t.Fatalf("an old vault beside a new device secret: %v", err)
	}
	os.Rename(p.device+replacedSuffix, p.device)
	wantTried(t, p, 7)
	wantOpen(t, p)
}

// TestVaultThatWasAway makes new vaults while the first one is away, as on a
// folder that is not mounted, one of them after another was cut off. Each device
// secret is kept, until a wipe.
func TestVaultThatWasAway(t *testing.T) {
	p := limitedPlace(t, 10)
	vault, device := keep(t, p.vault), keep(t, p.device)
	for n := range maxReplaced {
		os.Remove(p.vault)
		makeVault(t, p, wrongPIN).Close()
		if b := keep(t, p.device+replacedSuffix); !bytes.Equal(b, device) {
			t.Fatalf("after %d more the first device secret is gone", n+1)
		}
	}
	os.Remove(p.vault)
	last := keep(t, p.device)
	if _, err := p.Create(locked(t, rightPIN), testAccount(t)); err == nil || !bytes.Equal(keep(t, p.device), last) {
		t.Errorf("one too many: %v", err)
	}
	putBack(t, p.vault, vault)
	os.Rename(p.device+replacedSuffix, p.device)
	wantOpen(t, p)
	if err := p.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(p.vault)); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestBackup restores both files, as a person does after a broken disk: the
// number goes back with them, and nobody is locked out.
func TestBackup(t *testing.T) {
	p := limitedPlace(t, 10)
	tryWrong(t, p, 3)
	vault, device := keep(t, p.vault), keep(t, p.device)
	tryWrong(t, p, 6)
	putBack(t, p.vault, vault)
	putBack(t, p.device, device)
	wantTried(t, p, 3)
	wantOpen(t, p)
	wantTried(t, p, 0)
	// Also over one that has destroyed itself.
	tryWrong(t, p, 9)
	if _, err := p.Open(locked(t, wrongPIN)); !errors.Is(err, ErrDestroyed) {
		t.Fatal(err)
	}
	putBack(t, p.vault, vault)
	if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrNoDevice) {
		t.Errorf("the vault alone: %v", err)
	}
	putBack(t, p.device, device)
	wantOpen(t, p)
}

// TestNoCountNoCheck has what counts fail: then the PIN is not tried, right or
// wrong, and the number is as it was.
func TestNoCountNoCheck(t *testing.T) {
	p := limitedPlace(t, 10)
	tryWrong(t, p, 2)
	for _, path := range []string{p.vault, p.device} {
		broken := p
		broken.record = func(f *os.File, n tally) error {
			if f.Name() == path && n.tried > 2 {
				return syscall.ENOSPC
			}
			return record(f, n)
		}
		for range 12 { // more often than the vault bears
			for _, pin := range []string{rightPIN, wrongPIN} {
				if _, err := broken.Open(locked(t, pin)); !errors.Is(err, ErrFull) {
					t.Fatalf("%s cannot be written: %v", filepath.Base(path), err)
				}
			}
		}
		wantTried(t, p, 2)
	}
	wantOpen(t, p)
}

func TestLimit(t *testing.T) {
	p := limitedPlace(t, 10)
	tryWrong(t, p, 9)
	wantOpen(t, p)
	tryWrong(t, p, 9)
	if s, err := p.Status(); err != nil || s != (Status{Tried: 9, DestroyAfter: 10}) {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := p.Open(locked(t, wrongPIN)); !errors.Is(err, ErrDestroyed) {
		t.Fatalf("the tenth: %v", err)
	}
	if s, err := p.Status(); err != nil || !s.Destroyed {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrDestroyed) {
		t.Errorf("the right one after that: %v", err)
	}
	if _, err := os.Stat(p.device); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the device secret is there: %v", err)
	}
	if b := keep(t, p.vault); len(b) > 200 || !bytes.HasPrefix(b, []byte(tombMagic)) {
		t.Errorf("the vault is there: %d bytes", len(b))
	}
	makeVault(t, p, "135791").Close() // what sotto join does
	wantTried(t, p, 0)

	p = limitedPlace(t, 0)
	tryWrong(t, p, 30)
	wantOpen(t, p)
}

// TestLimitOfTheSettings changes the setting while the vault is closed: only
// opening it takes it over. Changing it in the vault makes the vault worthless.
func TestLimitOfTheSettings(t *testing.T) {
	p := limitedPlace(t, 10)
	weak := p
	weak.DestroyAfter = 0
	tryWrong(t, weak, 9)
	if _, err := weak.Open(locked(t, wrongPIN)); !errors.Is(err, ErrDestroyed) {
		t.Fatalf("with the setting edited: %v", err)
	}
	p = limitedPlace(t, 10)
	weak = p
	weak.DestroyAfter = 12
	wantOpen(t, weak)
	if s, err := p.Status(); err != nil || s.DestroyAfter != 12 {
		t.Errorf("after it was open: %+v %v", s, err)
	}
	wantOpen(t, weak)
	p.DestroyAfter = Unchanged
	wantOpen(t, p)
	if s, _ := p.Status(); s.DestroyAfter != 12 {
		t.Errorf("%+v", s)
	}

	content, _, _ := cutTally(keep(t, p.vault))
	v, err := parseVault(content, cheap)
	if err != nil {
		t.Fatal(err)
	}
	edited := *v
	edited.limit = 0
	putBack(t, p.vault, append(edited.encode(), newTally()...))
	if _, err := p.Open(locked(t, rightPIN)); err != ErrWrongPIN {
		t.Errorf("the right PIN, with the vault edited: %v", err)
	}
}

// TestKilledWhileTrying kills a process that tries PINs, wrong and right ones,
// at random moments. What it has reported as wrong is counted, at most one more
// is, and the right PIN opens. Places that do not count, or write each number
// only with the next one, are found out.
func TestKilledWhileTrying(t *testing.T) {
	const env = "SOTTO_TEST_TRY_PINS"
	if v := strings.Split(os.Getenv(env), "\n"); len(v) == 3 {
		tryForEver(t, counting[v[2]](cheapAt(v[0], v[1])))
	}
	for kind := range counting {
		p := cheapPlace(t)
		makeVault(t, p, rightPIN).Close()
		var wrong string
		for round := 0; round < 50 && wrong == ""; round++ {
			before, err := p.Status()
			if err != nil {
				t.Fatal(err)
			}
			said := killed(t, env+"="+p.vault+"\n"+p.device+"\n"+kind, "TestKilledWhileTrying")
			after, err := p.Status()
			if err != nil {
				t.Fatal(err)
			}
			least := before.Tried
			for _, word := range said {
				if least++; word == "right" {
					least = 0
				}
			}
			// A right PIN may have been under way, and the last word not have been said.
			if n := after.Tried; n < least && n != 0 || n > least+1 || n == 0 && least%17 != 16 && least != 0 {
				wrong = fmt.Sprintf("round %d: %d tried, after %d and %q", round, n, before.Tried, said)
			}
			wantOpen(t, p)
			wantTried(t, p, 0)
		}
		if (wrong == "") != (kind == "") {
			t.Errorf("a place that counts %q: %q", kind, wrong)
		}
	}
}

// counting are ways to count. Only the first is right.
var counting = map[string]func(Place) Place{
	"": func(p Place) Place { return p },
	"nothing": func(p Place) Place {
		p.record = func(f *os.File, n tally) error { n.tried = 0; return record(f, n) }
		return p
	},
	"late": func(p Place) Place {
		last := map[string]tally{}
		p.record = func(f *os.File, n tally) error {
			n, last[f.Name()] = last[f.Name()], n
			return record(f, n)
		}
		return p
	},
}

// tryForEver tries sixteen wrong PINs and the right one, again and again, and
// says so.
func tryForEver(t *testing.T, p Place) {
	for n := 0; ; n++ {
		if n%17 == 16 {
			if o, err := p.Open(locked(t, rightPIN)); err != nil {
				t.Fatal(err)
			} else {
				o.Close()
			}
			os.Stdout.WriteString("right\n")
			continue
		}
		if _, err := p.Open(locked(t, wrongPIN)); err != ErrWrongPIN {
			t.Fatal(err)
		}
		os.Stdout.WriteString("wrong\n")
	}
}

// killed runs a test of this binary again, kills it at a random moment after its
// first line, and returns the lines that it wrote.
func killed(t *testing.T, env, name string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the child ended: %v", err)
	}
	time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond) // the random moment
	cmd.Process.Kill()
	rest, _ := io.ReadAll(lines)
	cmd.Wait()
	all := strings.Split(first+string(rest), "\n")
	if strings.Contains(first+string(rest), "FAIL") {
		t.Fatalf("the child failed: %q", all)
	}
	return all[:len(all)-1]
}

// TestKilledWhileDestroying kills a process on its tenth wrong PIN. The next
// start finds it destroyed, or finishes it, whatever PIN it is given. With a place
// that has not put the tenth on the disk before it begins, that is not so.
func TestKilledWhileDestroying(t *testing.T) {
	const env = "SOTTO_TEST_DESTROY"
	if v := strings.Split(os.Getenv(env), "\n"); len(v) == 4 {
		p := counting[v[3]](cheapAt(v[0], v[1]))
		n, _ := strconv.Atoi(v[2])
		p.step = func() {
			if n--; n < 0 {
				self, _ := os.FindProcess(os.Getpid())
				self.Kill()
				select {}
			}
		}
		p.Open(locked(t, wrongPIN))
		os.Stdout.WriteString("done\n")
		return
	}
	cutOff := func(step int, kind string) (p Place, done bool, wrong error) {
		p = limitedPlace(t, 10)
		tryWrong(t, p, 9)
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileDestroying$")
		cmd.Env = append(os.Environ(), env+"="+p.vault+"\n"+p.device+"\n"+strconv.Itoa(step)+"\n"+kind)
		out, _ := cmd.Output()
		if s, err := p.Status(); err != nil || !s.Destroyed {
			return p, false, fmt.Errorf("%+v %v", s, err)
		}
		if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrDestroyed) && !errors.Is(err, ErrNoDevice) {
			return p, false, fmt.Errorf("the right PIN: %v", err)
		}
		return p, strings.Contains(string(out), "done"), nil
	}
	if _, _, wrong := cutOff(0, "nothing"); wrong == nil {
		t.Error("a destruction that was not on the disk before it began went unnoticed, so this test shows nothing")
	}
	for step := 0; ; step++ {
		p, done, wrong := cutOff(step, "")
		if wrong != nil {
			t.Fatalf("killed at step %d: %v", step, wrong)
		}
		if err := p.Destroy(); err != nil {
			t.Fatalf("killed at step %d: %v", step, err)
		}
		for _, path := range []string{p.device, newName(p.device), newName(p.vault)} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("killed at step %d: %s is there", step, filepath.Base(path))
			}
		}
		if gone, err := Destroyed(p.vault); !gone || err != nil {
			t.Errorf("killed at step %d: %v %v", step, gone, err)
		}
		if done {
			if step < 5 {
				t.Errorf("only %d steps", step)
			}
			return
		}
	}
}

func TestRemove(t *testing.T) {
	p := limitedPlace(t, 10)
	os.Remove(p.vault)
	makeVault(t, p, rightPIN).Close() // leaves an old device secret
	putBack(t, newName(p.device), []byte("left by a crash"))
	for range 2 {
		if err := p.Remove(); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(filepath.Dir(p.vault)); err != nil || len(left) > 0 {
			t.Errorf("left: %v %v", left, err)
		}
	}
	for _, content := range [][]byte{nil, []byte("damaged"), make([]byte, 1<<20)} {
		putBack(t, p.vault, content)
		putBack(t, p.device, content)
		if err := p.Remove(); err != nil {
			t.Errorf("damaged: %v", err)
		}
	}
}

// TestTwoAtATime has many guess at once: each guess is counted. Without the lock
// some are not.
func TestTwoAtATime(t *testing.T) {
	for _, locks := range []bool{true, false} {
		p := limitedPlace(t, 0)
		p.record = func(f *os.File, n tally) error {
			time.Sleep(10 * time.Millisecond) // so that all have read the number who may
			return record(f, n)
		}
		if !locks {
			p.lock = func(*os.File) (bool, error) { return true, nil }
		}
		results := make(chan error)
		for range 8 {
			pin := locked(t, wrongPIN)
			go func() {
				_, err := p.Open(pin)
				results <- err
			}()
		}
		tried := 0
		for range 8 {
			if err := <-results; err == ErrWrongPIN {
				tried++
			} else if !errors.Is(err, ErrBusy) {
				t.Errorf("one of many: %v", err)
			}
		}
		if tried < 2 {
			t.Errorf("only %d were tried", tried)
		}
		if s, err := p.Status(); err != nil || (s.Tried == tried) != locks {
			t.Errorf("with the lock %v: %d of %d counted, %v", locks, s.Tried, tried, err)
		}
	}
}

func FuzzTally(f *testing.F) {
	f.Add(newTally())
	f.Add(append(tally{4, 7}.block(), tally{5, 8}.block()...))
	f.Add(append(tally{6, 7}.block(), tally{5, 8}.block()...))
	f.Add(append(tally{6, 7}.block(), bytes.Repeat([]byte{0xff}, blockSize)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := parseTally(b)
		if !ok {
			return
		}
		if got.tried > maxTried || !bytes.Equal(b[got.offset():][:slotSize], got.slot()) {
			t.Fatalf("%+v from %x", got, b)
		}
	})
}

func FuzzDevice(f *testing.F) {
	p := cheapPlace(f)
	makeVault(f, p, rightPIN).Close()
	good := keep(f, p.device)[:deviceSize]
	f.Add(good[:deviceFields])
	f.Add(good[:deviceSize-32])
	f.Add([]byte(deviceMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if n := deviceSize - 32; len(body) < n { // so that more than the length is looked at
			body = append(bytes.Clone(body), make([]byte, n-len(body))...)
		}
		d, err := parseDevice(rehash(append(bytes.Clone(body), make([]byte, 32)...)))
		if err != nil {
			return
		}
		defer d.destroy()
		body[len(deviceMagic)+1] = deviceVersion // an older one has only zeros more
		if b := d.appendTo(nil); !bytes.Equal(b[:len(b)-32], body) {
			t.Fatal("a device secret has two encodings")
		}
	})
}
