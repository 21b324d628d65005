package memory

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/internal/role/roletest"
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

// take presses a key until what was pasted is out of the composer. What comes too
// fast after a paste counts as more of it, and would not have that effect.
func (s *sotto) take(key, pasted string) {
	s.t.Helper()
	late := time.Now().Add(roletest.Patience)
	again := time.Now().Add(150 * time.Millisecond)
	for {
		screen := s.Screen()
		if rule := strings.LastIndex(screen, "────"); rule >= 0 && !strings.Contains(screen[rule:], pasted) {
			return
		}
		if now := time.Now(); now.After(late) {
			s.t.Fatalf("%q stays in the composer", pasted)
		} else if now.After(again) {
			s.Type(key)
			again = now.Add(250 * time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestTerminalGetsNothingElse is invariant 6, on every byte of a long session:
// nothing leaves by way of the terminal, whatever a person presses or pastes.
func TestTerminalGetsNothingElse(t *testing.T) {
	t.Parallel()
	s := newSotto(t, user{})
	s.run("demo")
	s.See("PIN  _")
	for _, wrong := range []string{"135791", "\x1b]52;c;c2VjcmV0\a\x1b[5i"} {
		s.Type(wrong + "\r")
		s.See("That PIN is not right", "PIN  _")
	}
	s.pin = ward.PIN
	s.unlock()
	s.See("Okafor")
	for i, paste := range append([]string{"the blood pressure is 90 to 50"}, hostile...) {
		end := fmt.Sprintf("<%d>", i)
		s.Type("\x1b[200~" + paste + end + "\x1b[201~")
		s.See(end)
		if i%8 == 0 { // some of it is sent, and answered
			s.take("\r", end)
		} else {
			s.take("\x15", end)
		}
	}
	// Keys of every kind, in every place they lead to: dialogs, commands, what does
	// not exist, what elsewhere copies, the focus lost and found, the mouse.
	for _, keys := range []string{
		"\x1bOP", "\x1b", "\x0b", "hadd\r", "\x1ba", "\x1b[5~", "\x1b[5~", "\x1b[6~", "\x1b[I", "\x1b[O", "\x1b[I",
		"/help\r", "\x1b", "/verify\r", "\x1b", "/devices\r", "\x1b", "\x1b[A", "\x1b[A", "\x03", "\x1b", "\x19", "\x0f", "\x1b[<0;10;5M\x1b[<0;20;7m",
		"\x1b[<64;10;5M", "\x1b[<65;10;5M", "\x1b[<0;10;5M\x1b[<32;20;5M\x1b[<32;30;9M\x1b[<0;30;9m", "\x1b[<2;10;5M\x1b[<2;10;5m",
		"\x1b[99;6u", "\x1b[67;6u", "\x1b[2;5~", "\x1b[27;6;67~", "\x1bw", "\x17", "/copy\r", "\x1b", "/nonsense \x1b]52;c;eA==\a\r", "\x1b",
		"/to \u009d52;c;eA==\u009c@ward.example\r", "\x1b", "\x15", "/stat K is 6.8\r", "\x1b[I", "\x1b[200~a\nb\x1b[201~", "\x15", "\x15", "\x1b", "\x1b[<0;20;7m",
	} {
		s.Type(keys)
	}
	for _, size := range [][2]int{{120, 40}, {60, 15}, {20, 5}, {80, 24}} {
		before := len(s.Output())
		s.Resize(size[0], size[1])
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
	// The relay gives names.
	const name = "Lind\u009d52;c;bmFtZQ==\u009c\u202e\u200b, Per"
	r, people := startRelay(t, "Okafor, Ada", name)
	ada, per := people[0], people[1]
	if Forbidden([]byte(name)) == nil {
		t.Fatal("nothing is forbidden in the name")
	}
	s := newSotto(t, ada)
	s.join(r.url, func(string) {})
	peer := talker(t, r, per, ada)
	s.See("Lind", "52;c;bmFtZQ==")
	for i, text := range hostile {
		if Forbidden([]byte(text)) == nil {
			t.Errorf("%q is not forbidden, so this is no test with it", text)
		}
		end := fmt.Sprintf("<%d>", i)
		peer.say(end + text + end)
		s.See(end)
	}
	if n := Bells(s.Output()); n != 0 {
		t.Errorf("it rang %d times, for nothing urgent", n)
	}
	s.lock()
	peer.send("!stat " + strings.Join(hostile, " "))
	s.See("1 waiting")
	s.unlock()
	s.See("STAT")
	if n := Bells(s.Output()); n != 1 {
		t.Errorf("it rang %d times for one STAT message that nobody saw", n)
	}
	s.lock()
	s.quit()
	if out := s.Output(); !bytes.Contains(out, []byte("52;c;c2VjcmV0")) {
		t.Error("what was sent is not shown at all, so nothing was tested")
	}
}

// TestHarmIsFound shows that the proof of what goes to the terminal can fail: a
// program that copies to the clipboard, one that names the window after a title,
// and one that writes nothing, so that nothing is checked.
func TestHarmIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script string
		finds  []string
	}{
		{`printf 'ready \033]52;c;c2VjcmV0\007'`, []string{"written to the terminal at byte 6: OSC \"52;c;c2VjcmV0\""}},
		{`printf '\033[1mready\033[m\033]2;Okafor\033\\\033[5i'`, []string{"written to the terminal at byte 12: OSC \"2;Okafor\"", "written to the terminal at byte 24: CSI 5i"}},
		{`printf '\033[?1049h\033[Hready'`, nil},
		{`true`, []string{"nothing was written"}},
	} {
		console := roletest.Start(t, exec.Command("sh", "-c", c.script+"; read -r end"), 80, 24)
		if c.script != "true" {
			console.See("ready")
		}
		// The echo of what is typed is no more of the program's.
		out := harm(console)
		console.Type("\n")
		console.Exit()
		same(t, c.script, out, c.finds)
	}
}
