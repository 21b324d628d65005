package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sotto/test/server"
	"sotto/test/terminal"
)

// program is an account that no person sits in front of.
type program struct {
	*person
	address string
	pinFile string
}

// newProgram makes the profile of a program, as an administrator does at a terminal.
func newProgram(t *testing.T, s *server.Server, who server.Person) *program {
	t.Helper()
	p := &program{person: newPerson(t, who.Name), address: s.Address(who)}
	p.pin = "pin-of-a-program-7391"
	p.run("join", p.address, "--relay", s.WebSocket, "--ca", s.CAFile, "--service")
	p.See("Password of " + p.address)
	p.Enter(who.Password)
	p.See("New PIN")
	p.Enter(p.pin)
	p.See("Again")
	p.Enter(p.pin)
	p.See("lock in", "online")
	p.quit()
	p.pinFile = filepath.Join(p.home, "pin")
	p.writePIN(p.pin)
	return p
}

func (p *program) writePIN(pin string) {
	p.t.Helper()
	os.Remove(p.pinFile)
	if err := os.WriteFile(p.pinFile, []byte(pin+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// command is a command of sotto with this program's folders.
func (p *program) command(arguments ...string) *exec.Cmd {
	cmd := exec.Command(binary, arguments...)
	cmd.Env, cmd.Dir = p.env(), p.home
	return cmd
}

// ran is how a command ended.
type ran struct {
	code     int
	out, err string
}

func (p *program) does(input string, arguments ...string) ran {
	p.t.Helper()
	cmd := p.command(arguments...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// send sends a text and returns what sotto send --json says of it.
func (p *program) send(to, text string, more ...string) ran {
	p.t.Helper()
	if !slices.Contains(more, "--wait") {
		more = append(more, "--wait", patience.String())
	}
	return p.does(text, append([]string{"send", to, "--pin-file", p.pinFile, "--json"}, more...)...)
}

// line is a line of sotto's for programs.
type line struct {
	Type, Conversation, From, To, Trust, Urgency, Text, State, Reason, Fingerprint string
	ID                                                                             int64
	Encrypted, Own                                                                 bool
	Code                                                                           int
	Files                                                                          []struct {
		Name string
		Size int64
	}
}

func parse(t *testing.T, s string) (l line) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &l); err != nil {
		t.Fatalf("%v in %q", err, s)
	}
	return l
}

// fingerprint is that of the program's own device, as it says it.
func (p *program) fingerprint() string {
	p.t.Helper()
	r := p.does("", "trust", "--pin-file", p.pinFile, "--json", "--wait", patience.String())
	for l := range strings.Lines(r.out) {
		if l := parse(p.t, l); l.Own {
			return l.Fingerprint
		}
	}
	p.t.Fatalf("no device of its own: %+v", r)
	return ""
}

// compare trusts a device of another program.
func (p *program) compare(with *program) {
	p.t.Helper()
	if r := p.does("", "trust", with.address, with.fingerprint(), "--pin-file", p.pinFile, "--wait", patience.String()); r.code != 0 || !strings.Contains(r.out, "compared") {
		p.t.Fatalf("comparing: %+v", r)
	}
}

// listener is a running sotto listen.
type listener struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan line
	errs  bytes.Buffer
	ended chan struct{}
}

func (p *program) listen(arguments ...string) *listener {
	p.t.Helper()
	l := &listener{t: p.t, cmd: p.command(append([]string{"listen", "--json", "--pin-file", p.pinFile}, arguments...)...),
		lines: make(chan line, 1000), ended: make(chan struct{})}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	l.cmd.Stderr = &l.errs
	if err := l.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(l.ended)
		in := bufio.NewReader(out)
		for {
			s, err := in.ReadString('\n')
			var got line
			if err != nil || json.Unmarshal([]byte(s), &got) != nil {
				break
			}
			l.lines <- got
		}
		close(l.lines)
		l.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		l.cmd.Process.Kill()
		<-l.ended
		if p.t.Failed() {
			p.t.Logf("sotto listen of %s wrote: %s", p.name, l.errs.String())
		}
	})
	return l
}

// ends waits until a process has ended that was told to.
func ends(t *testing.T, what string, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(terminal.Patience):
		t.Fatalf("%s was told to end, and runs on after %v", what, terminal.Patience)
	}
}

// next returns the next line of a type.
func (l *listener) next(typ string) line {
	l.t.Helper()
	late := time.After(terminal.Patience)
	for {
		select {
		case got, ok := <-l.lines:
			if !ok {
				<-l.ended
				l.t.Fatalf("no line %q: it has ended, %v: %s", typ, l.cmd.ProcessState, l.errs.String())
			}
			if got.Type == typ {
				return got
			}
		case <-late:
			l.t.Fatalf("no line %q in time", typ)
		}
	}
}

// stop ends it as a service manager does.
func (l *listener) stop() {
	l.t.Helper()
	l.cmd.Process.Signal(syscall.SIGTERM)
	ends(l.t, "sotto listen", l.ended)
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		l.t.Errorf("sotto listen ended with %d after SIGTERM: %s", code, l.errs.String())
	}
}

// online waits until it is.
func (l *listener) online() {
	l.t.Helper()
	for l.next("connection").State != "online" {
	}
}

// TestPrograms is what a monitoring system does: one program sends, another one
// listens, and neither has a person.
func TestPrograms(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		people := team(t, s, "Alarm, Ada", "Pager, Per")
		alarm, pager := newProgram(t, s, people[0]), newProgram(t, s, people[1])
		const secret, second = "Disk 4 of pacs-2 has failed #mrn:441207735198", "Disk 5 has failed, too\x1b[2J\u202e"

		// Nobody has compared anything yet.
		r := alarm.send(pager.address, secret)
		if got := parse(t, r.out); r.code != 5 || got.State != "refused" || got.Reason == "" || got.Code != 5 {
			t.Errorf("sent to a device that was not compared: %+v", r)
		}
		alarm.compare(pager)

		// There, but nobody is there to confirm it. On a busy machine the relay may not
		// have it so soon.
		for _, wait := range []string{"3s", "10s", "1m"} {
			if r = alarm.send(pager.address, secret, "--wait", wait, "--stat"); r.code != 4 {
				break
			}
		}
		if got := parse(t, r.out); r.code != 3 || got.State != "sent" || got.Reason == "" {
			t.Errorf("to somebody who is away: %+v", r)
		}

		l := pager.listen()
		got := l.next("unverified")
		if got.Text != "!stat "+secret || got.From != alarm.address || got.Urgency != "stat" || !got.Encrypted || got.Trust != "first-use" {
			t.Errorf("before comparing it says %+v", got)
		}
		l.stop()
		pager.compare(alarm)
		l = pager.listen()
		l.online()
		r = alarm.send(pager.address, second)
		if got := parse(t, r.out); r.code != 0 || got.State != "delivered" || r.err != "" {
			t.Errorf("to somebody who listens: %+v", r)
		}
		for got = l.next("message"); strings.Contains(got.Text, secret); { // sent more than once
			got = l.next("message")
		}
		if !strings.HasPrefix(got.Text, "Disk 5 has failed, too") || got.Trust != "compared" || got.Conversation != alarm.address {
			t.Errorf("it says %+v", got)
		}
		if strings.ContainsAny(got.Text, "\x1b\u202e") {
			t.Errorf("what a terminal obeys is in the text: %q", got.Text)
		}
		secretless(t, l.cmd.Process.Pid, pager.pin, "Disk 5")
		all := family(t, l.cmd.Process.Pid)
		if len(all) != 3 {
			t.Errorf("it is %v, and not a watch, a link and a desk", all)
		}
		l.stop()
		gone(t, all)
		for _, p := range []*program{alarm, pager} {
			nothingWritten(t, p, "pacs-2", "441207735198", "Disk 5", p.pin)
		}
		exercised(t, fmt.Sprintf("sotto send and sotto listen over %s", s.Name))
	})
}

// secretless holds that nothing secret stands where every process of the user, or
// of the system, can read it.
func secretless(t *testing.T, pid int, secrets ...string) {
	t.Helper()
	for _, p := range family(t, pid) {
		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, name))
			if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
			for _, secret := range secrets {
				if bytes.Contains(b, []byte(secret)) {
					t.Errorf("%q is in %s of %s", secret, name, p.name)
				}
			}
		}
	}
}

// nothingWritten holds that a program's folders hold none of the secrets, except the
// file with the PIN itself.
func nothingWritten(t *testing.T, p *program, secrets ...string) {
	t.Helper()
	looked := 0
	err := filepath.WalkDir(p.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == p.pinFile {
			return err
		}
		b, err := os.ReadFile(path)
		looked++
		for _, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%q is in %s", secret, path)
			}
		}
		return err
	})
	if err != nil || looked < 4 {
		t.Errorf("%d files looked at: %v", looked, err)
	}
}

// TestSendQueued sends while the relay is down: the message is kept, and goes out
// with the next one.
func TestSendQueued(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Alarm, Ada", "Pager, Per")
	alarm, pager := newProgram(t, s, people[0]), newProgram(t, s, people[1])
	alarm.compare(pager)
	pager.compare(alarm)
	s.Stop()
	r := alarm.send(pager.address, "the first", "--wait", "2s")
	if got := parse(t, r.out); r.code != 4 || got.State != "queued" || got.Reason == "" {
		t.Errorf("with the relay down: %+v", r)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := pager.listen()
	l.online()
	if r := alarm.send(pager.address, "the second"); r.code != 0 {
		t.Errorf("with the relay up again: %+v", r)
	}
	for _, want := range []string{"the first", "the second"} {
		if got := l.next("message"); got.Text != want {
			t.Errorf("%q came, and not %q", got.Text, want)
		}
	}
	l.stop()
	exercised(t, "sotto send without a relay, and after")
}

// TestSendRefuses is what programs get wrong.
func TestSendRefuses(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Alarm, Ada", "Pager, Per")
	alarm := newProgram(t, s, people[0])
	to := s.Address(people[1])
	pinless := func(arguments ...string) ran {
		return alarm.does("text", append([]string{"send", to}, arguments...)...)
	}
	write := func(mode os.FileMode) string {
		path := filepath.Join(alarm.home, "open-pin")
		if err := os.WriteFile(path, []byte(alarm.pin), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		what, says string
		code       int
		ran        ran
	}{
		{"no PIN file", "--pin-file", 2, pinless()},
		{"standard input for the PIN", "standard input", 2, pinless("--pin-file", "-")},
		{"a PIN file that is not there", "is not there", 1, pinless("--pin-file", "nowhere")},
		{"a PIN file for all", "others can read", 1, pinless("--pin-file", write(0o644))},
		{"a PIN file for the group", "others can read", 1, pinless("--pin-file", write(0o640))},
		{"a folder", "neither a file nor a pipe", 1, pinless("--pin-file", alarm.home)},
		{"no address", "needs one address", 2, alarm.does("text", "send", "--pin-file", alarm.pinFile)},
		{"no true address", "not an address", 2, alarm.does("text", "send", "ward.example", "--pin-file", alarm.pinFile)},
		{"an unknown flag", "--loud", 2, alarm.does("text", "send", to, "--loud")},
		{"twice urgent", "either", 2, pinless("--stat", "--urgent", "--pin-file", alarm.pinFile)},
		{"listening for people", "--json", 2, alarm.does("", "listen", "--pin-file", alarm.pinFile)},
		{"no profile", "no profile", 1, pinless("--profile", "none", "--pin-file", alarm.pinFile)},
		{"half a fingerprint", "64 digits", 2, alarm.does("", "trust", to, "ab12", "--pin-file", alarm.pinFile)},
		{"nothing to send", "nothing to send", 1, alarm.does(" \n", "send", to, "--pin-file", alarm.pinFile)},
		{"too much to send", "longer than", 1, alarm.does(strings.Repeat("x", 65<<10), "send", to, "--pin-file", alarm.pinFile)},
	} {
		if c.ran.code != c.code || !strings.Contains(c.ran.err, c.says) || c.ran.out != "" {
			t.Errorf("%s: %+v; code %d and %q were to come", c.what, c.ran, c.code, c.says)
		}
	}

	// A person's profile is not opened without the person.
	config := filepath.Join(alarm.home, "config", "sotto", "default", "config.toml")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, bytes.Replace(b, []byte("service = true"), nil, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := pinless("--pin-file", alarm.pinFile); r.code != 1 || !strings.Contains(r.err, "belongs to a person") {
		t.Errorf("a person's profile: %+v", r)
	}
	if err := os.WriteFile(config, b, 0o600); err != nil {
		t.Fatal(err)
	}

	// A wrong PIN in a file comes nowhere near the end of the vault.
	alarm.writePIN("000000-wrong")
	for i := range 5 {
		r := pinless("--pin-file", alarm.pinFile)
		want := "is not right"
		if i >= 3 {
			want = "none is tried from a file any more"
		}
		if r.code != 1 || !strings.Contains(r.err, want) {
			t.Errorf("wrong PIN number %d: %+v", i+1, r)
		}
	}
	alarm.writePIN(alarm.pin)
	if r := pinless("--pin-file", alarm.pinFile); r.code != 1 {
		t.Errorf("the right PIN after many wrong ones: %+v", r)
	}
	alarm.run()
	alarm.See("PIN  _") // there is a wait after wrong ones
	alarm.unlock()
	alarm.quit()
	if r := pinless("--pin-file", alarm.pinFile, "--wait", patience.String()); r.code != 5 {
		t.Errorf("after somebody has opened it at a terminal: %+v", r)
	}
}

// TestSendAtOnce is cron at midnight.
func TestSendAtOnce(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Alarm, Ada", "Pager, Per")
	alarm, pager := newProgram(t, s, people[0]), newProgram(t, s, people[1])
	alarm.compare(pager)
	pager.compare(alarm)
	l := pager.listen()
	l.online()
	const turns, through = 3, 5
	var own *listener
	many := func(from, n int) {
		var senders sync.WaitGroup
		for i := range n {
			senders.Go(func() {
				if r := alarm.send(pager.address, "job "+strconv.Itoa(from+i), "--wait", patience.String()); r.code != 0 {
					t.Errorf("job %d: %+v", from+i, r)
				}
			})
		}
		senders.Wait()
	}
	many(0, turns) // one after the other
	own = alarm.listen()
	own.online()
	many(turns, through) // through the one that listens
	if r := alarm.does("", "trust", "--pin-file", alarm.pinFile, "--wait", "1s"); r.code != 1 || !strings.Contains(r.err, "open in another") {
		t.Errorf("the profile is in use: %+v", r)
	}
	alarm.writePIN("000000-wrong")
	if r := alarm.send(pager.address, "forged"); r.code != 1 || !strings.Contains(r.out, "is not right") {
		t.Errorf("through the one that listens, with a wrong PIN: %+v", r)
	}
	own.stop()
	came := map[string]int{}
	for range turns + through {
		came[l.next("message").Text]++
	}
	l.stop()
	for i := range turns + through {
		if n := came["job "+strconv.Itoa(i)]; n != 1 {
			t.Errorf("job %d came %d times", i, n)
		}
	}
	exercised(t, "sotto send, many at once, and through sotto listen")
}

// TestSendFile sends an image with what a camera writes into it.
func TestSendFile(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Alarm, Ada", "Pager, Per")
	alarm, pager := newProgram(t, s, people[0]), newProgram(t, s, people[1])
	alarm.compare(pager)
	pager.compare(alarm)
	l := pager.listen()
	l.online()
	file := filepath.Join(alarm.home, "ecg 4.csv")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0.12;0.19\n"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := alarm.send(pager.address, "the last hour", "--file", file); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if got := l.next("message"); got.Text != "the last hour" {
		t.Errorf("%+v", got)
	}
	if got := l.next("message"); len(got.Files) != 1 || got.Files[0].Name != "ecg 4.csv" || got.Files[0].Size < 0 {
		t.Errorf("%+v", got)
	}
	if r := alarm.send(pager.address, "", "--file", alarm.home); r.code != 1 || !strings.Contains(r.out, "is not a file") {
		t.Errorf("a folder: %+v", r)
	}
	l.stop()
	nothingWritten(t, pager, "0.12;0.19", "ecg 4")
}

// TestListenKilled kills the processes of a listener one after the other. What it had
// not confirmed comes again with the same id, and nothing is lost.
func TestListenKilled(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	people := team(t, s, "Alarm, Ada", "Pager, Per")
	alarm, pager := newProgram(t, s, people[0]), newProgram(t, s, people[1])
	alarm.compare(pager)
	pager.compare(alarm)

	const many, nothing = 12, "not an event"
	sent := make(chan bool)
	go func() {
		defer close(sent)
		queued := false
		for i := range many {
			r := alarm.send(pager.address, "event "+strconv.Itoa(i), "--wait", "1s")
			if r.code != 0 && r.code != 3 && r.code != 4 {
				t.Errorf("event %d: %+v", i, r)
			}
			queued = r.code == 4 // on a busy machine; it goes out with the next
		}
		for queued {
			queued = alarm.send(pager.address, nothing, "--wait", "10s").code == 4
		}
	}()
	texts := map[int64]string{}
	repeated := 0
	for round := 0; len(texts) < many; round++ {
		if round == 60 {
			t.Fatalf("%d of %d after %d rounds", len(texts), many, round)
		}
		l := pager.listen("--ack")
		take := 2 // lines; the last is not confirmed before the end comes
		if repeated == 0 {
			take = 1 // what is not confirmed at all comes again for sure
		}
		// All that was sent by now is here soon after it has come online.
		soon := 2*time.Second + time.Duration(round)*250*time.Millisecond
		quiet := time.After(terminal.Patience)
		for open := true; open && take > 0; {
			var got line
			select {
			case got, open = <-l.lines:
			case <-quiet:
				open = false
			}
			if got.Type == "message" || got.Type == "connection" && got.State == "online" {
				quiet = time.After(soon)
			}
			if got.Type != "message" || got.Text == nothing {
				continue
			}
			if was, known := texts[got.ID]; known {
				repeated++
				if was != got.Text {
					t.Errorf("%d was %q and is %q", got.ID, was, got.Text)
				}
			}
			texts[got.ID] = got.Text
			if take--; take > 0 {
				fmt.Fprintln(l.in, got.ID)
			}
		}
		victims := family(t, l.cmd.Process.Pid)
		if len(victims) > 0 {
			if victim, err := os.FindProcess(victims[round%len(victims)].pid); err == nil {
				victim.Kill()
			}
		}
		ends(t, "sotto listen, of which a process was killed,", l.ended)
		gone(t, victims)
	}
	<-sent
	seen := map[string]int{}
	for _, text := range texts {
		seen[text]++
	}
	for i := range many {
		if n := seen["event "+strconv.Itoa(i)]; n != 1 {
			t.Errorf("event %d is there %d times", i, n)
		}
	}
	if repeated == 0 {
		t.Error("nothing was ever repeated: nothing was killed between a line and its confirmation")
	}
	exercised(t, fmt.Sprintf("sotto listen killed, %d lines repeated with the same id", repeated))
}
