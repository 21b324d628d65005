package link

import (
	"math/rand/v2"
	"time"
)

// Bounds of the wait between two attempts.
const (
	minBackoff   = time.Second
	maxBackoff   = time.Minute
	laterBackoff = 5 * time.Minute // where a person has to act first
)

// backoff is how long to wait after attempt failures in a row (0 is the first):
// between half of and the whole of 1 s, 2 s, 4 s … 60 s, at random, so that the
// clients of a relay that restarts do not all come back at once.
func backoff(attempt int) time.Duration {
	d := maxBackoff
	if attempt < 6 {
		d = minBackoff << attempt
	}
	return max(minBackoff, d/2+rand.N(d/2+1))
}
