package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// figures are what the benchmarks of a package gave: by benchmark and by unit,
// one for each run.
type figures map[string]map[string][]float64

// packageBenchmarks runs benchmarks of a package of sotto.
func packageBenchmarks(ctx context.Context, path, pattern string, arguments ...string) (figures, error) {
	test := exec.CommandContext(ctx, "go", append([]string{"test", path, "-run", "^$", "-timeout", "1h", "-bench", pattern}, arguments...)...)
	test.Env = append(os.Environ(), "CGO_ENABLED=0")
	test.WaitDelay = time.Second // and not for whoever has its output
	out, err := test.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("the benchmarks of %s: %w\n%s", path, errors.Join(err, context.Cause(ctx)), bytes.TrimSpace(out))
	}
	found := figures{}
	for line := range strings.Lines(string(out)) {
		// BenchmarkName-2   1000   12.5 messages/s   3 ns/op
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := f[0]
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			if _, err := strconv.Atoi(name[i+1:]); err == nil {
				name = name[:i]
			}
		}
		for i := 2; i+1 < len(f); i += 2 {
			n, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				break
			}
			if found[name] == nil {
				found[name] = map[string][]float64{}
			}
			found[name][f[i+1]] = append(found[name][f[i+1]], n)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the benchmarks of %s gave no figures\n%s", path, bytes.TrimSpace(out))
	}
	return found, nil
}

// need returns the figures of one benchmark in one unit, of which there have to be n.
func (f figures) need(benchmark, unit string, n int) ([]float64, error) {
	all := f[benchmark][unit]
	if len(all) != n {
		return nil, fmt.Errorf("%s gave %d figures in %s, not %d", benchmark, len(all), unit, n)
	}
	return all, nil
}
