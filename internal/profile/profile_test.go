package profile

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestPathsFollowXDG(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("LocalAppData", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "c"))
	t.Setenv("XDG_DATA_HOME", "relative/is/ignored")
	t.Setenv("XDG_STATE_HOME", "")
	p, err := Paths("night-shift")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(home, "c", "sotto", "night-shift", "config.toml"); p.Config != want {
		t.Errorf("config: %s, want %s", p.Config, want)
	}
	if runtime.GOOS != "windows" {
		if want := filepath.Join(home, ".local/share/sotto/night-shift/data/sotto.db"); p.Database != want {
			t.Errorf("database: %s, want %s", p.Database, want)
		}
		if want := filepath.Join(home, ".local/state/sotto/night-shift/device.key"); p.DeviceKey != want {
			t.Errorf("device secret: %s, want %s", p.DeviceKey, want)
		}
		t.Setenv("HOME", "")
		if _, err := Paths("a"); !errors.Is(err, ErrNoHome) {
			t.Errorf("without a home: %v", err)
		}
	}
}

func TestVaultIsOutsideTheDesksFolder(t *testing.T) {
	for _, p := range []Profile{In("x"), must(Paths("a"))} {
		for _, path := range []string{p.Vault, p.DeviceKey, p.Config, p.LockFile} {
			if rel, err := filepath.Rel(p.Data, path); err != nil || !strings.HasPrefix(rel, "..") {
				t.Errorf("%s is in %s", path, p.Data)
			}
		}
		if filepath.Dir(p.Database) != p.Data {
			t.Errorf("%s is not in %s", p.Database, p.Data)
		}
	}
}

func must(p Profile, err error) Profile {
	if err != nil {
		panic(err)
	}
	return p
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"default": true, "a": true, "night-shift_2.b": true, strings.Repeat("a", 64): true,
		"": false, "..": false, ".": false, ".hidden": false, "a/b": false, `a\b`: false, "A": false, "ä": false,
		"a b": false, "a\x00": false, strings.Repeat("a", 65): false,
	} {
		if _, err := Paths(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		} else if !good && !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestMakeTightens(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // there are no modes
	}
	p := testProfile(t)
	for _, dir := range p.folders() {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", dir, info.Mode(), err)
		}
		os.Chmod(dir, 0o755)
	}
	for _, file := range p.files() {
		if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(p.folders(), p.files()...) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is still open: %v %v", path, info.Mode(), err)
		}
	}
	if exists, err := p.Exists(); err != nil || !exists {
		t.Errorf("exists: %v %v", exists, err)
	}
}

func TestMakeRefusesFoldersOfOthers(t *testing.T) {
	p := testProfile(t)
	if os.Geteuid() != 0 {
		return // only root can give a folder away
	}
	if err := os.Chown(p.Data, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := p.Make(); !errors.Is(err, ErrForeign) {
		t.Errorf("took someone else's folder: %v", err)
	}
}

func TestMakeRefusesWhatIsNotAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := In(dir).Make(); err == nil {
		t.Error("made a folder where a file is")
	}
	p := testProfile(t)
	if err := os.Mkdir(p.Vault, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Make(); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder in the vault's place: %v", err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	p := testProfile(t)
	l, err := p.Lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Lock()
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("locked twice: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	// Nobody stands in the file, and the room for a line stays taken: on a disk
	// that is full by now there would be none.
	if b, err := os.ReadFile(p.LockFile); err != nil || len(b) != holderSize || strings.TrimSpace(string(b)) != "" {
		t.Errorf("unlocked, the lock file is %q, %v", b, err)
	}
	os.WriteFile(p.LockFile, []byte(strings.Repeat("something else ", 10)), 0o600)
	l, err = p.Lock()
	if err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	if h, err := p.Holder(); err != nil || h == nil || *h != (Holder{PID: os.Getpid()}) {
		t.Errorf("the holder is %+v, %v", h, err)
	}
	l.Unlock()
	if _, err := In(filepath.Join(t.TempDir(), "none")).Lock(); err == nil {
		t.Error("locked a profile that is not there")
	}
}

// TestLockEndsWithTheProcess kills a process that holds the lock.
func TestLockEndsWithTheProcess(t *testing.T) {
	const env = "SOTTO_TEST_LOCK"
	if dir := os.Getenv(env); dir != "" {
		if _, err := In(dir).Lock(); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("locked\n")
		io.Copy(io.Discard, os.Stdin) // until killed
	}
	dir := t.TempDir()
	p := In(dir)
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockEndsWithTheProcess$")
	cmd.Env = append(os.Environ(), env+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	if _, err := p.Lock(); !errors.Is(err, ErrInUse) {
		t.Errorf("locked what another process has: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	l, err := p.Lock()
	if err != nil {
		t.Fatalf("after that process ended: %v", err)
	}
	l.Unlock()
}
