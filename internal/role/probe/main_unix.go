//go:build unix

package probe

import (
	"sotto/internal/harden"
	"sotto/internal/role"
)

// Main is the life of a probe; it returns the exit code.
func Main() int { return life(confine) }

func life(confine func(*role.ProbeSetup) (harden.Layers, error)) int {
	self, setup, err := role.Enter[*role.ProbeSetup](role.Probe)
	if err != nil {
		return role.ExitFailed
	}
	layers, err := confine(setup)
	if err != nil {
		return self.Fail(err)
	}
	err = self.Control.Send(&role.Confined{Landlock: layers.Landlock, Seccomp: layers.Seccomp})
	for _, a := range harden.Probe(setup.Dir, layers) {
		if err == nil {
			err = self.Control.Send(&role.Tried{Name: a.Name, Kind: a.Kind, By: a.By, Error: a.Error})
		}
	}
	if err != nil {
		return role.ExitFailed
	}
	return role.ExitDone
}

// confine does what the role does.
func confine(setup *role.ProbeSetup) (harden.Layers, error) {
	switch setup.As {
	case role.Desk:
		return harden.Desk(setup.Dir)
	case role.Gate:
		return harden.Gate(setup.Dir)
	case role.Link:
		return harden.Link()
	case role.Watch:
		return harden.Watch()
	}
	return harden.Layers{}, nil // role.Free
}
