package tui

import (
	"strings"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/org/policy"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/tui/attach"
)

const keyF5 = "\x1b[15~"

// Who has just joined is not told of a change, but of what changes from then on.
func TestAFirstPolicyIsNoNews(t *testing.T) {
	term := start(t, terminalSetup{})
	term.fake.events <- client.PolicyChanged{Serial: 1, Changes: []string{"lock-after is \"1m\""}, First: true}
	term.fake.events <- client.NoticeEvent{Text: text.Line("Something else.")}
	term.sees("Something else.").misses("new policy")
	term.fake.events <- client.PolicyChanged{Serial: 2}
	term.sees("Your organisation has a new policy. Nothing changes for you.")
}

// What holds can be seen, who decides it, and what one can do about it.
func TestEverySettingAndWhoDecidesIt(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		f.ward()
		f.org.wishes = map[string]policy.Value{"lock-after": policy.Time(30 * time.Second), "paste": policy.Bool(true)}
	}})
	term.press(keyF5).sees("what holds here: no organisation", "lock-after", `"30s"`, "you", "Yours to decide: lock-after in your settings (config.toml).")
	term.press(keyEsc).misses("what holds here")
	term.fake.decides(7, "lock-after = \"1m\"\npaste = false\nretention = \"30d\"\n")
	term.sees("Your organisation has a new policy.")
	term.press("/policy", keyEnter).sees("policy 7 of 22 Nov 2026", `"30s"`, "you, stricter", "The organisation asks for \"1m\".",
		"You can make it stricter in your settings (config.toml): shorter than")
	for range 12 {
		term.press(keyDown)
	}
	term.sees("> paste", "false", "organisation", "You have set true, which the organisation does not allow.", "It cannot be made stricter.")
	term.press(keyDown, keyDown, keyDown).sees("> retention", `"30d"`, "Only the organisation decides it.")
	term.press("\x1b[F").sees("> fhir-endpoint", "not decided").misses("lock-unfocused")
	term.press("\x1b[H").sees("> lock-after")
	term.press(keyEsc).misses("what holds here").sees("Okafor, Ada")
}

func TestAPolicyHoldsWhileTheScreensRun(t *testing.T) {
	settings := Settings{LockAfter: 2 * time.Minute, Curtain: true, AttachFrom: attach.Folders{{Shown: "~/Pictures", Path: "/nowhere"}}}
	term := start(t, terminalSetup{config: func(c *Config) {
		c.Settings = func() Settings { return settings }
		c.AttachFrom = settings.AttachFrom
	}})
	term.paste("one").sees(">  one")
	settings = Settings{LockAfter: time.Minute, NoPaste: true, Curtain: true}
	term.fake.decides(1, "lock-after = \"1m\"\npaste = false\n")
	term.sees("Your organisation has a new policy. From now on lock-after is \"1m\", which is", "stricter", "paste is false")
	term.clock.pass(time.Second)
	term.paste(" two").sees("Pasting is turned off here.", ">  one").misses("two")
	term.clock.pass(time.Second) // what comes at once would be of the paste
	term.press(keyCtrlU, "/attach x", keyEnter).sees("No folder is named to attach files from")
	term.clock.pass(61 * time.Second)
	if r := term.ends(); r.Reason != Idle {
		t.Errorf("ended with %+v", r)
	}
}

func TestManyChangesAreCounted(t *testing.T) {
	term := start(t, terminalSetup{})
	term.fake.decides(1, "paste = false\nreveal = true\nretention = \"1d\"\n")
	term.sees("3 settings change for you: /policy.")
	term.fake.decides(2, "paste = false\nreveal = true\nretention = \"1d\"\nlease = \"7d\"\n")
	term.sees("From now on lease is \"7d\".")
	term.fake.decides(3, "# another word\npaste = false\nreveal = true\nretention = \"1d\"\nlease = \"7d\"\n")
	term.sees("Nothing changes for you.")
}

func member(f *fake) {
	f.ward()
	p, err := policy.New("mercy.example", 1, night, "forwarding = \"organisation\"\n")
	if err != nil {
		panic(err)
	}
	f.org.policy = p
	f.employs(ada, "Okafor, Ada", "physician", "Cardiology", "active")
	f.employs("cardenas@mercy.example", "Cardenas, Luis", "pharmacist", "Pharmacy", "active")
	f.employs("carter@mercy.example", "Carter, Sam", "porter", "Cardiology", "suspended")
}

// Somebody whom nobody here has written to is found by name, and by what they do.
func TestTheDirectoryInTheSwitcher(t *testing.T) {
	term := start(t, terminalSetup{fake: member})
	term.press(keyCtrlK, "carde").sees("Cardenas, Luis", "pharmacist · Pharmacy")
	term.press(keyEnter).sees("Cardenas, Luis   pharmacist, Pharmacy").misses("go to")
	term.press(keyCtrlK, "cardiology").sees("Okafor, Ada", "Carter, Sam", "porter · Cardiology · suspended")
	term.press(keyDown, keyEnter).sees("No conversation: Carter, Sam is suspended.", "go to")
	term.press(keyEsc).misses("go to")
	// A whole address of somebody who does not belong.
	term.press(keyCtrlK, "eve@elsewhere.example").sees("eve@elsewhere.example is not in the directory").misses("Enter writes").
		press(keyEnter).sees("No conversation: eve@elsewhere.example is not in the directory. Your")
	term.press(keyEsc).misses("go to")
	term.press("/to eve@elsewhere.example", keyEnter).sees("No conversation: eve@elsewhere.example is not in the directory.")
	term.press(keyCtrlU, "/to pharmacist", keyEnter).sees("go to", "Cardenas, Luis")
}

// Enter goes to nobody whom the letters that stand there did not find.
func TestWhoWasFoundBeforeIsNotChosen(t *testing.T) {
	f := newFake(newWristwatch().now)
	member(f)
	m := still(t, 80, 24, Config{Open: ada}, f)
	d := &switcher{}
	d.input.set("carden")
	run(m, m.loadPeople(d))
	if found := d.found(m); len(found) != 1 || found[0].peer != "cardenas@mercy.example" {
		t.Fatalf("found %+v", found)
	}
	d.input.set("carter")
	if found := d.found(m); len(found) != 0 {
		t.Errorf("before the directory has answered: %+v", found)
	}
	m.peopleFound(peopleMsg{d: d, query: "carden", list: f.People("carden", 10)}) // late
	if found := d.found(m); len(found) != 0 {
		t.Errorf("after a late answer: %+v", found)
	}
}

func TestWhoSomebodyIsStandsAboveAndUnderF3(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		member(f)
		f.employs(per, "Lind, Per", "pharmacist", "Ward 3", "active")
		f.members = []client.Member{{Address: per, Name: f.convs[2].Name, Affiliation: "member", Devices: []client.Device{device(8, store.Verified)}}}
	}})
	term.press(keyF3).sees("okafor@mercy.example · physician · Cardiology").press(keyEsc).misses("who can read")
	term.press("/to icu", keyEnter).sees("ICU night")
	term.press("/members", keyEnter).sees("lind@mercy.example · pharmacist · Ward 3")
}

func TestPassingAMessageOn(t *testing.T) {
	term := start(t, terminalSetup{fake: member})
	term.press(keyAltUp, keyAltUp, "\x1bp").sees("pass on 19:07, Calcium", "Enter choose")
	term.press("carde").sees("Cardenas, Luis").press(keyEnter).sees("Passed on to Cardenas, Luis.").misses("Enter choose")
	term.press("/forward please go", keyEnter).sees("pass on").press("oka").press(keyEnter).sees("It is in this conversation already.")
	term.press(keyCtrlU, "eve@elsewhere.example", keyEnter).sees("eve@elsewhere.example is not in the directory")
	term.press(keyCtrlU, "haddad", keyEnter).sees("Not passed on: haddad@mercy.example is not in the directory. Messages are")
	sent := term.sent()
	if len(sent) != 1 || !strings.HasPrefix(sent[0], "cardenas@mercy.example [forwarded] "+ada+", 21 Nov 19:07:\n> !stat Calcium") {
		t.Errorf("sent %q", sent)
	}
	term.fake.decides(2, "forwarding = \"nobody\"\n")
	term.sees("new policy")
	term.press("\x1bp").sees("Messages are not passed on: your organisation's policy says so.").misses("Enter choose")
	term.tried("forward " + ada + " 6")
}

// People look for a way to take text along. There is none, and that is said, and noted.
func TestNothingIsTakenAlong(t *testing.T) {
	term := start(t, terminalSetup{config: moused})
	for typed, x := range map[string]struct{ sees, tried string }{
		"/save\r":   {saveWords, "save " + ada + " 0"},
		"/export\r": {saveWords, "save " + ada + " 0"},
		"/print\r":  {saveWords, "save " + ada + " 0"},
		"/copy\r":   {copyWords, "copy " + ada + " 0"},
		"\x18":      {copyWords, "copy " + ada + " 0"},
	} {
		term.clock.pass(3 * time.Second)
		term.press(typed).tried(x.tried)
		term.sees(x.sees[:40]).press("h", keyCtrlU).misses(x.sees[:40])
	}
	term.press(keyAltUp).clock.pass(3 * time.Second)
	term.press("\x03").sees(copyWords).tried("copy " + ada + " 6")
	term.press("h").misses(copyWords)
	term.clock.pass(3 * time.Second)
	before := term.fake.attempts()
	for range 3 { // drawn to and fro is tried once
		term.press(sgr(0, 10, 5, false), sgr(0, 30, 5, true)).sees(dragWords)
	}
	term.quiet()
	if got := term.fake.attempts() - before; got != 1 {
		t.Errorf("noted %d times", got)
	}
}

// Nothing is said of an organisation that is heard; who loses touch is told in time.
func TestTheOrganisationInTheStatusLine(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		member(f)
		f.org.stands = client.Organisation{Name: text.Line("mercy.example"), Heard: night.Add(-time.Minute), Left: time.Hour}
	}})
	term.sees("online").misses("mercy.example not heard")
	term.press(keyF5).sees("mercy.example · heard 19:07 · in touch").press(keyEsc).misses("in touch")
	change := func(f func(*client.Organisation)) {
		term.fake.mu.Lock()
		f(&term.fake.org.stands)
		term.fake.mu.Unlock()
		term.fake.events <- client.OrganisationChanged{}
	}
	change(func(o *client.Organisation) { o.Standing, o.Left = policy.Losing, 26*time.Hour })
	term.sees("online · mercy.example not heard, locks Sun 21:08")
	change(func(o *client.Organisation) { o.Left = 2 * time.Hour })
	term.sees("mercy.example not heard, locks 21:08")
	change(func(o *client.Organisation) { o.Standing, o.Withheld = policy.InTouch, text.Line("policy 7") })
	term.sees("The relay holds something back that mercy.example has signed: policy 7.").misses("not heard")
	change(func(o *client.Organisation) { o.Out = text.Line("you are suspended") })
	term.sees("Nothing is sent, and nothing comes: you are suspended.", "online · not in mercy.example now")
}

// TestSomebodyHasLeft is a conversation with somebody whom the directory has no more:
// the head says so in words that fit, as soon as the directory has changed, and the
// whole sentence stands below.
func TestSomebodyHasLeft(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) {
		member(f)
		f.org.stands = client.Organisation{Name: text.Line("mercy.example"), Heard: night.Add(-time.Minute), Left: time.Hour}
	}})
	term.sees("encrypted, 2 devices ok")
	f := term.fake
	f.mu.Lock()
	f.security[ada] = client.Security{Devices: 2, Warn: true, Short: text.Line("has left: nothing can be sent"),
		Words: text.Line("Okafor, Ada has left. Only people of mercy.example can be written to")}
	f.mu.Unlock()
	f.events <- client.OrganisationChanged{}
	term.sees("has left: nothing can be sent", "Okafor, Ada has left. Only people of mercy.example can be written to").
		misses("no trusted device").misses("/trust")
}
