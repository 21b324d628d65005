package main

import (
	"context"
	"fmt"
)

// auditLogs is what an auditor waits for: the first batch of a thousand devices, of
// 100 events each, taken, verified, signed and synced to the disk; and verifying every
// byte of a folder with a million events.
func auditLogs(ctx context.Context, b *bench) error {
	const runs = 3
	found, err := packageBenchmarks(ctx, "./client/audit/collect", "^Benchmark(Take|Verify)$", "-count", fmt.Sprint(runs), "-benchtime", "1x")
	if err != nil {
		return err
	}
	all, err := found.need("BenchmarkTake", "batches/s", runs)
	if err != nil {
		return err
	}
	rate("audit: batches of 1,000 devices taken", all, "runs of 1,000 batches of 100 events, on disk", 25)
	if all, err = found.need("BenchmarkVerify", "events/s", runs); err != nil {
		return err
	}
	rate("audit: events verified", all, "runs of 1 M events", 100_000)
	return nil
}
