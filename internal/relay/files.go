package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Files over HTTP (XEP-0363): a PUT with the token of a slot, and a GET for who
// knows the URL. Nothing is listed, looked into or shown in a browser.
//
// Beyond the XEP, a PUT that broke off can go on: HEAD with the token answers
// with Upload-Offset, and a PUT with Content-Range: bytes N-M/SIZE (RFC 9110
// section 14.5) continues there. A PUT that is repeated because its answer was
// lost succeeds again if it brings the same bytes.

const (
	transferTime = 30 * time.Second // for a piece of a file to move
	maxTransfers = 256              // at once
)

// transfers keeps uploads apart: the newest of one file wins, because a client
// that tries again may have a dead connection the relay does not know of yet.
type transfers struct {
	mu      sync.Mutex
	writers map[string]*transfer
	free    chan struct{} // room for one each
}

type transfer struct {
	stop func() // ends it soon
	done chan struct{}
}

func newTransfers() *transfers {
	return &transfers{writers: map[string]*transfer{}, free: make(chan struct{}, maxTransfers)}
}

// enter reports whether one more transfer may run; then leave has to be called.
func (t *transfers) enter() bool {
	select {
	case t.free <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t *transfers) leave() { <-t.free }

// begin makes the caller the only writer of a file. stop has to make it call
// the returned function soon. It gives up where the one before does not end.
func (t *transfers) begin(id string, stop func()) (end func(), ok bool) {
	mine := &transfer{stop, make(chan struct{})}
	for {
		t.mu.Lock()
		other := t.writers[id]
		if other == nil {
			t.writers[id] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.writers, id)
				t.mu.Unlock()
				close(mine.done)
			}, true
		}
		t.mu.Unlock()
		other.stop()
		select {
		case <-other.done:
		case <-time.After(goodbye):
			return nil, false
		}
	}
}

// file serves /upload/ID/NAME. NAME is for people.
func (r *Relay) file(w http.ResponseWriter, q *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Referrer-Policy", "no-referrer")
	if !r.transfers.enter() {
		h.Set("Retry-After", "10")
		http.Error(w, "too many transfers, try again later", http.StatusServiceUnavailable)
		return
	}
	defer r.transfers.leave()
	id := q.PathValue("id")
	var u upload
	known := false
	if isUploadID(id) {
		if err := r.do(q.Context(), func(c *core) error { u, known = c.findUpload(id); return nil }); err != nil {
			http.Error(w, "the relay cannot look that up", http.StatusServiceUnavailable)
			return
		}
	}
	bearer, hasToken := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	switch {
	case q.Method == http.MethodPut || q.Method == http.MethodHead && hasToken:
		if !u.allows(bearer) || !known {
			http.Error(w, "this is not yours to upload, or its time is up", http.StatusForbidden)
		} else if q.Method == http.MethodHead {
			h.Set("Upload-Offset", strconv.FormatInt(r.offset(u), 10))
			h.Set("Upload-Length", strconv.FormatInt(u.size, 10))
			w.WriteHeader(http.StatusOK)
		} else {
			r.put(w, q, u)
		}
	case !known || !u.done:
		http.Error(w, "there is no such file", http.StatusNotFound)
	default:
		r.get(w, q, u)
	}
}

func (r *Relay) offset(u upload) int64 {
	if u.done {
		return u.size
	}
	return r.shelf.offset(u.id)
}

func (r *Relay) get(w http.ResponseWriter, q *http.Request, u upload) {
	f, err := r.shelf.read(u.id)
	if err != nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment")
	h.Set("ETag", `"`+u.id[:16]+`"`) // a file never changes
	rc := http.NewResponseController(w)
	http.ServeContent(patientWriter{w, rc}, q, "", time.Time{}, f)
	rc.SetWriteDeadline(time.Time{})
}

// patientWriter gives each piece its time, not the whole.
type patientWriter struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (p patientWriter) Write(b []byte) (int, error) {
	p.rc.SetWriteDeadline(time.Now().Add(transferTime))
	return p.ResponseWriter.Write(b)
}

// patientReader does the same for what arrives.
type patientReader struct {
	io.Reader
	mu      sync.Mutex
	rc      *http.ResponseController
	stopped bool
}

func (p *patientReader) Read(b []byte) (int, error) {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return 0, errStopped
	}
	p.rc.SetReadDeadline(time.Now().Add(transferTime))
	p.mu.Unlock()
	return p.Reader.Read(b)
}

var errStopped = errors.New("another upload of this file has begun")

// stop ends what is being read, now or next.
func (p *patientReader) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.rc.SetReadDeadline(time.Now())
}

// put takes a file, or the rest of one.
func (r *Relay) put(w http.ResponseWriter, q *http.Request, u upload) {
	rc := http.NewResponseController(w)
	body := &patientReader{Reader: q.Body, rc: rc}
	end, ok := r.transfers.begin(u.id, body.stop)
	if !ok {
		http.Error(w, "this file is being uploaded", http.StatusConflict)
		return
	}
	defer end()
	// What there was may have changed while another upload ended.
	if err := r.do(q.Context(), func(c *core) error { u, ok = c.findUpload(u.id); return nil }); err != nil || !ok {
		http.Error(w, "its time is up", http.StatusGone)
		return
	}
	from, status := putRange(q, u.size)
	if status != 0 {
		http.Error(w, "the length has to be that of the slot", status)
		return
	}
	if u.done {
		r.putAgain(w, u, body, from)
		return
	}
	if from > 0 && from != r.shelf.offset(u.id) {
		w.Header().Set("Upload-Offset", strconv.FormatInt(r.shelf.offset(u.id), 10))
		http.Error(w, "this is not where the upload broke off", http.StatusConflict)
		return
	}
	err := r.take(u, body, from)
	if err == nil {
		err = r.do(r.ctx, func(c *core) error { // even if the client has gone
			if !c.uploaded(u.id) {
				return errExpired
			}
			return nil
		})
	}
	var broken incompleteError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusCreated)
	case errors.As(err, &broken): // the rest may follow
		http.Error(w, "the upload broke off", http.StatusBadRequest)
	case errors.Is(err, errExpired):
		r.shelf.remove(u.id)
		http.Error(w, "its time is up", http.StatusGone)
	default:
		r.log.Error("cannot store a file", "error", err)
		if errors.Is(err, syscall.ENOSPC) {
			r.shelf.remove(u.id)
		}
		http.Error(w, "the relay cannot store this file at the moment", http.StatusInsufficientStorage)
	}
}

var errExpired = errors.New("the time to upload this file is up")

// incompleteError says that a body ended early.
type incompleteError struct{ error }

// putRange returns where a PUT begins, or the status that refuses it. It has to
// bring all that is left of a file of size bytes.
func putRange(q *http.Request, size int64) (from int64, status int) {
	if q.ContentLength < 0 {
		return 0, http.StatusLengthRequired
	}
	if v := q.Header.Get("Content-Range"); v != "" {
		var last, total int64
		n, err := fmt.Sscanf(v, "bytes %d-%d/%d", &from, &last, &total)
		if err != nil || n != 3 || v != fmt.Sprintf("bytes %d-%d/%d", from, last, total) || total != size || last != size-1 || from < 0 || from > last {
			return 0, http.StatusRequestedRangeNotSatisfiable
		}
	}
	if q.ContentLength != size-from {
		return 0, http.StatusBadRequest
	}
	return from, 0
}

// take stores the rest of a file that begins at from, and makes it whole.
func (r *Relay) take(u upload, body io.Reader, from int64) error {
	w, err := r.shelf.write(u.id, from)
	if err != nil {
		return err
	}
	pipe := &failingReader{Reader: io.LimitReader(body, u.size-from)}
	n, err := io.Copy(w, pipe)
	err = errors.Join(err, w.Close())
	switch {
	case pipe.err != nil || err == nil && n != u.size-from:
		return incompleteError{errors.Join(io.ErrUnexpectedEOF, pipe.err)}
	case err != nil:
		return err
	}
	return r.shelf.finish(u.id)
}

// failingReader remembers that it was the reading that failed, not the writing.
type failingReader struct {
	io.Reader
	err error
}

func (f *failingReader) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// putAgain answers an upload of a file that is there: well if it is the same.
func (r *Relay) putAgain(w http.ResponseWriter, u upload, body io.Reader, from int64) {
	f, err := r.shelf.read(u.id)
	if err != nil {
		http.Error(w, "the relay cannot read this file at the moment", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		http.Error(w, "the relay cannot read this file at the moment", http.StatusInternalServerError)
		return
	}
	a, b := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, err := io.ReadFull(body, a)
		m, _ := io.ReadFull(f, b[:n])
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			http.Error(w, "there is another file in this place", http.StatusConflict)
			return
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			w.WriteHeader(http.StatusCreated)
			return
		}
		if err != nil {
			http.Error(w, "the upload broke off", http.StatusBadRequest)
			return
		}
	}
}
