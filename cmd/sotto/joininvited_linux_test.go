package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/admin"
	"sotto/client/link"
	"sotto/client/membership"
	"sotto/client/org/directory"
	"sotto/client/org/invitation"
	"sotto/client/store"
	"sotto/internal/inforce"
	"sotto/internal/relay"
	"sotto/internal/role/roletest"
)

// clinic is an organisation with a relay of its own. What an administrator's sotto does
// runs in this process.
type clinic struct {
	t     *testing.T
	url   string
	st    *store.Store
	c     *client.Client
	org   *admin.Organisation
	close func() // takes the relay away
}

const wardContact = "sotto@ward.example"

func newClinic(t *testing.T) *clinic {
	t.Helper()
	return newClinicBehind(t, func(url string) string { return url })
}

// newClinicBehind has people reach the relay elsewhere: front returns where.
func newClinicBehind(t *testing.T, front func(url string) string) *clinic {
	t.Helper()
	dir := t.TempDir()
	a, err := relay.OpenAccounts(dir, "ward.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Add("sotto", []byte("the organisation's"), "sotto", ""), a.SetAdmin("sotto", true), a.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(relay.Config{Domain: "ward.example", Iterations: 4096, Store: dir})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(context.Background(), ln) }()
	w := &clinic{t: t, url: "ws://" + ln.Addr().String() + "/ws"}
	w.close = sync.OnceFunc(func() { r.Close(); <-served })
	t.Cleanup(w.close)
	if w.st, err = store.OpenMemory(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.st.Close() })
	w.signIn()
	var key directory.Device
	if err := w.st.Update(t.Context(), func(tx *store.Tx) error {
		self := w.c.Self()
		s, err := membership.DeviceKey(tx, self.Device)
		if err == nil {
			key = directory.Device{ID: self.Device, Fingerprint: self.Fingerprint, Signing: s.Public(), Added: time.Now()}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if w.org, err = admin.Found(t.Context(), w.st, admin.Founding{Name: "ward.example", Contact: wardContact, Relay: front(w.url), Device: key,
		// A PIN of these tests is not asked for again once the policy has arrived.
		Policy: strings.Replace(admin.FirstPolicy(), "pin-length = 8", "pin-length = 6", 1),
	}); err != nil {
		t.Fatal(err)
	}
	if left, err := w.org.Settle(t.Context(), w.c, nil); err != nil || !left.None() {
		t.Fatalf("%+v, %v", left, err)
	}
	return w
}

// signIn brings the organisation's account online.
func (w *clinic) signIn() {
	t := w.t
	l := link.New(link.Config{Backoff: func(int) time.Duration { return 20 * time.Millisecond }})
	linked := make(chan struct{})
	go func() { l.Run(context.Background()); close(linked) }()
	mine, theirs := net.Pipe()
	go l.Attach(theirs)
	c, err := client.New(client.Config{Store: w.st, Link: mine, Unattended: true, Account: client.Account{
		Address: wardContact, Relay: w.url, Password: memguard.NewBufferFromBytes([]byte("the organisation's"))}})
	if err != nil {
		t.Fatal(err)
	}
	w.c = c
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { c.Run(ctx); close(ran) }()
	t.Cleanup(func() { cancel(); <-ran; l.Close(); <-linked })
	for late := time.Now().Add(roletest.Patience); !c.State().CaughtUp; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the organisation's account is not online")
		}
	}
}

// serve lets in who asks, until stop is called.
func (w *clinic) serve() (stop func()) {
	return w.serveWith(admin.Serving{Every: time.Minute})
}

func (w *clinic) serveWith(s admin.Serving) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.org.Serve(ctx, w.c, s) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// invite invites somebody and makes the account if there is to be one.
func (w *clinic) invite(v admin.Invite) (code, pin string) {
	w.t.Helper()
	i, err := w.org.Invite(w.t.Context(), v)
	if err != nil {
		w.t.Fatal(err)
	}
	defer i.Clear()
	if !i.HasPassword {
		err := admin.MakeAccount(w.t.Context(), w.c, i)
		if errors.Is(err, admin.ErrAccountExists) {
			err = admin.ResetAccount(w.t.Context(), w.c, i)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return string(i.Code.Append(nil)), string(i.PIN.Bytes())
}

var alice = admin.Invite{Person: invitation.Person{Address: "alice@ward.example", Name: "Alice Ames", Roles: []string{"physician"}}}

// devices are those of alice in the directory.
func (w *clinic) devices() int {
	e, _ := w.org.Directory().Entry("alice@ward.example")
	return len(e.Devices)
}

// others is a one-time PIN that is not this one.
func others(pin string) string {
	if pin == "0000-0000" {
		return "1111-1111"
	}
	return "0000-0000"
}

// given waits for what is on the screen, then types.
func given(c *roletest.Console, see, keys string) {
	c.See(see)
	c.Type(keys)
}

// TestJoinWithAnInvitation joins two devices of somebody, one after the other, and
// finds the first as it was.
func TestJoinWithAnInvitation(t *testing.T) {
	w := newClinic(t)
	w.serve()
	code, pin := w.invite(alice)
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", "alice@ward.example,nonsense\r")
	given(c, "This is not an invitation", strings.Replace(code, "alice", "alicf", 1)+"\r")
	given(c, "has a mistake in it", code+"\r")
	c.See("ward.example · alice@ward.example", "One-time PIN  _", "that you were told")
	if digits := code[strings.LastIndexByte(code, ',')+1:]; strings.Contains(c.Screen(), digits) {
		t.Error("the invitation stays on the screen")
	}
	given(c, "One-time PIN  _", "1234\r")
	c.See("This is not a one-time PIN", "One-time PIN  _")
	c.Type(others(pin) + "\r")
	c.See("The relay does not let you in with this PIN", "One-time PIN  _")
	c.Type(strings.ToLower(pin) + "\r")
	given(c, "New PIN  _", "123456\r")
	given(c, "counts up or down", testPIN+"\r")
	given(c, "Again  _", testPIN+"\r")
	c.See("online", "F1 help")
	c.Wait("the device is in the directory", func() bool { return w.devices() == 1 })
	quit(t, c)
	first, changing := account(t, profileAt(home), testPIN)
	if len(first) != 26 || changing {
		t.Errorf("the password has %d characters, changing %v", len(first), changing)
	}

	// The paper is worth nothing any more.
	c = roletest.Start(t, at(t, t.TempDir(), "join", code), 80, 24)
	c.See("Others on this computer can see a command line")
	given(c, "One-time PIN  _", pin+"\r")
	c.See("The relay does not let you in with this PIN")
	c.Type("\x03")
	c.See("nothing was set up")
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}

	// A further device, while the first is offline.
	code, pin = w.invite(admin.Invite{Person: invitation.Person{Address: "alice@ward.example"}, Another: true})
	second := t.TempDir()
	c = roletest.Start(t, at(t, second, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	given(c, "New PIN  _", "another one\r")
	given(c, "Again  _", "another one\r")
	c.See("online", "F1 help")
	c.Wait("the device is in the directory", func() bool { return w.devices() == 2 })
	quit(t, c)
	if password, changing := account(t, profileAt(second), "another one"); password != first || changing {
		t.Error("the second device has changed the account's password")
	}
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", testPIN+"\r")
	c.See("online", "F1 help")
	quit(t, c)
}

// TestJoinWaits has nobody answer at first. Whatever is killed meanwhile, the next
// start goes on waiting.
func TestJoinWaits(t *testing.T) {
	w := newClinic(t)
	code, pin := w.invite(alice)
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	given(c, "New PIN  _", testPIN+"\r")
	given(c, "Again  _", testPIN+"\r")
	c.See("Waiting for ward.example to let this device in", "sotto org approve", "online")
	c.Type("hello\r/to bob@ward.example\r")
	if err := syscall.Kill(c.Role("desk"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.See("ended unexpectedly", "PIN  _")
	c.Type(testPIN + "\r")
	c.See("Waiting for ward.example to let this device in")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()
	if w.devices() != 0 {
		t.Error("it is in the directory, and nobody has let it in")
	}
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", testPIN+"\r")
	c.See("Waiting for ward.example to let this device in")
	w.serve()
	c.See("F1 help")
	c.SeeGone("Waiting for")
	quit(t, c)
}

// TestJoinOutdated comes with an invitation of before a change of the organisation's key:
// the screen says so, also the next time, and another invitation goes on from there.
func TestJoinOutdated(t *testing.T) {
	w := newClinic(t)
	code, pin := w.invite(alice)
	if _, err := w.org.Rotate(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.serve()
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	given(c, "New PIN  _", testPIN+"\r")
	given(c, "Again  _", testPIN+"\r")
	c.See("ward.example has not let this device in", "from before your organisation changed its key")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", testPIN+"\r")
	c.See("from before your organisation changed its key")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	code, pin = w.invite(alice)
	c = roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "PIN  _", testPIN+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	c.See("F1 help")
	quit(t, c)
	if w.devices() != 1 {
		t.Errorf("%d devices in the directory", w.devices())
	}
}

// TestJoinKilled kills all of sotto where it hurts: once the vault is there, and
// nobody else knows yet. That lasts for milliseconds, so it tries until it has hurt.
func TestJoinKilled(t *testing.T) {
	const tries = 20
	for range tries {
		if joinKilled(t) {
			return
		}
	}
	t.Errorf("the kill came too late %d times in a row", tries)
}

// joinKilled has an organisation of its own. It returns false if the kill came too late
// to hurt.
func joinKilled(t *testing.T) bool {
	w := newClinic(t)
	w.serve()
	code, pin := w.invite(alice)
	home := t.TempDir()
	p := profileAt(home)
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	given(c, "New PIN  _", testPIN+"\r")
	gate := c.Role("gate")
	given(c, "Again  _", testPIN+"\r")
	for late := time.Now().Add(roletest.Patience); ; time.Sleep(100 * time.Microsecond) {
		if _, err := os.Stat(p.Vault); err == nil {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("there is no vault:\n%s", c.Screen())
		}
	}
	syscall.Kill(gate, syscall.SIGKILL)
	c.Wait("sotto ends", func() bool { // what is typed between two gates is dropped
		c.Type("\x11")
		return roletest.Gone(c.PID)
	})
	c.Exit()
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", testPIN+"\r")
	hurt := false
	c.Until("it says how it stands", func(s string) bool {
		hurt = strings.Contains(s, "joining was cut off")
		return hurt || strings.Contains(s, "F1 help") || strings.Contains(s, "Enter the PIN again")
	})
	c.Type("\x11")
	c.Exit()
	if !hurt {
		return false
	}
	c = roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "PIN  _", testPIN+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	c.See("online", "F1 help")
	quit(t, c)
	if password, changing := account(t, p, testPIN); len(password) != 26 || changing {
		t.Errorf("the password has %d characters, changing %v", len(password), changing)
	}
	if w.devices() != 1 {
		t.Errorf("%d devices", w.devices())
	}
	return true
}

// TestJoinRefused is an invitation that is not good any more: words that say what to
// do, and another one goes on with the same vault.
func TestJoinRefused(t *testing.T) {
	w := newClinic(t)
	code, pin := w.invite(alice)
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	given(c, "New PIN  _", testPIN+"\r")
	given(c, "Again  _", testPIN+"\r")
	c.See("Waiting for ward.example to let this device in")
	for _, i := range w.org.Invitations() {
		if _, err := w.org.Withdraw(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	stop := w.serve()
	c.See("ward.example has not let this device in", "void", "sotto join")
	c.Type("\x11")
	c.Exit()
	stop()
	code, pin = w.invite(alice)
	w.serve()
	// Where somebody else has an account the invitation is for nobody.
	wrong := at(t, home, "join", strings.Replace(code, "alice", "bob", 1))
	if out, _ := wrong.CombinedOutput(); !strings.Contains(string(out), "mistake in it") {
		t.Errorf("%s", out)
	}
	c = roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "PIN  _", testPIN+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	c.See("online", "F1 help")
	quit(t, c)
}

func TestJoinWithoutARelay(t *testing.T) {
	w := newClinic(t)
	code, pin := w.invite(alice)
	w.close()
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	c.See("refused the connection")
	c.Restored()
	filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
}

// secret writes a file that only this user can read.
func secret(t *testing.T, words string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(words), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestJoinAsAService has nobody type anything.
func TestJoinAsAService(t *testing.T) {
	w := newClinic(t)
	code, pin := w.invite(alice)
	home := t.TempDir()
	run := func(in string, args ...string) (string, int) {
		t.Helper()
		cmd := at(t, home, args...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
			t.Fatal(err)
		}
		if bytes.Contains(out, []byte(pin)) {
			t.Errorf("the one-time PIN is in %q", out)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	join := func(pin string, more ...string) (string, int) {
		t.Helper()
		return run(code+"\n", append([]string{"join", "--service", "--pin-file", secret(t, testPIN+"\n"), "--one-time-pin-file", secret(t, pin)}, more...)...)
	}
	for want, args := range map[string][]string{
		"belong together":  {"--service", "--pin-file", "x"},
		"a person types":   {"--pin-file", "x", "--one-time-pin-file", "y"},
		"is not there":     {"--service", "--pin-file", "/nowhere", "--one-time-pin-file", "/nowhere"},
		"--wait is a time": {"--wait", "25h"},
	} {
		if out, exit := run(code, append([]string{"join"}, args...)...); exit != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: %d, %q", args, exit, out)
		}
	}
	if out, exit := join("1234"); exit != 1 || !strings.Contains(out, "too short") {
		t.Errorf("%d, %q", exit, out)
	}
	if out, exit := join(others(pin)); exit != 1 || !strings.Contains(out, "does not let this account in") {
		t.Errorf("%d, %q", exit, out)
	}
	if _, err := os.Stat(profileAt(home).Vault); err == nil {
		t.Fatal("there is a vault")
	}
	if out, exit := join(pin, "--wait", "1s"); exit != codeQueued || !strings.Contains(out, "has not let this device in yet") {
		t.Errorf("%d, %q", exit, out)
	}
	// It does not send before it is in.
	if out, exit := run("text", "send", "bob@ward.example", "--pin-file", secret(t, testPIN)); exit != 1 || !strings.Contains(out, "not let in") {
		t.Errorf("%d, %q", exit, out)
	}
	w.serve()
	if out, exit := join(pin); exit != 0 || !strings.Contains(out, "ward.example has taken this device in") {
		t.Errorf("%d, %q", exit, out)
	}
	if w.devices() != 1 {
		t.Errorf("%d devices", w.devices())
	}
}

// seeWords waits for a sentence, wherever its lines end.
func seeWords(c *roletest.Console, words string) {
	c.Until("there is: "+words, func(s string) bool { return strings.Contains(strings.Join(strings.Fields(s), " "), words) })
}

// TestJoinUnderThePolicy chooses a PIN that the policy takes, before the policy is
// there: at the next start nobody is asked for another. Then the policy becomes
// stricter, and names another relay.
func TestJoinUnderThePolicy(t *testing.T) {
	w := newClinic(t)
	set := func(body string) {
		t.Helper()
		if _, err := w.org.SetPolicy(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		if left, err := w.org.Settle(t.Context(), w.c, nil); err != nil || !left.None() {
			t.Fatalf("%+v, %v", left, err)
		}
	}
	const rules = "lease = \"7d\"\npin-length = 8\npin-characters = \"mixed\"\n"
	set(rules + "relays = [\"" + w.url + "\"]\n")
	code, pin := w.invite(alice)
	home := t.TempDir()
	refused := at(t, home, "join", code, "--relay", "wss://other.example/ws")
	if out, _ := refused.CombinedOutput(); !strings.Contains(string(out), "Leave --relay out") {
		t.Errorf("%s", out)
	}
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	for _, words := range []string{"that you were told, which is not on the invitation.", "2 tries are left.", "One try is left."} {
		seeWords(c, words)
		c.See("One-time PIN  _")
		c.Type(others(pin) + "\r")
	}
	seeWords(c, "You can begin again with: sotto join.")
	c.Exit()
	c.Restored()

	const mixed, longer = "k7 walnut", "k7 walnut and more"
	c = roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	seeWords(c, "choose a PIN of your own for this device: 8 characters or more, letters and digits among them.")
	c.Type("k7 wal\r")
	given(c, "too short", "walnutwood\r")
	given(c, "not mixed", mixed+"\r")
	given(c, "Again  _", mixed+"\r")
	c.See("Waiting for ward.example to let this device in")
	stop := w.serve()
	c.SeeGone("Waiting for")
	c.See("online", "F1 help")
	quit(t, c)
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", mixed+"\r")
	c.See("online", "F1 help")

	stop()
	set(strings.Replace(rules, "8", "12", 1) + "relays = [\"wss://elsewhere.example/ws\"]\n")
	p := profileAt(home)
	c.Wait("the policy has come", func() bool {
		in, err := inforce.Read(p.Data)
		return err == nil && in != nil && in.Policy.Value("pin-length").Int() == 12
	})
	quit(t, c)
	c = roletest.Start(t, at(t, home, "password"), 80, 24)
	given(c, "PIN  _", mixed+"\r")
	given(c, "Password of alice@ward.example", "whatever it is\r")
	seeWords(c, "lets it connect to elsewhere.example only. Nothing was sent.")
	c.Exit()
	c.Restored()
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", mixed+"\r")
	given(c, "Your organisation asks for another PIN", longer+"\r")
	given(c, "Again  _", longer+"\r")
	c.See("F1 help")
	quit(t, c)
}
