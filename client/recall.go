package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Recall takes a message back: its text leaves every sotto that has it.
//
// The element that other apps know (XEP-0424) is not encrypted: a relay could add
// it to any message. So what counts is a line of the encrypted text, which names
// the message, and ties the name to its text: a relay exchanges ids as it likes.
// It is carried out if a trusted device of the message's author wrote it; in a
// room, also if somebody did of whom the room says that they may moderate. The
// element alone hides nothing. It is told as what it is: somebody's word.

// recallMark begins the line: the mark, the origin id, a colon, the digest in hex.
const recallMark = "!recall:"

// recallText is the encrypted text of a recall.
func recallText(originID string, digest []byte, words string) string {
	return recallMark + originID + ":" + hex.EncodeToString(digest) + "\n" + words
}

// readRecall reads it.
func readRecall(body string) (originID string, digest []byte, words string, ok bool) {
	rest, ok := strings.CutPrefix(body, recallMark)
	if !ok {
		return "", nil, "", false
	}
	line, words, _ := strings.Cut(rest, "\n")
	i := strings.LastIndexByte(line, ':')
	if i <= 0 || i > stanza.MaxID {
		return "", nil, "", false
	}
	digest, err := hex.DecodeString(line[i+1:])
	if err != nil || len(digest) != len(store.Digest("", "")) {
		return "", nil, "", false
	}
	return line[:i], digest, words, true
}

// digestName names the digest of a recall that is to be sent. It does not stay:
// it would tell who guesses a short text that the guess is right.
func digestName(id int64) string { return "recall.digest." + strconv.FormatInt(id, 10) }

// recallPlaintext is what is encrypted of a recall.
func recallPlaintext(tx *store.Tx, m *store.Message) ([]byte, error) {
	digest, err := tx.Value(digestName(m.ID))
	if err != nil {
		return nil, err
	}
	return []byte(recallText(m.Reply, digest, m.Body)), nil
}

// digestOf ties a stored message to what was sent of it: its text, or the link to
// its file, which has another label on each side.
func digestOf(tx *store.Tx, m *store.Message) ([]byte, error) {
	b, err := plaintext(tx, m)
	if errors.Is(err, errUploading) {
		b, err = []byte(m.Body), nil
	}
	defer clear(b)
	return store.Digest(m.OriginID, string(b)), err
}

// Why a message cannot be taken back.
var (
	errNotText   = errors.New("this is no message that can be taken back")
	errNotYours  = errors.New("only who wrote a message can take it back")
	errIsGone    = errors.New("its text is gone already")
	errNoAddress = errors.New("the room has not shown this message yet. Try again in a moment")
)

// Recall takes back a message of a conversation: an own one, or in a room that this
// person moderates anybody's. One that has not left this computer is removed, and
// nothing is sent: then withdrawn is true. Else its text is gone here when Recall
// returns, and others are asked for the same, as soon as the relay is online; Fate
// tells on which devices it was carried out.
func (c *Client) Recall(ctx context.Context, peer string, id int64) (withdrawn bool, err error) {
	m, err := c.stored(ctx, peer, id)
	if err != nil {
		return false, fmt.Errorf("take the message back: %w", err)
	}
	if m.Outgoing && m.Kind == store.Text && m.Gone == store.Here && (m.State == store.Queued || m.State == store.Failed) {
		err := c.do(ctx, func(done chan<- error) { c.withdraw(peer, id, done) })
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, errLeft) && !errors.Is(err, errMayLeft) && !errors.Is(err, errTooMany) {
			return false, fmt.Errorf("take the message back: %w", err)
		}
	}
	// By Run, so that it is not just being encrypted.
	if err := c.do(ctx, func(done chan<- error) { done <- c.recall(peer, id) }); err != nil {
		return false, fmt.Errorf("take the message back: %w", err)
	}
	return false, nil
}

// stored returns a message of a conversation.
func (c *Client) stored(ctx context.Context, peer string, id int64) (m *store.Message, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) (err error) {
		m, err = tx.Message(id)
		return err
	})
	if err == nil && (m == nil || m.Peer != peer) {
		err = errGone
	}
	return m, err
}

func (c *Client) recall(peer string, id int64) error {
	var fx effects
	var archiveID string
	err := c.store.Update(c.ctx, func(tx *store.Tx) error {
		fx, archiveID = effects{}, ""
		m, err := tx.Message(id)
		if err != nil {
			return err
		}
		switch {
		case m == nil || m.Peer != peer:
			return errGone
		case m.Kind != store.Text:
			return errNotText
		case m.Gone != store.Here:
			return errIsGone
		}
		people, err := c.recallers(tx, m)
		if err != nil {
			return err
		}
		if !m.Outgoing {
			archiveID = m.ArchiveID
		}
		if err := c.auditRecalled(tx, m, audit.Event{Reason: audit.ByPerson}); err != nil {
			return err
		}
		digest, err := digestOf(tx, m)
		if err != nil {
			return err
		}
		if err := c.forgetText(tx, &fx, m, store.Recalling{Peer: peer, OriginID: m.OriginID, Sender: m.Sender, Author: m.Author, Time: time.Now()}, c.self); err != nil {
			return err
		}
		row := store.Message{
			Peer: peer, Outgoing: true, Sender: c.self, Device: c.device.ID(), OriginID: newID(), Time: time.Now(),
			Kind: store.Retraction, Reply: m.OriginID, State: store.Queued, Encrypted: true, Fingerprint: fingerprintBytes(c.device.Fingerprint()),
			Body: recallWords(m),
		}
		if _, err := tx.AddMessage(&row); err != nil {
			return err
		}
		if err := tx.SetValue(digestName(row.ID), digest); err != nil {
			return err
		}
		if err := tx.QueueOut(row.ID); err != nil {
			return err
		}
		if err := tx.SetRecipients(row.ID, people); err != nil {
			return err
		}
		if m.Outgoing {
			devices, err := c.hadIt(tx, m, people)
			if err != nil {
				return err
			}
			if err := tx.ExpectRecall(m.ID, devices); err != nil {
				return err
			}
		}
		if err := fx.added(tx, &row); err != nil {
			return err
		}
		fx.settled, fx.flush = append(fx.settled, m.OriginID), true
		return fx.changed(tx, m.ID, "")
	})
	if err != nil {
		return err
	}
	c.apply(&fx)
	if archiveID != "" {
		c.moderate(peer, archiveID)
	}
	return nil
}

// recallWords says it for apps that know nothing of it.
func recallWords(m *store.Message) string {
	whose := "my message"
	if !m.Outgoing {
		whose = "a message"
	}
	return "I take back " + whose + " of " + m.Time.Local().Format("15:04 on 2 January") + ". If it is still shown, please disregard and delete it."
}

// recallers checks that this person may take a message back, and returns who is
// to be told.
func (c *Client) recallers(tx *store.Tx, m *store.Message) (people []string, err error) {
	r, err := tx.Room(m.Peer)
	switch {
	case err != nil:
		return nil, err
	case r == nil && !m.Outgoing:
		return nil, errNotYours
	case r == nil:
		return []string{m.Peer}, nil
	case !r.Joined:
		return nil, errNotIn
	}
	if !m.Outgoing {
		may, err := moderates(tx, m.Peer, c.self)
		switch {
		case err != nil:
			return nil, err
		case !may:
			return nil, errNotYours
		case m.ArchiveID == "":
			return nil, errNoAddress
		}
	}
	rs, err := c.readers(tx, m.Peer)
	return rs.people, err
}

// moderates reports whether a room says that somebody may take out what others wrote.
func moderates(tx *store.Tx, room, who string) (bool, error) {
	members, err := tx.Members(room)
	return slices.ContainsFunc(members, func(x store.Member) bool {
		return x.Address == who && (x.Affiliation == string(stanza.Owner) || x.Affiliation == string(stanza.Admin))
	}), err
}

// hadIt returns the devices that an own message can have gone to.
func (c *Client) hadIt(tx *store.Tx, m *store.Message, people []string) (list []omemo.Address, err error) {
	who := slices.Clone(people)
	known, err := tx.Recipients(m.ID) // some may have left the room since
	if err != nil {
		return nil, err
	}
	for _, x := range known {
		who = append(who, x.Address)
	}
	who = append(who, c.self)
	slices.Sort(who)
	for _, jid := range slices.Compact(who) {
		devices, err := tx.Devices(jid)
		if err != nil {
			return nil, err
		}
		for _, d := range devices {
			trusted := d.Trust == store.FirstUse || d.Trust == store.Verified
			if trusted && (d.Active || d.FirstSeen.Before(m.Time)) && (jid != c.self || d.ID != c.device.ID()) {
				list = append(list, omemo.Address{JID: jid, Device: d.ID})
			}
		}
	}
	return list, nil
}

// forgetText takes a text away, here, with what quotes it.
func (c *Client) forgetText(tx *store.Tx, fx *effects, m *store.Message, r store.Recalling, by string) (err error) {
	gone := false
	if by == r.Sender {
		_, gone, err = tx.Recall(r)
	} else {
		_, gone, err = tx.RecallModerated(m.Peer, m.ArchiveID, by, r.Time)
	}
	if err != nil || !gone || m == nil {
		return err
	}
	return c.textGone(tx, fx, m)
}

// textGone deals with what else has the text of a message that is gone: files, and
// what quotes it. m is as it was before.
func (c *Client) textGone(tx *store.Tx, fx *effects, m *store.Message) error {
	if mayHaveFiles(m.Body) {
		fx.after = append(fx.after, c.sweepFiles)
	}
	ids, err := tx.RemoveQuotes(m.Peer, m.Body)
	if err != nil {
		return err
	}
	for _, id := range append(ids, m.ID) {
		if err := fx.changedAs(tx, id); err != nil {
			return err
		}
	}
	return nil
}

// takenBack carries out a recall, if row is one. What it cannot carry out becomes
// a notice that says so.
func (c *Client) takenBack(tx *store.Tx, fx *effects, x *envelope, row *store.Message) error {
	id, digest, words, ok := readRecall(row.Body)
	if !ok || !row.Encrypted || row.Kind != store.Text {
		return nil
	}
	r := store.Recalling{Peer: x.peer, OriginID: id, Sender: x.sender, Time: x.at, Digest: digest}
	m, err := tx.BySender(x.peer, id, x.sender)
	if err != nil {
		return err
	}
	if m != nil && m.Kind == store.Text && m.Gone == store.Here {
		said, err := digestOf(tx, m)
		if err != nil {
			return err
		}
		if r.Digest = nil; string(said) != string(digest) {
			r.Digest = digest // which the text is not of, either
		}
	}
	by := x.sender
	if m == nil && x.room != nil {
		if m, err = c.moderated(tx, x, id, digest); err != nil {
			return err
		}
		if m != nil {
			r.Sender, r.Author = m.Sender, m.Author
		}
	}
	stays := ""
	if row.Trust != store.FirstUse && row.Trust != store.Verified {
		stays = "from a device that is not trusted"
	} else if err = c.forgetText(tx, fx, m, r, by); errors.Is(err, store.ErrOtherText) {
		stays = "and named one with another text"
	} else if err != nil {
		return err
	}
	outcome := store.CarriedOut
	if stays != "" {
		c.log.Warn("recall not carried out", "from", x.sender, "why", stays)
		outcome = store.Refused
		if x.refused = audit.Untrusted; err != nil { // it names a message with another text
			x.refused = audit.Malformed
		}
		row.Kind, row.Body = store.Notice, c.short(x.sender)+" asked to take back a message"+ofTime(m)+" "+stays+". It stays."
	} else {
		row.Kind, row.Reply, row.Body, row.Urgency, row.Read = store.Retraction, id, words, store.Routine, !c.cfg.Unattended
		if err := c.auditRecalled(tx, &store.Message{Peer: x.peer, OriginID: id}, audit.Event{By: c.who(x.sender), Device: row.Device, Ref: audit.IDOf(x.id), Reason: audit.ByPerson}); err != nil {
			return err
		}
	}
	if err := tx.Spend(x.peer, row.Cipher); err != nil { // a repeat is known by it
		return err
	}
	if row.Trust == store.FirstUse || row.Trust == store.Verified {
		return c.oweAnswer(tx, fx, store.Answer{Device: omemo.Address{JID: x.sender, Device: row.Device}, OriginID: id, Outcome: outcome})
	}
	return nil
}

// moderated returns the message of somebody else that a moderator of a room takes
// out of it; nil if there is none, or they are no moderator.
func (c *Client) moderated(tx *store.Tx, x *envelope, id string, digest []byte) (*store.Message, error) {
	if may, err := moderates(tx, x.peer, x.sender); err != nil || !may {
		return nil, err
	}
	m, err := tx.MessageByOrigin(x.peer, id)
	if err != nil || m == nil || m.ArchiveID == "" || m.Kind != store.Text {
		return nil, err
	}
	if m.Gone != store.Here {
		return m, nil
	}
	if said, err := digestOf(tx, m); err != nil || string(said) != string(digest) {
		return nil, err
	}
	return m, nil
}

// ofTime says which message it is, for a sentence.
func ofTime(m *store.Message) string {
	if m == nil {
		return ""
	}
	return " of " + m.Time.Local().Format("15:04")
}

// moderate asks a room to take a message out for apps that know only that (XEP-0425).
// A room that does not offer it says so, and nobody is troubled with that.
func (c *Client) moderate(peer, archiveID string) {
	c.ask("set", peer, stanza.ModerateRequest(archiveID, ""), func(_ *stanza.Element, err error) {
		if err != nil {
			c.log.Info("moderation", "room", peer, "err", err)
		}
	})
}

// asksBack tells of a wish to take a message back that nobody can check: a
// retraction without an encrypted line, or a room's own word of a moderator.
func (c *Client) asksBack(tx *store.Tx, fx *effects, x *envelope, id string) error {
	m, err := tx.BySender(x.peer, id, x.sender)
	if err == nil && m == nil && x.room != nil {
		if m, err = tx.ByArchive(x.peer, id); m != nil && m.Sender != x.sender {
			m = nil
		}
	}
	if err != nil || m == nil || m.Gone != store.Here || !c.mayWarn(x.peer) {
		return err
	}
	who, were := c.short(x.sender), ""
	if were = who; x.outgoing {
		who, were = "Somebody in your name", "you"
	}
	return c.remark(tx, fx, x, "asked "+id, who+" asked to take back the message"+ofTime(m)+". Nobody can tell whether it was "+were+": it stays.")
}

// remark puts a sentence of ours into a conversation, once.
func (c *Client) remark(tx *store.Tx, fx *effects, x *envelope, name, words string) error {
	row := store.Message{Peer: x.peer, Sender: x.peer, OriginID: bounded("remark "+name, stanza.MaxID), Time: x.at, Body: lineOf("%s", words).String(), Kind: store.Notice}
	added, err := tx.AddMessage(&row)
	if err != nil || !added {
		return err
	}
	return fx.added(tx, &row)
}

// onModeration tells of a room's word that a moderator took a message out (XEP-0425).
// A relay can say that of any message, at any time: so the text stays.
func (c *Client) onModeration(tx *store.Tx, fx *effects, r *room, x stanza.Moderation, at time.Time) error {
	m, err := tx.ByArchive(r.peer, x.ID)
	if err != nil || m == nil || m.Gone != store.Here || !c.mayWarn(r.peer) {
		return err
	}
	if at.IsZero() {
		at = time.Now()
	}
	return c.remark(tx, fx, &envelope{peer: r.peer, at: at}, "moderated "+x.ID,
		"The room says that a moderator took out the message of "+m.Time.Local().Format("15:04")+". Nobody can tell whether that is so: it stays here.")
}
