package profile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// holderProcess is this test binary as a process that has a profile and takes
// requests as its argument says.
func holderProcess(t *testing.T, p Profile, behaviour string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestAskedProcess$")
	cmd.Env = append(os.Environ(), "TEST_PROFILE="+filepath.Dir(filepath.Dir(p.LockFile)), "TEST_BEHAVIOUR="+behaviour)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestAskedProcess(t *testing.T) {
	dir := os.Getenv("TEST_PROFILE")
	if dir == "" {
		return
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	l, err := In(dir).Lock()
	if err != nil {
		t.Fatal(err)
	}
	behaviour := os.Getenv("TEST_BEHAVIOUR")
	open, asked := behaviour != "locked", 0
	if behaviour != "silent" {
		l.Tell(open, true, asked)
	}
	fmt.Println("ready")
	for s := range signals {
		switch behaviour {
		case "ends":
			os.Exit(0)
		case "deaf":
			continue
		}
		asked++
		l.Tell(open, true, asked) // heard, and not done yet
		time.Sleep(20 * time.Millisecond)
		open = false
		l.Tell(false, s == syscall.SIGUSR1, asked)
	}
}

func asked(t *testing.T, p Profile, logOff bool, patience time.Duration) (Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return p.Ask(ctx, logOff)
}

func made(t *testing.T) Profile {
	t.Helper()
	p := In(t.TempDir())
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAsk(t *testing.T) {
	const patience = 30 * time.Second
	for behaviour, want := range map[string][3]Answer{ // to lock, to lock again, to log off
		"open":   {NowLocked, LockedAlready, NowLoggedOff},
		"locked": {LockedAlready, LockedAlready, NowLoggedOff},
		"ends":   {NowLoggedOff, NotRunning, NotRunning},
	} {
		t.Run(behaviour, func(t *testing.T) {
			p := made(t)
			cmd := holderProcess(t, p, behaviour)
			if behaviour == "ends" {
				go cmd.Wait()
			}
			for i, logOff := range []bool{false, false, true} {
				if got, err := asked(t, p, logOff, patience); got != want[i] || err != nil {
					t.Errorf("answer %d is %q, %v; want %q", i, got, err, want[i])
				}
			}
		})
	}
}

// A stopped process is continued to hear it.
func TestAskWakes(t *testing.T) {
	p := made(t)
	cmd := holderProcess(t, p, "open")
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got, err := asked(t, p, false, 30*time.Second); got != NowLocked || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAskInVain(t *testing.T) {
	for behaviour, want := range map[string]string{"deaf": "has not done it in time", "silent": "cannot be asked"} {
		p := made(t)
		holderProcess(t, p, behaviour)
		if got, err := asked(t, p, false, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", behaviour, got, err)
		}
	}
}

// What the lock file says is not enough to send anybody a signal, which ends
// most programs.
func TestAskSparesBystanders(t *testing.T) {
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer bystander.Wait()
	defer bystander.Process.Kill()
	alive := func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", bystander.Process.Pid))
		return err == nil && !strings.Contains(string(b), ") Z ")
	}
	planted := func(p Profile) {
		t.Helper()
		if err := os.WriteFile(p.LockFile, []byte(Holder{PID: bystander.Process.Pid, State: Open}.line()), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	stale := made(t) // nobody has it
	planted(stale)
	if got, err := asked(t, stale, false, time.Second); got != NotRunning || err != nil {
		t.Errorf("stale: %q, %v", got, err)
	}
	wrong := made(t) // somebody else has it
	l, err := wrong.Lock()
	if err != nil {
		t.Fatal(err)
	}
	planted(wrong)
	if got, err := asked(t, wrong, false, time.Second); err == nil || !strings.Contains(err.Error(), "Nothing was sent") {
		t.Errorf("planted: %q, %v", got, err)
	}
	l.Unlock()
	link := made(t) // another file
	if err := os.Symlink(stale.LockFile, link.LockFile); err != nil {
		t.Fatal(err)
	}
	if got, err := asked(t, link, false, time.Second); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("link: %q, %v", got, err)
	}
	if !alive() {
		t.Fatal("a process was ended that has nothing to do with it")
	}
	// So that the above means something: the signal does end it.
	if err := signalLock(bystander.Process, false); err != nil {
		t.Fatal(err)
	}
	bystander.Wait()
	if alive() {
		t.Error("the bystander does not end by the signal, so nothing was tested")
	}
}

func TestListed(t *testing.T) {
	const locks = `1: FLOCK  ADVISORY  WRITE 4711 fe:01:131 0 EOF
1: -> FLOCK  ADVISORY  WRITE 4712 fe:01:131 0 EOF
2: POSIX  ADVISORY  WRITE 4713 fe:01:132 0 EOF
3: FLOCK  ADVISORY  READ 4714 fe:01:133 0 EOF
4: FLOCK  ADVISORY  WRITE 4715 00:2c:134 0 EOF
`
	for _, c := range []struct {
		inode uint64
		pid   int
		want  bool
	}{
		{131, 4711, true}, {131, 4712, false}, {131, 4715, false}, {132, 4713, false}, {133, 4714, false},
		{999, 4715, true}, // it holds something that is named otherwise
		{999, 4712, false},
	} {
		if got, err := listed(strings.NewReader(locks), c.inode, c.pid); got != c.want || err != nil {
			t.Errorf("inode %d, process %d: %v, %v", c.inode, c.pid, got, err)
		}
	}
}

// Looking who has a profile takes it for a moment.
func TestLockWhileOthersLook(t *testing.T) {
	p := made(t)
	l, err := p.Lock()
	if err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	stop := make(chan struct{})
	looked := make(chan error)
	go func() {
		defer close(looked)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := p.Holder(); err != nil {
					looked <- err
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i := range 50 {
		l, err := p.Lock()
		if errors.Is(err, ErrInUse) {
			t.Fatalf("the %d. time: %v", i, err)
		}
		if err != nil {
			t.Fatal(err)
		}
		l.Unlock()
	}
	close(stop)
	if err := <-looked; err != nil {
		t.Error(err)
	}
}

func TestAll(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	if all, err := All(); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	for i, name := range []string{"day", "night", "Not a profile", "empty"} {
		dir := filepath.Join(home, "sotto", name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if name != "empty" {
			if err := os.WriteFile(filepath.Join(dir, "lock"), []byte(strconv.Itoa(i)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := All()
	if err != nil || len(all) != 2 || all[0].Name != "day" || all[1].Name != "night" {
		t.Errorf("%v, %v", all, err)
	}
}
