package memory

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/internal/role/ward"
)

// hostile is what a message can contain, as OMEMO carries it past XML: what
// copies to the clipboard, names the window, prints, answers back, or lies about
// its own order.
var hostile = []string{
	"\x1b]52;c;c2VjcmV0\x07", "\x1b]52;c;?\x1b\\", "\u009d52;c;c2VjcmV0\u009c", "\x1bPtmux;\x1b\x1b]52;c;c2VjcmV0\x07\x1b\\",
	"\x1b]0;title\x07", "\x1b]2;title\x1b\\", "\x1bktitle\x1b\\", "\x1b[22;0t\x1b[21t",
	"\x1bP$q\"p\x1b\\", "\x1b_Gf=100;AAAA\x1b\\", "\x1b^pm\x1b\\", "\x1bXsos\x1b\\",
	"\x1b[5i", "\x1b[i", "\u009b5i", "\x1b[?5i", "\x05", "\x0e", "\x1bc", "\x1b[1;1;1;1;24;80*y",
	"\u202e8.6\u202c", "\u2066x\u2069", "\u200bzero\u200dwidth\ufeff", "tag\U000e0041\U000e007f",
	"\x1b]52;c;no end", // swallows what follows where it is believed
}

// pause is how long somebody takes from a paste to the next key: what comes
// faster counts as more of the paste.
const pause = 150 * time.Millisecond

// TestTerminalGetsNothingElse is invariant 6, on every byte of a long session:
// nothing leaves by way of the terminal, whatever a person presses or pastes.
func TestTerminalGetsNothingElse(t *testing.T) {
	t.Parallel()
	s := newSotto(t, user{})
	s.run("demo")
	s.See("PIN  _")
	s.Type("135791\r")
	s.See("That PIN is not right.")
	s.pin = ward.PIN
	s.unlock()
	s.See("Okafor")
	for i, paste := range append([]string{"the blood pressure is 90 to 50"}, hostile...) {
		end := fmt.Sprintf("<%d>", i)
		s.Type("\x1b[200~" + paste + end + "\x1b[201~")
		s.See(end)
		time.Sleep(pause)
		if i%8 == 0 { // some of it is sent, and answered
			s.Type("\r")
			s.SeeGone(">  " + end)
		} else {
			s.Type("\x15")
			s.SeeGone(end)
		}
	}
	// Keys of every kind, in every place they lead to.
	for _, keys := range []string{
		"\x1bOP", "\x1b", "\x0b", "hadd\r", "\x1ba", "\x1b[5~", "\x1b[5~", "\x1b[6~", "\x1b[I", "\x1b[O", "\x1b[I",
		"/help\r", "\x1b", "/verify\r", "\x1b", "/devices\r", "\x1b", "\x1b[A", "\x1b[A", "\x03", "\x1b", "\x19", "\x0f", "\x1b[<0;10;5M\x1b[<0;20;7m",
	} {
		s.Type(keys)
	}
	for _, size := range [][2]int{{120, 40}, {60, 15}, {20, 5}, {80, 24}} {
		s.Resize(size[0], size[1])
		before := len(s.Output())
		s.Wait("drawn in another size", func() bool { return len(s.Output()) > before })
	}
	s.lock()
	s.unlock()
	desk := s.Role("desk")
	signal(t, desk, syscall.SIGKILL)
	s.locked(desk)
	s.unlock()
	s.lock()
	s.quit()
	s.Restored()
	t.Logf("%d bytes", len(s.Output()))
}

// TestMessagesReachNoTerminal is the same for what other people send.
func TestMessagesReachNoTerminal(t *testing.T) {
	t.Parallel()
	r, people := startRelay(t, "Okafor, Ada", "Lind, Per")
	ada, per := people[0], people[1]
	s := newSotto(t, ada)
	s.join(r.url, func(string) {})
	peer := talker(t, r, per, ada)
	s.See("Lind, Per")
	for i, text := range hostile {
		if Forbidden([]byte(text)) == nil {
			t.Errorf("%q is not forbidden, so this is no test with it", text)
		}
		end := fmt.Sprintf("<%d>", i)
		peer.say(end + text + end)
		s.See(end)
	}
	s.lock()
	peer.send("!stat " + strings.Join(hostile, " "))
	s.See("1 waiting")
	s.unlock()
	s.See("STAT")
	s.lock()
	s.quit()
	if out := s.Output(); !bytes.Contains(out, []byte("52;c;")) {
		t.Error("what was sent is not shown at all, so nothing was tested")
	}
}
