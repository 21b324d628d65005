package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSearchInTheDemo searches as one types, goes to what is found, and comes back
// with the draft still there.
func TestSearchInTheDemo(t *testing.T) {
	t.Parallel()
	me := newPerson(t, "the demo")
	me.pin = "246810"
	me.run("demo")
	me.See("demo PIN 246810")
	me.unlock()
	me.SeeMatch(`\A Okafor, Ada`)
	me.Type("half a thou")
	me.See("half a thou")
	me.Type("\x06")
	me.See("search", "Words, or from:NAME")
	me.Type("spironol")
	me.See("1 found", "Hold the spironolactone. ECG?")
	me.Type(" from:nobody")
	me.See("Who is nobody?")
	me.Type(strings.Repeat("\x7f", len("nobody")) + "okafor on:1999")
	me.See("from Okafor, Ada", "nothing found")
	me.Type(strings.Repeat("\x7f", len(" on:1999")))
	me.See("1 found")
	me.Type("\r")
	me.SeeMatch(`(?m)^>.*Hold the spironolactone`)
	me.Type("\x1b")
	me.See("1 found")
	me.Type("\x1b")
	me.SeeMatch(`(?m)^ >  half a thou`)
	me.quit()
	if s := me.Scrollback(); strings.Contains(s, "spironolactone") {
		t.Errorf("left in the terminal after the end:\n%s", s)
	}
}

// TestCatchUpWhileTyping comes back after a day in a busy conversation: everything
// is there, in order, and can be found, and keys are answered meanwhile.
func TestCatchUpWhileTyping(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	ada := start(t, s, people[0], s.WebSocket)
	per := newPerson(t, "Per")
	per.join(s, people[1])
	per.talkTo("Okafor, Ada")
	per.say("I am off until tomorrow")
	per.delivered("I am off until tomorrow")
	per.quit()

	const n = 3000
	for i := range n {
		if _, err := ada.Send(ctx, s.Address(people[1]), fmt.Sprintf("report %04d of the day", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := ada.Until(ctx, "everything at the relay", func() (bool, error) { return ada.State().Queued == 0, nil }); err != nil {
		t.Fatal(err)
	}
	per.run()
	per.unlock()
	for i := range 20 { // typed while thousands come in
		began := time.Now()
		per.Type(fmt.Sprintf("x%02d", i))
		per.See(fmt.Sprintf("x%02d", i))
		t.Logf("key %d answered after %v", i, time.Since(began).Round(time.Millisecond))
	}
	per.Type("\x15/search \"report 2999\"\r")
	per.See("1 found", "report 2999 of the day")
	per.Type("\x15report 0000")
	per.See("1 found", "report 0000 of the day")
	per.Type("\r")
	per.SeeMatch(`(?m)^>.*report 0000 of the day`)
	per.See("report 0001 of the day", "2,9")
	per.quit()
	exercised(t, "catching up with 3,000 messages in a terminal")
}
