package relaycheck

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sotto/client/stanza"
)

// leastFile is what should fit: a photograph.
const leastFile = 8 << 20

// upload puts a small file, fetches it, and tries to put another one unasked.
func (s *scene) upload(ctx context.Context) {
	switch {
	case s.fileLimit == 0:
		s.set("upload.limit", good("the service does not say"))
	case s.fileLimit < leastFile:
		s.set("upload.limit", weak(fmt.Sprintf("%d KiB", s.fileLimit>>10), "Photographs do not fit.", fmt.Sprintf("Allow files of %d MiB or more.", leastFile>>20)))
	default:
		s.set("upload.limit", good("%d MiB", s.fileLimit>>20))
	}
	content := make([]byte, 1024)
	_, _ = rand.Read(content)
	failed := func(found, meaning string) {
		s.set("upload.transfer", bad(found, meaning, "See the relay's log, and the address that the upload service gives."))
	}
	e, err := s.one.get(ctx, s.files, stanza.UploadRequest{Name: s.run + ".bin", Size: int64(len(content)), Type: "application/octet-stream"}.Element())
	if err != nil {
		failed("refused", "Files cannot be sent: "+why(err)+".")
		return
	}
	slot, err := stanza.ReadSlot(e)
	if err != nil {
		failed("no slot", "Files cannot be sent: "+why(err)+".")
		return
	}
	for _, place := range []string{slot.Put, slot.Get} {
		if u, err := url.Parse(place); err == nil && u.Scheme == "http" && !strings.HasPrefix(s.target.Relay, "ws:") {
			failed("without TLS: http://"+u.Host, "Files go over the network without TLS, which sotto refuses.")
			return
		}
	}
	client, err := s.target.Client()
	if err != nil {
		failed("failed", why(err))
		return
	}
	defer client.CloseIdleConnections()
	// First without what the slot asks for, and to a place that nobody was given.
	stranger := strings.Replace(slot.Put, s.run, s.run+"-unasked", 1)
	if u, err := url.Parse(stranger); err == nil && stranger != slot.Put {
		u.RawQuery = ""
		status, _, err := transfer(ctx, client, http.MethodPut, u.String(), nil, content)
		switch {
		case err != nil:
			s.set("secrecy.upload", skip("no answer"))
		case status/100 == 2:
			s.set("secrecy.upload", bad("taken", "Anybody can put files on the relay without an account.", "Let the upload service check who was given a slot."))
		default:
			s.set("secrecy.upload", good("refused without a slot (%d)", status))
		}
	}
	status, _, err := transfer(ctx, client, http.MethodPut, slot.Put, slot.Headers, content)
	if err != nil || status/100 != 2 {
		failed("not taken"+code(status, err), "Files cannot be sent.")
		return
	}
	status, got, err := transfer(ctx, client, http.MethodGet, slot.Get, nil, nil)
	if err != nil || status != http.StatusOK || !bytes.Equal(got, content) {
		failed("not given back"+code(status, err), "A file that was sent cannot be fetched.")
		return
	}
	s.set("upload.transfer", good("1 KiB put and fetched"))
}

func code(status int, err error) string {
	if err != nil {
		return ": " + reason(err)
	}
	return fmt.Sprintf(": HTTP status %d", status)
}

// transfer makes one HTTP request and reads at most 64 KiB of the answer.
func transfer(ctx context.Context, c *http.Client, method, to string, headers []stanza.Header, body []byte) (int, []byte, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, to, content)
	if err != nil {
		return 0, nil, err
	}
	req.Close = true // some servers end a connection on which they refused something
	req.Header.Set("User-Agent", "sotto")
	if body != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	for _, h := range headers {
		req.Header.Add(h.Name, h.Value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, b, err
}
