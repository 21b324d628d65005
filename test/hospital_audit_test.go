package test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"sotto/test/terminal"
)

// hospitalAuditor collects the audit logs of a hospital's devices.
type hospitalAuditor struct {
	*program
	h      *hospital
	folder string // with the logs
	policy string // what the policy says of it
	cmd    *exec.Cmd
	out    bytes.Buffer
	ended  chan struct{}
}

// audits invites an auditor, names it in the policy and has it collect from then on.
func (h *hospital) audits() *hospitalAuditor {
	h.t.Helper()
	a := &hospitalAuditor{program: h.deploys("auditor", "Auditor"), h: h, ended: make(chan struct{})}
	a.folder = filepath.Join(a.home, "data", "sotto", "default", "data", "audit")
	a.policy = a.runs("audit", "key", "--pin-file", a.pinFile)
	h.policy += a.policy
	h.org("policy", "set", h.file("policy", h.policy), "--yes")
	a.cmd = a.command("audit", "collect", "--pin-file", a.pinFile, "--json")
	a.cmd.Stdout, a.cmd.Stderr = &a.out, &a.out
	if err := a.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(a.ended)
		a.cmd.Wait()
	}()
	h.t.Cleanup(func() {
		a.cmd.Process.Kill()
		<-a.ended
		if h.t.Failed() {
			h.t.Logf("sotto audit collect wrote:\n%s", a.out.String())
		}
	})
	return a
}

// messageID is the id of the last message in the open conversation, as its details say.
func (p *person) messageID() string {
	p.t.Helper()
	p.Press("M-w")
	p.SeeMatch(`Message id [A-Z2-7]{26}`)
	id := regexp.MustCompile(`Message id ([A-Z2-7]{26})`).FindStringSubmatch(p.Screen())
	p.Press("Escape")
	p.SeeGone("Message id")
	if id == nil {
		p.t.Fatal("the id of the message was on the screen, and is not")
	}
	return id[1]
}

// shows returns the events that the auditor has of somebody, a line each. While it
// collects the folder may be cut off where it is just written, and is read again.
func (a *hospitalAuditor) shows(name string, arguments ...string) (lines []string) {
	a.t.Helper()
	out, errs := "", ""
	for late := time.Now().Add(terminal.Patience); ; time.Sleep(100 * time.Millisecond) {
		code := 0
		if out, errs, code = a.tries("", append([]string{"audit", "show", a.folder}, arguments...)...); code == 0 {
			break
		}
		if time.Now().After(late) {
			a.t.Fatalf("sotto audit show %s ended with %d:\n%s%s", strings.Join(arguments, " "), code, out, errs)
		}
	}
	for l := range strings.Lines(out) {
		if fields := strings.Fields(l); len(fields) > 4 && strings.HasPrefix(fields[3], name+"@"+a.h.s.Domain+"/") {
			lines = append(lines, strings.Join(fields[4:], " "))
		}
	}
	return lines
}

// logged waits until the auditor has an event of somebody's device with certain fields.
func (a *hospitalAuditor) logged(name, kind string, fields ...string) {
	a.t.Helper()
	var lines []string
	for late := time.Now().Add(3 * terminal.Patience); ; time.Sleep(200 * time.Millisecond) {
		lines = a.shows(name, "--kind", kind)
		for _, l := range lines {
			found := true
			for _, f := range fields {
				found = found && strings.Contains(l, f)
			}
			if found {
				return
			}
		}
		if time.Now().After(late) {
			a.t.Errorf("the auditor has no %s of %s with %q: %q of all\n%s", kind, name, fields, lines, strings.Join(a.shows(name), "\n"))
			return
		}
	}
}

// follows finds all that a message, which the organisation has recalled, went through
// on the device that sent it and on the one that received it: each once, and no more.
func (a *hospitalAuditor) follows(id, from, to string) {
	a.t.Helper()
	sender, reader := from+"@"+a.h.s.Domain, to+"@"+a.h.s.Domain
	for name, want := range map[string][]string{
		from: {"message-delivered peer=" + reader, "message-recalled peer=" + reader, "message-sent peer=" + reader, "order-obeyed"},
		to:   {"message-received peer=" + sender, "message-recalled peer=" + sender, "message-shown peer=" + sender, "order-obeyed"},
	} {
		slices.Sort(want)
		var lines, is []string
		for late := time.Now().Add(3 * terminal.Patience); !slices.Equal(is, want); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(late) {
				a.t.Errorf("of the message %s has logged %q, and not %q", name, lines, want)
				break
			}
			is = nil
			lines = a.shows(name, "--message", id)
			for _, l := range lines { // the event, and with whom
				fields := strings.Fields(l)
				if len(fields) > 1 && strings.HasPrefix(fields[1], "peer=") {
					is = append(is, fields[0]+" "+fields[1])
				} else {
					is = append(is, fields[0])
				}
			}
			slices.Sort(is)
		}
	}
}

// ends has the collector stop as a service manager does. What it has collected is
// sound, by the key that the policy has and by its seal.
func (a *hospitalAuditor) ends() {
	a.t.Helper()
	a.cmd.Process.Signal(syscall.SIGTERM)
	ends(a.t, "sotto audit collect", a.ended)
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		a.t.Fatalf("sotto audit collect ended with %d:\n%s", code, a.out.String())
	}
	for l := range strings.Lines(a.out.String()) {
		var found struct {
			Type     string
			Harmless bool
		}
		if err := json.Unmarshal([]byte(l), &found); err != nil || found.Type == "finding" && !found.Harmless {
			a.t.Errorf("the collector says %s (%v)", l, err)
		}
	}
	_, key, _ := strings.Cut(a.policy, "auditor-key = \"")
	key, _, _ = strings.Cut(key, "\"")
	out := a.runs("audit", "verify", a.folder, "--key", key, "--seal", filepath.Join(a.folder, "seal"))
	if n := strings.Count(out, "\n"); n < 4 { // those who were online for long enough
		a.t.Errorf("only %d logs were verified:\n%s", n, out)
	}
}

// knowsNoText looks for words in all files of the auditor's folder. These are full of
// numbers of devices and of base64: the words are none that these come to by chance.
func (a *hospitalAuditor) knowsNoText(words ...string) {
	a.t.Helper()
	files := 0
	err := filepath.WalkDir(a.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, w := range words {
			if bytes.Contains(b, []byte(w)) {
				a.t.Errorf("%q is in %s", w, path)
			}
		}
		return err
	})
	if err != nil || files < 12 {
		a.t.Errorf("%d files, %v", files, err)
	}
}

// heardIn sees in the administrator's report when devices were heard last.
func (a *hospitalAuditor) heardIn(names ...string) {
	a.t.Helper()
	var report struct {
		People []struct {
			Address string
			Devices []struct {
				Contact time.Time `json:"last-contact"`
			}
		}
	}
	out := a.h.runs("org", "report", "--pin-file", a.h.pinFile, "--wait", patience.String(), "--audit", a.folder, "--format", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		a.t.Fatalf("%v in %s", err, out)
	}
	for _, name := range names {
		heard := false
		for _, p := range report.People {
			for _, d := range p.Devices {
				heard = heard || p.Address == name+"@"+a.h.s.Domain && time.Since(d.Contact) < time.Hour
			}
		}
		if !heard {
			a.t.Errorf("the report does not know when %s was heard last:\n%s", name, out)
		}
	}
}
