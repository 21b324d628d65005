package stanza

import (
	"errors"
	"strconv"
)

// ErrSM is returned for an element of XEP-0198 with a wrong or missing number.
var ErrSM = errors.New("malformed stream management element")

// MaxSMID is the longest resumption id that is kept, in bytes (XEP-0198 allows 4000).
const MaxSMID = 4000

// SMEnable asks for stream management with resumption (XEP-0198 section 3).
func SMEnable() *Element { return New(NSSM, "enable").With("resume", "true") }

// SMEnabled is the relay's answer.
type SMEnabled struct {
	ID     string // what to resume with; empty when the relay cannot resume
	Max    int    // seconds a broken stream is kept; 0 if not said
	Resume bool
}

// ReadSMEnabled reads <enabled/>. An id of unusual length means no resumption.
func ReadSMEnabled(e *Element) SMEnabled {
	r := e.Get("resume")
	s := SMEnabled{ID: e.Get("id"), Resume: r == "true" || r == "1"}
	if !s.Resume || len(s.ID) > MaxSMID {
		s.ID, s.Resume = "", false
	}
	if n, err := strconv.ParseUint(e.Get("max"), 10, 31); err == nil {
		s.Max = int(n)
	}
	return s
}

// SMResume asks to go on with the stream previd, of which h stanzas were handled.
func SMResume(previd string, h uint32) *Element {
	return New(NSSM, "resume").With("previd", previd).With("h", decimal(h))
}

// SMRequest asks how many stanzas the relay has handled.
func SMRequest() *Element { return New(NSSM, "r") }

// SMAnswer says how many stanzas were handled, modulo 2^32.
func SMAnswer(h uint32) *Element { return New(NSSM, "a").With("h", decimal(h)) }

// ReadSMCount reads the h of <a/>, <resumed/> or <failed/>. The second result
// is false when there is none, as a <failed/> may have.
func ReadSMCount(e *Element) (h uint32, there bool, err error) {
	s, there := e.Lookup("h")
	if !there {
		return 0, false, nil
	}
	h, ok := number(s)
	if !ok {
		return 0, true, ErrSM
	}
	return h, true, nil
}
