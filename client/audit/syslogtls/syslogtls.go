// Package syslogtls carries syslog messages over TLS (RFC 5425), for the export of
// audit logs. It is for the command line: no role of sotto imports it.
package syslogtls

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sotto/client/audit/export"
)

// DefaultPort is that of syslog over TLS (RFC 5425, section 4.1).
const DefaultPort = "6514"

// patience bounds how long the other side may take for a connection, or to take
// what was written.
const patience = 30 * time.Second

// Sender is a connection to a syslog server. It is not safe for concurrent use.
type Sender struct {
	conn *tls.Conn
	w    *bufio.Writer
}

// Dial connects to HOST or HOST:PORT. The server's certificate must be for HOST, and
// from one of the authorities in ca (PEM), or of the system's if that is nil. certs,
// which may be empty, is what this side shows.
func Dial(ctx context.Context, address string, ca []byte, certs ...tls.Certificate) (*Sender, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, DefaultPort
	}
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, Certificates: certs}
	if ca != nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("connect to the syslog server: the file of certificates has none, in PEM")
		}
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: cfg}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("connect to the syslog server: %w", err)
	}
	t := conn.(*tls.Conn)
	s := &Sender{conn: t}
	s.w = bufio.NewWriterSize(deadlined{t}, 64<<10)
	return s, nil
}

// deadlined writes as long as the other side takes something now and then.
type deadlined struct{ *tls.Conn }

func (d deadlined) Write(b []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return d.Conn.Write(b)
}

// Send sends a message. It may still be here when Send returns; see Close.
func (s *Sender) Send(message []byte) error {
	if _, err := s.w.Write(export.Frame(message)); err != nil {
		return fmt.Errorf("send to the syslog server: %w", err)
	}
	return nil
}

// Close sends what is left, says that it was all (close_notify, RFC 5425 section
// 4.4), and waits until the other side has closed, too. Syslog has no
// acknowledgement: that the server has kept the messages nobody can tell.
func (s *Sender) Close() error {
	defer s.conn.Close()
	err := s.w.Flush()
	if err == nil {
		err = s.conn.CloseWrite()
	}
	if err == nil {
		err = s.conn.SetReadDeadline(time.Now().Add(patience))
	}
	if err == nil {
		if _, err = io.Copy(io.Discard, s.conn); isTimeout(err) {
			err = nil // it has all, and keeps the connection
		}
	}
	if err != nil {
		return fmt.Errorf("send to the syslog server: %w", err)
	}
	return nil
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}
