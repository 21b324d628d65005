package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	lockTries  = 50
	lockBudget = 100 * time.Millisecond
	backlog    = 20000 // messages that wait
	lowWater   = 3000  // of these, so that a catch-up has long to go
)

// locks are the ways to lock that somebody waits for: a key, and what sotto lock
// sends.
var locks = []struct {
	what string
	lock func(*screen) error
}{
	{"Ctrl+L", func(s *screen) error { s.press("\x0c"); return nil }},
	{"a request to lock", func(s *screen) error { return askToLock(s.cmd.Process) }},
}

// locking is from the trigger until nothing of the conversations is on the screen.
func locking(ctx context.Context, b *bench) error {
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	s, err := ada.open()
	if err != nil {
		return err
	}
	for _, l := range locks {
		var all []time.Duration
		for range lockTries {
			if err := ada.unlock(ctx, s); err != nil {
				return err
			}
			if _, err := s.see(ctx, "online"); err != nil {
				return err
			}
			s.quiet(100 * time.Millisecond)
			d, err := s.blank(ctx, l.lock)
			if err != nil {
				return err
			}
			all = append(all, d)
		}
		worst(l.what+" to a blank screen", all, "times, idle", lockBudget)
	}
	return nil
}

// lockingInCatchUp is the same while what came meanwhile is read: the lock comes
// at a random moment of the first half second of it.
func lockingInCatchUp(ctx context.Context, b *bench) error {
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	s, err := ada.converse(ctx) // makes the session
	if err != nil {
		return err
	}
	s.close()
	const address = "ada@" + domain
	if err := ada.w.writes(ctx, address, backlog); err != nil {
		return err
	}
	if s, err = ada.open(); err != nil {
		return err
	}
	for _, l := range locks {
		var all []time.Duration
		missed := 0
		for len(all) < lockTries {
			if err := ada.unlock(ctx, s); err != nil {
				return err
			}
			if _, err := s.see(ctx, "catching up"); err != nil {
				return err
			}
			select {
			case <-time.After(rand.N(500 * time.Millisecond)):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			busy := s.has("catching up")
			d, err := s.blank(ctx, l.lock)
			if err != nil {
				return err
			}
			if busy {
				all = append(all, d)
				continue
			}
			// It was done before: what waits is used up.
			if missed++; missed > lockTries {
				return errors.New("it never lasts long enough to lock in the middle")
			}
			if err := ada.w.writes(ctx, address, lowWater); err != nil {
				return err
			}
		}
		worst(l.what+", in the middle of catching up", all, fmt.Sprintf("times, %d messages waiting at first", backlog), lockBudget)
	}
	return nil
}

// unlock enters the PIN and waits for the conversations.
func (a *ada) unlock(ctx context.Context, s *screen) error {
	if _, err := s.see(ctx, "PIN"); err != nil {
		return err
	}
	s.quiet(50 * time.Millisecond)
	s.press(pin)
	if _, err := s.see(ctx, strings.Repeat("• ", len(pin))); err != nil {
		return err
	}
	_, err := s.after(ctx, "\r", "lock in")
	return err
}

// blank locks and returns how long it takes until the conversations are gone.
func (s *screen) blank(ctx context.Context, lock func(*screen) error) (time.Duration, error) {
	began := time.Now()
	if err := lock(s); err != nil {
		return 0, err
	}
	at, err := s.wait(ctx, "a blank screen", func(text string) bool { return !strings.Contains(text, "lock in") })
	return at.Sub(began), err
}

// worst prints the slowest of some times, which is what the budget is for, and
// what the others were; and how busy the machine was, on which it depends.
func worst(what string, all []time.Duration, of string, budget time.Duration) {
	all = slices.Clone(all)
	slices.Sort(all)
	slowest := all[len(all)-1]
	over := fmt.Sprintf("slowest of %d %s; median %s, 95 %% within %s; load %s",
		len(all), of, milliseconds(median(all)), milliseconds(all[len(all)*95/100]), load())
	row(what, milliseconds(slowest), over, "<= "+budget.String(), slowest <= budget)
}

// load is the load average of the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}
