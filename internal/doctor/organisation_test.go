package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/internal/inforce"
)

func TestOrganisation(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	key := orgtest.New("hospital.example", "1")
	rules, err := policy.New("hospital.example", 3, noon, "lease = \"4d\"\nauditor = \"auditor@hospital.example\"\n")
	if err != nil {
		t.Fatal(err)
	}
	c := &inforce.Copy{Anchor: org.NewAnchor(key.Key, 0), Policy: rules, Head: head.Head{Number: 1, Issued: noon}}
	for _, x := range []struct {
		copy    *inforce.Copy
		after   time.Duration
		verdict Verdict
		found   string
	}{
		{nil, 0, Good, "none"},
		{c, 25 * time.Hour, Good, "hospital.example, policy 3 (25h), lease at most 3d; the audit log goes to auditor@hospital.example"},
		{c, 52*time.Hour + time.Minute, Good, "lease at most 44h"},
		{c, 73 * time.Hour, Weak, "not heard for 3 days"},
		{c, 5 * 24 * time.Hour, Bad, "not heard for 5 days"},
		{c, -time.Hour, Bad, "1 hour in the future"},
		{&inforce.Copy{Anchor: c.Anchor}, time.Hour, Good, "hospital.example, no policy yet"},
	} {
		f := belongs(x.copy, noon.Add(x.after))
		if f.verdict != x.verdict || !strings.Contains(f.found, x.found) || (f.verdict == Good) != (f.remedy == "") {
			t.Errorf("after %v: %+v", x.after, f)
		}
	}
	if f := belongs(c, noon.Add(95*time.Hour+30*time.Second)); !strings.Contains(f.meaning, "locks in 1 hour at the latest") {
		t.Errorf("%+v", f)
	}
}

// TestOrganisationSpoilt: what cannot be read is told, with what to do.
func TestOrganisationSpoilt(t *testing.T) {
	p := place{}
	p.Data = t.TempDir()
	if err := os.WriteFile(filepath.Join(p.Data, inforce.File), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := p.organisation(t.Context()); f.verdict != Weak || !strings.Contains(f.remedy, "Unlock") {
		t.Errorf("%+v", f)
	}
}
