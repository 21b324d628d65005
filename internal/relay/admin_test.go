package relay

import (
	"strings"
	"testing"

	"sotto/client/stanza"
)

func adminForm(command string, fields ...string) string {
	return `<command xmlns="` + nsCommands + `" node="` + adminNode + "#" + command + `" sessionid="s">` + form(adminNode, fields...) + `</command>`
}

func TestAdmin(t *testing.T) {
	dir := t.TempDir()
	s := startRelay(t, Config{Store: dir}, "root", "other", "alice", "bob")
	a, err := OpenAccounts(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, name := range []string{"root", "other"} {
		if err := a.SetAdmin(name, true); err != nil {
			t.Fatal(err)
		}
	}
	root, alice, bob := s.online("root", "r"), s.online("alice", "a"), s.online("bob", "b")
	// Others can do nothing of it, and are not shown it.
	commands := `<query xmlns="` + nsDiscoItems + `" node="` + nsCommands + `"/>`
	if r := alice.must("get", domain, commands); strings.Contains(r.String(), "add-user") {
		t.Errorf("shown: %s", r)
	}
	for _, q := range []string{
		`<command xmlns="` + nsCommands + `" node="` + adminNode + `#add-user"/>`,
		adminForm("add-user", "accountjid", "eve@ward.example", "password", "long enough"),
		adminForm("delete-user", "accountjids", "bob@ward.example"),
		adminForm("change-user-password", "accountjid", "root@ward.example", "password", "long enough"),
	} {
		alice.refused("forbidden", "set", domain, q)
	}
	alice.refused("service-unavailable", "set", "root@ward.example", adminForm("delete-user", "accountjids", "bob@ward.example"))

	// An admin asks for the form, fills it in, and somebody new is there.
	if r := root.must("get", domain, commands); strings.Count(r.String(), "<item") != 3 {
		t.Errorf("shown: %s", r)
	}
	r := root.must("set", domain, `<command xmlns="`+nsCommands+`" node="`+adminNode+`#add-user" action="execute"/>`)
	cmd := r.Child(nsCommands, "command")
	f, err := stanza.ReadDataForm(cmd.Child(nsData, "x"))
	if err != nil || cmd.Get("status") != "executing" || cmd.Get("sessionid") == "" || f.FormType != adminNode {
		t.Fatalf("%s", r)
	}
	x, missing := f.Answer(stanza.Field{Var: "accountjid", Value: "carol@ward.example"}, stanza.Field{Var: "password", Value: password("carol")},
		stanza.Field{Var: "password-verify", Value: password("carol")}, stanza.Field{Var: "given_name", Value: "Carol"}, stanza.Field{Var: "surname", Value: "Cruz"})
	if missing != nil {
		t.Error(missing)
	}
	r = root.must("set", domain, stanza.New(nsCommands, "command", x).With("node", adminNode+"#add-user").With("sessionid", cmd.Get("sessionid")).String())
	if c := r.Child(nsCommands, "command"); c.Get("status") != "completed" || c.Get("sessionid") != cmd.Get("sessionid") {
		t.Errorf("%s", r)
	}
	carol := s.online("carol", "c")
	if r := alice.must("get", "", `<query xmlns="jabber:iq:roster"/>`); !strings.Contains(r.String(), `name="Carol Cruz"`) {
		t.Errorf("roster: %s", r)
	}
	// What is wrong is refused.
	for _, c := range []struct{ condition, q string }{
		{"conflict", adminForm("add-user", "accountjid", "carol@ward.example", "password", "long enough")},
		{"not-acceptable", adminForm("add-user", "accountjid", "dan@elsewhere.example", "password", "long enough")},
		{"not-acceptable", adminForm("add-user", "accountjid", "dan@ward.example", "password", "short")},
		{"not-acceptable", adminForm("add-user", "accountjid", "dan@ward.example", "password", "long enough", "password-verify", "another one")},
		{"item-not-found", adminForm("delete-user", "accountjids", "dan@ward.example")},
		{"item-not-found", adminForm("change-user-password", "accountjid", "dan@ward.example", "password", "long enough")},
		{"not-acceptable", adminForm("delete-user", "accountjids", "other@ward.example")},
		{"not-acceptable", adminForm("delete-user", "accountjids", "root@ward.example")},
		{"not-acceptable", adminForm("change-user-password", "accountjid", "other@ward.example", "password", "long enough")},
		{"bad-request", adminForm("delete-user")},
		{"item-not-found", adminForm("shutdown")},
		{"bad-request", strings.Replace(adminForm("delete-user", "accountjids", "bob@ward.example"), "/admin</value>", "/other</value>", 1)},
	} {
		root.refused(c.condition, "set", domain, c.q)
	}
	root.must("set", domain, adminForm("change-user-password", "accountjid", "carol@ward.example", "password", "another password"))
	if got := carol.ended(); got != "not-authorized" {
		t.Errorf("carol ended with %q", got)
	}
	root.must("set", domain, adminForm("delete-user", "accountjids", "bob@ward.example"))
	if got := bob.ended(); got != "not-authorized" {
		t.Errorf("bob ended with %q", got)
	}
	// Who is no admin any more is none.
	if err := a.SetAdmin("root", false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay to notice", func() bool {
		r := root.iq("set", domain, `<command xmlns="`+nsCommands+`" node="`+adminNode+`#add-user"/>`)
		return errorCondition(r) == "forbidden"
	})
}
