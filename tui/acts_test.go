package tui

import (
	"errors"
	"strings"
	"testing"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
)

const (
	keyAltR = "\x1br"
	keyAltE = "\x1be"
	keyAltT = "\x1bt"
	keyAltW = "\x1bw"
)

func TestAcknowledgeWithOneKey(t *testing.T) {
	term := start(t, terminalSetup{})
	term.sees("acknowledge with Alt+Enter").press("half a sentence", keyAltEnter)
	term.sees("ack you 19:08", "ACK", "> Calcium gluconate 10 ml now. #mrn:44120", ">  half a sentence").misses("acknowledge with")
	term.press(keyAltEnter).sees("Nothing here waits to be acknowledged. Ctrl+J begins a new line.", ">  half a sentence")
	term.hasSent(ada + " !ack")
	term.press(keyCtrlC)
	term.fake.arrive(ada, "!stat again")
	term.sees("acknowledge with Alt+Enter").press("/ack on my way", keyEnter).sees("on my way").misses("acknowledge with")
	term.hasSent(ada+" !ack", ada+" !ack on my way")
}

// An acknowledgement that others could read than was shown is asked about first.
func TestAcknowledgeWhereOthersCanRead(t *testing.T) {
	term := start(t, terminalSetup{})
	term.fake.mu.Lock()
	term.fake.broken = &client.NewReaders{Peer: ada, Readers: []client.Reader{{Address: rana, Name: text.Line("Haddad, Rana")}}}
	term.fake.mu.Unlock()
	term.press(keyAltEnter).sees("Not sent yet", "Alt+Enter again sends it")
	term.fake.mu.Lock()
	term.fake.broken = nil
	term.fake.mu.Unlock()
	term.press(keyAltEnter).sees("ack you 19:08")
}

func TestAnswerAMessage(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press(keyAltUp, keyAltUp, keyAltUp, keyAltUp).sees(">               I am four", "Alt+R answer")
	term.press(keyAltR).sees("answers 19:03, I am four minutes away · Esc: not so").misses(">               I am")
	term.press("Hurry", keyEnter).sees("> I am four minutes away.", "Hurry").misses("answers 19:03")
	term.hasSent(ada + " Hurry")
	term.press(keyAltR).sees("answers 19:07, Repeat K").press(keyEsc).misses("answers")
	term.fake.mu.Lock()
	term.fake.broken = errors.New("the disk is full")
	term.fake.mu.Unlock()
	term.press("/reply yes", keyEnter).sees("Not sent: the disk is full", ">  yes")
	term.fake.mu.Lock()
	term.fake.broken = nil
	term.fake.mu.Unlock()
	term.press("!", keyEnter).sees("> Repeat K in 30 min, ask @role/pharmacy.", "yes!")
}

func TestCorrectAMessage(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("half", keyAltE).sees("Send what you are writing first").press(keyCtrlC)
	term.press(keyAltE).sees(">  ECG: peaked T, no widening.", "corrects 19:05, ECG")
	term.press(keyEsc).misses("corrects 19:05")
	term.press(keyAltE).sees("corrects 19:05, ECG").press("\x17widening!", keyEnter)
	term.sees("corrected below, at 19:08", "ECG: peaked T, no widening!", "corrects 19:05")
	term.press(keyAltUp, keyAltUp, keyAltE).sees("Only your own messages can be corrected")
}

func TestTakeAMessageBack(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press(keyAltT).sees("Alt+T again takes back 19:05, ECG: peaked T").press("x", keyAltT).sees("Alt+T again takes back")
	if term.fake.msgs[ada][3].Gone != store.Here {
		t.Fatal("a key between the two was no end of it")
	}
	term.press("\x7f").press("/reply", keyEnter) // an answer to somebody else's stays
	term.sees("answers 19:07").press(keyEsc).misses("answers 19:07")
	term.press("> ECG: peaked T, no widening.\x0ais this right?").sees("is this right?")
	term.press(keyAltT).sees("Alt+T again").press(keyAltT)
	term.sees("taken back by you at 19:08 · queued\n", ">  > [taken back]").misses("peaked T").misses("took back")
	term.press(keyCtrlC).misses("[taken back]").press(keyAltUp, keyAltUp).press(keyAltT).sees("Only your own messages can be taken back")
}

func TestRecallByCommandAsksFirst(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/recall", keyEnter).sees("Enter again takes back 19:05, ECG", ">  /recall").press(keyEnter).sees("taken back by you at 19:08").misses(">  /recall")
	term.press("/withdraw", keyEnter).sees("Nothing here waits to be sent")
	term.press("late", keyEnter).sees("19:08  you     late", ">\n").press("/withdraw", keyEnter).sees("It had not left this computer").misses("late")
}

func TestWhoHasIt(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.ward()
	term := start(t, terminalSetup{})
	term.fake.mu.Lock()
	term.fake.fates = map[int64]client.Fate{4: {ID: text.Line("C3XQ7VYK2M5N4PZTR6WUAEDBJF"), Recipients: []client.Recipient{{Address: ada, Name: text.Line("Okafor, Ada"), State: store.Delivered, Time: night}}}}
	term.fake.mu.Unlock()
	term.press(keyAltW).sees("the message of 19:05", "Okafor, Ada", "delivered 19:08", "Message id C3XQ7VYK2M5N4PZTR6WUAEDBJF").press(keyEsc).misses("the message of")
	term.press(keyAltUp).sees("Alt+W who has it").press(keyEnter).sees("From Okafor. It is stored here.").press(keyEsc).misses("stored here")
}

func TestForgetAsksFirst(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/forget", keyEnter).sees("Enter again removes the conversation with Okafor, Ada", ">  /forget")
	term.press(keyCtrlC).misses("/forget")
	term.press("/forget", keyEnter).sees("Enter again removes").press(keyEnter).sees("The conversation is removed from this device.").misses("Calcium")
	term.until("it is gone", func() bool {
		term.fake.mu.Lock()
		defer term.fake.mu.Unlock()
		return len(term.fake.msgs[ada]) == 0
	})
}

// With reveal a quote is text like the rest.
func TestQuotesAreHidden(t *testing.T) {
	f := newFake(newWristwatch().now)
	aboutMessages(f)
	m := still(t, 80, 24, Config{Open: ada, Reveal: true}, f)
	if s := plain(m); strings.Contains(s, "Calcium") || strings.Contains(s, "Give") || !strings.Contains(s, "taken back by you") {
		t.Errorf("hidden is:\n%s", s)
	}
}
