//go:build !linux

package harden

func probe(string) []Attempt { return nil }
