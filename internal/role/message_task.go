package role

import "time"

// Job is what a desk does that nobody sits in front of.
type Job int

// The jobs.
const (
	Screen  Job = iota // none: it shows the screens
	Sending            // sends one message, whose text is on standard input
	Listening
	Trusting  // lists somebody's devices, or notes that one was compared
	BackingUp // writes a backup into the file that comes with an Attach
	Restoring // reads backups from the files that come with Attaches
	Joining   // waits until the organisation has answered the request to join

	// Of the organisation's own side: a conversation on standard input and output, and
	// serving it, with a door for the conversations of others.
	Administering
	Governing

	// Of audit logs.
	Collecting // takes those of an organisation's devices
	Verifying  // compares this device's with what was signed of it
	Showing    // shows the key with which this account confirms them
	lastJob
)

// Offline says whether a job has nothing to do with the relay: it needs no link.
func (j Job) Offline() bool {
	return j == BackingUp || j == Restoring || j == Verifying || j == Showing
}

// Task is a job and how to do it.
type Task struct {
	Job         Job
	Peer        string        // whom it is about; "" where it is about nobody, or everybody
	Urgency     int           // of what is sent, as in the store
	Wait        time.Duration // for the relay, at most
	Once        bool          // Listening: end when nothing waits any more
	Ack         bool          // Listening: what was written is taken once standard input says so
	JSON        bool
	Through     bool   // Sending, Administering: through a process that listens, on the link's socket; there is no link
	File        string // Sending: name of a file that goes with it, and that comes with an Attach; "" is none
	Fingerprint string // Trusting: of the device that was compared; "" lists them
	Archive     Archive
	Silence     time.Duration // Collecting: a device that is silent for so long is told of; 0: none is
}

// Standing is how far a message has come.
type Standing int

// The standings of a message.
const (
	Unsent    Standing = iota // nothing was kept
	Queued                    // it goes out later
	Sent                      // the relay has it
	Delivered                 // the recipient has it
	Refused                   // it does not go out as things are
	lastStanding
)

func (s Standing) String() string {
	return [...]string{"unsent", "queued", "sent", "delivered", "refused"}[s]
}

// Outcome is what became of a task.
type Outcome struct {
	Standing Standing // of a message that was to be sent
	ID       int64    // of that message, on this device
	Reason   string   // why it has not come further; "" if nothing stands against it
}

func (Outcome) kind() byte { return kindOutcome }

func (m *Outcome) code(c *coder) {
	c.number((*int)(&m.Standing), int(lastStanding)-1)
	c.long(&m.ID, 1<<62)
	c.text(&m.Reason)
}

func (m *Task) code(c *coder) {
	c.number((*int)(&m.Job), int(lastJob)-1)
	c.text(&m.Peer)
	c.number(&m.Urgency, 2)
	c.span(&m.Wait)
	c.flag(&m.Once)
	c.flag(&m.Ack)
	c.flag(&m.JSON)
	c.flag(&m.Through)
	c.path(&m.File)
	c.text(&m.Fingerprint)
	m.Archive.code(c)
	c.span(&m.Silence)
}
