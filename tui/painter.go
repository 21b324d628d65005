package tui

import (
	"bytes"
	"io"
	"runtime"
	"sync"
	"time"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"sotto/tui/graphics"
)

// picture is what the screen should show.
type picture struct {
	content string
	cursor  *point // nil: hidden
	w, h    int
	method  measure
	synced  bool              // the terminal can take a whole update at once (mode 2026)
	image   *graphics.Drawing // by the terminal itself; nil: none
}

// pace is the least time between two drawings. The first of a burst is drawn
// at once.
const pace = 8 * time.Millisecond

// painter brings pictures to the terminal, as the difference to the last one.
//
// It stands in for Bubble Tea's own renderer, with the same machinery beneath
// (ultraviolet). That one looks for changes 60 to 120 times a second, which
// costs more than 0.2 % of a processor with nothing to do, and makes a key wait
// for the next look. This one sleeps until there is a picture and then draws.
type painter struct {
	out  io.Writer
	pics *Screen // out, if it can draw images
	scr  *uv.TerminalRenderer
	buf  bytes.Buffer // what scr wrote
	cell uv.ScreenBuffer
	last picture
	drew bool

	wake chan struct{} // next holds a picture that was not drawn yet
	mu   sync.Mutex
	next picture
}

// newPainter makes a painter for a terminal in raw mode.
func newPainter(out io.Writer, env environment) *painter {
	p := &painter{out: out, wake: make(chan struct{}, 1), cell: uv.NewScreenBuffer(0, 0)}
	p.pics, _ = out.(*Screen)
	p.scr = uv.NewTerminalRenderer(&p.buf, env)
	p.scr.SetColorProfile(env.profile())
	p.scr.SetFullscreen(true)
	p.scr.SetRelativeCursor(false)
	p.scr.SetTabStops(-1)
	p.scr.SetBackspace(true)
	p.scr.SetScrollOptim(runtime.GOOS != "windows") // as Bubble Tea: some terminals there scroll wrongly
	return p
}

// show has a picture drawn soon. It never waits.
func (p *painter) show(pic picture) {
	p.mu.Lock()
	p.next = pic
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // it is awake
	}
}

// run draws until done is closed, or the terminal is gone.
func (p *painter) run(done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case <-p.wake:
		}
		p.mu.Lock()
		pic := p.next
		p.mu.Unlock()
		if err := p.draw(pic); err != nil {
			return err
		}
		rest := time.NewTimer(pace)
		select {
		case <-done:
			rest.Stop()
			return nil
		case <-rest.C:
		}
	}
}

// draw writes what is needed to turn the last picture into pic: an image that is
// there no more goes first, and a new one comes last.
func (p *painter) draw(pic picture) error {
	was := p.last
	if p.pics == nil {
		pic.image = nil
	}
	over := was.image != nil && (was.image != pic.image || was.w != pic.w || was.h != pic.h)
	if over && (pic.image == nil || was.image.Protocol == graphics.Sixel || pic.image.Protocol != was.image.Protocol) {
		if err := p.pics.Remove(); err != nil {
			return err
		}
		p.scr.Erase() // sixels lie beneath the text
		p.last.content = ""
		was.content = ""
	}
	if err := p.drawText(was, pic); err != nil {
		return err
	}
	if pic.image != nil && (over || was.image == nil) {
		return p.pics.Draw(pic.image)
	}
	return nil
}

func (p *painter) drawText(was, pic picture) error {
	moved := (was.cursor == nil) != (pic.cursor == nil) || was.cursor != nil && *was.cursor != *pic.cursor
	if p.drew && was.content == pic.content && !moved && was.w == pic.w && was.h == pic.h && was.method == pic.method {
		p.last = pic
		return nil
	}
	var out bytes.Buffer
	if !p.drew {
		out.WriteString(ansi.ResetModeTextCursorEnable)
	}
	if !p.drew || was.w != pic.w || was.h != pic.h {
		p.scr.Erase()
		p.cell.Touched = nil
		p.cell.Resize(pic.w, pic.h)
		p.scr.Resize(pic.w, pic.h)
	}
	if was.method != pic.method {
		p.cell.Method = pic.method
		out.WriteString(ansi.SetModeUnicodeCore)
		p.scr.Erase()
	}
	p.cell.Clear()
	uv.NewStyledString(pic.content).Draw(p.cell, p.cell.Bounds())
	p.scr.Render(p.cell.RenderBuffer)
	if pic.cursor != nil {
		p.scr.MoveTo(pic.cursor.x, pic.cursor.y)
	}
	if err := p.scr.Flush(); err != nil {
		return err // never happens: it writes to buf
	}
	p.wrap(&out, pic, p.drew && was.cursor != nil)
	p.buf.Reset()
	p.last, p.drew = pic, true
	if out.Len() == 0 {
		return nil
	}
	_, err := p.out.Write(out.Bytes())
	clear(out.Bytes())
	return err
}

// wrap puts the update into out so that it appears at once: in one synchronized
// update where the terminal can do that, else with the cursor hidden.
func (p *painter) wrap(out *bytes.Buffer, pic picture, shown bool) {
	show := pic.cursor != nil
	body := p.buf.Bytes()
	switch {
	case len(body) == 0:
		if show != shown {
			out.WriteString(cursorMode(show))
		}
	case pic.synced:
		out.WriteString(ansi.SetModeSynchronizedOutput)
		out.Write(body)
		if show != shown {
			out.WriteString(cursorMode(show))
		}
		out.WriteString(ansi.ResetModeSynchronizedOutput)
	default:
		if shown {
			out.WriteString(ansi.ResetModeTextCursorEnable)
		}
		out.Write(body)
		if show {
			out.WriteString(ansi.SetModeTextCursorEnable)
		}
	}
}

func cursorMode(show bool) string {
	if show {
		return ansi.SetModeTextCursorEnable
	}
	return ansi.ResetModeTextCursorEnable
}

// greeting is written before the first picture: it asks the terminal what it
// can do, without waiting for an answer, and has it report pastes and the
// focus, and tell keys like Shift+Enter apart. With mouse it reports the buttons,
// with coordinates in digits. Simple terminals are not asked, as they would show
// the question.
func (e environment) greeting(background, mouse bool) (questions, modes string) {
	if e.simple() {
		return "", ""
	}
	if e.get("SSH_TTY") == "" || e.modern() { // else an answer may come late, or not
		questions = ansi.RequestModeSynchronizedOutput + ansi.RequestModeUnicodeCore
	}
	if background {
		questions += ansi.RequestBackgroundColor
	}
	modes = ansi.SetModeBracketedPaste + ansi.SetModeFocusEvent + ansi.SetModifyOtherKeys2 + ansi.PushKittyKeyboard(1)
	if mouse {
		modes += ansi.SetModeMouseNormal + ansi.SetModeMouseExtSgr
	}
	return questions, modes
}
