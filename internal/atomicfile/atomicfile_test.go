package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	os.WriteFile(filepath.Join(filepath.Dir(path), ".f.new"), []byte("left by a crash"), 0o644)
	for _, content := range []string{"first", "the second is longer", ""} {
		if err := Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("got %q %v, want %q", b, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("open to others: %v %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := Write(filepath.Join(t.TempDir(), "none", "f"), nil); err == nil {
		t.Error("wrote into a folder that is not there")
	}
}

var errCrash = errors.New("crash")

// model is a disk on which the power can be cut after any step. It keeps what
// programs see apart from what is on the platter.
type model struct {
	steps int               // left before the power is cut; each is an operation
	off   bool              // nothing happens any more
	seen  map[string]string // contents by name, as programs see them
	// names and data are on the platter. A rename gets there with SyncDir, or
	// by itself at any time before; data only with Sync.
	data    map[string]string // synced content of each file, by its first name
	names   map[string]string // name → first name, on the platter
	pending map[string]string // name → first name, not yet on the platter
	order   []string
}

func newModel(path, content string, steps int) *model {
	return &model{
		steps: steps, seen: map[string]string{path: content}, data: map[string]string{"old": content},
		names: map[string]string{path: "old"}, pending: map[string]string{},
	}
}

// step reports whether the operation happens.
func (m *model) step(what string) bool {
	if m.off || m.steps == 0 {
		m.off = true
		return false
	}
	m.steps--
	m.order = append(m.order, what)
	return true
}

// after is what a path can hold after the power cut: with the pending renames
// done, and without.
func (m *model) after(path string) []string {
	out := []string{m.data[m.names[path]]}
	if first, ok := m.pending[path]; ok {
		out = append(out, m.data[first])
	}
	return out
}

type modelFile struct {
	m    *model
	name string
}

func (m *model) Create(name string) (file, error) {
	if !m.step("create") {
		return nil, errCrash
	}
	m.seen[name] = ""
	return &modelFile{m, name}, nil
}

func (f *modelFile) Name() string { return f.name }

func (f *modelFile) Write(b []byte) (int, error) {
	for i := range b { // the power can go in the middle
		if i%2 == 0 && !f.m.step("write") {
			return i, errCrash
		}
		f.m.seen[f.name] += string(b[i])
	}
	return len(b), nil
}

func (f *modelFile) Sync() error {
	if !f.m.step("sync") {
		return errCrash
	}
	f.m.data[f.name] = f.m.seen[f.name]
	return nil
}

func (f *modelFile) Close() error { return nil }

func (m *model) Rename(from, to string) error {
	if !m.step("rename") {
		return errCrash
	}
	m.seen[to], m.pending[to] = m.seen[from], from
	delete(m.seen, from)
	return nil
}

func (m *model) Remove(path string) error {
	if m.step("remove") {
		delete(m.seen, path)
	}
	return nil
}

func (m *model) SyncDir(string) error {
	if !m.step("syncdir") {
		return errCrash
	}
	for to, from := range m.pending {
		m.names[to] = from
	}
	clear(m.pending)
	return nil
}

// TestPowerCut cuts the power after each step in turn.
func TestPowerCut(t *testing.T) {
	const path = "/d/vault"
	for steps := 0; ; steps++ {
		m := newModel(path, "old", steps)
		err := write(m, path, []byte("new content"))
		for _, got := range append(m.after(path), m.seen[path]) {
			if got != "old" && got != "new content" {
				t.Errorf("power cut after %v: the file holds %q", m.order, got)
			}
		}
		if err == nil {
			if got := fmt.Sprint(m.after(path)); got != "[new content]" {
				t.Errorf("reported as written after %v, but the file may hold %s", m.order, got)
			}
			if steps < 8 {
				t.Errorf("only %d steps: %v", steps, m.order)
			}
			return
		}
		if steps > 100 {
			t.Fatal(err)
		}
	}
}

// TestFailedStepLeavesNothing has one step after the other fail, as on a full disk.
func TestFailedStepLeavesNothing(t *testing.T) {
	const path = "/d/vault"
	for _, bad := range []string{"create", "write", "sync", "rename"} {
		m := newModel(path, "old", 100)
		err := write(failing{m, bad}, path, []byte("new"))
		if err == nil || !errors.Is(err, errCrash) {
			t.Errorf("%s failed, and the error is %v", bad, err)
		}
		if len(m.seen) != 1 || m.seen[path] != "old" {
			t.Errorf("%s failed, and there is %v", bad, m.seen)
		}
	}
}

type failing struct {
	*model
	bad string
}

func (f failing) Create(name string) (file, error) {
	if f.bad == "create" {
		return nil, errCrash
	}
	inner, err := f.model.Create(name)
	return failingFile{inner, f.bad}, err
}

func (f failing) Rename(from, to string) error {
	if f.bad == "rename" {
		return errCrash
	}
	return f.model.Rename(from, to)
}

type failingFile struct {
	file
	bad string
}

func (f failingFile) Write(b []byte) (int, error) {
	if f.bad == "write" {
		return 1, errCrash
	}
	return f.file.Write(b)
}

func (f failingFile) Sync() error {
	if f.bad == "sync" {
		return errCrash
	}
	return f.file.Sync()
}
