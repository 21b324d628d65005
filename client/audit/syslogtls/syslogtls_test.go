package syslogtls

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

// server takes one connection, and says what came and how it ended.
func server(t *testing.T) (address string, ca []byte, came <-chan string) {
	t.Helper()
	h := httptest.NewTLSServer(nil) // for its certificate, of 127.0.0.1
	t.Cleanup(h.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: h.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	all := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		b, err := io.ReadAll(conn)
		if err != nil { // without a close_notify
			b = append(b, "\nended with "+err.Error()...)
		}
		all <- string(b)
	}()
	return l.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), all
}

func TestSend(t *testing.T) {
	address, ca, came := server(t)
	s, err := Dial(t.Context(), address, ca)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 5000 {
		m := fmt.Sprintf("<110>1 message %d é", i)
		fmt.Fprintf(&want, "%d %s", len(m), m)
		if err := s.Send([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-came; got != want.String() {
		t.Errorf("%d bytes came, of %d, which end %.100q", len(got), want.Len(), got[max(0, len(got)-100):])
	}
}

func TestWhoIsNotTrusted(t *testing.T) {
	address, ca, _ := server(t)
	if s, err := Dial(t.Context(), address, nil); err == nil {
		s.Close()
		t.Error("a server of an unknown authority is talked to")
	}
	address, _, _ = server(t)
	if s, err := Dial(t.Context(), strings.Replace(address, "127.0.0.1", "localhost", 1), ca); err == nil {
		s.Close()
		t.Error("a server of another name is talked to")
	}
	if _, err := Dial(t.Context(), address, []byte("nothing")); err == nil {
		t.Error("a file without certificates is taken")
	}
}
