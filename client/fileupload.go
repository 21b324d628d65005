package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/aesgcm"
	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// How often a relay is asked again that takes no files, or does not say.
const (
	serviceRetry = 10 * time.Minute
	unsureRetry  = time.Minute // at most: it begins with fileRetry, and doubles
)

// findUploads looks for where the relay takes files (XEP-0363 section 4), if
// that is not known.
func (c *Client) findUploads(now time.Time) {
	m := &c.mover
	if m.asking || m.service != "" || now.Before(m.askAt) || !c.online {
		return
	}
	m.asking = true
	session := c.session
	left, sure := 1, true
	one := func() {
		if left--; left > 0 || session != c.session {
			return
		}
		m.asking = false
		if m.askAt = now.Add(serviceRetry); !sure && m.service == "" {
			m.askAt = time.Now().Add(min(fileRetry<<min(m.unsure, 5), unsureRetry))
			m.unsure++
			for _, t := range c.mover.all {
				if t.upload && t.wire == 0 && t.slot == nil {
					c.sayOfFile(t, "Waiting: the relay does not say where it takes files. It is asked again")
				}
			}
			return
		}
		m.unsure = 0
		c.mu.Lock()
		c.noUpload = m.service == ""
		c.mu.Unlock()
		c.tendFiles(time.Now())
	}
	look := func(e *stanza.Element, err error, who string) {
		sure = sure && (err == nil || !passing(err))
		if err != nil || m.service != "" {
			return
		}
		limit, ok := stanza.ReadUploadLimit(e)
		if !ok {
			return
		}
		m.service = who
		c.learnLimit(limit)
	}
	domain := c.selfID.Domainpart()
	left++
	c.ask("get", domain, stanza.InfoQuery(""), func(e *stanza.Element, err error) {
		look(e, err, domain)
		one()
	})
	c.ask("get", domain, stanza.ItemsQuery(""), func(e *stanza.Element, err error) {
		var items []stanza.DiscoItem
		if err == nil {
			items, err = stanza.ReadDiscoItems(e)
		}
		sure = sure && (err == nil || !passing(err))
		for _, i := range items[:min(len(items), maxServices)] {
			j, err := jid.Parse(i.JID)
			if err != nil || j.Localpart() != "" || j.String() == domain {
				continue
			}
			left++
			c.ask("get", j.String(), stanza.InfoQuery(""), func(e *stanza.Element, err error) {
				look(e, err, j.String())
				one()
			})
		}
		one()
	})
}

// learnLimit takes how large a file the relay says it takes; 0 if it does not.
func (c *Client) learnLimit(limit int64) {
	c.mu.Lock()
	c.relayFile, c.noUpload = max(limit, 0), false
	c.mu.Unlock()
}

// renewUploads begins anew in a new session, in which the relay may be another.
func (c *Client) renewUploads() {
	c.mover.service, c.mover.asking, c.mover.askAt, c.mover.unsure = "", false, time.Time{}, 0
	for _, t := range c.mover.all {
		t.busy = t.busy && !t.upload // what was asked for comes no more
	}
}

// startUpload brings an upload one step further.
func (c *Client) startUpload(t *transfer) {
	switch {
	case t.size <= aesgcm.Overhead:
		c.failUpload(t, "Not sent: what was kept of the file is gone. Attach it again")
		return
	case t.slot == nil && !t.used:
		t.slot, t.used = c.keptSlot(t.id), true
	}
	if t.slot == nil {
		c.askSlot(t)
		return
	}
	t.resumes, t.used = t.used, true
	c.giveTransfer(t, func(id uint64) wire.Message {
		m := wire.Put{ID: id, URL: t.slot.Put, Type: aesgcm.Unknown, Size: uint64(t.size), Resume: t.resumes}
		for _, h := range t.slot.Headers {
			m.Headers = append(m.Headers, wire.Header{Name: h.Name, Value: h.Value})
		}
		return m
	})
}

// keptSlot returns the slot that an upload had before a start.
func (c *Client) keptSlot(id int64) *stanza.Slot {
	var b []byte
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		b, err = tx.Value(fileSlotName(id))
		return err
	})
	var s stanza.Slot
	if err != nil || b == nil || json.Unmarshal(b, &s) != nil {
		return nil
	}
	return &s
}

// askSlot asks the relay where to put a file.
func (c *Client) askSlot(t *transfer) {
	c.mu.Lock()
	none := c.noUpload
	c.mu.Unlock()
	switch {
	case c.mover.service == "" && none:
		c.failUpload(t, "Not sent: "+errNoUpload.Error())
		return
	case c.mover.service == "":
		c.findUploads(time.Now())
		return
	}
	name, err := c.hiddenName(t.id)
	if err != nil {
		c.log.Error("look at a file that is to be uploaded", "err", err)
		t.retryAt = time.Now().Add(fileRetry)
		return
	}
	t.busy = true
	r := stanza.UploadRequest{Name: name, Size: t.size, Type: aesgcm.Unknown}
	c.ask("get", c.mover.service, r.Element(), func(e *stanza.Element, err error) {
		if c.mover.all[t.id] != t {
			return
		}
		t.busy = false
		var slot stanza.Slot
		if err == nil {
			slot, err = stanza.ReadSlot(e)
		}
		if err != nil {
			c.noSlot(t, err)
			return
		}
		b, err := json.Marshal(slot)
		if err != nil {
			c.noSlot(t, err)
			return
		}
		c.update("keep an upload slot", func(tx *store.Tx, _ *effects) error { return tx.SetValue(fileSlotName(t.id), b) })
		t.slot, t.used = &slot, false
		c.tendFiles(time.Now())
	})
}

// hiddenName is what a file is called in its URL.
func (c *Client) hiddenName(id int64) (string, error) {
	a, err := c.attachment(c.ctx, id)
	if err != nil {
		return "", err
	}
	defer clear(a.Key)
	key, err := readFileKey(a.Key)
	if err != nil {
		return "", err
	}
	defer key.Wipe()
	return key.HideName(a.Name)
}

// noSlot deals with a relay that gives no slot.
func (c *Client) noSlot(t *transfer, err error) {
	if passing(err) && condition(err) != "resource-constraint" {
		c.again(t, describe(err))
		return
	}
	words := describe(err)
	if e, ok := errors.AsType[*stanza.StanzaError](err); ok {
		limit, retry := e.UploadRefusal()
		switch {
		case limit > 0:
			c.learnLimit(limit)
			words = c.tooLarge(c.nameOfFile(t.id), t.size-aesgcm.Overhead).Error()
		case condition(err) == "resource-constraint" && !retry.IsZero() && time.Until(retry) > 0:
			words = "your files take as much room as the relay allows. It has room again on " + retry.Local().Format("2 January, 15:04")
		case condition(err) == "resource-constraint":
			words = "the relay has no room for this file now. Send it again later"
		case condition(err) == "forbidden", condition(err) == "not-allowed":
			words = "the relay does not allow you to upload files. Ask its administrator"
		}
	}
	c.failUpload(t, "Not sent: "+words)
}

func (c *Client) nameOfFile(id int64) string {
	a, err := c.attachment(c.ctx, id)
	if err != nil {
		return "the file"
	}
	clear(a.Key)
	return a.Name
}

// uploadRefused deals with a server that does not want a file in its slot: in a
// slot that was not used yet, it may.
func (c *Client) uploadRefused(t *transfer, m wire.Ended) {
	if !t.resumes { // going on is more than most servers can
		t.refused++
	}
	if m.Outcome == wire.TooLarge || t.refused > slotTries {
		words := m.Words
		if words == "" {
			words = "the relay did not take the file"
		}
		c.failUpload(t, "Not sent: "+words)
		return
	}
	c.log.Info("another upload slot is needed", "outcome", m.Outcome)
	t.slot, t.used, t.done, t.retryAt = nil, true, 0, time.Time{}
	if !t.resumes {
		t.retryAt = time.Now().Add(fileRetry << (t.refused - 1))
	}
	c.tendFiles(time.Now())
}

// uploaded sends the message of a file that is there now.
func (c *Client) uploaded(t *transfer) {
	again := func() {
		t.ended = &wire.Ended{Outcome: wire.Complete}
		t.retryAt = time.Now().Add(storeRetry)
	}
	if t.slot == nil {
		c.again(t, "")
		return
	}
	ok := c.update("note an upload", func(tx *store.Tx, fx *effects) error {
		a, err := tx.Attachment(t.id)
		if err != nil || a == nil {
			return err
		}
		defer clear(a.Key)
		row, err := tx.Message(a.MessageID)
		if err != nil || row == nil {
			return err
		}
		if err := tx.SetAttachmentURL(t.id, t.slot.Get); err != nil {
			return err
		}
		if err := tx.SetAttachment(t.id, store.Done, t.size); err != nil {
			return err
		}
		if err := forgetFileValues(tx, t.id); err != nil {
			return err
		}
		if row.State != store.Queued {
			return fx.changedAs(tx, row.ID)
		}
		if err := tx.QueueOut(row.ID); err != nil {
			return err
		}
		// The recipient gets it after what was sent meanwhile: so it stands here, too.
		moved, err := tx.MoveToEnd(row.ID)
		if err != nil {
			return err
		}
		if moved {
			fx.events = append(fx.events, Resync{})
		}
		fx.flush = true
		return fx.changed(tx, row.ID, "")
	})
	if !ok {
		again()
		return
	}
	delete(c.mover.all, t.id)
}

// failUpload ends an upload for good: the person can send it again, or take it back.
func (c *Client) failUpload(t *transfer, why string) {
	c.release(t, true)
	delete(c.mover.all, t.id)
	c.update("note an upload that failed", func(tx *store.Tx, fx *effects) error {
		a, err := tx.Attachment(t.id)
		if err != nil || a == nil {
			return err
		}
		clear(a.Key)
		row, err := tx.Message(a.MessageID)
		if err != nil || row == nil {
			return err
		}
		if err := forgetFileValues(tx, t.id); err != nil {
			return err
		}
		if err := tx.SetAttachment(t.id, store.Broken, 0); err != nil {
			return err
		}
		return c.failed(tx, fx, row, audit.GivenUp, why)
	})
}

// errUploading is why the text of a file's message cannot be made.
var errUploading = errors.New("its file is not uploaded")

// encryptText encrypts what a message says.
func (c *Client) encryptText(tx *store.Tx, to []omemo.Address, m *store.Message) (*stanza.Element, error) {
	b, err := plaintext(tx, m)
	if err != nil {
		return nil, err
	}
	b = withLifespan(b, m, time.Now())
	defer clear(b)
	return c.device.Encrypt(tx, to, b)
}

// plaintext is what is encrypted of a message: its text, or the link to its file
// (XEP-0454 section 3). The caller clears it.
func plaintext(tx *store.Tx, m *store.Message) ([]byte, error) {
	if m.Kind == store.Retraction {
		return recallPlaintext(tx, m)
	}
	if !mayHaveFiles(m.Body) {
		return []byte(m.Body), nil
	}
	list, err := tx.Attachments(m.ID)
	if err != nil || len(list) == 0 {
		return []byte(m.Body), err
	}
	a := &list[0]
	defer clear(a.Key)
	if a.URL == "" {
		return nil, errUploading
	}
	key, err := readFileKey(a.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUploading, err)
	}
	defer key.Wipe()
	link, err := key.Link(a.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUploading, err)
	}
	return []byte(link), nil
}
