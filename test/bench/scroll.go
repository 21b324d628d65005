package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// scrolling goes far up in a long conversation, page by page, and looks at what
// the desk needs for it, at the beginning and at the end.
func scrolling(ctx context.Context, b *bench) error {
	const waiting, pages, room = 10_000, 400, 20e6
	ada, err := newAda(ctx, b)
	if err != nil {
		return err
	}
	s, err := ada.converse(ctx)
	if err != nil {
		return err
	}
	if err := ada.w.writes(ctx, "ada@"+domain, waiting); err != nil {
		return err
	}
	if _, err := s.see(ctx, fmt.Sprintf("message %d of", waiting-1)); err != nil {
		return err
	}
	s.quiet(3 * time.Second)
	desk := func() (rss int) {
		for _, pid := range tree(s.cmd.Process.Pid) {
			if strings.Contains(name(pid), "desk") {
				rss, _ = memory([]int{pid})
			}
		}
		return rss
	}
	before := desk()
	var times []time.Duration
	for range pages {
		was := s.text()
		d, err := s.afterThat(ctx, "\x1b[5~", "the page before", func(text string) bool { return text != was })
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	s.quiet(time.Second)
	grown := desk() - before
	span("PgUp to the page before", times, "pages of a conversation of 10,000", 50*time.Millisecond)
	row("memory of the desk, after scrolling", megabytes(before+grown), fmt.Sprintf("RSS after %d pages; %s before", pages, megabytes(before)),
		fmt.Sprintf("<= +%.0f MB", room/1e6), float64(grown) <= room)
	return nil
}
