package tpm

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"sotto/keystore/tpm/tpmtest"
)

func device(t testing.TB, e *tpmtest.TPM) *Device {
	d := Over(e.Dial())
	t.Cleanup(func() { d.Close() })
	return d
}

var (
	auth   = bytes.Repeat([]byte{7, 0, 9, 0}, AuthSize/4) // with zeros, see nonzero
	secret = []byte("the device secret of 32 bytes ..")
)

func sealed(t testing.TB, d *Device) Ref {
	t.Helper()
	r, err := d.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Seal(r, auth, secret); err != nil {
		t.Fatal(err)
	}
	return r
}

func wrong(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, AuthSize) }

func TestSealAndUnseal(t *testing.T) {
	e := tpmtest.Start(t)
	d := device(t, e)
	r := sealed(t, d)
	if got, ok := ReadRef(r.Append(nil)); !ok || got != r {
		t.Errorf("a reference came back as %+v", got)
	}
	if err := d.Check(r); err != nil {
		t.Error(err)
	}
	got := make([]byte, SecretSize)
	for range 3 {
		if err := d.Unseal(r, auth, got); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%q %v", got, err)
		}
	}
	clear(got)
	before, err := d.Lockout()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Unseal(r, wrong(1), got); !errors.Is(err, ErrAuth) || !bytes.Equal(got, make([]byte, SecretSize)) {
		t.Fatalf("a wrong value: %q %v", got, err)
	}
	after, err := d.Lockout()
	if err != nil || after.Failures != before.Failures+1 {
		t.Fatalf("the TPM counted %d after %d, %v", after.Failures, before.Failures, err)
	}
	// The owner, who is root, removes it but can't read it.
	name, _ := nameOf(r.public(true))
	_, err = tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(r.handle), Name: name}, Size: SecretSize,
	}.Execute(d)
	if !errors.Is(err, tpm2.TPMRCNVAuthorization) {
		t.Errorf("the owner reads: %v", err)
	}
	for range 2 {
		if err := d.Forget(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Check(r); !errors.Is(err, ErrGone) {
		t.Errorf("after it was removed: %v", err)
	}
	if err := d.Unseal(r, auth, got); !errors.Is(err, ErrGone) {
		t.Errorf("after it was removed: %v", err)
	}
}

// TestLockout has the TPM refuse the right value after too many wrong ones. The
// same with an index that is exempt shows what it would be without.
func TestLockout(t *testing.T) {
	e := tpmtest.Start(t)
	d := device(t, e)
	r := sealed(t, d)
	l, err := d.Lockout()
	if err != nil || l.Limit < 1 || l.Limit > 100 || l.Locked {
		t.Fatalf("%+v %v", l, err)
	}
	for i := range l.Limit {
		if err := d.Unseal(r, wrong(i), make([]byte, SecretSize)); !errors.Is(err, ErrAuth) {
			t.Fatalf("wrong value %d: %v", i+1, err)
		}
	}
	for _, err := range []error{d.Check(r), d.Unseal(r, auth, make([]byte, SecretSize))} {
		var locked *LockedError
		if !errors.Is(err, ErrLockout) || !errors.As(err, &locked) || locked.Lockout.Interval == 0 {
			t.Errorf("the right value after %d wrong ones: %v", l.Limit, err)
		}
	}
	// Whoever has the lockout's authorization resets it.
	if answer, err := d.Send(lockReset); err != nil || !bytes.Equal(answer[6:10], make([]byte, 4)) {
		t.Fatalf("%x %v", answer, err)
	}
	if err := d.Unseal(r, auth, make([]byte, SecretSize)); err != nil {
		t.Errorf("after the reset: %v", err)
	}

	exempt := r
	exempt.handle++
	public := exempt.public(false)
	public.Attributes.NoDA = true
	if _, err := (tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: tpm2.PasswordAuth(nil)},
		Auth:       tpm2.TPM2BAuth{Buffer: nonzero(auth)}, PublicInfo: tpm2.New2B(public),
	}).Execute(d); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(exempt); !errors.Is(err, ErrGone) {
		t.Errorf("an index that is exempt is taken for ours: %v", err)
	}
	if err := d.Forget(exempt); err != nil {
		t.Error(err)
	}
	if _, err := (tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(exempt.handle)}).Execute(d); err != nil {
		t.Errorf("an index that is not ours was removed: %v", err)
	}
}

// lockReset is TPM2_DictionaryAttackLockReset with the empty authorization of
// the lockout hierarchy. go-tpm does not have it.
var lockReset = []byte{
	0x80, 0x02, 0, 0, 0, 27, 0, 0, 0x01, 0x39, 0x40, 0, 0, 0x0a, // a command with sessions, its length and code; TPM_RH_LOCKOUT
	0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0, // TPM_RS_PW, no nonce, no attributes, the empty password
}

func TestAnotherTPM(t *testing.T) {
	one, two := device(t, tpmtest.Start(t)), device(t, tpmtest.Start(t))
	r := sealed(t, one)
	for _, err := range []error{two.Check(r), two.Unseal(r, auth, make([]byte, SecretSize))} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("another TPM: %v", err)
		}
	}
	if _, err := (tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Name: tpm2.HandleName(tpm2.TPMRHLockout), Auth: tpm2.PasswordAuth(nil)}}).Execute(one); err != nil {
		t.Fatal(err)
	}
	if err := one.Check(r); !errors.Is(err, ErrGone) {
		t.Errorf("after TPM2_Clear: %v", err)
	}
}

func TestOwnedTPM(t *testing.T) {
	d := device(t, tpmtest.Start(t))
	r := sealed(t, d)
	if _, err := (tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: tpm2.PasswordAuth(nil)},
		NewAuth:    tpm2.TPM2BAuth{Buffer: []byte("owner")},
	}).Execute(d); err != nil {
		t.Fatal(err)
	}
	if _, err := d.New(); !errors.Is(err, ErrOwned) {
		t.Errorf("New: %v", err)
	}
	if err := d.Forget(r); !errors.Is(err, ErrOwned) {
		t.Errorf("Forget: %v", err)
	}
}

// TestNothingInClear watches the bus. That the watching works shows in what may
// go in clear.
func TestNothingInClear(t *testing.T) {
	e := tpmtest.Start(t)
	tap := &tap{ReadWriteCloser: e.Dial()}
	d := Over(tap)
	defer d.Close()
	r := sealed(t, d)
	if err := d.Unseal(r, auth, make([]byte, SecretSize)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(tap.seen.Bytes(), r.tag[:]) {
		t.Error("the mark of the index, which is public, was not seen")
	}
	for name, b := range map[string][]byte{"secret": secret, "authorization value": nonzero(auth)} {
		if bytes.Contains(tap.seen.Bytes(), b) || bytes.Contains(tap.seen.Bytes(), b[:16]) {
			t.Errorf("the %s went over the bus in clear", name)
		}
	}
}

type tap struct {
	io.ReadWriteCloser
	seen bytes.Buffer
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(b)
	t.seen.Write(b[:n])
	return n, err
}

func (t *tap) Write(b []byte) (int, error) {
	t.seen.Write(b)
	return t.ReadWriteCloser.Write(b)
}

func TestNoTPM(t *testing.T) {
	if _, err := openAt(t.TempDir() + "/tpmrm0"); err != ErrNone {
		t.Errorf("no device: %v", err)
	}
	var none *Device
	for _, d := range []*Device{none, {}, {err: ErrPermission}} {
		want := ErrNone
		if d != nil && d.err != nil {
			want = d.err
		}
		_, err := d.New()
		_, lockErr := d.Lockout()
		for _, err := range []error{err, lockErr, d.Check(Ref{handle: firstIndex}), d.Seal(Ref{}, auth, secret),
			d.Unseal(Ref{}, auth, make([]byte, SecretSize)), d.Forget(Ref{handle: firstIndex})} {
			if err != want {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzResponse has a TPM answer with anything.
func FuzzResponse(f *testing.F) {
	f.Add([]byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0})
	f.Add([]byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x09, 0x21})
	f.Add([]byte{0x80, 0x01, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, answer []byte) {
		d := Over(&answers{answer})
		r := Ref{handle: firstIndex}
		d.New()
		d.Check(r)
		d.Unseal(r, auth, make([]byte, SecretSize))
		d.Lockout()
		d.Forget(r)
	})
}

type answers struct{ answer []byte }

func (a *answers) Read(b []byte) (int, error)  { return copy(b, a.answer), io.EOF }
func (a *answers) Write(b []byte) (int, error) { return len(b), nil }
func (a *answers) Close() error                { return nil }
