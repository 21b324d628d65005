package desk

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/internal/role"
)

// What the watch, and a keeper without one, have happen: by name, since neither knows
// the audit log.
var (
	becauses = regexp.MustCompile(`because\("([a-z-]+)"\)`)
	failures = regexp.MustCompile(`"(unlock-failed)",(?: Why:)? "([a-z-]+)"`)
)

// TestPastIsKnown: a desk leaves out what it cannot tell the audit log, and nothing
// that happens is left out.
func TestPastIsKnown(t *testing.T) {
	var past []role.Happened
	at := time.Now()
	keep := func(what, why string, count int) {
		at = at.Add(time.Millisecond)
		past = append(past, role.Happened{What: what, Why: why, Count: count, At: at})
	}
	var sources []string
	for _, pattern := range []string{"../watch/*_unix.go", "../unattended/*_unix.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %q, %v", pattern, paths, err)
		}
		sources = append(sources, paths...)
	}
	for _, path := range sources {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range becauses.FindAllSubmatch(b, -1) {
			keep("lock", string(m[1]), 0)
			keep("log-off", string(m[1]), 0)
		}
		for _, m := range failures.FindAllSubmatch(b, -1) {
			keep(string(m[1]), string(m[2]), 3)
		}
	}
	failed := func(h role.Happened) bool { return h.What == "unlock-failed" }
	if n := len(slices.DeleteFunc(slices.Clone(past), failed)); n < 16 || len(past)-n < 3 {
		t.Fatalf("%d ends and %d wrong PINs: the sources are not read as they should be", n, len(past)-n)
	}
	d := &desk{setup: &role.DeskSetup{Past: append(slices.Clone(past), role.Happened{What: "lock", Why: "wrong-pin", At: at}), Terminal: []byte{1}}}
	o := d.opening(nil)
	if o.Reason != 0 {
		t.Errorf("a person at a terminal unlocks as %v", o.Reason)
	}
	var want, got []string
	for _, h := range past {
		want = append(want, fmt.Sprint(h.What, " ", h.Why, " ", h.Count, " ", h.At))
	}
	for _, h := range o.Past {
		got = append(got, fmt.Sprint(h.Event.Kind, " ", h.Event.Reason, " ", h.Event.Count, " ", h.At))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log gets\n%q\nof\n%q", got, want)
	}
	if o := (&desk{setup: &role.DeskSetup{}}).opening(nil); o.Reason != audit.Unattended {
		t.Errorf("without a terminal it is unlocked as %v", o.Reason)
	}
}
