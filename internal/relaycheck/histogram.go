package relaycheck

import (
	"math"
	"slices"
	"sync"
	"time"
)

// histogram counts durations in buckets that are 1 % wide, so that its size does not
// depend on how many there are. Safe for concurrent use.
type histogram struct {
	mu      sync.Mutex
	buckets []int
	n       int
	max     time.Duration
}

const (
	growth  = 1.01
	largest = 10 * time.Minute
)

func bucket(d time.Duration) int {
	us := float64(min(max(d, time.Microsecond), largest)) / float64(time.Microsecond)
	return int(math.Log(us) / math.Log(growth))
}

func (h *histogram) add(d time.Duration) {
	b := bucket(d)
	h.mu.Lock()
	defer h.mu.Unlock()
	if b >= len(h.buckets) {
		h.buckets = slices.Grow(h.buckets, b+1-len(h.buckets))[:b+1]
	}
	h.buckets[b]++
	h.n++
	h.max = max(h.max, d)
}

// quantile is the duration that a share of all does not exceed, within 1 %.
func (h *histogram) quantile(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := int(math.Ceil(q * float64(h.n)))
	for b, n := range h.buckets {
		if left -= n; left <= 0 && h.n > 0 {
			return min(time.Duration(math.Pow(growth, float64(b+1))*float64(time.Microsecond)), h.max)
		}
	}
	return h.max
}

// Spread is how durations are spread. In JSON they are milliseconds.
type Spread struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

func (h *histogram) spread() Spread {
	in := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Spread{h.n, in(h.quantile(0.5)), in(h.quantile(0.9)), in(h.quantile(0.99)), in(h.max)}
}
