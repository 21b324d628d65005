package keystore

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"filippo.io/age"
	"github.com/awnumar/memguard"
	"golang.org/x/crypto/chacha20poly1305"

	"sotto/keystore/recovery"
)

// slot is the second way to the master key, for the recovery key:
//
//	serial of the policy that decided 8 · length 4 · recipient, "" for none
//	and unless it is "":
//	mark of half B 8 · length 4 · half A as an age file · nonce 24 · master key 32+16
//
// The account's associated data has all of it, so that who opens the vault by it
// finds out whether anything was changed.
type slot struct {
	serial    uint64
	recipient string
	mark      [8]byte // of half B, see markOf
	half      []byte  // age file
	master    sealed
}

const (
	maxHalf = 512 // bytes of an age file with 32 bytes for one recipient
	maxSlot = 8 + 4 + recovery.MaxRecipient + 8 + 4 + maxHalf + sealedSize
)

func (s slot) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, s.serial)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.recipient)))
	b = append(b, s.recipient...)
	if s.recipient == "" {
		return b
	}
	b = append(b, s.mark[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.half)))
	b = append(b, s.half...)
	return append(append(b, s.master.nonce[:]...), s.master.text...)
}

func (r *reader) slot() (s slot) {
	s.serial = r.uint64()
	s.recipient = string(r.field(recovery.MaxRecipient))
	if s.recipient == "" {
		return s
	}
	if recovery.CheckRecipient(s.recipient) != nil {
		r.bad = true
	}
	copy(s.mark[:], r.next(len(s.mark)))
	s.half = r.field(maxHalf)
	copy(s.master.nonce[:], r.next(len(s.master.nonce)))
	s.master.text = r.next(keySize + chacha20poly1305.Overhead)
	return s
}

// markOf tells whether a half B is the one that a slot needs: the device's file may
// have been put back to an older one.
func markOf(half *memguard.LockedBuffer) (mark [8]byte) {
	if half != nil {
		h := sha256.New()
		h.Write([]byte("sotto vault recovery half v1"))
		h.Write(half.Bytes())
		copy(mark[:], h.Sum(nil))
	}
	return mark
}

// slotData is what is authenticated with the master key in the slot.
func (v *vault) slotData() []byte {
	b := append([]byte(vaultMagic+"recovery"), v.device[:]...)
	return append(b, v.slot.recipient...)
}

// slotKey derives the key of a slot from its halves. The caller destroys it.
func (v *vault) slotKey(a []byte, b *memguard.LockedBuffer) (*memguard.LockedBuffer, error) {
	both := memguard.NewBuffer(2 * keySize)
	defer both.Destroy()
	both.Copy(a)
	both.CopyAt(keySize, b.Bytes())
	return derive(both, v.device[:], "sotto vault recovery v1")
}

// escrow wraps the master key for a recovery key, with half B out of the device's file.
func (v *vault) escrow(recipient string, half, master *memguard.LockedBuffer) error {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return fmt.Errorf("reading the recovery key's name: %w", err)
	}
	a := memguard.NewBufferRandom(keySize)
	defer a.Destroy()
	var file bytes.Buffer
	w, err := age.Encrypt(&file, r)
	if err == nil {
		_, err = w.Write(a.Bytes())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("encrypting to the recovery key: %w", err)
	}
	key, err := v.slotKey(a.Bytes(), half)
	if err != nil {
		return err
	}
	defer key.Destroy()
	v.slot.recipient, v.slot.mark, v.slot.half = recipient, markOf(half), file.Bytes()
	v.slot.master, err = seal(key, master.Bytes(), v.slotData())
	return err
}

// The errors of a recovery key, with a remedy.
var (
	ErrNoRecovery = errors.New("this vault opens with its PIN only: when it was last open no policy that named a recovery key was in force")
	ErrNoHalf     = errors.New("the recovery key opens this vault only with the device secret's file of its machine, as it is now. Restore that file beside the vault")
)

// OtherRecoveryError is returned for another recovery key than the vault's.
type OtherRecoveryError struct{ Recipient string }

func (e *OtherRecoveryError) Error() string {
	return "this is not the recovery key of this vault. It opens with the one whose recipient is " + e.Recipient
}

// rescue opens the slot. The caller destroys the master key.
func (v *vault) rescue(k *recovery.Key, half *memguard.LockedBuffer) (*memguard.LockedBuffer, error) {
	id, err := k.Identity()
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(v.slot.half), id)
	if other := (*age.NoIdentityMatchError)(nil); errors.As(err, &other) {
		return nil, &OtherRecoveryError{v.slot.recipient}
	} else if err != nil {
		return nil, ErrDamaged
	}
	a := memguard.NewBuffer(keySize)
	defer a.Destroy()
	if _, err := io.ReadFull(r, a.Bytes()); err != nil {
		return nil, ErrDamaged
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, ErrDamaged
	}
	key, err := v.slotKey(a.Bytes(), half)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	master := memguard.NewBuffer(keySize)
	if !v.slot.master.open(key, master.Bytes(), v.slotData()) {
		master.Destroy()
		return nil, ErrDamaged
	}
	return master, nil
}

// Recover opens a vault with the recovery key instead of the PIN. The access is in
// the vault, on the disk, before Recover returns; the count of wrong PINs begins
// anew. The PIN stays as it is unless ChangePIN follows. A vault that has destroyed
// itself, or was about to, stays destroyed. Errors are those of Open but ErrWrongPIN,
// and ErrNoRecovery, ErrNoHalf and *OtherRecoveryError, with which nothing has changed.
func (p Place) Recover(k *recovery.Key, x Access) (*Opened, error) {
	o, err := p.rescue(k, x)
	return o, explain("opening the vault with the recovery key", err)
}

func (p Place) rescue(k *recovery.Key, x Access) (*Opened, error) {
	files, err := p.openFiles()
	if err != nil {
		return nil, err
	}
	defer files.close()
	v, err := parseVault(files.content, p.floor)
	if err != nil {
		return nil, err
	}
	d, err := readDevice(files.device)
	if err != nil {
		return nil, err
	}
	defer d.destroy()
	switch {
	case d.id != v.device:
		return nil, ErrDevice
	case files.tried() == ordered || v.limit > 0 && files.tried() >= int(v.limit): // a destruction that was cut off
		return nil, p.giveUp()
	case v.slot.recipient == "":
		return nil, ErrNoRecovery
	case d.half == nil || markOf(d.half) != v.slot.mark:
		return nil, ErrNoHalf
	}
	master, err := v.rescue(k, d.half)
	if err != nil {
		return nil, err
	}
	defer master.Destroy()
	var a Account
	err = v.get(master, &a)
	if err == nil {
		a.add(x)
		if err = v.put(master, &a); err == nil {
			err = p.writeVault(v)
		}
	}
	if err == nil {
		err = files.setTried(0) // in the device's file; the vault has a new tally
	}
	if err != nil {
		a.Destroy()
		return nil, err
	}
	return p.opened(v, master, &a), nil
}

// follow does as the desk has announced, in a vault that is to be written, and
// reports whether that changes it. The half in the device's file is on the disk
// before the vault needs it; without a slot it opens nothing.
func (p Place) follow(v *vault, d *device, master *memguard.LockedBuffer) bool {
	serial, recipient, ok := p.announced(master)
	sound := v.slot.recipient == "" || d.half != nil && markOf(d.half) == v.slot.mark
	if !ok || serial < v.slot.serial || serial == v.slot.serial && recipient == v.slot.recipient && sound {
		return false
	}
	next := *v
	next.slot.serial = serial
	switch {
	case recipient == v.slot.recipient && sound:
	case recipient == "":
		next.slot = slot{serial: serial}
	default:
		if d.half == nil {
			d.half = memguard.NewBufferRandom(keySize)
			if p.writeDevice(d) != nil {
				return false // again at the next unlock
			}
		}
		if next.escrow(recipient, d.half, master) != nil {
			return false
		}
	}
	*v = next
	return true
}

// dropHalf removes what no slot needs any more.
func (p Place) dropHalf(d *device) error {
	d.half.Destroy()
	d.half = nil
	return p.writeDevice(d)
}

// AnnounceKey derives from the database key what the desk announces with.
func AnnounceKey(database []byte) (*memguard.Enclave, error) {
	key, err := hkdf.Key(sha256.New, database, nil, "sotto recovery announcement v1", keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return memguard.NewEnclave(key), nil // clears it
}

// MaxAnnouncement bounds an announcement in bytes.
const MaxAnnouncement = 512

const announceMagic = "sotto recovery 1\n"

// Announce writes what the policy with a serial number says of the recovery key:
// its recipient, or "" for none. It is for Place.Announced, and goes through a file
// that anybody may have changed.
func Announce(key *memguard.Enclave, serial uint64, recipient string) ([]byte, error) {
	if recipient != "" {
		if err := recovery.CheckRecipient(recipient); err != nil {
			return nil, err
		}
	}
	k, err := key.Open()
	if err != nil {
		return nil, fmt.Errorf("announcing the recovery key: %w", err)
	}
	defer k.Destroy()
	b := append([]byte(announceMagic), strconv.FormatUint(serial, 10)+"\n"+recipient+"\n"...)
	mac := hmac.New(sha256.New, k.Bytes())
	mac.Write(b)
	return append(hex.AppendEncode(b, mac.Sum(nil)), '\n'), nil
}

// announced reads an announcement, and reports whether there is one that counts.
func (p Place) announced(master *memguard.LockedBuffer) (serial uint64, recipient string, ok bool) {
	if len(p.Announced) == 0 || len(p.Announced) > MaxAnnouncement {
		return 0, "", false
	}
	database, err := derive(master, nil, "sotto database v1")
	if err != nil {
		return 0, "", false
	}
	defer database.Destroy()
	key, err := AnnounceKey(database.Bytes())
	if err != nil {
		return 0, "", false
	}
	lines := bytes.Split(p.Announced, []byte("\n"))
	if len(lines) != 5 {
		return 0, "", false
	}
	if serial, err = strconv.ParseUint(string(lines[1]), 10, 64); err != nil {
		return 0, "", false
	}
	want, err := Announce(key, serial, string(lines[2]))
	if err != nil || !hmac.Equal(want, p.Announced) {
		return 0, "", false
	}
	return serial, string(lines[2]), true
}
