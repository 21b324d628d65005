package watch

import "time"

// wall is the time of day: it goes on while the machine sleeps, but can be set.
func wall() time.Duration { return time.Duration(time.Now().UnixNano()) }
