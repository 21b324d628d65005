package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// width and height of the terminal in which everything is measured.
const width, height = 80, 24

// patience is how long anything may take to appear.
const patience = 30 * time.Second

// screen is a program in a pseudo-terminal, with every byte it writes counted
// and dated.
type screen struct {
	cmd   *exec.Cmd
	tty   *os.File
	start time.Time

	closing sync.Once

	mu      sync.Mutex
	term    vt10x.Terminal
	bytes   int
	last    time.Time // of the latest byte
	changed chan struct{}
	ended   bool
}

// open starts a program and the clock. It ends with the measurement at the latest.
func (b *bench) open(env []string, dir string, command ...string) (*screen, error) {
	s := &screen{
		cmd:     exec.Command(command[0], command[1:]...),
		term:    vt10x.New(vt10x.WithSize(width, height)),
		changed: make(chan struct{}),
	}
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TERM=xterm-256color"}, env...)
	s.cmd.Dir = dir
	s.start = time.Now()
	var err error
	s.tty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Cols: width, Rows: height})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	go s.read()
	return s, b.atEnd(s.close)
}

func (s *screen) read() {
	buf := make([]byte, 1<<16)
	for {
		n, err := s.tty.Read(buf)
		s.mu.Lock()
		if n > 0 {
			_, _ = s.term.Write(buf[:n])
			s.bytes += n
			s.last = time.Now()
		}
		s.ended = s.ended || err != nil
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait waits until the screen is as wanted and returns when it became so.
func (s *screen) wait(ctx context.Context, what string, wanted func(text string) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not there after %v", patience))
	defer cancel()
	for {
		s.mu.Lock()
		text, at, changed, ended := s.term.String(), s.last, s.changed, s.ended
		s.mu.Unlock()
		if wanted(text) {
			return at, nil
		}
		if ended {
			return at, fmt.Errorf("waiting for %s: the program ended\n%s", what, text)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return at, fmt.Errorf("waiting for %s: %w\n%s", what, context.Cause(ctx), text)
		}
	}
}

// see waits for a text and returns when it was there.
func (s *screen) see(ctx context.Context, text string) (time.Time, error) {
	return s.wait(ctx, fmt.Sprintf("%q", text), has(text))
}

// after returns how long it takes from keys to a text that was not there.
func (s *screen) after(ctx context.Context, keys, text string) (time.Duration, error) {
	return s.afterThat(ctx, keys, fmt.Sprintf("%q", text), has(text))
}

// afterThat returns how long it takes from keys to the screen being as wanted. It
// is an error if it is so before: then nothing would be measured.
func (s *screen) afterThat(ctx context.Context, keys, what string, wanted func(text string) bool) (time.Duration, error) {
	s.mu.Lock()
	text := s.term.String()
	s.mu.Unlock()
	if wanted(text) {
		return 0, fmt.Errorf("%s is there before the key\n%s", what, text)
	}
	pressed := s.press(keys)
	at, err := s.wait(ctx, what, wanted)
	return at.Sub(pressed), err
}

func has(text string) func(string) bool {
	return func(screen string) bool { return strings.Contains(screen, text) }
}

// text returns what is on the screen.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term.String()
}

// has says whether a text is on the screen now.
func (s *screen) has(text string) bool { return strings.Contains(s.text(), text) }

// press sends keys and returns when.
func (s *screen) press(keys string) time.Time {
	at := time.Now()
	_, _ = s.tty.WriteString(keys)
	return at
}

// quiet waits until nothing was written for a while, and returns how many bytes
// there are by then.
func (s *screen) quiet(gap time.Duration) int {
	for {
		s.mu.Lock()
		n, last := s.bytes, s.last
		s.mu.Unlock()
		rest := time.Until(last.Add(gap))
		if rest <= 0 {
			return n
		}
		time.Sleep(rest)
	}
}

// count returns how many bytes the program has written.
func (s *screen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// close ends the program as closing a terminal does.
func (s *screen) close() {
	s.closing.Do(s.hangUp)
}

func (s *screen) hangUp() {
	s.tty.Close()
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
}
