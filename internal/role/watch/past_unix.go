//go:build unix

package watch

import (
	"time"

	"sotto/internal/role"
)

// What the watch and the gates know of locking and unlocking is handed to the next
// desk, which has the audit log. It is kept in memory: should the watch be killed,
// the vault still knows of wrong PINs, and the log that it was unlocked.

// happened keeps an event for the next desk.
func (w *watch) happened(what, why string, count int) {
	w.past = role.AddPast(w.past, role.Happened{What: what, Why: why, Count: count, At: time.Now()})
}

// because says why a lock is about to come. The first reason stands.
func (w *watch) because(why string) {
	if w.why == "" {
		w.why = why
	}
}

// wrong keeps that a wrong PIN was given.
func (w *watch) wrong() {
	if w.mode == role.Unlock || w.mode == role.ChangePIN {
		w.happened("unlock-failed", "wrong-pin", w.failures)
	}
}

// unlocked compares how many wrong PINs the vault has counted with what was seen.
func (w *watch) unlocked(tried int) {
	if tried > w.failures {
		w.happened("unlock-failed", "wrong-pin", tried)
	}
}
