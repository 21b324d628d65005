package main

import (
	"context"
	"time"
)

// directory is what a device waits for in an organisation of ten thousand people: the
// first directory over the link, checked and stored; a change, from the head to the
// database; a search, as somebody types; and what it costs at each unlocking.
func directory(ctx context.Context, b *bench) error {
	const runs = 3
	found, err := packageBenchmarks(ctx, "./client", "^BenchmarkOrganisation10000$", "-count", "3", "-benchtime", "20x")
	if err != nil {
		return err
	}
	for _, x := range []struct {
		part, unit, what string
		of               time.Duration // what the unit is
		budget           time.Duration
	}{
		{"snapshot", "ms-first", "directory: the first, of 10,000 people", time.Millisecond, 0},
		{"update", "ns/op", "directory: a change, from head to database", time.Nanosecond, 0},
		{"search", "ns/op", "directory: a search of 10,000 people", time.Nanosecond, 10 * time.Millisecond},
		{"start", "ns/op", "directory: what unlocking waits for", time.Nanosecond, 150 * time.Millisecond},
	} {
		all, err := found.need("BenchmarkOrganisation10000/"+x.part, x.unit, runs)
		if err != nil {
			return err
		}
		times := make([]time.Duration, len(all))
		for i, f := range all {
			times[i] = time.Duration(f * float64(x.of))
		}
		span(x.what, times, "runs", x.budget)
	}
	return nil
}
