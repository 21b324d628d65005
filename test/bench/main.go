// Command bench measures sotto as a person meets it: the program as it is
// built, in a pseudo-terminal of 80 columns by 24 rows, on a relay on loopback.
// Beside each figure stands what it is taken over, and its budget.
//
// A figure above its budget is marked and fails nothing: figures from a busy
// machine are worse, and only say that it was busy. What could not be measured
// at all says why, and makes the program exit with 1; another messenger or relay
// that is not installed only says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/pprof"
	"time"
)

// measurement measures one thing or several that need the same preparation.
type measurement struct {
	name  string
	bound time.Duration // after which it is given up
	run   func(ctx context.Context, b *bench) error
}

// measurements in the order in which they are made. None needs another.
var measurements = []measurement{
	{"size of the program", time.Minute, size},
	{"first frame", time.Minute, firstFrame},
	{"unlocking and locking", time.Minute, unlocking},
	{"locking", 3 * time.Minute, locking},
	{"locking while catching up", 10 * time.Minute, lockingInCatchUp},
	{"typing", time.Minute, typing},
	{"messages and memory", time.Minute, messages},
	{"doing nothing", 2 * time.Minute, idle},
	{"catching up, client alone", 3 * time.Minute, catchUpAlone},
	{"catching up through the relay", 2 * time.Minute, catchUpRelay},
	{"scrolling", 5 * time.Minute, scrolling},
	{"a million messages", 30 * time.Minute, large},
	{"embedded relay", 10 * time.Minute, embeddedRelay},
	{"directory", 5 * time.Minute, directory},
	{"audit logs", 10 * time.Minute, auditLogs},
	{"relays side by side", 5 * time.Minute, relays},
	{"other messengers, for comparison", 4 * time.Minute, beside},
}

func main() {
	only := flag.String("only", "", "measure only what `regexp` matches the name of")
	profile := flag.String("cpuprofile", "", "write a processor profile of this program, which has the relay and the colleagues in it, to `file`")
	flag.Parse()
	which, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, which, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, which *regexp.Regexp, profile string) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("it reads /proc, which %s does not have", runtime.GOOS)
	}
	dir, err := os.MkdirTemp("", "sotto-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	b := &bench{dir: dir}
	heading(fmt.Sprintf("80x24, %d cores, %s", runtime.NumCPU(), runtime.Version()))
	failed := 0
	for _, m := range measurements {
		if !which.MatchString(m.name) {
			continue
		}
		if err := bounded(ctx, m, b); err != nil {
			failed++
			notMeasured(m.name, err)
		}
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the measurements above could not be made", failed)
	}
	return nil
}

// grace is how long a measurement has to notice that its time is over.
const grace = 10 * time.Second

// bounded makes a measurement and gives it up when its time is over, whatever
// it waits for. Each has a relay and programs of its own, which end with it.
func bounded(ctx context.Context, m measurement, b *bench) error {
	ctx, cancel := context.WithTimeoutCause(ctx, m.bound, fmt.Errorf("not done after %v", m.bound))
	defer cancel()
	own := &bench{dir: b.dir, binary: b.binary}
	done := make(chan error, 1)
	go func() { done <- m.run(ctx, own) }()
	var err error
	select {
	case err = <-done:
		b.binary = own.binary
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(grace):
			err = context.Cause(ctx)
		}
	}
	own.end()
	return err
}
