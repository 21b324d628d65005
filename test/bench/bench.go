package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// bench is what a measurement works with. Its programs and its relay are started
// when they are first asked for.
type bench struct {
	dir    string
	binary string // sotto, built as users have it; empty until it is

	mu      sync.Mutex
	ended   bool
	closers []func() // what to end with the measurement
}

var errEnded = errors.New("the measurement is over")

// atEnd has f called when the measurement is over; at once if it is already,
// because it was given up.
func (b *bench) atEnd(f func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		go f()
		return errEnded
	}
	b.closers = append(b.closers, f)
	return nil
}

func (b *bench) end() {
	b.mu.Lock()
	closers := b.closers
	b.closers, b.ended = nil, true
	b.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
}

// program returns the path of sotto, built as for a release.
func (b *bench) program(ctx context.Context) (string, error) {
	if b.binary != "" {
		return b.binary, nil
	}
	binary := filepath.Join(b.dir, "sotto")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/sotto")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building sotto: %w\n%s", err, out)
	}
	b.binary = binary
	return binary, nil
}

// folder makes a new folder.
func (b *bench) folder() (string, error) { return os.MkdirTemp(b.dir, "") }
