package client

import (
	"errors"
	"time"

	"sotto/client/aesgcm"
	"sotto/client/audit"
	"sotto/client/locker"
	"sotto/client/store"
	"sotto/client/wire"
)

// takeOffer looks whether the text of a message is the link to a file, and then
// puts the file's label in its place: the key must not be shown, found or stored
// with the text.
func (x *envelope) takeOffer(row *store.Message) {
	l, ok := aesgcm.ParseLink(row.Body)
	if !ok {
		return
	}
	x.file = &l
	row.Body = fileLabel(l.Name, l.Type, -1)
}

// keepOffer stores the file of a message that was added. Nothing is fetched.
func (c *Client) keepOffer(tx *store.Tx, x *envelope, row *store.Message) error {
	if x.file == nil {
		return nil
	}
	key := fileKey{locker.NewName(), x.file.Key}
	b := key.marshal()
	defer clear(b)
	err := addFile(tx, &store.Attachment{MessageID: row.ID, Name: x.file.Name, Type: x.file.Type, Size: -1, URL: x.file.URL, Key: b, State: store.Offered})
	if errors.Is(err, store.ErrUnknown) { // it was recalled before it came
		return nil
	}
	return err
}

// startDownload has the link fetch a file, or the rest of it.
func (c *Client) startDownload(t *transfer) {
	from := c.files.Size(t.name)
	if from >= locker.MaxFile {
		c.files.Remove(t.name)
		from = 0
	}
	t.done = from
	c.giveTransfer(t, func(id uint64) wire.Message {
		return wire.Get{ID: id, URL: t.url, From: uint64(from), Limit: locker.MaxFile}
	})
}

// noteSize stores how large a file is that is being fetched.
func (c *Client) noteSize(t *transfer) {
	c.update("note the size of a file", func(tx *store.Tx, fx *effects) error {
		if a, err := tx.Attachment(t.id); err != nil || a == nil {
			return err
		}
		if err := tx.SetAttachmentSize(t.id, max(t.size-aesgcm.Overhead, 0)); err != nil {
			return err
		}
		return c.noteFile(tx, fx, t, "")
	})
}

// downloaded checks a file that has come, beside Run: it may be large.
func (c *Client) downloaded(t *transfer) {
	if t.busy {
		return
	}
	t.busy = true
	go func() {
		err := c.check(t)
		c.call(func() {
			if t.busy = false; c.mover.all[t.id] == t {
				c.checked(t, err)
			}
		})
	}()
}

// check opens a file once, to see that all of it is as it was encrypted.
func (c *Client) check(t *transfer) error {
	a, err := c.attachment(c.ctx, t.id)
	if err != nil {
		return err
	}
	defer clear(a.Key)
	if part, err := c.files.Append(t.name, c.files.Size(t.name)); err != nil {
		return err
	} else if err := errors.Join(part.Sync(), part.Close()); err != nil {
		return err
	}
	content, err := c.open(a)
	clear(content)
	return err
}

func (c *Client) checked(t *transfer, err error) {
	switch {
	case errors.Is(err, errNoFile):
		c.stopTransfer(t)
	case errors.Is(err, aesgcm.ErrAltered) && !t.fresh && t.spoiled+1 < fetchTries:
		// It was put together from two answers: perhaps of two files.
		c.files.Remove(t.name)
		t.spoiled++
		t.retryAt = time.Now().Add(fileRetry)
	case errors.Is(err, aesgcm.ErrAltered):
		c.files.Remove(t.name)
		c.breakDownload(t, store.Broken, "It was damaged or altered on its way. Fetch it again, or ask for it again")
	case err != nil:
		c.log.Error("look at a file that has come", "err", err)
		c.breakDownload(t, store.Broken, "It cannot be kept: "+describe(err)+". Fetch it again")
	default:
		size := c.files.Size(t.name)
		c.endDownload(t, store.Done, size-aesgcm.Overhead, "")
	}
}

// downloadRefused deals with a server that does not have a file, or a file that
// is too large.
func (c *Client) downloadRefused(t *transfer, m wire.Ended) {
	switch m.Outcome {
	case wire.Missing:
		c.files.Remove(t.name)
		c.breakDownload(t, store.Lost, "It is not at the relay any more. Ask for it to be sent again")
	case wire.TooLarge:
		c.files.Remove(t.name)
		c.breakDownload(t, store.Lost, "It is larger than "+limitWords(locker.MaxFile-aesgcm.Overhead)+", which is more than sotto fetches")
	default:
		if c.files.Size(t.name) > 0 && t.refused == 0 { // perhaps of a part that is not one
			t.refused++
			c.files.Remove(t.name)
			c.tendFiles(time.Now())
			return
		}
		c.breakDownload(t, store.Broken, m.Words)
	}
}

// breakDownload ends a download that did not succeed.
func (c *Client) breakDownload(t *transfer, s store.AttachmentState, why string) {
	c.release(t, true)
	if why == "" {
		why = "It could not be fetched. Try again"
	}
	c.endDownload(t, s, -1, why)
}

// endDownload stores how a download ended; size is -1 if that is not known.
func (c *Client) endDownload(t *transfer, s store.AttachmentState, size int64, why string) {
	delete(c.mover.all, t.id)
	c.update("note a download", func(tx *store.Tx, fx *effects) error {
		a, err := tx.Attachment(t.id)
		if err != nil || a == nil {
			return err
		}
		clear(a.Key)
		if s == store.Done {
			if err := c.auditFile(tx, audit.FileReceived, a); err != nil {
				return err
			}
		}
		if err := tx.SetAttachment(t.id, s, max(size, 0)); err != nil {
			return err
		}
		if size >= 0 {
			if err := tx.SetAttachmentSize(t.id, size); err != nil {
				return err
			}
		}
		var value []byte
		if why != "" {
			value = []byte(why)
		}
		if err := tx.SetValue(fileWhyName(t.id), value); err != nil {
			return err
		}
		return fx.changedAs(tx, t.message)
	})
}
