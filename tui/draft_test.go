package tui

import (
	"testing"

	"sotto/client/store"
)

// What was being corrected or answered when it locked still is after unlocking:
// sent as a message of its own it would say something else.
func TestLockingKeepsWhatADraftIsAbout(t *testing.T) {
	for _, one := range []struct {
		name  string
		press []string
		draft store.Draft
		hint  string
	}{
		{"correct", []string{keyAltE, " Repeat."}, store.Draft{Text: "ECG: peaked T, no widening. Repeat.", Message: 4, Corrects: true}, "corrects 19:05, ECG: peaked T"},
		{"answer", []string{keyAltR, "Yes"}, store.Draft{Text: "Yes", Message: 6}, "answers 19:07, Repeat K"},
	} {
		t.Run(one.name, func(t *testing.T) {
			term := start(t, terminalSetup{})
			term.press(one.press...).sees(one.hint, ">  "+one.draft.Text).press(keyCtrlL)
			r := term.ends()
			got, err := term.fake.Draft(t.Context(), ada)
			if err != nil || got != one.draft {
				t.Fatalf("the draft is %+v, %v", got, err)
			}
			again := start(t, terminalSetup{config: func(c *Config) { c.Place, c.Open = r.Place, "" }, fake: func(f *fake) {
				f.ward()
				f.drafts[ada] = got
			}})
			again.sees(">  "+got.Text, one.hint).press(keyEsc).misses(one.hint)
		})
	}
}

// A message that was taken back meanwhile is not corrected or answered any more.
func TestADraftAboutWhatIsGone(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ward()
		f.drafts[ada] = store.Draft{Text: "Yes", Message: 4711}
	}})
	term.sees(">  Yes", "What you were writing about is no longer here").press(keyEnter).sees("Yes", ">\n")
	term.hasSent(ada + " Yes")
}

func TestACorrectionDoesNotBecomeAnAnswer(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press(keyAltE).sees("corrects 19:05, ECG").press(keyAltR).sees("You are correcting a message").press("!")
	term.sees("corrects 19:05, ECG")
}
