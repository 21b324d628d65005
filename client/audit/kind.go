package audit

// Kind is what happened. The names of kinds are part of the format: they are
// never changed, and a new one is a reason to update the collector first.
type Kind uint8

// The kinds of events.
const (
	LogStarted        Kind = iota + 1 // the first event of every log
	Unlocked                          // the right PIN was given
	UnlockFailed                      // a wrong one, Count of them by now; or something else stood in the way
	Locked                            // why is in Reason
	LoggedOff                         // the connection and its credentials were ended
	PINChanged                        //
	Joined                            // this device became one of the organisation
	MessageSent                       // given to the relay
	MessageNotSent                    // refused before it left, or given up
	MessageDelivered                  // a receipt of Peer is in
	MessageReceived                   // stored on this device
	MessageRefused                    // came, and is not shown
	MessageShown                      // was on the screen while the person was there
	MessageForwarded                  //
	MessageCorrected                  // By says the same message another way
	MessageRecalled                   // its text is gone because By took it back
	MessageExpired                    // its text is gone because its time was over
	FileSent                          // Ref is the digest of what went, encrypted
	FileReceived                      //
	FileOpened                        // shown on this device
	Searched                          // Count were found
	CopyAttempted                     // and refused, as the others that are attempts
	SaveAttempted                     //
	ForwardAttempted                  //
	AttachAttempted                   //
	PolicyApplied                     // Serial is the policy's, Ref its digest
	PolicyRefused                     //
	OrderObeyed                       // Ref is the order's id, Reason what was ordered
	OrderRefused                      //
	DirectoryChanged                  // Serial is the directory's
	DirectoryRefused                  //
	DeviceNew                         // a device of Peer was seen for the first time
	DeviceTrusted                     // by comparing, or by the organisation's signature
	DeviceDistrusted                  //
	RoomJoined                        //
	RoomLeft                          //
	RoomMemberAdded                   // Peer belongs to Room now
	RoomMemberRemoved                 //
	AdminActed                        // Reason is what was done, to Peer, Device or Ref
	EmergencyAccess                   // the vault was opened with the recovery key
	BackupMade                        // Ref is its digest
	BackupRefused                     //
	Restored                          //
	Exported                          // from the audit log or the collector's folder
	AuditPruned                       // Count events were removed that the collector has
	AuditRefused                      // the collector's answer was not one
	ClockChanged                      // by Count seconds; Reason is the direction
	Wiped                             // the keys of this device are destroyed
	lastKind          = Wiped
)

// field is a set of an event's fields.
type field uint16

const (
	fBy field = 1 << iota
	fPeer
	fRoom
	fDevice
	fMessage
	fRef
	fReason
	fCount
	fSerial
)

// shape says what an event of a kind must and may have.
type shape struct {
	name      string
	must, may field
	reasons   []Reason // that it may have
	failed    bool     // whether it tells of something that was refused or went wrong
}

var endings = []Reason{ByPerson, Idle, ByOrder, ByPolicy, PolicyTooOld, LeaseEnded, Asleep, TerminalGone, Stopped, Crashed, Restarted}

var attempts = []Reason{ByPolicy, NotPossible, NotMember}

var unsound = []Reason{BadSignature, Malformed, Older, Late, Repeated, NotForUs, Forked}

var shapes = [lastKind + 1]shape{
	LogStarted:        {name: "log-started", may: fReason, reasons: []Reason{NewDevice, AfterRestore}},
	Unlocked:          {name: "unlock", may: fReason, reasons: []Reason{Unattended}},
	UnlockFailed:      {name: "unlock-failed", must: fReason, may: fCount, reasons: []Reason{WrongPIN, TooMany, Damaged}, failed: true},
	Locked:            {name: "lock", must: fReason, may: fRef, reasons: endings},
	LoggedOff:         {name: "log-off", must: fReason, may: fRef, reasons: endings},
	PINChanged:        {name: "pin-changed", may: fReason, reasons: []Reason{ByPerson, ByPolicy}},
	Joined:            {name: "joined", may: fBy | fRef},
	MessageSent:       {name: "message-sent", must: fPeer | fMessage, may: fCount},
	MessageNotSent:    {name: "message-not-sent", must: fPeer | fReason, may: fMessage, reasons: []Reason{NotMember, ByPolicy, Untrusted, GivenUp, NotPossible}, failed: true},
	MessageDelivered:  {name: "message-delivered", must: fPeer | fMessage, may: fBy},
	MessageReceived:   {name: "message-received", must: fPeer | fMessage, may: fBy | fDevice},
	MessageRefused:    {name: "message-refused", must: fPeer | fReason, may: fBy | fDevice | fMessage, reasons: []Reason{NotMember, ByPolicy, Untrusted, Undecipherable, Repeated, Malformed, NotEncrypted}, failed: true},
	MessageShown:      {name: "message-shown", must: fPeer | fMessage},
	MessageForwarded:  {name: "message-forwarded", must: fPeer | fMessage, may: fRef},
	MessageCorrected:  {name: "message-corrected", must: fPeer | fMessage, may: fBy | fDevice | fRef},
	MessageRecalled:   {name: "message-recalled", must: fPeer | fMessage, may: fBy | fDevice | fRef | fReason, reasons: []Reason{ByPerson, ByOrder}},
	MessageExpired:    {name: "message-expired", must: fPeer | fMessage, may: fReason, reasons: []Reason{BySender, ByPolicy}},
	FileSent:          {name: "file-sent", must: fPeer | fMessage, may: fRef},
	FileReceived:      {name: "file-received", must: fPeer | fMessage, may: fBy | fRef},
	FileOpened:        {name: "file-opened", must: fPeer | fMessage, may: fRef},
	Searched:          {name: "search", may: fPeer | fCount},
	CopyAttempted:     {name: "copy-attempt", may: fPeer | fMessage | fReason, reasons: attempts, failed: true},
	SaveAttempted:     {name: "save-attempt", may: fPeer | fMessage | fReason, reasons: attempts, failed: true},
	ForwardAttempted:  {name: "forward-attempt", may: fPeer | fMessage | fReason, reasons: attempts, failed: true},
	AttachAttempted:   {name: "attach-attempt", may: fPeer | fReason, reasons: attempts, failed: true},
	PolicyApplied:     {name: "policy-applied", must: fSerial, may: fBy | fRef},
	PolicyRefused:     {name: "policy-refused", must: fReason, may: fBy | fRef | fSerial, reasons: unsound, failed: true},
	OrderObeyed:       {name: "order-obeyed", must: fRef | fReason, may: fBy | fPeer | fMessage | fCount, reasons: []Reason{OrderLock, OrderWipe, OrderRecall, OrderLogOff}},
	OrderRefused:      {name: "order-refused", must: fReason, may: fBy | fRef, reasons: unsound, failed: true},
	DirectoryChanged:  {name: "directory-changed", must: fSerial, may: fBy | fPeer | fDevice | fRef | fReason | fCount, reasons: []Reason{Added, Altered, Removed}},
	DirectoryRefused:  {name: "directory-refused", must: fReason, may: fBy | fRef | fSerial, reasons: unsound, failed: true},
	DeviceNew:         {name: "device-new", must: fPeer | fDevice, may: fRef},
	DeviceTrusted:     {name: "device-trusted", must: fPeer | fDevice, may: fBy | fRef | fReason, reasons: []Reason{Compared, Signed, OnFirstUse}},
	DeviceDistrusted:  {name: "device-distrusted", must: fPeer | fDevice, may: fBy | fRef | fReason, reasons: []Reason{ByPerson, Removed, KeyChanged}},
	RoomJoined:        {name: "room-joined", must: fPeer},
	RoomLeft:          {name: "room-left", must: fPeer, may: fBy | fReason, reasons: []Reason{ByPerson, Removed}},
	RoomMemberAdded:   {name: "room-member-added", must: fPeer | fRoom, may: fBy},
	RoomMemberRemoved: {name: "room-member-removed", must: fPeer | fRoom, may: fBy},
	AdminActed: {name: "admin-act", must: fReason, may: fPeer | fDevice | fRef | fSerial | fCount,
		reasons: []Reason{Founded, Invited, Approved, Added, Altered, Removed, PolicySet, OrderLock, OrderWipe, OrderRecall, OrderLogOff, PartnerAdded, PartnerRemoved, RecoveryKeyUsed, LooksAtAudit}},
	EmergencyAccess: {name: "emergency-access", must: fReason, may: fBy | fRef, reasons: []Reason{ForgottenPIN, Emergency, Absent, Investigation}},
	BackupMade:      {name: "backup", may: fBy | fRef | fCount},
	BackupRefused:   {name: "backup-refused", may: fBy | fReason, reasons: []Reason{ByPolicy, NotPossible}, failed: true},
	Restored:        {name: "restore", may: fBy | fRef | fDevice | fCount},
	Exported:        {name: "export", may: fBy | fRef | fCount},
	AuditPruned:     {name: "audit-pruned", must: fCount},
	AuditRefused:    {name: "audit-refused", must: fReason, may: fBy, reasons: unsound, failed: true},
	ClockChanged:    {name: "clock-changed", must: fReason | fCount, reasons: []Reason{Forward, Back}},
	Wiped:           {name: "wipe", must: fReason, may: fRef, reasons: []Reason{ByOrder, ByPerson, TooMany}},
}

// Known reports whether k is one of the kinds.
func (k Kind) Known() bool { return k > 0 && k <= lastKind }

// String is the kind's name in a line; "unknown" if it has none.
func (k Kind) String() string {
	if !k.Known() {
		return "unknown"
	}
	return shapes[k].name
}

// Failed reports whether the kind tells of something that was refused or failed.
func (k Kind) Failed() bool { return k.Known() && shapes[k].failed }

var kindByName = func() map[string]Kind {
	m := make(map[string]Kind, lastKind)
	for k := Kind(1); k <= lastKind; k++ {
		m[shapes[k].name] = k
	}
	return m
}()

// KindNamed returns the kind with that name.
func KindNamed(name string) (Kind, bool) {
	k, ok := kindByName[name]
	return k, ok
}

// Kinds returns all kinds.
func Kinds() []Kind {
	all := make([]Kind, 0, lastKind)
	for k := Kind(1); k <= lastKind; k++ {
		all = append(all, k)
	}
	return all
}
