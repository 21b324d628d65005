// Command bench measures sotto as a person meets it: the program as it is
// built, in a pseudo-terminal of 80 columns by 24 rows, on a relay on loopback.
// Beside each figure stands its budget. Nothing here passes or fails: figures
// from a busy machine are worse, and only say that it was busy.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("it reads /proc, which %s does not have", runtime.GOOS)
	}
	dir, err := os.MkdirTemp("", "sotto-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "sotto")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/sotto")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	w, err := newWard(dir)
	if err != nil {
		return err
	}
	defer w.close()

	fmt.Printf("%d cores, %s\n\n%-44s %14s   %s\n", runtime.NumCPU(), runtime.Version(), "80x24, relay on loopback", "measured", "budget")
	info, err := os.Stat(binary)
	if err != nil {
		return err
	}
	line("size of the program, stripped", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), "30 MB", info.Size() <= 30e6)
	if err := sotto(ctx, w, dir, binary); err != nil {
		return fmt.Errorf("sotto: %w", err)
	}
	if err := catchUp(ctx, w, dir); err != nil {
		return fmt.Errorf("catching up: %w", err)
	}
	return profanity(dir)
}

// sotto measures everything that happens in its terminal.
func sotto(ctx context.Context, w *ward, dir, binary string) error {
	ada := &user{w: w, dir: dir, binary: binary}
	if err := ada.join(); err != nil {
		return err
	}

	var first []time.Duration
	for range 15 {
		s, err := ada.open()
		if err != nil {
			return err
		}
		at, err := s.see("PIN")
		first = append(first, at.Sub(s.start))
		s.close()
		if err != nil {
			return err
		}
	}
	spans("first frame: the lock screen", first, 50*time.Millisecond)

	s, err := ada.open()
	if err != nil {
		return err
	}
	defer s.close()
	var unlock, lock []time.Duration
	for range 5 {
		if _, err := s.see("PIN"); err != nil {
			return err
		}
		s.quiet(50 * time.Millisecond)
		s.press(pin)
		if _, err := s.see(strings.Repeat("• ", len(pin))); err != nil {
			return err
		}
		pressed := s.press("\r")
		at, err := s.see("lock in")
		if err != nil {
			return err
		}
		unlock = append(unlock, at.Sub(pressed))
		s.quiet(200 * time.Millisecond)
		pressed = s.press("\x0c") // Ctrl+L
		if at, err = s.see("s o t t o"); err != nil {
			return err
		}
		lock = append(lock, at.Sub(pressed))
	}
	spans("Enter after the PIN to the conversations", unlock, 600*time.Millisecond)
	spans("Ctrl+L to the lock screen", lock, 0)

	if err := ada.unlock(s); err != nil {
		return err
	}
	if _, err := s.see("online"); err != nil {
		return err
	}
	// To the conversation with the colleague, whose first message ends what
	// only happens once: sessions, and the line that says what is new.
	s.press("\x0b" + "per")
	if _, err := s.see("> per"); err != nil {
		return err
	}
	s.press("\r")
	if _, err := s.see(" Lind, Per"); err != nil {
		return err
	}
	if err := w.says(ctx, "The first message"); err != nil {
		return err
	}
	if _, err := s.see("The first message"); err != nil {
		return err
	}

	s.quiet(300 * time.Millisecond)
	var keys []time.Duration
	before := s.count()
	const text = "Given at 19:08, rhythm unchanged, K repeated"
	for i := range text {
		pressed := s.press(text[i : i+1])
		at, err := s.see(strings.TrimSpace(text[:i+1]))
		if err != nil {
			return err
		}
		if text[i] != ' ' { // a space at the end of a line cannot be seen
			keys = append(keys, at.Sub(pressed))
		}
		s.quiet(30 * time.Millisecond)
	}
	spans("key to screen", keys, 5*time.Millisecond)
	octets("bytes a key", float64(s.count()-before)/float64(len(text)), 30)

	s.press("\x15") // Ctrl+U: clear the line
	s.quiet(300 * time.Millisecond)
	pids := tree(s.cmd.Process.Pid)
	before = s.count()
	used, began := processor(pids), time.Now()
	const idle = 10 * time.Second
	time.Sleep(idle)
	share := float64(processor(pids)-used) / float64(time.Since(began)) * 100
	octets("bytes in 10 s of doing nothing", float64(s.count()-before), 0)
	line("processor, doing nothing", fmt.Sprintf("%.2f %%", share), "0.2 %", share <= 0.2)

	var news []float64
	for i := range 20 {
		before := s.count()
		words := fmt.Sprintf("K is now 5.%02d", i)
		if err := w.says(ctx, words); err != nil {
			return err
		}
		if _, err := s.see(words); err != nil {
			return err
		}
		news = append(news, float64(s.quiet(200*time.Millisecond)-before))
	}
	slices.Sort(news)
	octets("bytes a new message", news[len(news)/2], 200)

	var delivered []time.Duration
	for i := range 15 {
		words := fmt.Sprintf("ECG %02d done", i)
		s.press(words)
		if _, err := s.see(">  " + words); err != nil {
			return err
		}
		s.quiet(50 * time.Millisecond)
		pressed := s.press("\r")
		at, err := s.wait("delivered", func(screen string) bool {
			_, after, found := strings.Cut(screen, words)
			return found && strings.Contains(after, "delivered")
		})
		if err != nil {
			return err
		}
		delivered = append(delivered, at.Sub(pressed))
		s.quiet(100 * time.Millisecond)
	}
	spans("Enter to \"delivered\"", delivered, 30*time.Millisecond)

	rss, pss := memory(pids)
	line(fmt.Sprintf("memory of all %d processes (RSS)", len(pids)), megabytes(rss), "60 MB", rss <= 60e6)
	line("  what they share counted once (PSS)", megabytes(pss), "", true)
	for _, pid := range pids {
		rss, _ := memory([]int{pid})
		line("  "+name(pid), megabytes(rss), "", true)
	}
	return nil
}

// profanity measures what it has in common with sotto, for comparison.
func profanity(dir string) error {
	path, err := exec.LookPath("profanity")
	if err != nil {
		fmt.Println("profanity is not installed: nothing to compare with")
		return nil
	}
	fmt.Println("\nprofanity, for comparison")
	var first []time.Duration
	for i := range 5 {
		home := filepath.Join(dir, fmt.Sprintf("profanity%d", i))
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		s, err := open([]string{"HOME=" + home}, home, path)
		if err != nil {
			return err
		}
		at, err := s.see("Type /help")
		first = append(first, at.Sub(s.start))
		if err == nil && i == 4 {
			s.quiet(500 * time.Millisecond)
			rss, _ := memory(tree(s.cmd.Process.Pid))
			line("  memory (RSS), not logged in", megabytes(rss), "", true)
		}
		s.close()
		if err != nil {
			return err
		}
	}
	spans("  first frame", first, 0)
	return nil
}

// line prints one figure; a budget that is not met stands out.
func line(what, measured, budget string, met bool) {
	if budget != "" && !met {
		budget += "   OVER"
	}
	fmt.Printf("%-44s %14s   %s\n", what, measured, strings.TrimSpace(budget))
}

// spans prints the median and the worst of some times; budget 0 is none.
func spans(what string, all []time.Duration, budget time.Duration) {
	slices.Sort(all)
	median, worst := all[len(all)/2], all[len(all)-1]
	words := ""
	if budget > 0 {
		words = budget.String()
	}
	line(what, milliseconds(median), words, budget == 0 || median <= budget)
	line("  the slowest of "+fmt.Sprint(len(all)), milliseconds(worst), "", true)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func octets(what string, measured, budget float64) {
	line(what, fmt.Sprintf("%.0f", measured), fmt.Sprintf("%.0f", budget), measured <= budget)
}

func megabytes(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
