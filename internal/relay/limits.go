package relay

import "time"

// Limits bound what one client, one account and all of them together can cost.
// A zero field takes the value of [DefaultLimits].
type Limits struct {
	// Connections is the number of WebSockets open at once; more are refused with 503.
	Connections int
	// Unauthenticated is how many of them may not have bound a resource yet.
	Unauthenticated int
	// UnauthenticatedEach is how many connections one network address may have
	// that have not; loopback addresses are not bounded.
	UnauthenticatedEach int
	// LoginTime is how long a connection may take until it has bound or resumed.
	LoginTime time.Duration
	// Users is the number of accounts. Everybody is in everybody's roster, which
	// has to fit into one stanza of 1 MiB.
	Users int
	// Resources is the number of sessions of one account, detached ones included.
	Resources int

	// StanzaBytes is the largest stanza that is routed; a larger one is answered
	// with an error. Above 1 MiB the connection is closed.
	StanzaBytes int
	// PresenceBytes is the largest presence, because it is sent to everyone.
	PresenceBytes int
	// StanzasPerSecond and StanzaBurst shape what a connection may send: beyond
	// it the connection is simply read more slowly.
	StanzasPerSecond, StanzaBurst int
	// PresencesPerSecond and PresenceBurst do the same for presence, which is
	// sent on to everyone: a flood of it would overflow what waits for others.
	PresencesPerSecond, PresenceBurst int
	// GroupMessagesPerSecond and GroupMessageBurst do the same for messages to
	// rooms, each of which is sent on to everyone in one.
	GroupMessagesPerSecond, GroupMessageBurst int
	// BytesPerSecond and ByteBurst do the same for its volume.
	BytesPerSecond, ByteBurst int

	// QueueStanzas and QueueBytes bound what waits to be written to one
	// connection. A reader who falls further behind is cut off.
	QueueStanzas, QueueBytes int
	// UnackedStanzas and UnackedBytes bound what one session has been sent and has
	// not acknowledged (XEP-0198). Beyond it the session ends; messages stay in the
	// mailbox. At most half of the queue, so that resuming does not overflow it.
	UnackedStanzas, UnackedBytes int
	// Resume is how long a session waits for its client to come back.
	Resume time.Duration

	// Mailbox is the number of undelivered messages kept for one account; beyond
	// it senders get an error.
	Mailbox int
	// MailboxShare is how many of them may be from one sender.
	MailboxShare int
	// MailboxBytes bounds those of them that are in no archive.
	MailboxBytes int
	// Archive and ArchiveBytes bound one account's archive. When it is full, the
	// oldest messages of the largest conversation go.
	Archive, ArchiveBytes int
	// RoomArchive and RoomArchiveBytes do the same for a room's.
	RoomArchive, RoomArchiveBytes int
	// Page is the largest page of the archive.
	Page int

	// Rooms is the number of rooms, RoomsEach how many of them one account may
	// have made, Members the people of one room, and Joined the rooms that one
	// session is in.
	Rooms, RoomsEach, Members, Joined int
	// History is the number of messages that who enters a room is sent.
	History int

	// FileBytes is the largest file that can be uploaded; Files and FilesBytes
	// bound those of one account, ShelfBytes all of them.
	FileBytes, Files, FilesBytes int
	ShelfBytes                   int64

	// Nodes, Items and ItemBytes bound an account's PEP service: nodes, items of
	// one node, bytes of one item.
	Nodes, Items, ItemBytes int
	// Notify is the number of +notify nodes of one session that are honoured.
	Notify int
	// Blocks is the number of addresses one account can block.
	Blocks int
}

// DefaultLimits suit a hospital of up to 5,000 people on one machine.
func DefaultLimits() Limits {
	return Limits{
		Connections:            16384,
		Unauthenticated:        512,
		UnauthenticatedEach:    100,
		LoginTime:              10 * time.Second,
		Users:                  5000,
		Resources:              16,
		StanzaBytes:            512 << 10,
		PresenceBytes:          8 << 10,
		StanzasPerSecond:       500,
		StanzaBurst:            2000,
		PresencesPerSecond:     5,
		PresenceBurst:          50,
		GroupMessagesPerSecond: 200,
		GroupMessageBurst:      2000,
		BytesPerSecond:         4 << 20,
		ByteBurst:              16 << 20,
		QueueStanzas:           32768,
		QueueBytes:             32 << 20,
		UnackedStanzas:         16384,
		UnackedBytes:           16 << 20,
		Resume:                 5 * time.Minute,
		Mailbox:                10000,
		MailboxShare:           5000,
		MailboxBytes:           64 << 20,
		Archive:                500000,
		ArchiveBytes:           1 << 30,
		RoomArchive:            500000,
		RoomArchiveBytes:       1 << 30,
		Page:                   250,
		Rooms:                  5000,
		RoomsEach:              100,
		Members:                1000,
		Joined:                 250,
		History:                100,
		FileBytes:              64 << 20,
		Files:                  1000,
		FilesBytes:             1 << 30,
		ShelfBytes:             50 << 30,
		Nodes:                  128,
		Items:                  256,
		ItemBytes:              128 << 10,
		Notify:                 64,
		Blocks:                 1000,
	}
}

// withDefaults returns l with every zero field filled in.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct {
		v *int
		d int
	}{
		{&l.Connections, d.Connections}, {&l.Unauthenticated, d.Unauthenticated}, {&l.UnauthenticatedEach, d.UnauthenticatedEach},
		{&l.Users, d.Users}, {&l.Resources, d.Resources},
		{&l.StanzaBytes, d.StanzaBytes}, {&l.PresenceBytes, d.PresenceBytes},
		{&l.StanzasPerSecond, d.StanzasPerSecond}, {&l.StanzaBurst, d.StanzaBurst},
		{&l.PresencesPerSecond, d.PresencesPerSecond}, {&l.PresenceBurst, d.PresenceBurst},
		{&l.GroupMessagesPerSecond, d.GroupMessagesPerSecond}, {&l.GroupMessageBurst, d.GroupMessageBurst},
		{&l.BytesPerSecond, d.BytesPerSecond}, {&l.ByteBurst, d.ByteBurst},
		{&l.QueueStanzas, d.QueueStanzas}, {&l.QueueBytes, d.QueueBytes},
		{&l.UnackedStanzas, d.UnackedStanzas}, {&l.UnackedBytes, d.UnackedBytes},
		{&l.Mailbox, d.Mailbox}, {&l.MailboxShare, d.MailboxShare}, {&l.MailboxBytes, d.MailboxBytes},
		{&l.Archive, d.Archive}, {&l.ArchiveBytes, d.ArchiveBytes},
		{&l.RoomArchive, d.RoomArchive}, {&l.RoomArchiveBytes, d.RoomArchiveBytes}, {&l.Page, d.Page}, {&l.FileBytes, d.FileBytes}, {&l.Files, d.Files}, {&l.FilesBytes, d.FilesBytes},
		{&l.Rooms, d.Rooms}, {&l.RoomsEach, d.RoomsEach}, {&l.Members, d.Members}, {&l.Joined, d.Joined}, {&l.History, d.History},
		{&l.Nodes, d.Nodes}, {&l.Items, d.Items}, {&l.ItemBytes, d.ItemBytes},
		{&l.Notify, d.Notify}, {&l.Blocks, d.Blocks},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	l.UnackedStanzas = min(l.UnackedStanzas, max(l.QueueStanzas/2, 1))
	l.UnackedBytes = min(l.UnackedBytes, max(l.QueueBytes/2, 1))
	if l.ShelfBytes <= 0 {
		l.ShelfBytes = d.ShelfBytes
	}
	if l.LoginTime <= 0 {
		l.LoginTime = d.LoginTime
	}
	if l.Resume <= 0 {
		l.Resume = d.Resume
	}
	return l
}
