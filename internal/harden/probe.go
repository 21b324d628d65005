package harden

// Attempt is one thing that a confined process should not be able to do, and
// what came of trying.
type Attempt struct {
	Name    string // in words, for people
	Allowed bool   // no layer refused it
	By      string // "seccomp" or "Landlock", judged by the error; "" if allowed
	Error   string // how it failed, if it did. What is allowed can fail too.
}

// Probe tries what a desk whose data folder is dir must not be able to do. It is
// meant for a process that Desk has confined; elsewhere it shows what would be
// possible. What succeeds does no harm and leaves nothing behind. Standard input
// should be a terminal, and the parent a process of the same user.
//
// What a layer refuses fails with EPERM or EACCES. So does what the system itself
// forbids this user, with or without a sandbox.
func Probe(dir string) []Attempt { return probe(dir) }
