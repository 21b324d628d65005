package keystore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awnumar/memguard"

	"sotto/internal/atomicfile"
)

// cheap is for tests that are about something else than the derivation.
var cheap = kdf{memory: 64, time: 1, threads: 1}

func cheapPlace(t testing.TB) place {
	t.Helper()
	dir := t.TempDir()
	return place{filepath.Join(dir, "vault"), filepath.Join(dir, "device.key"), cheap, atomicfile.Write}
}

func locked(s string) *memguard.LockedBuffer { return memguard.NewBufferFromBytes([]byte(s)) }

func testAccount() *Account {
	return &Account{
		Address:  "alice@hospital.example",
		Relay:    "wss://relay.hospital.example/ws",
		CA:       []byte("-----BEGIN CERTIFICATE-----\n"),
		Legacy:   true,
		Password: locked("correct horse"),
		Next:     locked("battery staple"),
	}
}

func makeVault(t testing.TB, p place, pin string) *Opened {
	t.Helper()
	o, err := p.create(locked(pin), testAccount())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func wantAccount(t testing.TB, a *Account) {
	t.Helper()
	if a.Address != "alice@hospital.example" || a.Relay != "wss://relay.hospital.example/ws" || !a.Legacy ||
		!strings.HasPrefix(string(a.CA), "-----BEGIN") {
		t.Errorf("the account came back as %q %q %v %q", a.Address, a.Relay, a.Legacy, a.CA)
	}
	if !a.Password.EqualTo([]byte("correct horse")) || !a.Next.EqualTo([]byte("battery staple")) {
		t.Error("the passwords came back changed")
	}
}

// TestRealParameters goes through the exported functions, at full cost.
func TestRealParameters(t *testing.T) {
	dir := t.TempDir()
	vaultPath, devicePath := filepath.Join(dir, "vault"), filepath.Join(dir, "device.key")
	if _, err := Open(vaultPath, devicePath, locked("246810")); !errors.Is(err, ErrNoVault) {
		t.Errorf("without a vault: %v", err)
	}
	o, err := Create(vaultPath, devicePath, locked("246810"), testAccount())
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	for _, path := range []string{vaultPath, devicePath} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", filepath.Base(path), info.Mode(), err)
		}
	}
	b, _ := os.ReadFile(vaultPath)
	v, err := parseVault(b, standard)
	if err != nil || v.kdf != (kdf{64 << 10, 3, 4}) {
		t.Errorf("parameters: %+v %v", v.kdf, err)
	}
	for _, secret := range []string{"alice", "relay.hospital", "BEGIN", "correct horse", "battery", "246810"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the vault shows %q", secret)
		}
	}
	if _, err := Open(vaultPath, devicePath, locked("246811")); !errors.Is(err, ErrWrongPIN) {
		t.Errorf("wrong PIN: %v", err)
	}
	o, err = Open(vaultPath, devicePath, locked("246810"))
	if err != nil {
		t.Fatal(err)
	}
	wantAccount(t, o.Account())
	o.Close()
	if _, err := Create(vaultPath, devicePath, locked("135798"), testAccount()); !errors.Is(err, ErrExists) {
		t.Errorf("making a vault over another: %v", err)
	}
}
