package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"sotto/client/audit"
	"sotto/client/backup"
	"sotto/client/locker"
	"sotto/client/store"
)

// BackupPlan says what a backup is to have, and for whom.
type BackupPlan struct {
	To      []string // age recipients, besides the organisation's recovery key
	Whole   bool     // and not only what is new
	NoFiles bool

	// Series and Segment are those of the newest backup in the place that this one
	// goes to, "" if there is none. Kept says that it goes to such a place: the next
	// goes on from it.
	Series  string
	Segment int
	Kept    bool

	Progress func(messages int) // called now and then; may be nil
}

// BackedUp is what a backup has.
type BackedUp struct {
	Series   string
	Segment  int
	Messages int
	Files    int
	Bytes    int64
	Keys     int
}

var (
	// ErrNoBackup is returned where the policy forbids backups.
	ErrNoBackup = errors.New("your organisation allows no backups (its policy says: backup = false)")
	// ErrOwnKey is returned for a key of one's own where nothing may be saved.
	ErrOwnKey = errors.New("your organisation lets nothing be saved outside sotto (its policy does not say: saving = true), and a backup that your own key opens could be. Leave out --to")
	errNoKey  = errors.New("a backup needs a key that opens it: name one with --to, as sotto org recovery-key makes it. Your organisation's policy names none")
)

// maxSegments is after how many a backup is whole again.
const maxSegments = 60

// backupPage is how many messages are in memory at a time.
const backupPage = 200

// backupState is kept in the store, under the name backupName: what the newest
// backup has.
type backupState struct {
	Series  string
	Segment int
	Upto    int64 // ids of messages up to this are in it
	Made    time.Time
	Keys    []string
	Unsent  []int64 `json:",omitempty"` // of these, what had not gone out: the next says what became of it
}

// maxUnsent bounds Unsent. Beyond it a message is shown as not sent that was.
const maxUnsent = 1000

const backupName = "backup"

// Backup writes a backup to f, an empty file, and reads it back: when it returns nil,
// it is whole, and on the disk. The client must not run: what is written is the state
// of one moment.
func (c *Client) Backup(ctx context.Context, f *os.File, s BackupPlan) (BackedUp, error) {
	var (
		state  backupState
		keys   []string
		name   string
		upto   int64
		unsent []int64
	)
	err := c.store.View(ctx, func(tx *store.Tx) error {
		m := c.Membership()
		p := m.Policy()
		if v := p.Value("backup"); v.Set() && !v.Bool() {
			return ErrNoBackup
		}
		if m != nil && len(s.To) > 0 && !p.Value("saving").Bool() {
			return ErrOwnKey
		}
		name = m.Organisation()
		if k := p.Value("recovery-key").Text(); k != "" {
			keys = append(keys, k)
		}
		b, err := tx.Value(backupName)
		if err == nil && b != nil {
			_ = json.Unmarshal(b, &state) // of another version: a whole one
		}
		if err != nil {
			return err
		}
		if unsent, err = tx.Unsent(maxUnsent); err != nil {
			return err
		}
		upto, err = tx.Newest()
		return err
	})
	if errors.Is(err, ErrNoBackup) || errors.Is(err, ErrOwnKey) {
		return BackedUp{}, errors.Join(err, c.auditNow(ctx, audit.Event{Kind: audit.BackupRefused, Reason: audit.ByPolicy}))
	}
	if err != nil {
		return BackedUp{}, err
	}
	for _, k := range s.To {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return BackedUp{}, errNoKey
	}
	recipients, err := recipientsOf(keys)
	if err != nil {
		return BackedUp{}, err
	}
	// So that it can be read back: nobody has this one afterwards.
	once, err := age.GenerateX25519Identity()
	if err != nil {
		return BackedUp{}, fmt.Errorf("begin the backup: %w", err)
	}
	recipients = append(recipients, once.Recipient())

	goesOn := s.Kept && !s.Whole && s.Series != "" && s.Series == state.Series && s.Segment == state.Segment &&
		s.Segment+1 < maxSegments && slices.Equal(keys, state.Keys) && state.Upto <= upto
	if !goesOn {
		state = backupState{Series: newSeries(), Segment: -1}
	}
	place := &backupFile{f: f}
	now := time.Now().UTC().Truncate(time.Second)
	done := BackedUp{Series: state.Series, Segment: state.Segment + 1, Keys: len(keys)}
	w, err := backup.NewWriter(place, recipients, backup.Header{Address: c.self, Organisation: name, Series: done.Series, Segment: done.Segment, Made: now})
	if place.lacks != nil {
		return done, fmt.Errorf("begin the backup: %w", place.lacks)
	}
	if err != nil {
		return done, err
	}
	run := saver{c: c, ctx: ctx, w: w, s: s, done: &done, after: state.Upto, since: time.UnixMicro(1 << 62), also: "[]"}
	if goesOn {
		if b, err := json.Marshal(state.Unsent); err == nil && len(state.Unsent) > 0 {
			run.also = string(b)
		}
		run.since = state.Made.Add(-time.Minute) // a clock may be set
	}
	if err := run.conversations(); err != nil {
		return done, err
	}
	if !s.NoFiles {
		if err := run.files(); err != nil {
			return done, err
		}
	}
	sum, err := w.Close()
	if err != nil {
		return done, err
	}
	if err := place.Sync(); err != nil {
		return done, fmt.Errorf("write the backup: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return done, fmt.Errorf("read the backup back: %w", err)
	}
	done.Bytes = info.Size()
	if err := backup.Verify(ctxReader{ctx, io.NewSectionReader(f, 0, done.Bytes)}, once, sum); err != nil {
		return done, err
	}
	return done, c.backedUp(ctx, s, done, backupState{done.Series, done.Segment, upto, now, keys, unsent}, sum)
}

// backedUp notes what the newest backup has, and that there is one.
func (c *Client) backedUp(ctx context.Context, s BackupPlan, done BackedUp, state backupState, sum [sha256.Size]byte) error {
	return c.store.Update(ctx, func(tx *store.Tx) error {
		if s.Kept {
			b, err := json.Marshal(state)
			if err != nil {
				return err
			}
			if err := tx.SetValue(backupName, b); err != nil {
				return err
			}
		}
		return c.audit(tx, audit.Event{Kind: audit.BackupMade, Ref: audit.DigestID(sum), Count: uint32(done.Messages)})
	})
}

// newSeries names a series of backups.
func newSeries() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func recipientsOf(keys []string) (list []age.Recipient, err error) {
	for _, k := range keys {
		r, err := age.ParseRecipients(strings.NewReader(k))
		if err != nil || len(r) != 1 {
			return nil, fmt.Errorf("%q is not a key that a backup can be made for. It looks like age1…, and sotto org recovery-key makes one", k)
		}
		list = append(list, r...)
	}
	return list, nil
}

// ctxReader ends with a context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// saver is one run of Backup.
type saver struct {
	c     *Client
	ctx   context.Context
	w     *backup.Writer
	s     BackupPlan
	done  *BackedUp
	after int64
	since time.Time
	also  string // ids, in JSON
}

func (r *saver) conversations() error {
	for after := int64(0); ; {
		var page []store.SavedConversation
		if err := r.c.store.View(r.ctx, func(tx *store.Tx) (err error) {
			page, err = tx.ConversationsToSave(after, 100)
			return err
		}); err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for i := range page {
			after = page[i].ID
			if err := r.conversation(&page[i]); err != nil {
				return err
			}
		}
	}
}

func (r *saver) conversation(c *store.SavedConversation) error {
	x := &backup.Conversation{Peer: c.Peer, Lifespan: c.Lifespan, Draft: c.Draft}
	if c.Nick != "" {
		x.Room = &backup.Room{Nick: c.Nick, Topic: c.Topic}
		for _, m := range c.Members {
			x.Room.Members = append(x.Room.Members, backup.Member(m))
		}
	}
	if err := r.w.Write(&backup.Record{Conversation: x}); err != nil {
		return err
	}
	for place := int64(-1 << 63); ; {
		var page []store.SavedMessage
		if err := r.c.store.View(r.ctx, func(tx *store.Tx) (err error) {
			page, err = tx.MessagesToSave(c.ID, place, r.after, r.since, r.also, backupPage)
			return err
		}); err != nil {
			return err
		}
		for i := range page {
			place = page[i].Place
			if err := r.w.Write(&backup.Record{Message: toSave(&page[i])}); err != nil {
				return err
			}
			if r.done.Messages++; r.s.Progress != nil && r.done.Messages%1000 == 0 {
				r.s.Progress(r.done.Messages)
			}
		}
		if len(page) < backupPage {
			return nil
		}
	}
}

// files writes the ciphertexts that are here.
func (r *saver) files() error {
	for after := int64(0); ; {
		var page []store.Attachment
		if err := r.c.store.View(r.ctx, func(tx *store.Tx) (err error) {
			page, err = tx.FilesToSave(after, 100)
			return err
		}); err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for _, a := range page {
			after = a.ID
			n, ok := nameIn(a.Key)
			clear(a.Key)
			if !ok || a.MessageID <= r.after && r.c.files.Changed(n).Before(r.since) {
				continue
			}
			if err := r.file(n); err != nil {
				return err
			}
		}
	}
}

func (r *saver) file(n locker.Name) error {
	size := r.c.files.Size(n)
	if size <= 0 || size > locker.MaxFile {
		return nil // gone meanwhile
	}
	if err := r.w.Write(&backup.Record{File: &backup.File{Name: n[:], Size: size}}); err != nil {
		return err
	}
	chunk := make([]byte, backup.ChunkSize)
	for at := int64(0); at < size; {
		m, err := r.c.files.ReadAt(n, chunk[:min(int64(len(chunk)), size-at)], at)
		if m == 0 {
			return fmt.Errorf("read a file for the backup: %w", err)
		}
		if err := r.w.Write(&backup.Record{Data: chunk[:m]}); err != nil {
			return err
		}
		if at += int64(m); r.ctx.Err() != nil {
			return r.ctx.Err()
		}
	}
	r.done.Files++
	return nil
}

// toSave is a message as a backup has it.
func toSave(m *store.SavedMessage) *backup.Message {
	x := &backup.Message{
		Outgoing: m.Outgoing, Sender: m.Sender, Author: m.Author, Device: m.Device, Origin: m.OriginID, Archive: m.ArchiveID, Cipher: m.Cipher,
		Time: m.Time.UTC(), Stored: m.Stored.UTC(), Body: m.Body, State: int(m.State), Encrypted: m.Encrypted, Fingerprint: m.Fingerprint,
		Kind: int(m.Kind), Urgency: m.Urgency, Gone: int(m.Gone), GoneAt: moment(m.GoneAt), GoneBy: m.GoneBy, Corrected: moment(m.Corrected),
		Reply: m.Reply, ReplyTo: m.ReplyTo, Expires: moment(m.Expires), Waits: m.Waits,
	}
	for _, a := range m.Attachments {
		x.Attachments = append(x.Attachments, backup.Attachment{Name: a.Name, Type: a.Type, Size: a.Size, URL: a.URL, Key: a.Key})
	}
	for _, k := range m.Acknowledgements {
		x.Acknowledgements = append(x.Acknowledgements, backup.Mark{Sender: k.Sender, Time: k.Time.UTC()})
	}
	for _, k := range m.Reactions {
		x.Reactions = append(x.Reactions, backup.Mark{Sender: k.Sender, Set: k.Set, Time: k.Time.UTC()})
	}
	return x
}

// moment is nil for no time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
