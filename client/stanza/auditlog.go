package stanza

// NSAudit marks a message whose encrypted text is a part of an audit log, or the
// answer to one (docs/audit.md). It says nothing more than the auditor's address does,
// and counts for nothing but this: who is not there is not rung for, and who cannot
// read it is not told of a message that they miss.
const NSAudit = "urn:sotto:audit:0"

// AuditMark is the mark.
func AuditMark() *Element { return New(NSAudit, "log") }

// IsAudit reports whether a message is marked.
func IsAudit(e *Element) bool { return e.Child(NSAudit, "log") != nil }

// PrivateHint has no copies made of a message for the sender's other devices
// (XEP-0280 section 9).
func PrivateHint() *Element { return New(NSCarbons, "private") }
