package client

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"filippo.io/age"
	"mellium.im/xmpp/jid"

	"sotto/client/audit"
	"sotto/client/backup"
	"sotto/client/locker"
	"sotto/client/store"
)

// Restored is what came out of backups.
type Restored struct {
	Messages int // that were not here
	Present  int // that were
	Files    int
}

// restoreState is kept in the store for each series, so that restoring goes on where
// it was cut off, and what was restored once is not restored again.
type restoreState struct {
	Segment int // under way, or done
	Records int // of it that were dealt with
	Done    bool
	Unsent  []int64 `json:",omitempty"` // messages that are shown as not sent, unless a later segment knows better
}

const (
	restoreName = "restore "  // and the series; for where a conversation goes on, a blank and its peer
	restoring   = "restoring" // the series, from when it begins until all of it is here
	// Each transaction costs a sync of the disk and a piece of the search index that is
	// merged with others later: few large ones take a fraction of what many small do.
	restoreBatch = 4000    // records in a transaction
	restoreBytes = 4 << 20 // of texts and files in these
)

// Restore reads the segments of one series of backups, in any order, with a key that
// opens them. What it has restored when it ends, for whatever reason, stays, and the
// next run goes on behind it. Nothing of it is sent. The client must not run.
func (c *Client) Restore(ctx context.Context, files []*os.File, id age.Identity, progress func(messages int)) (Restored, error) {
	var done Restored
	list, err := c.segments(files, id)
	if err != nil {
		return done, err
	}
	series := list[0].header.Series
	var state restoreState
	if err := c.store.Update(ctx, func(tx *store.Tx) error {
		b, err := tx.Value(restoreName + series)
		if err == nil && b == nil {
			state.Segment, state.Done = -1, true
		} else if err == nil {
			err = json.Unmarshal(b, &state)
		}
		if err != nil {
			return err
		}
		return tx.SetValue(restoring, []byte(series))
	}); err != nil {
		return done, err
	}
	err = c.restore(ctx, list, id, state, &done, progress)
	// What is older than texts are kept here by now goes before anybody sees it.
	if _, _, expire := c.store.Expire(ctx, time.Now()); err == nil {
		err = expire
	}
	if err == nil || errors.Is(err, backup.ErrAltered) || errors.Is(err, backup.ErrForeign) || errors.Is(err, errMissing) {
		// It is whole, or no more of it is to be had from these: which the caller says.
		err = errors.Join(err, c.store.Update(ctx, func(tx *store.Tx) error { return tx.SetValue(restoring, nil) }))
	}
	return done, err
}

// errMissing is in the error for a series with a hole.
var errMissing = errors.New("each needs those before it, from the whole one (000) on")

// HalfRestored says whether restoring was cut off, so that messages are missing here
// that a backup has.
func (c *Client) HalfRestored(ctx context.Context) (half bool, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) error {
		b, err := tx.Value(restoring)
		half = b != nil
		return err
	})
	return half, err
}

// restore reads the segments of a series in their order.
func (c *Client) restore(ctx context.Context, list []segment, id age.Identity, state restoreState, done *Restored, progress func(int)) error {
	series := list[0].header.Series
	for _, s := range list {
		switch {
		case s.header.Segment < state.Segment || s.header.Segment == state.Segment && state.Done:
			continue // here already
		case s.header.Segment == state.Segment: // cut off in it
		case state.Done && s.header.Segment == state.Segment+1:
			state = restoreState{Segment: s.header.Segment, Unsent: state.Unsent}
		default:
			return fmt.Errorf("segment %d of this backup is missing: %w", state.Segment+1, errMissing)
		}
		r := restorer{c: c, ctx: ctx, series: series, state: &state, done: done, progress: progress}
		if err := r.run(s, id); err != nil {
			return err
		}
		state.Done = true
	}
	return nil
}

// segment is a file with a backup.
type segment struct {
	file   *os.File
	header backup.Header
}

// segments looks at the beginnings of files, and puts them in order.
func (c *Client) segments(files []*os.File, id age.Identity) (list []segment, err error) {
	if len(files) == 0 {
		return nil, errors.New("there is no backup to restore")
	}
	for _, f := range files {
		r, err := backup.NewReader(io.NewSectionReader(f, 0, 1<<62), id)
		if err != nil {
			return nil, err
		}
		h := r.Header
		switch {
		case h.Address != c.self:
			return nil, fmt.Errorf("this is a backup of %s, and this device is %s's. Nothing was restored", lineOf("%s", h.Address), c.self)
		case len(list) > 0 && h.Series != list[0].header.Series:
			return nil, errors.New("these are backups of more than one series. Restore one series at a time, the oldest first")
		}
		if !slices.ContainsFunc(list, func(s segment) bool { return s.header.Segment == h.Segment }) {
			list = append(list, segment{f, h})
		}
	}
	slices.SortFunc(list, func(a, b segment) int { return a.header.Segment - b.header.Segment })
	return list, nil
}

// restorer is the restoring of one segment.
type restorer struct {
	c        *Client
	ctx      context.Context
	series   string
	state    *restoreState
	done     *Restored
	progress func(int)

	unsent []int64 // in the batch under way

	keep  time.Duration // how long texts are kept here; 0: as long as they live
	peer  string        // of the conversation
	after int64         // the message that the next goes behind
	part  *locker.Part
	file  backup.File
	left  int64
}

func (r *restorer) run(s segment, id age.Identity) error {
	in, err := backup.NewReader(ctxReader{r.ctx, io.NewSectionReader(s.file, 0, 1<<62)}, id)
	if err != nil {
		return err
	}
	defer r.drop()
	var batch []*backup.Record
	first, size := 0, 0 // the number of the batch's first record; bytes of texts and files in it
	take := func(ends bool) error {
		if len(batch) == 0 {
			return nil
		}
		err := r.take(batch, first, ends)
		first, size, batch = first+len(batch), 0, batch[:0]
		return err
	}
	for {
		x, err := in.Next()
		if err == io.EOF {
			return nil // the last record was its end
		}
		if err != nil {
			return errors.Join(take(false), err)
		}
		if x.File != nil { // what is before it is noted by itself
			if err := take(false); err != nil {
				return err
			}
		}
		batch, size = append(batch, x), size+len(x.Data)
		if x.Message != nil {
			size += len(x.Message.Body)
		}
		if len(batch) == restoreBatch || size > restoreBytes || x.End != nil {
			if err := take(x.End != nil); err != nil {
				return err
			}
		}
	}
}

// take deals with records, the first of which has the number from, in one
// transaction with the note that it has.
func (r *restorer) take(batch []*backup.Record, from int, ends bool) error {
	noted := r.state.Records
	r.unsent = nil
	err := r.c.store.Update(r.ctx, func(tx *store.Tx) (err error) {
		if r.keep, err = tx.Retention(); err != nil {
			return err
		}
		for i, x := range batch {
			if err := r.record(tx, x, from+i < noted); err != nil {
				return err
			}
		}
		if r.peer != "" {
			if err := tx.SetValue(restoreName+r.series+" "+r.peer, strconv.AppendInt(nil, r.after, 10)); err != nil {
				return err
			}
		}
		if r.part != nil && r.left > 0 {
			return nil // within a file: it begins anew
		}
		next := restoreState{Segment: r.state.Segment, Records: max(noted, from+len(batch)), Done: ends, Unsent: append(slices.Clip(r.state.Unsent), r.unsent...)}
		b, err := json.Marshal(next)
		if err != nil {
			return err
		}
		if ends {
			if err := r.c.audit(tx, audit.Event{Kind: audit.Restored, Ref: audit.IDOf(r.series + " " + strconv.Itoa(r.state.Segment)), Count: uint32(r.done.Messages)}); err != nil {
				return err
			}
		}
		*r.state = next
		return tx.SetValue(restoreName+r.series, b)
	})
	if err == nil && r.progress != nil {
		r.progress(r.done.Messages + r.done.Present)
	}
	return err
}

func (r *restorer) record(tx *store.Tx, x *backup.Record, known bool) error {
	switch {
	case x.Conversation != nil:
		return r.conversation(tx, x.Conversation, known)
	case x.Message != nil && !known:
		return r.message(tx, x.Message)
	case x.File != nil:
		return r.begin(tx, x.File, known)
	case x.Data != nil:
		return r.data(tx, x.Data)
	}
	return nil
}

func (r *restorer) conversation(tx *store.Tx, x *backup.Conversation, known bool) error {
	if !isAddress(x.Peer) {
		return backup.ErrForeign
	}
	if !known {
		c := store.SavedConversation{Peer: x.Peer, Lifespan: max(0, x.Lifespan), Draft: x.Draft}
		if x.Room != nil {
			c.Nick, c.Topic = x.Room.Nick, x.Room.Topic
			for _, m := range x.Room.Members {
				c.Members = append(c.Members, store.SavedMember(m))
			}
		}
		if err := tx.RestoreConversation(&c); err != nil {
			return err
		}
	}
	if r.peer != "" && r.peer != x.Peer {
		if err := tx.SetValue(restoreName+r.series+" "+r.peer, strconv.AppendInt(nil, r.after, 10)); err != nil {
			return err
		}
	}
	r.peer, r.after = x.Peer, store.Front
	b, err := tx.Value(restoreName + r.series + " " + r.peer)
	if id, bad := strconv.ParseInt(string(b), 10, 64); bad == nil {
		if m, err := tx.Message(id); err == nil && m != nil && m.Peer == r.peer {
			r.after = id
		}
	}
	return err
}

// isAddress says whether something is an address as the store has them.
func isAddress(s string) bool {
	j, err := jid.Parse(s)
	return err == nil && j.String() == s
}

func (r *restorer) message(tx *store.Tx, x *backup.Message) error {
	if !isAddress(x.Sender) || x.Kind < 0 || x.Kind > int(store.Retraction) || x.Urgency < store.Routine || x.Urgency > store.Stat ||
		x.Gone < 0 || x.Gone > int(store.RanOut) || x.State < 0 || x.State > int(store.Failed) || !isMoment(x.Time) || !isMoment(x.Stored) {
		return backup.ErrForeign
	}
	m := store.SavedMessage{Message: store.Message{
		Peer: r.peer, Outgoing: x.Outgoing, Sender: x.Sender, Author: x.Author, Device: x.Device, OriginID: x.Origin, ArchiveID: x.Archive, Cipher: x.Cipher,
		Time: x.Time, Stored: x.Stored, Body: x.Body, State: store.State(x.State), Encrypted: x.Encrypted, Fingerprint: x.Fingerprint,
		Kind: store.Kind(x.Kind), Urgency: x.Urgency, Gone: store.Gone(x.Gone), GoneAt: at(x.GoneAt), GoneBy: x.GoneBy, Corrected: at(x.Corrected),
		Reply: x.Reply, ReplyTo: x.ReplyTo, Expires: at(x.Expires),
	}, Waits: x.Waits}
	if end := r.ends(&m.Message); !end.IsZero() && !end.After(time.Now()) && m.Gone == store.Here { // its time is over
		m.Gone, m.GoneAt = store.RanOut, end
	}
	for _, a := range x.Attachments {
		m.Attachments = append(m.Attachments, store.Attachment{Name: a.Name, Type: a.Type, Size: a.Size, URL: a.URL, Key: a.Key})
	}
	for _, k := range x.Acknowledgements {
		m.Acknowledgements = append(m.Acknowledgements, store.SavedMark{Sender: k.Sender, Time: k.Time})
	}
	for _, k := range x.Reactions {
		m.Reactions = append(m.Reactions, store.SavedMark{Sender: k.Sender, Set: k.Set, Time: k.Time})
	}
	added, err := tx.RestoreMessage(&m, r.after)
	if err != nil {
		return err
	}
	if x.Outgoing && added && (x.State < int(store.Sent) || x.State == int(store.Failed)) && len(r.state.Unsent)+len(r.unsent) < maxUnsent {
		r.unsent = append(r.unsent, m.ID)
	}
	if added {
		r.done.Messages++
		r.after = m.ID
	} else {
		if x.Outgoing && (slices.Contains(r.state.Unsent, m.ID) || slices.Contains(r.unsent, m.ID)) {
			if err := tx.RestoreState(m.ID, store.State(x.State)); err != nil {
				return err
			}
		}
		r.done.Present++
		if r.after != store.Front && m.ID != 0 {
			// Behind what was here, if that stands behind: else what comes next
			// would not be in its order.
			if behind, err := tx.StandsBehind(m.ID, r.after); err != nil {
				return err
			} else if behind {
				r.after = m.ID
			}
		}
	}
	return nil
}

// ends is when a text goes from here: its life ends, or it is older than texts are kept;
// zero for never.
func (r *restorer) ends(m *store.Message) time.Time {
	end := m.Expires
	if kept := m.Time.Add(r.keep); r.keep > 0 && m.Kind == store.Text && (end.IsZero() || kept.Before(end)) {
		end = kept
	}
	return end
}

func isMoment(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 10000 }

func at(t *time.Time) time.Time {
	if t == nil || !isMoment(*t) {
		return time.Time{}
	}
	return *t
}

// begin takes a file, if a message has it and it is not here yet.
func (r *restorer) begin(tx *store.Tx, f *backup.File, known bool) error {
	r.drop()
	r.file, r.left = *f, f.Size
	name := locker.Name(f.Name)
	if f.Size > locker.MaxFile {
		return backup.ErrForeign
	}
	wanted, err := tx.WantsFile(f.Name)
	if err != nil || known || !wanted {
		return err
	}
	r.part, err = r.c.files.Append(name, 0)
	return err
}

func (r *restorer) data(tx *store.Tx, b []byte) error {
	r.left -= int64(len(b))
	if r.part == nil {
		return nil
	}
	if err := r.part.Write(b); err != nil || r.left > 0 {
		return err
	}
	err := r.part.Sync()
	if err = errors.Join(err, r.part.Close()); err != nil {
		return fmt.Errorf("keep the file %s: %w", hex.EncodeToString(r.file.Name[:4]), err)
	}
	r.part = nil
	r.done.Files++
	return tx.FileRestored(r.file.Name)
}

// drop lets go of a file that was not written to its end.
func (r *restorer) drop() {
	if r.part != nil {
		r.part.Close()
		r.part = nil
	}
}
