package stanza

import (
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	answer := func(children ...*Element) *Element {
		return New(NSClient, "iq", New(NSDiscoInfo, "query", children...)).With("type", "result")
	}
	form := func(seconds string) *Element {
		return DataForm{Type: "result", FormType: nsRetention, Fields: []FormField{{Var: "messages", Values: []string{seconds}}}}.Element()
	}
	for name, c := range map[string]struct {
		iq   *Element
		keep time.Duration
		said bool
	}{
		"30 days":   {answer(RetentionInfo(720 * time.Hour)), 720 * time.Hour, true},
		"no limit":  {answer(RetentionInfo(0)), 0, true},
		"not said":  {answer(), 0, false},
		"nothing":   {nil, 0, false},
		"no number": {answer(form("a week")), 0, false},
		"negative":  {answer(form("-1")), 0, false},
		"huge":      {answer(form("4294967295")), 0, false},
		"other":     {answer(UploadInfo(1000)), 0, false},
	} {
		if keep, said := ReadRetention(c.iq); keep != c.keep || said != c.said {
			t.Errorf("%s: %v %v", name, keep, said)
		}
	}
}
