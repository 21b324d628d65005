package job

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/store"
	"sotto/internal/frame"
)

// While one process listens, others of the same profile hand in what they want to
// send: the store has one process only. Whoever hands in has opened the vault with the
// PIN, as the listener has. Both derive a key from the database's, and all that is
// said between them is encrypted with one that is derived from that and a nonce of
// either side: who does not know the PIN can neither send nor read nor replay.

// The frames, in their order. All but the first two have one field: the ciphertext of
// JSON.
const (
	frameHello  = 1 + iota // the listener's nonce
	frameHandin            // the other's nonce; what is to be sent
	frameKept              // the listener has stored it, or why not
	frameSent              // what became of it
)

const (
	handinNonce = 32                    // bytes of either side
	handinTime  = 2 * time.Minute       // for who hands in to say what
	handinMost  = 16                    // at once; more wait outside
	lookOften   = 50 * time.Millisecond // events are the listener's
)

// HandinKey derives from the database key what handing in is encrypted with.
func HandinKey(database []byte) (*memguard.Enclave, error) {
	key, err := hkdf.Key(sha256.New, database, nil, "sotto hand-in", 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return memguard.NewEnclave(key), nil // clears it
}

var errHandin = errors.New("what was handed in cannot be read: it is not from a process with this profile's PIN")

// channel encrypts what is said in one conversation. Each frame's type is said once.
type channel struct {
	conn *frame.Conn
	aead cipher.AEAD
}

func newChannel(conn *frame.Conn, key *memguard.Enclave, theirs, ours []byte) (*channel, error) {
	open, err := key.Open()
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	defer open.Destroy()
	session, err := hkdf.Key(sha256.New, open.Bytes(), append(theirs[:len(theirs):len(theirs)], ours...), "sotto hand-in session", 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	defer clear(session)
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &channel{conn, aead}, err
}

func (c *channel) nonce(typ byte) []byte {
	n := make([]byte, c.aead.NonceSize())
	n[0] = typ
	return n
}

func (c *channel) write(typ byte, v any, before ...[]byte) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	defer clear(b)
	return c.conn.Write(typ, append(before, c.aead.Seal(nil, c.nonce(typ), b, nil))...)
}

func (c *channel) open(typ byte, sealed []byte, v any) error {
	b, err := c.aead.Open(nil, c.nonce(typ), sealed, nil)
	defer clear(b)
	if err != nil || json.Unmarshal(b, v) != nil {
		return errHandin
	}
	return nil
}

func (c *channel) read(typ byte, v any) error {
	got, fields, err := c.conn.Read()
	if err != nil {
		return err
	}
	if got != typ || len(fields) != 1 {
		return errHandin
	}
	return c.open(typ, fields[0], v)
}

// handin is what is handed in.
type handin struct {
	To   string        `json:"to"`
	Text string        `json:"text"`
	Wait time.Duration `json:"wait"`
}

// answer is what the listener says of it.
type answer struct {
	Sent  Sent   `json:"sent"`
	Error string `json:"error"` // nothing was kept
}

// Through hands in what s has to send over a connection to a process that listens.
// It returns what Send does.
func Through(ctx context.Context, key *memguard.Enclave, rw io.ReadWriteCloser, s Sending) (Sent, error) {
	defer rw.Close()
	gone := func() error {
		return errors.New("the process that listens with this profile did not take the message. Nothing was sent; send it again")
	}
	text, err := read(ctx, s.Text)
	if err != nil {
		return Sent{}, err
	}
	defer clear(text)
	defer context.AfterFunc(ctx, func() { rw.Close() })()
	conn := frame.NewConn(rw)
	typ, fields, err := conn.Read()
	if err != nil || typ != frameHello || len(fields) != 1 || len(fields[0]) != handinNonce {
		return Sent{}, gone()
	}
	ours := make([]byte, handinNonce)
	rand.Read(ours)
	c, err := newChannel(conn, key, fields[0], ours)
	if err != nil {
		return Sent{}, err
	}
	if err := c.write(frameHandin, handin{s.To, marked(text, s.Urgency), s.Wait}, ours); err != nil {
		return Sent{}, gone()
	}
	var kept, sent answer
	if err := c.read(frameKept, &kept); err != nil {
		return Sent{}, errors.New("the process that listens with this profile ended before it said whether it has kept the message. Look whether it came before you send it again")
	}
	switch {
	case kept.Error != "":
		return Sent{}, errors.New(kept.Error)
	case kept.Sent.Refused:
		return kept.Sent, nil
	}
	if err := c.read(frameSent, &sent); err != nil {
		kept.Sent.Reason = "the process that listens with this profile has it, and has not said what became of it"
		return kept.Sent, nil
	}
	return sent.Sent, nil
}

// Handins takes what others hand in, until next fails. Each connection that next
// returns is closed.
func Handins(ctx context.Context, c *client.Client, key *memguard.Enclave, next func() (io.ReadWriteCloser, error)) {
	eachOf(ctx, next, func(rw io.ReadWriteCloser) { take(ctx, c, key, rw) })
}

// eachOf serves each connection that next returns, handinMost at once, and closes it
// then or when ctx ends. It returns when next fails.
func eachOf(ctx context.Context, next func() (io.ReadWriteCloser, error), serve func(io.ReadWriteCloser)) {
	room := make(chan struct{}, handinMost)
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		rw, err := next()
		if err != nil {
			return
		}
		go func() {
			defer func() { <-room }()
			defer rw.Close()
			defer context.AfterFunc(ctx, func() { rw.Close() })()
			serve(rw)
		}()
	}
}

// take takes one. What is wrong with it ends the connection: nobody who knows the PIN
// would do that.
func take(ctx context.Context, c *client.Client, key *memguard.Enclave, rw io.ReadWriteCloser) {
	conn := frame.NewConn(rw)
	ours := make([]byte, handinNonce)
	rand.Read(ours)
	late := time.AfterFunc(handinTime, func() { rw.Close() })
	defer late.Stop()
	if conn.Write(frameHello, ours) != nil {
		return
	}
	typ, fields, err := conn.Read()
	if err != nil || typ != frameHandin || len(fields) != 2 || len(fields[0]) != handinNonce {
		return
	}
	ch, err := newChannel(conn, key, ours, fields[0])
	if err != nil {
		return
	}
	var h handin
	if ch.open(frameHandin, fields[1], &h) != nil || h.Wait < 0 {
		return
	}
	late.Stop()
	m, err := c.Send(ctx, h.To, h.Text)
	kept := answer{Sent: Sent{ID: m.ID, State: m.State}}
	switch {
	case client.Declines(err):
		kept.Sent = Sent{Refused: true, Reason: err.Error()}
	case err != nil:
		kept.Error = err.Error()
	}
	if ch.write(frameKept, kept) != nil || err != nil {
		return
	}
	over := time.NewTimer(h.Wait)
	defer over.Stop()
	look := time.NewTicker(lookOften)
	defer look.Stop()
	for waiting := true; waiting; {
		now, found, err := c.ByID(ctx, m.ID)
		if err != nil || !found {
			return
		}
		if m = now; final(m.State) {
			break
		}
		select {
		case <-look.C:
		case <-over.C:
			waiting = false
		case <-ctx.Done():
			return
		}
	}
	_ = ch.write(frameSent, answer{Sent: standing(c, &m)})
}

// final says whether a message comes no further that anybody waits for.
func final(s store.State) bool {
	return s == store.Delivered || s == store.Read || s == store.Failed
}
