package keystore

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/keystore/recovery"
)

func recoveryKey(t testing.TB) (*recovery.Key, string) {
	t.Helper()
	k := recovery.New()
	t.Cleanup(k.Destroy)
	name, err := k.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	return k, name
}

// announce is what the desk does, with the database key of a vault that opens.
func announce(t testing.TB, p *Place, pin string, serial uint64, recipient string) {
	t.Helper()
	o, err := p.Open(locked(t, pin))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	key, err := o.DatabaseKey()
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	k, err := AnnounceKey(key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if p.Announced, err = Announce(k, serial, recipient); err != nil || len(p.Announced) > MaxAnnouncement {
		t.Fatalf("%d bytes, %v", len(p.Announced), err)
	}
}

func reopen(t testing.TB, p Place, pin string) {
	t.Helper()
	o, err := p.Open(locked(t, pin))
	if err != nil {
		t.Fatal(err)
	}
	wantAccount(t, o.Account())
	o.Close()
}

func wantSlot(t testing.TB, p Place, recipient string) {
	t.Helper()
	if s, err := p.Status(); err != nil || s.Recovery != recipient {
		t.Errorf("the vault opens with %q, %v; want %q", s.Recovery, err, recipient)
	}
}

// slotted is a vault that a recovery key opens, too.
func slotted(t testing.TB) (Place, *recovery.Key) {
	t.Helper()
	p := cheapPlace(t)
	makeVault(t, p, rightPIN).Close()
	k, name := recoveryKey(t)
	announce(t, &p, rightPIN, 7, name)
	reopen(t, p, rightPIN)
	wantSlot(t, p, name)
	return p, k
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func access(t testing.TB, r Reason, by string) Access {
	t.Helper()
	a, err := NewAccess(noon, r, by)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantRecovered opens with the recovery key.
func wantRecovered(t testing.TB, p Place, k *recovery.Key) {
	t.Helper()
	o, err := p.Recover(k, access(t, Emergency, "Dr Who"))
	if err != nil {
		t.Fatal(err)
	}
	wantAccount(t, o.Account())
	o.Close()
}

// A forgotten PIN: the recovery key opens the vault, a new PIN is set, and the old one
// opens nothing any more. The messages' key is the same.
func TestRecover(t *testing.T) {
	p, k := slotted(t)
	o, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := o.DatabaseKey()
	defer before.Destroy()
	o.Close()
	tryWrong(t, p, 3)

	x := access(t, ForgottenPIN, "Grace Hopper, IT")
	o, err = p.Recover(k, x)
	if err != nil {
		t.Fatal(err)
	}
	wantAccount(t, o.Account())
	wantTried(t, p, 0)
	after, _ := o.DatabaseKey()
	defer after.Destroy()
	if !after.EqualTo(before.Bytes()) {
		t.Error("the database has another key")
	}
	if err := o.ChangePIN(locked(t, "135791")); err != nil {
		t.Fatal(err)
	}
	o.Close()
	if _, err := p.Open(locked(t, rightPIN)); err != ErrWrongPIN {
		t.Errorf("the PIN that was forgotten: %v", err)
	}
	o, err = p.Open(locked(t, "135791"))
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Account().Untold(); len(got) != 1 || got[0] != x {
		t.Errorf("accesses: %+v", got)
	}
	if err := o.Told(); err != nil {
		t.Fatal(err)
	}
	o.Close()
	o, _ = p.Open(locked(t, "135791"))
	defer o.Close()
	if a := o.Account(); len(a.Untold()) != 0 || len(a.Accesses) != 1 || a.Accesses[0].By != x.By {
		t.Errorf("after telling: %+v", a.Accesses)
	}
	wantRecovered(t, p, k) // and once more
}

// Neither file alone is worth anything to who has the recovery key, and both are
// worth nothing without it. The PIN opens the vault all the same.
func TestRecoveryNeedsAll(t *testing.T) {
	p, k := slotted(t)
	other, _ := recoveryKey(t)
	var wrong *OtherRecoveryError
	if _, err := p.Recover(other, access(t, Emergency, "Mallory")); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "age1") {
		t.Errorf("with another key: %v", err)
	}
	device := keep(t, p.device)
	old := cheapPlace(t) // a machine that the vault was copied to
	makeVault(t, old, rightPIN).Close()
	putBack(t, p.device, keep(t, old.device))
	if _, err := p.Recover(k, access(t, Emergency, "Mallory")); !errors.Is(err, ErrDevice) {
		t.Errorf("with another device's file: %v", err)
	}
	os.Remove(p.device)
	if _, err := p.Recover(k, access(t, Emergency, "Mallory")); !errors.Is(err, ErrNoDevice) {
		t.Errorf("with the vault alone: %v", err)
	}
	// The same file, but with the half taken out, as one of before would be.
	d, err := parseDevice(bytes.Clone(device[:deviceSize]))
	if err != nil {
		t.Fatal(err)
	}
	defer d.destroy()
	half := bytes.Clone(d.half.Bytes())
	d.half = nil
	putBack(t, p.device, append(d.appendTo(nil), newTally()...))
	if _, err := p.Recover(k, access(t, Emergency, "Mallory")); !errors.Is(err, ErrNoHalf) {
		t.Errorf("without the half: %v", err)
	}
	for _, secret := range [][]byte{half, d.secret.Bytes()} {
		if bytes.Contains(keep(t, p.vault), secret) {
			t.Error("the vault has what belongs into the device's file")
		}
	}
	// At the next right PIN the slot is made anew.
	reopen(t, p, rightPIN)
	wantRecovered(t, p, k)
	if got, _ := p.Check(); got.Tried != 0 {
		t.Errorf("tried %d", got.Tried)
	}
}

func TestNoSlot(t *testing.T) {
	p := cheapPlace(t)
	makeVault(t, p, rightPIN).Close()
	reopen(t, p, rightPIN)
	k, _ := recoveryKey(t)
	if _, err := p.Recover(k, access(t, Emergency, "Mallory")); !errors.Is(err, ErrNoRecovery) {
		t.Errorf("without a slot: %v", err)
	}
}

// What is announced counts only from who has the database's key, only with the right
// PIN, and never backwards.
func TestAnnounced(t *testing.T) {
	p, first := slotted(t)
	firstName, _ := first.Recipient()
	second, secondName := recoveryKey(t)
	good := bytes.Clone(p.Announced)

	// From somebody else: another vault's desk, and every changed byte.
	stranger := cheapPlace(t)
	makeVault(t, stranger, rightPIN).Close()
	announce(t, &stranger, rightPIN, 99, secondName)
	p.Announced = stranger.Announced
	reopen(t, p, rightPIN)
	wantSlot(t, p, firstName)
	announce(t, &p, rightPIN, 8, secondName)
	signed := bytes.Clone(p.Announced)
	for i := range signed {
		p.Announced = bytes.Clone(signed)
		p.Announced[i] ^= 1
		master := locked(t, strings.Repeat("m", keySize))
		if _, _, ok := p.announced(master); ok {
			t.Errorf("with byte %d changed", i)
		}
		if i%37 == 0 {
			reopen(t, p, rightPIN)
			wantSlot(t, p, firstName)
		}
	}
	p.Announced = append(bytes.Clone(signed), '\n')
	reopen(t, p, rightPIN)
	wantSlot(t, p, firstName)

	// With a wrong PIN.
	p.Announced = signed
	tryWrong(t, p, 1)
	wantSlot(t, p, firstName)

	// With the right one it is replaced, and the first key opens nothing any more.
	reopen(t, p, rightPIN)
	wantSlot(t, p, secondName)
	wantRecovered(t, p, second)
	var wrong *OtherRecoveryError
	if _, err := p.Recover(first, access(t, Emergency, "a former admin")); !errors.As(err, &wrong) {
		t.Errorf("the key of before: %v", err)
	}

	// Not back.
	p.Announced = good
	reopen(t, p, rightPIN)
	wantSlot(t, p, secondName)

	// Taken away, with the half; and not back by an old announcement.
	announce(t, &p, rightPIN, 9, "")
	reopen(t, p, rightPIN)
	wantSlot(t, p, "")
	d, err := parseDevice(keep(t, p.device)[:deviceSize])
	if err != nil {
		t.Fatal(err)
	}
	defer d.destroy()
	if d.half != nil {
		t.Error("the half is still there")
	}
	p.Announced = signed
	reopen(t, p, rightPIN)
	wantSlot(t, p, "")
	if _, err := p.Recover(second, access(t, Emergency, "a former admin")); !errors.Is(err, ErrNoRecovery) {
		t.Errorf("a key that was taken away: %v", err)
	}
}

// TestSlotIsAuthenticated changes every byte of the slot.
func TestSlotIsAuthenticated(t *testing.T) {
	p, k := slotted(t)
	content, _, _ := cutTally(keep(t, p.vault))
	v, err := parseVault(content, cheap)
	if err != nil {
		t.Fatal(err)
	}
	start := headerSize + sealedSize
	for i := start; i < start+len(v.slot.appendTo(nil)); i++ {
		bad := bytes.Clone(content)
		bad[i] ^= 0x41
		putBack(t, p.vault, append(rehash(bad), newTally()...))
		if o, err := p.Recover(k, access(t, Emergency, "Mallory")); err == nil {
			o.Close()
			t.Errorf("byte %d of the slot was changed, and the recovery key opens the vault", i-start)
		}
		if o, err := p.Open(locked(t, rightPIN)); err == nil {
			o.Close()
			t.Errorf("byte %d of the slot was changed, and the PIN opens the vault", i-start)
		}
	}
	putBack(t, p.vault, append(content, newTally()...))
	wantRecovered(t, p, k)
}

// TestRecoveryIsNoWayAroundTheLimit: what has destroyed itself stays so.
func TestRecoveryIsNoWayAroundTheLimit(t *testing.T) {
	p, k := slotted(t)
	p.DestroyAfter = 6
	reopen(t, p, rightPIN)
	tryWrong(t, p, 5)
	files := [2][]byte{keep(t, p.vault), keep(t, p.device)}
	if _, err := p.Open(locked(t, "000111")); !errors.Is(err, ErrDestroyed) {
		t.Fatalf("the sixth: %v", err)
	}
	if _, err := p.Recover(k, access(t, Emergency, "Dr Who")); err == nil {
		t.Error("a vault that has destroyed itself was recovered")
	}
	for _, path := range []string{p.device, p.vault} {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(deviceMagic)) {
			t.Error("the device's file is there")
		}
	}
	// Cut off just before: the number is on the disk, and the recovery key does not help.
	putBack(t, p.vault, files[0])
	putBack(t, p.device, files[1])
	f, err := p.openFiles()
	if err != nil {
		t.Fatal(err)
	}
	f.setTried(6)
	f.close()
	if _, err := p.Recover(k, access(t, Emergency, "Dr Who")); !errors.Is(err, ErrDestroyed) {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := os.Stat(p.device); err == nil {
		t.Error("the destruction was not gone on with")
	}

	// A wipe that the organisation ordered, cut off at its start.
	p, k = slotted(t)
	if f, err = p.openFiles(); err != nil {
		t.Fatal(err)
	}
	f.setTried(ordered)
	f.close()
	if _, err := p.Recover(k, access(t, Emergency, "Dr Who")); !errors.Is(err, ErrWiped) {
		t.Errorf("a wipe was ordered: %v", err)
	}
	if _, err := os.Stat(p.device); err == nil {
		t.Error("the wipe was not gone on with")
	}
}

// TestWipeTakesTheHalf: what is left of a device's file after its first step of a
// wipe has neither secret.
func TestWipeTakesTheHalf(t *testing.T) {
	p, _ := slotted(t)
	d, err := parseDevice(keep(t, p.device)[:deviceSize])
	if err != nil {
		t.Fatal(err)
	}
	defer d.destroy()
	if _, err := eraseSecret(p.device); err != nil {
		t.Fatal(err)
	}
	left := keep(t, p.device)
	if bytes.Contains(left, d.half.Bytes()) || bytes.Contains(left, d.secret.Bytes()) {
		t.Error("a secret is left")
	}
}

// TestAccessIsNotedFirst: where it cannot be noted that the recovery key was used, it
// opens nothing.
func TestAccessIsNotedFirst(t *testing.T) {
	p, k := slotted(t)
	write := p.write
	p.write = func(string, []byte) error { return os.ErrPermission }
	if o, err := p.Recover(k, access(t, Emergency, "Dr Who")); err == nil {
		o.Close()
		t.Error("it was opened without a note")
	}
	p.write = write
	o, err := p.Recover(k, access(t, Emergency, "Dr Who"))
	if err != nil {
		t.Fatal(err)
	}
	// As killed here: no PIN was set, nothing handed over.
	o.master = nil
	o, err = p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got := o.Account().Untold(); len(got) != 1 || got[0].Reason != Emergency || got[0].By != "Dr Who" || !got[0].Time.Equal(noon) {
		t.Errorf("accesses: %+v", got)
	}
	for i := range MaxAccesses + 3 {
		o, err := p.Recover(k, access(t, Investigation, strings.Repeat("x", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		o.Close()
	}
	o2, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	defer o2.Close()
	list := o2.Account().Accesses
	if len(list) != MaxAccesses || len(list[MaxAccesses-1].By) != MaxAccesses+3 {
		t.Errorf("%d accesses are kept", len(list))
	}
	if err := o2.Account().check(); err != nil {
		t.Error(err)
	}
}

func TestNewAccess(t *testing.T) {
	for _, by := range []string{"", strings.Repeat("x", MaxBy+1), "a\nb", "\x1b[2J", "a\u202eb", "\xff"} {
		if _, err := NewAccess(noon, Emergency, by); err == nil {
			t.Errorf("by %q", by)
		}
	}
	if _, err := NewAccess(noon, 0, "x"); err == nil {
		t.Error("for no reason")
	}
	for _, r := range []Reason{ForgottenPIN, Emergency, Absent, Investigation} {
		if got, err := ParseReason(r.String()); got != r || err != nil {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	if _, err := ParseReason(""); err == nil {
		t.Error("no reason at all")
	}
}

// older writes a vault, and its device's file, as the version before did.
func older(t testing.TB, p Place) {
	t.Helper()
	d := newDevice()
	defer d.destroy()
	b := d.appendTo(nil)
	b[len(deviceMagic)+1] = oldestDevice
	putBack(t, p.device, append(rehash(b), newTally()...))
	v := &vault{version: oldestVault, kdf: cheap, device: d.id, limit: 6}
	stretched := v.kdf.stretch(locked(t, rightPIN), v.salt[:])
	defer stretched.Destroy()
	master := memguard.NewBufferRandom(keySize)
	defer master.Destroy()
	if err := errors.Join(v.wrap(stretched, d.secret, master), v.put(master, testAccount(t)), p.writeVault(v)); err != nil {
		t.Fatal(err)
	}
}

// TestOlderVault opens a vault of the version before, which becomes one of this
// version, and goes on with what it was told.
func TestOlderVault(t *testing.T) {
	p := cheapPlace(t)
	older(t, p)
	version := func() byte { return keep(t, p.vault)[len(vaultMagic)+1] }
	if version() != 3 {
		t.Fatalf("version %d", version())
	}
	k, name := recoveryKey(t)
	if _, err := p.Recover(k, access(t, Emergency, "Mallory")); !errors.Is(err, ErrNoRecovery) {
		t.Errorf("an older vault: %v", err)
	}
	tryWrong(t, p, 2)
	if s, err := p.Check(); err != nil || s.Tried != 2 || s.DestroyAfter != 6 || version() != 3 {
		t.Errorf("%+v, %v, version %d", s, err, version())
	}
	reopen(t, p, rightPIN)
	if s, err := p.Check(); err != nil || s.Tried != 0 || s.DestroyAfter != 6 || version() != vaultVersion {
		t.Errorf("%+v, %v, version %d", s, err, version())
	}
	announce(t, &p, rightPIN, 1, name)
	reopen(t, p, rightPIN)
	wantRecovered(t, p, k)

	// At once, too, and without room for anything it stays what it was, and opens.
	p = cheapPlace(t)
	older(t, p)
	write := p.write
	p.write = func(string, []byte) error { return os.ErrPermission }
	reopen(t, p, rightPIN)
	p.write = write
	if version() != 3 {
		t.Errorf("version %d", version())
	}
	o, err := p.Open(locked(t, rightPIN))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.SaveAccount(testAccount(t)); err != nil {
		t.Fatal(err)
	}
	reopen(t, p, rightPIN)
}

// TestCutOffWhileSlotting fails each write in turn, as a kill there would: the PIN
// opens the vault, and at the next unlock the slot is whole.
func TestCutOffWhileSlotting(t *testing.T) {
	_, name := recoveryKey(t)
	k, name2 := recoveryKey(t)
	for n := range 6 {
		p := cheapPlace(t)
		older(t, p)
		announce(t, &p, rightPIN, 1, name)
		older := p.Announced
		announce(t, &p, rightPIN, 2, name2)
		newer := p.Announced
		write, writes := p.write, 0
		p.write = func(path string, b []byte) error {
			if writes++; writes > n {
				return os.ErrPermission
			}
			return write(path, b)
		}
		p.Announced = older
		reopen(t, p, rightPIN)
		p.Announced = newer
		reopen(t, p, rightPIN)
		p.write = write
		reopen(t, p, rightPIN)
		wantSlot(t, p, name2)
		wantRecovered(t, p, k)
	}
}

func TestHandoverWithARecoveryKey(t *testing.T) {
	p, k := slotted(t)
	o, err := p.Recover(k, access(t, Absent, "Dr Who"))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var b bytes.Buffer
	if err := o.HandoverWith(&b, k.Secret()); err != nil {
		t.Fatal(err)
	}
	h, err := ReadHandover(&b)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Destroy()
	if !h.Recovery.EqualTo(k.Secret().Bytes()) || len(h.Account.Accesses) != 1 || h.Account.Accesses[0].By != "Dr Who" {
		t.Errorf("handed over: %v, %+v", h.Recovery, h.Account.Accesses)
	}
}
