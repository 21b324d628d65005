//go:build unix

package unattended

import (
	"errors"
	"fmt"
	"os"

	"sotto/internal/role"
)

// ordered does what the organisation has ordered, as the watch does (see there). A
// lock and a log-off end this process: whoever keeps it running starts it again. There
// is a desk as long as there is a link, so a link that obeys orders was taken over.
func (k *keeper) ordered(by *role.Child, m *role.Ordered) {
	if by == k.link {
		by.Kill()
		return
	}
	if m.Do != role.ToWipe {
		if k.err == nil {
			k.err = errors.New(m.Words)
		}
		k.stop()
		return
	}
	switch {
	case k.warrant == nil:
		by.Kill()
		return
	case k.wiping:
		return
	}
	k.wiping = true
	for _, c := range []*role.Child{k.gate, k.desk} {
		if c != nil {
			c.Kill()
		}
	}
	if err := k.wipe(m.Proof); err != nil {
		k.fail(err, event{})
	}
}

// wipe starts the gate that destroys the vault, once desk and gate have ended.
func (k *keeper) wipe(proof role.Proof) error {
	for k.desk != nil || k.gate != nil {
		e := <-k.events
		if e.ended == nil {
			continue
		}
		e.child.Control.Close()
		switch e.child {
		case k.desk:
			k.desk = nil
		case k.gate:
			k.gate = nil
		case k.link:
			k.link = nil
		}
	}
	k.closeEnds()
	keyR, keyW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make the pipe for the key: %w", err)
	}
	keyR.Close()
	defer keyW.Close()
	ours, theirs, err := role.Pair()
	if err != nil {
		return err
	}
	ours.Close()
	defer theirs.Close()
	k.gate, err = role.SpawnOn(role.Gate, &role.GateSetup{
		Mode: role.Wipe, Profile: k.cfg.Profile, Warrant: *k.warrant, Proof: proof,
	}, nil, nil, keyW, theirs)
	if err != nil {
		return err
	}
	k.listen(k.gate)
	return nil
}

// wiped takes the end of that gate.
func (k *keeper) wiped(e event) {
	e.child.Control.Close()
	k.gate = nil
	if e.ended.Code == role.ExitLost {
		k.err = &role.Lost{Words: k.said[e.child]}
		return
	}
	k.fail(errGate, e)
}
