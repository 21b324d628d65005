package main

import (
	"sotto/internal/inforce"
	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/watch"
)

// places says the roles where a profile's files are.
func places(p profile.Profile) role.Profile {
	return role.Profile{Name: p.Name, Vault: p.Vault, DeviceKey: p.DeviceKey, Data: p.Data, Database: p.Database}
}

// opening is what the watch is told of a profile that is opened for whatever
// purpose: what protects it has to be the same each time. The errors are those of
// the settings multiplexer and attach-from.
func opening(mode role.Mode, p profile.Profile, c profile.Config, lock *profile.Lock) (watch.Config, error) {
	h, err := holding(p, c)
	if err == nil {
		err = h.permitted()
	}
	if err != nil {
		return watch.Config{}, err
	}
	note, err := surroundings(h.Config)
	if err != nil {
		return watch.Config{}, err
	}
	if h.damage != nil {
		note = damaged
	}
	folders, err := p.Folders(h.Config)
	folders = inforce.Within(folders, h.limits)
	return watch.Config{
		Mode: mode, Profile: places(p), Label: h.Organisation, User: c.Address, Note: note,
		Display: display(h.Config, folders), LogoffAfter: h.LogoffAfter, DestroyAfter: h.DestroyAfter,
		NoTPM: h.rules.NoTPM, NeedTPM: h.rules.NeedTPM, PINLength: h.rules.PINLength, PINMixed: h.rules.PINMixed, Relays: h.rules.Relays,
		Tell: lock.Tell, ComparedOnly: inforce.ComparedOnly(h.all, h.Service), Wishes: h.wishes,
	}, err
}

// display are the settings of the screens.
func display(c profile.Config, folders []profile.Folder) role.Display {
	var from []role.Folder
	for _, f := range folders {
		from = append(from, role.Folder(f))
	}
	return role.Display{
		AttachFrom: from,
		Theme:      c.Theme, LockAfter: c.LockAfter, LockUnfocused: c.LockUnfocused,
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
