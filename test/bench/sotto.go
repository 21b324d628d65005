package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// size is that of the program on disk.
func size(ctx context.Context, b *bench) error {
	binary, err := b.program(ctx)
	if err != nil {
		return err
	}
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	row("size of the program, stripped", megabytes(int(info.Size())), "", "<= 30 MB", info.Size() <= 30e6)
	return nil
}

// firstFrame is from starting sotto to its lock screen.
func firstFrame(ctx context.Context, b *bench) error {
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	var all []time.Duration
	for range 15 {
		s, err := ada.open()
		if err != nil {
			return err
		}
		at, err := s.see(ctx, "PIN")
		all = append(all, at.Sub(s.start))
		s.close()
		if err != nil {
			return err
		}
	}
	span("first frame: the lock screen", all, "starts", 50*time.Millisecond)
	return nil
}

// unlocking is from the Enter after the PIN to the conversations, key derivation
// included; and locking from Ctrl+L until the lock screen is there.
func unlocking(ctx context.Context, b *bench) error {
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	s, err := ada.open()
	if err != nil {
		return err
	}
	var unlock, lock []time.Duration
	for range 14 {
		if _, err := s.see(ctx, "PIN"); err != nil {
			return err
		}
		s.quiet(50 * time.Millisecond)
		s.press(pin)
		if _, err := s.see(ctx, strings.Repeat("• ", len(pin))); err != nil {
			return err
		}
		d, err := s.after(ctx, "\r", "lock in")
		if err != nil {
			return err
		}
		unlock = append(unlock, d)
		s.quiet(200 * time.Millisecond)
		if d, err = s.after(ctx, "\x0c", "s o t t o"); err != nil { // Ctrl+L
			return err
		}
		lock = append(lock, d)
	}
	span("Enter after the PIN to the conversations", unlock, "times", 600*time.Millisecond)
	span("Ctrl+L to the lock screen", lock, "times", 0)
	return nil
}

// typing is from a key to the letter on the screen.
func typing(ctx context.Context, b *bench) error {
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	s, err := ada.converse(ctx)
	if err != nil {
		return err
	}
	s.quiet(300 * time.Millisecond)
	times, bytes, err := s.typed(ctx, composer)
	if err != nil {
		return err
	}
	span("key to screen", times, "keys", 5*time.Millisecond)
	octets("bytes a key", bytes, "keys", 30)
	return nil
}

// messages come and go in the conversation that is on the screen; afterwards is
// when memory is looked at.
func messages(ctx context.Context, b *bench) error {
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	s, err := ada.converse(ctx)
	if err != nil {
		return err
	}
	var bytes []float64
	for i := range 20 {
		before := s.quiet(100 * time.Millisecond)
		words := fmt.Sprintf("K is now 5.%02d", i)
		if err := ada.w.says(ctx, words); err != nil {
			return err
		}
		if _, err := s.see(ctx, words); err != nil {
			return err
		}
		bytes = append(bytes, float64(s.quiet(200*time.Millisecond)-before))
	}
	octets("bytes a new message", bytes, "messages", 200)

	var delivered []time.Duration
	for i := range 15 {
		words := fmt.Sprintf("ECG %02d done", i)
		s.press(words)
		if _, err := s.see(ctx, composer+words); err != nil {
			return err
		}
		s.quiet(50 * time.Millisecond)
		d, err := s.afterThat(ctx, "\r", "delivered", func(screen string) bool {
			_, after, found := strings.Cut(screen, words)
			return found && strings.Contains(after, "delivered")
		})
		if err != nil {
			return err
		}
		delivered = append(delivered, d)
		s.quiet(100 * time.Millisecond)
	}
	span("Enter to \"delivered\"", delivered, "messages", 30*time.Millisecond)

	pids := tree(s.cmd.Process.Pid)
	rss, pss := memory(pids)
	row(fmt.Sprintf("memory of all %d processes (RSS)", len(pids)), megabytes(rss), "after those messages, once", "<= 60 MB", rss <= 60e6)
	figure("  what they share counted once (PSS)", megabytes(pss), "")
	for _, pid := range pids {
		rss, _ := memory([]int{pid})
		figure("  "+name(pid), megabytes(rss), "")
	}
	return nil
}

// idle is what it costs that sotto is open and online and nobody does anything.
func idle(ctx context.Context, b *bench) error {
	const windows = 3
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	s, err := ada.converse(ctx)
	if err != nil {
		return err
	}
	s.quiet(5 * time.Second)
	rest, err := s.rests(ctx, windows)
	if err != nil {
		return err
	}
	of := fmt.Sprintf("times %v", restFor)
	octets("bytes while nothing happens", rest.bytes, of, 0)
	share := median(rest.shares)
	row("processor while nothing happens", fmt.Sprintf("%.2f %%", share),
		fmt.Sprintf("of one core; median of %d %s, most %.2f %%", windows, of, slices.Max(rest.shares)), "<= 0.2 %", share <= 0.2)
	for _, n := range slices.Sorted(maps.Keys(rest.used)) {
		figure("  "+n, fmt.Sprintf("%.2f %%", median(rest.used[n])), fmt.Sprintf("%.1f wake-ups a second", median(rest.wakes[n])))
	}
	return nil
}
