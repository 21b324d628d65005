package test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sotto/test/profanity"
	"sotto/test/server"
)

// TestDemo is what somebody does who has just cloned the repository: "make
// run", the PIN that the screen says, a message to a colleague, "delivered" and
// the answer, Ctrl+L, the PIN again, and all still there.
func TestDemo(t *testing.T) {
	t.Parallel()
	me := newPerson(t, "the demo")
	me.pin = "246810"
	me.run("demo")
	me.See("s o t t o", "demo PIN 246810")
	me.unlock()

	// The colleague who answers is there, with a little history.
	me.SeeMatch(`\A Okafor, Ada`)
	me.See("Hold the spironolactone. ECG?")

	const question, answer = "Bed 4 blood pressure is 90 to 50", "And the trend? Give me the last three readings."
	me.say(question)
	me.delivered(question)
	me.See(answer)

	me.lock()
	if s := me.Screen(); strings.Contains(s, "blood pressure") || strings.Contains(s, "Okafor") {
		t.Errorf("locked, and still readable:\n%s", s)
	}
	me.unlock()
	me.See(question, answer)
	me.delivered(question)
	me.quit()
	if s := me.Scrollback(); strings.Contains(s, "blood pressure") {
		t.Errorf("left in the terminal after the end:\n%s", s)
	}
	nothingLeft(t, me.tmp())
	exercised(t, "sotto demo, embedded relay")
}

// nothingLeft holds that a folder is empty.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("left behind in the folder for temporary files: %s", e.Name())
	}
}

// TestTwoSottos is the demo's story against a real server, with a second sotto
// at the other end.
func TestTwoSottos(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		people := team(t, s, "Okafor, Ada", "Lind, Per")
		ada, per := newPerson(t, "Ada"), newPerson(t, "Per")
		ada.join(s, people[0])
		per.join(s, people[1])

		ada.talkTo("Lind, Per")
		ada.say("Bed 9 potassium came back 6.8")
		ada.delivered("Bed 9 potassium came back 6.8")
		per.talkTo("Okafor, Ada")
		per.See("Bed 9 potassium came back 6.8")
		per.say("Hold the spironolactone. ECG?")
		ada.See("Hold the spironolactone. ECG?")
		per.delivered("Hold the spironolactone. ECG?")

		// While Ada is locked, a message waits, and the lock screen says no
		// more than that.
		ada.lock()
		per.say("I am four minutes away.")
		ada.See("1 waiting")
		if s := ada.Screen(); strings.Contains(s, "four minutes") || strings.Contains(s, "Lind") {
			t.Errorf("the lock screen says who or what:\n%s", s)
		}
		ada.unlock()
		ada.See("Bed 9 potassium came back 6.8", "Hold the spironolactone. ECG?", "I am four minutes away.")
		per.delivered("I am four minutes away.")

		// From now on the PIN is all that Ada needs to know.
		ada.quit()
		ada.run()
		ada.unlock()
		ada.talkTo("Lind, Per")
		ada.See("Bed 9 potassium came back 6.8", "I am four minutes away.")
		ada.say("K is 5.1 now")
		per.See("K is 5.1 now")
		ada.delivered("K is 5.1 now")
		ada.quit()
		per.quit()
		exercised(t, fmt.Sprintf("sotto with sotto over %s", s.Name))
	})
}

// TestProfanity talks with somebody who uses another program, on each server,
// with each side being the one who starts.
func TestProfanity(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		if s.Client == 0 {
			return // profanity does not speak WebSocket
		}
		for _, starter := range []string{"sotto", "profanity"} {
			t.Run(starter+"_starts", func(t *testing.T) {
				t.Parallel()
				needProfanity(t)
				people := team(t, s, "Okafor, Ada", "Lind, Per")
				ada := newPerson(t, "Ada")
				per := profanity.Start(t, s, people[1])
				ada.join(s, people[0])
				ada.talkTo("Lind, Per")
				if starter == "sotto" {
					ada.say("Bed 9 potassium came back 6.8")
					ada.delivered("Bed 9 potassium came back 6.8")
					per.Secure(s.Address(people[0]))
					per.Hear("Bed 9 potassium came back 6.8")
					per.Say("Hold the spironolactone")
					ada.See("Hold the spironolactone")
				} else {
					per.Secure(s.Address(people[0]))
					per.Say("Bed 9 potassium came back 6.8")
					ada.See("Bed 9 potassium came back 6.8")
					ada.say("Hold the spironolactone")
					ada.delivered("Hold the spironolactone")
					per.Hear("Hold the spironolactone")
				}
				for i := range 3 {
					mine, theirs := fmt.Sprintf("ECG %d is done", i), fmt.Sprintf("K is 5.%d now", i)
					ada.say(mine)
					per.Hear(mine)
					per.Say(theirs)
					ada.See(theirs)
				}
				ada.delivered("ECG 2 is done")
				ada.quit()
				exercised(t, fmt.Sprintf("sotto with profanity over %s, %s starts", s.Name, starter))
			})
		}
	})
}
