package tui

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	uv "github.com/charmbracelet/ultraviolet"
)

func TestPasteGuard(t *testing.T) {
	long := strings.Repeat("x", maxPaste+100)
	for name, c := range map[string]struct{ in, want string }{
		"keys":                {"abc\x0c\x1b[A\x1b]11;rgb:0/0/0\x07", "abc\x0c\x1b[A\x1b]11;rgb:0/0/0\x07"},
		"paste":               {"a\x1b[200~two\r\nlines\tä\u2028\x1b[201~b", "a\x1b[200~two\r\nlines\tä\u2028\x1b[201~b"},
		"open command":        {"\x1b[200~\x1b]52;c;x\x1b[201~\x0c", "\x1b[200~]52;c;x\x1b[201~\x0c"},
		"escape at the end":   {"\x1b[200~a\x1b\x1b[201~b", "\x1b[200~a\x1b[201~b"},
		"almost the end":      {"\x1b[200~\x1b[20\x1b[201~b", "\x1b[200~[20\x1b[201~b"},
		"paste in a paste":    {"\x1b[200~\x1b[200~a\x1b[201~b", "\x1b[200~[200~a\x1b[201~b"},
		"controls":            {"\x1b[200~a\x00\x07\x0c\x7fb\x1b[201~", "\x1b[200~ab\x1b[201~"},
		"C1":                  {"\x1b[200~\x9d\xc2\x9d\xc2\xa0ok\x1b[201~", "\x1b[200~\xc2\xa0ok\x1b[201~"},
		"not UTF-8":           {"\x1b[200~\xff\xc0\x80ok\x1b[201~", "\x1b[200~ok\x1b[201~"},
		"too long":            {"\x1b[200~" + long + "\x1b[201~b", "\x1b[200~" + long[:maxPaste] + "\x1b[201~b"},
		"cut off":             {"\x1b[200~\xe2\x9b;;\xe2\x82\x1b[201~b", "\x1b[200~;;\x1b[201~b"},
		"parameters":          {"\x1b[1;2;3m\x1b[" + strings.Repeat("9;", 40) + "mb;c", "\x1b[1;2;3m\x1b[" + strings.Repeat("9;", maxParameters-1) + "9mb;c"},
		"two pastes":          {"\x1b[200~a\x1b[201~\x1b[200~\x1bb\x1b[201~", "\x1b[200~a\x1b[201~\x1b[200~b\x1b[201~"},
		"nearly a paste":      {"\x1b[20\x1b[200~\x07\x1b[201~", "\x1b[20\x1b[200~\x1b[201~"},
		"Ctrl+L in a paste":   {"\x1b[200~a\x0cb\x1b[201~", "\x1b[200~ab\x1b[201~"},
		"Ctrl+L in an answer": {"\x1b]52;c;x\x0c", "\x1b]52;c;x\x1b\\\x0c"},
		"Ctrl+Q in an answer": {"\x1bP1$r\x11", "\x1bP1$r\x1b\\\x11"},
		"Ctrl+L after one":    {"\x1b]11;x\x07\x0c\x1b_x\x1b\\\x0c", "\x1b]11;x\x07\x0c\x1b_x\x1b\\\x0c"},
		"Ctrl+L after paste":  {"\x1b[200~a\x1b[201~\x0c", "\x1b[200~a\x1b[201~\x0c"},
	} {
		var whole, parts pasteGuard
		if got := whole.feed(nil, []byte(c.in), 0); string(got) != c.want {
			t.Errorf("%s: %.80q, want %.80q", name, got, c.want)
		}
		var out []byte
		for _, b := range []byte(c.in) {
			out = parts.feed(out, []byte{b}, 0)
		}
		if string(out) != c.want {
			t.Errorf("%s in parts: %.80q, want %.80q", name, out, c.want)
		}
		if pressed := strings.Contains(c.want, "\x0c"); whole.lock != pressed || parts.lock != pressed {
			t.Errorf("%s: locks %v, in parts %v, want %v", name, whole.lock, parts.lock, pressed)
		}
	}
}

// Ctrl+L locks as soon as it is read, not when Bubble Tea comes to it.
func TestKeyboardLocksAtOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	locked := 0
	k := &keyboard{File: r, lock: func() { locked++ }}
	buf := make([]byte, 64)
	for keys, want := range map[string]int{"abc": 0, "x\x1b\x0c": 1, "\x1b[200~\x0c.\x1b[201~": 0, "\x0c\x0c": 1} {
		locked = 0
		w.WriteString(keys)
		if _, err := k.Read(buf); err != nil || locked != want {
			t.Errorf("%q locked %d times, %v; want %d", keys, locked, err, want)
		}
	}
}

func TestAStalledPasteEndsWithTheNextCommand(t *testing.T) {
	for _, key := range []byte{0x03, 0x0c, 0x11} {
		var g pasteGuard
		g.feed(nil, []byte("\x1b[200~begun\x1b]52;"), 0)
		if got := g.feed(nil, []byte("more\n"), time.Minute); string(got) != "more\n" {
			t.Errorf("a slow paste was taken for keys: %q", got)
		}
		if got := g.feed(nil, []byte{key}, pasteStalls); string(got) != pasteEnds+string(rune(key)) {
			t.Errorf("key %#x in a stalled paste became %q", key, got)
		}
		if got := g.feed(nil, []byte("a\x1b[A"), 0); string(got) != "a\x1b[A" {
			t.Errorf("keys after it became %q", got)
		}
	}
}

func TestLockingInAPasteThatNeverEnds(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("\x1b[200~\x1b]52;c;no end")
	// It has to stall: this is what is tested. On a busy machine it may have been read
	// only just before the key, which is of the paste then; the next one is not.
	pressed := time.Now()
	term.until("the end", func() bool {
		if time.Since(pressed) > pasteStalls*3/2 {
			term.press(keyCtrlL)
			pressed = time.Now()
		}
		select {
		case <-term.ended:
			return true
		default:
			return false
		}
	})
	if r := term.ends(); r.Reason != Asked {
		t.Errorf("ended with %+v", r)
	}
}

func TestLockingRightBehindSomethingElse(t *testing.T) {
	for name, keys := range map[string]string{
		"Esc in one packet":     "\x1b" + keyCtrlL,
		"an answer cut off":     "\x1b]11;rgb:00" + keyCtrlL,
		"a command without end": "\x1b_Gi=1;" + keyCtrlL,
	} {
		t.Run(name, func(t *testing.T) {
			term := start(t, terminalSetup{})
			term.press(keys)
			if r := term.ends(); r.Reason != Asked {
				t.Errorf("ended with %+v", r)
			}
		})
	}
}

// FuzzKeyboard has the library read what the guard lets through.
func FuzzKeyboard(f *testing.F) {
	for _, s := range hostile(f) {
		f.Add([]byte(s), false)
	}
	f.Add([]byte("\x1b[<0;1;1M\x1b[M   \x1b[200~\xe2\x9b;;\x1b[201~\x1b[57358;5u"), true)
	f.Fuzz(func(t *testing.T, in []byte, mouse bool) {
		g := pasteGuard{mouse: mouse}
		reader := uv.NewTerminalReader(bytes.NewReader(g.feed(nil, in, 0)), "xterm-256color")
		events := make(chan uv.Event, 16)
		go func() {
			for range events {
			}
		}()
		if err := reader.StreamEvents(t.Context(), events); err != nil {
			t.Errorf("reading %q ends with %v", in, err)
		}
		close(events)
	})
}

func FuzzPasteGuard(f *testing.F) {
	f.Add([]byte("\x1b[200~a\x1b]0;x\x1b[201~b"), 3)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var g, h pasteGuard
		whole := g.feed(nil, in, 0)
		cut = min(max(cut, 0), len(in))
		if parts := h.feed(h.feed(nil, in[:cut], 0), in[cut:], 0); !bytes.Equal(whole, parts) {
			t.Fatalf("%q in two parts became %q, not %q", in, parts, whole)
		}
		if len(whole) > 2*len(in) { // what Read makes room for
			t.Fatalf("%d bytes became %d", len(in), len(whole))
		}
		// Between the marks nothing is left that a terminal parser would wait on.
		rest := whole
		for {
			i := bytes.Index(rest, []byte(pasteBegins))
			if i < 0 {
				return
			}
			rest = rest[i+len(pasteBegins):]
			end := bytes.IndexByte(rest, 0x1b)
			if end < 0 {
				return
			}
			if !bytes.HasPrefix(rest[end:], []byte(pasteEnds)) {
				t.Fatalf("an escape inside a paste: %q", whole)
			}
			rest = rest[end+len(pasteEnds):]
		}
	})
}
