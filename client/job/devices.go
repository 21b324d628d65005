package job

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sotto/client"
	"sotto/client/omemo"
	"sotto/client/store"
)

// ParseFingerprint reads a fingerprint as sotto and other apps show it: 64
// hexadecimal digits, with blanks or colons between them or without.
func ParseFingerprint(s string) (fp omemo.Fingerprint, err error) {
	digits := strings.NewReplacer(" ", "", ":", "").Replace(s)
	n := 0
	if len(digits) == 2*len(fp) {
		n, err = hex.Decode(fp[:], []byte(digits))
	}
	if err != nil || n != len(fp) {
		return fp, errors.New("a fingerprint has 64 digits from 0 to 9 and a to f. Copy all of it, in quotes")
	}
	return fp, nil
}

// Looking is a look at devices.
type Looking struct {
	Whom string        // "" is the own account
	Wait time.Duration // for the relay, at most
	JSON bool
	Out  io.Writer

	// Compared, unless nil, is the fingerprint of a device that was compared with
	// its owner: it is trusted from now on.
	Compared *omemo.Fingerprint
}

// Devices lists somebody's devices, one a line.
func Devices(ctx context.Context, c *client.Client, l Looking) error {
	self := c.Self()
	if l.Whom == "" || l.Whom == self.Address {
		l.Whom = self.Address
		if l.Compared == nil { // this device is known without the relay
			l.Wait = min(l.Wait, ownWait)
		}
	}
	met, err := until(ctx, c, l.Wait, func() (bool, error) { return c.Meet(ctx, l.Whom) })
	if err != nil {
		return err
	}
	list, err := c.Devices(ctx, l.Whom)
	if err != nil {
		return err
	}
	if l.Compared != nil {
		if !has(list, *l.Compared) {
			if !met {
				return offline(c)
			}
			return fmt.Errorf("no device of %s has this fingerprint. Nothing was changed; see what there is with: sotto trust %s", l.Whom, l.Whom)
		}
		if err := c.Trust(ctx, l.Whom, *l.Compared, store.Verified); err != nil {
			return err
		}
		if list, err = c.Devices(ctx, l.Whom); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		if !met {
			return offline(c)
		}
		return fmt.Errorf("%s has no device that reads encrypted messages", l.Whom)
	}
	for _, d := range list {
		if err := l.write(d); err != nil {
			return fmt.Errorf("write the list: %w", err)
		}
	}
	return nil
}

// ownWait is how long a look at the own devices waits for the relay.
const ownWait = 5 * time.Second

func has(list []client.Device, fp omemo.Fingerprint) bool {
	for _, d := range list {
		if d.Known && d.Fingerprint == fp {
			return true
		}
	}
	return false
}

// deviceLine is a device as JSON.
type deviceLine struct {
	Type        string `json:"type"`
	Address     string `json:"address"`
	Device      uint32 `json:"device"`
	Fingerprint string `json:"fingerprint"`
	Trust       string `json:"trust"`
	Active      bool   `json:"active"`
	Own         bool   `json:"own,omitempty"`
}

func (l Looking) write(d client.Device) error {
	fingerprint := "not known yet"
	if d.Known {
		fingerprint = d.Fingerprint.String()
	}
	if l.JSON {
		if !d.Known {
			fingerprint = ""
		}
		return json.NewEncoder(l.Out).Encode(deviceLine{"device", l.Whom, d.ID, fingerprint, trustWord(d.Trust), d.Active, d.Own})
	}
	words := strings.ReplaceAll(trustWord(d.Trust), "-", " ")
	switch {
	case d.Own:
		words = "this device"
	case !d.Active:
		words += ", no longer in use"
	case d.Trust == store.FirstUse:
		words += ", not compared"
	}
	_, err := fmt.Fprintf(l.Out, "%s  %s\n", fingerprint, words)
	return err
}
