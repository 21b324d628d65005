package client

import (
	"strings"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
)

// maxInvitations bounds the rooms that strangers can put into the list.
const maxInvitations = 50

// invited shows an invitation. Nothing proves who it is from: it is a line in a
// conversation, and nothing is joined until the person says so.
func (c *Client) invited(tx *store.Tx, fx *effects, inv stanza.Invitation, id string) error {
	peer := inv.Room.Bare().String()
	if r := c.rooms[peer]; r != nil && r.wanted || peer == c.self {
		return nil
	}
	by := inv.From.Bare().String()
	if by == "" {
		by = peer
	}
	if err := c.mayTalk(by); err != nil {
		c.log.Warn("invitation refused", "to", peer, "by", by, "err", err)
		return nil
	}
	person, err := c.isPerson(tx, peer)
	if err != nil {
		return err
	}
	if person || c.invitations >= maxInvitations || !c.mayWarn(peer) {
		c.log.Warn("invitation ignored", "to", peer, "by", by)
		return nil
	}
	words := c.short(by) + " (" + by + ") invites you to this room. /join accepts, /decline does not"
	if by == peer {
		words = "You are invited to this room. /join accepts, /decline does not"
	}
	if reason := text.Line(bounded(inv.Reason, 500)); !reason.Empty() {
		words += ". They write: " + reason.String()
	}
	row := store.Message{Peer: peer, Sender: by, OriginID: strings.TrimSpace("invitation " + id), Time: time.Now(), Body: text.Line(words).String(), Kind: store.Notice}
	added, err := tx.AddMessage(&row)
	if err != nil || !added {
		return err
	}
	c.invitations++
	if err := tx.SetValue(invitedName(peer), []byte{1}); err != nil {
		return err
	}
	return fx.added(tx, &row)
}

// invitedName names the note that the person is invited to a room that was never
// entered.
func invitedName(peer string) string { return "room.invited." + peer }

// onlyInvited is the error of a message to a room that was not entered yet: it
// must not go there as if it were a person.
func (c *Client) onlyInvited(tx *store.Tx, peer string) error {
	v, err := tx.Value(invitedName(peer))
	if err != nil || v == nil {
		return err
	}
	person, err := c.isPerson(tx, peer)
	if err != nil || person {
		return err
	}
	return declined{errNotIn}
}

// isPerson reports whether an address is known as a person's.
func (c *Client) isPerson(tx *store.Tx, peer string) (bool, error) {
	if r, err := tx.Room(peer); err != nil || r != nil {
		return false, err
	}
	stranger, err := isStranger(tx, peer)
	if err != nil || !stranger {
		return !stranger, err
	}
	row, err := tx.Conversation(peer)
	return err == nil && row != nil && row.Contact, err
}
