package stanza

import "time"

// Namespaces of recall. The older ones are still sent by clients in use.
const (
	NSRetract    = "urn:xmpp:message-retract:1" // XEP-0424
	nsRetractOld = "urn:xmpp:message-retract:0" // XEP-0424 up to 0.3, inside of XEP-0422
	nsFasten     = "urn:xmpp:fasten:0"          // XEP-0422
)

// Retract takes a message back (XEP-0424). In a room id is the one that the room
// gave the message (XEP-0359), else the one that its sender gave it.
func Retract(id string) *Element { return New(NSRetract, "retract").With("id", id) }

// ReadRetract returns the id of the message that e takes back. Whether its
// sender may do so is the caller's to check. A moderator's retraction is none
// of these; see ReadModeration.
func ReadRetract(e *Element) (id string, ok bool) {
	if !e.Is(NSClient, "message") || e.Get("type") == "error" {
		return "", false
	}
	if r := e.Child(NSRetract, "retract"); r != nil {
		if r.Child(NSModerate, "moderated") != nil {
			return "", false
		}
		id = readID(r.Get("id"))
		return id, id != ""
	}
	if f := e.Child(nsFasten, "apply-to"); f.Child(nsRetractOld, "retract") != nil {
		id = readID(f.Get("id"))
	}
	return id, id != ""
}

// Tombstone is what an archive keeps of a message that was taken back.
type Tombstone struct {
	ID        string // of the retraction; "" if it does not say
	Time      time.Time
	Moderated bool   // by a moderator instead of its sender
	By        string // who moderated, as an address; "" if it does not say
	Reason    string // as the other side sent it
}

// Element builds the tombstone (XEP-0424 section 5.1, XEP-0425 section 5).
func (t Tombstone) Element() *Element {
	e := New(NSRetract, "retracted").With("stamp", t.Time.UTC().Format(time.RFC3339))
	if t.ID != "" {
		e.Set("id", t.ID)
	}
	if t.Moderated {
		e.Add(moderated(t.By, ""))
		if t.Reason != "" {
			e.Add(TextElement(NSRetract, "reason", t.Reason))
		}
	}
	return e
}

// ReadTombstone reads what is left of a message in an archive.
func ReadTombstone(e *Element) (Tombstone, bool) {
	x := e.Child(NSRetract, "retracted")
	if x == nil || !e.Is(NSClient, "message") {
		return Tombstone{}, false
	}
	t := Tombstone{ID: readID(x.Get("id"))}
	if at, err := time.Parse(time.RFC3339, x.Get("stamp")); err == nil {
		t.Time = at
	}
	if m := x.Child(NSModerate, "moderated"); m != nil {
		t.Moderated, t.By, t.Reason = true, m.Get("by"), x.Child(NSRetract, "reason").Text()
	}
	return t, true
}
