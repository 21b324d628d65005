package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"

	"sotto/client"
	"sotto/client/store"
)

// draftTime bounds how long the end waits for a draft to be stored.
const draftTime = 2 * time.Second

// keyTime is how long a key may take to be acted on.
const keyTime = time.Second

// errTrace is returned where the environment asks Bubble Tea to copy all it
// writes into a file.
var errTrace = errors.New("TEA_TRACE or TEA_DEBUG is set, which would write messages to a file: unset it and start again")

// Run shows the screens until the person quits, the screen locks, or ctx ends,
// which is a lock too. When it returns, the terminal is blank and nothing more
// is written to it. A draft that could not be stored is an error, but the
// Result holds.
func (m *Model) Run(ctx context.Context) (Result, error) {
	failed := Result{Reason: Failed, Place: m.place()}
	if os.Getenv("TEA_TRACE") != "" || os.Getenv("TEA_DEBUG") != "" {
		return failed, errTrace
	}
	options := []tea.ProgramOption{
		tea.WithOutput(m.cfg.Screen), tea.WithEnvironment(m.cfg.Environ), tea.WithoutSignalHandler(),
		tea.WithoutRenderer(), tea.WithFPS(1), // see painter
	}
	var p *tea.Program
	keys := &keyboard{File: os.Stdin, guard: pasteGuard{mouse: m.cfg.Mouse}, lock: func() {
		// The key itself locks when its turn comes, after what was typed before it.
		// Should the library have made something else of it, this does.
		m.cfg.Screen.Blackout()
		time.AfterFunc(keyTime, func() { p.Send(askedMsg{}) })
	}}
	switch in := m.cfg.Input.(type) {
	case nil:
		options = append(options, tea.WithInput(keys))
	case *os.File:
		keys.File = in
		options = append(options, tea.WithInput(keys))
	default:
		options = append(options, tea.WithInput(in))
	}
	p = tea.NewProgram(m, options...)
	done := make(chan struct{})
	var parts sync.WaitGroup
	painter := newPainter(m.cfg.Screen, m.env)
	m.paint = painter.show
	if err := m.greet(); err != nil {
		return failed, err
	}
	var drawing error
	parts.Go(func() {
		if drawing = painter.run(done); drawing != nil {
			p.Kill() // nobody can see anything any more
		}
	})
	parts.Go(func() { m.resizes(p, done) })
	parts.Go(func() { m.follow(ctx, p, done) })
	_, err := p.Run()
	close(done)
	m.cfg.Screen.Blackout()
	parts.Wait()
	switch {
	case m.end != nil: // it was told to end, and did
		return *m.end, m.keepLast()
	case drawing != nil:
		err = drawing
	case err == nil:
		err = errors.New("it ended by itself")
	}
	return failed, errors.Join(fmt.Errorf("show the screen: %w", err), m.keepLast())
}

// greet says to the terminal what it has to know before the first picture.
func (m *Model) greet() error {
	_, known := m.env.background()
	questions, modes := m.env.greeting(m.auto && !known, m.cfg.Mouse)
	for _, s := range []string{questions, modes} {
		if _, err := io.WriteString(m.cfg.Screen, s); err != nil {
			return fmt.Errorf("write to the terminal: %w", err)
		}
	}
	return nil
}

// resizes tells the size of the window, now and whenever it changes.
func (m *Model) resizes(p *tea.Program, done <-chan struct{}) {
	changed, stop := resizes()
	defer stop()
	for {
		if w, h, err := term.GetSize(m.cfg.Screen.Fd()); err == nil {
			p.Send(tea.WindowSizeMsg{Width: w, Height: h})
		}
		select {
		case <-done:
			return
		case <-changed:
		}
	}
}

// follow passes on what changes in the messenger, and locks when ctx ends.
func (m *Model) follow(ctx context.Context, p *tea.Program, done <-chan struct{}) {
	events := m.cfg.Messenger.Events()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			m.cfg.Screen.Blackout() // at once, not when the event loop comes to it
			p.Send(lockMsg{})
			return
		case e := <-events:
			p.Send(gather(e, events))
		}
	}
}

// gather takes the events that wait already, so that many cost one drawing.
func gather(first client.Event, events <-chan client.Event) eventsMsg {
	batch := eventsMsg{first}
	for len(batch) < 512 {
		select {
		case e := <-events:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// keepLast finishes what must not be lost, stores the draft of the open
// conversation, and wipes all drafts.
func (m *Model) keepLast() error {
	defer func() {
		for _, c := range m.composers {
			c.wipeAll()
		}
	}()
	var errs []error
	for _, j := range m.jobs {
		switch msg := j.do(m.cfg.Messenger).(type) {
		case sentMsg:
			if msg.msg.ID == 0 {
				errs = append(errs, fmt.Errorf("send a message, which is kept as a draft: %w", msg.err), m.keep(msg.peer, msg.about.draft(msg.text)))
			}
		case attachedMsg:
			if msg.err != nil {
				errs = append(errs, fmt.Errorf("attach a file: %w", msg.err), m.keep(msg.peer, store.Draft{Text: msg.typed}))
			}
		case draftMsg:
			errs = append(errs, msg.err)
		case doneMsg:
			if msg.err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", msg.doing, msg.err))
			}
		}
	}
	if c := m.composers[m.open]; c != nil && m.open != "" && c.dirty {
		errs = append(errs, m.keep(m.open, c.kept()))
	}
	return errors.Join(errs...)
}

// keep stores a draft.
func (m *Model) keep(peer string, draft store.Draft) error {
	ctx, cancel := context.WithTimeout(context.Background(), draftTime)
	defer cancel()
	if err := m.cfg.Messenger.SetDraft(ctx, peer, draft); err != nil {
		return fmt.Errorf("keep the draft: %w", err)
	}
	return nil
}
