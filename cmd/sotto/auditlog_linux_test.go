package main

import (
	"path"
	"strings"
	"testing"

	"sotto/client/store"
	"sotto/internal/profile"
)

// auditedAll is the audit log of a profile that no process has open: each event
// without its time and device, but the one with which every log begins.
func auditedAll(t *testing.T, p profile.Profile, digits string) (events []string) {
	t.Helper()
	inDatabaseOf(t, p, digits, func(tx *store.Tx) error {
		return tx.AuditLines(0, 1000, func(_ int64, line, _ []byte) {
			events = append(events, strings.Join(strings.Split(string(line), " ")[4:], " "))
		})
	})
	if len(events) == 0 || !strings.HasPrefix(events[0], "log-started") {
		t.Fatalf("the audit log begins with %q", events)
	}
	return events[1:]
}

// follow says up to where events are those that are wanted, in their order; a * is
// anything. What was shown several times in a row counts as one.
func follow(events []string, want ...string) int {
	n := 0
	for _, w := range want {
		if n == len(events) || !isLike(w, events[n]) {
			return -1
		}
		for first := events[n]; n < len(events) && events[n] == first; {
			if n++; !strings.HasPrefix(first, "message-shown ") {
				break
			}
		}
	}
	return n
}

// howMany is how many of the events are of a kind, or have these fields, too.
func howMany(events []string, kind string) (n int) {
	for _, e := range events {
		if e == kind || strings.HasPrefix(e, kind+" ") {
			n++
		}
	}
	return n
}

func isLike(pattern, event string) bool {
	matched, err := path.Match(pattern, event)
	return err == nil && matched
}
