package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"sotto/client/aesgcm"
	"sotto/client/audit"
	"sotto/client/locker"
	"sotto/client/store"
	"sotto/client/text"
)

// File is a file that belongs to a message, fit for a screen.
type File struct {
	ID    int64
	Name  text.Safe // never empty
	Type  string    // media type, as the name's ending says
	Size  int64     // bytes; -1 if it is not known before it was fetched
	Image bool      // Type is that of a picture
	State store.AttachmentState
	Done  int64     // bytes moved, while State is store.Uploading or store.Downloading
	Why   text.Safe // why it does not move, or cannot be had; else ""
	Host  text.Safe // the computer that it is fetched from; "" for what is not uploaded yet
}

// fileKey is what the store keeps as an attachment's key: what the file is called
// in the locker, and what it is encrypted with.
type fileKey struct {
	name locker.Name
	*aesgcm.Key
}

func (k fileKey) marshal() []byte {
	b := k.Bytes()
	defer clear(b)
	return append(k.name[:], b...)
}

// nameIn returns what a stored key's file is called; false if it is no such key.
func nameIn(b []byte) (n locker.Name, ok bool) { return n, copy(n[:], b) == len(n) }

func readFileKey(b []byte) (fileKey, error) {
	n, ok := nameIn(b)
	if !ok {
		return fileKey{}, aesgcm.ErrKey
	}
	k, err := aesgcm.ReadKey(b[len(n):])
	return fileKey{n, k}, err
}

// Names of values about a file.
func fileWhyName(id int64) string  { return "file.why." + strconv.FormatInt(id, 10) }
func fileSlotName(id int64) string { return "file.slot." + strconv.FormatInt(id, 10) }

// isImage reports whether a media type is that of a picture.
func isImage(mediaType string) bool { return strings.HasPrefix(mediaType, "image/") }

// fileLabel is the text of a message that is a file: for the list, the search,
// and screens that show no files. What it is encrypted with is not in it.
func fileLabel(name, mediaType string, size int64) string {
	kind := "[file] "
	if isImage(mediaType) {
		kind = "[image] "
	}
	if size < 0 {
		return kind + name
	}
	return kind + name + " " + sizeWords(size)
}

// mayHaveFiles reports whether a message's text is a fileLabel.
func mayHaveFiles(body string) bool { return strings.HasPrefix(body, "[") }

// sizeWords says how large something is: "212 kB", "1.4 MB".
func sizeWords(n int64) string {
	switch {
	case n < 1000:
		return count(int(n), "byte")
	case n < 999_500:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	case n < 9_950_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", (n+500_000)/1_000_000)
}

// filesOf returns the files of a message.
func filesOf(tx *store.Tx, r *store.Message) ([]File, error) {
	if r.Kind != store.Text || !mayHaveFiles(r.Body) {
		return nil, nil
	}
	rows, err := tx.Attachments(r.ID)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	list := make([]File, len(rows))
	for i := range rows {
		a := &rows[i]
		why, err := tx.Value(fileWhyName(a.ID))
		if err != nil {
			return nil, err
		}
		list[i] = File{ID: a.ID, Name: text.Line(a.Name), Type: a.Type, Size: a.Size, Image: isImage(a.Type), State: a.State,
			Done: a.Progress, Why: text.Line(string(why)), Host: text.Line(hostOf(a.URL))}
	}
	return list, nil
}

// hostOf returns the host of a URL that was checked before.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// MaxFile returns how large a file may be, in bytes: what the relay takes as far
// as that is known, and no more than is kept here.
func (c *Client) MaxFile() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.maxFile()
}

func (c *Client) maxFile() int64 {
	limit := min(locker.MaxFile, c.policyFile())
	if c.relayFile > 0 {
		limit = min(limit, c.relayFile)
	}
	return limit - aesgcm.Overhead
}

// errNoUpload is why nothing can be attached.
var errNoUpload = errors.New("this relay takes no files. Ask its administrator to turn on file upload (XEP-0363)")

// tooLarge says that a file is beyond what the relay takes, or what is kept here.
func (c *Client) tooLarge(name string, size int64) error {
	c.mu.Lock()
	limit, relay := c.maxFile(), c.relayFile
	c.mu.Unlock()
	of := "This relay takes files up to"
	if own := min(locker.MaxFile, c.policyFile()); relay <= 0 || relay > own {
		of = "Files can have up to"
		if own < locker.MaxFile {
			of = "Your organisation lets files have up to"
		}
	}
	is, most := sizeWords(size), limitWords(limit)
	if is == most { // by a little
		is, most = count(int(size), "byte"), count(int(limit), "byte")
	}
	return errors.New(text.Line(fmt.Sprintf("%s is %s. %s %s", name, is, of, most)).String())
}

// limitWords is sizeWords for a limit, which is not rounded up.
func limitWords(n int64) string {
	n += aesgcm.Overhead
	if n >= 1_000_000 {
		return fmt.Sprintf("%d MB", n/1_000_000)
	}
	return fmt.Sprintf("%d kB", n/1000)
}

// fileName makes a name fit to be stored and sent: the last part of a path.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, "\ufffd"), `\`, "/"))
	name = strings.TrimSpace(text.Line(name).String())
	if name == "" || name == "." || name == "/" {
		return "file"
	}
	for ext := path.Ext(name); len(name) > aesgcm.MaxName; {
		if len(ext) > 16 {
			ext = ""
		}
		name = strings.ToValidUTF8(name[:aesgcm.MaxName-len(ext)], "") + ext
	}
	return name
}

// Attach encrypts a file for peer, keeps it, and queues its upload; it returns the
// message, which is sent once the file is uploaded. Until then it is Queued, and
// Why says how far the upload has come. The content, from which the caller has
// removed what must not be sent with it, is taken over: it is overwritten,
// whatever comes of this. mediaType may be "": it follows from the name then. A
// caption is sent at once, as a message of its own, because words must not wait
// for a picture. Errors are those of Send, or say in words why there is no file.
func (c *Client) Attach(ctx context.Context, peer, name, mediaType string, content []byte, caption string) (Message, error) {
	defer clear(content)
	peer, err := c.address(peer)
	if err != nil {
		return Message{}, err
	}
	name = fileName(name)
	if mediaType == "" || len(mediaType) > 100 || text.Line(mediaType).String() != mediaType {
		mediaType = aesgcm.TypeOf(name)
	}
	size := int64(len(content))
	c.mu.Lock()
	none := c.noUpload
	c.mu.Unlock()
	if err := c.mayAttach(mediaType); err != nil {
		if noted := c.Attempted(ctx, Attaching, peer, 0); noted != nil {
			return Message{}, noted
		}
		return Message{}, err
	}
	switch {
	case size == 0:
		return Message{}, fmt.Errorf("%s is empty: there is nothing to send", name)
	case size > c.MaxFile():
		if noted := c.AttemptedSize(ctx, peer, size); noted != nil {
			return Message{}, noted
		}
		return Message{}, c.tooLarge(name, size)
	case none:
		return Message{}, errNoUpload
	}
	key := fileKey{locker.NewName(), aesgcm.NewKey()}
	defer key.Wipe()
	sealed, err := key.Seal(content)
	if err != nil {
		return Message{}, err
	}
	if err := c.files.Write(key.name, sealed); err != nil {
		return Message{}, fmt.Errorf("keep the file: %w", err)
	}
	if strings.TrimSpace(caption) != "" {
		if _, err := c.Send(ctx, peer, caption); err != nil {
			c.files.Remove(key.name)
			return Message{}, err
		}
	}
	m, err := c.attach(ctx, peer, name, mediaType, size, key)
	if err != nil {
		c.files.Remove(key.name)
		return Message{}, err
	}
	c.wakeFiles()
	return m, nil
}

// attach stores the message of a file whose ciphertext is kept.
func (c *Client) attach(ctx context.Context, peer, name, mediaType string, size int64, key fileKey) (m Message, err error) {
	stored := key.marshal()
	defer clear(stored)
	err = c.announce(ctx, func(tx *store.Tx) error {
		people, err := c.maySend(tx, peer)
		if err != nil {
			return err
		}
		if peer == c.self {
			if noted, err := c.otherOwnDevice(tx); err != nil {
				return err
			} else if !noted {
				return declined{errNoOwnDevice}
			}
		}
		row := store.Message{
			Peer: peer, Outgoing: true, Sender: c.self, Device: c.device.ID(), OriginID: rand.Text(),
			Time: time.Now(), Body: fileLabel(name, mediaType, size), State: store.Queued, Encrypted: true,
			Fingerprint: fingerprintBytes(c.device.Fingerprint()),
		}
		if _, err := tx.AddMessage(&row); err != nil {
			return err
		}
		if err := tx.SetRecipients(row.ID, people); err != nil {
			return err
		}
		if err := addFile(tx, &store.Attachment{MessageID: row.ID, Name: name, Type: mediaType, Size: size, Key: stored, State: store.Uploading}); err != nil {
			return err
		}
		if err := tx.SetValue(whyName(row.ID), []byte(uploadWords(0, size))); err != nil {
			return err
		}
		m, err = messageOf(tx, &row)
		return err
	}, func() []Event { return []Event{MessageAdded{m}, ConversationsChanged{}} })
	if no, ok := errors.AsType[declined](err); ok {
		c.auditDeclined(ctx, peer, no)
		return Message{}, no.error
	}
	if err != nil {
		return Message{}, fmt.Errorf("keep the file: %w", err)
	}
	return m, nil
}

// addFile stores a file of a message, without what is left of one before it that
// had the same id.
func addFile(tx *store.Tx, a *store.Attachment) error {
	if err := tx.AddAttachment(a); err != nil {
		return err
	}
	return forgetFileValues(tx, a.ID)
}

func forgetFileValues(tx *store.Tx, id int64) error {
	if err := tx.SetValue(fileWhyName(id), nil); err != nil {
		return err
	}
	return tx.SetValue(fileSlotName(id), nil)
}

// uploadWords says how far an upload has come.
func uploadWords(done, size int64) string {
	if size <= 0 || done >= size {
		return "uploading"
	}
	return fmt.Sprintf("uploading %d %%", 100*done/size)
}

// errNoFile is returned for a file that is not there any more, because its
// message was recalled or has expired.
var errNoFile = errors.New("this file is not here any more")

// Contents decrypts a file that is here: an own one, or one that was fetched. The
// caller wipes what it gets. It is never written to the disk.
func (c *Client) Contents(ctx context.Context, fileID int64) ([]byte, error) {
	a, err := c.attachment(ctx, fileID)
	if err != nil {
		return nil, err
	}
	defer clear(a.Key)
	if !c.whole(a) {
		return nil, errors.New("this file was not fetched yet")
	}
	content, err := c.open(a)
	switch {
	case errors.Is(err, aesgcm.ErrAltered):
		return nil, errors.New("what is kept of this file was damaged. Fetch it again")
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("what was kept of this file is gone. Fetch it again")
	case err != nil:
		return nil, fmt.Errorf("open the file: %w", err)
	}
	if err := c.store.Update(ctx, func(tx *store.Tx) error { return c.auditFile(tx, audit.FileOpened, a) }); err != nil {
		clear(content)
		return nil, fmt.Errorf("open the file: %w", err)
	}
	return content, nil
}

// whole reports whether all of a file should be here.
func (c *Client) whole(a *store.Attachment) bool {
	return a.State == store.Done || a.URL == "" // an own one that is not uploaded yet
}

// open decrypts what is kept of a file.
func (c *Client) open(a *store.Attachment) ([]byte, error) {
	key, err := readFileKey(a.Key)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	sealed, err := c.files.Read(key.name)
	if err != nil {
		return nil, err
	}
	return key.Open(sealed)
}

// attachment reads a file's row. Its key is the caller's to clear.
func (c *Client) attachment(ctx context.Context, id int64) (a *store.Attachment, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) (err error) {
		a, err = tx.Attachment(id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for the file: %w", err)
	}
	if a == nil {
		return nil, errNoFile
	}
	return a, nil
}
