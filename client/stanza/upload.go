package stanza

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NSUpload is XEP-0363.
const NSUpload = "urn:xmpp:http:upload:0"

const (
	maxUploadURL    = 4096
	maxUploadHeader = 4096
	maxUploadName   = 1024
)

// ErrSlot is returned for an answer that holds no usable slot.
var ErrSlot = errors.New("not a usable upload slot")

// UploadRequest asks for a place to put a file.
type UploadRequest struct {
	Name string // the server may show it in the URL: nothing that says what the file is
	Size int64  // bytes
	Type string // media type; "" if left out
}

// Element builds the payload of an IQ get to the upload service.
func (r UploadRequest) Element() *Element {
	e := New(NSUpload, "request").With("filename", r.Name).With("size", strconv.FormatInt(r.Size, 10))
	if r.Type != "" {
		e.Set("content-type", r.Type)
	}
	return e
}

// ReadUploadRequest reads the payload of an IQ; false if it lacks a name of at
// most 1,024 bytes or a size of at least 1.
func ReadUploadRequest(e *Element) (UploadRequest, bool) {
	size, err := strconv.ParseInt(e.Get("size"), 10, 64)
	r := UploadRequest{e.Get("filename"), size, e.Get("content-type")}
	return r, e.Is(NSUpload, "request") && err == nil && size > 0 && r.Name != "" && len(r.Name) <= maxUploadName && len(r.Type) <= maxUploadName
}

// Slot is where a file is put and fetched.
type Slot struct {
	Put, Get string
	Headers  []Header // to be sent with the PUT, in this order
}

// Header is one HTTP header field of a slot.
type Header struct{ Name, Value string }

// Element builds the answer to an UploadRequest.
func (s Slot) Element() *Element {
	put := New(NSUpload, "put").With("url", s.Put)
	for _, h := range s.Headers {
		put.Add(TextElement(NSUpload, "header", h.Value).With("name", h.Name))
	}
	return New(NSUpload, "slot", put, New(NSUpload, "get").With("url", s.Get))
}

// ReadSlot reads the answer to an UploadRequest. Both URLs have to be absolute
// http or https ones; whether plain http is allowed is the caller's business.
// Headers other than Authorization, Cookie and Expires are left out and line
// breaks removed (section 5).
func ReadSlot(iq *Element) (Slot, error) {
	x := iq.Child(NSUpload, "slot")
	put := x.Child(NSUpload, "put")
	s := Slot{Put: put.Get("url"), Get: x.Child(NSUpload, "get").Get("url")}
	if iq.Get("type") != "result" || !usableURL(s.Put) || !usableURL(s.Get) {
		return Slot{}, ErrSlot
	}
	for e := range put.Elements() {
		if !e.Is(NSUpload, "header") {
			continue
		}
		name := oneLine(e.Get("name"))
		switch strings.ToLower(name) {
		case "authorization", "cookie", "expires":
		default:
			continue
		}
		v := oneLine(e.Text())
		if len(v) > maxUploadHeader || len(s.Headers) == 16 {
			return Slot{}, ErrSlot
		}
		s.Headers = append(s.Headers, Header{name, v})
	}
	return s, nil
}

// oneLine drops control characters, line breaks above all.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s))
}

func usableURL(s string) bool {
	if s == "" || len(s) > maxUploadURL {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.Opaque == ""
}

// UploadInfo is the form in which a service says how large a file may be
// (XEP-0128); it goes into its disco#info answer. limit is in bytes.
func UploadInfo(limit int64) *Element {
	return DataForm{Type: "result", FormType: NSUpload, Fields: []FormField{
		{Var: "max-file-size", Values: []string{strconv.FormatInt(limit, 10)}}}}.Element()
}

// ReadUploadLimit reads a disco#info answer: whether it is that of an upload
// service, and the largest file in bytes, 0 if it does not say.
func ReadUploadLimit(iq *Element) (limit int64, service bool) {
	info, err := ReadInfo(iq)
	if err != nil || !info.Has(NSUpload) {
		return 0, false
	}
	for e := range iq.Child(NSDiscoInfo, "query").Elements() {
		if f, err := ReadDataForm(e); err == nil && f.FormType == NSUpload {
			if n, err := strconv.ParseInt(f.Value("max-file-size"), 10, 64); err == nil && n > 0 {
				limit = n
			}
		}
	}
	return limit, true
}

// UploadTooLarge is the condition that says how large a file may be.
func UploadTooLarge(limit int64) *Element {
	return New(NSUpload, "file-too-large", TextElement(NSUpload, "max-file-size", strconv.FormatInt(limit, 10)))
}

// ReadUploadError reads the conditions of a refusal (section 6): the largest
// file in bytes, 0 if that was not the reason, and when to try again, zero if it
// does not say.
func ReadUploadError(iq *Element) (limit int64, retry time.Time) {
	return readUploadError(iq.Child(NSClient, "error").Child(NSUpload, "file-too-large"), iq.Child(NSClient, "error").Child(NSUpload, "retry"))
}

// UploadRefusal is ReadUploadError for an error that was read.
func (s *StanzaError) UploadRefusal() (limit int64, retry time.Time) {
	switch {
	case s.App.Is(NSUpload, "file-too-large"):
		return readUploadError(s.App, nil)
	case s.App.Is(NSUpload, "retry"):
		return readUploadError(nil, s.App)
	}
	return 0, time.Time{}
}

func readUploadError(large, again *Element) (limit int64, retry time.Time) {
	if n, err := strconv.ParseInt(large.Child(NSUpload, "max-file-size").Text(), 10, 64); err == nil && n > 0 {
		limit = n
	}
	if t, err := time.Parse(time.RFC3339, again.Get("stamp")); err == nil {
		retry = t
	}
	return limit, retry
}
