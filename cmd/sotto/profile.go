package main

import (
	"sotto/internal/profile"
	"sotto/internal/role"
)

// places says the roles where a profile's files are.
func places(p profile.Profile) role.Profile {
	return role.Profile{Name: p.Name, Vault: p.Vault, DeviceKey: p.DeviceKey, Data: p.Data, Database: p.Database}
}

// display are the settings of the screens.
func display(c profile.Config) role.Display {
	return role.Display{
		Theme: c.Theme, LockAfter: c.LockAfter, LockUnfocused: c.LockUnfocused,
		Curtain: c.Curtain, Reveal: c.Reveal, Mouse: c.Mouse, Paste: c.Paste, Quiet: !c.Bell,
	}
}

// load finds a profile with a vault, reads its settings and takes it for this
// process. The caller unlocks it.
func load(name string) (profile.Profile, profile.Config, *profile.Lock, error) {
	p, err := profile.Paths(name)
	if err != nil {
		return p, profile.Config{}, nil, err
	}
	exists, err := p.Exists()
	if err != nil {
		return p, profile.Config{}, nil, err
	}
	if !exists {
		return p, profile.Config{}, nil, hint(name)
	}
	c, err := p.Load()
	if err != nil {
		return p, c, nil, err
	}
	if err := p.Make(); err != nil { // closes to others what was left open
		return p, c, nil, err
	}
	lock, err := p.Lock()
	if err != nil {
		return p, c, nil, err
	}
	if err := lost(p); err != nil {
		lock.Unlock()
		return p, c, nil, err
	}
	return p, c, lock, nil
}
