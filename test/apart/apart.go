// Package apart runs a sotto as two processes, link and desk, which have no
// terminal, no PIN and no sandbox, so that a test can kill each of them with
// SIGKILL many times in a minute: the messenger, its database on the disk, the
// connection between the two and that to the relay are the real ones. Whichever
// dies is started again, and a desk ends with its link.
package apart

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// ErrGone is what is returned when the desk has died before it answered: what was
// asked may have been done or not.
var ErrGone = errors.New("the desk has died")

// Account is who to be and where.
type Account struct {
	Address, Password string
	Relay, CA         string // the address and the file with its authority
}

// Sotto is a sotto of two processes. Its methods are safe for concurrent use.
type Sotto struct {
	Address string

	t    testing.TB
	desk *role
	link *role
}

// role is a process that is started again whenever it ends.
type role struct {
	t        testing.TB
	settings settings
	log      string
	stop     chan struct{}
	stopped  chan struct{}

	calls sync.Mutex // held during a question
	mu    sync.Mutex
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ended chan struct{} // this process has
	start chan struct{} // closed and replaced when a process starts
}

// Start starts a sotto with an empty database in a folder of the test.
func Start(t testing.TB, a Account) *Sotto {
	t.Helper()
	dir, err := os.MkdirTemp("", "apart") // not t.TempDir: its names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	key := make([]byte, 32)
	rand.Read(key)
	s := settings{
		Socket: filepath.Join(dir, "link"), Address: a.Address, Password: a.Password, Relay: a.Relay, CA: a.CA,
		Store: filepath.Join(dir, "sotto.db"), Key: hex.EncodeToString(key),
	}
	x := &Sotto{Address: a.Address, t: t, link: newRole(t, s, "link", dir), desk: newRole(t, s, "desk", dir)}
	t.Cleanup(func() {
		if t.Failed() {
			for _, r := range []*role{x.link, x.desk} {
				b, _ := os.ReadFile(r.log)
				t.Logf("%s of %s:\n%s", r.settings.Role, a.Address, b[max(0, len(b)-3000):])
			}
		}
	})
	return x
}

func newRole(t testing.TB, s settings, name, dir string) *role {
	s.Role = name
	r := &role{t: t, settings: s, log: filepath.Join(dir, name+".log"), stop: make(chan struct{}), stopped: make(chan struct{}), start: make(chan struct{})}
	go r.run()
	t.Cleanup(func() {
		close(r.stop)
		<-r.stopped
	})
	return r
}

// run starts the process whenever it has ended.
func (r *role) run() {
	defer close(r.stopped)
	for {
		began := time.Now()
		ended, err := r.begin()
		if err != nil {
			r.t.Errorf("starting a %s: %v", r.settings.Role, err)
			return
		}
		select {
		case <-ended:
		case <-r.stop:
			r.Kill()
			<-ended
			return
		}
		// Not in a loop where it cannot start at all.
		select {
		case <-time.After(time.Until(began.Add(100 * time.Millisecond))):
		case <-r.stop:
			return
		}
	}
}

func (r *role) begin() (ended chan struct{}, err error) {
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	text, err := json.Marshal(r.settings)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = []string{variable + "=" + string(text), "SQLITE_TMPDIR=" + filepath.Dir(r.log)}, log
	in, err := cmd.StdinPipe() // its end is that of a desk whose test has died
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended = make(chan struct{})
	r.mu.Lock()
	r.cmd, r.in, r.out, r.ended = cmd, in, bufio.NewReader(out), ended
	close(r.start)
	r.start = make(chan struct{})
	r.mu.Unlock()
	go func() {
		_, _ = cmd.Process.Wait()
		in.Close()
		out.Close()
		close(ended)
	}()
	return ended, nil
}

// Kill kills the process with SIGKILL.
func (r *role) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
	}
}

// KillDesk and KillLink kill one of the two with SIGKILL.
func (s *Sotto) KillDesk() { s.desk.Kill() }
func (s *Sotto) KillLink() { s.link.Kill() }

// ask asks the desk that runs now.
func (s *Sotto) ask(r request) (reply, error) {
	d := s.desk
	d.calls.Lock()
	defer d.calls.Unlock()
	d.mu.Lock()
	in, out := d.in, d.out
	d.mu.Unlock()
	if in == nil {
		return reply{}, ErrGone
	}
	line, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	if _, err := in.Write(append(line, '\n')); err != nil {
		return reply{}, ErrGone
	}
	answer, err := out.ReadBytes('\n')
	if err != nil {
		return reply{}, ErrGone
	}
	var a reply
	if err := json.Unmarshal(answer, &a); err != nil {
		return reply{}, err
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

// again asks until a desk has lived long enough to answer.
func (s *Sotto) again(ctx context.Context, r request) (reply, error) {
	for {
		s.desk.mu.Lock()
		next := s.desk.start
		s.desk.mu.Unlock()
		a, err := s.ask(r)
		if !errors.Is(err, ErrGone) {
			return a, err
		}
		select {
		case <-next:
		case <-time.After(20 * time.Millisecond): // it has started in between
		case <-ctx.Done():
			return a, fmt.Errorf("%s: %w", s.Address, ctx.Err())
		}
	}
}

// Send writes a message, once. ErrGone leaves open whether it is stored: look.
func (s *Sotto) Send(peer, body string) error {
	_, err := s.ask(request{Do: "send", Peer: peer, Body: body})
	return err
}

// Messages returns a conversation, in order.
func (s *Sotto) Messages(ctx context.Context, peer string) ([]Message, error) {
	a, err := s.again(ctx, request{Do: "messages", Peer: peer})
	return a.Messages, err
}

// Until waits until something is so.
func (s *Sotto) Until(ctx context.Context, what string, so func() (bool, error)) error {
	for {
		yes, err := so()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", s.Address, what, err)
		}
		if yes {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: %s, in vain: %w", s.Address, what, ctx.Err())
		}
	}
}

// Ready waits until it is online, has what the archive held, and knows a device of
// a peer.
func (s *Sotto) Ready(ctx context.Context, peer string) error {
	return s.Until(ctx, "seeing a device of "+peer, func() (bool, error) {
		a, err := s.again(ctx, request{Do: "ready", Peer: peer})
		return a.Online, err
	})
}

// CreateRoom makes a room and returns its address.
func (s *Sotto) CreateRoom(ctx context.Context, name string) (string, error) {
	a, err := s.again(ctx, request{Do: "create", Body: name})
	return a.Self, err
}

// Invite and Join are what they are in the client.
func (s *Sotto) Invite(ctx context.Context, room, who string) error {
	_, err := s.again(ctx, request{Do: "invite", Peer: room, Body: who})
	return err
}

func (s *Sotto) Join(ctx context.Context, room string) error {
	_, err := s.again(ctx, request{Do: "join", Peer: room})
	return err
}

// Members returns who belongs to a room.
func (s *Sotto) Members(ctx context.Context, room string) (int, error) {
	a, err := s.again(ctx, request{Do: "members", Peer: room})
	return len(a.Messages), err
}
