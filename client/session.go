package client

import (
	"crypto/sha256"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
)

// Bounds of what is kept in memory about others.
const (
	maxPresences = 20000 // people
	maxResources = 32    // clients of one person
)

// startSession asks for what a new stream needs: the roster, the own devices,
// and what the archive holds.
func (c *Client) startSession() {
	c.online = false // what ends now must not send yet
	c.dropRequests()
	c.renewUploads()
	c.online, c.timers, c.relistDue = true, nil, false
	c.ignored = make(map[string]bool)
	c.peers = make(map[string]*peer)
	c.rosterDone, c.devicesDone, c.archiveDone = false, false, false
	c.sendBy = time.Now().Add(catchUpPatience)
	c.repeatDone = false
	c.resendBy(c.resendAfter[0])
	c.noPEP = text.Safe{}
	c.archive = archive{}
	c.lookedInto = make(map[int64]bool)
	c.mu.Lock()
	clear(c.presence)
	c.mu.Unlock()
	c.events.put(ConversationsChanged{})
	c.askRoster()
	c.askOwnDevices()
	c.catchUp()
	c.enterRooms()
	c.signalArrived()
	c.joinInSession()
	c.renewAudit()
	c.beginFollowing()
}

// askRoster asks for the contacts. Its answer also tells that everything the
// link had to say on attaching has been said.
func (c *Client) askRoster() {
	c.ask("get", "", stanza.RosterQuery(), func(e *stanza.Element, err error) {
		if err == nil {
			c.storeRoster(stanza.ReadRoster(e.Child(stanza.NSRoster, "query")))
		} else {
			c.log.Warn("roster", "err", err)
			if passing(err) {
				c.later(peerRetry, c.askRoster)
			}
		}
		c.rosterDone = true
		c.flush()
	})
}

// storeRoster replaces the contacts by those of the roster.
func (c *Client) storeRoster(items []stanza.RosterItem) {
	ok := c.update("store the roster", func(tx *store.Tx, fx *effects) error {
		old, err := tx.Contacts()
		if err != nil {
			return err
		}
		here := make(map[string]bool, len(items))
		for i := range items {
			here[items[i].JID.String()] = true
			if err := c.putContact(tx, &items[i]); err != nil {
				return err
			}
		}
		for _, peer := range old {
			if !here[peer] {
				if err := tx.RemoveContact(peer); err != nil {
					return err
				}
			}
		}
		fx.list = true
		return nil
	})
	if ok {
		c.mu.Lock()
		for i := range items {
			c.names[items[i].JID.String()] = c.signedName(items[i].JID.String(), items[i].Name)
		}
		c.mu.Unlock()
		for i := range items {
			c.heed(items[i].JID.String())
		}
	}
}

// heed asks for the device list of a contact whose list came too early.
func (c *Client) heed(peer string) {
	if c.ignored[peer] {
		delete(c.ignored, peer)
		c.askList(peer)
	}
}

func (c *Client) putContact(tx *store.Tx, item *stanza.RosterItem) error {
	peer, group := item.JID.String(), ""
	if peer == c.self {
		return nil
	}
	if len(item.Groups) > 0 {
		group = item.Groups[0]
	}
	if err := tx.PutContact(peer, bounded(c.signedName(peer, item.Name), 1024), bounded(group, 1024)); err != nil {
		return err
	}
	return tx.SetSubscription(peer, item.Subscription)
}

// bounded cuts a text that is longer than anything sensible.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return text.Line(s[:limit]).String()
}

// onPush handles a request that the relay makes: a roster push (RFC 6121
// section 2.1.6), which only the own account may send. The link has answered it.
func (c *Client) onPush(e *stanza.Element) {
	query := e.Child(stanza.NSRoster, "query")
	if query == nil {
		return
	}
	if from := e.Get("from"); from != "" {
		if j, err := jid.Parse(from); err != nil || !j.Equal(c.selfID) {
			c.log.Warn("roster push from somebody else", "from", from)
			return
		}
	}
	items := stanza.ReadRoster(query)
	if len(items) != 1 {
		return
	}
	item := &items[0]
	peer := item.JID.String()
	ok := c.update("store a contact", func(tx *store.Tx, fx *effects) error {
		fx.list = true
		if item.Subscription == "remove" {
			return tx.RemoveContact(peer)
		}
		return c.putContact(tx, item)
	})
	if !ok {
		return
	}
	if item.Subscription != "remove" {
		c.mu.Lock()
		c.names[peer] = c.signedName(peer, item.Name)
		c.mu.Unlock()
		c.heed(peer)
	}
}

// onPresence keeps the map of who is there.
func (c *Client) onPresence(e *stanza.Element) {
	if c.roomPresence(e) {
		return
	}
	p, err := stanza.ReadPresence(e)
	if err != nil {
		c.log.Warn("presence refused", "err", err)
		return
	}
	peer, resource := p.From.Bare().String(), p.From.Resourcepart()
	if peer == "" || p.Type != "" && p.Type != "unavailable" {
		return
	}
	appeared := false
	c.mu.Lock()
	all := c.presence[peer]
	switch {
	case p.Type == "unavailable" && resource == "":
		delete(c.presence, peer)
	case p.Type == "unavailable":
		delete(all, resource)
	case all == nil && len(c.presence) < maxPresences:
		all = make(map[string]Presence)
		c.presence[peer] = all
		fallthrough
	default:
		_, known := all[resource]
		appeared = !known
		if all != nil && (known || len(all) < maxResources) {
			all[resource] = Presence{Available: true, Show: p.Show, Status: text.Line(bounded(p.Status, 1024))}
		}
	}
	c.mu.Unlock()
	c.events.put(PresenceChanged{peer})
	if appeared {
		c.appear(peer)
	}
	if p.Type == "" {
		c.resendBy(c.resendAfter[0])
	}
}

// valuePublished names the stored hash of the bundle that the relay has.
const valuePublished = "omemo.published"

// askOwnDevices reads the own device list, puts this device into it, and
// publishes the bundle where the relay does not have it.
func (c *Client) askOwnDevices() {
	if c.outside() { // colleagues would be told of a device that nobody vouches for
		c.devicesDone = true
		return
	}
	c.ask("get", "", stanza.ItemsRequest(stanza.NodeDevices), func(e *stanza.Element, err error) {
		switch {
		case err == nil || condition(err) == "item-not-found":
			ids, ok := listIn(e)
			if !ok {
				c.log.Warn("own device list is malformed")
				c.sayOnce("", "The list of your own devices at the relay is damaged, and is being replaced")
			}
			c.update("store the own devices", func(tx *store.Tx, fx *effects) error {
				return c.deviceList(tx, fx, c.self, ids)
			})
			switch {
			case c.removed:
			case ok && len(ids) > 0 && !slices.Contains(ids, c.device.ID()):
				c.missing(func() { c.publish(ids) }, func() {
					c.devicesDone = true
					c.flush()
				})
				return
			default:
				c.publish(ids)
				return // publish goes on
			}
		case passing(err):
			c.log.Warn("own device list", "err", err)
			c.later(peerRetry, c.askOwnDevices)
		default:
			c.log.Warn("own device list", "err", err)
			c.withoutPEP()
		}
		c.devicesDone = true
		c.flush()
	})
}

// withoutPEP notes that the relay cannot carry keys.
func (c *Client) withoutPEP() {
	c.noPEP = lineOf("this relay has no place for encryption keys (PEP, XEP-0163), so nothing can be sent through it. Ask its administrator to turn that on")
	c.sayOnce("", "Messages cannot be encrypted: %s", c.noPEP)
}

// publish makes the relay's copy of the bundle and of the device list right.
func (c *Client) publish(listed []uint32) {
	var (
		bundle *stanza.Element
		known  []byte
	)
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		b, err := c.device.Bundle(graceKeys{tx})
		if err != nil {
			return err
		}
		bundle = b.Element()
		known, err = tx.Value(valuePublished)
		return err
	})
	if err != nil {
		c.log.Error("read the bundle", "err", err)
		c.devicesDone = true
		return
	}
	hash := sha256.Sum256(bundle.Bytes())
	id := c.device.ID()
	mine := slices.Contains(listed, id)
	done := func() {
		if mine {
			c.update("note that this device is listed", func(tx *store.Tx, _ *effects) error { return tx.SetValue(valueListed, []byte{1}) })
		}
		c.devicesDone = true
		c.flush()
	}
	list := func() {
		if mine {
			done()
			return
		}
		c.publishNode(stanza.NodeDevices, stanza.DeviceList(append(listed, id)), func(err error) {
			mine = err == nil
			c.notPublished("device list", err)
			done()
		})
	}
	if mine && string(known) == string(hash[:]) {
		list()
		return
	}
	c.publishNode(stanza.NodeBundle(id), bundle, func(err error) {
		if err != nil {
			c.notPublished("bundle", err)
			done()
			return
		}
		c.update("note the bundle", func(tx *store.Tx, _ *effects) error { return tx.SetValue(valuePublished, hash[:]) })
		list()
	})
}

// notPublished deals with keys that the relay did not take; err may be nil.
func (c *Client) notPublished(what string, err error) {
	switch {
	case err == nil:
	case passing(err):
		c.log.Warn("publish the "+what, "err", err)
		c.later(peerRetry, c.askOwnDevices)
	default:
		c.log.Warn("publish the "+what, "err", err)
		c.withoutPEP()
	}
}

// publishNode publishes the one item of a node that everybody may read. A node
// that exists with other settings is configured and published to again; a relay
// that knows no publish options is published to without, and configured after.
func (c *Client) publishNode(node string, payload *stanza.Element, done func(error)) {
	const item = "current"
	plain := func() {
		c.ask("set", "", stanza.Publish(node, item, payload), func(_ *stanza.Element, err error) {
			if err != nil {
				done(err)
				return
			}
			c.ask("set", "", stanza.Configure(node, stanza.AccessOpen()...), func(_ *stanza.Element, err error) {
				if err != nil && !passing(err) {
					c.log.Warn("open a node", "node", node, "err", err)
				}
				done(nil)
			})
		})
	}
	c.ask("set", "", stanza.Publish(node, item, payload, stanza.AccessOpen()...), func(_ *stanza.Element, err error) {
		switch {
		case err == nil || passing(err) && condition(err) == "":
			done(err)
		case pubsubCondition(err) == "precondition-not-met" || condition(err) == "conflict":
			c.ask("set", "", stanza.Configure(node, stanza.AccessOpen()...), func(_ *stanza.Element, err error) {
				if err != nil {
					c.log.Warn("open a node", "node", node, "err", err)
				}
				plain()
			})
		case pubsubCondition(err) == "unsupported", condition(err) == "bad-request":
			plain()
		default:
			done(err)
		}
	})
}

// maintain replaces prekeys that were used or are old, and publishes.
func (c *Client) maintain() {
	ok := c.update("maintain the prekeys", func(tx *store.Tx, _ *effects) error { return c.tend(tx) })
	if ok && c.online && c.devicesDone && !c.outside() && !c.removed && c.noPEP.Empty() {
		c.publish([]uint32{c.device.ID()})
	}
}

// listIn reads the device list in an answer; none if there is none. False means
// that what is there is no list.
func listIn(e *stanza.Element) (ids []uint32, ok bool) {
	items, _ := stanza.ReadItems(e, stanza.NodeDevices)
	return newestList(items)
}

// newestList reads the device list of the newest item that has one. Services
// name the newest first or last; ours is called "current", and there is one.
// False means that there are items, and none holds a list.
func newestList(items []stanza.Item) (ids []uint32, ok bool) {
	ok = len(items) == 0
	for _, it := range items {
		if l, err := stanza.ReadDeviceList(it.Payload); err == nil {
			ids, ok = l, true
			if it.ID == "current" {
				break
			}
		}
	}
	return ids, ok
}
