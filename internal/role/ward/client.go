package ward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/link"
	"sotto/client/store"
)

// member is one person with a client and a link, both in this process.
type member struct {
	person
	*client.Client
	store *store.Store
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu    sync.Mutex
	ready chan struct{}                  // closed when it has caught up
	heard map[string]chan client.Message // who waits for a message, by its text
	said  func(client.Message)           // what to do with what comes; may be nil
}

func (p person) address() string { return p.name + "@" + Domain }

// join logs a person in. It takes over the password; the store stays the caller's.
func join(p person, password *memguard.LockedBuffer, relayURL string, db *store.Store) (*member, error) {
	ctx, stop := context.WithCancel(context.Background())
	m := &member{
		person: p, store: db, stop: stop,
		ready: make(chan struct{}), heard: make(map[string]chan client.Message),
	}
	desk, wire := net.Pipe()
	var err error
	m.Client, err = client.New(client.Config{
		Account: client.Account{Address: p.address(), Relay: relayURL, Password: password},
		Store:   db, Link: desk,
	})
	if err != nil {
		stop()
		password.Destroy()
		return nil, err
	}
	l := link.New(link.Config{})
	m.ended.Go(func() { l.Run(context.Background()) })
	l.Attach(wire)
	m.ended.Go(func() {
		m.Client.Run(ctx)
		l.Close()
	})
	m.ended.Go(func() { m.listen(ctx) })
	return m, nil
}

// leave logs out and waits until nothing of the member runs any more.
func (m *member) leave() {
	m.stop()
	m.ended.Wait()
}

func (m *member) listen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-m.Events():
			switch e := e.(type) {
			case client.CaughtUp:
				select {
				case <-m.ready:
				default:
					close(m.ready)
				}
			case client.MessageAdded:
				if e.Message.Outgoing {
					continue
				}
				m.mu.Lock()
				waits, said := m.heard[e.Message.Body.String()], m.said
				m.mu.Unlock()
				if waits != nil {
					select {
					case waits <- e.Message:
					default:
					}
				}
				if said != nil {
					said(e.Message)
				}
			}
		}
	}
}

// answerWith sets what to do with messages from now on.
func (m *member) answerWith(f func(client.Message)) {
	m.mu.Lock()
	m.said = f
	m.mu.Unlock()
}

// errLate is why a demo could not be set up on a machine that is far too busy.
var errLate = errors.New("the colleagues did not come online in time; try again when the machine is less busy")

// online waits until the member has caught up with its archive.
func (m *member) online(ctx context.Context) error {
	select {
	case <-m.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", m.name, errLate)
	}
}

// exchange sends a text and waits until it has arrived.
func exchange(ctx context.Context, from, to *member, text string) (client.Message, error) {
	arrived := make(chan client.Message, 1)
	to.mu.Lock()
	to.heard[text] = arrived
	to.mu.Unlock()
	defer func() {
		to.mu.Lock()
		delete(to.heard, text)
		to.mu.Unlock()
	}()
	if _, err := from.Send(ctx, to.address(), text); err != nil {
		return client.Message{}, err
	}
	select {
	case m := <-arrived:
		return m, nil
	case <-ctx.Done():
		return client.Message{}, fmt.Errorf("%s to %s: %w", from.name, to.name, errLate)
	}
}

// answerTo reads and answers a message as a person on call would: it takes a
// moment to be read and a moment to be typed.
func (m *member) answerTo(ctx context.Context, got client.Message, texts []string) {
	if !pause(ctx, 900*time.Millisecond) || m.MarkRead(ctx, got.Peer, got.ID) != nil {
		return
	}
	for _, text := range texts {
		if !pause(ctx, 700*time.Millisecond+time.Duration(len(text))*25*time.Millisecond) {
			return
		}
		if _, err := m.say(ctx, got.Peer, text); err != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
