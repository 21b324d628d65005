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

// quantile is the duration that a share of all does not exceed, within 1 %. The lock is
// held.
func (h *histogram) quantile(q float64) time.Duration {
	left := int(math.Ceil(q * float64(h.n)))
	for b, n := range h.buckets {
		if left -= n; left <= 0 && h.n > 0 {
			return min(time.Duration(math.Pow(growth, float64(b+1))*float64(time.Microsecond)), h.max)
		}
	}
	return h.max
}

// bounds of the buckets that are told, in milliseconds: two runs can be compared.
var bounds = []float64{
	0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500,
	1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 600_000,
}

// Bucket is how many durations were no longer than a bound, within 1 %, and longer
// than the bound of the bucket before it: 1, 2 and 5 times a power of ten. The bucket
// of 10 minutes has all that is longer, too: see Last.
type Bucket struct {
	Bound float64 `json:"ms"`
	Count int     `json:"count"`
}

// Last reports whether no bucket comes after this one, so that durations in it may be
// longer than its bound, and what all of them exceed, in milliseconds.
func (b Bucket) Last() (exceeded float64, last bool) {
	n := len(bounds)
	return bounds[n-2], b.Bound == bounds[n-1]
}

// coarse are the buckets from the first to the last one that has something; nil of
// nothing. The lock is held.
func (h *histogram) coarse() []Bucket {
	all := make([]Bucket, len(bounds))
	for i, b := range bounds {
		all[i].Bound = b
	}
	first, last := len(all), -1
	for b, n := range h.buckets {
		if n == 0 {
			continue
		}
		shortest := math.Pow(growth, float64(b)) / 1000 // of what is in it
		i, _ := slices.BinarySearch(bounds, shortest)
		i = min(i, len(all)-1)
		all[i].Count += n
		first, last = min(first, i), max(last, i)
	}
	if last < 0 {
		return nil
	}
	return all[first : last+1]
}

// Spread is how durations are spread. In JSON they are milliseconds.
type Spread struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`

	Buckets []Bucket `json:"buckets,omitempty"` // with rising bounds; their counts add up to Count
}

// spread is of one moment: durations may still be added meanwhile.
func (h *histogram) spread() Spread {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Spread{h.n, in(h.quantile(0.5)), in(h.quantile(0.9)), in(h.quantile(0.99)), in(h.max), h.coarse()}
}
