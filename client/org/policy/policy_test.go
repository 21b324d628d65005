package policy_test

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/internal/profile"
)

const hospital = "hospital.example"

var key = orgtest.New(hospital, "1")

const body = `# Wards are full of people.
lock-after = "1m"   # they walk away
logoff-after = "1h30m"
lease = "7d"

destroy-after = 10
curtain = true
paste = false
multiplexer = "refuse"
attach-from = ["~/Pictures", "/srv/scans"]
relays = ["wss://relay.hospital.example/ws"]
auditor = "audit@hospital.example"
`

func make7(t testing.TB, body string) *policy.Policy {
	t.Helper()
	p, err := policy.New(hospital, 7, orgtest.Noon, body)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sign(t testing.TB, p *policy.Policy) []byte {
	t.Helper()
	b, err := p.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPolicyComesBack(t *testing.T) {
	p := make7(t, body)
	b := sign(t, p)
	got, err := policy.Open(b, key.Key)
	if err != nil {
		t.Fatal(err)
	}
	if got.Body != body || got.Serial != 7 || !got.Issued.Equal(orgtest.Noon) || got.At() != p.At() || len(got.Unknown) != 0 {
		t.Errorf("%+v", got)
	}
	if got.Value("lock-after").Duration() != time.Minute || got.Value("logoff-after").Duration() != 90*time.Minute || got.Lease() != 7*24*time.Hour ||
		got.Value("destroy-after").Int() != 10 || got.Value("paste").Bool() || !got.Value("paste").Set() || got.Value("reveal").Set() ||
		got.Value("multiplexer").Text() != "refuse" || strings.Join(got.Value("attach-from").List(), ";") != "~/Pictures;/srv/scans" {
		t.Errorf("%+v", got)
	}
	orgtest.Tamper(t, b, func(b []byte) error { _, err := policy.Open(b, key.Key); return err })
	if _, err := policy.Open(b, orgtest.New(hospital, "2").Key); !errors.Is(err, org.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	// An administrator's editor may leave these.
	windows := make7(t, "\n\n"+strings.ReplaceAll(body, "\n", " \t\r\n")+"\n\n")
	if windows.Body != body {
		t.Errorf("%q", windows.Body)
	}
	if _, err := make7(t, body).Sign(orgtest.New("clinic.example", "1")); err == nil {
		t.Error("signed with another organisation's key")
	}
}

// TestDocumented holds that docs/organisation.md tells of every setting.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/organisation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range policy.Settings() {
		if !strings.Contains(string(doc), "`"+s.Name+"`") {
			t.Errorf("it says nothing of %s", s.Name)
		}
	}
}

func TestTemplate(t *testing.T) {
	empty := make7(t, policy.Template(nil))
	for _, s := range policy.Settings() {
		if empty.Value(s.Name).Set() {
			t.Errorf("an empty template decides %s", s.Name)
		}
		if !strings.Contains(empty.Body, s.Name+" = ") || s.Help == "" || !strings.HasSuffix(s.Help, ".") {
			t.Errorf("%s is not told of", s.Name)
		}
	}
	// With every default written in, it reads the same as the defaults.
	defaults := make(map[string]policy.Value)
	for _, s := range policy.Settings() {
		if s.Default.Set() {
			defaults[s.Name] = s.Default
		}
	}
	full := make7(t, policy.Template(defaults))
	for _, s := range policy.Settings() {
		if s.Format(full.Value(s.Name)) != s.Format(s.Default) || full.Value(s.Name).Set() != s.Default.Set() {
			t.Errorf("%s = %s, default %s", s.Name, s.Format(full.Value(s.Name)), s.Format(s.Default))
		}
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for _, c := range [][2]string{
		{"lock-after = \"2h\"", "line 2: lock-after must be from \"1s\" to \"1h\""},
		{"lock-after = 2", "line 2: lock-after is a time"},
		{"lock-after = \"1m1h\"", "line 2: lock-after is a time"},
		{"lock-after = \"-1m\"", "line 2: lock-after is a time"},
		{"lock-after = \"0s\"", "line 2: lock-after must be"},
		{"lock-unfocused = \"2h\"", `line 2: lock-unfocused must be from "1s" to "1h", or "0s" for never`},
		{"destroy-after = 5", "line 2: destroy-after must be from 6 to 100, or 0 for never"},
		{"destroy-after = \"10\"", "line 2: destroy-after is a whole number"},
		{"destroy-after = -1", "line 2: destroy-after: a value is"},
		{"destroy-after = 99999999999", "line 2: destroy-after: a value is"},
		{"curtain = \"true\"", "line 2: curtain is true or false"},
		{"curtain = yes", "line 2: curtain: a value is"},
		{"multiplexer = \"forbid\"", `line 2: multiplexer must be "allow" or "warn" or "refuse"`},
		{"multiplexer = refuse", "line 2: multiplexer: a value is"},
		{"attach-from = [\"Pictures\"]", "line 2: attach-from \"Pictures\" is not a folder"},
		{"attach-from = [\"/srv/../etc\"]", "line 2: attach-from"},
		{"attach-from = [\"/srv\", \"/srv\"]", "line 2: attach-from has \"/srv\" twice"},
		{"attach-from = [\"/srv\" \"/etc\"]", "line 2: attach-from: a value is"},
		{"attach-from = [\"/srv\"", "line 2: attach-from: a value is"},
		{"auditor = \"a\\\"b\"", "line 2: auditor: a value is"},
		{"auditor = \"a\" b", "line 2: auditor: a value is"},
		{"auditor = \"\"", "line 2: auditor must be a line"},
		{"auditor = \"a\u202eb\"", "line 2: it is too long, or holds what cannot be shown"},
		{"lock-later = 1", "there is no setting \"lock-later\""},
		{"Lock-After = 1", "line 2: a setting reads like"},
		{"lock-after", "line 2: a setting reads like"},
		{"[table]", "line 2: a setting reads like"},
		{"paste = true\npaste = false", "line 3: paste is decided twice"},
	} {
		_, err := policy.New(hospital, 1, orgtest.Noon, "# one\n"+c[0]+"\n")
		if err == nil || !strings.HasPrefix(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %s", c[0], err, c[1])
		}
	}
	long := strings.Repeat("# "+strings.Repeat("x", 100)+"\n", 700)
	if _, err := policy.New(hospital, 1, orgtest.Noon, long); err == nil {
		t.Error("a policy of 70 KB")
	}
}

// TestNewerPolicy: a sotto that is older than a policy keeps to what it knows of it.
func TestNewerPolicy(t *testing.T) {
	s, _ := org.Peek(sign(t, make7(t, body)))
	b, err := org.Seal(s.Text+"hologram = \"off\"\n", key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Open(b, key.Key)
	if err != nil || len(p.Unknown) != 1 || p.Unknown[0] != "hologram" || p.Value("lock-after").Duration() != time.Minute {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestFollow(t *testing.T) {
	at := func(serial uint64, minutes int, body string) []byte {
		p, err := policy.New(hospital, serial, orgtest.Noon.Add(time.Duration(minutes)*time.Minute), body)
		if err != nil {
			t.Fatal(err)
		}
		return sign(t, p)
	}
	now := make7(t, body)
	for _, c := range []struct {
		what string
		note []byte
		want error
	}{
		{"the next", at(8, 1, body), nil},
		{"one later", at(12, 1, body), nil},
		{"the same", sign(t, now), nil},
		{"an older", at(6, -1, body), org.ErrRollback},
		{"an older under a new date", at(6, 1, body), org.ErrRollback},
		{"dated before", at(8, -1, body), org.ErrRollback},
		{"two of one serial", at(7, 0, "lock-after = \"1h\"\n"), org.ErrFork},
	} {
		got, err := now.Follow(c.note, key.Key)
		if !errors.Is(err, c.want) || (c.want == nil) != (got != nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	var none *policy.Policy
	if p, err := none.Follow(at(1, 0, body), key.Key); err != nil || p.Serial != 1 {
		t.Errorf("the first: %v", err)
	}
	if none.At().Serial != 0 || none.Lease() != policy.DefaultLease {
		t.Error("no policy is some policy")
	}
}

func TestStrictestWins(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		person       policy.Value
		value        string
		from         policy.Source
	}{
		{"lock-after", ``, policy.Value{}, `"2m"`, policy.FromDefault},
		{"lock-after", ``, policy.Time(time.Hour), `"1h"`, policy.FromPerson},
		{"lock-after", `"5m"`, policy.Value{}, `"5m"`, policy.FromPolicy},
		{"lock-after", `"5m"`, policy.Time(time.Minute), `"1m"`, policy.FromPerson},
		{"lock-after", `"5m"`, policy.Time(time.Hour), `"5m"`, policy.FromPolicy},
		{"lock-after", `"5m"`, policy.Time(5 * time.Minute), `"5m"`, policy.FromPolicy},
		{"lock-after", `"5m"`, policy.Time(0), `"5m"`, policy.FromPolicy}, // no value at all
		{"lock-after", `"5m"`, policy.Time(24 * time.Hour), `"5m"`, policy.FromPolicy},
		{"lock-unfocused", `"5m"`, policy.Time(0), `"5m"`, policy.FromPolicy}, // never is the loosest
		{"lock-unfocused", `"0s"`, policy.Time(time.Minute), `"1m"`, policy.FromPerson},
		{"destroy-after", `10`, policy.Number(0), `10`, policy.FromPolicy},
		{"destroy-after", `10`, policy.Number(6), `6`, policy.FromPerson},
		{"destroy-after", `0`, policy.Number(20), `20`, policy.FromPerson},
		{"curtain", `true`, policy.Bool(false), `true`, policy.FromPolicy},
		{"curtain", `false`, policy.Bool(true), `true`, policy.FromPerson},
		{"paste", `false`, policy.Bool(true), `false`, policy.FromPolicy},
		{"paste", `true`, policy.Bool(false), `false`, policy.FromPerson},
		{"multiplexer", `"warn"`, policy.Is("allow"), `"warn"`, policy.FromPolicy},
		{"multiplexer", `"warn"`, policy.Is("refuse"), `"refuse"`, policy.FromPerson},
		{"multiplexer", `"warn"`, policy.Is("whatever"), `"warn"`, policy.FromPolicy},
		{"trust", `"directory"`, policy.Is("first-use"), `"directory"`, policy.FromPolicy},
		{"pin-length", `8`, policy.Number(64), `8`, policy.FromPolicy}, // is not a person's to set
		{"attach-from", ``, policy.Of("/home"), `["/home"]`, policy.FromPerson},
		{"attach-from", `["/srv/scans", "~/Pictures"]`, policy.Of("/srv/scans/today", "/etc", "~/Pictures", "/srv/scansx"), `["/srv/scans/today", "~/Pictures"]`, policy.FromPolicy},
		{"attach-from", `["/srv"]`, policy.Of("/srv/scans"), `["/srv/scans"]`, policy.FromPerson},
		{"attach-from", `["/"]`, policy.Of("/srv/scans"), `["/srv/scans"]`, policy.FromPerson},
		{"attach-from", `["/srv"]`, policy.Value{}, `[]`, policy.FromPolicy},
	} {
		var p *policy.Policy
		if c.policy != "" {
			p = make7(t, c.name+" = "+c.policy+"\n")
		}
		for _, d := range policy.Merge(p, map[string]policy.Value{c.name: c.person}) {
			if d.Setting.Name == c.name {
				if got := d.Setting.Format(d.Value); got != c.value || d.From != c.from {
					t.Errorf("%s: policy %s, person %s: %s from the %s, want %s from the %s", c.name, c.policy, d.Setting.Format(c.person), got, d.From, c.value, c.from)
				}
			}
		}
	}
	p := make7(t, "lock-after = \"5m\"\ncurtain = true\ndestroy-after = 8\n")
	all := policy.Merge(p, map[string]policy.Value{"lock-after": policy.Time(time.Minute), "curtain": policy.Bool(false), "mouse": policy.Bool(false)})
	var lines []string
	for _, d := range all {
		lines = append(lines, d.String())
	}
	said := strings.Join(lines, "\n")
	for _, want := range []string{
		`lock-after = "1m" (yours; the organisation asks for "5m")`, `curtain = true (the organisation's; you have set false)`,
		`destroy-after = 8 (the organisation's)`, `mouse = false (yours)`, `paste = true (default)`, `auditor is not decided`,
	} {
		if !strings.Contains(said, want+"\n") && !strings.HasSuffix(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
	if policy.Find(all, "lock-after").Duration() != time.Minute || policy.Find(all, "nothing").Set() {
		t.Error("Find finds something else")
	}
}

// TestTightenOnly holds for every setting of a person, and many values: what holds
// is never looser than the policy.
func TestTightenOnly(t *testing.T) {
	values := map[policy.Kind][]policy.Value{
		policy.Duration: {policy.Time(0), policy.Time(time.Second), policy.Time(time.Minute), policy.Time(time.Hour)},
		policy.Count:    {policy.Number(0), policy.Number(6), policy.Number(100)},
		policy.Choice:   {policy.Bool(false), policy.Bool(true)},
	}
	for _, s := range policy.Settings() {
		list := values[s.Kind]
		for _, w := range s.Words {
			list = append(list, policy.Is(w))
		}
		if !s.Personal || s.Kind == policy.Folders {
			continue
		}
		if len(list) < 2 {
			t.Fatalf("%s: nothing to try", s.Name)
		}
		for _, a := range list {
			p, err := policy.New(hospital, 1, orgtest.Noon, s.Name+" = "+s.Format(a)+"\n")
			if err != nil {
				continue // out of bounds for this setting
			}
			for _, b := range list {
				got := policy.Find(policy.Merge(p, map[string]policy.Value{s.Name: b}), s.Name)
				after, err := policy.New(hospital, 2, orgtest.Noon, s.Name+" = "+s.Format(got)+"\n")
				if err != nil {
					t.Fatal(err)
				}
				if lines := policy.Diff(p, after); len(lines) > 0 && !strings.HasSuffix(lines[0], "(stricter)") {
					t.Errorf("policy %s, person %s: %s", s.Format(a), s.Format(b), lines[0])
				}
			}
		}
	}
}

func TestDiff(t *testing.T) {
	from := make7(t, body)
	to := make7(t, strings.NewReplacer(`"1m"`, `"30s"`, "paste = false", "paste = true", "destroy-after = 10\n", "", "/srv/scans", "/srv/x-ray", "refuse", "warn",
		"audit@", "auditor@").Replace(body)+"retention = \"30d\"\n")
	got := strings.Join(policy.Diff(from, to), "\n")
	want := `lock-after becomes "30s"; it was "1m" (stricter)
destroy-after is left to people; it was 10
paste becomes true; it was false (looser)
multiplexer becomes "warn"; it was "refuse" (looser)
retention becomes "30d"; it was left to people
attach-from becomes ["~/Pictures", "/srv/x-ray"]; it was ["~/Pictures", "/srv/scans"]
auditor becomes "auditor@hospital.example"; it was "audit@hospital.example"`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	eight, ten := make7(t, "pin-length = 8\n"), make7(t, "pin-length = 10\n")
	if lines := append(policy.Diff(eight, ten), policy.Diff(ten, eight)...); strings.Join(lines, "\n") !=
		"pin-length becomes 10; it was 8 (stricter)\npin-length becomes 8; it was 10 (looser)" {
		t.Errorf("%v", lines)
	}
	if lines := policy.Diff(from, from); len(lines) != 0 {
		t.Errorf("no change is %v", lines)
	}
	if lines := policy.Diff(nil, from); len(lines) != 10 {
		t.Errorf("%d lines for a first policy of 10 settings: %v", len(lines), lines)
	}
}

func TestLease(t *testing.T) {
	p := make7(t, "lease = \"4d\"\n")
	day := 24 * time.Hour
	heard := orgtest.Noon
	for _, c := range []struct {
		now, latest time.Duration
		want        policy.Standing
		left        time.Duration
	}{
		{0, 0, policy.InTouch, 3 * day},
		{3*day - 1, 0, policy.InTouch, 1},
		{3 * day, 0, policy.Losing, day},
		{4*day - 1, 0, policy.Losing, 1},
		{4 * day, 0, policy.Lost, 0},
		{100 * day, 0, policy.Lost, 0},
		{-5 * time.Minute, -5 * time.Minute, policy.InTouch, 3*day + 5*time.Minute}, // clocks differ a little
		{-time.Hour, -time.Hour, policy.Behind, 0},
		{day, 5 * day, policy.Behind, 0}, // set back by somebody who has no more lease
		{4*day - time.Minute, 4 * day, policy.Lost, 0},
	} {
		got, left := p.Stands(policy.Times{Complete: heard, Heard: heard, Now: heard.Add(c.now), Latest: heard.Add(c.latest)})
		if got != c.want || left != c.left {
			t.Errorf("%v after, latest %v: %v for %v, want %v for %v", c.now, c.latest, got, left, c.want, c.left)
		}
	}
	// Heads of which something is held back add nothing; clocks are compared with them.
	for _, c := range []struct {
		heard, now time.Duration
		want       policy.Standing
	}{{4*day - 1, 4*day - 1, policy.Losing}, {4 * day, 4 * day, policy.Lost}, {100 * day, 100 * day, policy.Lost}, {day, day - time.Hour, policy.Behind}} {
		if got, _ := p.Stands(policy.Times{Complete: heard, Heard: heard.Add(c.heard), Now: heard.Add(c.now)}); got != c.want {
			t.Errorf("a head after %v of which something is missing, after %v: %v, want %v", c.heard, c.now, got, c.want)
		}
	}
	var none *policy.Policy
	if got, _ := none.Stands(policy.Times{Complete: heard, Heard: heard, Now: heard.Add(policy.DefaultLease), Latest: heard}); got != policy.Lost {
		t.Errorf("without a policy: %v", got)
	}
}

// own are the settings of a profile that are nobody else's business.
var own = map[string]bool{"theme": true, "address": true, "organisation": true, "bell": true}

// TestSettingsOfProfiles holds that every setting of package profile is either its
// owner's or one that a policy can decide, with the same default.
func TestSettingsOfProfiles(t *testing.T) {
	pr := profile.In(t.TempDir())
	if err := pr.Make(); err != nil {
		t.Fatal(err)
	}
	c := profile.Defaults()
	c.AttachFrom, c.Service, c.Trust, c.Address, c.Organisation = []string{"~/Pictures"}, true, "compared", "a@b.example", "B"
	if err := pr.Save(c); err != nil {
		t.Fatal(err)
	}
	settings := make(map[string]policy.Setting)
	for _, s := range policy.Settings() {
		settings[s.Name] = s
	}
	f, err := os.Open(pr.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimPrefix(lines.Text(), "# ") // as what nobody has chosen stands there
		name, literal, ok := strings.Cut(line, " = ")
		if !ok || own[name] {
			continue
		}
		n++
		s, known := settings[name]
		if !known || !s.Personal {
			t.Errorf("a policy cannot decide %s", name)
			continue
		}
		p, err := policy.New(hospital, 1, orgtest.Noon, line+"\n")
		if err != nil {
			t.Errorf("a policy does not read what a profile writes: %v", err)
			continue
		}
		if s.Default.Set() && name != "service" && s.Format(p.Value(name)) != s.Format(s.Default) {
			t.Errorf("%s is %s by default in a profile, and here %s", name, literal, s.Format(s.Default))
		}
	}
	if n < 12 {
		t.Errorf("only %d settings looked at", n)
	}
	for name, s := range settings {
		var least, most time.Duration
		switch name {
		case "lock-after", "lock-unfocused":
			least, most = profile.MinLockAfter, profile.MaxLockAfter
		case "logoff-after":
			least, most = profile.MinLogoffAfter, profile.MaxLogoffAfter
		case "destroy-after":
			least, most = profile.MinDestroyAfter*time.Second, profile.MaxDestroyAfter*time.Second
		default:
			continue
		}
		if time.Duration(s.Min)*time.Second != least || time.Duration(s.Max)*time.Second != most {
			t.Errorf("%s has other bounds in profiles", name)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(body)
	f.Add(policy.Template(nil))
	f.Add("attach-from = [\"/a\",]\nlock-after = \"1d\" # x\n")
	f.Fuzz(func(t *testing.T, body string) {
		if p, err := policy.New(hospital, 7, orgtest.Noon, body); err == nil {
			got, err := policy.Open(sign(t, p), key.Key)
			if err != nil || got.Body != p.Body || len(policy.Diff(p, got)) != 0 {
				t.Errorf("%q comes back as %+v, %v", body, got, err)
			}
			again := make(map[string]policy.Value)
			for _, s := range policy.Settings() {
				if v := p.Value(s.Name); v.Set() {
					again[s.Name] = v
				}
			}
			if q, err := policy.New(hospital, 8, orgtest.Noon, policy.Template(again)); err != nil || len(policy.Diff(p, q)) != 0 {
				t.Errorf("%q is written so that it reads otherwise: %v", body, err)
			}
			policy.Merge(p, again)
		}
		// What the key has signed without this program.
		if b, err := note.Sign(&note.Note{Text: "sotto policy v1\norganisation: " + hospital + "\nserial: 7\nissued: 2026-11-22T12:00:00Z\n\n" + body + "\n"}, key); err == nil {
			_, _ = policy.Open(b, key.Key)
		}
	})
}

// A person's values go from one process to another as lines.
func TestLinesComeBack(t *testing.T) {
	values := map[string]policy.Value{
		"lock-after": policy.Time(90 * time.Second), "paste": policy.Bool(false), "destroy-after": policy.Number(0),
		"trust": policy.Is("compared"), "attach-from": policy.Of("~/Pictures", "/srv/scans"),
	}
	lines := policy.Lines(values)
	if want := "lock-after = \"1m30s\"\ndestroy-after = 0\npaste = false\ntrust = \"compared\"\nattach-from = [\"~/Pictures\", \"/srv/scans\"]\n"; lines != want {
		t.Errorf("written as\n%s", lines)
	}
	again, err := policy.ParseLines(lines + "lock-if-raining = true\n")
	if err != nil || policy.Lines(again) != lines || len(again) != len(values) {
		t.Errorf("came back as %v, %v", again, err)
	}
	if _, err := policy.ParseLines("lock-after = \"2h\"\n"); err == nil {
		t.Error("took a time out of bounds")
	}
}
