package tui

import (
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// BenchmarkKey is the work of one key at 80x24, from Update to the finished
// picture, with the terminal left out.
func BenchmarkKey(b *testing.B) {
	for _, n := range []int{10, maxLoaded} {
		b.Run(fmt.Sprintf("%d messages", n), func(b *testing.B) {
			f := newFake(newWristwatch().now)
			for i := range n {
				f.say(ada, ada, fmt.Sprintf("line %d of a conversation that has gone on for a while by now", i), time.Duration(2*n-i)*time.Minute, read)
			}
			m := still(b, 80, 24, Config{Open: ada}, f)
			for b.Loop() {
				feedKey(m, "x")
				m.View()
				m.composer().wipe()
			}
		})
	}
}

// BenchmarkMessage is the work of one message that arrives.
func BenchmarkMessage(b *testing.B) {
	f := newFake(newWristwatch().now)
	for i := range 400 {
		f.say(ada, ada, fmt.Sprintf("line %d of a conversation that has gone on for a while by now", i), time.Duration(900-i)*time.Minute, read)
	}
	m := still(b, 80, 24, Config{Open: ada}, f)
	for b.Loop() {
		f.arrive(ada, "and another line")
		run(m, func() tea.Msg { return nil })
		m.View()
	}
}
