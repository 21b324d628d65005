package relaycheck

import (
	"strings"
	"testing"
	"time"

	"sotto/internal/doctor"
)

func TestRetention(t *testing.T) {
	const allowed = 30 * oneDay
	for name, c := range map[string]struct {
		known   kept
		verdict doctor.Verdict
		found   string
	}{
		"nothing":           {kept{}, doctor.Skipped, "not known: there are no messages in these accounts"},
		"young":             {kept{messages: true, age: 3 * oneDay}, doctor.Skipped, "not known yet: the oldest message in these accounts is 3 days old"},
		"as old as allowed": {kept{messages: true, age: 29 * oneDay}, doctor.Good, "29 days old"},
		"to be swept today": {kept{messages: true, age: 31 * oneDay}, doctor.Good, "31 days old"},
		"too old":           {kept{messages: true, age: 32 * oneDay}, doctor.Bad, "32 days old; the policy allows 30 days"},
		"said":              {kept{said: true, keep: 36 * time.Hour}, doctor.Good, "for 36 hours"},
		"said, too long":    {kept{said: true, keep: 31 * oneDay}, doctor.Bad, "for 31 days"},
		"said, endless":     {kept{said: true}, doctor.Bad, "without end"},
		"said, and not so":  {kept{said: true, keep: oneDay, messages: true, age: 90 * oneDay}, doctor.Bad, "90 days old"},
	} {
		if f := c.known.against(allowed); f.verdict != c.verdict || !strings.Contains(f.found, c.found) {
			t.Errorf("%s: %+v", name, f)
		} else if limited := strings.Contains(f.found, "rooms and files are not looked at"); limited != (!c.known.said && f.verdict != doctor.Bad) {
			// Of what the accounts have, nothing follows for the rest. A relay that says
			// what it keeps says it of all, and what is too old needs no more.
			t.Errorf("%s: %q", name, f.found)
		} else if line(f.found) != f.found {
			t.Errorf("%s: not all of it is shown: %q", name, f.found)
		}
	}
}
