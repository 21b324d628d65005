package client

import (
	"errors"
	"maps"
	"slices"
	"time"

	"sotto/client/locker"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// How moving files is paced.
const (
	fileRetry    = 2 * time.Second // after a transfer that broke; doubled each time
	fileRetryMax = time.Minute
	fetchTries   = 6 // of a download, before it waits for the person
	slotTries    = 3 // slots that a server may reject, before the upload fails
)

// mover is what Run knows of the files that move. What is to be moved is in the
// store, too: after a start, it goes on from there.
type mover struct {
	all    map[int64]*transfer  // by attachment
	wired  map[uint64]*transfer // those the link has, by the id there
	lastID uint64

	service string // where slots are given; "" if that is not known yet
	asking  bool
	askAt   time.Time // when to look for it again
	unsure  int       // times in a row that the relay gave no answer to that
}

func newMover() mover {
	return mover{all: make(map[int64]*transfer), wired: make(map[uint64]*transfer)}
}

// transfer is a file that moves, or waits for that.
type transfer struct {
	id, message int64
	peer        string
	upload      bool
	name        locker.Name
	size        int64  // of an upload: bytes of ciphertext; of a download: 0 until the server has told
	url         string // to download from

	wire    uint64       // at the link; 0 if it does not have it
	busy    bool         // something is awaited that is not the link
	slot    *stanza.Slot // to upload to
	used    bool         // something may have been put there
	resumes bool         // the link was told so
	tries   int          // that broke
	spoiled int          // times that all of a download came and was not what was encrypted
	refused int          // slots
	retryAt time.Time

	sent, upto int64        // of an upload: bytes given to the link, and how many it wants
	part       *locker.Part // of a download
	fresh      bool         // it was begun at the first byte
	ended      *wire.Ended  // how it ended, if that could not be stored yet

	done, told int64 // bytes that were moved, and of which the screen knows
}

// moveFiles takes up what the store says is to be moved.
func (c *Client) moveFiles() {
	var list []store.Attachment
	var peers []string
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		peers = nil
		if list, err = tx.Moving(); err != nil {
			return err
		}
		for i := range list {
			m, err := tx.Message(list[i].MessageID)
			if err != nil {
				return err
			}
			peer := ""
			if m != nil {
				peer = m.Peer
			}
			peers = append(peers, peer)
		}
		return nil
	})
	if err != nil {
		c.log.Error("look for files to move", "err", err)
		return
	}
	c.announced()
	for i := range list {
		a := &list[i]
		n, ok := nameIn(a.Key)
		clear(a.Key)
		if !ok || a.State == store.Broken || c.mover.all[a.ID] != nil {
			continue
		}
		t := &transfer{id: a.ID, message: a.MessageID, peer: peers[i], upload: a.State == store.Uploading, name: n, url: a.URL, done: a.Progress, told: a.Progress}
		if t.upload {
			t.size = c.files.Size(n)
		}
		c.mover.all[a.ID] = t
	}
	c.tendFiles(time.Now())
}

// tendFiles starts what is due, the oldest first.
func (c *Client) tendFiles(now time.Time) {
	if len(c.mover.all) == 0 || !c.online {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.mover.all)) {
		t := c.mover.all[id]
		switch {
		case t == nil || t.wire != 0 || t.busy || now.Before(t.retryAt):
		case t.ended != nil:
			c.endTransfer(t, *t.ended)
		case len(c.mover.wired) >= wire.MaxTransfer:
			return
		case t.upload:
			c.startUpload(t)
		default:
			c.startDownload(t)
		}
	}
}

// fileTick does what is due, once a second.
func (c *Client) fileTick(now time.Time) {
	c.sweepFiles()
	c.tellFiles()
	if c.archive.done {
		c.findUploads(now)
	}
	c.tendFiles(now)
}

// wakeFiles has Run look at what the store says is to be moved.
func (c *Client) wakeFiles() { c.call(c.moveFiles) }

// retryFiles has everything that waits be tried now: the network is back.
func (c *Client) retryFiles() {
	if c.mover.unsure > 0 {
		c.mover.askAt, c.mover.unsure = time.Time{}, 0
	}
	for _, t := range c.mover.all {
		t.retryAt = time.Time{}
	}
	c.tendFiles(time.Now())
}

// giveTransfer hands a transfer to the link.
func (c *Client) giveTransfer(t *transfer, m func(id uint64) wire.Message) {
	c.mover.lastID++
	t.wire = c.mover.lastID
	t.sent, t.upto = 0, 0
	c.mover.wired[t.wire] = t
	c.out.send(m(t.wire))
}

// release forgets what the link has of a transfer; with cancel, the link is told.
func (c *Client) release(t *transfer, cancel bool) {
	if t.wire != 0 {
		delete(c.mover.wired, t.wire)
		if cancel {
			c.out.send(wire.Cancel{ID: t.wire})
		}
		t.wire = 0
	}
	if t.part != nil {
		t.part.Close()
		t.part = nil
	}
}

// stopTransfer ends a transfer for good; t may be nil.
func (c *Client) stopTransfer(t *transfer) {
	if t != nil {
		c.release(t, true)
		delete(c.mover.all, t.id)
	}
}

// closeFiles ends what is under way, for the end of Run.
func (c *Client) closeFiles() {
	for _, t := range c.mover.all {
		c.release(t, true)
	}
	c.sweepFiles()
}

// sweepFiles removes the ciphertexts of files that are gone from the store, and
// what moves of them.
func (c *Client) sweepFiles() {
	list := c.store.RemovedAttachments()
	if len(list) == 0 {
		return
	}
	for i := range list {
		c.stopTransfer(c.mover.all[list[i].ID])
		if n, ok := nameIn(list[i].Key); ok {
			c.files.Remove(n)
		}
		clear(list[i].Key)
	}
	c.update("forget files", func(tx *store.Tx, _ *effects) error {
		for i := range list {
			switch a, err := tx.Attachment(list[i].ID); {
			case err != nil:
				return err
			case a != nil: // its id has another file by now
				clear(a.Key)
				continue
			}
			if err := forgetFileValues(tx, list[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// tidyFiles removes ciphertexts that belong to nothing, before Run.
func (c *Client) tidyFiles(tx *store.Tx) error {
	keys, err := tx.AttachmentKeys()
	if err != nil {
		return err
	}
	known := make(map[locker.Name]bool, len(keys))
	for _, k := range keys {
		if n, ok := nameIn(k); ok {
			known[n] = true
		}
		clear(k)
	}
	c.files.Tidy(func(n locker.Name) bool { return known[n] })
	return nil
}

// fileMessage handles what the link says of a transfer; false if m is something else.
func (c *Client) fileMessage(m wire.Message) bool {
	var t *transfer
	switch m := m.(type) {
	case wire.Begin:
		if t = c.mover.wired[m.ID]; t != nil {
			c.begun(t, m)
		}
	case wire.Want:
		if t = c.mover.wired[m.ID]; t != nil {
			c.wanted(t, m)
		}
	case wire.Chunk:
		if t = c.mover.wired[m.ID]; t != nil {
			c.arrived(t, m)
		}
	case wire.Ended:
		if t = c.mover.wired[m.ID]; t != nil {
			c.release(t, false)
			c.endTransfer(t, m)
		}
	default:
		return false
	}
	return true
}

// begun takes where a transfer begins.
func (c *Client) begun(t *transfer, m wire.Begin) {
	if t.upload {
		if int64(m.Offset) > t.size || t.sent != 0 || t.upto != 0 {
			c.broken(t)
			return
		}
		if m.Offset > 0 { // what was done is not lost
			t.tries = 0
		}
		t.sent, t.upto, t.done = int64(m.Offset), int64(m.Offset), int64(m.Offset)
		return
	}
	if m.Size > locker.MaxFile {
		c.release(t, true)
		c.endTransfer(t, wire.Ended{Outcome: wire.TooLarge})
		return
	}
	part, err := c.files.Append(t.name, int64(m.Offset))
	if t.part != nil || err != nil {
		if part != nil {
			part.Close()
		}
		c.broken(t)
		return
	}
	t.part, t.fresh, t.size, t.done = part, m.Offset == 0, int64(m.Size), int64(m.Offset)
	t.upto = t.done + wire.Window
	c.out.send(wire.Want{ID: t.wire, Upto: uint64(t.upto)})
	if m.Size > 0 {
		c.noteSize(t)
	}
}

// broken ends a transfer in which the link does not keep to the rules.
func (c *Client) broken(t *transfer) {
	c.log.Warn("the link does not keep to what was asked", "upload", t.upload)
	c.release(t, true)
	c.endTransfer(t, wire.Ended{Outcome: wire.Broke})
}

// wanted gives the link what it has room for.
func (c *Client) wanted(t *transfer, m wire.Want) {
	upto := int64(m.Upto)
	if !t.upload || upto < t.upto || upto > t.sent+wire.Window {
		c.broken(t)
		return
	}
	t.upto = upto
	t.done = max(t.done, min(upto-wire.Window, t.size))
	for t.sent < min(t.upto, t.size) {
		b := make([]byte, min(wire.MaxChunk, t.upto-t.sent, t.size-t.sent))
		if n, err := c.files.ReadAt(t.name, b, t.sent); n < len(b) {
			c.log.Error("read a file that is to be uploaded", "err", err)
			c.release(t, true)
			c.failUpload(t, "Not sent: what was kept of the file is damaged. Attach it again")
			return
		}
		c.out.send(wire.Chunk{ID: t.wire, Offset: uint64(t.sent), Data: b})
		t.sent += int64(len(b))
	}
}

// arrived keeps a piece of a download.
func (c *Client) arrived(t *transfer, m wire.Chunk) {
	if t.part == nil || int64(m.Offset) != t.part.Size() || t.part.Size()+int64(len(m.Data)) > t.upto {
		c.broken(t)
		return
	}
	if err := t.part.Write(m.Data); err != nil {
		c.log.Error("keep a file", "err", err)
		c.release(t, true)
		if errors.Is(err, locker.ErrTooLarge) {
			c.endTransfer(t, wire.Ended{Outcome: wire.TooLarge})
			return
		}
		c.breakDownload(t, store.Broken, "It cannot be kept: "+describe(err)+". Make room, then fetch it again")
		return
	}
	t.done, t.tries = t.part.Size(), 0
	if t.upto-t.done <= wire.Window/2 {
		t.upto = t.done + wire.Window
		c.out.send(wire.Want{ID: t.wire, Upto: uint64(t.upto)})
	}
}

// endTransfer takes how a transfer ended, after it was released.
func (c *Client) endTransfer(t *transfer, m wire.Ended) {
	t.ended = nil
	switch {
	case m.Outcome == wire.Complete && t.upload:
		c.uploaded(t)
	case m.Outcome == wire.Complete:
		c.downloaded(t)
	case m.Outcome == wire.Broke:
		c.again(t, m.Words)
	case t.upload:
		c.uploadRefused(t, m)
	default:
		c.downloadRefused(t, m)
	}
}

// again has a transfer that broke tried again later.
func (c *Client) again(t *transfer, words string) {
	t.tries++
	if !t.upload && t.tries >= fetchTries {
		c.breakDownload(t, store.Broken, words)
		return
	}
	t.retryAt = time.Now().Add(min(fileRetry<<min(t.tries-1, 5), fileRetryMax))
	if words == "" {
		words = "the connection broke"
	}
	c.sayOfFile(t, "Waiting: "+words)
}

// sayOfFile notes why a file does not move.
func (c *Client) sayOfFile(t *transfer, why string) {
	c.update("note how a file moves", func(tx *store.Tx, fx *effects) error {
		if a, err := tx.Attachment(t.id); err != nil || a == nil {
			return err
		}
		return c.noteFile(tx, fx, t, why)
	})
}

// noteFile stores how far a file is, and why it is no further.
func (c *Client) noteFile(tx *store.Tx, fx *effects, t *transfer, why string) error {
	state := store.Downloading
	if t.upload {
		state = store.Uploading
	}
	if err := tx.SetAttachment(t.id, state, t.done); err != nil {
		return err
	}
	t.told = t.done
	var value []byte
	if why != "" {
		value = []byte(why)
	}
	if err := tx.SetValue(fileWhyName(t.id), value); err != nil {
		return err
	}
	if !t.upload {
		return fx.changedAs(tx, t.message)
	}
	if why == "" {
		why = uploadWords(t.done, t.size)
	}
	return fx.changed(tx, t.message, why)
}

// tellFiles notes how far files have come, once a second.
func (c *Client) tellFiles() {
	var moved []*transfer
	for _, t := range c.mover.all {
		if t.wire != 0 && t.done != t.told {
			moved = append(moved, t)
		}
	}
	if len(moved) == 0 {
		return
	}
	c.update("note how files move", func(tx *store.Tx, fx *effects) error {
		for _, t := range moved {
			a, err := tx.Attachment(t.id)
			if err != nil {
				return err
			}
			if a == nil {
				continue
			}
			clear(a.Key)
			if err := c.noteFile(tx, fx, t, ""); err != nil {
				return err
			}
		}
		return nil
	})
}
