package ward

import "strings"

// The hospital.
const (
	Label  = "Mercy General"    // the organisation
	Domain = "mercy.example"    // of all addresses; never looked up
	PIN    = "246810"           // of the demo person, as the lock screen says
	Self   = "ng"               // the demo person
	Open   = "okafor@" + Domain // the conversation to begin with
)

// person is somebody with an account.
type person struct {
	name    string // the address before the @
	display string
	group   string
}

var self = person{Self, "Ng, Amy", "emergency"}

var colleagues = []person{
	{"okafor", "Okafor, Ada", "cardiology"},
	{"lind", "Lind, Per", "ICU"},
	{"haddad", "Haddad, Rana", "laboratory"},
	{"cardenas", "Cardenas, Luis", "pharmacy"},
}

// line is one message of the history.
type line struct {
	from, to, text string
}

var history = []line{
	{Self, "okafor", "Bed 9 potassium came back 6.8, repeating now. #mrn:44120"},
	{"okafor", Self, "Hold the spironolactone. ECG?"},
	{"okafor", Self, "I am four minutes away."},
	{Self, "okafor", "ECG: peaked T, no widening."},
	{"okafor", Self, "!stat Calcium gluconate 10 ml now. #mrn:44120"},
	{Self, "okafor", "!ack Given, rhythm unchanged."},
	{"okafor", Self, "Good. Repeat K in 30 min and tell me, I am on call until 07:00."},
	{Self, "cardenas", "Do we have insulin and dextrose on the ward for bed 9?"},
	{"cardenas", Self, "Yes, second drawer. I am sending two more sets up."},
	{"lind", Self, "ICU has one bed from 22:00. Do you need it?"},
	{"haddad", Self, "!urgent Bed 4: vancomycin trough is 28. Please hold the next dose. #mrn:41877"},
}

// readBySelf are those whose part of the history the demo person has read.
var readBySelf = []string{"okafor", "cardenas"}

// answers are what Okafor says to a message in which one of the words stands,
// the first that fits. She is on call and short.
var answers = []struct {
	words []string
	text  []string
}{
	{[]string{"!stat"}, []string{"!ack Seen. I am coming, two minutes.", "Stay on the line here and keep the monitor where you can see it."}},
	{[]string{"!urgent"}, []string{"!ack Seen. What do you see on the monitor right now?"}},
	{[]string{"!ack"}, []string{"Thank you."}},
	{[]string{"potassium", "k+", " k ", "6.", "5."}, []string{"Heard. Send another K in 30 min, and a gas if he gets tired."}},
	{[]string{"ecg", "rhythm", "qrs", "monitor"}, []string{"Thanks. Print a long lead II and leave it in the chart, I will look when I am up."}},
	{[]string{"pressure", "systolic", "map ", "mmhg"}, []string{"And the trend? Give me the last three readings."}},
	{[]string{"pain", "chest"}, []string{"When did it start, and does it change with breathing? Troponin now and in three hours."}},
	{[]string{"given", "done", "finished"}, []string{"Good. Tell me if anything changes."}},
	{[]string{"thank", "thanks"}, []string{"Any time. I have the phone until 07:00."}},
	{[]string{"hello", "hi ", "hi,", "good evening", "are you there", "test"}, []string{"Here. On call for cardiology until 07:00. What have you got?"}},
	{[]string{"?"}, []string{"Yes, go ahead. I will look at the chart in a minute."}},
}

// otherwise is said in turn when nothing else fits.
var otherwise = []string{
	"Seen. Keep me posted.",
	"OK. I am on the ward in ten minutes.",
	"Noted. Anything new on the monitor?",
	"Thanks, that is enough for now. Write again if it changes.",
}

// answer is what Okafor says to the nth message she gets.
func answer(text string, n int) []string {
	text = " " + strings.ToLower(text) + " "
	for _, a := range answers {
		for _, word := range a.words {
			if strings.Contains(text, word) {
				return a.text
			}
		}
	}
	return otherwise[n%len(otherwise) : n%len(otherwise)+1]
}
