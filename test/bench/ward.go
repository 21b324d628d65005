package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/store"
	"sotto/internal/relay"
	"sotto/test/headless"
)

const (
	domain   = "bench.localhost"
	password = "Correct-Horse-Battery-1"
	pin      = "493817"
)

// ward is a relay on loopback and a colleague who writes.
type ward struct {
	b   *bench
	dir string
	url string
	per *headless.Sotto
}

func newWard(ctx context.Context, b *bench) (*ward, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(dir, "relay")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	r, err := relay.New(relay.Config{Domain: domain, Store: folder, Limits: relay.Limits{
		Mailbox: 4 * backlog, MailboxShare: 4 * backlog, MailboxBytes: 1 << 30, // more waits here than a relay keeps for one person
	}})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	serving, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); _ = r.Serve(serving, l) }()
	if err := b.atEnd(func() { stop(); <-served; _ = r.Close() }); err != nil {
		return nil, err
	}
	for _, u := range [][2]string{{"ada", "Okafor, Ada"}, {"per", "Lind, Per"}, {"luis", "Cardenas, Luis"}, {"rana", "Haddad, Rana"}} {
		if err := r.AddUser(ctx, u[0], []byte(password), u[1]); err != nil {
			return nil, err
		}
	}
	w := &ward{b: b, dir: dir, url: fmt.Sprintf("ws://%s/ws", l.Addr())}
	w.per, err = w.headless(ctx, "per")
	return w, err
}

// headless starts a sotto without a screen and waits until it is online and has
// caught up.
func (w *ward) headless(ctx context.Context, name string) (*headless.Sotto, error) {
	key := memguard.NewBufferFromBytes([]byte("a key of 32 bytes for a benchmark"[:32]))
	st, err := store.Open(ctx, filepath.Join(w.dir, name+".db"), key)
	if err != nil {
		return nil, err
	}
	s, err := headless.Start(headless.Account{Address: name + "@" + domain, Password: password, Relay: w.url}, st)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	if err := w.b.atEnd(func() { _ = s.Close() }); err != nil {
		return nil, err
	}
	return s, s.Online(ctx)
}

// says has the colleague write to Ada.
func (w *ward) says(ctx context.Context, words string) error {
	_, err := w.per.Send(ctx, "ada@"+domain, words)
	return err
}

// ada is somebody with a sotto in a terminal.
type ada struct {
	w            *ward
	home, binary string
}

// newAda makes her profile.
func newAda(ctx context.Context, b *bench) (*ada, error) {
	binary, err := b.program(ctx)
	if err != nil {
		return nil, err
	}
	w, err := newWard(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("the relay and the colleague: %w", err)
	}
	a := &ada{w: w, binary: binary}
	if a.home, err = b.folder(); err != nil {
		return nil, err
	}
	s, err := a.open("join", "ada@"+domain, "--relay", w.url)
	if err != nil {
		return nil, err
	}
	defer s.close()
	for _, step := range [][2]string{{"Password of", password}, {"New PIN", pin}, {"Again", pin}} {
		if _, err := s.see(ctx, step[0]); err != nil {
			return nil, err
		}
		s.quiet(50 * time.Millisecond)
		s.press(step[1] + "\r")
	}
	if _, err := s.see(ctx, "lock in"); err != nil {
		return nil, err
	}
	_, err = s.see(ctx, "online")
	return a, err
}

func (a *ada) open(arguments ...string) (*screen, error) {
	return a.w.b.open([]string{
		"HOME=" + a.home, "XDG_CONFIG_HOME=" + a.home + "/config", "XDG_DATA_HOME=" + a.home + "/data",
		"XDG_STATE_HOME=" + a.home + "/state", "COLORTERM=truecolor",
	}, a.home, append([]string{a.binary}, arguments...)...)
}

// composer is what stands before the text that is being written.
const composer = ">  "

// converse starts sotto, unlocks it and opens the conversation with the
// colleague, who writes a first message. That ends what only happens once:
// sessions, and the line that says what is new.
func (a *ada) converse(ctx context.Context) (*screen, error) {
	s, err := a.open()
	if err != nil {
		return nil, err
	}
	if _, err := s.see(ctx, "PIN"); err != nil {
		return nil, err
	}
	s.quiet(50 * time.Millisecond)
	s.press(pin + "\r")
	if _, err := s.see(ctx, "lock in"); err != nil {
		return nil, err
	}
	if _, err := s.see(ctx, "online"); err != nil {
		return nil, err
	}
	s.press("\x0b" + "per") // Ctrl+K
	if _, err := s.see(ctx, "> per"); err != nil {
		return nil, err
	}
	s.press("\r")
	if _, err := s.see(ctx, " Lind, Per"); err != nil {
		return nil, err
	}
	if err := a.w.says(ctx, "The first message"); err != nil {
		return nil, err
	}
	_, err = s.see(ctx, "The first message")
	return s, err
}
