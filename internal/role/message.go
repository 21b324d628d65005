package role

import (
	"math"
	"time"
)

// Message is one message of the control protocol.
type Message interface {
	kind() byte
	// code names each field once, for writing and for reading.
	code(*coder)
}

// The kinds of message, as they stand in a frame's type.
const (
	kindNote = 1 + iota
	kindQuit
	kindActivity
	kindReady
	kindLocking
	kindLocked
	kindUnlocked
	kindNeedLink
	kindStatus
	kindAttach
	kindLogoff
	kindEnd
	kindLock
	kindRedraw
	kindGateSetup
	kindDeskSetup
	kindWardSetup
	kindLinkSetup
	kindProbeSetup
	kindConfined
	kindTried
	kindChecked
	kindStop
	kindOutcome
	kindInForce
	kindOrdered
	kindWarrant
	kindArchived
)

// Bounds of what the messages carry.
const (
	maxText    = 1024 // bytes of one sentence or name
	maxPath    = 4096 // bytes of a path
	maxFolders = 16   // folders that files are attached from
	maxCount   = 1 << 20
	maxControl = 128 << 10 // bytes of one control frame
	maxTermios = 512

	maxDestroyAfter = 1000 // wrong PINs
)

// From a role to the watch.
type (
	// Note is one sentence for the person: why the role is about to end, or
	// what it does meanwhile.
	Note struct{ Text string }
	// Quit says that the person is done; the role is about to end.
	Quit struct{}
	// Activity says that the person did something; at most one a second.
	Activity struct{}
	// Ready says that the desk shows its first frame, that the gate would put the
	// terminal right from here on, that the ward is set up.
	Ready struct{}
	// Locking says that the desk has blanked the screen and is at its end.
	Locking struct{}
	// Locked says that the desk reads the terminal no more.
	Locked struct {
		ChangePIN bool   // the person wants another PIN before going on, or has to choose one
		Why       string // why, for the lock screen; may be empty
	}
	// Unlocked says that the key is on its way through the handover pipe.
	Unlocked struct {
		Tried int // wrong PINs before it, as the vault has counted them
	}
	// Stop says that the person wants the shell back meanwhile: Ctrl+Z.
	Stop struct{}
	// NeedLink asks that the gate's link socket be given to the link.
	NeedLink struct{}
)

// Status is what the link says about itself, and the watch to the gate.
type Status struct {
	Words   string    // such as "relay online"
	Online  bool      // the relay can be reached and knows us
	Waiting int       // messages that came while locked
	Stat    int       // of these, how many are urgent in the highest degree
	Since   time.Time // when the first of them came; zero when none waits
	Ring    bool      // from the watch: ring the bell, once
}

// From the watch to a role.
type (
	// Attach comes with a file: for the link, its end of a desk's or gate's socket;
	// for a desk, what its task is to send, or the door
	// through which others hand that in.
	Attach struct{}
	// Logoff tells the link to leave the relay, and the password, by itself
	// after a time: the watch is about to be stopped and can't. 0 takes it back.
	Logoff struct{ After time.Duration }
	// End tells a role to end in good order.
	End struct{}
	// Lock tells the desk to lock.
	Lock struct {
		Why string // for the audit log: a reason of package client/audit; may be empty
	}
	// Redraw tells the gate that the screen was disturbed.
	Redraw struct{}
)

// Profile says where a profile keeps its files.
type Profile struct {
	Name      string // as the person gave it
	Vault     string // file
	DeviceKey string // file: the device secret
	Data      string // folder that the desk may write to
	Database  string // file in Data
}

// Mode is what a gate is for.
type Mode int

// The modes of the gate.
const (
	Unlock         Mode = iota // the PIN opens the vault
	Join                       // the relay's password, then a new PIN twice: makes the vault
	ChangePIN                  // the PIN, then a new one twice
	ChangePassword             // the PIN, then the password that the relay has now
	Serve                      // the PIN is in a file, standard input; nobody is asked and nothing is drawn
	Wipe                       // destroys the vault, because an order says so; nobody is asked and nothing is drawn
	Enrol                      // as Unlock, and then the one-time PIN of an invitation
	Recover                    // the recovery key opens the vault
	lastMode
)

// GateSetup is the first message to a gate.
type GateSetup struct {
	Mode     Mode
	Profile  Profile
	Label    string        // the organisation, above the PIN; may be empty
	User     string        // whose profile it is, as the person knows it
	Hint     string        // such as the demo's PIN
	Note     string        // why this gate is shown, such as a wrong PIN
	Wait     time.Duration // before input is taken, at least
	Failures int           // wrong PINs or passwords in a row, as the watch has seen them
	SignedIn bool          // the link has been given a password already
	LockedAt time.Time     // zero when it was never unlocked
	Terminal []byte        // the person's own terminal modes, see Terminal.Saved

	// LockAfter without a key, what is typed is forgotten, and what waits with an
	// open vault or a password ends; 0 is never.
	LockAfter time.Duration

	DestroyAfter int  // wrong PINs in a row after which the vault destroys itself; 0 is never
	NoTPM        bool // nothing of the vault goes into a TPM: the settings say so, or it is thrown away soon
	NeedTPM      bool // without a TPM it is not opened
	PINLength    int  // characters of a new PIN, at least; 0 is what every PIN has
	PINMixed     bool // letters and digits in a new PIN

	// for Join
	Address string
	Relay   string // URL, may be empty
	CAFile  string // PEM file, may be empty
	Relays  Relays // the policy's word, for whatever signs in
	Rotate  bool   // replace the password by a random one

	Rescue Rescue // for Recover, and where the desk needs the recovery key
	// for Serve: the PIN is typed at a terminal, standard input, and the prompts go there
	Typed bool

	// for Wipe
	Warrant Warrant
	Proof   Proof

	// for Join, Enrol and Serve: see Invited
	Invited Invited
}

// DeskSetup is the first message to a desk.
type DeskSetup struct {
	Profile  Profile
	Label    string
	Display  Display
	Terminal []byte
	Open     string // address of the conversation to open the first time; may be empty
	Check    bool   // look into the database and end, instead of showing it
	Task     Task   // to be done instead of showing anything
	Reading  bool   // nothing is sent, and nothing changes: an emergency

	Recovered bool // the vault was opened with the recovery key

	// ComparedOnly has nothing sent to a device that was not compared.
	ComparedOnly bool

	// Wishes are the settings that the person has chosen, as lines of a policy: what
	// holds changes with what the organisation says.
	Wishes []byte
	// Dealt are the orders that were dealt with since the last desk was told.
	Dealt []Dealt
	// Past is what happened since the last desk and belongs into the audit log.
	Past []Happened
}

// Display are the person's settings of the screens.
type Display struct {
	Theme         string
	LockAfter     time.Duration // without a key; 0 is never
	LockUnfocused time.Duration // without the terminal's focus; 0 is never
	Curtain       bool          // without the focus, text is covered
	Reveal        bool          // a message's text is shown only while its line is chosen
	Mouse         bool          // the mouse scrolls and chooses, and selects no text
	Paste         bool          // text can be pasted
	Quiet         bool          // the terminal's bell is not rung
	AttachFrom    []Folder      // what files may be attached from
}

// Folder is a folder that the desk may read from.
type Folder struct {
	Shown string // as the person knows it
	Path  string // absolute and without links; "" if it is not there

	Device  int64  // the file system that it is on; 0 if that is not known
	Foreign string // why files are not attached from there, behind its name; "" if they are
}

// WardSetup is the first message to a ward.
type WardSetup struct {
	Profile Profile
	Dir     string // everything the demo keeps is beneath; removed at the end
}

// LinkSetup is the first message to a link.
type LinkSetup struct{}

func (Note) kind() byte      { return kindNote }
func (Quit) kind() byte      { return kindQuit }
func (Activity) kind() byte  { return kindActivity }
func (Ready) kind() byte     { return kindReady }
func (Locking) kind() byte   { return kindLocking }
func (Locked) kind() byte    { return kindLocked }
func (Unlocked) kind() byte  { return kindUnlocked }
func (Stop) kind() byte      { return kindStop }
func (NeedLink) kind() byte  { return kindNeedLink }
func (Status) kind() byte    { return kindStatus }
func (Attach) kind() byte    { return kindAttach }
func (Logoff) kind() byte    { return kindLogoff }
func (End) kind() byte       { return kindEnd }
func (Lock) kind() byte      { return kindLock }
func (Redraw) kind() byte    { return kindRedraw }
func (GateSetup) kind() byte { return kindGateSetup }
func (DeskSetup) kind() byte { return kindDeskSetup }
func (WardSetup) kind() byte { return kindWardSetup }
func (LinkSetup) kind() byte { return kindLinkSetup }

func (m *Note) code(c *coder)     { c.text(&m.Text) }
func (*Quit) code(*coder)         {}
func (*Activity) code(*coder)     {}
func (*Ready) code(*coder)        {}
func (*Locking) code(*coder)      {}
func (m *Locked) code(c *coder)   { c.flag(&m.ChangePIN); c.text(&m.Why) }
func (m *Unlocked) code(c *coder) { c.number(&m.Tried, maxCount) }
func (*Stop) code(*coder)         {}
func (*NeedLink) code(*coder)     {}
func (m *Status) code(c *coder) {
	c.text(&m.Words)
	c.flag(&m.Online)
	c.number(&m.Waiting, maxCount)
	c.number(&m.Stat, maxCount)
	c.moment(&m.Since)
	c.flag(&m.Ring)
}
func (*Attach) code(*coder)     {}
func (m *Logoff) code(c *coder) { c.span(&m.After) }
func (*End) code(*coder)        {}
func (m *Lock) code(c *coder)   { c.text(&m.Why) }
func (*Redraw) code(*coder)     {}

func (m *Profile) code(c *coder) {
	c.text(&m.Name)
	c.path(&m.Vault)
	c.path(&m.DeviceKey)
	c.path(&m.Data)
	c.path(&m.Database)
}

func (m *GateSetup) code(c *coder) {
	c.number((*int)(&m.Mode), int(lastMode)-1)
	m.Profile.code(c)
	c.text(&m.Label)
	c.text(&m.User)
	c.text(&m.Hint)
	c.text(&m.Note)
	c.span(&m.Wait)
	c.number(&m.Failures, maxCount)
	c.flag(&m.SignedIn)
	c.moment(&m.LockedAt)
	c.bytes(&m.Terminal, maxTermios)
	c.span(&m.LockAfter)
	c.number(&m.DestroyAfter, maxDestroyAfter)
	c.flag(&m.NoTPM)
	c.flag(&m.NeedTPM)
	c.number(&m.PINLength, maxPIN)
	c.flag(&m.PINMixed)
	c.text(&m.Address)
	c.text(&m.Relay)
	c.path(&m.CAFile)
	m.Relays.code(c)
	c.flag(&m.Rotate)
	m.Rescue.code(c)
	c.flag(&m.Typed)
	m.Warrant.code(c)
	m.Proof.code(c)
	m.Invited.code(c)
}

func (m *DeskSetup) code(c *coder) {
	m.Profile.code(c)
	c.text(&m.Label)
	m.Display.code(c)
	c.bytes(&m.Terminal, maxTermios)
	c.text(&m.Open)
	c.flag(&m.Check)
	m.Task.code(c)
	c.flag(&m.Reading)
	c.flag(&m.Recovered)
	c.flag(&m.ComparedOnly)
	c.bytes(&m.Wishes, maxWishes)
	c.dealt(&m.Dealt)
	c.past(&m.Past)
}

func (m *Display) code(c *coder) {
	c.text(&m.Theme)
	c.span(&m.LockAfter)
	c.span(&m.LockUnfocused)
	c.flag(&m.Curtain)
	c.flag(&m.Reveal)
	c.flag(&m.Mouse)
	c.flag(&m.Paste)
	c.flag(&m.Quiet)
	n := len(m.AttachFrom)
	c.number(&n, maxFolders)
	if c.reading && c.err == nil && n > 0 {
		m.AttachFrom = make([]Folder, n)
	}
	for i := range m.AttachFrom {
		c.text(&m.AttachFrom[i].Shown)
		c.path(&m.AttachFrom[i].Path)
		c.long(&m.AttachFrom[i].Device, math.MaxInt64)
		c.text(&m.AttachFrom[i].Foreign)
	}
}

func (m *WardSetup) code(c *coder) {
	m.Profile.code(c)
	c.path(&m.Dir)
}

func (*LinkSetup) code(*coder) {}

// blank returns an empty message of a kind, to be read into.
func blank(kind byte) Message {
	switch kind {
	case kindNote:
		return new(Note)
	case kindQuit:
		return new(Quit)
	case kindActivity:
		return new(Activity)
	case kindReady:
		return new(Ready)
	case kindLocking:
		return new(Locking)
	case kindLocked:
		return new(Locked)
	case kindUnlocked:
		return new(Unlocked)
	case kindNeedLink:
		return new(NeedLink)
	case kindStatus:
		return new(Status)
	case kindAttach:
		return new(Attach)
	case kindLogoff:
		return new(Logoff)
	case kindEnd:
		return new(End)
	case kindLock:
		return new(Lock)
	case kindRedraw:
		return new(Redraw)
	case kindGateSetup:
		return new(GateSetup)
	case kindDeskSetup:
		return new(DeskSetup)
	case kindWardSetup:
		return new(WardSetup)
	case kindLinkSetup:
		return new(LinkSetup)
	case kindProbeSetup:
		return new(ProbeSetup)
	case kindConfined:
		return new(Confined)
	case kindTried:
		return new(Tried)
	case kindChecked:
		return new(Checked)
	case kindStop:
		return new(Stop)
	case kindOutcome:
		return new(Outcome)
	case kindInForce:
		return new(InForce)
	case kindArchived:
		return new(Archived)
	case kindOrdered:
		return new(Ordered)
	case kindWarrant:
		return new(Warrant)
	}
	return nil
}
