package client

import (
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/store"
)

// maxWarnings bounds the lines that a relay can put into a conversation within
// an hour by naming ever new devices. What is sent to whom, and the words above
// the conversation, do not depend on them.
const maxWarnings = 8

// warnings counts those of one conversation.
type warnings struct {
	since time.Time
	n     int
}

// mayWarn counts the lines of ours in one conversation.
func (c *Client) mayWarn(who string) bool {
	w := c.warned[who]
	if time.Since(w.since) > time.Hour {
		w = warnings{since: time.Now()}
	}
	w.n++
	c.warned[who] = w
	return w.n <= maxWarnings
}

// warnNew says, in the conversation and at once, that there are new devices.
func (c *Client) warnNew(tx *store.Tx, fx *effects, who string, n int) error {
	if !c.mayWarn(who) {
		return nil
	}
	subject := c.short(who) + " has "
	if who == c.self {
		subject = "You have "
	}
	it := "it"
	if n > 1 {
		it = "them"
	}
	return c.warn(tx, fx, who, subject+newDevices(n)+". Nothing is sent to "+it+" until you compare: /trust")
}

// warn puts a notice into a conversation, and says it at once.
func (c *Client) warn(tx *store.Tx, fx *effects, who, words string) error {
	row := store.Message{Peer: who, Sender: who, Time: time.Now(), Body: words, Kind: store.Notice}
	if _, err := tx.AddMessage(&row); err != nil {
		return err
	}
	fx.events = append(fx.events, NoticeEvent{Peer: who, Text: lineOf("%s", words)})
	return fx.added(tx, &row)
}

// sawDevice notes the key that a device proved to have, or offers in its
// bundle. A key that differs from the one known is not trusted, and said loudly.
func (c *Client) sawDevice(tx *store.Tx, fx *effects, a omemo.Address, key omemo.Fingerprint) error {
	if known, ok := c.seen[a]; ok && known == key {
		return nil
	}
	if c.Membership() != nil {
		return c.sawInOrganisation(tx, fx, a, key)
	}
	devices, err := tx.Devices(a.JID)
	if err != nil {
		return err
	}
	if fx.seen == nil {
		fx.seen = make(map[omemo.Address]omemo.Fingerprint)
	}
	fx.seen[a] = key
	ref := audit.IDOf(hex.EncodeToString(key[:]))
	for _, d := range devices {
		if d.ID != a.Device {
			continue
		}
		switch {
		case string(d.Fingerprint) == string(key[:]):
			return nil
		case d.Fingerprint == nil && d.Trust == store.FirstUse && compares(devices):
			// Who has compared one device no longer takes others on trust.
			d.Trust = store.Undecided
			if err := c.warnNew(tx, fx, a.JID, 1); err != nil {
				return err
			}
		case d.Fingerprint == nil && d.Trust == store.FirstUse:
			d.Fingerprint = key[:]
			if err := c.auditTrust(tx, &d, audit.OnFirstUse); err != nil {
				return err
			}
		case d.Fingerprint == nil:
		default:
			words := "A device of " + c.short(a.JID) + " has changed its key. This can be a reinstallation, or somebody else. Nothing is sent to it until you compare: /trust"
			former := d.Trust
			if d.Trust, err = formerTrust(tx, a, key); err != nil {
				return err
			}
			if d.Trust != store.Undecided {
				words = "A device of " + c.short(a.JID) + " has the key again that it had before"
			}
			if err := keepTrust(tx, a, d.Fingerprint, former); err != nil {
				return err
			}
			if err := c.audit(tx, audit.Event{Kind: audit.DeviceDistrusted, Peer: audit.PersonOf(a.JID), Device: a.Device, Ref: ref, Reason: audit.KeyChanged}); err != nil {
				return err
			}
			if err := c.warn(tx, fx, a.JID, words); err != nil {
				return err
			}
		}
		d.Fingerprint = key[:]
		fx.events = append(fx.events, DevicesChanged{a.JID})
		return tx.PutDevice(d)
	}
	if len(devices) >= store.MaxDevices {
		c.log.Warn("too many devices", "of", a.JID)
		return nil
	}
	d := store.PeerDevice{Peer: a.JID, ID: a.Device, Fingerprint: key[:], Trust: store.FirstUse}
	if err := c.audit(tx, audit.Event{Kind: audit.DeviceNew, Peer: audit.PersonOf(a.JID), Device: a.Device, Ref: ref}); err != nil {
		return err
	}
	met, err := c.met(tx, a.JID, devices)
	if err != nil {
		return err
	}
	if !met {
		if err := c.auditTrust(tx, &d, audit.OnFirstUse); err != nil {
			return err
		}
	}
	if met {
		d.Trust = store.Undecided
		if err := c.warnNew(tx, fx, a.JID, 1); err != nil {
			return err
		}
	}
	fx.events = append(fx.events, DevicesChanged{a.JID})
	fx.relist = append(fx.relist, a.JID) // the list tells whether it is active
	return tx.PutDevice(d)
}

// compares reports whether somebody has compared one of the devices.
func compares(devices []store.PeerDevice) bool {
	return slices.ContainsFunc(devices, func(d store.PeerDevice) bool { return d.Trust == store.Verified && d.Fingerprint != nil })
}

// A relay that shows another key for a device, and later the true one again, must
// not have undone what somebody decided: trust belongs to a key, and is kept
// while the device shows another one.

func trustName(a omemo.Address, key []byte) string {
	return "omemo.trust." + a.JID + "/" + strconv.FormatUint(uint64(a.Device), 10) + "/" + hex.EncodeToString(key)
}

func keepTrust(tx *store.Tx, a omemo.Address, key []byte, trust store.Trust) error {
	if trust == store.Undecided {
		return nil
	}
	return tx.SetValue(trustName(a, key), []byte{byte(trust)})
}

func formerTrust(tx *store.Tx, a omemo.Address, key omemo.Fingerprint) (store.Trust, error) {
	b, err := tx.Value(trustName(a, key[:]))
	if err != nil || len(b) != 1 || b[0] > byte(store.Withdrawn) {
		return store.Undecided, err
	}
	return store.Trust(b[0]), nil
}

// trustIn returns the trust in a device.
func trustIn(tx *store.Tx, a omemo.Address) (store.Trust, error) {
	devices, err := tx.Devices(a.JID)
	for i := range devices {
		if devices[i].ID == a.Device {
			return devices[i].Trust, nil
		}
	}
	return store.Undecided, err
}
