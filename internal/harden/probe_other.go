//go:build !linux

package harden

func probe(string, Layers) []Attempt { return nil }
