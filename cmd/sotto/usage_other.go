//go:build !linux

package main

import "sotto/internal/relaycheck"

// usageOf is for Linux.
func usageOf(int) (relaycheck.Usage, bool) { return relaycheck.Usage{}, false }
