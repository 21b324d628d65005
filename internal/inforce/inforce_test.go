package inforce

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/internal/profile"
	"sotto/internal/role"
)

const hospital = "hospital.example"

var key = orgtest.New(hospital, "1")

func policyOf(t *testing.T, serial uint64, body string) (*policy.Policy, []byte) {
	t.Helper()
	p, err := policy.New(hospital, serial, orgtest.Noon, body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = policy.Open(b, key.Key); err != nil {
		t.Fatal(err)
	}
	return p, b
}

// merge is what a profile with these settings in its file comes to.
func merge(t *testing.T, file, body string) (profile.Config, []policy.Decided) {
	t.Helper()
	pr := profile.In(t.TempDir())
	if err := pr.Make(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pr.Config, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c, chosen, err := pr.Chosen()
	if err != nil {
		t.Fatal(err)
	}
	var p *policy.Policy
	if body != "" {
		p, _ = policyOf(t, 1, body)
	}
	all := policy.Merge(p, Wishes(c, chosen))
	return Config(c, all), all
}

// Without an organisation everything is as the person has it.
func TestWithoutAPolicyNothingChanges(t *testing.T) {
	for _, file := range []string{
		"", "lock-after = \"5m\"\npaste = false\ntrust = \"compared\"\nservice = true\ntpm = \"off\"\nattach-from = [\"~/Pictures/\", \"/srv/x\"]\ndestroy-after = 0\n",
	} {
		pr := profile.In(t.TempDir())
		if err := pr.Make(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pr.Config, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := pr.Load()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := merge(t, file, ""); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", file, got, want)
		}
	}
}

func TestTheStricterHolds(t *testing.T) {
	c, all := merge(t, `lock-after = "2m"
logoff-after = "1h"
paste = true
mouse = false
destroy-after = 20
tpm = "off"
multiplexer = "allow"
service = true
`, `lock-after = "5m"
lock-unfocused = "30s"
logoff-after = "10m"
paste = false
curtain = false
reveal = true
destroy-after = 8
tpm = "required"
multiplexer = "refuse"
pin-length = 10
pin-characters = "mixed"
pin-age = "90d"
service = false
trust = "directory"
relays = ["wss://a.example/ws", "wss://b.example/ws"]
relay-pins = ["cGlu"]
`)
	want := profile.Defaults()
	want.LockAfter, want.LockUnfocused, want.LogoffAfter = 2*time.Minute, 30*time.Second, 10*time.Minute
	want.Paste, want.Curtain, want.Reveal, want.Mouse = false, false, true, true
	want.DestroyAfter, want.TPM, want.Multiplexer, want.Trust = 8, "required", "refuse", "directory"
	want.Mouse = false // nobody but the person decides it
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	rules := role.Rules{LockAfter: 2 * time.Minute, LogoffAfter: 10 * time.Minute, DestroyAfter: 8, NeedTPM: true, PINLength: 10, PINMixed: true,
		Relays: role.Relays{Only: "wss://a.example/ws\nwss://b.example/ws", Pins: "cGlu"}}
	if got := Rules(all); got != rules {
		t.Errorf("rules %+v, want %+v", got, rules)
	}
	if !ComparedOnly(all, false) || PINAge(all) != 90*24*time.Hour {
		t.Errorf("compared only: %v, PIN age %v", ComparedOnly(all, false), PINAge(all))
	}
	d := Display(role.Display{Theme: "dark", Quiet: true, LockAfter: time.Hour, Paste: true}, all)
	if d.LockAfter != 2*time.Minute || d.Paste || d.Curtain || !d.Reveal || d.Theme != "dark" || !d.Quiet {
		t.Errorf("the screens have %+v", d)
	}
}

// A setting that stands in no file is nobody's choice, so a policy can make it looser
// than it is by default.
func TestAPolicyCanBeLooserThanDefaults(t *testing.T) {
	if c, _ := merge(t, "", "lock-after = \"20m\"\ndestroy-after = 0\n"); c.LockAfter != 20*time.Minute || c.DestroyAfter != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestFoldersWithinThePolicy(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip("there is no home")
	}
	for _, x := range []struct {
		person, policy string
		want           []string
	}{
		{`["~/Pictures/ward", "/srv/x"]`, `["~/Pictures"]`, []string{"~/Pictures/ward"}},
		{`["` + filepath.ToSlash(home) + `/Pictures"]`, `["~/Pictures"]`, []string{filepath.ToSlash(home) + "/Pictures"}},
		{`["~/Pictures/", "~/Pictures/../.ssh"]`, `["~/Pictures"]`, []string{"~/Pictures/"}},
		{`["~/Pictures2"]`, `["~/Pictures"]`, []string{}},
		{`["/srv/x"]`, `[]`, []string{}},
	} {
		c, all := merge(t, "attach-from = "+x.person+"\n", "attach-from = "+x.policy+"\n")
		if !reflect.DeepEqual(c.AttachFrom, x.want) {
			t.Errorf("%s within %s: %v, want %v", x.person, x.policy, c.AttachFrom, x.want)
		}
		d := Display(role.Display{AttachFrom: []role.Folder{{Shown: "/srv/x"}}}, all)
		if len(d.AttachFrom) != 0 {
			t.Errorf("the desk attaches from %v", d.AttachFrom)
		}
	}
}

// A link does not lead out of what the policy names, and what is on a stick stays there.
func TestLinksLeadNowhereElse(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, dir := range []string{"Pictures/ward", "secret"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	real, err := filepath.EvalSymlinks(home)
	if err != nil {
		t.Fatal(err)
	}
	folders := []profile.Folder{
		{Shown: filepath.Join(home, "Pictures/ward"), Path: filepath.Join(real, "Pictures/ward")},
		{Shown: "~/Pictures/out", Path: filepath.Join(real, "secret")},
		{Shown: "~/Pictures/stick", Path: filepath.Join(real, "Pictures"), Foreign: "is on a removable disk"},
		{Shown: "~/Pictures/gone"},
	}
	if got := Within(folders, nil); !reflect.DeepEqual(got, folders) {
		t.Errorf("without a policy: %+v", got)
	}
	got := Within(folders, []string{"~/Pictures"})
	if got[0].Shown != "~/Pictures/ward" || got[0].Foreign != "" || got[3].Foreign != "" {
		t.Errorf("within: %+v", got)
	}
	if got[1].Foreign != "is a link that leads out of the folders that your organisation names" || got[2].Foreign != "is on a removable disk" {
		t.Errorf("not within: %+v", got)
	}
	if folders[1].Foreign != "" {
		t.Error("what it was given is changed")
	}
}

func TestTheCopyComesBack(t *testing.T) {
	dir := t.TempDir()
	if c, err := Read(dir); c != nil || err != nil {
		t.Fatalf("without one: %v, %v", c, err)
	}
	p, note := policyOf(t, 3, "paste = false\n")
	h := head.Head{Number: 5, Issued: orgtest.Noon, Policy: p.At(), Orders: head.Orders{First: 1}}
	headNote, err := h.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	anchor := org.NewAnchor(key.Key, 0)
	for i, want := range []bool{true, false} {
		if changed, err := Write(dir, anchor, note, headNote); changed != want || err != nil {
			t.Errorf("write %d: changed %v, %v", i, changed, err)
		}
	}
	c, err := Read(dir)
	if err != nil || c.Anchor.Key != key.Key || c.Policy.Serial != 3 || c.Policy.Value("paste").Bool() || c.Head.Number != 5 {
		t.Fatalf("read %+v, %v", c, err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	orgtest.Tamper(t, whole, func(b []byte) error {
		got, err := parse(b)
		switch { // what is missing, and the anchor's number, is signed by nobody
		case err == nil && (got.Anchor.Number != 0 || got.Head.Number == 0):
			return errors.New("it is another")
		}
		return err
	})
	if _, err := parse(append(whole, make([]byte, maxCopy)...)); err == nil {
		t.Error("read what is too long")
	}
	// What another key has signed is not written over what holds.
	if changed, err := Write(dir, org.NewAnchor(orgtest.New(hospital, "2").Key, 1), note, headNote); changed || err == nil {
		t.Errorf("wrote what nobody could read: %v, %v", changed, err)
	}
	if again, err := Read(dir); err != nil || again.Policy.Serial != 3 {
		t.Errorf("read %+v, %v", again, err)
	}
	if err := Remove(dir); err != nil {
		t.Error(err)
	}
	if c, err := Read(dir); c != nil || err != nil {
		t.Errorf("after removing: %v, %v", c, err)
	}
}

func FuzzCopy(f *testing.F) {
	a, _ := org.NewAnchor(key.Key, 0).MarshalText()
	f.Add([]byte(string(a) + separator + separator))
	f.Add([]byte(separator + separator))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parse(b) })
}
