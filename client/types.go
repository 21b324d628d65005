package client

import (
	"time"

	"sotto/client/omemo"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// State is how the connection stands.
type State struct {
	Phase    wire.Phase
	Words    text.Safe     // one sentence for people; "" when there is nothing to say
	Address  text.Safe     // full address when online
	RTT      time.Duration // last round trip when online; 0 if unknown
	Since    time.Time     // when this phase began
	RetryAt  time.Time     // the next attempt when offline, else zero
	CaughtUp bool          // what the archive held is here
	CatchUp  CatchUp       // how far it is, where that takes more than a moment
	Queued   int           // own messages that the relay does not have yet
}

// Message is one line of a conversation, fit for a screen.
type Message struct {
	ID       int64
	Peer     string // bare JID, the key of the conversation; Conversation.Name is what to show
	Outgoing bool
	Sender   text.Safe // the sender's bare address, in a room too
	Time     time.Time
	Body     text.Safe
	Kind     store.Kind // store.Notice: our words, not the sender's
	Urgency  int        // store.Routine, Urgent or Stat
	Read     bool       // by the person here

	// Place says where the message stands in its conversation: sort by it, and by
	// nothing else. Times are for people to read. When messages have moved, a
	// Resync says so.
	Place int64

	// Encrypted says that the text came, or goes, end-to-end encrypted. If not,
	// anybody along the way could read and change it: say so.
	Encrypted   bool
	Device      uint32            // the OMEMO device it came from, 0 if none
	Fingerprint omemo.Fingerprint // of that device; zero if unknown

	// Untrusted says that the device it came from is not trusted: it is new, its
	// key has changed, or somebody refused it. Its words may not be the sender's.
	Untrusted bool
	Trust     store.Trust // in that device; store.Undecided where it did not come encrypted

	// Gone says why Body is empty: the text is not here any more.
	Gone    store.Gone
	GoneAt  time.Time
	GoneBy  text.Safe // the bare address of who took it back; else ""
	Expires time.Time // when its text goes; zero: never

	State    store.State    // of outgoing messages; in a room, as far as it has come with everybody
	Progress store.Progress // of outgoing messages in a room: with how many it has come how far
	Why      text.Safe      // why it is still queued, or has failed, or what speaks against its having arrived; else ""

	Files []File // what belongs to it; then Body is a label such as "[image] ecg.png 212 kB"

	// Of an own one that was taken back, Carried counts the devices that have said
	// that they have removed it, of CarriedOf that may have had it.
	Carried, CarriedOf int

	// And Recall is the message that asks the others for the same, which is no line
	// of its own here.
	Recall Recall

	// About is the id of the message that this one answers, corrects or, if Kind is
	// store.Retraction, took back; 0 if it does none of this, or the other is not
	// here. AboutTime is the other's. A Retraction is among the Messages of a
	// conversation only if About is 0: else the line of the other one says it.
	About     int64
	AboutTime time.Time
	Corrects  bool // About is what it corrects

	// Corrected says that CorrectedBy, further down, is a better version of it. Both
	// are shown: nothing is hidden on the word of a relay.
	CorrectedBy int64
	Corrected   time.Time

	Acks      []Acknowledgement // who has said, encrypted, that they have it in hand
	Reactions []Reaction        // what was said of it unencrypted: by anybody, for all one knows
}

// Recall is how an own message stands that takes another one back.
type Recall struct {
	ID    int64       // 0: there is none, as somebody else has taken it back
	State store.State // how far it has come
	Why   text.Safe   // why it is still queued, or has failed; else ""
}

// Acknowledgement is somebody's word that they have a message in hand.
type Acknowledgement struct {
	Sender text.Safe // bare address
	Time   time.Time
}

// Reaction is what an app says of a message for its user (XEP-0444).
type Reaction struct {
	Sender text.Safe
	Words  text.Safe
}

// Conversation is one line of the conversation list, fit for a screen.
type Conversation struct {
	Peer         string    // bare JID, the key
	Name         text.Safe // never empty: the address if the roster has no name
	Group        text.Safe
	Contact      bool // in the roster
	Last         time.Time
	Preview      text.Safe
	LastOutgoing bool
	LastState    store.State
	Unread       int
	Stats        int   // of the unread, those that are STAT
	Urgency      int   // highest among the unread
	FirstUnread  int64 // id; 0 if there is none
	Draft        string
	Presence     Presence
	Room         bool // many people (XEP-0045)
}

// Presence is whether somebody can be reached.
type Presence struct {
	Available bool
	Show      string    // "", "away", "chat", "dnd" or "xa"
	Status    text.Safe // in their words
}

// Device is one OMEMO device.
type Device struct {
	ID          uint32
	Own         bool              // the very device this is
	Fingerprint omemo.Fingerprint // zero until its keys were seen
	Known       bool              // Fingerprint is set
	Trust       store.Trust
	Active      bool // in the list its owner last published; others are not encrypted to
	FirstSeen   time.Time
}

// Security says who could read what is sent to a conversation now.
type Security struct {
	Devices   int       // active devices of the peer
	Trusted   int       // of those, the ones encrypted to
	Verified  int       // of those, the ones whose fingerprint was compared
	Undecided int       // active, but nothing is sent to them until compared
	Words     text.Safe // the same in words: "encrypted, 1 of 2 compared"
	Warn      bool      // Words ask for something to be done
	Short     text.Safe // Words, or what to do, in few enough for the head of a screen; "" where the numbers say it

	Lifespan time.Duration // how long what is written there lives; 0: for ever

	// Of a room, where Devices and the others count those of all people in it.
	Room   bool
	People int         // who belong to it, besides this person
	New    *NewReaders // who can read and was not shown yet; nil: nobody
}

// Self is this account and device.
type Self struct {
	Address     string
	Name        text.Safe
	Device      uint32
	Fingerprint omemo.Fingerprint
}

// Event is something that changed, one of the types below. Events say that
// something is new; Client's queries say what it is now.
type Event interface{ event() }

// StateChanged says that State has changed.
type StateChanged struct{ State State }

// ConversationsChanged says that the conversation list has changed.
type ConversationsChanged struct{}

// MessageAdded is a new message, or one whose notice was replaced by its text.
type MessageAdded struct{ Message Message }

// MessageChanged is a message whose state has changed.
type MessageChanged struct{ Message Message }

// DevicesChanged says that a person's devices or the trust in them have changed,
// or who belongs to a room, or its topic.
type DevicesChanged struct{ Peer string }

// PresenceChanged says that a person's presence has changed.
type PresenceChanged struct{ Peer string }

// CaughtUp says that what the archive held is here.
type CaughtUp struct{}

// NoticeEvent is a sentence for the person that belongs to no message.
type NoticeEvent struct {
	Peer string // the conversation it is about, or ""
	Text text.Safe
}

// Resync says that events were dropped because nobody took them, or that
// messages stand in another order now: read again whatever is shown.
type Resync struct{}

func (StateChanged) event()         {}
func (ConversationsChanged) event() {}
func (MessageAdded) event()         {}
func (MessageChanged) event()       {}
func (DevicesChanged) event()       {}
func (PresenceChanged) event()      {}
func (CaughtUp) event()             {}
func (NoticeEvent) event()          {}
func (Resync) event()               {}
