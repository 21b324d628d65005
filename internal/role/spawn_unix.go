//go:build unix

package role

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// The descriptors that a role finds open beside standard input and output.
const (
	fdControl  = 3
	fdHandover = 4 // gate: write the key; desk: read it
	fdLink     = 5 // gate, desk: the socket whose other end the link gets
)

// Child is a running role, as the watch sees it.
type Child struct {
	Name    Name
	Control *Control
	cmd     *exec.Cmd
}

// Spawn starts a role with its setup. A gate or a desk shares the
// terminal and takes handover and link, which stay open here for the caller to
// close; a link or a ward gets neither a terminal nor these.
//
// On Linux the role gets SIGTERM when the thread that called Spawn ends, so
// call it from a goroutine that is locked to a thread which lives as long as
// the watch: the main goroutine, locked in an init function. A gate or a desk
// asks for that itself, once the signal does not end it any more: should the
// watch be killed, it puts the terminal right.
func Spawn(n Name, setup Message, handover *os.File, link *Socket) (*Child, error) {
	return SpawnOn(n, setup, os.Stdin, os.Stdout, handover, link)
}

// SpawnOn is Spawn where a gate or a desk is to have something else than the
// terminal as its standard input and output; nil is nothing.
func SpawnOn(n Name, setup Message, in, out, handover *os.File, link *Socket) (*Child, error) {
	ours, theirs, err := Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	exe, err := executable()
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("find sotto's own program: %w", err)
	}
	cmd := &exec.Cmd{
		Path:        exe,
		Args:        []string{prefix + string(n)},
		Env:         Environment(n, os.Environ()),
		ExtraFiles:  []*os.File{theirs.File()},
		SysProcAttr: &syscall.SysProcAttr{},
	}
	if n == Gate || n == Desk {
		if in != nil { // and not a nil *os.File, which is something
			cmd.Stdin = in
		}
		if out != nil {
			cmd.Stdout = out
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, handover, link.File())
	} else {
		// A session of its own: no controlling terminal to open, and the keys
		// that a shell turns into signals are not for it.
		cmd.SysProcAttr = childAttr()
		cmd.SysProcAttr.Setsid = true
	}
	// Standard error stays closed to every role: when Go crashes it prints
	// what lay on the stacks.
	c := &Child{Name: n, Control: NewControl(ours), cmd: cmd}
	// It waits in the socket, which holds far more: so a role has it even if the
	// watch is killed at that moment.
	if err := c.Control.Send(setup); err != nil {
		ours.Close()
		return nil, fmt.Errorf("set up the %s process: %w", n, err)
	}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start the %s process: %w", n, err)
	}
	return c, nil
}

// Pid is the process id.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Kill ends the role at once.
func (c *Child) Kill() { c.cmd.Process.Kill() }

// Signal sends a signal, if the role still runs.
func (c *Child) Signal(s syscall.Signal) { c.cmd.Process.Signal(s) }

// Ending is how a role ended.
type Ending struct {
	Code   int            // exit code, or -1 when a signal ended it
	Signal syscall.Signal // the signal, or 0
}

// Wait waits for the end. Call it once.
func (c *Child) Wait() Ending {
	c.cmd.Wait()
	ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return Ending{Code: -1}
	}
	if ws.Signaled() {
		return Ending{Code: -1, Signal: ws.Signal()}
	}
	return Ending{Code: ws.ExitStatus()}
}
