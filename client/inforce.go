package client

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sotto/client/aesgcm"
	"sotto/client/audit"
	"sotto/client/locker"
	"sotto/client/membership"
	"sotto/client/org/policy"
	"sotto/client/store"
)

// What holds here is what the person has chosen and what the organisation says,
// whichever is stricter (package policy). It is put together once for each policy,
// and read from any goroutine.

// inForce is what holds.
type inForce struct {
	policy *policy.Policy // nil: there is none
	all    []policy.Decided
}

// held keeps what holds now.
type held struct{ atomic.Pointer[inForce] }

func (h *held) value(name string) policy.Value {
	if f := h.Load(); f != nil {
		return policy.Find(f.all, name)
	}
	return policy.Value{}
}

// PolicyChanged says that the organisation has another policy, or its first one, and
// that it is in force here.
type PolicyChanged struct {
	Serial  uint64
	Changes []string // what has changed for this person, a line each; see policy.Changes
	First   bool     // no policy was in force before: this device has just joined
}

func (PolicyChanged) event() {}

// InForce returns every setting as it holds, in the order of the settings.
func (c *Client) InForce() []policy.Decided {
	if f := c.held.Load(); f != nil {
		return f.all
	}
	return nil
}

// Policy returns the policy that is in force; nil if there is none.
func (c *Client) Policy() *policy.Policy {
	if f := c.held.Load(); f != nil {
		return f.policy
	}
	return nil
}

// decide puts together what holds under the policy of an organisation, which may be
// nil, and keeps how long texts stay. It is called in the transaction that keeps the
// policy; obey goes on after it.
func (c *Client) decide(tx *store.Tx, m *membership.Membership) (*inForce, error) {
	f := &inForce{policy: m.Policy(), all: policy.Merge(m.Policy(), c.cfg.Wishes)}
	keep := policy.Find(f.all, "retention").Duration()
	if was, err := tx.Retention(); err != nil || was == keep {
		return f, err
	}
	return f, tx.SetRetention(keep)
}

// obey has what was decided hold from now on, and tells.
func (c *Client) obey(f *inForce) {
	was := c.held.Swap(f)
	if was == nil || f.policy == nil || was.policy.At() == f.policy.At() {
		return
	}
	changes := policy.Changes(was.all, f.all)
	c.log.Info("policy in force", "serial", f.policy.Serial, "changes", len(changes))
	c.expireBy(time.Now())
	c.events.put(PolicyChanged{Serial: f.policy.Serial, Changes: changes, First: was.policy == nil})
	if c.cfg.OnPolicy != nil {
		c.cfg.OnPolicy(f.policy, f.all)
	}
}

// colleague returns nil for somebody in the organisation's own directory, and else
// why not.
func (c *Client) colleague(who string) error {
	m := c.Membership()
	if m == nil {
		return membership.ErrNoDirectory
	}
	return m.Directory().Member(who)
}

// comparedOnly says whether nothing is sent to devices that were not compared.
func (c *Client) comparedOnly() bool {
	switch c.held.value("trust").Text() {
	case "compared", "directory":
		return true
	case "first-use":
		return false
	}
	return c.cfg.ComparedOnly
}

// Why something is not done.
var (
	errNoAttachments = errors.New("files cannot be attached: your organisation's policy says so. Nothing was sent")
	errOnlyImages    = errors.New("only images can be attached: your organisation's policy says so. Nothing was sent")
)

// mayAttach says why a file is not to be attached, or returns nil.
func (c *Client) mayAttach(mediaType string) error {
	switch c.held.value("attachments").Text() {
	case "none":
		return errNoAttachments
	case "images":
		if !isImage(mediaType) {
			return errOnlyImages
		}
	}
	return nil
}

// mayTellRead reports whether authors are told that a message was read: unless the policy
// says that they are not. That it has arrived they are told always.
func (c *Client) mayTellRead() bool {
	v := c.Policy().Value("receipts")
	return !v.Set() || v.Bool()
}

// policyFile is how large a file may be, in bytes, by the policy.
func (c *Client) policyFile() int64 {
	if n := c.held.value("attachment-size").Int(); n > 0 {
		return int64(n)<<20 + aesgcm.Overhead
	}
	return locker.MaxFile
}

// Attempt is something that somebody has tried and that is not done here.
type Attempt int

// The attempts.
const (
	Copying    Attempt = iota // text, to the clipboard
	Saving                    // text or a file, outside sotto
	Forwarding                // a message, to somebody whom it must not reach
	Attaching                 // a file from somewhere it must not come from
)

// Attempted notes in the audit log that somebody tried something that is not done: with
// a message, or none (0), of a conversation, or none ("").
func (c *Client) Attempted(ctx context.Context, what Attempt, peer string, id int64) error {
	kind, ok := map[Attempt]audit.Kind{Copying: audit.CopyAttempted, Saving: audit.SaveAttempted, Forwarding: audit.ForwardAttempted, Attaching: audit.AttachAttempted}[what]
	if !ok {
		return fmt.Errorf("note an attempt: there is no attempt %d", what)
	}
	reason := audit.NotPossible
	if c.Policy() != nil {
		reason = audit.ByPolicy
	}
	return c.attempted(ctx, kind, reason, peer, id)
}

// AttemptedSize notes an attempt to attach a file of so many bytes, or more, if the
// policy is what keeps it from being sent, and not the relay.
func (c *Client) AttemptedSize(ctx context.Context, peer string, size int64) error {
	if most := c.policyFile(); most >= locker.MaxFile || size <= most-aesgcm.Overhead {
		return nil
	}
	return c.Attempted(ctx, Attaching, peer, 0)
}

func (c *Client) attempted(ctx context.Context, kind audit.Kind, reason audit.Reason, peer string, id int64) error {
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		e := audit.Event{Kind: kind, Reason: reason, Peer: audit.PersonOf(peer)}
		if id != 0 && kind != audit.AttachAttempted {
			m, err := tx.Message(id)
			if err != nil {
				return err
			}
			if m != nil {
				e.Message = idOf(m)
			}
		}
		return c.audit(tx, e)
	})
	if err != nil {
		return fmt.Errorf("note an attempt: %w", err)
	}
	return nil
}
