package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"

	"sotto/client/omemo"
	"sotto/client/store"
)

// A code is what an app shows to be scanned or typed by somebody who wants to know
// that its keys are its owner's: xmpp:ADDRESS?omemo-sid-DEVICE=FINGERPRINT, as
// Conversations and others write it. It holds nothing secret, and is worth as much
// as the way it came by: a screen that one sees, a voice that one knows.

// Code is a code that was read.
type Code struct {
	Address string // bare
	Devices map[uint32]omemo.Fingerprint
}

// Bounds of a code.
const (
	maxCode        = 8 << 10 // bytes
	maxCodeDevices = 64
)

// ErrCode is the error of what is no code.
var ErrCode = errors.New("this is not a code. One begins with xmpp: and names devices, as the other's screen shows it")

// ParseCode reads a code, and nothing but one: each device once, and the whole of
// each fingerprint.
func ParseCode(s string) (Code, error) {
	var c Code
	if len(s) > maxCode {
		return c, ErrCode
	}
	s = strings.TrimSpace(s)
	const scheme, device = "xmpp:", "omemo-sid-"
	if len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) {
		return c, ErrCode
	}
	address, query, ok := strings.Cut(s[len(scheme):], "?")
	j, err := jid.Parse(address)
	if err != nil || !ok || j.Localpart() == "" || j.Resourcepart() != "" {
		return c, ErrCode
	}
	c.Address, c.Devices = j.String(), make(map[uint32]omemo.Fingerprint)
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == ';' || r == '&' })
	if len(parts) == 0 || len(parts) > maxCodeDevices {
		return Code{}, ErrCode
	}
	for _, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		number, ok := strings.CutPrefix(name, device)
		id, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil || id == 0 || number[0] == '0' {
			return Code{}, ErrCode
		}
		var f omemo.Fingerprint
		if len(value) != 2*len(f) {
			return Code{}, ErrCode
		}
		if _, err := hex.Decode(f[:], []byte(value)); err != nil {
			return Code{}, ErrCode
		}
		if _, twice := c.Devices[uint32(id)]; twice {
			return Code{}, ErrCode
		}
		c.Devices[uint32(id)] = f
	}
	return c, nil
}

// String writes a code as ParseCode reads it, devices in order.
func (c Code) String() string {
	ids := make([]uint32, 0, len(c.Devices))
	for id := range c.Devices {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var b strings.Builder
	b.WriteString("xmpp:" + c.Address + "?")
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(';')
		}
		f := c.Devices[id]
		b.WriteString("omemo-sid-" + strconv.FormatUint(uint64(id), 10) + "=" + hex.EncodeToString(f[:]))
	}
	return b.String()
}

// Code returns the code of this device.
func (c *Client) Code() Code {
	return Code{c.self, map[uint32]omemo.Fingerprint{c.device.ID(): c.device.Fingerprint()}}
}

// VerifyCode takes the code that somebody's app shows. The devices that it names
// count as compared from then on; those that were not seen yet, as soon as they
// are. It returns how many there are. An error, in words, is above all that a
// device has another key here than the code says: that one is refused, and nothing
// is taken over from the code.
func (c *Client) VerifyCode(ctx context.Context, code Code) (n int, err error) {
	if _, mine := code.Devices[c.device.ID()]; mine && code.Address == c.self && len(code.Devices) == 1 {
		return 0, errors.New("this is the code of this very device. Take the one that the other's screen shows")
	}
	var wrong []string
	err = c.store.Update(ctx, func(tx *store.Tx) error {
		wrong, n = nil, 0
		devices, err := tx.Devices(code.Address)
		if err != nil {
			return err
		}
		for i := range devices {
			d := &devices[i]
			f, named := code.Devices[d.ID]
			if !named || d.Fingerprint == nil || string(d.Fingerprint) == string(f[:]) {
				continue
			}
			wrong = append(wrong, strconv.FormatUint(uint64(d.ID), 10))
			d.Trust = store.Distrusted
			if err := tx.PutDevice(*d); err != nil {
				return err
			}
		}
		if len(wrong) > 0 {
			return nil
		}
		for id, f := range code.Devices {
			if code.Address == c.self && id == c.device.ID() {
				continue
			}
			d := store.PeerDevice{Peer: code.Address, ID: id}
			if i := slices.IndexFunc(devices, func(d store.PeerDevice) bool { return d.ID == id }); i >= 0 {
				d = devices[i]
			}
			d.Trust, d.Fingerprint = store.Verified, f[:]
			if err := tx.PutDevice(d); err != nil {
				return err
			}
			if err := c.forgetOther(tx, omemo.Address{JID: code.Address, Device: id}, f); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("keep the decision: %w", err)
	}
	c.events.put(DevicesChanged{code.Address})
	if len(wrong) > 0 {
		c.call(c.trustLost)
	} else {
		c.call(c.retry)
	}
	if len(wrong) > 0 {
		return 0, fmt.Errorf("the key of device %s is NOT the one that the relay has given for it: somebody may read along. Nothing is sent to it any more. If you typed the code, compare it letter by letter, and try again", strings.Join(wrong, ", "))
	}
	return n, nil
}
