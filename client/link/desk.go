package link

import (
	"io"

	"sotto/client/wire"
	"sotto/internal/frame"
)

// desk is the connection to one desk, with a goroutine that reads and one that
// writes. The owner never waits for either.
type desk struct {
	conn  *frame.Conn
	in    chan deskMessage
	out   chan wire.Message
	gone  chan struct{} // closed when the owner has let go
	ready bool          // it has logged in
	blind bool          // it has to be given the presences that came before it, once the link is online

	// What is to be said, besides the inbox, in this order.
	state    bool
	pending  bool
	changed  *wire.PasswordChanged
	back     []wire.Withdrawn
	enlisted *wire.Enlisted
	moves    []wire.Message // of files: after everything else, so that it waits for none
}

// deskMessage is what a desk said, or that it went.
type deskMessage struct {
	m   wire.Message
	err error
}

func newDesk(rw io.ReadWriteCloser) *desk {
	d := &desk{conn: frame.NewConn(rw), in: make(chan deskMessage), out: make(chan wire.Message), gone: make(chan struct{})}
	go d.reader()
	go d.writer()
	return d
}

func (d *desk) reader() {
	for {
		m, err := wire.Read(d.conn)
		select {
		case d.in <- deskMessage{m, err}:
		case <-d.gone:
			if l, ok := m.(wire.Login); ok {
				clear(l.Password)
				clear(l.Next)
			}
			return
		}
		if err != nil {
			return
		}
	}
}

func (d *desk) writer() {
	for {
		select {
		case m := <-d.out:
			if wire.Write(d.conn, m) != nil {
				d.conn.Close() // the reader sees it too
				return
			}
		case <-d.gone:
			return
		}
	}
}

// drop lets go of the desk.
func (d *desk) drop() {
	close(d.gone)
	d.conn.Close()
}
