package memory

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
)

// A fake sotto is this test binary again, as a watch with three roles that do
// nothing but protect themselves as the real ones do, and wait. Told so, one of
// them makes a mistake. Each proof is shown to find it: what finds nothing in
// the real sotto must find in the fake exactly what was put there.

// faking is set in the processes of a fake sotto, and names its folder.
const faking = "SOTTO_TEST_FAKE"

// nobody is a user who has no privileges.
const nobody = 65534

// act is what one role of a fake sotto does beyond waiting.
type act struct {
	Keeps  []string // these words in memory
	Faults []string // what it forgets, or has that it should not
}

// fakeRoles are the processes of a fake sotto, the first having started the others.
var fakeRoles = []string{"watch", "link", "gate", "desk"}

// startFake starts a fake sotto, as somebody who is not root, and returns the
// process id of its watch and its folder. It ends with the test.
func startFake(t *testing.T, acts map[string]act) (pid int, folder string) {
	t.Helper()
	folder = folderOf(t)
	for _, role := range fakeRoles {
		b, err := json.Marshal(acts[role])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, role), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "fake sotto"
	cmd.Env = []string{faking + "=" + folder}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: credential()}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	said := bufio.NewScanner(out)
	for range fakeRoles {
		if !said.Scan() || said.Text() != "ready" {
			t.Fatalf("the fake sotto says %q: %v", said.Text(), said.Err())
		}
	}
	return cmd.Process.Pid, folder
}

// somebody is who runs sotto in these tests: root becomes nobody.
func somebody() int {
	if uid := os.Getuid(); uid != 0 {
		return uid
	}
	return nobody
}

func credential() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}}
}

// folderOf makes a folder of somebody's own, to which the way is open.
func folderOf(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sotto-of")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fake is the life of a fake role.
func fake(folder string) {
	role, is := strings.CutPrefix(os.Args[0], "sotto-")
	if !is {
		role = "watch"
	}
	if err := fakeRole(folder, role); err != nil {
		fmt.Println(role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func fakeRole(folder, role string) error {
	b, err := os.ReadFile(filepath.Join(folder, role))
	if err != nil {
		return err
	}
	var a act
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	clear(b)
	does := func(fault string) bool { return slices.Contains(a.Faults, fault) }
	if !does("not early") {
		if err := harden.Early(); err != nil {
			return err
		}
	}
	if does("dumpable") {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	for fault, open := range map[string]func() (int, error){
		"a TCP socket":      func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) },
		"a netlink socket":  func() (int, error) { return unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) },
		"a socket's name":   func() (int, error) { return listen(filepath.Join(folder, "socket")) },
		"a terminal":        func() (int, error) { return unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0) },
		"a file of others'": func() (int, error) { return unix.Open("/etc/passwd", unix.O_RDONLY|unix.O_CLOEXEC, 0) },
		"a library": func() (int, error) {
			fd, err := unix.Open(filepath.Join(folder, "watch"), unix.O_RDONLY, 0)
			if err == nil {
				_, err = unix.Mmap(fd, 0, 1, unix.PROT_READ, unix.MAP_PRIVATE)
				unix.Close(fd)
			}
			return fd, err
		},
	} {
		if does(fault) {
			if _, err := open(); err != nil {
				return fmt.Errorf("%s: %w", fault, err)
			}
		}
	}
	if !does("not confined") {
		confine := map[string]func() (harden.Layers, error){
			"watch": harden.Watch,
			"link":  func() (harden.Layers, error) { return harden.Link() },
			"gate":  func() (harden.Layers, error) { return harden.Gate(folder) },
			"desk":  func() (harden.Layers, error) { return harden.Desk(folder) },
		}[role]
		if _, err := confine(); err != nil {
			return err
		}
	}
	if role == "watch" {
		for _, role := range fakeRoles[1:] {
			cmd := exec.Command("/proc/self/exe")
			cmd.Args[0] = "sotto-" + role
			cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
			if err := cmd.Start(); err != nil {
				return err
			}
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	_, err = fmt.Fprint(io.Discard, a) // what it keeps, it keeps until here
	return err
}

// listen makes a socket that others can reach by a name.
func listen(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	}
	return fd, err
}

// TestProofFindsWhatIsKept shows that the proof of memory can fail: words that a
// role keeps where it should not are named, all of them and nothing else.
func TestProofFindsWhatIsKept(t *testing.T) {
	t.Parallel()
	var canaries []Canary
	word := func(name string) string {
		w := secret("kept")
		canaries = append(canaries, TextCanary(name, w))
		return w
	}
	pid, _ := startFake(t, map[string]act{
		"watch": {Keeps: []string{word("master key")}},
		"gate":  {Keeps: []string{word("PIN"), word("draft")}},
		"link":  {Keeps: []string{word("text"), word("relay password")}},
		"desk":  {Keeps: []string{word("store key")}},
	})
	word("what nobody keeps")
	sight, err := Look(pid, canaries...)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		may  Allowed
		want []string
	}{
		{"nothing is allowed", Allowed{}, []string{
			"the PIN is in the memory of the gate", "the draft is in the memory of the gate", "the master key is in the memory of the watch",
			"the relay password is in the memory of the link", "the store key is in the memory of the desk", "the text is in the memory of the link",
		}},
		{"all is where it may be", Allowed{
			"PIN": {"+gate"}, "draft": {"gate"}, "master key": {"watch"}, "relay password": {"link"}, "store key": {"+desk"}, "text": {"link", "desk"},
		}, nil},
		{"what must be there is not", Allowed{
			"PIN": {"gate", "+desk"}, "draft": {"gate"}, "master key": {"watch"}, "relay password": {"link"}, "store key": {"desk"}, "text": {"link"},
			"what nobody keeps": {"+watch"},
		}, []string{"the search finds no PIN in the desk", "the search finds no what nobody keeps in the watch"}},
	} {
		same(t, c.name, sight.Wrong(c.may), c.want)
	}
}

// same holds that findings are those that are wanted, by their beginnings.
func same(t *testing.T, name string, found, want []string) {
	t.Helper()
	left := slices.Clone(want)
	for _, f := range found {
		i := slices.IndexFunc(left, func(w string) bool { return strings.HasPrefix(f, w) })
		if i < 0 {
			t.Errorf("%s: found what was not put there: %s", name, f)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, w := range left {
		t.Errorf("%s: not found: %s", name, w)
	}
}
