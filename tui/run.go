package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
)

// framesASecond is how often Bubble Tea looks whether there is something to
// draw: every 8 ms, so that a key is on the screen in less time than it takes
// to press it.
const framesASecond = 120

// draftTime bounds how long the end waits for a draft to be stored.
const draftTime = 2 * time.Second

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
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	options := []tea.ProgramOption{
		tea.WithOutput(m.cfg.Screen), tea.WithEnvironment(m.cfg.Environ), tea.WithoutSignalHandler(),
		tea.WithFPS(framesASecond), tea.WithColorProfile(m.env.profile()),
	}
	if m.cfg.Input != nil {
		options = append(options, tea.WithInput(m.cfg.Input))
	}
	p := tea.NewProgram(m, options...)
	done := make(chan struct{})
	go func() { // what changes in the messenger
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
	}()
	_, err := p.Run()
	close(done)
	m.cfg.Screen.Blackout()
	result := failed
	if m.end != nil {
		result = *m.end
	} else if err == nil {
		err = errors.New("the screen ended by itself")
	}
	if m.end != nil {
		err = nil // it was told to end, and did
	} else {
		err = fmt.Errorf("show the screen: %w", err)
	}
	return result, errors.Join(err, m.keepLast())
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

// keepLast stores the draft of the open conversation, and wipes all drafts.
func (m *Model) keepLast() error {
	defer func() {
		for _, c := range m.composers {
			c.wipeAll()
		}
	}()
	c := m.composers[m.open]
	if c == nil || m.open == "" || !c.dirty {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), draftTime)
	defer cancel()
	if err := m.cfg.Messenger.SetDraft(ctx, m.open, c.written()); err != nil {
		return fmt.Errorf("keep the draft: %w", err)
	}
	return nil
}
