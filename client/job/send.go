package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sotto/client"
	"sotto/client/picture"
	"sotto/client/store"
)

// Sending is one message to be sent.
type Sending struct {
	To      string // a person's address or a room's that this account is in
	Text    io.Reader
	Name    string        // of File
	File    io.Reader     // goes after the text; nil is none. Of an image nothing is sent but its pixels
	Urgency int           // store.Routine, Urgent or Stat: written into the text, as people type it
	Wait    time.Duration // for the recipient's confirmation, at most
}

// Sent is what became of it.
type Sent struct {
	ID      int64       // 0 if nothing was kept
	State   store.State // how far it has come; store.Failed if it was refused
	Reason  string      // why it has not come further; "" if nothing stands against it
	Refused bool        // it was not even kept, because nobody may have it as things are
}

// errTooLong is Send's for a text that no message holds.
var errTooLong = fmt.Errorf("the text is longer than the %d kB that one message holds. Nothing was sent", client.MaxBody>>10)

// Send sends one message and waits until it is delivered or refused, but not longer
// than told. An error means that nothing was kept to be sent. When ctx ends, what was
// kept goes out at another time, and Send returns how far it has come.
func Send(ctx context.Context, c *client.Client, s Sending) (Sent, error) {
	text, err := read(ctx, s.Text)
	if err != nil {
		return Sent{}, err
	}
	defer clear(text)
	late := time.Now().Add(s.Wait)
	// Who belongs to the organisation is asked for first: a program that is started
	// for each message knows only who belonged to it the last time.
	if c.Membership() != nil {
		if _, err := until(ctx, c, s.Wait, func() (bool, error) { return c.Organisation().Current, nil }); err != nil {
			return Sent{}, err
		}
	}
	var m client.Message
	if s.File == nil {
		m, err = c.Send(ctx, s.To, marked(text, s.Urgency))
	} else {
		m, err = attach(ctx, c, s, marked(text, s.Urgency))
	}
	if client.Declines(err) {
		return Sent{Refused: true, Reason: err.Error()}, nil
	}
	if err != nil {
		return Sent{}, err
	}
	id, at := m.ID, context.WithoutCancel(ctx)
	_, err = until(ctx, c, time.Until(late), func() (bool, error) {
		now, found, err := c.ByID(at, id)
		if found {
			m = now
		}
		return final(m.State) || err == nil && !found, err // somebody may have removed it
	})
	if err != nil && !errors.Is(err, ctx.Err()) {
		return Sent{}, err
	}
	return standing(c, &m), nil
}

// standing says how far a message has come, and what stands against more.
func standing(c *client.Client, m *client.Message) Sent {
	sent := Sent{ID: m.ID, State: m.State, Reason: m.Why.String()}
	if sent.Reason == "" {
		switch m.State {
		case store.Queued:
			sent.Reason = "the relay does not have it yet"
			if state := c.State(); !state.Words.Empty() {
				sent.Reason = state.Words.String()
			}
		case store.Sent:
			sent.Reason = "nobody there has confirmed it yet"
		}
	}
	return sent
}

// read reads a text, until ctx ends.
func read(ctx context.Context, in io.Reader) ([]byte, error) {
	type answer struct {
		text []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, client.MaxBody+1))
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		switch {
		case a.err != nil:
			return nil, fmt.Errorf("read the text: %w", a.err)
		case len(a.text) > client.MaxBody:
			clear(a.text)
			return nil, errTooLong
		}
		return a.text, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("read the text: %w", ctx.Err())
	}
}

// attach queues a file, and a text before it.
func attach(ctx context.Context, c *client.Client, s Sending, caption string) (client.Message, error) {
	most := c.MaxFile()
	content, err := io.ReadAll(io.LimitReader(s.File, most+1))
	defer func() { clear(content) }()
	if err != nil {
		return client.Message{}, fmt.Errorf("read the file: %w", err)
	}
	if n := int64(len(content)); n > most {
		if err := c.AttemptedSize(ctx, s.To, n); err != nil {
			return client.Message{}, err
		}
		return client.Message{}, fmt.Errorf("%s is larger than the %d MiB that can be sent. Nothing was sent", s.Name, most>>20)
	}
	name, mediaType, clean, err := picture.Clean(ctx, s.Name, content)
	if err != nil {
		return client.Message{}, fmt.Errorf("%w. Nothing was sent", err)
	}
	content = clean
	return c.Attach(ctx, s.To, name, mediaType, content, caption)
}

// marked writes how urgent a text is at its beginning, unless it says so itself.
func marked(text []byte, urgency int) string {
	s := string(text)
	mark := ""
	switch {
	case store.UrgencyOf(s) >= urgency:
	case urgency == store.Stat:
		mark = "!stat "
	case urgency == store.Urgent:
		mark = "!urgent "
	}
	return mark + s
}
