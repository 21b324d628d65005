package role

import "time"

// WrongPIN is the note of a gate that comes after one that was given a wrong
// PIN. How many there were the gate adds.
const WrongPIN = "That PIN is not right."

// PINDelay is how long a gate waits after so many wrong PINs in a row: nothing
// for two, then 2 s, doubled each time, up to five minutes.
func PINDelay(wrong int) time.Duration {
	if wrong < 3 {
		return 0
	}
	return min(2*time.Second<<min(wrong-3, 10), 5*time.Minute)
}
