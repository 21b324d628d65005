package collect

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/internal/atomicfile"
)

// Seal is what every log of a folder was at some time, signed by the collector: a
// log, or its end, cannot be removed afterwards without contradicting it. The one
// in the folder can be put back together with everything else, so keep a copy
// elsewhere, or write it down: Verify takes it.
type Seal struct {
	Time time.Time
	Logs []audit.Checkpoint // the last of each; sorted by device
}

// maxSeal bounds a seal: a line for each of some five thousand devices.
const maxSeal = 1_000_000 // as much as a note may have

const (
	sealHeader = "sotto audit seal 1"
	sealTime   = "2006-01-02T15:04:05Z"
	clockTime  = "2006-01-02T15:04:05.000Z"
)

// ErrSeal is a seal that is not genuine.
var ErrSeal = errors.New("the seal of the folder is not genuine: it was changed, or is another collector's")

func (s *Seal) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%d\n", sealHeader, s.Time.UTC().Format(sealTime), len(s.Logs))
	for _, c := range s.Logs {
		fmt.Fprintf(&b, "%s %d %s %s %d %s\n", c.Device, c.Tree.N, c.Tree.Hash, c.Time.UTC().Format(clockTime), c.Of, c.Received.UTC().Format(sealTime))
	}
	return b.String()
}

// sealKey is the collector's key for notes that are no checkpoints.
func sealKey(k *audit.CollectorKey) (note.Verifier, error) {
	v, err := note.NewEd25519VerifierKey(k.Name(), k.Public())
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(v)
}

func (s *Seal) sign(public *audit.CollectorKey, key crypto.Signer) ([]byte, error) {
	v, err := sealKey(public)
	if err != nil {
		return nil, err
	}
	text := s.text()
	sig, err := key.Sign(nil, []byte(text), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(public.Public(), []byte(text), sig) {
		return nil, errors.New("the key is another one than the collector's")
	}
	return sealNote(text, v, sig), nil
}

func sealNote(text string, v note.Verifier, sig []byte) []byte {
	return audit.AppendSignature([]byte(text+"\n"), v, sig)
}

// OpenSeal reads a seal and verifies it. Errors match ErrSeal.
func OpenSeal(msg []byte, public *audit.CollectorKey) (*Seal, error) {
	v, err := sealKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	n, err := note.Open(msg, note.VerifierList(v))
	if err != nil || len(n.UnverifiedSigs) > 0 {
		return nil, fmt.Errorf("%w: its signature is wrong", ErrSeal)
	}
	raw, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil || string(sealNote(n.Text, v, raw[4:])) != string(msg) {
		return nil, fmt.Errorf("%w: its signature is written another way", ErrSeal)
	}
	wrong := fmt.Errorf("%w: it cannot be read", ErrSeal)
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	if len(lines) < 3 || lines[0] != sealHeader || lines[2] != strconv.Itoa(len(lines)-3) {
		return nil, wrong
	}
	s := new(Seal)
	if s.Time, err = time.Parse(sealTime, lines[1]); err != nil {
		return nil, wrong
	}
	for _, line := range lines[3:] {
		words := strings.Split(line, " ")
		if len(words) != 6 {
			return nil, wrong
		}
		d, err1 := audit.ParseDevice(words[0])
		size, err2 := strconv.ParseInt(words[1], 10, 62)
		root, err3 := tlog.ParseHash(words[2])
		at, err4 := time.Parse(clockTime, words[3])
		of, err5 := strconv.ParseInt(words[4], 10, 62)
		received, err6 := time.Parse(sealTime, words[5])
		if errors.Join(err1, err2, err3, err4, err5, err6) != nil || size < 0 || of < size {
			return nil, wrong
		}
		s.Logs = append(s.Logs, audit.Checkpoint{Device: d, Tree: tlog.Tree{N: size, Hash: root}, Time: at, Of: of, Received: received})
	}
	if s.text() != n.Text {
		return nil, wrong
	}
	return s, nil
}

func readSeal(dir string, public *audit.CollectorKey) (*Seal, error) {
	msg, err := readBounded(filepath.Join(dir, sealFile), maxSeal)
	if err != nil {
		return nil, err
	}
	return OpenSeal(msg, public)
}

// Seal writes what all logs are now into the folder's seal, and returns it. It
// reads each log's last checkpoint; a log that is spoilt keeps what the last seal
// said of it. Do it daily, and take a copy to another place.
func (c *Collector) Seal(now time.Time) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const doing = "sealing the audit logs"
	devices, err := devicesIn(c.dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	next := map[audit.Device]audit.Checkpoint{}
	for d, s := range c.sealed {
		next[d] = s
	}
	for _, d := range devices {
		t := taking{c: c, from: d, now: now}
		key, err := t.keyOf()
		var k *kept
		if key != nil {
			k, err = t.log(key)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		if k != nil && k.last.Device == d {
			next[d] = k.last
		}
	}
	s := Seal{Time: now.UTC().Truncate(time.Second)}
	for _, e := range next {
		s.Logs = append(s.Logs, e)
	}
	slices.SortFunc(s.Logs, func(a, b audit.Checkpoint) int { return strings.Compare(a.Device.String(), b.Device.String()) })
	msg, err := s.sign(c.public, c.key)
	if err == nil && len(msg) > maxSeal {
		err = fmt.Errorf("there are too many devices for one: %d", len(s.Logs))
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(c.dir, sealFile), msg)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	c.sealed = next
	return msg, nil
}

// devicesIn lists the devices that have a folder with a key that can be read.
func devicesIn(dir string) (list []audit.Device, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if d, _, err := readKey(filepath.Join(dir, e.Name(), keyFile)); err == nil && folderName(d) == e.Name() {
			list = append(list, d)
		}
	}
	return list, nil
}
