// Package server runs real XMPP servers for the end-to-end tests: Prosody and
// ejabberd, as Debian ships them, and the relay in sotto; each in a folder of
// its own, on free loopback ports, with a certificate from an authority that
// exists only for the test. Nothing outside that folder is read or written, no service is started, and a
// server is always stopped by its own process id.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startLimit is how long a server may take until its ports answer. Both need
// less than two seconds on an idle machine; a loaded one gets the rest.
const startLimit = 3 * time.Minute

// ErrMissing is what a start reports when the server is not installed.
var ErrMissing = errors.New("not installed")

// Person is an account on a server.
type Person struct {
	Name     string // the part of the address before the @
	Display  string // as colleagues see it in their contact list
	Password string
}

// Server is a running server. Its methods may be called from any goroutine.
type Server struct {
	Name      string // "Prosody", "ejabberd" or "sotto relay"
	Version   string // as the server itself says
	Domain    string // what stands after the @ of its people
	WebSocket string // wss:// address, with a certificate that CAFile vouches for
	API       string // of ejabberd: where its HTTP API is; "" where it has none
	PlainURL  string // the same without TLS, which only loopback may use
	Addr      string // host:port behind WebSocket, for a proxy in between
	Client    int    // the port for clients that speak XMPP over TCP (STARTTLS); 0 if there is none
	CAFile    string // the certificate authority, PEM
	Dir       string // everything the server writes

	// OnlyPlain and NoPEP are further domains of the same server: one offers no
	// login but PLAIN, the other has no personal eventing. Empty if the server
	// cannot be set up so.
	OnlyPlain, NoPEP string

	// Partner is a further domain with all that Domain has but rooms and files, for
	// another organisation. Empty if the server is not set up so.
	Partner string

	command func() *exec.Cmd
	log     string
	add     func(ctx context.Context, domain, group string, people []Person) error

	mu   sync.Mutex
	proc *process
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Address returns a person's bare address on this server.
func (s *Server) Address(p Person) string { return p.Name + "@" + s.Domain }

// AddTeam makes accounts for people and puts everyone in everyone's contact
// list, subscribed both ways, under the group's name. They must not be online.
func (s *Server) AddTeam(ctx context.Context, group string, people ...Person) error {
	if err := s.add(ctx, s.Domain, group, people); err != nil {
		return fmt.Errorf("adding %s to %s: %w", group, s.Name, err)
	}
	return nil
}

// AddAlone makes an account with no contacts on one of the server's domains.
func (s *Server) AddAlone(ctx context.Context, domain string, p Person) error {
	if err := s.add(ctx, domain, "", []Person{p}); err != nil {
		return fmt.Errorf("adding %s@%s to %s: %w", p.Name, domain, s.Name, err)
	}
	return nil
}

// PID returns the process id of the running server, 0 if it is down.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Start starts a server that was stopped, with all it had stored.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		return nil
	}
	cmd := s.command()
	out, err := os.OpenFile(filepath.Join(s.Dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, out, out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.Name, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	addresses := []string{s.Addr}
	if s.Client != 0 {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", s.Client))
	}
	for _, addr := range addresses {
		if err := waitPort(ctx, addr, p.done); err != nil {
			p.end(syscall.SIGKILL)
			return fmt.Errorf("%s did not come up: %w\n%s", s.Name, err, s.Log(30))
		}
	}
	s.proc = p
	return nil
}

// Stop ends the server in an orderly way, and with force if it does not obey.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server as a power cut would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.end(sig)
		s.proc = nil
	}
}

func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Log returns the last lines of what the server wrote to its log and console.
func (s *Server) Log(lines int) string {
	var b strings.Builder
	for _, name := range slices.Compact([]string{s.log, filepath.Join(s.Dir, "console.log")}) {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
		fmt.Fprintf(&b, "--- %s %s\n%s\n", s.Name, filepath.Base(name), strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
	return b.String()
}

// waitPort returns once something listens at addr, and fails when the process
// has ended or the time is up.
func waitPort(ctx context.Context, addr string, ended <-chan struct{}) error {
	var d net.Dialer
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ended:
			return errors.New("the process ended")
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, ctx.Err())
		case <-tick.C:
		}
	}
}

// firstPort and lastPort lie below the range from which systems take the ports
// of outgoing connections, so that nothing grabs one between choice and use.
const firstPort, lastPort = 25200, 25990

var ports struct {
	sync.Mutex
	next int
}

// FreePorts returns n loopback ports that nothing listens on, and which no other
// test program of this user gets until this one has ended: a server that is down for a moment finds
// its port as it was.
func FreePorts(n int) ([]int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		// Test programs that run at the same time begin at different places.
		ports.next = firstPort + os.Getpid()*16%(lastPort-firstPort)
	}
	var free []int
	for range lastPort - firstPort {
		port := ports.next
		if ports.next++; ports.next > lastPort {
			ports.next = firstPort
		}
		if !reserve(port) {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if free = append(free, port); len(free) == n {
			return free, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
}

// certify has a new authority issue the server's certificate.
func (s *Server) certify(hosts ...string) error {
	ca, err := NewAuthority(s.Dir)
	if err != nil {
		return err
	}
	s.CAFile = ca.File
	return ca.Issue(s.Dir, "server", time.Now().Add(12*time.Hour), hosts...)
}

// output runs a command to its end and returns what it printed.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		// The arguments may hold a password, so they are not repeated.
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
