package stanza

import (
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	form := DataForm{Type: "form", FormType: nsAdmin, Fields: []FormField{{Var: "accountjid"}, {Var: "password", Type: "text-private"}}}
	answer := New(NSClient, "iq", New(NSCommands, "command", form.Element()).With("node", CommandAddUser).With("sessionid", `a"<b`).With("status", "executing")).With("type", "result")
	c, err := ReadCommand(answer)
	if err != nil || c.Session != `a"<b` || c.Form == nil || c.Status != "executing" {
		t.Fatalf("%+v, %v", c, err)
	}
	b := AppendCommand(nil, "hospital.example", "i1", c, []Field{{"accountjid", "a&b@hospital.example"}}, []byte(`<p&w>`), "password", "password-verify")
	e, err := Parse(b)
	if err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	sent := e.Child(NSCommands, "command")
	got, err := ReadDataForm(sent.Child(nsData, "x"))
	if err != nil || sent.Get("sessionid") != c.Session || got.Value("accountjid") != "a&b@hospital.example" || got.Value("password") != `<p&w>` || got.Value("password-verify") != `<p&w>` || got.FormType != nsAdmin {
		t.Errorf("%s: %+v, %v", b, got, err)
	}
	for name, bad := range map[string]*Element{
		"nothing":     New(NSClient, "iq"),
		"no status":   New(NSClient, "iq", New(NSCommands, "command")),
		"a long id":   New(NSClient, "iq", New(NSCommands, "command").With("status", "completed").With("sessionid", strings.Repeat("x", 2000))),
		"a bad form":  New(NSClient, "iq", New(NSCommands, "command", New(nsData, "x").With("type", "?")).With("status", "executing")),
		"no element":  nil,
		"other words": New(NSClient, "iq", New(NSCommands, "command").With("status", "perhaps")),
	} {
		if c, err := ReadCommand(bad); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	failed := New(NSClient, "iq", New(NSCommands, "command", TextElement(NSCommands, "note", strings.Repeat("x", 5000)).With("type", "error")).With("status", "completed"))
	if c, err := ReadCommand(failed); err != nil || len(c.Failed) != maxNoted {
		t.Errorf("%d bytes, %v", len(c.Failed), err)
	}
}
