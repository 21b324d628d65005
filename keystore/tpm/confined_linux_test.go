package tpm

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
	"sotto/keystore/tpm/tpmtest"
)

// TestInTheGatesSandbox does all that there is to do with a TPM in a process
// that is confined as the gate is, with nothing but the open descriptor.
func TestInTheGatesSandbox(t *testing.T) {
	const env = "SOTTO_TEST_TPM"
	if socket := os.Getenv(env); socket != "" {
		confined(t, socket, os.TempDir())
		os.Stdout.WriteString("all of it\n")
		return
	}
	e := tpmtest.Start(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestInTheGatesSandbox$")
	cmd.Env = append(os.Environ(), env+"="+e.Path(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all of it") {
		t.Errorf("%v\n%s", err, out)
	}
}

func confined(t *testing.T, socket, dir string) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.(*net.UnixConn).File()
	if err != nil {
		t.Fatal(err)
	}
	fd := int(f.Fd())
	if err := unix.SetNonblock(fd, false); err != nil { // as the device is opened
		t.Fatal(err)
	}
	if err := harden.Early(); err != nil {
		t.Fatal(err)
	}
	if _, err := harden.Gate(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := openAt("/dev/null"); !errors.Is(err, ErrPermission) { // what is opened now is too late
		t.Fatalf("the sandbox opens a device: %v", err)
	}
	d := Over(descriptor(fd))
	r, got := sealed(t, d), make([]byte, SecretSize)
	if err := d.Unseal(r, wrong(1), got); !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
	if err := errors.Join(d.Check(r), d.Unseal(r, auth, got), d.Forget(r)); err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
}
