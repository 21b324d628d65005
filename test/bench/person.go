package main

import (
	"context"
	"time"
)

// typed types a sentence behind what stands in the line already, and returns the
// time from each key to its letter and the bytes that each key cost. A space at
// the end of a line cannot be seen: it has no time.
func (s *screen) typed(ctx context.Context, line string) (times []time.Duration, bytes []float64, err error) {
	const text = "Given at 19:08, rhythm unchanged, K repeated"
	for i := range text {
		before := s.count()
		if text[i] == ' ' {
			s.press(" ")
			s.quiet(60 * time.Millisecond)
		} else {
			d, err := s.after(ctx, text[i:i+1], line+text[:i+1])
			if err != nil {
				return nil, nil, err
			}
			times = append(times, d)
		}
		bytes = append(bytes, float64(s.quiet(30*time.Millisecond)-before))
	}
	return times, bytes, nil
}

// restFor is how long a program is watched that has nothing to do.
const restFor = 15 * time.Second

// rest is what programs do that have nothing to do, for each time they were
// watched.
type rest struct {
	bytes, shares []float64            // written; of one core, in percent
	used, wakes   map[string][]float64 // by process: of one core, in percent; a second
}

// rests watches a program and its children some times.
func (s *screen) rests(ctx context.Context, times int) (rest, error) {
	r := rest{used: map[string][]float64{}, wakes: map[string][]float64{}}
	pids := tree(s.cmd.Process.Pid)
	for range times {
		before, threads, began := s.count(), work(pids), time.Now()
		select {
		case <-time.After(restFor):
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
		spent := float64(time.Since(began))
		total := 0.0
		for pid, w := range work(pids).since(threads) {
			share := float64(w.processor) / spent * 100
			total += share
			r.used[name(pid)] = append(r.used[name(pid)], share)
			r.wakes[name(pid)] = append(r.wakes[name(pid)], float64(w.wakes)/spent*float64(time.Second))
		}
		r.shares = append(r.shares, total)
		r.bytes = append(r.bytes, float64(s.count()-before))
	}
	return r, nil
}
