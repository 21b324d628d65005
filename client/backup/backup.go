// Package backup is the format of a backup: an age file (https://age-encryption.org/v1)
// to one or more recipients, and in it lines of JSON (RFC 8259), one record a line.
// So a backup outlives sotto: age -d and any program that reads JSON open it.
//
//	{"header":{"sotto-backup":1,"address":"alice@hospital.example","series":"…","segment":0,…}}
//	{"conversation":{"peer":"bob@hospital.example"}}
//	{"message":{"origin":"…","sender":"bob@hospital.example","body":"…",…}}   as many as there are, in order
//	{"file":{"name":"…","size":70016}}
//	{"data":"…"}                                                              as many as the file needs
//	{"end":{"messages":1,"files":1}}
//
// It has what a person would miss: conversations, messages, drafts, files as they were
// encrypted, with their keys. It has nothing that this device is known by, or that a
// session could be continued with: no OMEMO keys, prekeys or ratchets, no signing key,
// no PIN and no password.
//
// The first segment of a series is the whole; each that follows has what is new since
// the one before, and names it by its digest.
//
// age says who can read a backup, not who wrote it: whoever knows a recipient can
// write one.
package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"
)

// Format is the version of the format.
const Format = 1

// Bounds.
const (
	MaxLine   = 1 << 20  // bytes of a record, its end included
	ChunkSize = 48 << 10 // bytes of a file in a record
	MaxKeys   = 12       // recipients
)

// Header is the first record.
type Header struct {
	Format       int       `json:"sotto-backup"`
	Address      string    `json:"address"` // whose it is
	Organisation string    `json:"organisation,omitempty"`
	Series       string    `json:"series"`  // the same in all segments
	Segment      int       `json:"segment"` // 0 is the whole
	Made         time.Time `json:"made"`
}

// Conversation begins the messages of one.
type Conversation struct {
	Peer     string        `json:"peer"`
	Lifespan time.Duration `json:"lifespan,omitempty"`
	Draft    string        `json:"draft,omitempty"`
	Room     *Room         `json:"room,omitempty"`
}

// Room is what makes a conversation a room.
type Room struct {
	Nick    string   `json:"nick"`
	Topic   string   `json:"topic,omitempty"`
	Members []Member `json:"members,omitempty"`
}

// Member is somebody in a room.
type Member struct {
	Address     string `json:"address"`
	Nick        string `json:"nick,omitempty"`
	Affiliation string `json:"affiliation,omitempty"`
}

// Message is one message; see store.Message for what the fields mean.
type Message struct {
	Outgoing    bool       `json:"outgoing,omitempty"`
	Sender      string     `json:"sender"`
	Author      string     `json:"author,omitempty"`
	Device      uint32     `json:"device,omitempty"`
	Origin      string     `json:"origin,omitempty"`
	Archive     string     `json:"archive,omitempty"`
	Cipher      []byte     `json:"cipher,omitempty"`
	Time        time.Time  `json:"time"`
	Stored      time.Time  `json:"stored"`
	Body        string     `json:"body,omitempty"`
	State       int        `json:"state,omitempty"`
	Encrypted   bool       `json:"encrypted,omitempty"`
	Fingerprint []byte     `json:"fingerprint,omitempty"`
	Kind        int        `json:"kind,omitempty"`
	Urgency     int        `json:"urgency,omitempty"`
	Gone        int        `json:"gone,omitempty"`
	GoneAt      *time.Time `json:"gone-at,omitempty"`
	GoneBy      string     `json:"gone-by,omitempty"`
	Corrected   *time.Time `json:"corrected,omitempty"`
	Reply       string     `json:"reply,omitempty"`
	ReplyTo     string     `json:"reply-to,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"`
	Waits       bool       `json:"waits,omitempty"`

	Attachments      []Attachment `json:"attachments,omitempty"`
	Acknowledgements []Mark       `json:"acknowledgements,omitempty"`
	Reactions        []Mark       `json:"reactions,omitempty"`
}

// Attachment is a file of a message.
type Attachment struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"`
	Size int64  `json:"size"`
	URL  string `json:"url,omitempty"`
	Key  []byte `json:"key,omitempty"` // name of the File 16, nonce and AES-256-GCM key
}

// Mark is an acknowledgement or a reaction of somebody.
type Mark struct {
	Sender string    `json:"sender"`
	Set    string    `json:"set,omitempty"`
	Time   time.Time `json:"time"`
}

// File is the ciphertext of an attachment. Its bytes follow in Data records.
type File struct {
	Name []byte `json:"name"` // 16 bytes
	Size int64  `json:"size"`
}

// End is the last record.
type End struct {
	Messages int `json:"messages"`
	Files    int `json:"files"`
}

// Record is one record: exactly one of its fields is set.
type Record struct {
	Header       *Header       `json:"header,omitempty"`
	Conversation *Conversation `json:"conversation,omitempty"`
	Message      *Message      `json:"message,omitempty"`
	File         *File         `json:"file,omitempty"`
	Data         []byte        `json:"data,omitempty"`
	End          *End          `json:"end,omitempty"`
}

func (r *Record) fields() (n int) {
	for _, set := range []bool{r.Header != nil, r.Conversation != nil, r.Message != nil, r.File != nil, r.Data != nil, r.End != nil} {
		if set {
			n++
		}
	}
	return n
}

// What is wrong with a backup, in words for people.
var (
	ErrKey     = errors.New("this backup cannot be opened with this key. It opens with a key that it was made for: the organisation's recovery key, or your own")
	ErrForeign = errors.New("this is not a backup of sotto")
	ErrAltered = errors.New("this backup is damaged, cut off, or was changed: nothing behind that can be used. Take another one")
	ErrNewer   = errors.New("this backup was made by a newer sotto. Install that version, or a later one")
)

// Writer writes a backup. Nothing that it writes is readable without a recipient's
// key. It is not safe for concurrent use.
type Writer struct {
	age io.WriteCloser
	buf *bufio.Writer
	sum hash.Hash
	end End
}

// NewWriter begins a backup to recipients.
func NewWriter(w io.Writer, recipients []age.Recipient, h Header) (*Writer, error) {
	if len(recipients) == 0 || len(recipients) > MaxKeys {
		return nil, fmt.Errorf("a backup is made for 1 to %d keys", MaxKeys)
	}
	a, err := age.Encrypt(w, recipients...)
	if err != nil {
		return nil, fmt.Errorf("begin the backup: %w", err)
	}
	b := &Writer{age: a, sum: sha256.New()}
	b.buf = bufio.NewWriterSize(io.MultiWriter(a, b.sum), 64<<10)
	h.Format = Format
	return b, b.Write(&Record{Header: &h})
}

// Write writes one record.
func (w *Writer) Write(r *Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer clear(line)
	if len(line)+1 > MaxLine {
		return errors.New("write the backup: a message is longer than it can be")
	}
	switch {
	case r.Message != nil:
		w.end.Messages++
	case r.File != nil:
		w.end.Files++
	}
	if _, err = w.buf.Write(line); err == nil {
		err = w.buf.WriteByte('\n')
	}
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// Close ends the backup, and returns the digest of what was encrypted.
func (w *Writer) Close() (sum [sha256.Size]byte, err error) {
	if err := w.Write(&Record{End: &w.end}); err != nil {
		return sum, err
	}
	if err = w.buf.Flush(); err == nil {
		err = w.age.Close()
	}
	if err != nil {
		return sum, fmt.Errorf("end the backup: %w", err)
	}
	w.sum.Sum(sum[:0])
	return sum, nil
}

// Reader reads a backup. It is not safe for concurrent use.
type Reader struct {
	Header Header
	lines  *bufio.Reader
	end    End
	left   int64 // of the file whose data comes next
	inside bool  // a conversation has begun
	over   bool
}

// NewReader opens a backup. Errors match ErrKey, ErrForeign, ErrAltered or ErrNewer.
func NewReader(r io.Reader, id age.Identity) (*Reader, error) {
	plain, err := age.Decrypt(r, id)
	if other := (*age.NoIdentityMatchError)(nil); errors.As(err, &other) {
		return nil, ErrKey
	} else if err != nil {
		return nil, ErrForeign // what age says repeats what is in the file
	}
	b := &Reader{lines: bufio.NewReaderSize(plain, MaxLine)}
	first, err := b.record()
	if err != nil || first.Header == nil {
		if errors.Is(err, ErrAltered) {
			return nil, err
		}
		return nil, ErrForeign
	}
	b.Header = *first.Header
	switch {
	case b.Header.Format > Format:
		return nil, ErrNewer
	case b.Header.Format != Format || b.Header.Address == "" || b.Header.Series == "" || len(b.Header.Series) > 64 || b.Header.Segment < 0:
		return nil, ErrForeign
	}
	return b, nil
}

// record reads a line.
func (r *Reader) record() (*Record, error) {
	line, err := r.lines.ReadSlice('\n')
	if err != nil {
		// Everything before is authentic: age has checked it. So this is one that
		// ends where no sotto ends it, or a chunk that does not decrypt.
		return nil, fmt.Errorf("%w (%w)", ErrAltered, unexpected(err))
	}
	defer clear(line)
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var x Record
	if err := d.Decode(&x); err != nil || d.More() || x.fields() != 1 {
		return nil, fmt.Errorf("%w: a line in it means nothing to this version", ErrForeign)
	}
	return &x, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Next returns the next record, or io.EOF after the last one. Records come in the
// order that the package comment shows.
func (r *Reader) Next() (*Record, error) {
	if r.over {
		return nil, io.EOF
	}
	x, err := r.record()
	if err != nil {
		return nil, err
	}
	wrong := fmt.Errorf("%w: its lines are in an order that sotto does not write", ErrForeign)
	if (r.left > 0) != (x.Data != nil) {
		return nil, wrong
	}
	switch {
	case x.Header != nil:
		return nil, wrong
	case x.Conversation != nil:
		r.inside = true
	case x.Message != nil:
		if !r.inside {
			return nil, wrong
		}
		r.end.Messages++
	case x.File != nil:
		if x.File.Size <= 0 || len(x.File.Name) != 16 {
			return nil, wrong
		}
		r.left, r.inside = x.File.Size, false
		r.end.Files++
	case x.Data != nil:
		if len(x.Data) > ChunkSize || int64(len(x.Data)) > r.left {
			return nil, wrong
		}
		r.left -= int64(len(x.Data))
	case x.End != nil:
		if *x.End != r.end {
			return nil, wrong
		}
		if _, err := r.lines.ReadByte(); err != io.EOF {
			if err == nil {
				err = errors.New("something follows its end")
			}
			return nil, fmt.Errorf("%w (%w)", ErrAltered, err)
		}
		r.over = true
	}
	return x, nil
}

// Verify reads a backup back that was just written, as whoever restores it will, and
// compares each byte with what was to be in it. id is an identity that it was made
// for, too, and that nobody has afterwards.
func Verify(r io.Reader, id age.Identity, sum [sha256.Size]byte) error {
	plain, err := age.Decrypt(r, id)
	if err != nil {
		return fmt.Errorf("read the backup back: %w", err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, plain); err != nil {
		return fmt.Errorf("read the backup back: %w", err)
	}
	if !bytes.Equal(h.Sum(nil), sum[:]) {
		return errors.New("read the backup back: it is not what was written")
	}
	return nil
}
