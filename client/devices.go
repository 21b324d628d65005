package client

import (
	"strings"
	"time"

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
