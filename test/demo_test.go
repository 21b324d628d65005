package test

import "testing"

// TestColleaguesInTheDemo tries alone what it takes others for: a message that is
// taken back, an image that comes, and a room in which others answer.
func TestColleaguesInTheDemo(t *testing.T) {
	t.Parallel()
	me := newPerson(t, "the demo")
	me.pin = "246810"
	me.run("demo")
	me.See("demo PIN 246810")
	me.unlock()
	me.SeeMatch(`\A Okafor, Ada`)

	me.talkTo("Cardenas, Luis")
	me.say("How much insulin?")
	me.See("Insulin 100 units")
	me.SeeMatch(`taken back by Cardenas (at|on \d+ \w+) \d\d:\d\d`)
	me.See("it was for another bed")
	me.SeeGone("Insulin 100 units")

	me.talkTo("Lind, Per")
	me.say("Yes, please")
	me.SeeMatch(`\[image\] ecg-bed12\.png`)
	me.Press("Enter")
	me.See("1200 x 480", "▀▀▀▀▀▀▀▀", "nothing is saved")
	me.SeeGone("Alt+R answer")
	me.Press("q")
	me.SeeGone("▀")

	me.Enter("/room Night shift")
	me.See("nobody else is in this room yet")
	me.Enter("/invite okafor@mercy.example")
	me.See("Okafor can read here now")
	me.Enter("/invite cardenas@mercy.example")
	me.See("Cardenas can read here now")
	me.say("Who is there?")
	me.SeeMatch(`Okafor +Here\. On call`)
	me.SeeMatch(`Cardenas +Pharmacy is here`)
	me.quit()
	nothingLeft(t, me.tmp())
	exercised(t, "the colleagues of sotto demo")
}
