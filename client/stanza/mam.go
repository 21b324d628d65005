package stanza

import (
	"fmt"
	"strconv"
	"time"
)

// The message archive and result set management.
const (
	NSMAM  = "urn:xmpp:mam:2"                 // XEP-0313
	NSRSM  = "http://jabber.org/protocol/rsm" // XEP-0059
	nsData = "jabber:x:data"                  // XEP-0004
)

// MAMQuery asks an archive for one page.
type MAMQuery struct {
	QueryID string
	Start   time.Time // only what was archived at or after this; zero: no bound
	End     time.Time // only what was archived at or before this; zero: no bound
	After   string    // the archive id the page follows; "" from the start
	Last    bool      // the newest page instead of the one after After
	Max     int       // at most so many messages; the relay may give fewer
}

// Element builds the payload of an IQ set.
func (q MAMQuery) Element() *Element {
	e := New(NSMAM, "query").With("queryid", q.QueryID)
	var fields []Field
	if !q.Start.IsZero() {
		fields = append(fields, Field{"start", q.Start.UTC().Format(time.RFC3339)})
	}
	if !q.End.IsZero() {
		fields = append(fields, Field{"end", q.End.UTC().Format(time.RFC3339)})
	}
	if len(fields) > 0 {
		e.Add(Form(NSMAM, fields...))
	}
	set := New(NSRSM, "set", TextElement(NSRSM, "max", strconv.Itoa(q.Max)))
	switch {
	case q.Last:
		set.Add(New(NSRSM, "before"))
	case q.After != "":
		set.Add(TextElement(NSRSM, "after", q.After))
	}
	return e.Add(set)
}

// MAMResult is one archived message.
type MAMResult struct {
	QueryID, ID string
	Stanza      *Element
	Time        time.Time // when the archive received it; zero if it does not say
}

// ReadMAMResult reads the result in a message stanza; false if it holds none
// with an id and a message.
func ReadMAMResult(e *Element) (MAMResult, bool) {
	res := e.Child(NSMAM, "result")
	if res == nil {
		return MAMResult{}, false
	}
	r := MAMResult{QueryID: res.Get("queryid"), ID: readID(res.Get("id"))}
	r.Stanza, r.Time = readForwarded(res)
	return r, r.ID != "" && r.Stanza != nil
}

// MAMFin ends a page.
type MAMFin struct {
	Complete bool   // there is nothing after this page
	Last     string // archive id of the page's last message, "" if the page is empty
}

// ReadMAMFin reads the result of the IQ that asked for a page.
func ReadMAMFin(iq *Element) (MAMFin, error) {
	fin := iq.Child(NSMAM, "fin")
	if fin == nil {
		return MAMFin{}, fmt.Errorf("read archive page: no fin element")
	}
	c := fin.Get("complete")
	return MAMFin{Complete: c == "true" || c == "1", Last: readID(fin.Child(NSRSM, "set").Child(NSRSM, "last").Text())}, nil
}
