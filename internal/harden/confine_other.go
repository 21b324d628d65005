//go:build !linux

package harden

func offered() Layers { return Layers{} }

func confineCollector(string) (Layers, error)      { return Layers{}, nil }
func confineDesk(string, []string) (Layers, error) { return Layers{}, nil }
func confineGate([]string) (Layers, error)         { return Layers{}, nil }
func confineLink([]string) (Layers, error)         { return Layers{}, nil }
func confineWatch() (Layers, error)                { return Layers{}, nil }

func dynamic() bool { return false }
