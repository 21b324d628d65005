package test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestChangeOfKey changes the organisation's key while somebody is there, somebody is
// away, and somebody holds an invitation; and then its recovery key. Everything goes on.
func TestChangeOfKey(t *testing.T) {
	s := embedded(t)
	h := newHospital(t, s)
	h.serve()
	ada := h.employs("ada", "Okafor, Ada", "--role", "physician")
	rana := h.employs("rana", "Haddad, Rana", "--role", "nurse")
	rana.quit()
	h.invites("late", "Early, Lee")
	h.org("order", "lock", "rana@"+s.Domain, "--reason", "a drill", "--yes")

	told := ada.Watch(organisation + " has changed its key")
	out := h.runs("org", "rotate", "--reason", "once a year", "--pin-file", h.pinFile, "--yes", "--wait", patience.String())
	if !strings.Contains(out, "Whom to invite again:\n  late@"+s.Domain) {
		t.Errorf("what became void is not said: %q", out)
	}
	if st := h.org("status").Status; st.Keys != 1 || len(st.Invitations) != 0 || st.Left.Items != 0 {
		t.Errorf("afterwards it stands at %+v", st)
	}
	told()

	// What the new key signs holds: a policy, and who comes now.
	h.policy = strings.Replace(h.policy, "50m", "20m", 1)
	h.org("policy", "set", h.file("policy", h.policy), "--yes")
	ada.SeeMatch(`lock in (20|1?\d) min`)
	per := h.employs("per", "Lind, Per", "--role", "nurse")
	ada.talkTo("Lind, Per")
	ada.say("Welcome to the ward")
	ada.delivered("Welcome to the ward")
	per.talkTo("Okafor, Ada")
	per.See("Welcome to the ward")

	// Whose invitation became void is invited again.
	code, pin := h.invites("late", "Early, Lee", "--reset")
	again := newPerson(t, "Early, Lee")
	again.joinWith(s, code, pin)
	again.quit()

	// Who was away follows: the key, the policy, and the order that was given before.
	rana.run()
	rana.See("s o t t o", "PIN")
	rana.Enter(rana.pin)
	rana.See(organisation+" has locked this device (a", "Enter the PIN to go on.")
	rana.Enter(rana.pin)
	rana.See("online", "F1 help")
	h.eventually("the order of before is carried out once", func() bool { return slices.Equal(h.became("lock", "rana"), []string{"obeyed"}) })
	rana.SeeMatch(`lock in (20|1?\d) min`)
	rana.talkTo("Okafor, Ada")
	rana.say("Back again")
	rana.delivered("Back again")

	// A further device.
	code, pin = h.invites("ada", "", "--device")
	phone := newPerson(t, "Okafor, Ada, on another machine")
	phone.joinWith(s, code, pin)
	if n := h.devices("ada"); n != 2 {
		t.Errorf("Ada has %d devices", n)
	}
	phone.quit()

	// Another recovery key: the old one opens no more once the vault has the new one.
	twice := func() { // a vault takes a recovery key over the second time
		for range 2 {
			ada.lock()
			ada.unlock()
			ada.See("online", "F1 help")
		}
	}
	twice()
	next := filepath.Join(h.home, "recovery2")
	out = h.runs("org", "recovery-key", "--recovery-file", next, "--org", organisation)
	i := strings.Index(out, `recovery-key = "`)
	if i < 0 {
		t.Fatalf("no line for the policy in %q", out)
	}
	lines := slices.DeleteFunc(strings.Split(h.policy, "\n"), func(line string) bool { return strings.HasPrefix(line, "recovery-key") })
	h.policy = strings.Join(lines, "\n") + out[i:]
	told = ada.Watch("Your organisation has a new policy")
	h.org("policy", "set", h.file("policy", h.policy), "--yes")
	told()
	twice()
	ada.quit()
	opens := func(file string) {
		ada.run("org", "recover", "default", "--reason", "emergency", "--by", h.contact, "--key-file", file)
	}
	opens(h.keyFile)
	ada.See("this is not the recovery key of")
	if code := ada.Exit(); code != 1 {
		t.Errorf("with the key of before it ended with %d", code)
	}
	opens(next)
	ada.See("Lind, Per")
	ada.Press("C-l")
	ada.See("The vault is locked.")
	ada.Exit()
	exercised(t, "a change of the organisation's key, and of its recovery key")
}
