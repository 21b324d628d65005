package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sotto/client/store"
)

// Query says what to look for in all that is stored. What is empty does not narrow
// it; see store.Search for how Text is read.
type Query struct {
	Text   string
	Peer   string    // the conversation: a bare JID
	Sender string    // a bare JID; the own one for what was written here
	Urgent int       // store.Urgent or store.Stat: at least so urgent
	From   time.Time // the first instant
	Until  time.Time // the first instant after
	After  store.Cursor
	Limit  int // messages on a page
}

// Hit is a message that was found, and where in its body the words stand.
type Hit struct {
	Message
	Spans []store.Span // in bytes of Body.String()
}

// Found is one page of what was found, the newest first.
type Found struct {
	Hits []Hit
	Next store.Cursor // the After of the next page
	More bool         // there is, or may be, a next page, however few this one has
}

// searchTurn bounds how long a search keeps others from the store; then it gives
// back what it has.
const searchTurn = 40 * time.Millisecond

// Search returns a page of the messages that hold what is looked for. It never
// keeps others from the store for long: a page may be short, or empty, with more
// to come.
func (c *Client) Search(ctx context.Context, q Query) (Found, error) {
	var f Found
	words := store.NewMatcher(q.Text)
	err := c.store.View(ctx, func(tx *store.Tx) error {
		f = Found{}
		rows, next, more, err := tx.Search(store.Search{
			Text: q.Text, Peer: q.Peer, Sender: q.Sender, Urgent: q.Urgent, From: q.From, Until: q.Until,
			After: q.After, Limit: q.Limit, Budget: searchTurn,
		})
		if err != nil {
			return err
		}
		f.Next, f.More = next, more
		for i := range rows {
			m, err := messageOf(tx, &rows[i])
			if err != nil {
				return err
			}
			f.Hits = append(f.Hits, Hit{m, words.Spans(m.Body.String())})
		}
		return nil
	})
	if err != nil {
		return f, fmt.Errorf("search: %w", err)
	}
	c.searched(q, len(f.Hits))
	return f, nil
}

// Part is a part of a conversation, in the order of places.
type Part struct {
	Messages []Message
	Older    bool // there are messages before it
	Below    int  // how many stand after it, at most MaxBelow
	Stats    int  // and how many of those others have sent as STAT
}

// MaxBelow is as far as messages after a part are counted.
const MaxBelow = 10000

// ErrNotHere says that a message is not in the conversation, or not any more.
var ErrNotHere = errors.New("this message is not here any more")

// Around returns the part of a conversation with the message id in its midst: up
// to half of limit before it and half from it on.
func (c *Client) Around(ctx context.Context, peer string, id int64, limit int) (Part, error) {
	half := max(limit/2, 1)
	return c.part(ctx, peer, func(tx *store.Tx) ([]store.Message, bool, error) {
		rows, err := tx.Around(peer, id, half+1, max(limit-half-1, 0))
		if err == nil && len(rows) == 0 {
			err = ErrNotHere
		}
		before := slices.IndexFunc(rows, func(m store.Message) bool { return m.ID == id })
		if older := before > half; older {
			return rows[1:], true, err
		}
		return rows, false, err
	})
}

// After returns up to limit messages of a conversation that stand after the one
// with the id after.
func (c *Client) After(ctx context.Context, peer string, after int64, limit int) (Part, error) {
	return c.part(ctx, peer, func(tx *store.Tx) ([]store.Message, bool, error) {
		rows, err := tx.MessagesAfter(peer, after, limit)
		return rows, true, err
	})
}

func (c *Client) part(ctx context.Context, peer string, read func(*store.Tx) ([]store.Message, bool, error)) (Part, error) {
	var p Part
	err := c.store.View(ctx, func(tx *store.Tx) error {
		p = Part{}
		rows, older, err := read(tx)
		if err != nil {
			return err
		}
		p.Older = older
		for i := range rows {
			m, err := messageOf(tx, &rows[i])
			if err != nil {
				return err
			}
			p.Messages = append(p.Messages, m)
		}
		if len(rows) > 0 {
			p.Below, p.Stats, err = tx.Below(peer, rows[len(rows)-1].ID, MaxBelow)
		}
		return err
	})
	if err != nil {
		return p, fmt.Errorf("read the messages: %w", err)
	}
	return p, nil
}

// FirstUnread returns the id of the message at which what is unread begins in a
// conversation: with urgent, of the first unread one that is STAT; 0 if there is
// none.
func (c *Client) FirstUnread(ctx context.Context, peer string, urgent bool) (id int64, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) (err error) {
		if urgent {
			id, err = tx.FirstUrgent(peer)
			return err
		}
		id, err = tx.FirstUnread(peer)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read the messages: %w", err)
	}
	return id, nil
}

// Waiting is a message that waits for this person, and why.
type Waiting struct {
	Message
	Reason store.Reason
}

// maxInbox bounds what the inbox shows.
const maxInbox = 200

// Inbox returns what waits for this person; see store.Inbox for what that is, and
// in which order. A message is gone from it once it is dealt with.
func (c *Client) Inbox(ctx context.Context) ([]Waiting, error) {
	var list []Waiting
	err := c.store.View(ctx, func(tx *store.Tx) error {
		list = nil
		me := store.Me{Names: []string{c.selfID.Localpart()}}
		rooms, err := tx.Rooms()
		if err != nil {
			return err
		}
		for _, r := range rooms {
			if r.Nick != "" && !slices.Contains(me.Names, r.Nick) {
				me.Names = append(me.Names, r.Nick)
			}
		}
		if me.Roles, err = roles(tx); err != nil {
			return err
		}
		rows, err := tx.Inbox(me, time.Now(), maxInbox)
		for i := range rows {
			row := &rows[i].Message
			if row, err = lineFor(tx, row); err == nil && row == nil {
				continue
			}
			var m Message
			if err == nil {
				m, err = messageOf(tx, row)
			}
			if err != nil {
				break
			}
			list = append(list, Waiting{m, rows[i].Reason})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the inbox: %w", err)
	}
	return list, nil
}

// Dismiss takes a message out of the inbox that is not urgent.
func (c *Client) Dismiss(ctx context.Context, id int64) error {
	if err := c.store.Update(ctx, func(tx *store.Tx) error { return tx.Dismiss(id) }); err != nil {
		return fmt.Errorf("take it out of the inbox: %w", err)
	}
	c.events.put(ConversationsChanged{})
	return nil
}

// valueRoles names the stored roles of this person.
const valueRoles = "roles"

// Bounds of roles: how many, and the bytes of one.
const maxRoles, maxRole = 16, 64

func roles(tx *store.Tx) ([]string, error) {
	b, err := tx.Value(valueRoles)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return strings.Split(string(b), "\n"), nil
}

// Roles returns the roles of this person: @role/cardiology is written to whoever
// has the role cardiology.
func (c *Client) Roles(ctx context.Context) (list []string, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) (err error) {
		list, err = roles(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the roles: %w", err)
	}
	return list, nil
}

// SetRole gives this person a role, or takes it away.
func (c *Client) SetRole(ctx context.Context, role string, has bool) error {
	marks := store.Marks("@role/" + role)
	if len(marks) != 1 || marks[0].Value != strings.ToLower(role) || len(role) > maxRole {
		return errors.New("a role is one word, such as cardiology")
	}
	role = marks[0].Value
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		list, err := roles(tx)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(r string) bool { return r == role })
		if has {
			list = append(list, role)
		}
		if len(list) > maxRoles {
			return fmt.Errorf("nobody has more than %d roles", maxRoles)
		}
		return tx.SetValue(valueRoles, []byte(strings.Join(list, "\n")))
	})
	if err != nil {
		return fmt.Errorf("change the roles: %w", err)
	}
	c.events.put(ConversationsChanged{})
	return nil
}
