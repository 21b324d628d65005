//go:build unix

package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awnumar/memguard"

	"sotto/internal/profile"
	"sotto/keystore"
)

// account is a profile with a real vault.
func account(t *testing.T) place {
	t.Helper()
	p := profile.In(t.TempDir())
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	if err := p.Save(profile.Defaults()); err != nil {
		t.Fatal(err)
	}
	locked := func(s string) *memguard.LockedBuffer { return memguard.NewBufferFromBytes([]byte(s)) }
	pin := locked("739182")
	defer pin.Destroy()
	o, err := keystore.Create(p.Vault, p.DeviceKey, pin, &keystore.Account{Address: "alice@ward.example", Password: locked("correct horse")})
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	if err := os.WriteFile(p.Database, make([]byte, 2*pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return place{Profile: p, there: true}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// spoil changes a byte in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1 // before what is counted in, which is never all that there is
	write(t, path, b)
}

func TestProfile(t *testing.T) {
	find := func(p place) map[string]finding {
		m := map[string]finding{}
		for _, e := range p.group(machine{root: "/"}).of {
			m[e.ids[0]] = e.within(t.Context())[0]
		}
		return m
	}
	p := account(t)
	for id, f := range find(p) {
		if f.verdict != Good && !(id == "file-system" && f.verdict == Weak) { // of a test, it may be a tmpfs
			t.Errorf("%s: %+v", id, f)
		}
	}
	other := account(t)
	for name, c := range map[string]struct {
		id      string
		change  func(t *testing.T, p place)
		verdict Verdict
		says    string
	}{
		"an open folder":   {"files", func(t *testing.T, p place) { os.Chmod(p.Data, 0o755) }, Weak, "chmod go-rwx"},
		"an open vault":    {"files", func(t *testing.T, p place) { os.Chmod(p.Vault, 0o644) }, Weak, "chmod go-rwx"},
		"a folder above":   {"files", func(t *testing.T, p place) { os.Chmod(filepath.Dir(filepath.Dir(p.Vault)), 0o777) }, Weak, "chmod go-w"},
		"no device secret": {"vault", func(t *testing.T, p place) { os.Remove(p.DeviceKey) }, Bad, "device secret is missing"},
		"another's device secret": {"vault", func(t *testing.T, p place) {
			b, err := os.ReadFile(other.DeviceKey)
			if err != nil {
				t.Fatal(err)
			}
			write(t, p.DeviceKey, b)
		}, Bad, "belongs to another vault"},
		"a spoilt vault":  {"vault", func(t *testing.T, p place) { spoil(t, p.Vault) }, Bad, "damaged"},
		"an empty vault":  {"vault", func(t *testing.T, p place) { write(t, p.Vault, nil) }, Bad, "damaged"},
		"no store":        {"store", func(t *testing.T, p place) { os.Remove(p.Database) }, Good, "no messages"},
		"half a page":     {"store", func(t *testing.T, p place) { os.Truncate(p.Database, pageSize+5) }, Bad, "cut off"},
		"a folder for it": {"store", func(t *testing.T, p place) { os.Remove(p.Database); os.Mkdir(p.Database, 0o700) }, Bad, "not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			p := account(t)
			c.change(t, p)
			f := find(p)[c.id]
			if f.verdict != c.verdict || !strings.Contains(f.found+" "+f.meaning+" "+f.remedy, c.says) || f.verdict != Good && f.meaning == "" {
				t.Errorf("%+v", f)
			}
		})
	}
}

// Looking tries no PIN.
func TestLookingCountsNothing(t *testing.T) {
	p := account(t)
	before, err := os.ReadFile(p.Vault)
	if err != nil {
		t.Fatal(err)
	}
	device, err := os.ReadFile(p.DeviceKey)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p.vault(t.Context())
	}
	after, _ := os.ReadFile(p.Vault)
	deviceAfter, _ := os.ReadFile(p.DeviceKey)
	if string(before) != string(after) || string(device) != string(deviceAfter) {
		t.Error("a file of the vault has changed")
	}
}

func TestWrongSettings(t *testing.T) {
	p := account(t)
	p.wrong = os.ErrInvalid
	if f := p.files(t.Context()); f.verdict != Bad || !strings.Contains(f.meaning, "settings") {
		t.Errorf("%+v", f)
	}
}

// A profile that cannot be looked at is bad, and said once.
func TestProfileOutOfReach(t *testing.T) {
	g := place{Profile: profile.Profile{Name: "night"}, err: profile.ErrClosed}.group(machine{root: "/"})
	for i, e := range g.of {
		f := e.within(t.Context())[0]
		if want := i == 0; (f.verdict == Bad) != want || (f.meaning != "" && f.remedy != "") != want {
			t.Errorf("%s: %+v", e.ids[0], f)
		}
	}
	g = place{Profile: profile.Profile{Name: "night"}}.group(machine{root: "/"})
	for _, e := range g.of {
		if f := e.within(t.Context())[0]; f.verdict != Skipped || f.found != "no profile night yet" {
			t.Errorf("%s: %+v", e.ids[0], f)
		}
	}
}
