//go:build unix

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"sotto/internal/harden"
	"sotto/internal/role"
)

// maxTried bounds what a probe may report.
const maxTried = 1000

// Run probes the confinement of one role. Like role.Spawn, call it on the main
// goroutine, locked to its thread. It ends when ctx does.
func Run(ctx context.Context, as role.Name) (Result, error) {
	r := Result{As: as}
	// The folder lies in one of its own: the probe tries to write beside it.
	above, err := os.MkdirTemp("", "sotto-probe-")
	if err != nil {
		return r, fmt.Errorf("make a folder for the probe: %w", err)
	}
	defer os.RemoveAll(above)
	dir := above + "/data"
	if err := os.Mkdir(dir, 0o700); err != nil {
		return r, fmt.Errorf("make a folder for the probe: %w", err)
	}
	child, err := role.Spawn(role.Probe, &role.ProbeSetup{As: as, Dir: dir}, nil, nil)
	if err != nil {
		return r, err
	}
	defer child.Control.Close()
	stop := context.AfterFunc(ctx, child.Kill)
	defer stop()
	said, err := r.listen(child.Control)
	if err != nil {
		child.Kill() // it says what it must not
	}
	ended := child.Wait()
	switch {
	case err != nil:
		return r, fmt.Errorf("probe the %s: %w", as, err)
	case ctx.Err() != nil:
		return r, fmt.Errorf("probe the %s: %w", as, ctx.Err())
	case said != "":
		return r, fmt.Errorf("probe the %s: %s", as, said)
	case ended.Code != role.ExitDone:
		return r, fmt.Errorf("probe the %s: the process ended unexpectedly (%v) after %d attempts", as, ended, len(r.Tried))
	}
	return r, nil
}

// listen takes down what a probe says, until it ends.
func (r *Result) listen(c *role.Control) (said string, err error) {
	needed := needs(r.As, harden.Dynamic())
	for {
		m, err := c.Receive()
		if errors.Is(err, io.EOF) {
			return said, nil
		}
		if err != nil {
			return said, err
		}
		switch m := m.(type) {
		case *role.Note:
			said = m.Text
		case *role.Confined:
			r.Layers = harden.Layers{Landlock: m.Landlock, Seccomp: m.Seccomp}
		case *role.Tried:
			if len(r.Tried) == maxTried {
				return said, errors.New("it reports without end")
			}
			a := harden.Attempt{Name: m.Name, Kind: m.Kind, By: m.By, Error: m.Error, Allowed: m.By == ""}
			r.Tried = append(r.Tried, Attempt{a, needed[m.Name]})
		}
	}
}
