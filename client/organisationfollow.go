package client

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/policy"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
)

// How an organisation is followed. Every device asks for the newest head at the start
// of each session and every few minutes, and takes it from whoever sends it: a nudge,
// after each change. Then it fetches what the head names and is not here. What does
// not come is asked for again, sooner than the next round.
const (
	followEvery  = 5 * time.Minute
	followRetry  = 10 * time.Second // doubled with each round that fails, up to followEvery
	followSoon   = 5 * time.Second  // after nudges that were too many to look at, or name what is known
	nudgeBurst   = 8                // nudges that are looked at at once
	nudgeEvery   = 2 * time.Second  // and one more so often
	maxRotations = 64               // in one round

	followPartnersEvery = 30 * time.Second // what partners show: who has left there is written to no longer than that

	clockEvery    = time.Minute // the time is kept: whoever sets the clock back gains as much
	withheldAfter = 3           // rounds until the person is told that something is held back
)

// following is how far an organisation is followed in this session.
type following struct {
	round      uint64    // that began last, of all sessions
	began      time.Time // when
	busy       bool      // it is under way
	again      bool      // and another is to follow it
	told       bool      // meanwhile somebody has sent the head that is known
	at         time.Time // of the next round; zero: none is due
	failures   int       // rounds in a row that have not brought what the head names
	nudges     int       // that were looked at, less those that are forgiven
	forgiven   time.Time
	standing   policy.Standing
	clockAt    time.Time                   // when the clock was kept
	partners   map[[sha256.Size]byte]bool  // notes about partners that were taken
	partnersAt time.Time                   // when partners are looked at next; zero: they were not yet
	looking    bool                        // they are looked at now
	stranger   time.Time                   // when somebody unknown has had the head looked at
	refusals   warnings                    // of outsiders' messages, in the audit log
	asked      map[omemo.Address]time.Time // devices unknown to the directory for which it was asked for
	early      []early                     // what they have sent of their logs
}

// beginFollowing asks for the head in a new session.
func (c *Client) beginFollowing() {
	c.following = following{standing: c.following.standing, clockAt: c.following.clockAt, round: c.following.round}
	c.mu.Lock()
	c.followed = false
	c.mu.Unlock()
	c.follow()
}

// follow begins a round, or has one follow that which is under way.
func (c *Client) follow() {
	f := &c.following
	switch {
	case c.Membership() == nil || !c.online:
		return
	case f.busy:
		f.again = true
		return
	}
	f.begin()
	f.again, f.at = false, time.Time{}
	c.fetchItem(stanza.NodeHead, stanza.ItemCurrent, func(note []byte, err error) {
		if err == nil && note == nil {
			err = fmt.Errorf("the head: %w", errWithheld)
		}
		if err != nil {
			c.roundEnded(err)
			return
		}
		c.takeHead(note, false, 0, func(err error) {
			if err != nil {
				c.roundEnded(err)
				return
			}
			c.fetchNamed()
		})
	})
}

// followTick begins the next round when it is time, and notes how this device stands.
func (c *Client) followTick(now time.Time) {
	m, f := c.Membership(), &c.following
	if m == nil {
		return
	}
	if !f.busy && !f.at.IsZero() && now.After(f.at) {
		c.follow()
	}
	c.lookAtPartners(now)
	c.tellDuty()
	if stands, _ := m.Stands(now); stands != f.standing || now.Sub(f.clockAt).Abs() >= clockEvery {
		changed := stands != f.standing
		f.standing, f.clockAt = stands, now
		c.update("keep the time", func(tx *store.Tx, _ *effects) error { return m.StoreClock(tx, now) })
		if changed {
			c.events.put(OrganisationChanged{})
		}
	}
}

// nudged takes a head that somebody has sent. Anybody can, so only so many are looked
// at; what is wrong with one is said of whoever sent it only to the log.
func (c *Client) nudged(note []byte, from string) {
	m, f := c.Membership(), &c.following
	switch {
	case m == nil:
		return
	case bytes.Equal(note, m.HeadNote()):
		f.toldAgain()
		return
	}
	now := time.Now()
	if f.forgiven.IsZero() {
		f.forgiven = now
	}
	for f.nudges > 0 && now.Sub(f.forgiven) > nudgeEvery {
		f.nudges--
		f.forgiven = f.forgiven.Add(nudgeEvery)
	}
	if f.nudges == 0 {
		f.forgiven = now
	}
	if f.nudges >= nudgeBurst {
		f.soon(now.Add(followSoon))
		return
	}
	f.nudges++
	var refused error
	ok := c.take("keep the head", func(tx *store.Tx, _ *effects) error { return m.Follow(tx, note) }, &refused)
	switch {
	case !ok:
	case refused == nil:
		c.events.put(OrganisationChanged{})
		if f.busy { // perhaps with a partner that does not answer: orders do not wait for that
			f.again = true
			c.fetchOrders(func(error) {})
			return
		}
		f.begin()
		c.fetchNamed()
	case errors.Is(refused, org.ErrFork):
		c.refused("the head", refused)
	case errors.Is(refused, org.ErrRollback): // they overtake each other
		c.log.Info("nudge ignored", "from", from, "err", refused)
	default: // or there is a new key
		c.log.Warn("nudge refused", "from", from, "err", refused)
		f.soon(now.Add(followSoon))
	}
}

// begin notes that a round begins.
func (f *following) begin() {
	f.round++
	f.busy, f.told, f.began = true, false, time.Now()
}

// toldAgain has the next round begin soon where a head is sent that is known, and what
// it names has not come: perhaps it is there now. Anybody can send one as often as
// they like, so no round begins for it sooner than followSoon after the one before.
func (f *following) toldAgain() {
	switch {
	case f.busy:
		f.told = true // if the round brings everything, that is all
	case f.failures > 0:
		f.soon(f.began.Add(followSoon))
	}
}

// soon has the next round begin at a time, or before.
func (f *following) soon(at time.Time) {
	if f.at.IsZero() || at.Before(f.at) {
		f.at = at
	}
}

// takeHead takes the head that the organisation's account shows. One that the key
// which is trusted here has not signed may be the next key's: that is looked for.
func (c *Client) takeHead(note []byte, rotated bool, rotations int, done func(error)) {
	m := c.Membership()
	before := m.HeadNote()
	var refused error
	if !c.take("keep the head", func(tx *store.Tx, _ *effects) error { return m.Follow(tx, note) }, &refused) {
		done(errNotStored)
		return
	}
	if refused == nil {
		if rotated || !bytes.Equal(before, note) {
			c.events.put(OrganisationChanged{})
		}
		done(nil)
		return
	}
	if !errors.Is(refused, org.ErrSignature) && !errors.Is(refused, org.ErrGap) || rotations >= maxRotations {
		c.refused("the head", refused)
		done(refused)
		return
	}
	c.fetchItem(stanza.NodeKeys, stanza.NumberItem(m.Anchor().Number+1), func(key []byte, err error) {
		switch {
		case err != nil:
			done(err)
			return
		case key == nil:
			c.refused("the head", refused)
			done(refused)
			return
		}
		var bad error
		ok := c.take("keep the organisation's new key", func(tx *store.Tx, fx *effects) error {
			if err := m.Rotate(tx, key); err != nil {
				return err
			}
			fx.after = append(fx.after, func() {
				c.notice("", "%s has changed its key. It was signed with the one before", m.Organisation())
			})
			return nil
		}, &bad)
		switch {
		case !ok:
			done(errNotStored)
		case bad != nil:
			c.refused("the new key", bad)
			done(bad)
		default:
			c.takeHead(note, true, rotations+1, done)
		}
	})
}

// fetchNamed fetches what the head names and is not here, each kind after the other:
// one that does not come keeps the others from nothing.
func (c *Client) fetchNamed() {
	c.fetchBy([]func(done func(error)){c.fetchOrders, c.fetchPolicy, c.fetchDirectory, c.fetchLateOrders, c.complete, c.fetchPartners})
}

// fetchBy goes through the steps of a round, and ends it. It ends early where the relay
// is gone. A step that is over only in the next session ends nothing there.
func (c *Client) fetchBy(steps []func(done func(error))) {
	round := c.following.round
	var failed error
	var next func()
	next = func() {
		switch {
		case c.following.round != round:
			return
		case len(steps) == 0:
			c.roundEnded(failed)
			return
		case !c.online:
			c.roundEnded(cmp.Or(failed, errOffline))
			return
		}
		step := steps[0]
		steps = steps[1:]
		step(func(err error) {
			failed = cmp.Or(failed, err)
			next()
		})
	}
	next()
}

// complete has the lease count from the newest head if everything that it names is
// here. What partners show of theirs is not waited for.
func (c *Client) complete(done func(error)) {
	m := c.Membership()
	before := m.Heard()
	if !c.update("keep when all was here", func(tx *store.Tx, _ *effects) error {
		_, err := m.Complete(tx)
		return err
	}) {
		done(errNotStored)
		return
	}
	if !m.Heard().Equal(before) {
		c.events.put(OrganisationChanged{})
	}
	done(nil)
}

// roundEnded notes how a round went, and when the next begins.
func (c *Client) roundEnded(err error) {
	f, m := &c.following, c.Membership()
	f.busy = false
	if m == nil {
		return
	}
	now := time.Now()
	words := text.Safe{}
	if err == nil {
		f.failures = 0
		f.soon(now.Add(followEvery))
	} else {
		c.log.Info("the organisation could not be followed", "err", err)
		f.soon(now.Add(min(followRetry<<min(f.failures, 10), followEvery)))
		f.failures++
		if f.told {
			f.toldAgain()
		}
		if errors.Is(err, org.ErrGap) && f.failures >= withheldAfter {
			words = lineOf("What %s has signed does not come from the relay: %v. Who has left may still seem to belong to it", m.Organisation(), err)
			c.sayOnce("", "%s. If it goes on, this device locks", words)
		}
	}
	c.mu.Lock()
	changed := c.withheld != words && (err == nil || !words.Empty())
	if changed {
		c.withheld = words
	}
	all := err == nil && !f.again // otherwise there is a head that this round did not begin with
	changed = changed || !c.followed && all
	c.followed = c.followed || all
	c.mu.Unlock()
	if changed {
		c.events.put(OrganisationChanged{})
	}
	c.judgeEarly()
	if f.again && c.online {
		c.follow()
	}
}

// refusalsTold bounds what is told of refused statements in a run: the kinds of them, and
// those of each order and each partner.
const refusalsTold = 1000

// refused tells of a statement that was not taken: the person once, the log each time.
func (c *Client) refused(what string, err error) {
	m := c.Membership()
	c.log.Warn("statement of the organisation refused", "what", what, "err", err)
	words := "malformed"
	for _, kind := range []error{org.ErrSignature, org.ErrRollback, org.ErrFork, org.ErrGap} {
		if errors.Is(err, kind) {
			words = kind.Error()
		}
	}
	key := what + ": " + words // none of it is the relay's
	if len(c.refusals) >= refusalsTold || c.refusals[key] {
		return
	}
	c.refusals[key] = true
	c.notice("", "%s of %s that the relay shows was refused: %v. What was known before still holds. Tell whoever runs the relay, and %s",
		strings.ToUpper(what[:1])+what[1:], m.Organisation(), err, m.Contact())
	kind := audit.DirectoryRefused
	switch {
	case strings.Contains(what, "policy"):
		kind = audit.PolicyRefused
	case strings.HasPrefix(what, "order "):
		kind = audit.OrderRefused
	}
	c.update("write the audit log", func(tx *store.Tx, _ *effects) error {
		return c.audit(tx, audit.Event{Kind: kind, Reason: reasonOf(err)})
	})
}

// reasonOf says in the words of the audit log why a statement was refused.
func reasonOf(err error) audit.Reason {
	switch {
	case errors.Is(err, org.ErrFork):
		return audit.Forked
	case errors.Is(err, org.ErrSignature):
		return audit.BadSignature
	case errors.Is(err, org.ErrRollback):
		return audit.Older
	case errors.Is(err, org.ErrGap):
		return audit.Late
	}
	return audit.Malformed
}
