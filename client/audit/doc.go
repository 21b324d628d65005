// Package audit is the tamper-evident log of what a device did: who, what, when,
// which device, about which message, and why. Never what was written.
//
// An [Event] has a closed set of fields, and none of them can hold text: kinds
// and reasons are lists in this package, people are addresses, and ids are kept
// only where they look like a machine's ([IDOf]). So a log may leave the device
// for an auditor, who is not one of those the messages were meant for.
//
// Each event is one line (see [Entry.Line]) that a person can read. The lines of
// a device are the records of a Merkle tree, as in Certificate Transparency
// (RFC 6962, golang.org/x/mod/sumdb/tlog). A [Checkpoint] is the size and the
// root of that tree, signed by the device: a signed note
// (golang.org/x/mod/sumdb/note). Changing, removing, adding or moving a line
// changes the root; two checkpoints of one log have a short proof that the later
// one continues the earlier one.
//
// [Log] is the device's end. It keeps itself in the transaction of what it tells
// of, so that an event and its cause are both on disk, or neither. It makes a
// [Batch] for the collector (package collect), who answers with the same
// checkpoint and a second signature below it: what that covers is safe
// elsewhere, and only that may be removed from the device.
//
// What this shows and what it cannot show is in docs/audit.md.
package audit
