//go:build amd64 || arm64

package harden_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
)

func TestWatch(t *testing.T) {
	c := start(t, "watch")
	r := c.end()
	r.holds(t)
	allowed := make(map[string]bool)
	for _, a := range r.Table {
		allowed[a.Name] = a.Allowed
	}
	// What the watch and those it starts never need.
	for _, name := range []string{
		"run a program", "make a process in a namespace", "trace a process", "read the parent's memory",
		"type into the terminal (TIOCSTI)", "type into the terminal (a padded TIOCSTI)", "take over a terminal (TIOCSCTTY)",
		"make a Multipath TCP socket", "make a raw socket", "make a Unix socket", "make a netlink socket", "make a vsock socket",
		"listen on a socket", "accept a connection", "map executable memory", "make a file in memory", "share memory",
		"use io_uring", "load a BPF program", "use the kernel's key rings", "leave its namespaces", "mount a file system",
		"make a symbolic link", "make a named pipe", "make a device", "change its user",
	} {
		if was, tried := allowed[name]; was || !tried {
			if name == "map executable memory" && dynamic(t) {
				continue // libraries are mapped so
			}
			t.Errorf("%s: allowed %v, tried %v", name, was, tried)
		}
	}
	for _, name := range []string{"run this program again", "make a TCP socket", "read a file of the system"} {
		if !allowed[name] {
			t.Errorf("the roles need it: %s", name)
		}
	}
}

// dynamic says whether this test is linked to libraries, as with the race detector.
func dynamic(t *testing.T) bool {
	_, err := os.Stat("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	return cgo
}

// watchRole confines itself and starts the other roles, which confine
// themselves further.
func watchRole(dir string, _ *os.File, r *report) error {
	if err := confined(r, func() (harden.Layers, error) { return harden.Watch() }); err != nil {
		return err
	}
	r.try("start a desk that confines itself further", func() error {
		inner, err := inside(dir, "twice")
		if err != nil {
			return err
		}
		for _, a := range inner.Table {
			if a.Allowed {
				err = errors.Join(err, fmt.Errorf("%s: %s", a.Name, a.Error))
			}
		}
		return err
	})
	r.try("end a child that does not end by itself", func() error {
		p, err := os.StartProcess("/proc/self/exe", []string{"sleeper"}, &os.ProcAttr{
			Env:   append(os.Environ(), roleEnv+"=sleep"),
			Files: []*os.File{os.Stdin, os.Stdout}, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM},
		})
		if err != nil {
			return err
		}
		killed := make(chan error)
		go func() { killed <- p.Kill() }() // from whichever thread
		if err := <-killed; err != nil {
			return err
		}
		_, err = p.Wait()
		return err
	})
	r.try("end a child by its number", func() error {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{"sleeper"}, &syscall.ProcAttr{
			Env: append(os.Environ(), roleEnv+"=sleep"), Sys: &syscall.SysProcAttr{Setsid: true}})
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			return err
		}
		_, err = syscall.Wait4(pid, nil, 0, nil)
		return err
	})
	r.try("join two processes", func() error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(pair[0])
		defer unix.Close(pair[1])
		return unix.Sendmsg(pair[0], []byte{1}, unix.UnixRights(0), nil, 0)
	})
	r.Table = harden.Probe(dir, r.Layers)
	return nil
}

// inside runs another role of this test beneath this one.
func inside(dir, role string) (*report, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	dir = filepath.Join(filepath.Dir(dir), "inner")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role, "HARDEN_TEST_DIR="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{out, out}
	err = cmd.Start()
	out.Close()
	if err != nil {
		return nil, err
	}
	r := &report{}
	err = json.NewDecoder(in).Decode(r)
	if r.Fatal != "" {
		err = errors.Join(err, errors.New(r.Fatal))
	}
	return r, errors.Join(err, cmd.Wait())
}
