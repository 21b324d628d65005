package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sotto/client/store"
	"sotto/test/headless"
)

// catchUpAlone is what the client does with messages that came while away: parse,
// decrypt, store with the ratchet in an encrypted database on disk. It has one
// core, and shares it with what hands the messages over, encrypted before. By the
// processor time, others who work on the machine do not count.
func catchUpAlone(ctx context.Context, b *bench) error {
	const runs, messages = 3, 20000
	found, err := packageBenchmarks(ctx, "./client", "^BenchmarkCatchUp(Room)?$", "-cpu", "1", "-count", fmt.Sprint(runs), "-benchtime", fmt.Sprint(messages, "x"))
	if err != nil {
		return err
	}
	of := fmt.Sprintf("runs of %d messages", messages)
	for _, row := range []struct {
		benchmark, unit, what string
		budget                float64
	}{
		{"BenchmarkCatchUp", "messages/s", "catching up, client alone on one core", 5000},
		{"BenchmarkCatchUp", "messages/cpu-s", "the same, by processor time", 5000},
		{"BenchmarkCatchUpRoom", "messages/s", "catching up in a room of twelve, on one core", 0},
		{"BenchmarkCatchUpRoom", "messages/cpu-s", "the same, by processor time", 0},
	} {
		if row.unit == "messages/cpu-s" && found[row.benchmark][row.unit] == nil {
			continue // a system that does not tell it
		}
		all, err := found.need(row.benchmark, row.unit, runs)
		if err != nil {
			return err
		}
		rate(row.what, all, of, row.budget)
	}
	return nil
}

// catchUpRelay is the same as a person waits for it: from the login until what
// came meanwhile is decrypted and stored, through a relay that shares the cores,
// with whatever comes more than once and with the receipts that go back.
func catchUpRelay(ctx context.Context, b *bench) error {
	w, err := newWard(ctx, b)
	if err != nil {
		return err
	}
	luis, err := w.headless(ctx, "luis")
	if err != nil {
		return err
	}
	// The first message makes the session.
	if err := w.writes(ctx, luis.Self().Address, 1); err != nil {
		return err
	}
	have := 1
	if err := luis.Until(ctx, "hearing of the first message", w.arrived(ctx, luis, have)); err != nil {
		return err
	}
	for _, round := range []struct{ times, messages int }{{3, 2000}, {1, 10000}} {
		var writing, catching []float64
		for range round.times {
			if err := luis.Close(); err != nil {
				return err
			}
			began := time.Now()
			if err := w.writes(ctx, luis.Self().Address, round.messages); err != nil {
				return err
			}
			writing = append(writing, float64(round.messages)/time.Since(began).Seconds())
			began = time.Now()
			if luis, err = w.headless(ctx, "luis"); err != nil {
				return err
			}
			catching = append(catching, float64(round.messages)/time.Since(began).Seconds())
			have += round.messages
			if there, err := w.arrived(ctx, luis, have)(); !there || err != nil {
				return errors.Join(fmt.Errorf("it says that it has caught up, without having %d messages", have), err)
			}
		}
		of := fmt.Sprintf("times %d messages", round.messages)
		rate("writing to somebody away, through the relay", writing, of, 0)
		rate("catching up through the relay, with the login", catching, of, 0)
	}
	return nil
}

// writes has the colleague write n messages and waits until the relay has them.
func (w *ward) writes(ctx context.Context, to string, n int) error {
	const atOnce = 250 // a link keeps 1,000 that the relay has not confirmed
	for i := range n {
		if _, err := w.per.Send(ctx, to, fmt.Sprintf("message %d of many, as long as people write them", i)); err != nil {
			return err
		}
		if i+1 < n && (i+1)%atOnce != 0 {
			continue
		}
		err := w.per.Until(ctx, "handing over what was written", func() (bool, error) {
			last, err := w.per.Messages(ctx, to, 0, 1)
			if len(last) == 1 && last[0].State == store.Failed {
				err = fmt.Errorf("the relay did not take a message: %s", last[0].Why)
			}
			return len(last) == 1 && last[0].State != store.Queued, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// arrived reports whether somebody has n messages of the colleague.
func (w *ward) arrived(ctx context.Context, s *headless.Sotto, n int) func() (bool, error) {
	return func() (bool, error) {
		all, err := s.Messages(ctx, w.per.Self().Address, 0, n+1)
		return len(all) == n, err
	}
}
