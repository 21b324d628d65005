package relaycheck

import (
	"math"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h histogram
	if s := h.spread(); s != (Spread{}) {
		t.Errorf("of nothing: %+v", s)
	}
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	s := h.spread()
	for _, c := range []struct{ got, want float64 }{{s.P50, 500}, {s.P90, 900}, {s.P99, 990}, {s.Max, 1000}} {
		if math.Abs(c.got-c.want) > 0.015*c.want {
			t.Errorf("%v and not about %v in %+v", c.got, c.want, s)
		}
	}
	if s.Count != 1000 {
		t.Errorf("%d counted", s.Count)
	}
	// What makes no sense is counted, too, and costs no memory.
	for _, d := range []time.Duration{-time.Second, 0, math.MaxInt64} {
		h.add(d)
	}
	if s := h.spread(); s.Count != 1003 || len(h.buckets) > 3000 {
		t.Errorf("%d counted in %d buckets", s.Count, len(h.buckets))
	}
}
