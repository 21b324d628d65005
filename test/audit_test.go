//go:build unix

package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/client/audit"
)

// auditor is a program that collects audit logs.
type auditor struct {
	*program
	cmd   *exec.Cmd
	ended chan struct{}
	all   []string // the findings that somebody should look at
}

// collects starts it, and waits until it collects.
func (a *auditor) collects() {
	a.t.Helper()
	a.cmd = a.command("audit", "collect", "--json", "--pin-file", a.pinFile)
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	var errs bytes.Buffer
	a.cmd.Stderr = &errs
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	begun, ended := make(chan struct{}), make(chan struct{})
	a.ended = ended
	go func() {
		defer close(ended)
		in := bufio.NewScanner(out)
		for in.Scan() {
			var l struct {
				Type, Kind, What string
				Harmless         bool
			}
			if err := json.Unmarshal(in.Bytes(), &l); err != nil {
				a.t.Errorf("%v in %q", err, in.Text())
			}
			switch {
			case l.Type == "collecting":
				close(begun)
			case l.Type == "finding" && !l.Harmless:
				a.all = append(a.all, in.Text())
			}
		}
		a.cmd.Wait()
	}()
	a.t.Cleanup(func() {
		a.cmd.Process.Kill()
		<-ended
	})
	select {
	case <-begun:
	case <-ended:
		a.t.Fatalf("sotto audit collect has ended: %v: %s", a.cmd.ProcessState, errs.String())
	case <-time.After(2 * time.Minute):
		a.t.Fatal("sotto audit collect does not begin")
	}
}

// stops has it end as a service manager does.
func (a *auditor) stops() {
	a.t.Helper()
	a.cmd.Process.Signal(syscall.SIGTERM)
	ends(a.t, "sotto audit collect", a.ended)
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		a.t.Errorf("sotto audit collect ended with %d", code)
	}
}

// dies has all its processes end at once, in the midst of whatever they do.
func (a *auditor) dies() {
	a.t.Helper()
	all := family(a.t, a.cmd.Process.Pid)
	for _, p := range all {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	ends(a.t, "sotto audit collect", a.ended)
	gone(a.t, all)
}

// folder is where the logs are.
func (a *auditor) folder() string {
	a.t.Helper()
	for _, pattern := range []string{"data/audit", "*/data/audit"} {
		if list, err := filepath.Glob(filepath.Join(a.home, "data", "sotto", pattern)); err != nil || len(list) == 1 {
			return list[0]
		}
	}
	a.t.Fatal("there is no folder with audit logs")
	return ""
}

// shows returns events of the folder.
func (a *auditor) shows(filters ...string) (list []audit.Entry) {
	a.t.Helper()
	r := a.does("", append([]string{"audit", "show", a.folder()}, filters...)...)
	for l := range strings.Lines(r.out) {
		e, err := audit.ParseLine([]byte(strings.TrimSuffix(l, "\n")))
		if err != nil {
			a.t.Errorf("%v in %q", err, l)
		}
		list = append(list, e)
	}
	return list
}

// has waits until the logs have an event of each kind about a message, on the devices
// of those people.
func (a *auditor) has(n int, kind string, of *program, filters ...string) (list []audit.Entry) {
	a.t.Helper()
	a.until(kind+" of "+of.address, func() bool {
		list = slices.DeleteFunc(a.shows(append(filters, "--kind", kind)...), func(e audit.Entry) bool { return e.Device.Owner.String() != of.address })
		return len(list) >= n
	})
	return list
}

// verifies returns how sotto audit verify ends.
func (a *auditor) verifies(dir string, more ...string) ran {
	a.t.Helper()
	return a.does("", append([]string{"audit", "verify", dir}, more...)...)
}

// tells sends a text until it is delivered, and expects that it arrives.
func tells(from, to *program, in *listener, text string) {
	from.t.Helper()
	from.until("delivered: "+text, func() bool {
		r := from.send(to.address, text, "--wait", "1m")
		return r.code == 0 && parse(from.t, r.out).State == "delivered"
	})
	for in.next("message").Text != text {
	}
}

// employ has somebody join as a program.
func (o *office) employ(name string) *program {
	o.t.Helper()
	p, code, pin := o.invite(name)
	if err := o.joins(p, code, pin).Wait(); err != nil {
		o.t.Fatalf("%s: %v", name, err)
	}
	return p
}

// newAuditor has somebody join who collects, as the policy says from then on.
func (o *office) newAuditor() *auditor {
	o.t.Helper()
	a := &auditor{program: o.employ("vera")}
	r := a.does("", "audit", "key", "--pin-file", a.pinFile)
	if r.code != 0 || strings.Count(r.out, "\n") != 2 {
		o.t.Fatalf("sotto audit key: %+v", r)
	}
	o.must(&orgAnswer{}, "policy", "set", o.secret("settings", "service = true\ntrust = \"directory\"\n"+r.out), "--yes")
	return a
}

// TestAuditLogsAreCollected has two people's devices send their logs to an auditor,
// who is killed again and again, and looks at what is there afterwards, and at what
// somebody has changed of it.
func TestAuditLogsAreCollected(t *testing.T) {
	t.Parallel()
	o := newOffice(t, embedded(t))
	end := o.serve()
	a := o.newAuditor()
	alice, bob := o.employ("alice"), o.employ("bob")
	a.collects()
	fromAlice, fromBob := alice.listen(), bob.listen()

	texts := []string{"Bed 7 needs the cardiologist", "She is on her way to bed 7"}
	tells(alice, bob, fromBob, texts[0])
	tells(bob, alice, fromAlice, texts[1])
	one := a.has(1, "message-sent", alice)[0]
	two := a.has(1, "message-sent", bob)[0]
	a.has(1, "message-received", bob, "--message", one.Message.String())
	a.has(1, "message-received", alice, "--message", two.Message.String())
	a.has(1, "message-delivered", alice, "--message", one.Message.String())

	// The collector is killed while logs come in.
	for i, text := range []string{"one of three", "two of three", "three of three"} {
		texts = append(texts, text)
		tells(alice, bob, fromBob, text)
		if i > 0 { // at another moment each time
			a.until("something comes", func() bool { return len(a.shows("--person", alice.address, "--kind", "message-sent")) > i })
		}
		a.dies()
		a.collects()
	}
	a.has(4, "message-sent", alice)
	a.has(4, "message-received", bob)
	end(syscall.SIGTERM)
	fromAlice.stop()
	fromBob.stop()
	a.stops()
	if len(a.all) > 0 {
		t.Errorf("findings:\n%s", strings.Join(a.all, "\n"))
	}

	dir := a.folder()
	if r := a.verifies(dir); r.code != 0 || strings.Count(r.out, "\n") < 3 {
		t.Errorf("verify: %+v", r)
	}
	for _, filters := range [][]string{
		{"--message", one.Message.String()}, {"--message", one.Message.String(), "--person", bob.address},
		{"--device", one.Device.String(), "--kind", "message-sent", "--before", time.Now().Add(time.Hour).Format(time.RFC3339)},
	} {
		if list := a.shows(filters...); len(list) == 0 || !slices.ContainsFunc(list, func(e audit.Entry) bool { return e.Message == one.Message }) {
			t.Errorf("%v show %v", filters, list)
		}
	}
	if list := a.shows("--after", time.Now().Add(time.Hour).Format(time.RFC3339)); len(list) != 0 {
		t.Errorf("in an hour: %v", list)
	}
	for format, form := range map[string]string{"csv": "message-received,", "fhir": `"resourceType":"AuditEvent"`, "syslog": " message-received [audit@32473 "} {
		path := filepath.Join(a.home, "exported."+format)
		r := a.does("", "audit", "export", dir, "--format", format, "--output", path)
		b, err := os.ReadFile(path)
		if r.code != 0 || err != nil || !bytes.Contains(b, []byte(form)) || !bytes.Contains(b, []byte(one.Message.String())) {
			t.Errorf("as %s: %+v %v %.300s", format, r, err, b)
		}
		silent(t, path, texts)
	}
	silent(t, dir, texts)

	// Somebody has changed something.
	log := filepath.Join(filepath.Base(strings.ReplaceAll(one.Device.String(), "/", "-")), "log")
	for name, spoil := range map[string]func(b []byte) []byte{
		"a byte":            func(b []byte) []byte { b[bytes.Index(b, []byte("message-sent"))] ^= 1; return b },
		"the end":           func(b []byte) []byte { return b[:len(b)-20] },
		"half":              func(b []byte) []byte { return b[:bytes.Index(b, []byte("message-sent"))-60] },
		"a line is removed": func(b []byte) []byte { i := bytes.IndexByte(b, '\n') + 1; return append(b[:0], b[i:]...) },
	} {
		spoilt := filepath.Join(t.TempDir(), "audit")
		if err := os.CopyFS(spoilt, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(spoilt, log)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, spoil(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := a.verifies(spoilt); r.code != 3 || r.err == "" {
			t.Errorf("%s: verify: %+v", name, r)
		}
	}
	if r := a.verifies(filepath.Join(t.TempDir(), "none")); r.code != 1 {
		t.Errorf("where there is nothing: %+v", r)
	}
}

// silent holds that nothing of what was written is in a file, or in any below a folder.
func silent(t *testing.T, dir string, texts []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, s := range texts {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s has %q", path, s)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files below %s, %v", files, dir, err)
	}
}
