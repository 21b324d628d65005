//go:build unix

package role

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
)

// Self is a role, as it sees itself.
type Self struct {
	Control  *Control
	Handover *os.File // gate: write; desk: read; else nil
	Link     *Socket  // gate, desk; else nil
	Signals  chan os.Signal
}

// Enter makes this process the role n: it hardens it, takes over what the watch
// left open and reads the setup. It comes first in a role's life.
func Enter[M Message](n Name) (*Self, M, error) {
	var none M
	if err := harden.Early(); err != nil {
		return nil, none, err
	}
	unix.Umask(0o077)
	s := &Self{}
	socket, err := inherit(fdControl)
	if err != nil {
		return nil, none, err
	}
	s.Control = NewControl(socket)
	s.Signals = make(chan os.Signal, 8)
	if n == Gate || n == Desk {
		unix.CloseOnExec(fdHandover)
		s.Handover = os.NewFile(fdHandover, "handover")
		if s.Link, err = inherit(fdLink); err != nil {
			return nil, none, err
		}
		// Notify and not Ignore: what is ignored stays so through exec.
		// Interrupt and stop are for the watch; it tells what to do.
		signal.Notify(s.Signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGWINCH)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
		if err := mindWatch(); err != nil {
			return nil, none, fmt.Errorf("ask to be told of the end of the watch: %w", err)
		}
	} else {
		signal.Notify(s.Signals, syscall.SIGTERM, syscall.SIGHUP)
		signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT)
	}
	m, err := s.Control.Receive()
	if err != nil {
		return nil, none, fmt.Errorf("read the setup: %w", err)
	}
	got, ok := m.(M)
	if !ok {
		return nil, none, errors.New("the setup is for another role")
	}
	return s, got, nil
}

func inherit(fd int) (*Socket, error) {
	unix.CloseOnExec(fd)
	return socketAt(fd)
}

// Alone says whether the watch is gone, so that nobody but this role is left to
// put the terminal right.
func (s *Self) Alone() bool { return s.Control.Send(&Activity{}) != nil }

// Fail tells the watch why the role ends, and returns the exit code for that.
func (s *Self) Fail(err error) int {
	s.Control.Send(&Note{Text: err.Error()})
	return ExitFailed
}
