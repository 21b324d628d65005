package gate

import (
	"strings"
	"testing"

	"sotto/client/wire"
	"sotto/internal/frame"
	"sotto/internal/role"
)

// A link that was taken over must not reach the terminal through the gate.
func TestWordsOfTheLinkAreHarmless(t *testing.T) {
	control, _, err := role.Pair()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs, err := role.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	defer ours.Close()
	g := &gate{self: &role.Self{Control: role.NewControl(control), Link: ours}, setup: &role.GateSetup{}}
	r, err := g.relay()
	if err != nil {
		t.Fatal(err)
	}
	const words = "Refused.\x1b]52;c;aGVsbG8=\a\x1b[2J\n\u202eyes"
	link := frame.NewConn(theirs)
	for _, m := range []wire.Message{wire.State{Phase: wire.Refused, Words: words}, wire.PasswordChanged{Words: words}} {
		if err := wire.Write(link, m); err != nil {
			t.Fatal(err)
		}
		var got string
		switch m := (<-r.said).(type) {
		case wire.State:
			got = m.Words
		case wire.PasswordChanged:
			got = m.Words
		}
		if !strings.HasPrefix(got, "Refused.") || strings.ContainsAny(got, "\x1b\a\n\u202e") {
			t.Errorf("%T: %q", m, got)
		}
	}
	link.Close()
	if m, ok := <-r.said; ok {
		t.Errorf("after the end: %+v", m)
	}
}
