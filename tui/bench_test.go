package tui

import (
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/text"
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

// BenchmarkKeyWhileCatchingUp is the work of one key between batches of messages
// that come from the archive, as many as are stored at once, in the open
// conversation.
func BenchmarkKeyWhileCatchingUp(b *testing.B) {
	f := newFake(newWristwatch().now)
	f.ward()
	m := still(b, 80, 24, Config{Open: ada}, f)
	m.state.CaughtUp = false
	n := 0
	var worst, batches time.Duration
	for b.Loop() {
		b.StopTimer()
		var batch eventsMsg
		for range 128 {
			n++
			one := f.msgs[ada][1]
			one.ID, one.Place, one.Body = int64(1000+n), int64(1000+n), text.Sanitize(fmt.Sprintf("report %d of the day, from the ward", n))
			batch = append(batch, client.MessageAdded{Message: one})
		}
		b.StartTimer()
		began := time.Now()
		m.Update(batch)
		key := time.Now()
		m.Update(tea.KeyPressMsg{Code: 'x', Text: "x"})
		worst = max(worst, time.Since(began))
		batches += key.Sub(began)
		m.composer().wipe()
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
	b.ReportMetric(float64(n)/batches.Seconds(), "messages/s")
}
