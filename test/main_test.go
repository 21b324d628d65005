package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sotto/test/apart"
	"sotto/test/profanity"
	"sotto/test/server"
)

// binary is the program under test, built once as people build it.
var binary string

// folder holds what all tests of this run share.
var folder string

func TestMain(m *testing.M) {
	apart.Child() // one of the processes that tests start to kill them
	code := 1
	defer func() { os.Exit(code) }()
	var err error
	folder, err = os.MkdirTemp("", "sotto-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "sotto")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../cmd/sotto")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building sotto: %v\n%s", err, out)
		return
	}
	defer stopServers()
	code = m.Run()
}

// A kind of server is started when the first test asks for it, and serves all
// tests of the run: each has people of its own on it.
type kind struct {
	name  string
	start func(context.Context, string) (*server.Server, error)

	once   sync.Once
	server *server.Server
	err    error
}

var kinds = []*kind{
	{name: "Prosody", start: server.StartProsody},
	{name: "ejabberd", start: server.StartEjabberd},
}

// embedded starts the relay that is in sotto. Everybody on it is a colleague of
// everybody, so each test has one of its own.
func embedded(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.StartEmbedded(t.Context(), t.TempDir(), binary)
	if err != nil {
		t.Fatal(err)
	}
	stops(t, s)
	exercised(t, "sotto relay")
	return s
}

// stops has a server of a test's own end with the test, and say what it logged last
// if the test has failed.
func stops(t *testing.T, s interface {
	Stop()
	Log(lines int) string
}) {
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Log(s.Log(25))
		}
	})
}

func stopServers() {
	for _, k := range kinds {
		if k.server != nil {
			k.server.Stop()
		}
	}
}

// get returns the running server.
func (k *kind) get(t *testing.T) *server.Server {
	t.Helper()
	k.once.Do(func() {
		dir := filepath.Join(folder, k.name)
		if k.err = os.Mkdir(dir, 0o700); k.err == nil {
			k.server, k.err = k.start(context.Background(), dir)
		}
	})
	if k.err != nil {
		missing(t, k.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(k.server.Log(25))
		}
	})
	exercised(t, k.name+" "+k.server.Version)
	return k.server
}

// onEach runs a test against each server, the one in sotto included.
func onEach(t *testing.T, test func(t *testing.T, s *server.Server)) {
	t.Run("sotto_relay", func(t *testing.T) {
		t.Parallel()
		test(t, embedded(t))
	})
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k.get(t))
		})
	}
}

// needProfanity says which profanity there is.
func needProfanity(t *testing.T) {
	t.Helper()
	version, err := profanity.Version()
	if err != nil {
		missing(t, err)
	}
	exercised(t, "profanity "+version)
}

// missing ends a test for want of a program: a failure where CI=true has
// promised that everything is there, loud elsewhere.
func missing(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, server.ErrMissing) {
		t.Fatal(err)
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%v, and with CI=true nothing is skipped: see test/install", err)
	}
	exercised(t, fmt.Sprintf("NOT %s: %v", t.Name(), err))
	t.Skipf("SKIPPED: %v; test/install installs it", err)
}

var report sync.Mutex

// exercised writes down, for the end of "make test", what a test has met.
func exercised(t *testing.T, what string) {
	t.Helper()
	name := os.Getenv("SOTTO_REPORT")
	if name == "" {
		t.Log("exercised: " + what)
		return
	}
	report.Lock()
	defer report.Unlock()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, what); err != nil {
		t.Fatal(err)
	}
}

var teams atomic.Int64

// team makes people with accounts of their own, who have each other as
// contacts. They are given by their names, "Okafor, Ada" becoming ada7.
func team(t *testing.T, s *server.Server, names ...string) []server.Person {
	t.Helper()
	number := teams.Add(1)
	var people []server.Person
	for _, display := range names {
		_, first, _ := strings.Cut(display, ", ")
		people = append(people, server.Person{
			Name:     fmt.Sprintf("%s%d", strings.ToLower(first), number),
			Display:  display,
			Password: fmt.Sprintf("Correct-%s-Battery-%d", first, number),
		})
	}
	if err := s.AddTeam(t.Context(), "Cardiology", people...); err != nil {
		t.Fatal(err)
	}
	return people
}
