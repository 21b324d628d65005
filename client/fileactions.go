package client

import (
	"context"
	"errors"
	"fmt"

	"sotto/client/store"
)

// Fetch starts to download a file, or goes on where that was stopped. Nothing is
// fetched without it: whoever sends a link would learn from it where and when it
// is read. MessageChanged tells how far it is.
func (c *Client) Fetch(ctx context.Context, fileID int64) error {
	a, err := c.attachment(ctx, fileID)
	if err != nil {
		return err
	}
	key, err := readFileKey(a.Key)
	clear(a.Key)
	if err != nil {
		return fmt.Errorf("fetch the file: %w", err)
	}
	key.Wipe()
	switch {
	case a.State == store.Downloading, c.whole(a) && c.files.Size(key.name) > 0:
		return nil
	case a.URL == "":
		return errNoFile // an own one whose ciphertext is lost
	}
	m, err := c.changeFile(ctx, fileID, func(tx *store.Tx) error {
		if err := tx.SetValue(fileWhyName(fileID), nil); err != nil {
			return err
		}
		return tx.SetAttachment(fileID, store.Downloading, c.files.Size(key.name))
	})
	if err != nil {
		return fmt.Errorf("fetch the file: %w", err)
	}
	c.events.put(MessageChanged{m})
	c.wakeFiles()
	return nil
}

// changeFile changes a file and returns its message.
func (c *Client) changeFile(ctx context.Context, fileID int64, change func(tx *store.Tx) error) (m Message, err error) {
	err = c.store.Update(ctx, func(tx *store.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		m, err = messageOfFile(tx, fileID)
		return err
	})
	if errors.Is(err, store.ErrUnknown) {
		err = errNoFile
	}
	return m, err
}

func messageOfFile(tx *store.Tx, fileID int64) (Message, error) {
	a, err := tx.Attachment(fileID)
	if err != nil || a == nil {
		return Message{}, errors.Join(err, store.ErrUnknown)
	}
	clear(a.Key)
	row, err := tx.Message(a.MessageID)
	if err != nil || row == nil {
		return Message{}, errors.Join(err, store.ErrUnknown)
	}
	return messageOf(tx, row)
}

// CancelFile stops an upload or a download. The message of an upload is taken
// back: it is removed, and a Resync tells. A file that was being fetched can be
// fetched again. An error says that it is too late, or that nothing moves.
func (c *Client) CancelFile(ctx context.Context, fileID int64) error {
	if err := c.do(ctx, func(done chan<- error) { done <- c.cancelFile(fileID) }); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	return nil
}

func (c *Client) cancelFile(fileID int64) error {
	a, err := c.attachment(c.ctx, fileID)
	if err != nil {
		return err
	}
	key, ok := nameIn(a.Key)
	clear(a.Key)
	own := a.State == store.Uploading || a.State == store.Broken && a.URL == ""
	switch {
	case !ok:
		return errNoFile
	case own:
		var row *store.Message
		if err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
			row, err = tx.Message(a.MessageID)
			return err
		}); err != nil {
			return err
		}
		if row == nil {
			return errNoFile
		}
		if err := c.removeMessage(row.ID, row.OriginID); err != nil {
			return err
		}
		c.sweepFiles()
		return nil
	case a.State == store.Done && c.outgoingFile(a.MessageID):
		return errLeft
	case a.State != store.Downloading && a.State != store.Broken:
		return errors.New("this file is not being moved")
	}
	c.stopTransfer(c.mover.all[fileID])
	c.files.Remove(key)
	m, err := c.changeFile(c.ctx, fileID, func(tx *store.Tx) error {
		if err := tx.SetValue(fileWhyName(fileID), nil); err != nil {
			return err
		}
		return tx.SetAttachment(fileID, store.Offered, 0)
	})
	if err != nil {
		return err
	}
	c.events.put(MessageChanged{m})
	return nil
}

func (c *Client) outgoingFile(messageID int64) (own bool) {
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		m, err := tx.Message(messageID)
		own = m != nil && m.Outgoing
		return err
	})
	return err == nil && own
}

// uploadAgain queues the upload of a message whose file was not uploaded: then
// the message is sent after it. False if it has no such file.
func (c *Client) uploadAgain(tx *store.Tx, m *store.Message) (bool, error) {
	if !mayHaveFiles(m.Body) {
		return false, nil
	}
	list, err := tx.Attachments(m.ID)
	if err != nil {
		return false, err
	}
	again := false
	for i := range list {
		a := &list[i]
		clear(a.Key)
		if a.URL != "" {
			continue
		}
		again = true
		if err := forgetFileValues(tx, a.ID); err != nil {
			return false, err
		}
		if err := tx.SetAttachment(a.ID, store.Uploading, 0); err != nil {
			return false, err
		}
	}
	return again, nil
}
