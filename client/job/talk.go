package job

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/awnumar/memguard"

	"sotto/internal/frame"
)

// A talk is a conversation with the process that has the profile, through its door: as
// what is handed in, with a key of its own, and with as much said on both sides as
// there is to say.
const (
	frameTalk  = 5 + iota // the other's nonce: it wants to talk
	frameSaid             // ciphertext; an empty one ends what this side says
	frameHeard            // the other way
)

// talkPiece bounds what a frame carries, in bytes.
const talkPiece = 64 << 10

// talk is one end of a conversation. One goroutine may read while another writes.
type talk struct {
	*channel
	says, hears byte // frame types
	said, heard uint64
	left        []byte // of what was read
	ended       bool
}

// talkNonce is for one frame of one direction: no two have the same.
func (t *talk) talkNonce(typ byte, n uint64) []byte {
	nonce := t.nonce(typ)
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce
}

func (t *talk) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		piece := p[:min(len(p), talkPiece)]
		if err := t.say(piece); err != nil {
			return n, err
		}
		n, p = n+len(piece), p[len(piece):]
	}
	return n, nil
}

func (t *talk) say(p []byte) error {
	sealed := t.aead.Seal(nil, t.talkNonce(t.says, t.said), p, nil)
	t.said++
	return t.conn.Write(t.says, sealed)
}

func (t *talk) Read(p []byte) (int, error) {
	for len(t.left) == 0 {
		if t.ended {
			return 0, io.EOF
		}
		typ, fields, err := t.conn.Read()
		if errors.Is(err, io.EOF) { // before the other side has said that this is all
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		if typ != t.hears || len(fields) != 1 {
			return 0, errHandin
		}
		b, err := t.aead.Open(nil, t.talkNonce(t.hears, t.heard), fields[0], nil)
		if err != nil {
			return 0, errHandin
		}
		t.heard++
		t.left, t.ended = b, len(b) == 0
	}
	n := copy(p, t.left)
	clear(t.left[:n])
	t.left = t.left[n:]
	return n, nil
}

// errBusy is said where the process that has the profile does not talk.
var errBusy = errors.New("another sotto has this profile open, and it is not sotto org serve. End it first")

// TalkThrough passes on what in says to the process that has the profile, over a
// connection to it, and what that answers to out, until in ends and the answers do.
func TalkThrough(ctx context.Context, key *memguard.Enclave, rw io.ReadWriteCloser, in io.Reader, out io.Writer) error {
	defer rw.Close()
	defer context.AfterFunc(ctx, func() { rw.Close() })()
	conn := frame.NewConn(rw)
	typ, fields, err := conn.Read()
	if err != nil || typ != frameHello || len(fields) != 1 || len(fields[0]) != handinNonce {
		return errBusy
	}
	ours := make([]byte, handinNonce)
	rand.Read(ours)
	ch, err := newChannel(conn, key, fields[0], ours)
	if err != nil {
		return err
	}
	t := &talk{channel: ch, says: frameSaid, hears: frameHeard}
	if err := conn.Write(frameTalk, ours); err != nil {
		return errBusy
	}
	go func() {
		if _, err := io.Copy(writerOnly{t}, in); err == nil {
			t.say(nil)
		}
	}()
	n, err := io.Copy(out, readerOnly{t})
	if err != nil && n == 0 {
		return errBusy
	}
	if err != nil {
		return errors.New("the process that has this profile ended before it had answered. Look what was done: sotto org status")
	}
	return nil
}

// So that io.Copy uses nothing but these.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

// Talks takes those who want to talk, until next fails, and has each served by serve.
// What says anything else is not answered.
func Talks(ctx context.Context, key *memguard.Enclave, next func() (io.ReadWriteCloser, error), serve func(context.Context, io.ReadWriter)) {
	eachOf(ctx, next, func(rw io.ReadWriteCloser) { takeTalk(ctx, key, rw, serve) })
}

func takeTalk(ctx context.Context, key *memguard.Enclave, rw io.ReadWriteCloser, serve func(context.Context, io.ReadWriter)) {
	conn := frame.NewConn(rw)
	ours := make([]byte, handinNonce)
	rand.Read(ours)
	late := time.AfterFunc(handinTime, func() { rw.Close() })
	defer late.Stop()
	if conn.Write(frameHello, ours) != nil {
		return
	}
	typ, fields, err := conn.Read()
	if err != nil || typ != frameTalk || len(fields) != 1 || len(fields[0]) != handinNonce {
		return
	}
	ch, err := newChannel(conn, key, ours, fields[0])
	if err != nil {
		return
	}
	t := &talk{channel: ch, says: frameHeard, hears: frameSaid}
	// Nothing is done before something came that only who has the key can say.
	first := make([]byte, 1)
	if _, err := io.ReadFull(t, first); err != nil {
		return
	}
	late.Stop()
	serve(ctx, struct {
		io.Reader
		io.Writer
	}{io.MultiReader(bytes.NewReader(first), t), t})
	t.say(nil)
}
