package test

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/test/server"
	"sotto/test/terminal"
)

// TestPartnerOrganisations has two organisations open named people to each other, with
// the commands that their administrators have: on Prosody and ejabberd at two domains,
// on the relay in sotto with two accounts at one.
func TestPartnerOrganisations(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		const theirs = "clinic.example"
		mercy := founds(t, s, organisation, "hospitaloffice", s.Domain)
		clinic := founds(t, s, theirs, "clinicoffice", cmp.Or(s.Partner, s.Domain))
		mercy.serve()
		clinic.serve()
		amira := mercy.employs("amira", "Aziz, Amira", "--role", "physician")
		bo := mercy.deploys("bo", "Bo's pump", "--role", "pump")
		cleo := clinic.employs("cleo", "Costa, Cleo", "--role", "referral")
		emil := clinic.deploys("emil", "Emil's lab", "--role", "lab")
		person := func(h *hospital, name string) string { return name + "@" + h.domain }
		refused := func(p *program, to, words string) {
			t.Helper()
			r := p.send(to, "is anybody there?")
			if r.code == 0 || !strings.Contains(r.out+r.err, words) {
				t.Errorf("%s to %s: %+v, and not %q", p.name, to, r, words)
			}
		}
		refused(bo, person(clinic, "cleo"), "is not in the directory")

		// They agree. The people of neither need be at the domain that it is called by.
		key := func(h *hospital) string { return h.org("partner", "list").Key }
		if _, errs, code := mercy.tries("", "org", "partner", "propose", key(clinic), "--open", person(clinic, "cleo"), "--pin-file", mercy.pinFile, "--wait", patience.String()); code != 1 || !strings.Contains(errs, "Say whose it is: person/"+person(clinic, "cleo")+"@"+theirs) {
			t.Errorf("it is not asked whose somebody at another domain is: %d, %q", code, errs)
		}
		agree := func(open ...string) {
			t.Helper()
			proposal := mercy.runs("org", "partner", "propose", key(clinic), "--open", strings.Join(open, ","), "--pin-file", mercy.pinFile, "--wait", patience.String())
			agreement := clinic.runs("org", "partner", "accept", clinic.file("proposal", proposal), "--contact", mercy.contact, "--pin-file", clinic.pinFile, "--wait", patience.String(), "--yes")
			mercy.runs("org", "partner", "accept", mercy.file("agreement", agreement), "--contact", clinic.contact, "--pin-file", mercy.pinFile, "--wait", patience.String(), "--yes")
		}
		agree(person(mercy, "amira"), "role/referral@"+theirs)
		if list := clinic.runs("org", "partner", "list", "--pin-file", clinic.pinFile, "--wait", patience.String()); !strings.Contains(list, organisation+", agreement 1, in force") || !strings.Contains(list, "opens "+organisation+" person "+person(mercy, "amira")) {
			t.Errorf("the clinic's list:\n%s", list)
		}

		// Who is opened finds the others, and writes to them, both ways.
		amira.finds("Costa, Cleo", theirs)
		amira.say("May I send you bed 9?")
		amira.arrives("May I send you bed 9?")
		cleo.finds("Aziz, Amira", organisation)
		cleo.See("May I send you bed 9?")
		cleo.say("Tomorrow at nine")
		cleo.arrives("Tomorrow at nine")
		amira.See("Tomorrow at nine")

		// Nobody else does.
		refused(bo, person(clinic, "cleo"), "does not open")
		refused(bo, person(clinic, "emil"), "is not in the directory")
		refused(emil, person(mercy, "amira"), "does not open")
		if s.Partner != "" { // everybody on the relay in sotto is a contact of everybody
			amira.Press("C-k")
			amira.See("go to")
			amira.Type("emil")
			amira.Until("finding nobody whom the clinic does not open", func(screen string) bool {
				return strings.Contains(screen, "> emil") && !strings.Contains(screen, "Emil's lab")
			})
			amira.Press("Escape")
			amira.SeeGone("go to")
		}

		// Somebody of there who is opened later is there, and is gone when she has left.
		dina := clinic.employs("dina", "Diaz, Dina", "--role", "referral")
		amira.finds("Diaz, Dina", theirs)
		amira.say("Welcome")
		amira.arrives("Welcome")
		dina.quit()
		since := time.Now()
		clinic.org("remove", person(clinic, "dina"), "--yes")
		amira.closes("Diaz, Dina", since)

		// One of the two ends it.
		amira.talkTo("Costa, Cleo")
		since = time.Now()
		end := clinic.runs("org", "partner", "end", organisation, "--reason", "it is over", "--pin-file", clinic.pinFile, "--wait", patience.String(), "--yes")
		cleo.closes("Aziz, Amira", since)
		amira.closes("Costa, Cleo", since)
		if list := mercy.org("partner", "list").Partners; len(list) != 1 || list[0].State != "in force" {
			t.Errorf("before the hospital has accepted the end: %+v", list)
		}
		mercy.runs("org", "partner", "accept", mercy.file("end", end), "--pin-file", mercy.pinFile, "--wait", patience.String(), "--yes")
		if list := mercy.org("partner", "list").Partners; len(list) != 1 || list[0].State != "ended" {
			t.Errorf("afterwards: %+v", list)
		}
		refused(emil, person(mercy, "amira"), "is not in the directory")

		// They agree anew, after one of them has changed its key.
		clinic.runs("org", "rotate", "--pin-file", clinic.pinFile, "--wait", patience.String(), "--yes")
		agree(person(mercy, "amira"), "person/"+person(clinic, "cleo")+"@"+theirs)
		amira.finds("Costa, Cleo", theirs)
		amira.say("There you are")
		amira.arrives("There you are")
		cleo.finds("Aziz, Amira", organisation)
		cleo.See("There you are")
		mercy.runs("org", "rotate", "--pin-file", mercy.pinFile, "--wait", patience.String(), "--yes")
		if _, errs, code := mercy.tries("", "org", "partner", "accept", mercy.file("end", end), "--pin-file", mercy.pinFile, "--wait", patience.String(), "--yes"); code != 1 || !strings.Contains(errs, "no agreement") {
			t.Errorf("an old end: %d, %q", code, errs)
		}
		agree(person(mercy, "amira"), "person/"+person(clinic, "cleo")+"@"+theirs)
		amira.finds("Costa, Cleo", theirs)
		amira.say("And again")
		amira.arrives("And again")
		cleo.See("And again")
		if p := clinic.org("partner", "list").Partners; len(p) != 1 || p[0].State != "in force" || !slices.Contains(p[0].Opens, theirs+" person "+person(clinic, "cleo")) {
			t.Errorf("%+v", p)
		}
		exercised(t, "two organisations over "+s.Name)
	})
}

// finds opens the conversation with somebody of a partner, once that one has shown them
// and their device.
func (p *person) finds(display, partner string) {
	p.t.Helper()
	name, _, _ := strings.Cut(display, ",")
	for late := time.Now().Add(4 * terminal.Patience); ; { // the list is of when it was opened
		p.Press("C-k")
		p.See("go to")
		p.Type(strings.ToLower(name))
		p.See("> " + strings.ToLower(name))
		if strings.Contains(p.Screen(), display) {
			break
		}
		p.Press("Escape")
		p.SeeGone("go to")
		if time.Now().After(late) {
			p.t.Fatalf("%s does not find %s:\n%s", p.name, display, p.Screen())
		}
		time.Sleep(time.Second)
	}
	p.Press("Enter")
	p.SeeGone("go to")
	p.SeeMatch(`\A ` + display)
	p.partnerShows("that "+display+" can be written to", func(screen string) bool {
		first, _, _ := strings.Cut(screen, "\n")
		return strings.Contains(first, partner) && !strings.Contains(first, "nothing can be sent")
	})
	p.empties()
}

// partnerShows waits for what a partner shows, which is looked at every half minute.
func (p *person) partnerShows(what string, so func(screen string) bool) {
	p.t.Helper()
	for late := time.Now().Add(4 * terminal.Patience); !so(p.Screen()); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(late) {
			p.t.Fatalf("%s does not see %s:\n%s", p.name, what, p.Screen())
		}
	}
}

// refusal reports whether a screen says that somebody cannot be written to.
func refusal(screen string) bool {
	return strings.Contains(strings.Join(strings.Fields(screen), " "), "can be written to")
}

// arrives waits until a message of the person's own is there with somebody of a
// partner, who may have to hear of the agreement first.
func (p *person) arrives(line string) {
	p.t.Helper()
	done := regexp.MustCompile(regexp.QuoteMeta(line) + `\s+(delivered|read)`)
	p.partnerShows("that "+line+" has arrived", done.MatchString)
}

// closes writes to somebody, whose conversation is open, until that is refused.
func (p *person) closes(display string, since time.Time) {
	p.t.Helper()
	for n, late := 1, time.Now().Add(4*terminal.Patience); ; n++ {
		line := fmt.Sprintf("still there, %d?", n)
		p.Type(line)
		p.See(">  " + line)
		p.Press("Enter")
		refused, went := false, regexp.MustCompile(regexp.QuoteMeta(line)+`\s+(sent|delivered|read)`)
		p.partnerShows("that "+line+" went or was refused", func(screen string) bool {
			refused = refusal(screen)
			return refused || went.MatchString(screen)
		})
		if refused {
			p.t.Logf("%s: %s is closed after %v", p.name, display, time.Since(since).Round(time.Millisecond))
			p.empties()
			return
		}
		if time.Now().After(late) {
			p.t.Fatalf("%s still writes to %s:\n%s", p.name, display, p.Screen())
		}
		time.Sleep(time.Second) // until the next try
	}
}

// empties takes away what a refusal has put back into the line. Where the refusal stood
// there before anything was written, it puts it back a moment later.
func (p *person) empties() {
	p.t.Helper()
	written := regexp.MustCompile(`(?m)^ >  \S`)
	var pressed time.Time
	p.Until("empty where messages are written", func(screen string) bool {
		if !written.MatchString(screen) {
			return true
		}
		if time.Since(pressed) > time.Second {
			p.Press("C-u")
			pressed = time.Now()
		}
		return false
	})
}
