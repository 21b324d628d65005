package job

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"sotto/client"
	"sotto/client/store"
)

// Listening is how what comes is written.
type Listening struct {
	Out   io.Writer
	Flush func() error // called after each batch; nil: Out keeps nothing back
	From  string       // only what belongs to this conversation; "" is all
	Once  bool         // end when nothing waits any more
	Wait  time.Duration

	// Ack, unless nil, says line by line which messages the reader is done with, by
	// their ids. Without it a message is done with when it was written.
	Ack io.Reader

	// ComparedOnly takes nobody's words for theirs whose device was not compared.
	ComparedOnly bool
}

// Bounds of one batch, and of what waits for an Ack.
const (
	batch   = 64
	unacked = 256
	maxLine = 64 // bytes of a line of Ack
)

// errAck is about what the reader says.
var errAck = errors.New("standard input has to name the ids of messages that are done with, one a line")

// mark is a mark of a text as JSON.
type mark struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// messageLine is a message as JSON. Its fields are explained in docs/headless.md.
type messageLine struct {
	Type         string    `json:"type"`
	ID           int64     `json:"id"`
	Conversation string    `json:"conversation"`
	From         string    `json:"from"`
	Time         time.Time `json:"time"`
	Encrypted    bool      `json:"encrypted"`
	Trust        string    `json:"trust,omitempty"`
	Device       uint32    `json:"device,omitempty"`
	Fingerprint  string    `json:"fingerprint,omitempty"`
	Urgency      string    `json:"urgency"`
	Acknowledges bool      `json:"acknowledges,omitempty"`
	Marks        []mark    `json:"marks,omitempty"`
	Files        []file    `json:"files,omitempty"`
	Text         string    `json:"text"`
}

// file is a file that came with a message.
type file struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Size int64  `json:"size,omitempty"` // bytes; 0 if it is not known yet
}

type noticeLine struct {
	Type         string    `json:"type"`
	ID           int64     `json:"id"`
	Conversation string    `json:"conversation"`
	Time         time.Time `json:"time"`
	Text         string    `json:"text"`
}

type stateLine struct {
	Type   string `json:"type"`
	ID     int64  `json:"id"`
	To     string `json:"to"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

type connectionLine struct {
	Type   string    `json:"type"`
	State  string    `json:"state"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason,omitempty"`
}

// listener is one run.
type listener struct {
	Listening
	c     *client.Client
	buf   bytes.Buffer
	given map[int64]store.Kind // written, and not yet done with
	phase string
	came  bool // what the archive held is here
}

// Listen writes what comes, one JSON object a line, until ctx ends (nil), the reader
// is gone or, with Once, nothing waits any more. What was not written before it ended,
// for whatever reason, comes the next time; what was written and then not marked,
// because the process was killed between the two, comes again with the same id.
func Listen(ctx context.Context, c *client.Client, l Listening) error {
	w := &listener{Listening: l, c: c, given: make(map[int64]store.Kind)}
	late := time.NewTimer(l.Wait)
	defer late.Stop()
	if !l.Once {
		late.Stop()
	}
	var acks chan ack
	if l.Ack != nil {
		acks = make(chan ack)
		go readAcks(ctx, l.Ack, acks)
	}
	if err := w.connection(c.State()); err != nil {
		return err
	}
	for {
		for more := true; more; {
			var err error
			if more, err = w.drain(ctx); ctx.Err() != nil {
				return nil
			} else if err != nil {
				return err
			}
		}
		if l.Once && w.came && len(w.given) == 0 {
			return nil
		}
		select {
		case e := <-c.Events():
			if err := w.event(e); err != nil {
				return err
			}
		case a := <-acks:
			if a.err != nil {
				if errors.Is(a.err, io.EOF) {
					return nil // whoever said what is done with is gone
				}
				return a.err
			}
			if err := w.done(ctx, a.id); err != nil && ctx.Err() == nil {
				return err
			}
		case <-late.C:
			if !w.came {
				return offline(c)
			}
			return errors.New("what was written was not confirmed on standard input in time. It comes again")
		case <-ctx.Done():
			return nil
		}
	}
}

// drain writes a batch of what waits; more says that others may.
func (w *listener) drain(ctx context.Context) (more bool, err error) {
	// Asked before: what the archive held is stored when this says so.
	came := w.c.State().CaughtUp
	room := min(batch, unacked-len(w.given))
	if room <= 0 {
		return false, nil
	}
	list, err := w.c.Waiting(ctx, w.From, len(w.given)+room)
	if err != nil {
		return false, err
	}
	w.buf.Reset()
	var ids []int64
	for i := range list {
		m := &list[i]
		if kind, given := w.given[m.ID]; given && kind == m.Kind {
			continue
		}
		if err := w.encode(w.line(m)); err != nil {
			return false, err
		}
		w.given[m.ID] = m.Kind
		ids = append(ids, m.ID)
	}
	if len(ids) == 0 {
		w.came = w.came || came
		return false, nil
	}
	if err := w.write(); err != nil || w.Ack != nil {
		return err == nil, err
	}
	// Not with ctx: what was written is written.
	if err := w.c.Taken(context.WithoutCancel(ctx), ids); err != nil {
		return false, err
	}
	clear(w.given)
	return true, nil
}

// line is a message as it is written.
func (w *listener) line(m *client.Message) any {
	if m.Kind == store.Notice {
		return noticeLine{"notice", m.ID, m.Peer, m.Time.UTC(), m.Body.String()}
	}
	body := m.Body.String()
	l := messageLine{
		Type: "unverified", ID: m.ID, Conversation: m.Peer, From: m.Sender.String(), Time: m.Time.UTC(),
		Encrypted: m.Encrypted, Device: m.Device, Urgency: urgencyWord(m.Urgency),
		Acknowledges: store.Acknowledges(body), Text: body,
	}
	if m.Encrypted {
		l.Trust, l.Fingerprint = trustWord(m.Trust), m.Fingerprint.String()
		if m.Trust == store.Verified || m.Trust == store.Signed || m.Trust == store.FirstUse && !w.ComparedOnly {
			l.Type = "message"
		}
	}
	for i := range m.Files {
		f := &m.Files[i]
		l.Files = append(l.Files, file{f.Name.String(), f.Type, max(0, f.Size)})
	}
	for _, k := range store.Marks(body) {
		l.Marks = append(l.Marks, mark{markWord(k.Kind), k.Value})
	}
	return l
}

func urgencyWord(urgency int) string {
	switch urgency {
	case store.Stat:
		return "stat"
	case store.Urgent:
		return "urgent"
	}
	return "routine"
}

func markWord(k store.MarkKind) string {
	switch k {
	case store.Record:
		return "record"
	case store.Role:
		return "role"
	case store.Mention:
		return "mention"
	}
	return "other"
}

// event writes what an event tells that is not in the store.
func (w *listener) event(e client.Event) error {
	w.buf.Reset()
	switch e := e.(type) {
	case client.StateChanged:
		return w.connection(e.State)
	case client.MessageChanged:
		if m := &e.Message; m.Outgoing && m.State != store.Queued && (w.From == "" || w.From == m.Peer) {
			if err := w.encode(stateLine{"state", m.ID, m.Peer, m.State.String(), m.Why.String()}); err != nil {
				return err
			}
			return w.write()
		}
	}
	return nil
}

// connection writes how the connection stands, if that is new.
func (w *listener) connection(s client.State) error {
	phase := phaseWord(s)
	if phase == w.phase {
		return nil
	}
	w.phase = phase
	w.buf.Reset()
	if err := w.encode(connectionLine{"connection", phase, time.Now().UTC(), s.Words.String()}); err != nil {
		return err
	}
	return w.write()
}

func (w *listener) encode(v any) error {
	enc := json.NewEncoder(&w.buf)
	enc.SetEscapeHTML(false)
	return enc.Encode(v) // and a line's end
}

// write writes what was encoded, and has it on its way to the reader.
func (w *listener) write() error {
	if _, err := w.Out.Write(w.buf.Bytes()); err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	clear(w.buf.Bytes())
	if w.Flush == nil {
		return nil
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write a line: %w", err)
	}
	return nil
}

// done takes the reader's word that it is done with a message.
func (w *listener) done(ctx context.Context, id int64) error {
	if _, given := w.given[id]; !given {
		return nil // it was said before
	}
	if err := w.c.Taken(ctx, []int64{id}); err != nil {
		return err
	}
	delete(w.given, id)
	return nil
}

// ack is a line of Ack.
type ack struct {
	id  int64
	err error
}

func readAcks(ctx context.Context, in io.Reader, to chan<- ack) {
	r := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := r.ReadSlice('\n')
		a := ack{err: err}
		if err == nil {
			if a.id, a.err = strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64); a.err != nil {
				a.err = errAck
			}
		} else if errors.Is(err, bufio.ErrBufferFull) {
			a.err = errAck
		}
		select {
		case to <- a:
		case <-ctx.Done():
			return
		}
		if a.err != nil {
			return
		}
	}
}
