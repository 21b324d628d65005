package memory

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestRunningRolesAreConfined looks at the processes of a sotto that runs, in
// every state it can be in, as somebody who is not root: each has what its role
// needs and no more. What a confined process can't do, package harden tries.
func TestRunningRolesAreConfined(t *testing.T) {
	t.Parallel()
	r, people := startRelay(t, "Okafor, Ada", "Lind, Per")
	s := newSotto(t, people[0])
	check := func(moment string, want ...string) {
		t.Helper()
		found, roles, err := Loose(s.PID, somebody(), s.home)
		if err != nil {
			t.Fatalf("%s: %v", moment, err)
		}
		for _, what := range found {
			t.Errorf("%s: %s", moment, what)
		}
		slices.Sort(roles)
		if !slices.Equal(roles, want) {
			t.Errorf("%s: there are %q, want %q", moment, roles, want)
		}
	}
	s.join(r.url, func(what string) { check("typing the "+what+" to join", "gate", "link", "watch") })
	check("unlocked", "desk", "link", "watch")
	s.See("Lind, Per")
	s.Type("text")
	s.See(">  text")
	check("writing", "desk", "link", "watch")
	s.lock()
	check("locked", "gate", "link", "watch")
	s.unlock()
	check("unlocked again", "desk", "link", "watch")
	s.lock()
	s.quit()
	s.run("pin")
	s.See("PIN as it is now  _")
	check("changing the PIN", "gate", "watch")
	s.Type("\x03")
	s.Exit()
}

// TestLooseFindsWhatIsLoose shows that the look at running processes can fail: a
// role that forgets one protection, or has one thing too much, is named for that.
// (That one may leave a core dump, package dumps shows: here, package memguard has
// forbidden that already.)
func TestLooseFindsWhatIsLoose(t *testing.T) {
	t.Parallel()
	// Built with cgo, this test binary has libraries, which sotto has not.
	always := mappedHere(t)
	for _, c := range []struct {
		name  string
		acts  map[string]act
		finds []string
	}{
		{"nothing", nil, nil},
		{"desk without any", map[string]act{"desk": {Faults: []string{"not early", "not confined"}}}, []string{
			"desk: other programs of the same person can read its mem",
			"desk: other programs of the same person can read its environ", "desk: other programs of the same person can read its fd",
			"desk: other programs of the same person can read its auxv", "desk: a thread has not the filter of its role",
		}},
		{"each lacks one", map[string]act{
			"desk": {Faults: []string{"a TCP socket"}}, "gate": {Faults: []string{"not confined"}}, "link": {Faults: []string{"a terminal"}},
			"watch": {Faults: []string{"a file of others'"}},
		}, []string{
			"desk: a socket", "gate: a thread has not the filter of its role", "link: a terminal is open", "watch: a file is open: /etc/passwd",
		}},
		{"each lacks another", map[string]act{
			"desk": {Faults: []string{"a file of others'"}}, "link": {Faults: []string{"a library"}},
			"watch": {Faults: []string{"a socket's name", "a netlink socket"}},
		}, []string{
			"desk: a file is open: /etc/passwd", "link: a file is mapped: ", "watch: a socket: unix at ", "watch: a socket of another family",
		}},
		{"watch without a filter", map[string]act{"watch": {Faults: []string{"not confined"}}}, []string{
			"watch: a thread has no filter", "desk: a thread has not the filter", "gate: a thread has not the filter", "link: a thread has not the filter",
		}},
		{"watch without any", map[string]act{"watch": {Faults: []string{"not early", "not confined"}}}, []string{
			"watch: a thread has no filter", "desk: a thread has not the filter", "gate: a thread has not the filter", "link: a thread has not the filter",
			"watch: a thread can gain", "watch: other programs of the same person can read its mem",
			"watch: other programs of the same person can read its environ", "watch: other programs of the same person can read its fd",
			"watch: other programs of the same person can read its auxv",
		}},
		{"readable", map[string]act{"gate": {Faults: []string{"dumpable"}}}, []string{
			"gate: other programs of the same person can read its mem", "gate: other programs of the same person can read its environ",
			"gate: other programs of the same person can read its fd", "gate: other programs of the same person can read its auxv",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pid, folder := startFake(t, c.acts)
			found, roles, err := Loose(pid, somebody(), folder)
			if err != nil {
				t.Fatal(err)
			}
			if len(roles) != len(fakeRoles) {
				t.Fatalf("there are only %q", roles)
			}
			found = slices.DeleteFunc(found, func(f string) bool {
				return slices.ContainsFunc(always, func(library string) bool { return strings.HasSuffix(f, ": a file is mapped: "+library) })
			})
			same(t, c.name, found, c.finds)
		})
	}
	if _, _, err := Loose(os.Getpid(), 0, ""); err == nil {
		t.Error("as root, who can read everything, it seems that nobody can")
	}
}

// mappedHere returns the libraries of this process.
func mappedHere(t *testing.T) (libraries []string) {
	t.Helper()
	l := look{pid: os.Getpid()}
	if err := l.mapped(); err != nil {
		t.Fatal(err)
	}
	for _, f := range l.found {
		libraries = append(libraries, strings.TrimPrefix(f, "a file is mapped: "))
	}
	return libraries
}
