package relaycheck

import (
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h histogram
	if s := h.spread(); !reflect.DeepEqual(s, Spread{}) {
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
	if want := []Bucket{{1, 1}, {2, 1}, {5, 3}, {10, 5}, {20, 10}, {50, 30}, {100, 50}, {200, 100}, {500, 300}, {1000, 500}}; !slices.EqualFunc(s.Buckets, want, nearly) {
		t.Errorf("buckets %v, want nearly %v", s.Buckets, want)
	}
	// What makes no sense is counted, too, and costs no memory.
	for _, d := range []time.Duration{-time.Second, 0, math.MaxInt64} {
		h.add(d)
	}
	if s := h.spread(); s.Count != 1003 || len(h.buckets) > 3000 {
		t.Errorf("%d counted in %d buckets", s.Count, len(h.buckets))
	} else if n := len(s.Buckets); n != len(bounds) || s.Buckets[0] != (Bucket{0.1, 2}) || s.Buckets[n-1] != (Bucket{600_000, 1}) {
		t.Errorf("what makes no sense is in the buckets as %v", s.Buckets)
	}
}

// nearly compares buckets: what is at a bound may be on either side of it, 1 % around.
func nearly(got, want Bucket) bool {
	return got.Bound == want.Bound && math.Abs(float64(got.Count-want.Count)) <= 1+0.02*want.Bound
}

// Each bucket has what is longer than the bound before it and no longer than its own.
func TestBuckets(t *testing.T) {
	for i, bound := range bounds {
		var h histogram
		at := func(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
		for range 3 {
			h.add(at(bound * 0.98))
		}
		h.add(at(bound))
		want := []Bucket{{bound, 4}}
		if i+1 < len(bounds) {
			h.add(at(bound * 1.02))
			want = append(want, Bucket{bounds[i+1], 1})
		}
		s := h.spread()
		if !slices.Equal(s.Buckets, want) {
			t.Errorf("around %v ms: %v", bound, s.Buckets)
		}
		sum := 0
		for _, b := range s.Buckets {
			sum += b.Count
		}
		if sum != s.Count {
			t.Errorf("around %v ms the buckets have %d of %d", bound, sum, s.Count)
		}
	}
}

// TestSpreadWhileMoreIsAdded: what is told is of one moment.
func TestSpreadWhileMoreIsAdded(t *testing.T) {
	var h histogram
	var adding sync.WaitGroup
	for i := range 4 {
		adding.Go(func() {
			for j := range 20_000 {
				h.add(time.Duration(i*j) * time.Microsecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { adding.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		s := h.spread()
		sum := 0
		for _, b := range s.Buckets {
			sum += b.Count
		}
		if sum != s.Count || s.P99 > s.Max {
			t.Fatalf("the buckets have %d: %+v", sum, s)
		}
	}
	if n := h.spread().Count; n != 80_000 {
		t.Errorf("%d counted", n)
	}
}
