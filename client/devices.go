package client

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// peer is what is known about a person's devices in this session.
type peer struct {
	listed   bool             // the device list is known
	asking   bool             // it is being asked for
	fetching map[uint32]bool  // bundles being asked for
	failed   map[uint32]error // bundles that could not be had, and why
	asked    time.Time        // when it was asked for last
	why      string           // why the list could not be had for now, or ""
	retry    time.Time        // when to ask again; zero: not waiting
	absent   time.Time        // since when messages wait for devices to appear; zero: none do
	unfound  time.Time        // since when the relay finds no server of theirs; zero: it does
	nobody   string           // why nobody can have this address, for what is to be sent; or ""
}

// maxPeers bounds the people whose device lists are taken unasked; the largest
// hospital in the design has 10,000.
const maxPeers = 12000

// peer returns the state for a bare JID.
func (c *Client) peer(who string) *peer {
	p := c.peers[who]
	if p == nil {
		p = &peer{fetching: make(map[uint32]bool), failed: make(map[uint32]error)}
		c.peers[who] = p
	}
	return p
}

// duePeers reports whether somebody's devices should be tried again.
func (c *Client) duePeers(now time.Time) bool {
	due := false
	for _, p := range c.peers {
		if !p.retry.IsZero() && now.After(p.retry) {
			p.again()
			due = true
		}
	}
	return due
}

func (p *peer) again() {
	p.retry, p.why = time.Time{}, ""
	clear(p.failed)
	if !p.absent.IsZero() {
		p.listed = false // ask for the list, too
	}
}

// await has messages wait for devices to appear, as those of somebody who signs
// in at this moment do. False means that they have waited long enough.
func (c *Client) await(p *peer, list []store.OutHead, why string) bool {
	now := time.Now()
	if p.absent.IsZero() {
		p.absent = now
	}
	if now.Sub(p.absent) >= c.listPatience {
		p.absent, p.listed = time.Time{}, false // whatever is sent later waits anew
		return false
	}
	if p.retry.IsZero() {
		p.retry = now.Add(listRetry)
	}
	p.why = why
	c.explain(list, why)
	return true
}

// retry tries at once what was put off.
func (c *Client) retry() {
	for _, p := range c.peers {
		p.again()
		p.absent = time.Time{}
	}
	c.flush()
}

// How long to wait before asking again.
const (
	peerRetry = time.Minute      // for keys that could not be had
	askAgain  = 20 * time.Second // for a device list that is known
)

// askList asks for a person's device list.
func (c *Client) askList(who string) {
	if who == c.self {
		if c.devicesDone && time.Since(c.relistAt) > askAgain {
			c.relistAt = time.Now()
			c.askOwnDevices()
		}
		return
	}
	p := c.peer(who)
	if p.asking || !c.online || p.listed && time.Since(p.asked) < askAgain {
		return
	}
	p.asking, p.asked = true, time.Now()
	c.ask("get", who, stanza.ItemsRequest(stanza.NodeDevices), func(e *stanza.Element, err error) {
		p.asking = false
		if condition(err) != "remote-server-not-found" {
			p.unfound = time.Time{}
		}
		switch {
		case err == nil || condition(err) == "item-not-found":
			ids, ok := listIn(e)
			if !ok {
				c.log.Warn("device list is malformed", "of", who)
				p.listed = true // what is known from before is what there is
				break
			}
			c.update("store a device list", func(tx *store.Tx, fx *effects) error { return c.deviceList(tx, fx, who, ids) })
		case condition(err) == "gone" || condition(err) == "jid-malformed":
			p.nobody = "Not sent: there is no " + who + ". Check the address."
		case condition(err) == "remote-server-not-found" && c.stranger(who):
			c.noServer(p, who)
		case passing(err):
			p.why, p.retry = "Waiting: the devices of "+c.short(who)+" cannot be had now. "+describe(err), time.Now().Add(peerRetry)
		default:
			// What is known from before is what there is.
			c.log.Info("device list refused", "of", who, "err", err)
			p.listed = true
		}
		c.kick()
	})
}

// noServer has messages to a stranger wait, and fail in the end, because the relay
// finds no server of that name. That is what a mistyped domain looks like; but so
// does one that is down, or a failing name service.
func (c *Client) noServer(p *peer, who string) {
	now := time.Now()
	if p.unfound.IsZero() {
		p.unfound = now
	}
	_, domain, _ := strings.Cut(who, "@")
	if now.Sub(p.unfound) >= c.serverPatience {
		p.unfound, p.nobody = time.Time{}, "Not sent: the relay finds no server "+domain+". Check the address, or send again later."
		return
	}
	p.why, p.retry = "Waiting: the relay finds no server "+domain+". Check the address. It is looked for again", now.Add(c.serverPatience/5)
}

// stranger reports whether nothing shows that somebody of this address exists: no
// device, no message from there, and no contact who was accepted.
func (c *Client) stranger(who string) bool {
	is := false
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		is, err = isStranger(tx, who)
		return err
	})
	return err == nil && is
}

func isStranger(tx *store.Tx, who string) (bool, error) {
	devices, err := tx.Devices(who)
	if err != nil || len(devices) > 0 {
		return false, err
	}
	row, err := tx.Conversation(who)
	if err != nil || row != nil && row.Contact && row.Subscription != "none" && row.Subscription != "" {
		return false, err
	}
	heard, err := tx.HeardFrom(who)
	return !heard, err
}

// deviceList takes over a device list. The devices of the first contact are
// trusted on first use; those that come later are not, until somebody compares.
func (c *Client) deviceList(tx *store.Tx, fx *effects, who string, ids []uint32) error {
	if fx.listed == nil {
		fx.listed = make(map[string]bool)
	}
	fx.listed[who] = true
	if who == c.self {
		fx.ownGone = fx.ownGone || !slices.Contains(ids, c.device.ID())
		ids = slices.DeleteFunc(slices.Clone(ids), func(id uint32) bool { return id == c.device.ID() })
	}
	before, err := tx.Devices(who)
	if err != nil {
		return err
	}
	if sameActive(before, ids) {
		return c.noteOwnList(tx, who)
	}
	met, err := c.met(tx, who, before)
	if err != nil {
		return err
	}
	fresh, err := tx.SetActiveDevices(who, ids)
	if err != nil {
		return err
	}
	fx.events = append(fx.events, DevicesChanged{who})
	fx.flush = true
	for _, id := range fresh {
		a := omemo.Address{JID: who, Device: id}
		if met {
			fx.look = append(fx.look, a)
			continue
		}
		if err := tx.PutDevice(store.PeerDevice{Peer: who, ID: id, Trust: store.FirstUse, Active: true}); err != nil {
			return err
		}
	}
	if met && len(fresh) > 0 {
		if err := c.warnNew(tx, fx, who, len(fresh)); err != nil {
			return err
		}
	}
	return c.noteOwnList(tx, who)
}

func sameActive(before []store.PeerDevice, ids []uint32) bool {
	n := 0
	for i := range before {
		if before[i].Active {
			if !slices.Contains(ids, before[i].ID) {
				return false
			}
			n++
		}
	}
	return n == len(ids)
}

// valueOwnList notes that the own device list was seen: own devices that come
// later were not there when this one was set up.
const valueOwnList = "omemo.ownlist"

func (c *Client) noteOwnList(tx *store.Tx, who string) error {
	if who != c.self {
		return nil
	}
	return tx.SetValue(valueOwnList, []byte{1})
}

// met reports whether the first contact with a person's devices is over: the
// key of one of them is known. With the own devices it is over as soon as their
// list was seen once, or a relay could slip one in.
func (c *Client) met(tx *store.Tx, who string, devices []store.PeerDevice) (bool, error) {
	if who == c.self {
		seen, err := tx.Value(valueOwnList)
		return seen != nil, err
	}
	return slices.ContainsFunc(devices, func(d store.PeerDevice) bool { return d.Fingerprint != nil }), nil
}

// maxWarnings bounds the lines that a relay can put into a conversation within
// an hour by naming ever new devices. What is sent to whom, and the words above
// the conversation, do not depend on them.
const maxWarnings = 8

// warnings counts those of one conversation.
type warnings struct {
	since time.Time
	n     int
}

// warnNew says, in the conversation and at once, that there are new devices.
func (c *Client) warnNew(tx *store.Tx, fx *effects, who string, n int) error {
	w := c.warned[who]
	if time.Since(w.since) > time.Hour {
		w = warnings{since: time.Now()}
	}
	if w.n++; w.n > maxWarnings {
		return nil
	}
	c.warned[who] = w
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
	devices, err := tx.Devices(a.JID)
	if err != nil {
		return err
	}
	if fx.seen == nil {
		fx.seen = make(map[omemo.Address]omemo.Fingerprint)
	}
	fx.seen[a] = key
	for _, d := range devices {
		if d.ID != a.Device {
			continue
		}
		switch {
		case string(d.Fingerprint) == string(key[:]):
			return nil
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
	met, err := c.met(tx, a.JID, devices)
	if err != nil {
		return err
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
	if err != nil || len(b) != 1 || b[0] > byte(store.Distrusted) {
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

// why a bundle is asked for.
type purpose int

const (
	toSend   purpose = iota // start a session if the device is trusted
	toLook                  // only to show the fingerprint
	toRepair                // start a session anew and say so to the device
)

// askBundle asks for a device's bundle.
func (c *Client) askBundle(a omemo.Address, what purpose) {
	p := c.peer(a.JID)
	if p.fetching[a.Device] || !c.online || a.JID == c.self && a.Device == c.device.ID() {
		return
	}
	p.fetching[a.Device] = true
	to := a.JID
	if to == c.self {
		to = ""
	}
	node := stanza.NodeBundle(a.Device)
	c.ask("get", to, stanza.ItemsRequest(node), func(e *stanza.Element, err error) {
		delete(p.fetching, a.Device)
		var b omemo.Bundle
		if err == nil {
			b, err = bundleIn(e, node)
		}
		if err == nil {
			err = c.gotBundle(a, b, what)
		}
		if err != nil {
			c.log.Info("bundle", "of", a.String(), "err", err)
			p.failed[a.Device] = err
			if passing(err) && p.retry.IsZero() {
				p.retry = time.Now().Add(peerRetry)
			}
		}
		c.kick()
	})
}

// gotBundle notes the key in a bundle and starts a session with it if asked to.
func (c *Client) gotBundle(a omemo.Address, b omemo.Bundle, what purpose) error {
	var failed error
	var repaired *stanza.Element
	key := omemo.Fingerprint(b.IdentityKey[1:])
	ok := c.update("start a session", func(tx *store.Tx, fx *effects) error {
		failed, repaired = nil, nil
		if err := c.sawDevice(tx, fx, a, key); err != nil {
			return err
		}
		trust, err := trustIn(tx, a)
		if err != nil {
			return err
		}
		trusted := trust == store.FirstUse || trust == store.Verified
		if what == toLook || trust == store.Distrusted || what == toSend && !trusted {
			return nil
		}
		if failed = c.device.StartSession(tx, a, b); failed != nil || what != toRepair {
			return nil
		}
		repaired, failed = c.device.EncryptKey(tx, []omemo.Address{a})
		return nil
	})
	if !ok {
		return errNoAnswer
	}
	if repaired != nil {
		c.sendKey(a.JID, repaired)
	}
	return failed
}

// bundleIn reads the bundle in an answer.
func bundleIn(e *stanza.Element, node string) (omemo.Bundle, error) {
	items, _ := stanza.ReadItems(e, node)
	var last *stanza.Element
	for _, it := range items {
		if last = it.Payload; it.ID == "current" {
			break
		}
	}
	return stanza.ReadBundle(last)
}

// repair starts a session with a device anew, at most once an hour: the device
// must be one of those its owner lists.
func (c *Client) repair(a omemo.Address) {
	if last, ok := c.repaired[a]; ok && time.Since(last) < repairEvery {
		return
	}
	listed := false
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		devices, err := tx.Devices(a.JID)
		listed = slices.ContainsFunc(devices, func(d store.PeerDevice) bool { return d.ID == a.Device && d.Active })
		return err
	})
	if err != nil || !listed {
		c.askList(a.JID)
		return
	}
	if len(c.repaired) > 10000 {
		clear(c.repaired)
	}
	c.repaired[a] = time.Now()
	c.askBundle(a, toRepair)
}

// forgetOther drops sessions with a device that belong to another key than the
// one that was compared.
func (c *Client) forgetOther(tx *store.Tx, a omemo.Address, key omemo.Fingerprint) error {
	has, with, err := c.device.HasSession(tx, a)
	if err != nil || !has || with == key {
		return err
	}
	return c.device.Forget(tx, a)
}
