package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"sotto/internal/relaycheck"
)

// TestBenchPage has the page show how messages were spread, within 80 columns.
func TestBenchPage(t *testing.T) {
	r := relaycheck.LoadResult{Clients: 2, Latency: relaycheck.Spread{Count: 8_000_103, P50: 1, P90: 2, P99: 2, Max: 99_000, Buckets: []relaycheck.Bucket{
		{Bound: 0.5, Count: 8_000_000}, {Bound: 1, Count: 100}, {Bound: 2}, {Bound: 5, Count: 1}, {Bound: 600_000, Count: 2},
	}}}
	var b bytes.Buffer
	if err := benchPage(&b, r); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	want := []string{
		"                 up to    0.5 ms  8000000 ####################################",
		"                 up to      1 ms      100 #",
		"                 up to      2 ms        0",
		"                 up to      5 ms        1 #",
		"             more than 200000 ms        2 #",
	}
	if n := len(lines) - len(want); n < 0 || !slices.Equal(lines[n:], want) || !strings.HasPrefix(lines[n-1], "under way ") {
		t.Errorf("it shows\n%s", b.String())
	}
	for _, l := range lines {
		if len(l) > 80 && strings.HasPrefix(l, " ") {
			t.Errorf("%d columns: %s", len(l), l)
		}
	}
	b.Reset()
	if err := benchPage(&b, relaycheck.LoadResult{Idle: 3}); err != nil || strings.Contains(b.String(), "up to") {
		t.Errorf("with nobody who sends: %v\n%s", err, b.String())
	}
}
