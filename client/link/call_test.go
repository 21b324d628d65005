package link

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sotto/client/wire"
)

// called sends a call and waits for its answer.
func (d *testDesk) called(m wire.Call) wire.Called {
	d.t.Helper()
	d.write(m)
	return d.next("the answer to a call", func(x wire.Message) bool { a, ok := x.(wire.Called); return ok && a.ID == m.ID }).(wire.Called)
}

func TestCall(t *testing.T) {
	got := make(chan *http.Request, 1)
	body := make(chan []byte, 1)
	d, at := filesAt(t, Config{}, true, func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodPost { // the link looks for its relay, too
			http.NotFound(w, q)
			return
		}
		b, _ := io.ReadAll(q.Body)
		got <- q
		body <- b
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, `{"message":"it is there"}`)
	})
	a := d.called(wire.Call{ID: 7, URL: at + "/api/register", Auth: []byte("Basic eDp5"), Body: []byte(`{"user":"x"}`)})
	if a.Status != http.StatusConflict || string(a.Body) != `{"message":"it is there"}` || a.Words != "" {
		t.Errorf("%+v", a)
	}
	q := await(t, got, "request")
	if q.Method != http.MethodPost || q.URL.Path != "/api/register" || q.Header.Get("Authorization") != "Basic eDp5" ||
		q.Header.Get("Content-Type") != "application/json" || q.TLS == nil || !strings.HasSuffix(at, q.Host) || string(await(t, body, "body")) != `{"user":"x"}` {
		t.Errorf("asked %s %s %v of %s", q.Method, q.URL, q.Header, q.Host)
	}
}

// TestHostileCalls has an interface answer as it must not, and asks where none may be
// asked: there is an answer each time, bounded, and what is secret goes nowhere else.
func TestHostileCalls(t *testing.T) {
	elsewhere := make(chan string, 10)
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { elsewhere <- q.URL.Path }))
	t.Cleanup(other.Close)
	raw := func(w http.ResponseWriter, answer string) {
		c, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		buffered.WriteString(answer)
		buffered.Flush()
	}
	d, at := filesAt(t, Config{}, true, func(w http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body)
		switch q.URL.Path {
		case "/redirect":
			http.Redirect(w, q, other.URL+"/stolen", http.StatusTemporaryRedirect)
		case "/long":
			w.Write(bytes.Repeat([]byte("x"), wire.MaxReply+1))
		case "/endless":
			for q.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		case "/headers":
			for range 100 {
				w.Header().Add("X-More", strings.Repeat("x", 1000))
			}
		case "/continue":
			raw(w, "HTTP/1.1 100 Continue\r\n\r\n")
		case "/nonsense":
			raw(w, "\x00\x01\x02\r\n\r\n")
		case "/nothing":
			raw(w, "")
		case "/cut":
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
		case "/stall":
			<-q.Context().Done()
		default:
			io.WriteString(w, "fine")
		}
	})
	for i, x := range []struct{ url, words string }{
		{at + "/redirect", "sends it on"},
		{at + "/long", "more than is taken"},
		{at + "/endless", "more than is taken"},
		{at + "/headers", "nothing that can be understood"},
		{at + "/continue", "nothing that can be understood"},
		{at + "/nonsense", "nothing that can be understood"},
		{at + "/nothing", "nothing that can be understood"},
		{at + "/cut", "broke off"},
		{strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/stolen", "certificate"},
		{strings.Replace(at, "https", "http", 1), "not one with TLS"},
		{"ftp://localhost/x", "not one with TLS"},
		{"https://a:b@localhost/x", "not one with TLS"},
	} {
		a := d.called(wire.Call{ID: uint64(i), URL: x.url, Auth: []byte("Bearer secret"), Body: []byte("{}")})
		if a.Status != 0 || len(a.Body) > 0 || !strings.Contains(a.Words, x.words) || strings.Contains(a.Words, "secret") {
			t.Errorf("%s: %+v", x.url, a)
		}
	}
	if a := d.called(wire.Call{ID: 100, URL: at + "/", Auth: []byte("Bearer x\r\nX-More: y")}); a.Status != 0 || a.Words == "" {
		t.Errorf("a credential of two lines: %+v", a)
	}
	if a := d.called(wire.Call{ID: 101, URL: at + "/"}); a.Status != http.StatusOK || string(a.Body) != "fine" {
		t.Errorf("afterwards: %+v", a)
	}
	for range wire.MaxCalls {
		d.write(wire.Call{ID: 200, URL: at + "/stall"})
	}
	if a := d.called(wire.Call{ID: 200, URL: at + "/"}); a.Status != 0 {
		t.Errorf("too many at once: %+v", a)
	}
	d.write(wire.Logoff{})
	if a := d.called(wire.Call{ID: 300, URL: at + "/"}); a.Words != "Not logged in." {
		t.Errorf("logged off: %+v", a)
	}
	select {
	case path := <-elsewhere:
		t.Errorf("another server was asked for %s", path)
	default:
	}
}

// TestCallStalls has an interface that does not answer.
func TestCallStalls(t *testing.T) {
	d, at := filesAt(t, Config{StallTimeout: 100 * time.Millisecond}, true, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	if a := d.called(wire.Call{ID: 1, URL: at + "/"}); a.Status != 0 || !strings.Contains(a.Words, "does not answer") {
		t.Errorf("%+v", a)
	}
}

// TestCallPins holds a call to the keys that the organisation requires.
func TestCallPins(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { t.Errorf("%s in spite of the pins", q.Method) }))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = quiet()
	m := account1("wss" + strings.TrimPrefix(s.URL, "https") + "/ws")
	m.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	m.Pins = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	d := attach(t, start(t, Config{Backoff: hour}), true)
	d.write(m)
	if a := d.called(wire.Call{ID: 1, URL: s.URL, Auth: []byte("Bearer secret")}); a.Status != 0 || a.Words == "" {
		t.Errorf("%+v", a)
	}
}
