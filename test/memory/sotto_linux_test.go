package memory

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/client/omemo"
	"sotto/client/store"
	"sotto/internal/profile"
	"sotto/internal/role/roletest"
	"sotto/keystore"
)

// secret makes up a word that is nowhere else, short enough for one line.
func secret(what string) string { return what + rand.Text()[:12] }

// relay is a relay without TLS, so that a test can see what it sees.
type relay struct {
	dir  string // all that it writes: data and logs
	url  string // ws:// address
	addr string // host:port of url
	pid  int
	told bool // it writes down what it was told to make accounts, passwords too
}

// processes are the relay's, with those that it started.
func (r *relay) processes() []int {
	list := []int{r.pid}
	for i := 0; i < len(list); i++ {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", list[i], list[i]))
		for _, child := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				list = append(list, pid)
			}
		}
	}
	return list
}

// user is an account on a relay.
type user struct{ address, display, password string }

// startRelay starts the relay that is in sotto, with accounts for people who
// are each other's colleagues.
func startRelay(t *testing.T, displays ...string) (*relay, []user) {
	t.Helper()
	const domain = "ward.localhost"
	r := &relay{dir: t.TempDir()}
	data, log := filepath.Join(r.dir, "data"), filepath.Join(r.dir, "log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, "relay", "serve", "--domain", domain, "--data", data, "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.pid = cmd.Process.Pid
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	said := regexp.MustCompile(`at ws://(\S+)/ws`)
	wait(t, "the relay listens", func() bool {
		b, _ := os.ReadFile(log)
		if found := said.FindSubmatch(b); found != nil {
			r.addr = string(found[1])
		}
		return r.addr != ""
	})
	r.url = "ws://" + r.addr + "/ws"
	var users []user
	for _, display := range displays {
		name := nameOf(display)
		u := user{name + "@" + domain, display, secret("pass")}
		add := exec.Command(program, "relay", "user", "add", name, "--name", u.display, "--group", "ICU", "--data", data)
		add.Stdin = strings.NewReader(u.password + "\n")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("add %s to the relay: %v: %s", u.display, err, out)
		}
		users = append(users, u)
	}
	return r, users
}

// nameOf makes "ada" of "Okafor, Ada".
func nameOf(display string) string {
	_, first, _ := strings.Cut(display, ", ")
	return strings.ToLower(first)
}

// sotto is a person's sotto with all its folders, at a terminal of its own.
type sotto struct {
	*roletest.Console
	t    *testing.T
	user user
	pin  string
	home string
}

func newSotto(t *testing.T, u user) *sotto {
	t.Helper()
	s := &sotto{t: t, user: u, pin: secret("pin"), home: folderOf(t)}
	if err := os.Mkdir(s.tmp(), 0o700); err != nil {
		t.Fatal(err)
	}
	// Not by itself where a test takes long on a busy machine.
	settings := s.profile().Config
	if err := os.MkdirAll(filepath.Dir(settings), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(settings, []byte("lock-after = \"1h\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.own()
	return s
}

// own gives the person all that is in their home, whoever wrote it.
func (s *sotto) own() {
	s.t.Helper()
	err := filepath.WalkDir(s.home, func(path string, _ os.DirEntry, err error) error {
		if err != nil || os.Getuid() != 0 {
			return err
		}
		return os.Lchown(path, somebody(), somebody())
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sotto) tmp() string { return filepath.Join(s.home, "tmp") }

func (s *sotto) profile() profile.Profile {
	share, state := filepath.Join(s.home, ".local", "share", "sotto", "default"), filepath.Join(s.home, ".local", "state", "sotto", "default")
	return profile.Profile{
		Name: "default", Config: filepath.Join(s.home, ".config", "sotto", "default", "config.toml"),
		Vault: filepath.Join(share, "vault"), Data: filepath.Join(share, "data"), Database: filepath.Join(share, "data", "sotto.db"),
		DeviceKey: filepath.Join(state, "device.key"), LockFile: filepath.Join(state, "lock"),
	}
}

// command is sotto with arguments, as the person runs it.
func (s *sotto) command(arguments ...string) *exec.Cmd {
	cmd := exec.Command(program, arguments...)
	if os.Getuid() == 0 {
		become := []string{"--reuid=" + strconv.Itoa(somebody()), "--regid=" + strconv.Itoa(somebody()), "--clear-groups", "--", program}
		cmd = exec.Command("setpriv", append(become, arguments...)...)
	}
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "TMPDIR=" + s.tmp()}
	cmd.Dir = s.home
	return cmd
}

// run starts sotto at a terminal. What it writes there is checked at the end.
func (s *sotto) run(arguments ...string) {
	s.t.Helper()
	c := roletest.Start(s.t, s.command(arguments...), 80, 24)
	s.Console = c
	s.t.Cleanup(func() { harmless(s.t, c) })
}

// harmless holds that nothing forbidden went to a terminal.
func harmless(t *testing.T, c *roletest.Console) {
	t.Helper()
	for i, what := range harm(c) {
		if i == 10 {
			t.Error("and more")
			break
		}
		t.Error(what)
	}
}

// harm is what harmless complains about.
func harm(c *roletest.Console) (found []string) {
	out := c.Output()
	if len(out) == 0 {
		return []string{"nothing was written to the terminal, so nothing was checked"}
	}
	for _, what := range Forbidden(out) {
		found = append(found, "written to the terminal "+what)
	}
	return found
}

// join signs in at the relay and chooses a PIN, up to the first screen with
// conversations. While is called with what is being typed standing there.
func (s *sotto) join(url string, while func(what string)) {
	s.t.Helper()
	s.run("join", s.user.address, "--relay", url)
	s.See("Password of " + s.user.address)
	s.typed(s.user.password)
	while("password")
	s.Type("\r")
	s.See("New PIN  _")
	s.typed(s.pin)
	while("PIN")
	s.Type("\r")
	s.See("Again  _")
	s.Type(s.pin + "\r")
	s.open()
}

// open waits for the first screen with conversations, and for the end of the gate,
// which may come a moment later.
func (s *sotto) open() {
	s.t.Helper()
	s.See("F1 help", "online")
	s.Wait("the gate has ended", func() bool { return s.Role("gate") == 0 })
}

// typed types what the gate shows as dots, and waits for them.
func (s *sotto) typed(what string) {
	s.t.Helper()
	s.Type(what)
	s.See(strings.Repeat("• ", len(what)) + "_")
}

// unlock enters the PIN at the lock screen.
func (s *sotto) unlock() {
	s.t.Helper()
	s.See("PIN  _")
	s.Type(s.pin + "\r")
	s.open()
}

// locked waits for the lock screen and for the end of the desk.
func (s *sotto) locked(desk int) {
	s.t.Helper()
	s.See("PIN  _")
	s.Wait("the desk has ended", func() bool { return roletest.Gone(desk) && s.Role("desk") == 0 })
}

// lock locks with Ctrl+L.
func (s *sotto) lock() {
	s.t.Helper()
	desk := s.Role("desk")
	s.Type("\x0c")
	s.locked(desk)
}

// say sends a message in the open conversation and waits for its receipt.
func (s *sotto) say(text string) {
	s.t.Helper()
	s.Type(text)
	s.See(">  " + text)
	s.Type("\r")
	done := regexp.MustCompile(regexp.QuoteMeta(text) + `\s+(delivered|read)`)
	s.Until("having delivered "+text, func(screen string) bool { return done.MatchString(screen) })
}

// quit ends sotto at the lock screen.
func (s *sotto) quit() {
	s.t.Helper()
	s.See("PIN  _")
	s.Type("\x11")
	if code := s.Exit(); code != 0 {
		s.t.Errorf("sotto ended with %d", code)
	}
}

// keys reads, with the PIN, all that is secret in a locked sotto's vault and
// database, and the ids of the messages, which are not.
func (s *sotto) keys(peer string) (secret []Canary, ids []Canary) {
	s.t.Helper()
	defer s.own()
	pin := memguard.NewBufferFromBytes([]byte(s.pin))
	defer pin.Destroy()
	p := s.profile()
	vault, err := keystore.Open(p.Vault, p.DeviceKey, pin)
	if err != nil {
		s.t.Fatal(err)
	}
	defer vault.Close()
	database, err := vault.DatabaseKey()
	if err != nil {
		s.t.Fatal(err)
	}
	add := func(name string, key []byte) {
		if len(key) != 32 || bytes.Count(key, []byte{0}) > 8 {
			s.t.Fatalf("the %s is not 32 random bytes", name)
		}
		secret = append(secret, Canary{Name: name, Bytes: bytes.Clone(key)})
	}
	add("master key", masterKey(s.t, vault, database.Bytes()))
	add("database key", database.Bytes())

	copied := s.t.TempDir() // the original is sotto's
	for _, name := range []string{"sotto.db", "sotto.db-wal"} {
		b, err := os.ReadFile(filepath.Join(p.Data, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), b, 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
	}
	ctx := context.Background()
	db, err := store.Open(ctx, filepath.Join(copied, "sotto.db"), database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	err = db.View(ctx, func(tx *store.Tx) error {
		identity, err := tx.Identity()
		if err != nil {
			return err
		}
		add("identity key", identity[5:]) // after format and device id
		signed, err := tx.SignedPreKeyIDs()
		if err != nil {
			return err
		}
		key, _, _, err := tx.SignedPreKey(signed[len(signed)-1])
		if err != nil {
			return err
		}
		add("signed prekey", key)
		prekeys, err := tx.PreKeyIDs()
		if err != nil {
			return err
		}
		if key, err = tx.PreKey(prekeys[0]); err != nil {
			return err
		}
		add("prekey", key)
		devices, err := tx.Devices(peer)
		if err != nil {
			return err
		}
		for _, d := range devices {
			state, err := tx.Session(omemo.Address{JID: peer, Device: d.ID})
			if err != nil {
				return err
			}
			if len(state) < 300 {
				return fmt.Errorf("the session with %s has %d bytes", peer, len(state))
			}
			// The layout is that of ratchet.Session.Marshal: a header of 66 bytes,
			// flags, then base, root, private and public ratchet key, remote and
			// sending chain, of 32 bytes each.
			at := func(n int) []byte { return state[67+32*n:][:32] }
			add("ratchet root key", at(1))
			add("ratchet private key", at(2))
			add("sending chain key", at(5))
			// Five numbers and how many receiving chains there are, of two keys each.
			const chains = 67 + 6*32 + 5*4
			if state[chains] == 0 {
				return fmt.Errorf("nothing came in the session with %s", peer)
			}
			chain := state[chains+1+32:][:32]
			add("receiving chain key", chain)
			// What the next message makes of it: Double Ratchet, section 5.2.
			seed := step(chain, 1)
			add("next receiving chain key", step(chain, 2))
			add("seed of the next message", seed)
			message, err := hkdf.Key(sha256.New, seed, make([]byte, 32), "WhisperMessageKeys", 80)
			if err != nil {
				return err
			}
			add("key of the next message", message[:32])
		}
		messages, err := tx.Messages(peer, 0, 100)
		for _, m := range messages {
			ids = append(ids, TextCanary("id of "+m.Body, m.OriginID))
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return secret, ids
}

// step derives from a chain key.
func step(chain []byte, constant byte) []byte {
	mac := hmac.New(sha256.New, chain)
	mac.Write([]byte{constant})
	return mac.Sum(nil)
}

// missing puts the key of a message that has not come yet into a locked sotto's
// session with somebody, as is kept for every gap in the numbers of messages.
func (s *sotto) missing(peer string) Canary {
	s.t.Helper()
	defer s.own()
	pin := memguard.NewBufferFromBytes([]byte(s.pin))
	defer pin.Destroy()
	p := s.profile()
	vault, err := keystore.Open(p.Vault, p.DeviceKey, pin)
	if err != nil {
		s.t.Fatal(err)
	}
	defer vault.Close()
	database, err := vault.DatabaseKey()
	if err != nil {
		s.t.Fatal(err)
	}
	ctx := context.Background()
	db, err := store.Open(ctx, p.Database, database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	seed := make([]byte, 32)
	rand.Read(seed)
	err = db.Update(ctx, func(tx *store.Tx) error {
		devices, err := tx.Devices(peer)
		if err != nil {
			return err
		}
		for _, d := range devices {
			address := omemo.Address{JID: peer, Device: d.ID}
			state, err := tx.Session(address)
			if err != nil {
				return err
			}
			// Behind the header and the first state: how many receiving chains, those,
			// and how many keys of missing messages.
			const chains, chain = 66 + 1 + 6*32 + 5*4, 32 + 32 + 4
			if len(state) < chains+1 {
				return fmt.Errorf("the session with %s has %d bytes", peer, len(state))
			}
			count := chains + 1 + chain*int(state[chains])
			if len(state) < count+2 || state[count] != 0 || state[count+1] != 0 {
				return fmt.Errorf("the session with %s has another form", peer)
			}
			key := slices.Concat(seed, []byte{0x7f, 0xff, 0xff, 0xff}, seed) // ratchet key, number, seed
			rand.Read(key[:32])
			state[count+1] = 1
			if err := tx.PutSession(address, slices.Insert(state, count+2, key...)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return Canary{Name: "key of a missing message", Bytes: seed}
}

// masterKey takes the master key out of an open vault, which gives it to nobody.
// That it is the one shows in the database key, which is derived from it.
func masterKey(t *testing.T, vault *keystore.Opened, database []byte) []byte {
	t.Helper()
	field := reflect.ValueOf(vault).Elem().FieldByName("master")
	if field.Type() != reflect.TypeFor[*memguard.Enclave]() {
		t.Fatalf("the master key is kept as %v: this test has to learn how to read that", field.Type())
	}
	sealed := *(**memguard.Enclave)(unsafe.Pointer(field.UnsafeAddr()))
	master, err := sealed.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Destroy()
	derived, err := hkdf.Key(sha256.New, master.Bytes(), nil, "sotto database v1", keystore.DatabaseKeySize)
	if err != nil || !bytes.Equal(derived, database) {
		t.Fatalf("this is not the master key: %v", err)
	}
	return bytes.Clone(master.Bytes())
}

func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for late := time.Now().Add(roletest.Patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%s: not after %v", what, roletest.Patience)
		}
	}
}

// signal sends a signal to a role.
func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if pid <= 1 { // these mean whole groups of processes
		t.Fatal("there is no such role")
	}
	if err := unix.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// lastInTurn gives a process the processor when nobody else wants it.
func lastInTurn(t *testing.T, pid int) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, 19); err != nil && err != unix.ESRCH {
			t.Fatal(err)
		}
	}
}

// ticks is the processor time that a process has used, in hundredths of a second:
// proc(5), /proc/PID/stat, utime and stime.
func ticks(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name may hold anything, but for the last ")".
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		t.Fatalf("/proc/%d/stat: %q", pid, b)
	}
	sum := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
