// Package headless runs a whole sotto in the process of a test: the messenger
// as the desk has it and the link, joined by a pipe, without roles and without
// a screen. What it cannot show, the tests in real terminals do.
package headless

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/link"
	"sotto/client/store"
)

// Account is who to be and where.
type Account struct {
	Address, Password string
	Relay             string
	CA                []byte       // PEM; empty for the system's
	Logger            *slog.Logger // of desk and link; nil: no log
}

// Sotto is a running sotto. Its methods are safe for concurrent use.
type Sotto struct {
	*client.Client

	store  *store.Store
	stop   context.CancelFunc
	ended  sync.WaitGroup
	err    error // why it ended; read after ended
	mu     sync.Mutex
	change chan struct{} // closed at the next event

	notices []string // what was said to the person outside of conversations
}

// Notices returns what was said to the person outside of conversations, up to 1,000.
func (s *Sotto) Notices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notices)
}

// Start starts a sotto on a store, which is closed with it.
func Start(a Account, st *store.Store) (*Sotto, error) {
	desk, far := net.Pipe()
	c, err := client.New(client.Config{
		Account: client.Account{
			Address: a.Address, Relay: a.Relay, CA: a.CA,
			Password: memguard.NewBufferFromBytes([]byte(a.Password)),
		},
		Store:  st,
		Link:   desk,
		Logger: a.Logger,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sotto{Client: c, store: st, stop: cancel, change: make(chan struct{})}
	l := link.New(link.Config{Logger: a.Logger})
	s.ended.Go(func() { _ = l.Run(ctx) })
	s.ended.Go(func() {
		s.err = c.Run(ctx)
		if ctx.Err() != nil && errors.Is(s.err, client.ErrLinkEnded) { // which is stopped with it
			s.err = nil
		}
	})
	s.ended.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-c.Events():
				s.mu.Lock()
				if n, ok := e.(client.NoticeEvent); ok && len(s.notices) < 1000 {
					s.notices = append(s.notices, n.Text.String())
				}
				close(s.change)
				s.change = make(chan struct{})
				s.mu.Unlock()
			}
		}
	})
	l.Attach(far)
	return s, nil
}

// Close ends it and closes its store.
func (s *Sotto) Close() error {
	s.stop()
	s.ended.Wait()
	return errors.Join(s.err, s.store.Close())
}

// Until waits until something is so, looking again whenever anything has
// changed. It fails when ctx ends.
func (s *Sotto) Until(ctx context.Context, what string, so func() (bool, error)) error {
	for {
		s.mu.Lock()
		change := s.change
		s.mu.Unlock()
		yes, err := so()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", s.Self().Address, what, err)
		}
		if yes {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("%s: %s, in vain: %w (%s)", s.Self().Address, what, ctx.Err(), s.State().Words)
		}
	}
}

// Online waits until it is logged in and has what the archive held.
func (s *Sotto) Online(ctx context.Context) error {
	return s.Until(ctx, "logging in", func() (bool, error) { return s.State().CaughtUp, nil })
}

// Conversation returns all messages of a conversation, up to 2,000, in order.
// It reads them at once: between two pages the archive could move some.
func (s *Sotto) Conversation(ctx context.Context, peer string) ([]client.Message, error) {
	const most = 2000
	all, err := s.Messages(ctx, peer, 0, most+1)
	if len(all) > most {
		return nil, fmt.Errorf("more than %d messages with %s", most, peer)
	}
	return all, err
}

// Describe says for a failure how a conversation stands.
func (s *Sotto) Describe(peer string) string {
	ctx := context.Background()
	state := s.State()
	security, err := s.Security(ctx, peer)
	if err != nil {
		return err.Error()
	}
	all, err := s.Conversation(ctx, peer)
	if err != nil {
		return err.Error()
	}
	counts := map[string]int{}
	for _, m := range all {
		words := "theirs"
		if m.Outgoing {
			words = m.State.String()
		}
		if m.Why.String() != "" {
			words += ": " + m.Why.String()
		}
		counts[words]++
	}
	return fmt.Sprintf("phase %d, caught up %t, %d queued, %d devices (%d trusted, %d undecided), messages %v",
		state.Phase, state.CaughtUp, state.Queued, security.Devices, security.Trusted, security.Undecided, counts)
}
