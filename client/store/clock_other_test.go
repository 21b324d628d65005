//go:build !linux

package store

import "time"

var started = time.Now()

func processor() time.Duration { return time.Since(started) }
