package role

import "time"

// PINDelay is how long a gate waits after so many wrong PINs in a row: nothing
// for two, then 2 s, doubled each time, up to five minutes.
func PINDelay(wrong int) time.Duration {
	if wrong < 3 {
		return 0
	}
	return min(2*time.Second<<min(wrong-3, 10), 5*time.Minute)
}
