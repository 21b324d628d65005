//go:build unix

package watch

import "sotto/internal/role"

// What an organisation orders, the desk obeys, and while there is none the link does
// what it can. Both have checked who signed it, have acknowledged it, and tell the
// watch, which does the rest. It believes them as far as they could do the same
// without it: lock and log off. A wipe is done by a gate, which checks the order
// itself with what the last desk told of the organisation (role.Warrant). A link that
// asks for one while there is a desk was overtaken by it, or was taken over: the desk
// fetches orders by itself, and what the link has asked for waits until the desk has
// locked.

// ordered does what the organisation has ordered.
func (w *watch) ordered(by *role.Child, m *role.Ordered) error {
	switch m.Do {
	case role.ToLock:
		if by == w.desk {
			w.note = m.Words
			w.because("by-order")
			w.lock()
			return nil
		}
		w.dealtWith(m.Dealt)
	case role.ToLogOff:
		if by == w.link {
			w.dealtWith(m.Dealt)
		}
		w.logOff("by-order")
		return w.dark(m.Words)
	case role.ToWipe:
		if w.warrant == nil { // nobody could check it
			by.Kill()
			return nil
		}
		if by == w.link && w.desk != nil {
			w.wanted = m
			return nil
		}
		return w.wipe(m)
	}
	return nil
}

// dealtWith keeps for the next desk that an order needs nothing more.
func (w *watch) dealtWith(d role.Dealt) {
	if len(w.dealt) == role.MaxDealt {
		w.dealt = w.dealt[1:]
	}
	w.dealt = append(w.dealt, d)
}

// dark locks, and where it is locked shows why there.
func (w *watch) dark(words string) error {
	switch {
	case w.desk != nil && w.lockedAt.IsZero():
		w.note = words
		w.because("by-order")
		w.lock()
	case w.gate != nil && !w.gateOK && w.mode == role.Unlock:
		w.note = words
		return w.startGate()
	}
	return nil
}

// wipe ends desk and gate and has another gate destroy the vault. Until that has
// happened nothing else is started.
func (w *watch) wipe(m *role.Ordered) error {
	if w.mode == role.Wipe {
		return nil
	}
	w.because("by-order")
	w.lock()
	if w.desk != nil {
		w.killDesk()
		w.finish(lockAnswer, w.desk)
		w.repair()
	}
	w.proof, w.mode, w.wanted = m.Proof, role.Wipe, nil
	return w.startGate()
}

// unwiped goes back to the lock screen after a gate that has destroyed nothing, and
// says why. What asked for it does so again, if it was meant.
func (w *watch) unwiped(said string) error {
	w.mode, w.proof, w.note = role.Unlock, role.Proof{}, said
	return w.startGate()
}
