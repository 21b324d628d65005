package desk

import (
	"context"
	"strings"
	"testing"
	"time"

	"sotto/client/store"
)

func TestAnOldPINIsDue(t *testing.T) {
	db, err := store.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const age = 90 * 24 * time.Hour
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	due := func(mark string, age, after time.Duration) string {
		t.Helper()
		words, err := pinDue(context.Background(), db, []byte(mark), age, begin.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return words
	}
	for i, x := range []struct {
		mark  string
		age   time.Duration
		after time.Duration
		due   bool
	}{
		{"the first", age, 0, false}, // seen for the first time
		{"the first", age, age - time.Second, false},
		{"the first", age, age, true},
		{"the first", age, age + time.Hour, true}, // until it was changed
		{"the first", 0, 10 * age, false},         // never
		{"the second", age, age + time.Hour, false},
		{"the second", age, 2 * age, false},
		{"the second", age, 2*age + time.Hour, true},
	} {
		if got := due(x.mark, x.age, x.after); (got != "") != x.due {
			t.Errorf("%d: after %v: %q", i, x.after, got)
		} else if x.due && !strings.Contains(got, "another PIN every 90 days, and this one is from ") {
			t.Errorf("%d: %q", i, got)
		}
	}
}
