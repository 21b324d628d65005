package keystore

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sotto/keystore/tpm"
	"sotto/keystore/tpm/tpmtest"
)

func sealedPlace(t testing.TB, e *tpmtest.TPM) Place {
	p := cheapPlace(t)
	p.TPM = tpm.Over(e.Dial())
	t.Cleanup(func() { p.TPM.Close() })
	makeVault(t, p, rightPIN).Close()
	if s, err := p.Status(); err != nil || !s.TPM {
		t.Fatalf("not sealed to the TPM: %+v %v", s, err)
	}
	return p
}

// refs are the places in the TPM that a vault's device file notes.
func refs(t testing.TB, p Place) (all []tpm.Ref, secret bool) {
	t.Helper()
	f, err := os.Open(p.device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := readDevice(f)
	if err != nil {
		t.Fatal(err)
	}
	defer d.destroy()
	for _, r := range d.refs {
		if !r.Zero() {
			all = append(all, r)
		}
	}
	return all, d.secret != nil
}

func TestSealedToATPM(t *testing.T) {
	p := sealedPlace(t, tpmtest.Start(t))
	wantOpen(t, p)
	if all, secret := refs(t, p); len(all) != 1 || secret {
		t.Errorf("the device's file notes %d places, and has a secret: %v", len(all), secret)
	}
	tryWrong(t, p, 1)
	wantTried(t, p, 1)
	if l, err := p.TPM.Lockout(); err != nil || l.Failures != 1 {
		t.Errorf("the TPM has counted %d, %v", l.Failures, err)
	}
	wantOpen(t, p)

	o, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	before, _ := refs(t, p)
	if err := o.ChangePIN(locked(t, "135791")); err != nil {
		t.Fatal(err)
	}
	if after, _ := refs(t, p); len(after) != 1 || after[0] == before[0] {
		t.Errorf("after another PIN the file notes %d places", len(after))
	}
	if err := p.TPM.Check(before[0]); !errors.Is(err, tpm.ErrGone) {
		t.Errorf("the secret behind the old PIN: %v", err)
	}
	if _, err := p.Open(locked(t, rightPIN)); err != ErrWrongPIN {
		t.Errorf("the old PIN: %v", err)
	}
	o2, err := p.Open(locked(t, "135791"))
	if err != nil {
		t.Fatal(err)
	}
	wantAccount(t, o2.Account())
	o2.Close()
}

// TestTPMLocksOut guesses with copies of both files, put back each time: sotto's
// own number is always 0, and still the TPM ends it. Without a TPM it goes on.
func TestTPMLocksOut(t *testing.T) {
	p := sealedPlace(t, tpmtest.Start(t))
	vault, device := keep(t, p.vault), keep(t, p.device)
	guess := func(p Place, vault, device []byte) int {
		for n := range 40 {
			putBack(t, p.vault, vault)
			putBack(t, p.device, device)
			_, err := p.Open(locked(t, wrongPIN))
			if errors.Is(err, tpm.ErrLockout) {
				return n
			}
			if err != ErrWrongPIN {
				t.Fatal(err)
			}
		}
		return 40
	}
	l, err := p.TPM.Lockout()
	if err != nil {
		t.Fatal(err)
	}
	if n := guess(p, vault, device); n != l.Limit {
		t.Errorf("%d guesses, and the TPM allows %d", n, l.Limit)
	}
	for range 20 { // what the TPM does not look at is not counted
		if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, tpm.ErrLockout) || !strings.Contains(err.Error(), "minutes") {
			t.Fatalf("in lockout: %v", err)
		}
	}
	wantTried(t, p, 0)

	p = cheapPlace(t)
	makeVault(t, p, rightPIN).Close()
	if n := guess(p, keep(t, p.vault), keep(t, p.device)); n != 40 {
		t.Errorf("without a TPM: only %d guesses, so this test shows nothing", n)
	}
}

// TestFilesWithoutTheirTPM opens copies of both files on another machine.
func TestFilesWithoutTheirTPM(t *testing.T) {
	p := sealedPlace(t, tpmtest.Start(t))
	for name, test := range map[string]struct {
		tpm  *tpm.Device
		want error
	}{"another": {tpm.Over(tpmtest.Start(t).Dial()), ErrTPMGone}, "none": {nil, ErrNoTPM}} {
		elsewhere := p
		elsewhere.TPM = test.tpm
		for range 12 {
			if _, err := elsewhere.Open(locked(t, rightPIN)); !errors.Is(err, test.want) {
				t.Errorf("with %s: %v", name, err)
			}
		}
		wantTried(t, p, 0)
		test.tpm.Close()
	}
	wantOpen(t, p)

	without := cheapPlace(t) // copies of a vault without a TPM do open
	makeVault(t, without, rightPIN).Close()
	elsewhere := cheapPlace(t)
	putBack(t, elsewhere.vault, keep(t, without.vault))
	putBack(t, elsewhere.device, keep(t, without.device))
	wantOpen(t, elsewhere)
}

// TestMovedIntoATPM has a vault that was made without a TPM move into one with
// the next unlock.
func TestMovedIntoATPM(t *testing.T) {
	p := limitedPlace(t, 10)
	e := tpmtest.Start(t)
	p.TPM = tpm.Over(e.Dial())
	defer func() { p.TPM.Close() }()
	tryWrong(t, p, 1) // not with a wrong PIN
	if s, _ := p.Status(); s.TPM {
		t.Error("moved with a wrong PIN")
	}
	wantOpen(t, p)
	s, err := p.Status()
	if all, secret := refs(t, p); err != nil || !s.TPM || s.DestroyAfter != 10 || len(all) != 1 || secret {
		t.Errorf("%+v %v, %d places, secret %v", s, err, len(all), secret)
	}
	wantOpen(t, p)
	alone := p
	alone.TPM = nil
	if _, err := alone.Open(locked(t, rightPIN)); !errors.Is(err, ErrNoTPM) {
		t.Errorf("without the TPM: %v", err)
	}
}

// TestKeptOutOfATPM makes and opens vaults that are not to be sealed. One that
// is opens with its TPM, also when its limit changes, and moves out with its PIN.
func TestKeptOutOfATPM(t *testing.T) {
	e := tpmtest.Start(t)
	p := cheapPlace(t)
	p.TPM, p.NoSeal = tpm.Over(e.Dial()), true
	makeVault(t, p, rightPIN).Close()
	wantOpen(t, p)
	if s, err := p.Status(); err != nil || s.TPM {
		t.Errorf("moved in: %+v %v", s, err)
	}
	p.TPM.Close() // the emulator talks with one at a time

	p = sealedPlace(t, e)
	p.NoSeal, p.DestroyAfter = true, 12
	wantOpen(t, p)
	if s, err := p.Status(); err != nil || !s.TPM || s.DestroyAfter != 12 {
		t.Errorf("it moved by itself: %+v %v", s, err)
	}
	before, _ := refs(t, p)
	o, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.ChangePIN(locked(t, "135791")); err != nil {
		t.Fatal(err)
	}
	if all, secret := refs(t, p); len(all) != 0 || !secret {
		t.Errorf("after another PIN: %d places, secret %v", len(all), secret)
	}
	if err := p.TPM.Check(before[0]); !errors.Is(err, tpm.ErrGone) {
		t.Errorf("what was in the TPM: %v", err)
	}
	alone := p
	alone.TPM = nil
	o2, err := alone.Open(locked(t, "135791"))
	if err != nil {
		t.Fatal(err)
	}
	wantAccount(t, o2.Account())
	o2.Close()
}

// TestRemovedFromTheTPM destroys a vault: copies of its files are worth nothing.
func TestRemovedFromTheTPM(t *testing.T) {
	p := sealedPlace(t, tpmtest.Start(t))
	vault, device := keep(t, p.vault), keep(t, p.device)
	if err := p.Remove(); err != nil {
		t.Fatal(err)
	}
	putBack(t, p.vault, vault)
	putBack(t, p.device, device)
	if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrTPMGone) {
		t.Errorf("copies of the files: %v", err)
	}
	// Where the TPM can't be reached, the rest goes all the same, and it is said.
	p.TPM.Close()
	p.TPM = nil
	if err := p.Remove(); !errors.Is(err, tpm.ErrNone) || !strings.Contains(err.Error(), "NV index 0x01") {
		t.Errorf("without the TPM: %v", err)
	}
	if err := p.Remove(); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestKilledWhileMoving kills a process that moves a vault into a TPM, or changes
// its PIN there, between any two commands to it. One of the PINs opens, and after
// the next unlock the TPM holds one secret.
func TestKilledWhileMoving(t *testing.T) {
	const env = "SOTTO_TEST_MOVE"
	if args := strings.Split(os.Getenv(env), "\n"); len(args) == 4 {
		p := cheapAt(args[0], args[1])
		n, _ := strconv.Atoi(args[3])
		conn, err := net.Dial("unix", args[2])
		if err != nil {
			t.Fatal(err)
		}
		p.TPM = tpm.Over(&dying{conn, n})
		o, err := p.Open(locked(t, rightPIN))
		if err != nil {
			t.Fatal(err)
		}
		if err := o.ChangePIN(locked(t, "135791")); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("done\n")
		return
	}
	e := tpmtest.Start(t)
	for n := 0; ; n += 3 {
		p := cheapPlace(t)
		makeVault(t, p, rightPIN).Close()
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileMoving$")
		cmd.Env = append(os.Environ(), env+"="+p.vault+"\n"+p.device+"\n"+e.Path()+"\n"+strconv.Itoa(n))
		out, _ := cmd.Output()
		if bytes.Contains(out, []byte("FAIL")) {
			t.Fatalf("%s", out)
		}
		p.TPM = tpm.Over(e.Dial())
		o, err := p.Open(locked(t, rightPIN))
		if err == ErrWrongPIN {
			o, err = p.Open(locked(t, "135791"))
		}
		if err != nil {
			t.Fatalf("killed at command %d: %v", n, err)
		}
		wantAccount(t, o.Account())
		o.Close()
		if all, secret := refs(t, p); len(all) != 1 || secret {
			t.Errorf("killed at command %d: %d places, secret %v", n, len(all), secret)
		}
		if err := p.Remove(); err != nil {
			t.Fatal(err)
		}
		p.TPM.Close()
		if bytes.Contains(out, []byte("done")) {
			if n < 20 {
				t.Errorf("only %d commands", n)
			}
			return
		}
	}
}

// dying is a connection to a TPM that kills its process before a command.
type dying struct {
	net.Conn
	n int
}

func (d *dying) Write(b []byte) (int, error) {
	if d.n--; d.n < 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return d.Conn.Write(b)
}

// The recovery key opens a vault whose TPM is gone, or whose PIN is forgotten. A new
// PIN then gets a new secret in the TPM, or outside of it.
func TestRecoverWithATPM(t *testing.T) {
	e := tpmtest.Start(t)
	p := sealedPlace(t, e)
	k, name := recoveryKey(t)
	announce(t, &p, rightPIN, 1, name)
	reopen(t, p, rightPIN)

	o, err := p.Recover(k, access(t, ForgottenPIN, "Grace"))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.ChangePIN(locked(t, "135791")); err != nil {
		t.Fatal(err)
	}
	o.Close()
	reopen(t, p, "135791")
	if all, secret := refs(t, p); len(all) != 1 || secret {
		t.Errorf("%d places in the TPM, secret %v", len(all), secret)
	}
	if s, err := p.Status(); err != nil || !s.TPM || s.Recovery != name {
		t.Errorf("%+v, %v", s, err)
	}

	// On another machine, or after the TPM broke.
	p.TPM, p.NoSeal = nil, true
	if _, err := p.Open(locked(t, "135791")); !errors.Is(err, ErrNoTPM) {
		t.Errorf("without the TPM: %v", err)
	}
	o, err = p.Recover(k, access(t, Emergency, "Grace"))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	wantAccount(t, o.Account())
	if err := o.ChangePIN(locked(t, "246802")); err != nil {
		t.Fatal(err)
	}
	reopen(t, p, "246802")
}
