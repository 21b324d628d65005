package audit

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is the state of a device's log as the device signed it, a signed
// note in the form of https://c2sp.org/tlog-checkpoint:
//
//	sotto-audit/alice@hospital.example/27183
//	42
//	nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
//	time 2026-11-22T12:08:03.123Z
//	of 64
//
//	— sotto-audit/alice@hospital.example/27183 …
//
// The first line is the log's origin and the key's name; a + in it is written
// %2B, and a % %25. Then come the number of events, the root of their tree, what
// the device's clock said, and how many events there were in all at that time:
// a batch's checkpoint may cover a part of them.
type Checkpoint struct {
	Device Device
	Tree   tlog.Tree
	Time   time.Time // of the device's clock, when it signed
	Of     int64     // how many events the log had then: Tree.N or more

	// Received is when the collector signed it, to the second, by its own clock;
	// zero if it has not.
	Received time.Time
}

// Equal reports whether two checkpoints say the same.
func (c Checkpoint) Equal(d Checkpoint) bool {
	return c.Device == d.Device && c.Tree == d.Tree && c.Of == d.Of && c.Time.Equal(d.Time) && c.Received.Equal(d.Received)
}

// maxSize bounds the events of a log, far from where sums of sizes overflow.
const maxSize = 1 << 60

// MaxCheckpoint bounds a checkpoint with its signatures in bytes.
const MaxCheckpoint = 4096

// Errors of checkpoints.
var (
	ErrCheckpoint = errors.New("not a checkpoint of this log")
	ErrSignature  = errors.New("a signature is missing or wrong")
)

const originMark = "sotto-audit/"

var originEscapes = strings.NewReplacer("%", "%25", "+", "%2B")
var originUnescapes = strings.NewReplacer("%25", "%", "%2B", "+")

// Origin is the name of a device's log, and of its key in signatures.
func (d Device) Origin() string { return originMark + originEscapes.Replace(d.String()) }

func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\nof %d\n", c.Device.Origin(), c.Tree.N, c.Tree.Hash, stamp(c.Time).Format(timeFormat), c.Of)
}

// parseText reads what text wrote, and nothing else.
func parseText(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 {
		return c, fmt.Errorf("%w: it has %d lines", ErrCheckpoint, len(lines)-1)
	}
	name, ok := strings.CutPrefix(lines[0], originMark)
	if c.Device, err = ParseDevice(originUnescapes.Replace(name)); !ok || err != nil {
		return c, fmt.Errorf("%w: it names no device", ErrCheckpoint)
	}
	if c.Tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Tree.N < 0 || c.Tree.N > maxSize {
		return c, fmt.Errorf("%w: its size is none", ErrCheckpoint)
	}
	if c.Tree.Hash, err = tlog.ParseHash(lines[2]); err != nil {
		return c, fmt.Errorf("%w: its root is none", ErrCheckpoint)
	}
	at, ok := strings.CutPrefix(lines[3], "time ")
	if c.Time, err = time.Parse(timeFormat, at); !ok || err != nil {
		return c, fmt.Errorf("%w: its time is none", ErrCheckpoint)
	}
	of, ok := strings.CutPrefix(lines[4], "of ")
	if c.Of, err = strconv.ParseInt(of, 10, 64); !ok || err != nil || c.Of < c.Tree.N || c.Of > maxSize {
		return c, fmt.Errorf("%w: it does not say of how many", ErrCheckpoint)
	}
	if c.text() != text {
		return c, fmt.Errorf("%w: the same is written another way", ErrCheckpoint)
	}
	return c, nil
}

// Sign writes the checkpoint with the device's signature. key is the device's
// Ed25519 key, wherever it lives.
func (c Checkpoint) Sign(key crypto.Signer) ([]byte, error) {
	c.Of = max(c.Of, c.Tree.N)
	text := c.text()
	if !c.Device.Valid() {
		return nil, fmt.Errorf("signing a checkpoint: %w: it names no device", ErrCheckpoint)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("signing a checkpoint: the key is not Ed25519")
	}
	v, err := deviceVerifier(c.Device, public)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	sig, err := key.Sign(nil, []byte(text), crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	if !v.Verify([]byte(text), sig) {
		return nil, fmt.Errorf("signing a checkpoint: the signature does not verify")
	}
	return AppendSignature([]byte(text+"\n"), v, sig), nil
}

func deviceVerifier(d Device, key ed25519.PublicKey) (note.Verifier, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("a key of %d bytes is not Ed25519", len(key))
	}
	vkey, err := note.NewEd25519VerifierKey(d.Origin(), key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}

// AppendSignature adds a signature's line to a note, in its only canonical form.
func AppendSignature(msg []byte, by note.Verifier, sig []byte) []byte {
	h := by.KeyHash()
	raw := append([]byte{byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}, sig...)
	return fmt.Appendf(msg, "— %s %s\n", by.Name(), base64.StdEncoding.EncodeToString(raw))
}

// OpenCheckpoint reads a checkpoint and verifies the signature of the device, and
// the collector's where collector is not nil. Signatures that nobody asked for,
// and any other bytes than those that Sign and Cosign write, are refused, so that
// no byte can change unnoticed. Errors match ErrCheckpoint or ErrSignature.
func OpenCheckpoint(msg []byte, device Device, key ed25519.PublicKey, collector *CollectorKey) (Checkpoint, error) {
	if len(msg) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: longer than %d bytes", ErrCheckpoint, MaxCheckpoint)
	}
	v, err := deviceVerifier(device, key)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	known := []note.Verifier{v}
	if collector != nil {
		known = append(known, collector)
	}
	n, err := note.Open(msg, note.VerifierList(known...))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if len(n.Sigs) != len(known) || len(n.UnverifiedSigs) != 0 {
		return Checkpoint{}, fmt.Errorf("%w: %d are good, %d unknown, and there should be %d good ones", ErrSignature, len(n.Sigs), len(n.UnverifiedSigs), len(known))
	}
	c, err := parseText(n.Text)
	if err != nil {
		return c, err
	}
	if c.Device != device {
		return c, fmt.Errorf("%w: it is of another device", ErrCheckpoint)
	}
	same := []byte(n.Text + "\n")
	for i, s := range n.Sigs {
		raw, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || s.Name != known[i].Name() || s.Hash != known[i].KeyHash() {
			return c, fmt.Errorf("%w: they are in another order", ErrSignature)
		}
		same = AppendSignature(same, known[i], raw[4:])
		if i == 1 {
			c.Received = cosignedAt(raw[4:])
		}
	}
	if string(same) != string(msg) {
		return c, fmt.Errorf("%w: the same is written another way", ErrCheckpoint)
	}
	return c, nil
}

// ParseDeviceKey reads a device's key as a verifier key of
// https://c2sp.org/signed-note, whose name is the device's Origin.
func ParseDeviceKey(vkey string) (Device, ed25519.PublicKey, error) {
	wrong := errors.New("this is no key of a device's audit log")
	if len(vkey) > 1024 {
		return Device{}, nil, wrong
	}
	parts := strings.SplitN(vkey, "+", 3)
	name, ok := strings.CutPrefix(parts[0], originMark)
	if !ok || len(parts) != 3 {
		return Device{}, nil, wrong
	}
	d, err := ParseDevice(originUnescapes.Replace(name))
	if err != nil {
		return Device{}, nil, wrong
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return Device{}, nil, wrong
	}
	if same, err := note.NewEd25519VerifierKey(d.Origin(), raw[1:]); err != nil || same != vkey {
		return Device{}, nil, wrong
	}
	return d, raw[1:], nil
}
