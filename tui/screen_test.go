package tui

import (
	"bytes"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"words", "Okafor — 長い é 👍\r\n\t\b", "Okafor — 長い é 👍\r\n\t\b"},
		{"drawing", "\x1b[1;2H\x1b[38;5;75mx\x1b[m\x1b[K\x1b[2J\x1b[3;9r\x1b[4X\x1b[2b\x1b7\x1bM", "\x1b[1;2H\x1b[38;5;75mx\x1b[m\x1b[K\x1b[2J\x1b[3;9r\x1b[4X\x1b[2b\x1b7\x1bM"},
		{"modes", "\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[?2026h\x1b[>4;2m\x1b[>1u\x1b[?u", "\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[?2026h\x1b[>4;2m\x1b[>1u\x1b[?u"},
		{"questions", "\x1b[?2026$p\x1b[?2027$p\x1b]11;?\x07", "\x1b[?2026$p\x1b[?2027$p\x1b]11;?\x07"},
		{"alternate screen", "a\x1b[?1049hb\x1b[?1049;25lc", "ab\x1b[?25lc"},
		{"clipboard", "a\x1b]52;c;c2VjcmV0\x07b\x1b]52;c;!\x1b\\c", "abc"},
		{"title", "a\x1b]0;Okafor\x07b\x1b]2;x\x1b\\c\x1b[22;0tc", "abcc"},
		{"link", "\x1b]8;;https://x\x1b\\y\x1b]8;;\x1b\\", "y"},
		{"other colours", "\x1b]11;#fff\x07\x1b]11;?\x07", "\x1b]11;?\x07"},
		{"device control", "a\x1bPq#0\x1b\\b\x1b_G\x1b\\c\x1b^x\x1b\\d\x1bXx\x1b\\e", "abcde"},
		{"printing", "a\x1b[5ib\x1b[?5ic\x1b[4id", "abcd"},
		{"reset", "a\x1bcb\x1b[!pc\x1b#8d\x1b(0e", "abcde"},
		{"window", "a\x1b[8;1;1tb\x1b[21tc", "abc"},
		{"mouse", "\x1b[?1000h\x1b[?1006;1003;1002;1015h", "\x1b[?1000h\x1b[?1006h"},
		{"reports", "a\x1b[6nb\x1b[cc", "abc"},
		{"cursor shape", "\x1b[1 qa", "a"},
		{"C1 as characters", "a\u009b2Jb\u009d0;x\u0007c\u0085", "a2Jb0;xc"},
		{"C1 as bytes", "a\x9b2Jb\xffc", "a2Jbc"},
		{"controls", "a\x07\x0e\x0f\x00\x7fb\x05", "ab"},
		{"cancelled", "a\x1b[31\x18mb\x1b]52;\x1ac", "ambc"},
		{"escape in a sequence", "a\x1b[3\x1b[1mb", "a\x1b[1mb"},
		{"overlong", "a\x1b[" + strings.Repeat("1;", 40) + "mb", "ab"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var whole filter
			if got := string(whole.append(nil, []byte(tc.in))); got != tc.want {
				t.Errorf("in one write: %q, want %q", got, tc.want)
			}
			var parts filter
			var got []byte
			for i := range len(tc.in) {
				got = parts.append(got, []byte{tc.in[i]})
			}
			if string(got) != tc.want {
				t.Errorf("byte by byte: %q, want %q", got, tc.want)
			}
		})
	}
}

// The bell rings when it is asked to, once a minute, and not for anything that
// is written.
func TestBell(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out)
	s.Bell()
	if out.Len() > 0 {
		t.Errorf("rang before there was anything to see: %q", out.String())
	}
	s.Write([]byte("words\a"))
	out.Reset()
	s.Bell()
	s.Bell()
	s.Write([]byte("\a"))
	if out.String() != "\a" {
		t.Errorf("rang as %q", out.String())
	}
	s.rang = s.rang.Add(-bellPause)
	s.Blackout()
	out.Reset()
	s.Bell()
	if out.Len() > 0 {
		t.Errorf("rang in the dark: %q", out.String())
	}
}

// FuzzFilter holds what passes to be drawing, however it is cut into writes.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("a\x1b]52;c;x\x07b"), 3)
	f.Add([]byte("\x1b[?1049;25h\u009b\xc2"), 1)
	f.Add([]byte("\x1b]11;?\x07\x1b[5i"), 2)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var whole, parts filter
		out := whole.append(nil, in)
		cut = min(max(cut, 0), len(in))
		two := parts.append(parts.append(nil, in[:cut]), in[cut:])
		if !bytes.Equal(out, two) {
			t.Errorf("%q gave %q in one write and %q in two", in, out, two)
		}
		s := strings.ReplaceAll(string(out), askBackground, "")
		for _, bad := range []string{"\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1bc", "\x07", "\u009b", "\u009d", "\u0090"} {
			if strings.Contains(s, bad) {
				t.Errorf("%q lets %q through: %q", in, bad, out)
			}
		}
		var again filter
		if got := again.append(nil, out); !bytes.Equal(got, out) {
			t.Errorf("%q is filtered further, to %q", out, got)
		}
	})
}

func TestFirstPictureIsOneUpdate(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out)
	for _, p := range []string{"\x1b[?2026$p", "\x1b[?2004h\x1b[?1049h\x1b[2J\x1b[H"} {
		if n, err := io.WriteString(s, p); n != len(p) || err != nil {
			t.Fatalf("Write gave %d, %v", n, err)
		}
	}
	if got := out.String(); got != "\x1b[?2026$p" {
		t.Errorf("before the first picture there is %q", got)
	}
	select {
	case <-s.First():
		t.Error("there is a first picture already")
	default:
	}
	_, _ = io.WriteString(s, "\x1b[1;1Hhello")
	_, _ = io.WriteString(s, "\x1b[1;1Hworld")
	<-s.First()
	want := "\x1b[?2026$p" + beginFrame + "\x1b[?2004h\x1b[2J\x1b[H\x1b[1;1Hhello" + endFrame + "\x1b[1;1Hworld"
	if got := out.String(); got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestBlackoutIsForGood(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out)
	_, _ = io.WriteString(s, "secret\x1b[3")
	s.Blackout()
	s.Blackout()
	if n, err := io.WriteString(s, "more"); n != 4 || err != nil {
		t.Errorf("Write in the dark gave %d, %v", n, err)
	}
	if got, want := out.String(), beginFrame+"secret"+endFrame+blank; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if !strings.Contains(blank, "\x1b[2J") || !s.Dark() {
		t.Error("the screen is not blank")
	}
}

// slowly is a terminal that takes a while to take what is written.
type slowly struct {
	begun chan struct{} // closed by the first write
	taken atomic.Int64  // writes
}

func (w *slowly) Write(p []byte) (int, error) {
	close(w.begun)
	time.Sleep(20 * time.Millisecond)
	w.taken.Add(1)
	return len(p), nil
}

// Whoever has called Blackout may let the next process draw: it must not be
// erased by another call that is still under way.
func TestBlackoutIsDoneForAll(t *testing.T) {
	out := &slowly{begun: make(chan struct{})}
	s := NewScreen(out)
	first := make(chan struct{})
	go func() {
		s.Blackout()
		close(first)
	}()
	<-out.begun
	s.Blackout()
	if out.taken.Load() != 1 {
		t.Error("a second call has returned before the first has erased the screen")
	}
	<-first
}

// TestNoWayOut holds the import rules: what draws can reach no clipboard and
// no network.
func TestNoWayOut(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".", "../themes").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("only %d packages listed", len(deps))
	}
	for _, dep := range deps {
		if strings.Contains(dep, "clipboard") || dep == "net/http" || dep == "crypto/tls" || dep == "github.com/coder/websocket" ||
			strings.HasPrefix(dep, "charm.land/bubbles") {
			t.Errorf("the screens import %s", dep)
		}
	}
}

// TestNoClipboard holds the whole program to it: no package that reaches a
// clipboard is in it, under whatever name.
func TestNoClipboard(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "../cmd/sotto").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "charm.land/bubbletea/v2") {
		t.Fatal("the program has no screens: this looks at the wrong one")
	}
	for _, dep := range deps {
		for _, no := range []string{"clipboard", "osc52", "xclip", "pasteboard"} {
			if strings.Contains(strings.ToLower(dep), no) {
				t.Errorf("the program contains %s", dep)
			}
		}
	}
}
