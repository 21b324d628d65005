//go:build unix

package watch

import "sotto/internal/role"

// obey takes the rules that the organisation has changed, as the desk has read and
// checked them. What is for gates holds from the next one on.
func (w *watch) obey(r role.Rules) {
	w.cfg.Display.LockAfter, w.cfg.LogoffAfter = r.LockAfter, r.LogoffAfter
	w.cfg.DestroyAfter, w.cfg.NoTPM, w.cfg.NeedTPM = r.DestroyAfter, r.NoTPM, r.NeedTPM
	w.cfg.PINLength, w.cfg.PINMixed, w.cfg.Relays = r.PINLength, r.PINMixed, r.Relays
}
