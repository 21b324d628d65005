//go:build unix

package role

import "sotto/internal/frame"

// Control is the connection between the watch and one role. Send may be called
// from several goroutines, Receive from one.
type Control struct {
	conn   *frame.Conn
	socket *Socket
}

// NewControl speaks the control protocol over a socket, which Close closes.
func NewControl(s *Socket) *Control { return &Control{conn: frame.NewConn(s), socket: s} }

// Send writes one message.
func (c *Control) Send(m Message) error {
	typ, fields, err := encode(m)
	if err != nil {
		return err
	}
	return c.conn.Write(typ, fields...)
}

// Receive waits for the next message. What does not parse is
// frame.ErrMalformed; the end of the connection is io.EOF.
func (c *Control) Receive() (Message, error) {
	typ, fields, err := c.conn.Read()
	if err != nil {
		return nil, err
	}
	return decode(typ, fields)
}

// Close ends the connection; a Receive under way returns.
func (c *Control) Close() error { return c.conn.Close() }
