package main

import (
	"context"
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
	relay *relay.Relay
	stop  context.CancelFunc
	url   string
	per   *headless.Sotto
}

func newWard(dir string) (*ward, error) {
	folder := filepath.Join(dir, "relay")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	r, err := relay.New(relay.Config{Domain: domain, Store: folder})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &ward{relay: r, stop: stop, url: fmt.Sprintf("ws://%s/ws", l.Addr())}
	go func() { _ = r.Serve(ctx, l) }()
	for _, u := range [][2]string{{"ada", "Okafor, Ada"}, {"per", "Lind, Per"}, {"luis", "Cardenas, Luis"}, {"rana", "Haddad, Rana"}} {
		if err := r.AddUser(ctx, u[0], []byte(password), u[1]); err != nil {
			return nil, err
		}
	}
	w.per, err = w.headless(ctx, "per", filepath.Join(dir, "per.db"))
	return w, err
}

func (w *ward) close() {
	_ = w.per.Close()
	w.stop()
	_ = w.relay.Close()
}

// headless starts a sotto without a screen and waits until it is online.
func (w *ward) headless(ctx context.Context, name, file string) (*headless.Sotto, error) {
	key := memguard.NewBufferFromBytes([]byte("a key of 32 bytes for a benchmark"[:32]))
	st, err := store.Open(ctx, file, key)
	if err != nil {
		return nil, err
	}
	s, err := headless.Start(headless.Account{Address: name + "@" + domain, Password: password, Relay: w.url}, st)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s, s.Online(ctx)
}

// says has the colleague write to Ada.
func (w *ward) says(ctx context.Context, words string) error {
	_, err := w.per.Send(ctx, "ada@"+domain, words)
	return err
}

// user is Ada, with a sotto in a terminal.
type user struct {
	w           *ward
	dir, binary string
}

func (u *user) open(arguments ...string) (*screen, error) {
	home := filepath.Join(u.dir, "ada")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	return open([]string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home + "/config", "XDG_DATA_HOME=" + home + "/data",
		"XDG_STATE_HOME=" + home + "/state", "COLORTERM=truecolor",
	}, home, append([]string{u.binary}, arguments...)...)
}

// join makes Ada's profile.
func (u *user) join() error {
	s, err := u.open("join", "ada@"+domain, "--relay", u.w.url)
	if err != nil {
		return err
	}
	defer s.close()
	for _, step := range [][2]string{{"Password of", password}, {"New PIN", pin}, {"Again", pin}} {
		if _, err := s.see(step[0]); err != nil {
			return err
		}
		s.quiet(50 * time.Millisecond)
		s.press(step[1] + "\r")
	}
	if _, err := s.see("lock in"); err != nil {
		return err
	}
	_, err = s.see("online")
	return err
}

func (u *user) unlock(s *screen) error {
	if _, err := s.see("PIN"); err != nil {
		return err
	}
	s.quiet(50 * time.Millisecond)
	s.press(pin + "\r")
	_, err := s.see("lock in")
	return err
}

// catchUp measures how fast messages that came while away are fetched,
// decrypted and stored.
func catchUp(ctx context.Context, w *ward, dir string) error {
	const messages = 5000
	file := filepath.Join(dir, "luis.db")
	luis, err := w.headless(ctx, "luis", file)
	if err != nil {
		return err
	}
	address := luis.Self().Address
	// The first messages make the session in both directions.
	if _, err := w.per.Send(ctx, address, "hello"); err != nil {
		return err
	}
	if err := luis.Until(ctx, "hearing hello", func() (bool, error) {
		all, err := luis.Conversation(ctx, "per@"+domain)
		return len(all) == 1, err
	}); err != nil {
		return err
	}
	if err := luis.Close(); err != nil {
		return err
	}
	began := time.Now()
	for i := range messages {
		if _, err := w.per.Send(ctx, address, fmt.Sprintf("message %d of many, as long as people write them", i)); err != nil {
			return err
		}
	}
	if err := w.per.Until(ctx, "sending all", func() (bool, error) { return w.per.State().Queued == 0, nil }); err != nil {
		return err
	}
	rate := messages / time.Since(began).Seconds()
	line("writing: stored, encrypted, on the relay", fmt.Sprintf("%.0f /s", rate), "", true)
	began = time.Now()
	if luis, err = w.headless(ctx, "luis", file); err != nil {
		return err
	}
	all, err := luis.Messages(ctx, "per@"+domain, 0, 2*messages)
	if err != nil {
		return err
	}
	if len(all) != messages+1 {
		return fmt.Errorf("%d messages after catching up, not %d", len(all), messages+1)
	}
	rate = messages / time.Since(began).Seconds()
	line("catching up: fetched, decrypted, stored", fmt.Sprintf("%.0f /s", rate), "5000 /s", rate >= 5000)
	return luis.Close()
}
