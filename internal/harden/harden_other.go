//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly

package harden

func early() error { return nil }

func state() []Applied { return nil }
