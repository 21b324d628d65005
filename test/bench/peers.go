package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// peer is another messenger for terminals.
type peer struct {
	name    string
	options []string
	ready   string // what its first screen says
}

// peers are measured in what they have in common with sotto: the screen. None is
// logged in, so that none waits for a network.
var peers = []peer{
	{"profanity", nil, "Type /help"},
	{"irssi", nil, "(status)"},
	{"weechat", nil, "WeeChat"},
}

// beside measures the others: each that is installed, whatever becomes of the rest.
func beside(ctx context.Context, b *bench) error {
	var failed error
	for _, p := range peers {
		path, err := exec.LookPath(p.name)
		if err != nil {
			notMeasured(p.name, fmt.Errorf("it is not installed. On Debian: apt-get install %s", p.name))
			continue
		}
		if err := p.measure(ctx, b, path); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return failed
}

func (p peer) measure(ctx context.Context, b *bench, path string) error {
	dir, err := b.folder()
	if err != nil {
		return err
	}
	const starts = 7
	var first []time.Duration
	begin := func(i int) error {
		home := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		s, err := b.open([]string{"HOME=" + home}, home, append([]string{path}, p.options...)...)
		if err != nil {
			return err
		}
		defer s.close() // whatever becomes of it: the next one is measured alone
		at, err := s.see(ctx, p.ready)
		if err != nil {
			return err
		}
		first = append(first, at.Sub(s.start))
		if i < starts-1 {
			return nil
		}
		span(p.name+": first frame", first, "starts", 0)
		return p.works(ctx, s)
	}
	for i := range starts {
		if err := begin(i); err != nil {
			return err
		}
	}
	return nil
}

// works measures one that runs.
func (p peer) works(ctx context.Context, s *screen) error {
	s.quiet(500 * time.Millisecond)
	const mark = "~~" // which is nowhere else on a screen
	if _, err := s.after(ctx, mark, mark); err != nil {
		return err
	}
	s.quiet(300 * time.Millisecond)
	times, bytes, err := s.typed(ctx, mark)
	if err != nil {
		return err
	}
	span(p.name+": key to screen", times, "keys", 0)
	figure(p.name+": bytes a key", fmt.Sprintf("%.0f", median(bytes)), fmt.Sprintf("median of %d keys", len(bytes)))
	s.quiet(time.Second)
	rest, err := s.rests(ctx, 1)
	if err != nil {
		return err
	}
	figure(p.name+": bytes while nothing happens", fmt.Sprintf("%.0f", rest.bytes[0]), fmt.Sprintf("in %v", restFor))
	figure(p.name+": processor while nothing happens", fmt.Sprintf("%.2f %%", rest.shares[0]), "of one core")
	rss, _ := memory(tree(s.cmd.Process.Pid))
	figure(p.name+": memory (RSS)", megabytes(rss), "not logged in")
	return nil
}
