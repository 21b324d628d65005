package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"sotto/client/wire"
)

// fileJob moves one file. It is a copy of what it needs, and runs in a goroutine
// of its own.
type fileJob struct {
	t      *transfer
	url    *url.URL
	tell   chan<- moved
	client *http.Client
	stall  time.Duration
	watch  *time.Timer // ends a transfer that does not move
}

// say tells the owner something for the desk.
func (j *fileJob) say(ctx context.Context, m wire.Message) error {
	select {
	case j.tell <- moved{j.t, m}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ended is how a transfer ends with an outcome.
func ended(o wire.Outcome, format string, args ...any) *wire.Ended {
	return &wire.Ended{Outcome: o, Words: fmt.Sprintf(format, args...)}
}

// broke is how a transfer ends that the network, or a server, has broken off.
func (j *fileJob) broke(ctx context.Context, err error) *wire.Ended {
	host := j.url.Hostname()
	var f *failure
	switch {
	case errors.As(err, &f) && f.course == never:
		return ended(wire.Rejected, "%s", f.words)
	case errors.As(err, &f):
		return ended(wire.Broke, "%s", f.words)
	case errors.Is(context.Cause(ctx), errStalled):
		return ended(wire.Broke, "%s does not answer any more. Check the network.", host)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return ended(wire.Broke, "%s broke off in the middle of the file.", host)
	}
	return ended(wire.Broke, "%s", dialFailure(host, err).words)
}

// refused is how a transfer ends that a server answers with a status.
func (j *fileJob) refused(status int) *wire.Ended {
	host := j.url.Hostname()
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return ended(wire.TooLarge, "%s does not take a file of this size.", host)
	case status == http.StatusNotFound || status == http.StatusGone:
		return ended(wire.Missing, "%s does not have this file, or not any more.", host)
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooManyRequests || status == http.StatusInsufficientStorage || status >= 500 && status != http.StatusNotImplemented:
		return ended(wire.Broke, "%s cannot do that now (HTTP status %d).", host, status)
	case status/100 == 3:
		return ended(wire.Rejected, "%s says that the file is elsewhere, and it is not fetched from there. Tell your administrator.", host)
	}
	return ended(wire.Rejected, "%s does not allow that (HTTP status %d). Tell your administrator if it lasts.", host, status)
}

// request makes a request for the file.
func (j *fileJob) request(ctx context.Context, method string, body io.Reader) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, method, j.url.String(), body)
	if err != nil {
		return nil, err
	}
	q.Header.Set("User-Agent", "sotto")
	q.Header.Set("Accept-Encoding", "identity")
	return q, nil
}

// slotHeaders adds the header fields of the slot: those that XEP-0363 section 5 permits.
func slotHeaders(q *http.Request, list []wire.Header) {
	for _, h := range list {
		switch strings.ToLower(h.Name) {
		case "authorization", "cookie", "expires":
			if !strings.ContainsAny(h.Value, "\r\n\x00") {
				q.Header.Add(h.Name, h.Value)
			}
		}
	}
}

// put uploads a file to its slot.
func (j *fileJob) put(ctx context.Context, m wire.Put) *wire.Ended {
	size, offset := int64(m.Size), int64(0)
	if m.Resume {
		var end *wire.Ended
		if offset, end = j.offset(ctx, m); end != nil {
			return end
		}
	}
	if err := j.say(ctx, wire.Begin{ID: m.ID, Offset: uint64(offset)}); err != nil {
		return j.broke(ctx, err)
	}
	if offset == size {
		return ended(wire.Complete, "")
	}
	if err := j.say(ctx, wire.Want{ID: m.ID, Upto: uint64(offset + wire.Window)}); err != nil {
		return j.broke(ctx, err)
	}
	body := &uploadBody{ctx: ctx, j: j, at: offset, size: size}
	q, err := j.request(ctx, http.MethodPut, io.NopCloser(body))
	if err != nil {
		return j.broke(ctx, err)
	}
	q.ContentLength = size - offset
	if m.Type != "" {
		q.Header.Set("Content-Type", m.Type)
	}
	if offset > 0 {
		q.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, size-1, size))
	}
	slotHeaders(q, m.Headers)
	q.Header.Set("Expect", "100-continue") // else a refusal can get lost in what is still being sent
	resp, err := j.client.Do(q)
	if err != nil {
		return j.broke(ctx, err)
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		if body.had.Load() != size {
			return ended(wire.Broke, "%s answered before it had the file.", j.url.Hostname())
		}
		return ended(wire.Complete, "")
	}
	end := j.refused(resp.StatusCode)
	if end.Outcome == wire.Missing {
		end.Outcome = wire.Rejected // of the slot
	}
	return end
}

// offset asks how much of an upload is there: the embedded relay tells. Where it
// is not told, the file needs another slot.
func (j *fileJob) offset(ctx context.Context, m wire.Put) (int64, *wire.Ended) {
	q, err := j.request(ctx, http.MethodHead, nil)
	if err != nil {
		return 0, j.broke(ctx, err)
	}
	slotHeaders(q, m.Headers)
	resp, err := j.client.Do(q)
	if err != nil {
		return 0, j.broke(ctx, err)
	}
	resp.Body.Close()
	j.watch.Reset(j.stall)
	if resp.StatusCode >= 500 {
		return 0, j.refused(resp.StatusCode)
	}
	n, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	length := resp.Header.Get("Upload-Length")
	if resp.StatusCode != http.StatusOK || err != nil || n < 0 || n > int64(m.Size) || length != "" && length != strconv.FormatUint(m.Size, 10) {
		return 0, ended(wire.Rejected, "%s cannot go on with an upload.", j.url.Hostname())
	}
	return n, nil
}

// uploadBody is what the desk gives, as the body of a request.
type uploadBody struct {
	ctx      context.Context
	j        *fileJob
	at, size int64
	left     []byte       // of the chunk that is being read
	chunk    int          // its length
	had      atomic.Int64 // at, for who does not read
}

func (b *uploadBody) Read(p []byte) (int, error) {
	if b.at >= b.size {
		return 0, io.EOF
	}
	for len(b.left) == 0 {
		c, err := b.j.t.feed.take(b.ctx)
		if err != nil {
			return 0, err
		}
		b.left, b.chunk = c, len(c)
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	b.at += int64(n)
	b.had.Store(b.at)
	b.j.watch.Reset(b.j.stall)
	if b.at > b.size {
		return 0, errors.New("more than the file came from the desk")
	}
	if len(b.left) == 0 {
		b.j.t.feed.taken(b.chunk)
		if err := b.j.say(b.ctx, wire.Want{ID: b.j.t.id, Upto: uint64(b.at + wire.Window)}); err != nil {
			return n, err
		}
	}
	return n, nil
}

// get downloads a file, or the rest of it.
func (j *fileJob) get(ctx context.Context, m wire.Get) *wire.Ended {
	from, limit := int64(m.From), int64(m.Limit)
	q, err := j.request(ctx, http.MethodGet, nil)
	if err != nil {
		return j.broke(ctx, err)
	}
	if from > 0 {
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := j.client.Do(q)
	if err != nil {
		return j.broke(ctx, err)
	}
	defer resp.Body.Close()
	j.watch.Reset(j.stall)
	at, size := int64(0), resp.ContentLength
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		var ok bool
		if at, size, ok = readRange(resp.Header.Get("Content-Range")); !ok || at != from || size >= 0 && resp.ContentLength >= 0 && resp.ContentLength != size-at {
			return ended(wire.Rejected, "%s sent another part of the file than was asked for.", j.url.Hostname())
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if n, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes */"); ok && n == strconv.FormatInt(from, 10) { // all of it is here
			if err := j.say(ctx, wire.Begin{ID: m.ID, Offset: m.From, Size: m.From}); err != nil {
				return j.broke(ctx, err)
			}
			return ended(wire.Complete, "")
		}
		return j.refused(resp.StatusCode)
	default:
		return j.refused(resp.StatusCode)
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return ended(wire.Rejected, "%s sent the file in a form that was not asked for.", j.url.Hostname())
	}
	if size > limit {
		return ended(wire.TooLarge, "The file is too large.")
	}
	if err := j.say(ctx, wire.Begin{ID: m.ID, Offset: uint64(at), Size: uint64(max(size, 0))}); err != nil {
		return j.broke(ctx, err)
	}
	return j.receive(ctx, resp.Body, at, size, limit)
}

// receive hands on a body that begins at the byte at, as the desk permits.
func (j *fileJob) receive(ctx context.Context, body io.Reader, at, size, limit int64) *wire.Ended {
	for at != size {
		upto, err := j.t.credit.allowed(ctx, at)
		if err != nil {
			return j.broke(ctx, err)
		}
		b := make([]byte, min(wire.MaxChunk, upto-at))
		n, err := j.fill(body, b)
		if at+int64(n) > limit {
			return ended(wire.TooLarge, "The file is too large.")
		}
		if n > 0 {
			if err := j.say(ctx, wire.Chunk{ID: j.t.id, Offset: uint64(at), Data: b[:n]}); err != nil {
				return j.broke(ctx, err)
			}
			at += int64(n)
		}
		switch {
		case err == io.EOF && (size < 0 || at == size):
			return ended(wire.Complete, "")
		case err != nil:
			return j.broke(ctx, err)
		}
	}
	return ended(wire.Complete, "")
}

// fill reads until b is full or the body ends.
func (j *fileJob) fill(body io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		if k, err = body.Read(b[n:]); k > 0 {
			j.watch.Reset(j.stall)
		}
		n += k
	}
	return n, err
}

// readRange reads a Content-Range (RFC 9110 section 14.4); size is -1 if it does
// not say how large the whole is.
func readRange(s string) (from, size int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, total, ok2 := strings.Cut(s, "/")
	first, last, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	size = -1
	var err3 error
	if total != "*" {
		size, err3 = strconv.ParseInt(total, 10, 64)
	}
	if err != nil || err2 != nil || err3 != nil || from < 0 || to < from || size >= 0 && to != size-1 {
		return 0, 0, false
	}
	return from, size, true
}
