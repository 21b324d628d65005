//go:build unix && !linux

package watch

import "time"

func clock() time.Duration { return wall() }
