package profile

import (
	"strings"
	"testing"
)

func TestHolderLine(t *testing.T) {
	for _, h := range []Holder{{PID: 1}, {PID: maxPID, State: LoggedOff, Asked: maxAsked}, {PID: 4711, State: Open}, {PID: 4711, State: Locked, Asked: 3}} {
		s := h.line()
		if len(s) != holderSize {
			t.Errorf("%q has %d bytes", s, len(s))
		}
		if got, err := parseHolder([]byte(s)); err != nil || got != h {
			t.Errorf("%q is read as %+v, %v", s, got, err)
		}
	}
}

func FuzzHolder(f *testing.F) {
	for _, s := range []string{"", "4711\n", "4711 open 3\n", "4711 locked 0", "0 open 1", "-1 open 1", "1 2 3 4", "99999999999 off 1", "7 opcked 1", "7 open 01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHolder([]byte(s))
		if err != nil {
			return
		}
		if h.PID < 0 || h.PID > maxPID || h.Asked < 0 || h.Asked > maxAsked {
			t.Fatalf("%q is read as %+v", s, h)
		}
		if h.PID > 0 {
			if again, err := parseHolder([]byte(h.line())); err != nil || again != h || strings.Count(h.line(), "\n") != 1 {
				t.Fatalf("%+v is written as %q and read as %+v, %v", h, h.line(), again, err)
			}
		}
	})
}
