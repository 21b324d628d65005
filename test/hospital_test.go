package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sotto/test/server"
)

// TestHospital plays a small hospital: it is founded, ten people and programs are
// invited and join, the policy changes, a message is recalled by order, a device is
// lost, somebody leaves, a machine is backed up and restored, and a vault is opened in
// an emergency. All the while an auditor collects what the devices log.
func TestHospital(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		h := newHospital(t, s)
		h.serve()

		// Ten invitations.
		a := h.audits()
		ada := h.employs("ada", "Okafor, Ada", "--role", "physician", "--department", "Cardiology")
		per := h.employs("per", "Lind, Per", "--role", "nurse", "--department", "Cardiology")
		rana := h.employs("rana", "Haddad, Rana", "--role", "nurse", "--department", "Cardiology")
		for i := range 6 {
			h.deploys(fmt.Sprintf("monitor%d", i), fmt.Sprintf("Monitor %d", i), "--role", "monitor")
		}
		if st := h.org("status").Status; st.Active != 11 || st.Devices != 11 || st.Without != 0 {
			t.Errorf("afterwards it stands at %+v", st)
		}

		// They talk, and nobody had to compare anything.
		ada.talkTo("Lind, Per")
		ada.say("Bed 9: potassium 6.1 #mrn:441207735198")
		ada.delivered("Bed 9: potassium 6.1 #mrn:441207735198")
		per.talkTo("Okafor, Ada")
		per.See("Bed 9: potassium 6.1")
		var alarm line
		h.eventually("a program that has compared nothing sends", func() bool {
			r := h.services[1].send("ada@"+s.Domain, "Monitor 0: asystole")
			if r.out != "" {
				alarm = parse(t, r.out)
			}
			return r.code == 0 && alarm.State == "delivered"
		})

		// The policy changes, and is in force on the screens that are there.
		for _, p := range []*person{ada, per, rana} {
			p.SeeMatch(`lock in (50|[34]\d|2[1-9]) min`)
		}
		h.policy = strings.Replace(h.policy, "50m", "20m", 1)
		h.org("policy", "set", h.file("policy", h.policy), "--yes")
		for _, p := range []*person{ada, per, rana} {
			p.SeeMatch(`lock in (20|1?\d) min`)
		}

		// The organisation recalls a message that was for another patient.
		ada.say("Bed 4: midazolam 100 mg")
		ada.delivered("Bed 4: midazolam 100 mg")
		per.See("Bed 4: midazolam 100 mg")
		id := ada.messageID()
		a.logged("per", "message-shown", "peer=ada@"+s.Domain, "message="+id) // before it is gone
		h.org("order", "recall", "all", "--author", "ada@"+s.Domain, "--message", id, "--reason", "wrong patient", "--yes")
		for _, p := range []*person{ada, per} {
			p.SeeGone("midazolam")
			p.SeeMatch(`taken back by ` + organisation + ` \(wrong patient\) (at|on \d+ \w+) \d\d:\d\d`)
			p.See("Bed 9: potassium 6.1")
		}
		h.eventually("the devices that had it say so", func() bool {
			return slices.Equal(h.became("recall", "ada"), []string{"obeyed"}) && slices.Equal(h.became("recall", "per"), []string{"obeyed"}) &&
				slices.Equal(h.became("recall", "rana"), []string{"nothing"})
		})
		a.logged("ada", "message-recalled", "reason=by-order", id)
		a.logged("per", "order-obeyed", "reason=order-recall", id)
		a.follows(id, "ada", "per")

		// A device is lost while it is off.
		rana.talkTo("Okafor, Ada")
		rana.say("written on the device that is lost")
		rana.delivered("written on the device that is lost")
		rana.quit()
		h.org("order", "wipe", "rana@"+s.Domain, "--reason", "left on a train", "--yes")
		obeyed := func() bool { return slices.Contains(h.became("wipe", "rana"), "obeyed") }
		if obeyed() {
			t.Error("a device that is off has obeyed")
		}
		rana.run() // somebody has found it, and the PIN with it
		rana.See("s o t t o", "PIN")
		rana.Enter(rana.pin)
		rana.See("has had this device wiped (left on a train)")
		if screen := rana.Scrollback(); strings.Contains(screen, "written on the device") {
			t.Errorf("what was there was shown:\n%s", screen)
		}
		rana.Exit()
		if out, errs, code := rana.tries("", "doctor", "--store"); code == 0 {
			t.Errorf("its database is there: %s%s", out, errs)
		}
		h.eventually("the device says so", obeyed)

		// Somebody leaves.
		h.org("remove", "per@"+s.Domain, "--reason", "has left", "--yes")
		h.eventually("nobody writes to who has left", func() bool {
			r := h.services[2].send("per@"+s.Domain, "are you there?", "--wait", "10s")
			if r.code != 5 {
				return false // it does not know yet
			}
			got := parse(t, r.out)
			return got.State == "refused" && strings.Contains(got.Reason, "Lind, Per has left")
		})

		// Ada's machine is backed up, and she goes on with a new one.
		backups := filepath.Join(ada.home, "backups")
		if err := os.Mkdir(backups, 0o700); err != nil {
			t.Fatal(err)
		}
		ada.quit()
		ada.run("backup", backups)
		ada.See("PIN")
		ada.Enter(ada.pin)
		if code := ada.Exit(); code != 0 {
			t.Fatalf("sotto backup ended with %d:\n%s", code, ada.Screen())
		}
		code, pin := h.invites("ada", "", "--device")
		again := newPerson(t, "Okafor, Ada, on a new machine")
		again.joinWith(s, code, pin)
		again.quit()
		again.run("restore", backups, "--key-file", h.keyFile)
		again.See("PIN")
		again.Enter(again.pin)
		if code := again.Exit(); code != 0 {
			t.Fatalf("sotto restore ended with %d:\n%s", code, again.Screen())
		}
		again.run()
		again.unlock()
		again.talkTo("Lind, Per")
		again.See("Bed 9: potassium 6.1")
		if n := h.devices("ada"); n != 2 {
			t.Errorf("Ada has %d devices", n)
		}

		// A vault is opened in an emergency.
		ada.run("org", "recover", "default", "--reason", "emergency", "--by", h.contact, "--key-file", h.keyFile)
		ada.See("Lind, Per")
		ada.Press("C-l")
		ada.See("The vault is locked.")
		ada.Exit()

		// Ada reads that, and the auditor has it, as all that was done in the office.
		ada.run()
		ada.See("PIN")
		ada.Enter(ada.pin)
		ada.See("This vault was opened with the recovery key", "an emergency", "Enter to go on")
		ada.Press("Enter")
		ada.See("online")
		a.logged("ada", "emergency-access", "by="+h.contact, "reason=emergency")
		for _, act := range []string{"invited", "approved", "policy-set", "order-recall", "order-wipe", "removed"} {
			a.logged("office", "admin-act", "reason="+act)
		}
		ada.quit()

		// What the auditor has is whole, and has no word of what was written.
		a.ends()
		a.knowsNoText("potassium", "441207735198", "asystole", "midazolam", "wrong patient", "written on", "a train", "are you there", "has left")

		// The report for the risk analysis knows what happened.
		report := h.runs("org", "report", "--pin-file", h.pinFile, "--wait", patience.String(), "--audit", a.folder)
		for _, said := range []string{organisation, "lock-after", "20m", "wipe for", "obeyed", "per@" + s.Domain} {
			if !strings.Contains(report, said) {
				t.Errorf("%q is not in the report:\n%s", said, report)
			}
		}
		a.heardIn("ada", "auditor")
		exercised(t, "a small hospital over "+s.Name)
	})
}
