package store

import (
	"testing"
	"time"
)

// The words of a message that is gone are not left in what was to correct it.
func TestDraftAboutAMessageThatGoes(t *testing.T) {
	for _, one := range []struct {
		name        string
		draft, then Draft
	}{
		{"correction", Draft{Text: "Give 10 mg", Corrects: true}, Draft{}},
		{"answer", Draft{Text: "Why?"}, Draft{Text: "Why?"}},
	} {
		t.Run(one.name, func(t *testing.T) {
			s := memory(t)
			update(t, s, func(tx *Tx) error {
				m, other := outgoing(ben, "o1", 1), outgoing(ben, "o2", 2)
				for _, m := range []*Message{m, other} {
					if _, err := tx.AddMessage(m); err != nil {
						return err
					}
				}
				one.draft.Message = m.ID
				if err := tx.SetDraft(ben, one.draft); err != nil {
					return err
				}
				if _, err := tx.forget(other.ID, Recalled, ben, time.Now()); err != nil {
					return err
				}
				if got, err := tx.Draft(ben); err != nil || got != one.draft {
					t.Errorf("another message took it along: %+v, %v", got, err)
				}
				if _, err := tx.forget(m.ID, RanOut, "", time.Now()); err != nil {
					return err
				}
				got, err := tx.Draft(ben)
				if got != one.then {
					t.Errorf("got %+v", got)
				}
				return err
			})
		})
	}
}
