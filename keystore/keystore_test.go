package keystore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/awnumar/memguard"

	"sotto/internal/atomicfile"
)

// cheap is for tests that are about something else than the derivation.
var cheap = kdf{memory: 64, time: 1, threads: 1}

func cheapAt(vaultPath, devicePath string) Place {
	p := At(vaultPath, devicePath)
	p.floor = cheap
	return p
}

func cheapPlace(t testing.TB) Place {
	t.Helper()
	dir := t.TempDir()
	return cheapAt(filepath.Join(dir, "vault"), filepath.Join(dir, "device.key"))
}

func locked(t testing.TB, s string) *memguard.LockedBuffer {
	b := memguard.NewBufferFromBytes([]byte(s))
	t.Cleanup(b.Destroy)
	return b
}

func testAccount(t testing.TB) *Account {
	return &Account{
		Address:  "alice@hospital.example",
		Relay:    "wss://relay.hospital.example/ws",
		CA:       []byte("-----BEGIN CERTIFICATE-----\n"),
		Legacy:   true,
		Password: locked(t, "correct horse"),
		Next:     locked(t, "battery staple"),
	}
}

func makeVault(t testing.TB, p Place, pin string) *Opened {
	t.Helper()
	o, err := p.Create(locked(t, pin), testAccount(t))
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
	if _, err := Open(vaultPath, devicePath, locked(t, "246810")); !errors.Is(err, ErrNoVault) {
		t.Errorf("without a vault: %v", err)
	}
	o, err := Create(vaultPath, devicePath, locked(t, "246810"), testAccount(t))
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
	content, _, _ := cutTally(b)
	v, err := parseVault(content, standard)
	if err != nil || v.kdf != (kdf{64 << 10, 3, 4}) {
		t.Errorf("parameters: %+v %v", v.kdf, err)
	}
	for _, secret := range []string{"alice", "relay.hospital", "BEGIN", "correct horse", "battery", "246810"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the vault shows %q", secret)
		}
	}
	if _, err := Open(vaultPath, devicePath, locked(t, "246811")); !errors.Is(err, ErrWrongPIN) {
		t.Errorf("wrong PIN: %v", err)
	}
	o, err = Open(vaultPath, devicePath, locked(t, "246810"))
	if err != nil {
		t.Fatal(err)
	}
	wantAccount(t, o.Account())
	o.Close()
	if _, err := Create(vaultPath, devicePath, locked(t, "135798"), testAccount(t)); !errors.Is(err, ErrExists) {
		t.Errorf("making a vault over another: %v", err)
	}
}

func TestSaveAccount(t *testing.T) {
	p := cheapPlace(t)
	o := makeVault(t, p, "246810")
	old := o.Account().Password
	if err := o.SaveAccount(&Account{Address: "alice@hospital.example", Password: o.Account().Next}); err != nil {
		t.Fatal(err)
	}
	if old.IsAlive() {
		t.Error("the old password is still in memory")
	}
	o.Close()
	o, err := p.Open(locked(t, "246810"))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	a := o.Account()
	if !a.Password.EqualTo([]byte("battery staple")) || a.Next != nil || a.Relay != "" || a.Legacy || len(a.CA) != 0 {
		t.Errorf("got %q %v %d", a.Relay, a.Legacy, len(a.CA))
	}
	for _, bad := range []*Account{
		{},
		{Address: strings.Repeat("a", MaxAddress+1)},
		{Address: "a", Relay: strings.Repeat("a", MaxRelay+1)},
		{Address: "a", CA: make([]byte, MaxCA+1)},
		{Address: "a", Password: locked(t, strings.Repeat("a", MaxPassword+1))},
	} {
		if err := o.SaveAccount(bad); err == nil {
			t.Error("saved an account that cannot be read")
		}

	}
	biggest := &Account{Address: strings.Repeat("a", MaxAddress), Relay: strings.Repeat("a", MaxRelay), CA: make([]byte, MaxCA),
		Password: memguard.NewBufferRandom(MaxPassword), Next: memguard.NewBufferRandom(MaxPassword)}
	if err := o.SaveAccount(biggest); err != nil {
		t.Fatal(err)
	}
	o2, err := p.Open(locked(t, "246810"))
	if err != nil {
		t.Fatal(err)
	}
	defer o2.Close()
	if !o2.Account().Next.EqualTo(biggest.Next.Bytes()) || len(o2.Account().CA) != MaxCA {
		t.Error("the biggest account came back changed")
	}
}

func TestChangePIN(t *testing.T) {
	p := cheapPlace(t)
	o := makeVault(t, p, "246810")
	key, err := o.DatabaseKey()
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	before := *o.vault
	if err := o.ChangePIN(locked(t, "111111")); !errors.Is(err, ErrSamePIN) {
		t.Errorf("changed to a trivial PIN: %v", err)
	}
	if err := o.ChangePIN(locked(t, "the new PIN")); err != nil {
		t.Fatal(err)
	}
	if before.salt == o.vault.salt || before.master.nonce == o.vault.master.nonce || before.account.nonce == o.vault.account.nonce {
		t.Error("a salt or a nonce was used again")
	}
	if _, err := p.Open(locked(t, "246810")); !errors.Is(err, ErrWrongPIN) {
		t.Errorf("the old PIN: %v", err)
	}
	o2, err := p.Open(locked(t, "the new PIN"))
	if err != nil {
		t.Fatal(err)
	}
	defer o2.Close()
	wantAccount(t, o2.Account())
	key2, err := o2.DatabaseKey()
	if err != nil {
		t.Fatal(err)
	}
	defer key2.Destroy()
	if !key.EqualTo(key2.Bytes()) {
		t.Error("the database key changed with the PIN")
	}
	o2.Close()
	for name, err := range map[string]error{
		"ChangePIN": o2.ChangePIN(locked(t, "246810")), "SaveAccount": o2.SaveAccount(&Account{Address: "a"}), "Handover": o2.Handover(&bytes.Buffer{}),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// TestFailedWriteKeepsTheVault has a full disk in the way of every change.
func TestFailedWriteKeepsTheVault(t *testing.T) {
	p := cheapPlace(t)
	o := makeVault(t, p, "246810")
	before, _ := os.ReadFile(p.vault)
	o.at.write = func(string, []byte) error { return syscall.ENOSPC }
	if err := o.ChangePIN(locked(t, "135791")); !errors.Is(err, ErrFull) || strings.Contains(err.Error(), "135791") {
		t.Errorf("ChangePIN: %v", err)
	}
	if err := o.SaveAccount(&Account{Address: "b@hospital.example"}); !errors.Is(err, ErrFull) {
		t.Errorf("SaveAccount: %v", err)
	}
	wantAccount(t, o.Account())
	o.at.write = atomicfile.Write
	if err := o.SaveAccount(o.Account()); err != nil { // what is in memory is still the old
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(p.vault); bytes.Equal(before, after) {
		t.Error("the vault was not written")
	}
	o2, err := p.Open(locked(t, "246810"))
	if err != nil {
		t.Fatal(err)
	}
	defer o2.Close()
	wantAccount(t, o2.Account())
}

func TestDeviceSecret(t *testing.T) {
	p := cheapPlace(t)
	o := makeVault(t, p, "246810")
	o.Close()
	good, err := os.ReadFile(p.device)
	if err != nil {
		t.Fatal(err)
	}
	other := cheapPlace(t)
	makeVault(t, other, "246810").Close()
	foreign, _ := os.ReadFile(other.device)
	flipped := bytes.Clone(good)
	flipped[20] ^= 1
	for name, test := range map[string]struct {
		content []byte
		want    error
	}{
		"foreign": {foreign, ErrDevice}, "damaged": {flipped, ErrDevice}, "empty": {nil, ErrDevice},
		"short": {good[:len(good)-1], ErrDevice}, "long": {append(bytes.Clone(good), 0), ErrDevice},
		"huge": {make([]byte, 1<<20), ErrDevice},
	} {
		os.WriteFile(p.device, test.content, 0o600)
		if _, err := p.Open(locked(t, "246810")); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	os.Remove(p.device)
	if _, err := p.Open(locked(t, "246810")); !errors.Is(err, ErrNoDevice) {
		t.Errorf("missing: %v", err)
	}
	os.WriteFile(p.device, good, 0o600)
	if o, err = p.Open(locked(t, "246810")); err != nil {
		t.Fatal(err)
	}
	o.Close()

	// A new vault has a new device secret; the one before is kept beside it, for
	// a vault that comes back.
	lost, err := os.ReadFile(p.vault)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(p.vault)
	makeVault(t, p, "135791").Close()
	if b, _ := os.ReadFile(p.device + ".old"); !bytes.Equal(b[:deviceSize], good[:deviceSize]) {
		t.Error("the device secret before was not kept")
	}
	os.WriteFile(p.vault, lost, 0o600)
	if _, err := p.Open(locked(t, "246810")); !errors.Is(err, ErrDevice) {
		t.Errorf("an old vault beside a new device secret: %v", err)
	}
	os.Rename(p.device+".old", p.device)
	if o, err = p.Open(locked(t, "246810")); err != nil {
		t.Fatal(err)
	}
	o.Close()
	os.Remove(p.vault)
	os.WriteFile(p.device, flipped, 0o600)
	makeVault(t, p, "246810").Close()
}

// TestEveryChangedByteIsNoticed changes one byte after the other, with the hash
// as it was (damage) and made to fit (malice).
func TestEveryChangedByteIsNoticed(t *testing.T) {
	p := cheapPlace(t)
	makeVault(t, p, "246810").Close()
	good, err := os.ReadFile(p.vault)
	if err != nil {
		t.Fatal(err)
	}
	good, _, _ = cutTally(good)
	pin := locked(t, "246810")
	for i := range good {
		if i > headerSize+sealedSize && i < len(good)-sha256.Size && i%7 != 0 {
			continue // the middle of the sealed parts is all alike
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x41
		if _, err := parseVault(bad, cheap); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
		os.WriteFile(p.vault, append(rehash(bad), newTally()...), 0o600)
		if i >= len(good)-sha256.Size {
			continue
		}
		o, err := p.Open(pin)
		if err == nil {
			o.Close()
			t.Fatalf("byte %d was changed, and the vault opened", i)
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongPIN) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrOlder) && !errors.Is(err, ErrDevice) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, headerSize, len(good) / 2, len(good) - 1} {
		os.WriteFile(p.vault, good[:n], 0o600)
		if _, err := p.Open(locked(t, "246810")); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut off at %d: %v", n, err)
		}
	}
}

// rehash makes the hash at the end fit the rest.
func rehash(b []byte) []byte {
	body := b[:len(b)-sha256.Size]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

// TestParametersAreBounded asks for much too much, and for too little.
func TestParametersAreBounded(t *testing.T) {
	p := cheapPlace(t)
	v := makeVault(t, p, "246810").vault
	for name, k := range map[string]kdf{
		"100 GiB": {100 << 20, 3, 4}, "the most there is": {^uint32(0), ^uint32(0), 255},
		"a day": {64 << 10, 1 << 20, 4}, "many threads": {64 << 10, 3, 255}, "no threads": {64 << 10, 3, 0},
		"63 MiB": {63 << 10, 3, 4}, "two passes": {64 << 10, 2, 4}, "one lane": {64 << 10, 3, 1},
	} {
		weak := *v
		weak.kdf = k
		if _, err := parseVault(weak.encode(), standard); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fine := *v
	fine.kdf = kdf{256 << 10, 5, 8}
	if _, err := parseVault(fine.encode(), standard); err != nil {
		t.Errorf("more than the standard: %v", err)
	}
}

func TestWrongPINs(t *testing.T) {
	p := cheapPlace(t)
	makeVault(t, p, "246810").Close()
	for _, pin := range []string{"246811", "24681", "2468100", "246810\n", strings.Repeat("2", MaxPIN), strings.Repeat("2", MaxPIN+1)} {
		if _, err := p.Open(locked(t, pin)); !errors.Is(err, ErrWrongPIN) || strings.Contains(err.Error(), pin) {
			t.Errorf("%q: %v", pin, err)
		}
	}
	if _, err := p.Open(nil); !errors.Is(err, ErrWrongPIN) {
		t.Errorf("no PIN: %v", err)
	}
	gone := locked(t, "246810")
	gone.Destroy()
	if _, err := p.Open(gone); !errors.Is(err, ErrWrongPIN) {
		t.Errorf("a destroyed PIN: %v", err)
	}
	pin := locked(t, "246810")
	o, err := p.Open(pin)
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	if !pin.EqualTo([]byte("246810")) {
		t.Error("the caller's PIN was touched")
	}
	pin.Destroy()
}

func TestCheckPIN(t *testing.T) {
	for pin, want := range map[string]error{
		"246810": nil, "135790": nil, "731964": nil, "Tr0ub4": nil, "correct horse": nil, "900731": nil, "112358": nil, "19450508": nil,
		"": ErrShortPIN, "12345": ErrShortPIN, strings.Repeat("1a", 33): ErrLongPIN,
		"000000": ErrSamePIN, "aaaaaaa": ErrSamePIN,
		"123456": ErrRunPIN, "654321": ErrRunPIN, "890123": ErrRunPIN, "321098": ErrRunPIN, "abcdef": ErrRunPIN, "112233": ErrRunPIN, "998877": ErrRunPIN,
		"121212": ErrRepeatPIN, "123123": ErrRepeatPIN, "12341234": ErrRepeatPIN, "1212121": ErrRepeatPIN,
		"159753": ErrPatternPIN, "Password": ErrPatternPIN, "QWERTZ": ErrPatternPIN,
		"12345\x007": ErrTypePIN, "größer": ErrTypePIN, "246810\n": ErrTypePIN,
	} {
		if err := CheckPIN([]byte(pin)); err != want {
			t.Errorf("%q: %v, want %v", pin, err, want)
		}
	}
}

func TestMemlock(t *testing.T) {
	if err := checkMemlock(4 * os.Getpagesize()); err != nil {
		t.Errorf("these tests lock memory, and yet: %v", err)
	}
	if err := checkMemlock(1 << 46); !errors.Is(err, ErrMemlock) {
		t.Errorf("64 TiB can be locked: %v", err)
	}
}

func FuzzVault(f *testing.F) {
	p := cheapAt(filepath.Join(f.TempDir(), "vault"), filepath.Join(f.TempDir(), "device.key"))
	v := makeVault(f, p, "246810").vault
	good := v.encode()
	f.Add(good[:len(good)-sha256.Size])
	f.Add(bytes.TrimRight(good[:len(good)-sha256.Size], "\x00"))
	f.Add([]byte(vaultMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		// To the end of a block, so that more than the length is looked at.
		body = append(bytes.Clone(body), make([]byte, filled(len(body)+sha256.Size)-len(body)-sha256.Size)...)
		v, err := parseVault(rehash(append(bytes.Clone(body), make([]byte, sha256.Size)...)), cheap)
		if err != nil {
			return
		}
		if !v.kdf.within(cheap) {
			t.Fatalf("parameters out of bounds: %+v", v.kdf)
		}
		if b := v.encode(); !bytes.Equal(b[:len(b)-sha256.Size], body) {
			t.Fatal("a vault has two encodings")
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	vaultPath, devicePath := filepath.Join(dir, "vault"), filepath.Join(dir, "device.key")
	pin := locked(b, "246810")
	o, err := Create(vaultPath, devicePath, pin, &Account{Address: "alice@hospital.example"})
	if err != nil {
		b.Fatal(err)
	}
	o.Close()
	for b.Loop() {
		o, err := Open(vaultPath, devicePath, pin)
		if err != nil {
			b.Fatal(err)
		}
		o.Close()
	}
}
