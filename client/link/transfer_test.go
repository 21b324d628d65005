package link

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/internal/relay"
)

// filesAt logs a desk in to a link whose relay is at a web server. The server
// needs not be one: files only ask for the account.
func filesAt(t *testing.T, cfg Config, secure bool, h http.HandlerFunc) (*testDesk, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		one, end := context.WithCancel(q.Context())
		defer end()
		defer context.AfterFunc(ctx, end)()
		h(w, q.WithContext(one))
	}))
	s.Config.ErrorLog = quiet()
	m := account1("")
	if secure {
		s.StartTLS()
		m.Relay = "wss" + strings.TrimPrefix(s.URL, "https") + "/ws"
		m.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	} else {
		s.Start()
		m.Relay = "ws" + strings.TrimPrefix(s.URL, "http") + "/ws"
	}
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(cancel) // what a handler waits for, if nothing else ends it
	if cfg.Backoff == nil {
		cfg.Backoff = hour
	}
	d := attach(t, start(t, cfg), true)
	d.write(m)
	return d, s.URL
}

func isFileMessage(id uint64) func(wire.Message) bool {
	return func(m wire.Message) bool {
		switch m := m.(type) {
		case wire.Begin:
			return m.ID == id
		case wire.Want:
			return m.ID == id
		case wire.Chunk:
			return m.ID == id
		case wire.Ended:
			return m.ID == id
		}
		return false
	}
}

// upload answers what the link wants until it has ended. It returns where it began.
func (d *testDesk) upload(m wire.Put, content []byte) (begun int64, end wire.Ended) {
	d.t.Helper()
	d.write(m)
	begun, sent := int64(-1), int64(0)
	for {
		switch x := d.next("word of an upload", isFileMessage(m.ID)).(type) {
		case wire.Begin:
			begun, sent = int64(x.Offset), int64(x.Offset)
		case wire.Want:
			for upto := min(int64(x.Upto), int64(len(content))); sent < upto; {
				n := min(wire.MaxChunk, upto-sent)
				d.write(wire.Chunk{ID: m.ID, Offset: uint64(sent), Data: content[sent : sent+n]})
				sent += n
			}
		case wire.Ended:
			return begun, x
		}
	}
}

// download takes what comes, of which it has a part, until it has ended.
func (d *testDesk) download(m wire.Get, part []byte) (content []byte, end wire.Ended) {
	d.t.Helper()
	d.write(m)
	upto := 0
	for {
		switch x := d.next("word of a download", isFileMessage(m.ID)).(type) {
		case wire.Begin:
			if int(x.Offset) > len(part) {
				d.t.Fatalf("begins at %d", x.Offset)
			}
			content = bytes.Clone(part[:x.Offset])
			upto = len(content) + wire.Window
			d.write(wire.Want{ID: m.ID, Upto: uint64(upto)})
		case wire.Chunk:
			if int(x.Offset) != len(content) || len(content)+len(x.Data) > upto {
				d.t.Fatalf("%d bytes at %d of %d, %d allowed", len(x.Data), x.Offset, len(content), upto)
			}
			content = append(content, x.Data...)
			if upto-len(content) <= wire.Window/2 {
				upto = len(content) + wire.Window
				d.write(wire.Want{ID: m.ID, Upto: uint64(upto)})
			}
		case wire.Ended:
			return content, x
		}
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestPut(t *testing.T) {
	content := randomBytes(1_000_003)
	got := make(chan *http.Request, 1)
	body := make(chan []byte, 1)
	d, at := filesAt(t, Config{}, true, func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodPut {
			http.NotFound(w, q)
			return
		}
		b, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		got <- q
		body <- b
		w.WriteHeader(http.StatusCreated)
	})
	begun, end := d.upload(wire.Put{ID: 7, URL: at + "/slot/x", Type: "application/octet-stream", Size: uint64(len(content)), Headers: []wire.Header{
		{Name: "Authorization", Value: "Bearer token"}, {Name: "Host", Value: "evil.example"}, {Name: "X-Other", Value: "x"},
		{Name: "cookie", Value: "a=b"}, {Name: "Expires", Value: "never\r\nX-Injected: 1"}}}, content)
	if begun != 0 || end != (wire.Ended{ID: 7}) {
		t.Fatalf("begun at %d, ended %+v", begun, end)
	}
	q := await(t, got, "request")
	if q.URL.Path != "/slot/x" || q.ContentLength != int64(len(content)) || q.Header.Get("Content-Type") != "application/octet-stream" ||
		q.Header.Get("Authorization") != "Bearer token" || q.Header.Get("Cookie") != "a=b" || q.Header.Get("X-Other") != "" || q.Header.Get("Expires") != "" ||
		q.Header.Get("X-Injected") != "" || !strings.HasPrefix(at, "https://"+q.Host) || q.Header.Get("Content-Range") != "" {
		t.Errorf("asked %s %v of %s", q.URL, q.Header, q.Host)
	}
	if !bytes.Equal(await(t, body, "body"), content) {
		t.Error("another file was put")
	}
}

// stalls are how long those are waited for that do stall; 0 is the ordinary time, which
// no other one comes to, however slow this computer is.
var stalls = map[string]time.Duration{"stalls": 2 * time.Second, "silent": 2 * time.Second}

// TestPutEnds has servers that refuse, break off, stall and lead elsewhere.
func TestPutEnds(t *testing.T) {
	content := randomBytes(3 << 20)
	for name, x := range map[string]struct {
		serve   http.HandlerFunc
		outcome wire.Outcome
		words   string
	}{
		"refuses":   {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(http.StatusForbidden) }, wire.Rejected, "does not allow that (HTTP status 403)"},
		"slot gone": {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(http.StatusNotFound) }, wire.Rejected, "does not have this file"},
		"too large": {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(413) }, wire.TooLarge, "of this size"},
		"busy":      {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(503) }, wire.Broke, "cannot do that now"},
		"early":     {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(http.StatusCreated) }, wire.Broke, ""},
		"redirects": {func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "/elsewhere", http.StatusTemporaryRedirect)
		}, wire.Rejected, "elsewhere"},
		"breaks off": {func(w http.ResponseWriter, q *http.Request) { io.CopyN(io.Discard, q.Body, 100_000); reset(w) }, wire.Broke, ""},
		"stalls": {func(w http.ResponseWriter, q *http.Request) {
			io.CopyN(io.Discard, q.Body, 100_000)
			<-q.Context().Done()
		}, wire.Broke, "does not answer any more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, at := filesAt(t, Config{StallTimeout: stalls[name]}, false, func(w http.ResponseWriter, q *http.Request) {
				if q.Method == http.MethodPut {
					x.serve(w, q)
				}
			})
			_, end := d.upload(wire.Put{ID: 1, URL: at + "/x", Size: uint64(len(content))}, content)
			if end.Outcome != x.outcome || !strings.Contains(end.Words, x.words) || end.Words == "" {
				t.Errorf("ended %+v", end)
			}
		})
	}
}

// reset breaks a connection as a network does.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tc, ok := c.(*net.TCPConn); ok {
		tc.SetLinger(0)
	}
	c.Close()
}

// TestPutGoesOn asks where an upload broke off, and begins there.
func TestPutGoesOn(t *testing.T) {
	content := randomBytes(500_000)
	for name, x := range map[string]struct {
		offset, length string
		status         int
		begun          int64
		outcome        wire.Outcome
	}{
		"in the middle":     {"123457", "500000", 200, 123457, wire.Complete},
		"without length":    {"1", "", 200, 1, wire.Complete},
		"all is there":      {"500000", "500000", 200, 500000, wire.Complete},
		"another file":      {"5", "600000", 200, -1, wire.Rejected},
		"beyond the end":    {"500001", "", 200, -1, wire.Rejected},
		"negative":          {"-1", "", 200, -1, wire.Rejected},
		"no number":         {"1x", "", 200, -1, wire.Rejected},
		"cannot":            {"", "", 200, -1, wire.Rejected},
		"nothing there":     {"", "", 404, -1, wire.Rejected},
		"forbidden":         {"5", "500000", 403, -1, wire.Rejected},
		"no HEAD":           {"", "", 405, -1, wire.Rejected},
		"busy at the front": {"5", "", 502, -1, wire.Broke},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := make(chan []byte, 1)
			d, at := filesAt(t, Config{}, false, func(w http.ResponseWriter, q *http.Request) {
				switch q.Method {
				case http.MethodHead:
					if x.offset != "" {
						w.Header().Set("Upload-Offset", x.offset)
					}
					if x.length != "" {
						w.Header().Set("Upload-Length", x.length)
					}
					if q.Header.Get("Authorization") != "Bearer y" {
						t.Errorf("HEAD without the token: %v", q.Header)
					}
					w.WriteHeader(x.status)
				case http.MethodPut:
					b, _ := io.ReadAll(q.Body)
					if want := fmt.Sprintf("bytes %s-499999/500000", x.offset); q.Header.Get("Content-Range") != want || q.ContentLength != int64(len(b)) {
						t.Errorf("range %q", q.Header.Get("Content-Range"))
					}
					body <- b
				}
			})
			begun, end := d.upload(wire.Put{ID: 1, URL: at + "/x", Size: 500_000, Resume: true, Headers: []wire.Header{{Name: "Authorization", Value: "Bearer y"}}}, content)
			if begun != x.begun || end.Outcome != x.outcome {
				t.Errorf("begun at %d, ended %+v", begun, end)
			}
			if end.Outcome == wire.Complete && begun < 500_000 && !bytes.Equal(await(t, body, "body"), content[begun:]) {
				t.Error("the rest is another")
			}
		})
	}
}

func TestGet(t *testing.T) {
	content := randomBytes(1_000_003)
	d, at := filesAt(t, Config{}, true, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/file":
			http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(content))
		case "/moved":
			http.Redirect(w, q, "/file", http.StatusFound)
		case "/whole": // knows no ranges
			w.Write(content)
		case "/chunked":
			w.Write(content[:10])
			w.(http.Flusher).Flush()
			w.Write(content[10:])
		}
	})
	for i, x := range []struct {
		path string
		part int
	}{{"/file", 0}, {"/file", 300_000}, {"/file", len(content) - 1}, {"/file", len(content)}, {"/whole", 300_000}, {"/chunked", 0}, {"/moved", 5}} {
		got, end := d.download(wire.Get{ID: uint64(i), URL: at + x.path, From: uint64(x.part), Limit: 1 << 20}, content[:x.part])
		if end.Outcome != wire.Complete || !bytes.Equal(got, content) {
			t.Errorf("%s from %d: %d bytes, ended %+v", x.path, x.part, len(got), end)
		}
	}
}

// TestGetEnds has servers that lie about what they send, or do not send it.
func TestGetEnds(t *testing.T) {
	content := randomBytes(600_000)
	length := func(w http.ResponseWriter, n string) { w.Header().Set("Content-Length", n) }
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		t.Error("another server was asked")
	}))
	defer other.Close()
	for name, x := range map[string]struct {
		serve   http.HandlerFunc
		from    int
		outcome wire.Outcome
		words   string
	}{
		"gone":          {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(410) }, 0, wire.Missing, ""},
		"missing":       {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(404) }, 0, wire.Missing, ""},
		"refuses":       {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(401) }, 0, wire.Rejected, ""},
		"busy":          {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(429) }, 0, wire.Broke, ""},
		"short":         {func(w http.ResponseWriter, q *http.Request) { length(w, "600000"); w.Write(content[:1000]) }, 0, wire.Broke, "broke off"},
		"says too much": {func(w http.ResponseWriter, q *http.Request) { length(w, "1000001"); w.Write(content) }, 0, wire.TooLarge, ""},
		"too long": {func(w http.ResponseWriter, q *http.Request) {
			for range 3 {
				w.Write(content)
			}
		}, 0, wire.TooLarge, ""},
		"elsewhere": {func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, other.URL+"/x", http.StatusFound) }, 0, wire.Rejected, "elsewhere"},
		"on and on": {func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, q.URL.Path+"x", http.StatusFound) }, 0, wire.Rejected, "elsewhere"},
		"to plain": {func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "https://"+q.Host+"/x", http.StatusFound)
		}, 0, wire.Rejected, "elsewhere"},
		"compressed": {func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(content)
		}, 0, wire.Rejected, "in a form"},
		"another part": {func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-599999/600000")
			w.WriteHeader(206)
			w.Write(content[5:])
		}, 10, wire.Rejected, "another part"},
		"no range": {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(206); w.Write(content[10:]) }, 10, wire.Rejected, "another part"},
		"part of more": {func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Range", "bytes 10-599999/700000")
			w.WriteHeader(206)
			w.Write(content[10:])
		}, 10, wire.Rejected, "another part"},
		"part is all": {func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(416) }, 10, wire.Rejected, ""},
		"stalls": {func(w http.ResponseWriter, q *http.Request) {
			length(w, "600000")
			w.Write(content[:1000])
			w.(http.Flusher).Flush()
			<-q.Context().Done()
		}, 0, wire.Broke, "does not answer any more"},
		"silent": {func(w http.ResponseWriter, q *http.Request) { <-q.Context().Done() }, 0, wire.Broke, "does not answer any more"},
		"resets": {func(w http.ResponseWriter, q *http.Request) {
			length(w, "600000")
			w.Write(content[:300_000])
			w.(http.Flusher).Flush()
			reset(w)
		}, 0, wire.Broke, ""},
		"endless header": {func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 100_000))
		}, 0, wire.Broke, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, at := filesAt(t, Config{StallTimeout: stalls[name]}, false, func(w http.ResponseWriter, q *http.Request) {
				if strings.HasPrefix(q.URL.Path, "/file") {
					x.serve(w, q)
				}
			})
			got, end := d.download(wire.Get{ID: 1, URL: at + "/file", From: uint64(x.from), Limit: 1_000_000}, content[:x.from])
			if end.Outcome != x.outcome || !strings.Contains(end.Words, x.words) || end.Words == "" {
				t.Errorf("ended %+v", end)
			}
			if len(got) > 1_000_000 {
				t.Errorf("%d bytes came", len(got))
			}
		})
	}
}

// TestFileTrust goes to no server that the stream would not go to.
func TestFileTrust(t *testing.T) {
	var asked atomic.Int32
	handle := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { asked.Add(1) })
	stranger := httptest.NewUnstartedServer(handle)
	stranger.Config.ErrorLog = quiet()
	stranger.TLS = &tls.Config{Certificates: []tls.Certificate{newAuthority(t).server(-1, 1, "127.0.0.1")}}
	stranger.StartTLS()
	defer stranger.Close()
	old := httptest.NewUnstartedServer(handle)
	old.Config.ErrorLog = quiet()
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	defer old.Close()
	plain := httptest.NewServer(handle)
	defer plain.Close()
	d, at := filesAt(t, Config{}, true, func(w http.ResponseWriter, q *http.Request) {})
	u, _ := url.Parse(at)
	for i, x := range []struct {
		url     string
		outcome wire.Outcome
		words   string
	}{
		{stranger.URL, wire.Broke, "certificate"},
		{old.URL, wire.Broke, "old version of TLS"},
		{plain.URL, wire.Rejected, "not one with TLS"},
		{"http://" + u.Host, wire.Rejected, "not one with TLS"},
		{"https://user@" + u.Host, wire.Rejected, "no address"},
		{"https://" + u.Host + "/#fragment", wire.Rejected, "no address"},
		{"file:///etc/passwd", wire.Rejected, "no address"},
		{"https:///x", wire.Rejected, "no address"},
		{"ftp://" + u.Host, wire.Rejected, "not one with TLS"},
		{"https://a\x1b[2J/x", wire.Rejected, "no address"},
		{"", wire.Rejected, "no address"},
	} {
		_, end := d.download(wire.Get{ID: uint64(2 * i), URL: x.url, Limit: 100}, nil)
		if end.Outcome != x.outcome || !strings.Contains(end.Words, x.words) {
			t.Errorf("get %s: %+v", x.url, end)
		}
		_, end = d.upload(wire.Put{ID: uint64(2*i + 1), URL: x.url, Size: 100, Headers: []wire.Header{{Name: "Authorization", Value: "Bearer z"}}}, make([]byte, 100))
		if end.Outcome != x.outcome || !strings.Contains(end.Words, x.words) {
			t.Errorf("put %s: %+v", x.url, end)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests went there", n)
	}
}

// TestPlainFilesStayHere takes a URL without TLS for the relay alone, and only
// where it is on this computer.
func TestPlainFilesStayHere(t *testing.T) {
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, x := range []struct{ url, relay, want string }{
		{"http://127.0.0.1:80/x", "ws://127.0.0.1:80/ws", "http://127.0.0.1:80/x"},
		{"https://127.0.0.1:80/x", "ws://127.0.0.1:80/ws", "http://127.0.0.1:80/x"},
		{"http://localhost/x", "ws://localhost/ws", "http://localhost/x"},
		{"http://127.0.0.1:81/x", "ws://127.0.0.1:80/ws", ""},
		{"https://127.0.0.1:81/x", "ws://127.0.0.1:80/ws", "https://127.0.0.1:81/x"},
		{"http://h.example/x", "ws://h.example/ws", ""},
		{"http://127.0.0.1:80/x", "wss://127.0.0.1:80/ws", ""},
		{"http://127.0.0.1:80/x", "", ""},
		{"https://h.example/x", "", "https://h.example/x"},
	} {
		var relay *url.URL
		if x.relay != "" {
			relay = parse(x.relay)
		}
		u, err := fileURL(x.url, relay)
		if got := fmt.Sprint(u); x.want == "" && err == nil || x.want != "" && got != x.want {
			t.Errorf("%s with %s: %v, %v", x.url, x.relay, u, err)
		}
	}
}

// TestDeskBreaksRules ends the connection of a desk that gives more than it may.
func TestDeskBreaksRules(t *testing.T) {
	for name, bad := range map[string][]wire.Message{
		"too early":    {wire.Chunk{ID: 1, Offset: 0, Data: []byte("x")}},
		"wrong place":  {wire.Chunk{ID: 1, Offset: 5, Data: []byte("x")}},
		"too much":     manyChunks(6),
		"upload wants": {wire.Want{ID: 1, Upto: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, at := filesAt(t, Config{}, false, func(w http.ResponseWriter, q *http.Request) {
				if q.Method == http.MethodPut || q.Method == http.MethodHead {
					<-q.Context().Done()
				}
			})
			d.write(wire.Put{ID: 1, URL: at + "/x", Size: 1 << 26, Resume: name == "too early"})
			if name != "too early" {
				d.next("Want", func(m wire.Message) bool { _, ok := m.(wire.Want); return ok })
			}
			// The server reads what its buffers hold: so more than that is given.
			for _, m := range bad {
				if wire.Write(d.conn, m) != nil {
					break
				}
			}
			for m := range d.msgs {
				if _, ok := m.(wire.Ended); ok {
					t.Fatal("the transfer ended, and the connection did not")
				}
			}
		})
	}
}

// hears waits for a message, which is the next.
func (d *testDesk) hears(id string) {
	d.t.Helper()
	for {
		if _, e := d.inbound(); e.Local == "message" {
			if e.Get("id") != id {
				d.t.Fatalf("got %s instead of %s", e.Get("id"), id)
			}
			return
		}
	}
}

func manyChunks(windows int) []wire.Message {
	var list []wire.Message
	for i := range windows * wire.Window / wire.MaxChunk * 64 {
		list = append(list, wire.Chunk{ID: 1, Offset: uint64(i * wire.MaxChunk), Data: make([]byte, wire.MaxChunk)})
	}
	return list
}

// TestTooManyFiles bounds what moves at a time, and forgets it with the desk.
func TestTooManyFiles(t *testing.T) {
	begun, ended := make(chan struct{}, 100), make(chan struct{}, 100)
	d, at := filesAt(t, Config{}, false, func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodGet && q.URL.Path == "/x" {
			begun <- struct{}{}
			<-q.Context().Done()
			ended <- struct{}{}
		}
	})
	for i := range wire.MaxTransfer {
		d.write(wire.Get{ID: uint64(i), URL: at + "/x", Limit: 5})
	}
	if _, end := d.download(wire.Get{ID: 100, URL: at + "/x", Limit: 5}, nil); end.Outcome != wire.Broke || !strings.Contains(end.Words, "Too many") {
		t.Errorf("one more: %+v", end)
	}
	for range wire.MaxTransfer {
		await(t, begun, "request")
	}
	d.write(wire.Cancel{ID: 0})
	await(t, ended, "the end of what was cancelled")
	d.write(wire.Cancel{ID: 0})
	d.write(wire.Cancel{ID: 999})
	d.write(wire.Want{ID: 999, Upto: 5})
	d.write(wire.Chunk{ID: 999, Data: []byte("late")})
	d.write(wire.Get{ID: 101, URL: at + "/x", Limit: 5})
	await(t, begun, "request")
	d.write(wire.Logoff{})
	for range wire.MaxTransfer {
		await(t, ended, "the end of what was logged off")
	}
	if _, end := d.download(wire.Get{ID: 102, URL: at + "/x", Limit: 5}, nil); end.Words != "Not logged in." {
		t.Errorf("logged off: %+v", end)
	}
}

// TestMessagesOvertakeFiles writes a message while a file that is never wanted
// waits, and has it come before the file.
func TestMessagesOvertakeFiles(t *testing.T) {
	content := randomBytes(8 << 20)
	release := make(chan struct{})
	files := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodPut {
			<-release
			io.Copy(io.Discard, q.Body)
			return
		}
		w.Write(content)
	}))
	files.StartTLS()
	defer files.Close()
	defer files.CloseClientConnections()
	defer close(release)
	r, err := relay.New(relay.Config{Domain: "h.example", Iterations: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, who := range []string{"ada", "bob"} {
		if err := r.AddUser(t.Context(), who, []byte("correct horse"), who); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go r.Serve(context.Background(), ln)
	m := account1("ws://" + ln.Addr().String() + "/ws")
	m.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: files.Certificate().Raw})
	ada, bob := attach(t, start(t, Config{}), true), attach(t, start(t, Config{}), true)
	ada.write(m)
	m.Address, m.Password = "bob@h.example", []byte("correct horse")
	bob.write(m)
	ada.phase(wire.Online)
	bob.phase(wire.Online)
	// Each way: ada puts a file that is not taken, and gets one of which she has
	// asked for a window and no more.
	ada.write(wire.Put{ID: 1, URL: files.URL + "/put", Size: uint64(len(content))})
	want := ada.next("Want", func(m wire.Message) bool { _, ok := m.(wire.Want); return ok }).(wire.Want)
	for at := uint64(0); at < want.Upto; at += wire.MaxChunk {
		ada.write(wire.Chunk{ID: 1, Offset: at, Data: content[at : at+wire.MaxChunk]})
	}
	ada.write(wire.Get{ID: 2, URL: files.URL + "/get", Limit: 1 << 24})
	ada.next("Begin", func(m wire.Message) bool { b, ok := m.(wire.Begin); return ok && b.ID == 2 })
	ada.write(wire.Want{ID: 2, Upto: wire.Window})
	for i := range 20 {
		id := fmt.Sprint("m", i)
		ada.write(wire.Send{ID: id, Stanza: stanza.NewChat("bob@h.example", id, stanza.Body("x")).Bytes()})
		bob.hears(id)
		bob.write(wire.Send{ID: id, Stanza: stanza.NewChat("ada@h.example", id, stanza.Body("x")).Bytes()})
		ada.hears(id)
	}
}
