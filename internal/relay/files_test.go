package relay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
)

const uploads = "upload.ward.example"

// slot asks for a place for a file.
func (c *client) slot(name string, size int) stanza.Slot {
	c.t.Helper()
	s, err := stanza.ReadSlot(c.must("get", uploads, stanza.UploadRequest{Name: name, Size: int64(size)}.Element().String()))
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// do sends a request and returns the answer with its body.
func httpDo(t testing.TB, method, url string, body []byte, header ...string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer a.Body.Close()
	b, _ := io.ReadAll(a.Body)
	return a, string(b)
}

func put(t testing.TB, s stanza.Slot, body []byte, header ...string) int {
	t.Helper()
	a, _ := httpDo(t, "PUT", s.Put, body, append([]string{"Authorization", s.Headers[0].Value}, header...)...)
	return a.StatusCode
}

func TestFiles(t *testing.T) {
	for _, where := range []string{"memory", "disk"} {
		t.Run(where, func(t *testing.T) {
			cfg := Config{}
			if where == "disk" {
				cfg.Store = t.TempDir()
			}
			s := startRelay(t, cfg, "alice", "bob")
			alice := s.online("alice", "a")
			if n, ok := stanza.ReadUploadLimit(alice.must("get", uploads, `<query xmlns="`+nsDiscoInfo+`"/>`)); !ok || n != 64<<20 {
				t.Errorf("limit %d, %v", n, ok)
			}
			content := bytes.Repeat([]byte("0123456789"), 10000)
			slot := alice.slot("scan é/../x.png", len(content))
			if !strings.HasPrefix(slot.Get, "http://"+s.addr+"/upload/") || !strings.HasSuffix(slot.Get, "/x.png") || slot.Put != slot.Get {
				t.Errorf("slot %+v", slot)
			}
			if a, _ := httpDo(t, "GET", slot.Get, nil); a.StatusCode != 404 {
				t.Errorf("before it is there: %s", a.Status)
			}
			for what, h := range map[string][]string{"none": nil, "wrong": {"Authorization", "Bearer " + strings.Repeat("0", 48)}, "empty": {"Authorization", "Bearer "}, "basic": {"Authorization", "Basic x"}} {
				if a, _ := httpDo(t, "PUT", slot.Put, content, h...); a.StatusCode != 403 {
					t.Errorf("token %s: %s", what, a.Status)
				}
			}
			if got := put(t, slot, content[1:]); got != 400 {
				t.Errorf("another length: %d", got)
			}
			if got := put(t, slot, append(content, 'x')); got != 400 {
				t.Errorf("another length: %d", got)
			}
			q, _ := http.NewRequest("PUT", slot.Put, io.MultiReader(bytes.NewReader(content)))
			q.Header.Set("Authorization", slot.Headers[0].Value)
			if a, err := http.DefaultTransport.RoundTrip(q); err != nil || a.StatusCode != 411 {
				t.Errorf("no length: %v, %v", a, err)
			}
			if got := put(t, slot, content); got != 201 {
				t.Fatalf("uploaded: %d", got)
			}
			a, body := httpDo(t, "GET", slot.Get, nil)
			if body != string(content) || a.StatusCode != 200 {
				t.Fatalf("downloaded %d bytes, %s", len(body), a.Status)
			}
			for k, v := range map[string]string{"Content-Type": "application/octet-stream", "Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff",
				"Cache-Control": "no-store", "Accept-Ranges": "bytes", "Referrer-Policy": "no-referrer"} {
				if got := a.Header.Get(k); got != v {
					t.Errorf("%s: %q", k, got)
				}
			}
			if !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Error("no content security policy")
			}
			a, body = httpDo(t, "GET", slot.Get, nil, "Range", "bytes=99990-", "If-Range", a.Header.Get("ETag"))
			if a.StatusCode != 206 || body != "0123456789" {
				t.Errorf("range: %s %q", a.Status, body)
			}
			// The answer was lost: again, and with something else.
			if got := put(t, slot, content); got != 201 {
				t.Errorf("again: %d", got)
			}
			other := bytes.Clone(content)
			other[len(other)-1] = 'x'
			if got := put(t, slot, other); got != 409 {
				t.Errorf("another file: %d", got)
			}
			if _, body := httpDo(t, "GET", slot.Get, nil); body != string(content) {
				t.Error("the file changed")
			}
			if a, _ := httpDo(t, "PUT", slot.Put, content); a.StatusCode != 403 {
				t.Errorf("without the token: %s", a.Status)
			}
			if a, _ := httpDo(t, "DELETE", slot.Put, nil, "Authorization", slot.Headers[0].Value); a.StatusCode != 405 {
				t.Errorf("delete: %s", a.Status)
			}
		})
	}
}

// TestFileResume: an upload that broke off goes on where it did.
func TestFileResume(t *testing.T) {
	s := startRelay(t, Config{Store: t.TempDir()}, "alice")
	alice := s.online("alice", "a")
	content := bytes.Repeat([]byte("0123456789"), 50000)
	slot := alice.slot("f", len(content))
	auth := slot.Headers[0].Value
	broken := func(from, n int, header string) {
		t.Helper()
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		path := strings.TrimPrefix(slot.Put, "http://"+s.addr)
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n%s\r\n", path, auth, len(content)-from, header)
		c.Write(content[from : from+n])
	}
	offset := func() string {
		a, _ := httpDo(t, "HEAD", slot.Put, nil, "Authorization", auth)
		return a.Header.Get("Upload-Offset")
	}
	if got := offset(); got != "0" {
		t.Errorf("begins at %q", got)
	}
	broken(0, 200000, "")
	eventually(t, "the first part", func() bool { return offset() == "200000" })
	broken(200000, 100000, fmt.Sprintf("Content-Range: bytes 200000-%d/%d\r\n", len(content)-1, len(content)))
	eventually(t, "the second part", func() bool { return offset() == "300000" })
	if a, _ := httpDo(t, "HEAD", slot.Put, nil); a.Header.Get("Upload-Offset") != "" || a.StatusCode != 404 {
		t.Errorf("a stranger asks: %s", a.Status)
	}
	for header, want := range map[string]int{
		fmt.Sprintf("bytes 100000-%d/%d", len(content)-1, len(content)): 409,
		fmt.Sprintf("bytes 400000-%d/%d", len(content)-1, len(content)): 409,
		fmt.Sprintf("bytes 300000-%d/%d", len(content)-2, len(content)): 416,
		fmt.Sprintf("bytes 300000-%d/*", len(content)-1):                416,
		"bytes 300000-99999999999999999999/500000":                      416,
		"bytes -5-499999/500000":                                        416,
	} {
		var from int
		fmt.Sscanf(header, "bytes %d-", &from)
		if from < 0 || from > len(content) {
			from = 0
		}
		if got := put(t, slot, content[from:], "Content-Range", header); got != want {
			t.Errorf("%s: %d, want %d", header, got, want)
		}
	}
	if got := put(t, slot, content[300000:], "Content-Range", fmt.Sprintf("bytes 300000-%d/%d", len(content)-1, len(content))); got != 201 {
		t.Fatalf("the rest: %d", got)
	}
	if got := offset(); got != fmt.Sprint(len(content)) {
		t.Errorf("ends at %q", got)
	}
	if _, body := httpDo(t, "GET", slot.Get, nil); body != string(content) {
		t.Error("put together wrongly")
	}

	// A connection that hangs does not keep out the next.
	slot = alice.slot("g", len(content))
	auth = slot.Headers[0].Value
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n1234", strings.TrimPrefix(slot.Put, "http://"+s.addr), auth, len(content))
	eventually(t, "the hanging part", func() bool { return offset() == "4" })
	if got := put(t, slot, content); got != 201 {
		t.Errorf("beside one that hangs: %d", got)
	}
	if _, body := httpDo(t, "GET", slot.Get, nil); body != string(content) {
		t.Error("mixed up with the one that hung")
	}
}

func TestFilesHostile(t *testing.T) {
	dir := t.TempDir()
	s := startRelay(t, Config{Store: dir, Limits: Limits{FileBytes: 1000, Files: 5, FilesBytes: 3000, ShelfBytes: 5000}}, "alice", "bob", "carol")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	e := alice.refused("not-acceptable", "get", uploads, stanza.UploadRequest{Name: "f", Size: 1001}.Element().String())
	if n, _ := stanza.ReadUploadError(e); n != 1000 {
		t.Errorf("%s", e)
	}
	for _, size := range []string{"0", "-1", "x", "99999999999999999999"} {
		alice.refused("bad-request", "get", uploads, `<request xmlns="`+stanza.NSUpload+`" filename="f" size="`+size+`"/>`)
	}
	for range 3 {
		alice.slot("f", 1000)
	}
	e = alice.refused("resource-constraint", "get", uploads, stanza.UploadRequest{Name: "f", Size: 1}.Element().String())
	if _, at := stanza.ReadUploadError(e); at.Before(time.Now()) {
		t.Errorf("try again at %v", at)
	}
	for i := range 5 {
		bob.slot(fmt.Sprint(i), 1)
	}
	bob.refused("resource-constraint", "get", uploads, stanza.UploadRequest{Name: "f", Size: 1}.Element().String())
	carol := s.online("carol", "c")
	carol.slot("f", 1000)
	carol.refused("resource-constraint", "get", uploads, stanza.UploadRequest{Name: "f", Size: 1000}.Element().String())

	// There is no way out of the folder, and none to look into it.
	secret := filepath.Join(dir, "files", "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/upload/", "/upload", "/upload/secret/x", "/upload/../relay.db/x", "/upload/%2e%2e%2frelay.db/x", "/upload/..%5crelay.db/x",
		"/upload/" + strings.Repeat("0", 48) + "/x", "/upload/" + strings.Repeat("A", 48) + "/x", "/upload/" + strings.Repeat("0", 48) + ".part/x", "/upload/" + strings.Repeat("0", 48) + "%00/x", "/files/secret", "/"} {
		for _, method := range []string{"GET", "HEAD", "PUT"} {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method, path)
			b, _ := io.ReadAll(c)
			c.Close()
			if bytes.Contains(b, []byte("secret")) && !bytes.Contains(b, []byte("Location")) || bytes.HasPrefix(b, []byte("HTTP/1.1 2")) || bytes.Contains(b, []byte("SQLite")) {
				t.Errorf("%s %s: %q", method, path, b)
			}
		}
	}
	for in, want := range map[string]string{"../../etc/passwd": "passwd", `..\..\x`: "x", "..": "file", ".": "file", "/": "file", "a b?#%.png": "a%20b%3F%23%25.png", "\x00": "%00", strings.Repeat("é", 100) + ".tiff": ""} {
		got := fileName(in)
		if want == "" && !strings.HasSuffix(got, ".tiff") || want != "" && got != want || strings.ContainsAny(got, "/\\\x00") {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

// TestFilesExpire: files go when their time is up, slots that nobody used sooner,
// and those of a person who is removed at once.
func TestFilesExpire(t *testing.T) {
	dir := t.TempDir()
	s := startRelay(t, Config{Store: dir}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	kept, unused, bobs := alice.slot("f", 4), alice.slot("g", 4), bob.slot("h", 4)
	if got := put(t, kept, []byte("text")) + put(t, bobs, []byte("text")); got != 402 {
		t.Fatal(got)
	}
	files := func() int {
		all, _ := os.ReadDir(filepath.Join(dir, "files"))
		return len(all)
	}
	for _, f := range []string{"relay.db", "files"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
	later := func(d time.Duration) {
		s.do(context.Background(), func(c *core) error { c.now = func() time.Time { return time.Now().Add(d) }; return nil })
	}
	if err := s.RemoveUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob's file to go", func() bool { return files() == 1 })
	later(2 * time.Hour)
	eventually(t, "the unused slot to go", func() bool {
		a, _ := httpDo(t, "HEAD", unused.Put, nil, "Authorization", unused.Headers[0].Value)
		return a.StatusCode == 403
	})
	if got := put(t, unused, []byte("late")); got != 403 {
		t.Errorf("too late: %d", got)
	}
	if _, body := httpDo(t, "GET", kept.Get, nil); body != "text" {
		t.Errorf("kept: %q", body)
	}
	later(15 * 24 * time.Hour)
	eventually(t, "the file to go", func() bool { return files() == 0 })
	if a, _ := httpDo(t, "GET", kept.Get, nil); a.StatusCode != 404 {
		t.Errorf("after its time: %s", a.Status)
	}
	s.do(context.Background(), func(c *core) error {
		if c.shelved != 0 {
			t.Errorf("%d bytes by the books", c.shelved)
		}
		return nil
	})
}

// TestFilesStay: files are there after a restart; what belongs to no slot goes.
func TestFilesStay(t *testing.T) {
	dir := t.TempDir()
	s := startRelay(t, Config{Store: dir}, "alice")
	slot := s.online("alice", "a").slot("f", 4)
	if got := put(t, slot, []byte("text")); got != 201 {
		t.Fatal(got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(dir, "files", strings.Repeat("0", 48)+".part")
	mine := filepath.Join(dir, "files", "notes.txt")
	for _, f := range []string{stray, mine} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := s.addr
	s = startRelay(t, Config{Store: dir})
	if _, body := httpDo(t, "GET", strings.Replace(slot.Get, old, s.addr, 1), nil); body != "text" {
		t.Errorf("after a restart: %q", body)
	}
	if _, err := os.Stat(stray); err == nil {
		t.Error("a stray part is still there")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error("a file that is none of the relay's is gone")
	}
}
