package harden

// Attempt is one thing that a confined process should not be able to do, and
// what came of trying.
type Attempt struct {
	Name    string // in words, for people
	Kind    string // "network", "processes", "terminal", "files", "memory" or "kernel"
	Allowed bool   // no layer refused it
	By      string // "seccomp", "Landlock", or else "the system"; "" if allowed
	Error   string // how it failed, if it did. What is allowed can fail too.
}

// Probe tries what a desk whose data folder is dir must not be able to do. It is
// meant for a process that Desk has confined, to the layers l; elsewhere, with
// none, it shows what would be possible. What succeeds does no harm and leaves
// nothing behind. Standard input should be a terminal, and the parent a process
// of the same user.
//
// What is refused fails with EPERM or EACCES. The system itself refuses some of
// it to users other than root, with or without a sandbox.
func Probe(dir string, l Layers) []Attempt { return probe(dir, l) }
