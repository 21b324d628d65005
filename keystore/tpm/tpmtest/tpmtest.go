//go:build linux

// Package tpmtest runs swtpm, a TPM 2.0 in software, for tests.
package tpmtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// TPM is a TPM of its own, which nobody has used before. It ends with the test.
type TPM struct {
	t    testing.TB
	path string
}

// Start starts one. Where swtpm is not installed the test fails: test/install
// installs it.
func Start(t testing.TB) *TPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	e := &TPM{t, filepath.Join(dir, "s")}
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+e.path, "--flags", "not-need-init,startup-clear")
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v. To install it: sudo test/install", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
	})
	for late := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("unix", e.path)
		if err == nil {
			c.Close()
			return e
		}
		if time.Now().After(late) {
			t.Fatalf("swtpm does not answer: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Path is the TPM's socket.
func (e *TPM) Path() string { return e.path }

// Dial connects to it. It serves one connection at a time. As a kernel's resource
// manager does, it forgets the keys and sessions of whoever was connected before.
func (e *TPM) Dial() net.Conn {
	e.t.Helper()
	c, err := net.Dial("unix", e.path)
	if err != nil {
		e.t.Fatal(err)
	}
	bus := transport.FromReadWriter(c)
	for _, kind := range []tpm2.TPMHT{tpm2.TPMHTTransient, tpm2.TPMHTHMACSession} {
		got, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(kind) << 24, PropertyCount: 64}.Execute(bus)
		if err != nil {
			e.t.Fatal(err)
		}
		list, err := got.CapabilityData.Data.Handles()
		if err != nil {
			e.t.Fatal(err)
		}
		for _, h := range list.Handle {
			if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(bus); err != nil {
				e.t.Fatal(err)
			}
		}
	}
	return c
}
