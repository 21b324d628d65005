//go:build amd64 || arm64

package harden_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"sotto/internal/harden"
)

func TestLink(t *testing.T) {
	relay, root := startRelay(t)
	resolver := startResolver(t)
	// One root is given by name, the other as crypto/x509 finds it.
	c := start(t, "link", "RELAY="+relay, "RESOLVER="+resolver, "SSL_CERT_FILE="+root)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	c.hear("a file?")
	raw, err := c.socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), []byte("here"), unix.UnixRights(int(in.Fd())), nil, 0)
		return err != unix.EAGAIN
	})
	if err != nil {
		t.Fatal(err)
	}
	out.WriteString("through the pipe\n")
	r := c.end()
	r.holds(t)
	r.refused(t,
		"make a TCP socket", "make a TCP socket (IPv6)", "make a UDP socket", "make a UDP socket (IPv6)",
		"connect a socket", "bind a socket", "send a datagram")
	if len(r.Works) < 8 {
		t.Errorf("only %d things were tried that must work", len(r.Works))
	}
}

func linkRole(dir string, socket *os.File, r *report) error {
	relay, resolver := os.Getenv("RELAY"), os.Getenv("RESOLVER")
	host, port, err := net.SplitHostPort(relay)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), nil, 0o600); err != nil {
		return err
	}
	if err := confined(r, func() (harden.Layers, error) {
		return harden.Link(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "not there"))
	}); err != nil {
		return err
	}
	r.try("read the certificate authority it was given", func() error {
		_, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		return err
	})
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs"} {
		if _, err := os.Stat(name); err != nil {
			continue // not on this system, or not in this container
		}
		r.try("read "+name, func() error {
			f, err := os.Open(name)
			if err == nil {
				f.Close()
			}
			return err
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dial := func(host string, resolver *net.Resolver) error {
		d := &net.Dialer{Resolver: resolver}
		client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
		defer client.CloseIdleConnections()
		conn, _, err := websocket.Dial(ctx, "wss://"+net.JoinHostPort(host, port), &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			return err
		}
		defer conn.CloseNow()
		if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			return err
		}
		if _, b, err := conn.Read(ctx); err != nil || string(b) != "hello" {
			return fmt.Errorf("the echo was %q, %v", b, err)
		}
		return conn.Close(websocket.StatusNormalClosure, "")
	}
	// dns asks the test's own resolver, over the network that is named.
	dns := func(network string) *net.Resolver {
		return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, resolver)
		}}
	}
	r.try("dial by address", func() error { return dial(host, nil) })
	r.try("dial a name in the file of hosts", func() error { return dial("localhost", nil) })
	r.try("dial a name that was asked for over UDP", func() error { return dial("relay.test", dns("udp")) })
	r.try("dial a name that was asked for over TCP", func() error { return dial("relay.test", dns("tcp")) })
	r.try("be free to use IPv6", func() error {
		conn, err := net.Dial("tcp6", net.JoinHostPort("::1", port))
		if err == nil {
			conn.Close()
		}
		if errors.Is(err, os.ErrPermission) {
			return err
		}
		return nil // nobody listens there, or this machine has none
	})
	r.try("not trust anyone else", func() error {
		conn, err := tls.Dial("tcp", relay, &tls.Config{ServerName: "elsewhere.test"})
		if err == nil {
			conn.Close()
			return errors.New("a certificate for another name was good")
		}
		if !errors.As(err, new(x509.HostnameError)) {
			return err
		}
		return nil
	})
	r.try("start 32 threads", func() error { threads(32); return nil })
	r.try("receive a file", func() error {
		socket.WriteString("a file?\n")
		f, err := receive(socket)
		if err != nil {
			return err
		}
		defer f.Close()
		return expect(f, "through the pipe")
	})
	r.Table = harden.Probe(dir, r.Layers)
	return nil
}

// receive takes a descriptor from a socket, as the link does.
func receive(socket *os.File) (*os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var n int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		_, n, _, _, failed = unix.Recvmsg(int(fd), make([]byte, 16), oob, unix.MSG_CMSG_CLOEXEC)
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "received"), nil
}

// startRelay is a server that returns what a WebSocket says to it. It returns
// its address and the file of the root that signed it.
func startRelay(t *testing.T) (address, root string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "relay.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root = filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, err := websocket.Accept(w, req, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			typ, b, err := conn.Read(req.Context())
			if err != nil || conn.Write(req.Context(), typ, b) != nil {
				return
			}
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), root
}

// startResolver answers every question for an address with 127.0.0.1, over UDP
// and TCP at one port.
func startResolver(t *testing.T) string {
	t.Helper()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			udp.WriteTo(answer(b[:n]), from)
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b := make([]byte, 1500)
				for {
					n, err := conn.Read(b)
					if err != nil || n < 2 {
						return
					}
					a := answer(b[2:n])
					conn.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
				}
			}()
		}
	}()
	return tcp.Addr().String()
}

func answer(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	if q.Type == dnsmessage.TypeA && strings.HasPrefix(q.Name.String(), "relay.test.") {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
