package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sotto/client/audit"
	"sotto/client/stanza"
	"sotto/client/store"
)

// A device is removed by somebody at another one of the same account: first its
// bundle goes from the relay, then its place in the list. A device that misses
// itself in the list looks for its bundle. If that is there, two have written the
// list at once, or some app has made it anew, and it puts itself back. If it is
// not, it was removed, and stays so until its person says otherwise: or two
// devices would throw each other out for ever, and a stolen one would come back.

const (
	valueListed  = "omemo.listed"  // the own device was in the list, or was put there
	valueRemoved = "omemo.removed" // and was removed from it by its owner
)

// maxRelists bounds how often a device puts itself back within an hour.
const maxRelists = 6

var errRemoved = errors.New("this device was removed from your devices, on another one. Nothing is sent to it or from it. /rejoin puts it back, if that was not meant")

// RemoveDevice takes another own device off the account's list: others do not
// encrypt to it any more as soon as they have the new list, and this device does
// not even if it comes back. It waits for the relay.
func (c *Client) RemoveDevice(ctx context.Context, id uint32) error {
	if id == c.device.ID() {
		return errors.New("this is the very device that you are at. Remove it on another one")
	}
	err := c.do(ctx, func(done chan<- error) {
		fail := func(err error) bool {
			if err != nil {
				done <- err
			}
			return err != nil
		}
		if c.removed {
			done <- errRemoved
			return
		}
		c.ask("get", "", stanza.ItemsRequest(stanza.NodeDevices), func(e *stanza.Element, err error) {
			if fail(err) {
				return
			}
			ids, ok := listIn(e)
			if !ok || !slices.Contains(ids, id) {
				done <- errors.New("the list of your devices has changed. Look at it again")
				return
			}
			c.ask("set", "", stanza.DeleteNode(stanza.NodeBundle(id)), func(_ *stanza.Element, err error) {
				if condition(err) != "item-not-found" && fail(err) {
					return
				}
				ids = slices.DeleteFunc(ids, func(x uint32) bool { return x == id })
				if !slices.Contains(ids, c.device.ID()) {
					ids = append(ids, c.device.ID())
				}
				c.publishNode(stanza.NodeDevices, stanza.DeviceList(ids), func(err error) {
					if fail(err) {
						return
					}
					ok := c.update("store the own devices", func(tx *store.Tx, fx *effects) error {
						return c.dropDevice(tx, fx, id, ids)
					})
					if !ok {
						done <- errNotStored
						return
					}
					c.trustLost()
					done <- nil
				})
			})
		})
	})
	if err != nil {
		return fmt.Errorf("remove the device: %w", err)
	}
	return nil
}

// dropDevice notes that an own device was removed.
func (c *Client) dropDevice(tx *store.Tx, fx *effects, id uint32, ids []uint32) error {
	devices, err := tx.Devices(c.self)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if d.ID == id {
			d.Trust = store.Distrusted
			if err := c.auditTrust(tx, &d, audit.Removed); err != nil {
				return err
			}
			if err := tx.PutDevice(d); err != nil {
				return err
			}
		}
	}
	return c.deviceList(tx, fx, c.self, ids)
}

// Rejoin puts this device back into the account's list after it was removed there.
func (c *Client) Rejoin(ctx context.Context) error {
	err := c.do(ctx, func(done chan<- error) {
		if !c.removed {
			done <- errors.New("it is in the list of your devices already")
			return
		}
		if !c.update("note that this device is back", func(tx *store.Tx, fx *effects) error {
			if err := tx.SetValue(valueRemoved, nil); err != nil {
				return err
			}
			if err := tx.SetValue(valueListed, nil); err != nil { // as if it had never been there
				return err
			}
			return tx.SetValue(valuePublished, nil)
		}) {
			done <- errNotStored
			return
		}
		c.setRemoved(false)
		c.askOwnDevices()
		done <- nil
	})
	if err != nil {
		return fmt.Errorf("put the device back: %w", err)
	}
	return nil
}

// readRemoved reads, at the start, whether this device was removed.
func (c *Client) readRemoved(tx *store.Tx) error {
	v, err := tx.Value(valueRemoved)
	c.removed = v != nil
	return err
}

func (c *Client) setRemoved(is bool) {
	c.mu.Lock()
	c.removed = is
	c.mu.Unlock()
	c.events.put(DevicesChanged{c.self})
	c.flush()
}

// isRemoved is for queries.
func (c *Client) isRemoved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removed
}

// relistSoon looks at the own device list, not too often.
func (c *Client) relistSoon() {
	wait := askAgain - time.Since(c.relistAt)
	if wait <= 0 {
		c.relistAt = time.Now()
		c.askOwnDevices()
		return
	}
	if c.relistDue {
		return
	}
	c.relistDue = true
	c.later(wait, func() {
		c.relistDue, c.relistAt = false, time.Now()
		c.askOwnDevices()
	})
}

// missing is called where the own list has others and not this device, with how to
// go on if it is to be put back.
func (c *Client) missing(putBack, leave func()) {
	was := false
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		v, err := tx.Value(valueListed)
		was = v != nil
		return err
	})
	if err != nil || !was {
		putBack()
		return
	}
	node := stanza.NodeBundle(c.device.ID())
	c.ask("get", "", stanza.ItemsRequest(node), func(e *stanza.Element, err error) {
		items, _ := stanza.ReadItems(e, node)
		switch {
		case condition(err) == "item-not-found" || err == nil && len(items) == 0:
			c.wasRemoved()
			leave()
		case err != nil:
			c.later(peerRetry, c.askOwnDevices)
			leave()
		case !c.mayRelist(time.Now()):
			c.sayOnce("", "Another app takes this device off the list of your devices again and again. Nothing that is written to you may reach it: look at /devices on the other one")
			leave()
		default:
			putBack()
		}
	})
}

// mayRelist counts how often this device puts itself back.
func (c *Client) mayRelist(now time.Time) bool {
	if now.Sub(c.relists.since) > time.Hour {
		c.relists = warnings{since: now}
	}
	c.relists.n++
	return c.relists.n <= maxRelists
}

// wasRemoved notes that the owner has removed this device, and says so.
func (c *Client) wasRemoved() {
	c.log.Warn("this device was removed from the account")
	if !c.update("note that this device was removed", func(tx *store.Tx, fx *effects) error {
		if err := tx.SetValue(valueRemoved, []byte{1}); err != nil {
			return err
		}
		return c.warn(tx, fx, c.self, "This device was removed from your devices, on another one. Nothing is sent to it or from it. /rejoin puts it back, if that was not meant")
	}) {
		return
	}
	c.setRemoved(true)
}

// trustLost has what is encrypted and has not left this computer encrypted anew: it
// may be for a device that the person has refused since.
func (c *Client) trustLost() {
	c.update("encrypt anew what waits", func(tx *store.Tx, _ *effects) error {
		list, err := tx.OutboxHead()
		if err != nil {
			return err
		}
		for i := range list {
			o := c.outs[list[i].OriginID]
			_, given := c.window.given[list[i].OriginID]
			if !list[i].Encrypted || given || !c.window.known || o == nil || o.handed || !o.settled.IsZero() {
				continue
			}
			if err := tx.SetOut(list[i].MessageID, nil); err != nil {
				return err
			}
		}
		return nil
	})
	c.retry()
}
