package main

import (
	"context"
	"fmt"
	"strings"
)

// large is what people wait for in a database of a million messages: finding
// something in it, and opening the longest conversation, which has 100,000. Each
// figure is the slowest twentieth of single calls, by the processor's time: the
// clock says more about who else is at work.
func large(ctx context.Context, b *bench) error {
	const messages = 1_000_000
	found, err := packageBenchmarks(ctx, "./client/store", "^BenchmarkScale$/^(search|last|around|list|open|inbox)$", "-benchtime", "200x", "-args", "-scale", fmt.Sprint(messages))
	if err != nil {
		return err
	}
	for _, x := range []struct {
		benchmark, what string
		budget          float64 // ms
	}{
		{"search/word", "search: a word as often as it is written", 10},
		{"search/two", "search: two such words", 10},
		{"search/rare", "search: a rare word", 10},
		{"search/mrn", "search: a number", 10},
		{"search/phrase", "search: a phrase", 10},
		{"search/typing3", "search: the first three letters", 10},
		{"search/person", "search: a word, of one person", 10},
		{"open", "opening the database and a conversation", 50},
		{"last", "opening a conversation", 50},
		{"around", "jumping into a conversation", 50},
		{"list", "the conversation list", 50},
		{"inbox", "the inbox", 50},
	} {
		all, err := found.need("BenchmarkScale/"+x.benchmark, "cpu-p95-ms", 1)
		if err != nil {
			return err
		}
		row(x.what, fmt.Sprintf("%.1f ms", all[0]), fmt.Sprintf("p95 of 200, processor, %d M messages", messages/1_000_000), fmt.Sprintf("<= %.0f ms", x.budget), all[0] <= x.budget)
	}
	return nil
}

// embeddedRelay is what the relay that sotto brings can do, on disk.
func embeddedRelay(ctx context.Context, b *bench) error {
	const runs, messages, people = 3, 20000, 2000
	found, err := packageBenchmarks(ctx, "./internal/relay", "^BenchmarkRoute$/^disk$", "-count", fmt.Sprint(runs), "-benchtime", fmt.Sprint(messages, "x"))
	if err != nil {
		return err
	}
	all, err := found.need("BenchmarkRoute/disk", "messages/s", runs)
	if err != nil {
		return err
	}
	rate("embedded relay: messages routed and stored", all, fmt.Sprintf("runs of %d messages of 1.5 kB", messages), 5000)
	if found, err = packageBenchmarks(ctx, "./internal/relay", "^BenchmarkIdle$", "-benchtime", fmt.Sprint(people, "x")); err != nil {
		return err
	}
	for _, how := range []string{"quiet", "present"} {
		if all, err = found.need("BenchmarkIdle/"+how, "MiB", 1); err != nil {
			return err
		}
		row(fmt.Sprintf("embedded relay: %d idle connections, %s", people, how), fmt.Sprintf("%.1f MB", all[0]*1.048576), "RSS of the process",
			"<= 150 MB", all[0]*1.048576 <= 150)
	}
	if found, err = packageBenchmarks(ctx, "./internal/relay", "^BenchmarkRoom$", "-benchtime", "5000x"); err != nil {
		return err
	}
	if all, err = found.need("BenchmarkRoom", "deliveries/s", 1); err != nil {
		return err
	}
	figure("embedded relay: deliveries in a room of ten", strings.TrimSpace(fmt.Sprintf("%.0f /s", all[0])), "5,000 messages of 1.5 kB")
	return nil
}
