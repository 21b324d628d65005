package audit

// Reason is why something happened, or what an order or an admin did. Which
// reasons an event can have depends on its kind.
type Reason uint8

// The reasons.
const (
	ByPerson        Reason = iota + 1 // who sits there wanted it
	BySender                          // of the message
	ByPolicy                          //
	ByOrder                           // Ref is the order
	Unattended                        // a service, not a person
	Idle                              //
	PolicyTooOld                      //
	LeaseEnded                        // nothing was heard from the organisation for too long
	Asleep                            // the machine slept
	TerminalGone                      //
	Stopped                           // job control, or a signal to end
	Crashed                           // noticed at the next start
	Restarted                         //
	WrongPIN                          //
	TooMany                           // wrong PINs
	Damaged                           //
	NotMember                         // of the organisation
	Untrusted                         // device
	GivenUp                           // after many tries
	NotPossible                       // sotto never does this
	Undecipherable                    //
	NotEncrypted                      //
	Malformed                         //
	Repeated                          // seen before
	BadSignature                      //
	Older                             // than what is in force
	Late                              // it had expired
	NotForUs                          // but for another device or person
	Forked                            // there is another with the same number; or the collector has another history
	OrderLock                         //
	OrderWipe                         //
	OrderRecall                       //
	OrderLogOff                       //
	Added                             //
	Altered                           //
	Removed                           //
	Compared                          // fingerprints, by people
	Signed                            // by the organisation
	OnFirstUse                        //
	KeyChanged                        //
	Founded                           // the organisation
	Invited                           //
	Approved                          //
	PolicySet                         //
	PartnerAdded                      // organisation
	PartnerRemoved                    //
	RecoveryKeyUsed                   //
	LooksAtAudit                      //
	ForgottenPIN                      //
	Emergency                         // somebody's life or health
	Absent                            // the person cannot be reached
	Investigation                     //
	NewDevice                         //
	AfterRestore                      //
	Forward                           //
	Back                              //
	lastReason      = Back
)

var reasonNames = [lastReason + 1]string{
	ByPerson: "by-person", BySender: "by-sender", ByPolicy: "by-policy", ByOrder: "by-order", Unattended: "unattended",
	Idle: "idle", PolicyTooOld: "policy-too-old", LeaseEnded: "lease-ended", Asleep: "asleep", TerminalGone: "terminal-gone",
	Stopped: "stopped", Crashed: "crashed", Restarted: "restarted", WrongPIN: "wrong-pin", TooMany: "too-many-wrong-pins",
	Damaged: "damaged", NotMember: "not-a-member", Untrusted: "untrusted-device", GivenUp: "given-up", NotPossible: "not-possible",
	Undecipherable: "undecipherable", NotEncrypted: "not-encrypted", Malformed: "malformed", Repeated: "repeated",
	BadSignature: "bad-signature", Older: "older", Late: "late", NotForUs: "not-for-us", Forked: "forked",
	OrderLock: "order-lock", OrderWipe: "order-wipe", OrderRecall: "order-recall", OrderLogOff: "order-log-off",
	Added: "added", Altered: "altered", Removed: "removed", Compared: "compared", Signed: "signed", OnFirstUse: "on-first-use",
	KeyChanged: "key-changed", Founded: "founded", Invited: "invited", Approved: "approved", PolicySet: "policy-set",
	PartnerAdded: "partner-added", PartnerRemoved: "partner-removed", RecoveryKeyUsed: "recovery-key-used", LooksAtAudit: "looks-at-audit",
	ForgottenPIN: "forgotten-pin", Emergency: "emergency", Absent: "absent", Investigation: "investigation",
	NewDevice: "new-device", AfterRestore: "after-restore", Forward: "forward", Back: "back",
}

// String is the reason's name in a line; "unknown" if it has none.
func (r Reason) String() string {
	if r == 0 || r > lastReason {
		return "unknown"
	}
	return reasonNames[r]
}

var reasonByName = func() map[string]Reason {
	m := make(map[string]Reason, lastReason)
	for r := Reason(1); r <= lastReason; r++ {
		m[reasonNames[r]] = r
	}
	return m
}()

// ReasonNamed returns the reason with that name.
func ReasonNamed(name string) (Reason, bool) {
	r, ok := reasonByName[name]
	return r, ok
}
