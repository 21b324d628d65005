package client

import (
	"context"
	"errors"
	"fmt"

	"sotto/client/audit"
	"sotto/client/quote"
	"sotto/client/store"
)

// Why a message is not forwarded.
var (
	errNoForwarding = errors.New("messages cannot be forwarded: your organisation's policy says so. Nothing was sent")
	errForwardGone  = errors.New("its text is not here any more")
	errOwnWords     = errors.New("these are sotto's own words, or an earlier message's: there is nothing to forward")
)

// Forward sends what a message says to somebody else, as a quote that names its
// author, with a comment before it if there is one. A time to live goes with it: the
// copy ends when the original does. A file that is here is sent again. Where the
// policy does not allow it, or not to these people, that is noted in the audit log,
// and the error says so. Other errors are those of Send.
func (c *Client) Forward(ctx context.Context, id int64, to, comment string) (Message, error) {
	to, err := c.address(to)
	if err != nil {
		return Message{}, err
	}
	if err := c.checkForward(ctx, id, to); err != nil {
		return Message{}, err
	}
	var files []store.Attachment
	var what audit.ID
	m, err := c.compose(ctx, to, quote.Forward(c.self, "", "", comment), func(tx *store.Tx, row *store.Message) error {
		old, err := forwardable(tx, id)
		if err != nil {
			return err
		}
		when := old.Time.UTC().Format("2 Jan 2006 15:04 UTC")
		switch {
		case !old.Encrypted:
			when += ", which came unencrypted"
		case !old.Outgoing && c.untrusted(tx, old):
			when += ", from a device that is not trusted"
		}
		row.Body = quote.Forward(old.Sender, when, old.Body, comment)
		row.Expires, what = old.Expires, idOf(old)
		files, err = tx.Attachments(old.ID)
		return err
	}, func(tx *store.Tx, row *store.Message) error { return c.auditForwarded(tx, row, what) })
	if err != nil {
		return Message{}, err
	}
	for i := range files {
		clear(files[i].Key)
	}
	return m, c.forwardFiles(ctx, to, files)
}

// forwardable returns a message that can be forwarded.
func forwardable(tx *store.Tx, id int64) (*store.Message, error) {
	m, err := tx.Message(id)
	switch {
	case err != nil:
		return nil, err
	case m == nil || m.Gone != store.Here:
		return nil, declined{errForwardGone}
	case m.Kind != store.Text || m.Body == "":
		return nil, declined{errOwnWords}
	}
	return m, nil
}

// checkForward returns why a message is not forwarded, after that is in the audit log.
func (c *Client) checkForward(ctx context.Context, id int64, to string) error {
	from := ""
	err := c.store.View(ctx, func(tx *store.Tx) error {
		m, err := forwardable(tx, id)
		if err != nil {
			return err
		}
		from = m.Peer
		return c.mayForward(tx, to)
	})
	if no, ok := errors.AsType[notForwarded](err); ok {
		if err := c.attempted(ctx, audit.ForwardAttempted, no.reason, from, id); err != nil {
			return err
		}
		return no.error
	}
	if no, ok := errors.AsType[declined](err); ok {
		return no.error
	}
	if err != nil {
		return fmt.Errorf("look for the message: %w", err)
	}
	return nil
}

// forwardFiles sends the files of a message again.
func (c *Client) forwardFiles(ctx context.Context, to string, files []store.Attachment) error {
	for i := range files {
		f := &files[i]
		content, err := c.Contents(ctx, f.ID)
		if err != nil {
			return fmt.Errorf("the words are sent; %s is not: %w", f.Name, err)
		}
		if _, err := c.Attach(ctx, to, f.Name, f.Type, content, ""); err != nil {
			return fmt.Errorf("the words are sent; %s is not: %w", f.Name, err)
		}
	}
	return nil
}

// untrusted reports whether a message came from a device that is not trusted.
func (c *Client) untrusted(tx *store.Tx, m *store.Message) bool {
	x, err := messageOf(tx, m)
	return err == nil && x.Untrusted
}

// notForwarded says why somebody is not forwarded to, and why for the audit log.
type notForwarded struct {
	error
	reason audit.Reason
}

// mayForward returns nil if the policy lets messages be forwarded to peer.
func (c *Client) mayForward(tx *store.Tx, peer string) error {
	switch c.held.value("forwarding").Text() {
	case "nobody":
		return notForwarded{errNoForwarding, audit.ByPolicy}
	case "organisation":
	default:
		return nil
	}
	people := []string{peer}
	if r, err := tx.Room(peer); err != nil {
		return err
	} else if r != nil {
		members, err := tx.Members(peer)
		if err != nil {
			return err
		}
		people = nil
		for i := range members {
			people = append(people, members[i].Address)
		}
	}
	for _, who := range people {
		if who == c.self {
			continue
		}
		if err := c.colleague(who); err != nil {
			return notForwarded{fmt.Errorf("%w. Messages are forwarded inside your organisation only. Nothing was sent", err), audit.NotMember}
		}
	}
	return nil
}
