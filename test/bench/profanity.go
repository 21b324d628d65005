package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// profanity measures what the messenger of that name has in common with sotto.
func profanity(ctx context.Context, b *bench) error {
	path, err := exec.LookPath("profanity")
	if err != nil {
		return fmt.Errorf("it is not installed: test/install does it")
	}
	dir, err := b.folder()
	if err != nil {
		return err
	}
	const starts = 7
	var first []time.Duration
	for i := range starts {
		home := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		s, err := b.open([]string{"HOME=" + home}, home, path)
		if err != nil {
			return err
		}
		at, err := s.see(ctx, "Type /help")
		if err != nil {
			return err
		}
		first = append(first, at.Sub(s.start))
		if i == starts-1 {
			s.quiet(500 * time.Millisecond)
			rss, _ := memory(tree(s.cmd.Process.Pid))
			figure("profanity: memory (RSS)", megabytes(rss), "not logged in")
		}
		s.close()
	}
	span("profanity: first frame", first, "starts", 0)
	return nil
}
