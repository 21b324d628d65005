package tui

import (
	"context"
	"strconv"
	"time"

	"sotto/client"
	"sotto/client/omemo"
	"sotto/client/org/policy"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Messenger is what the screens need of a *client.Client. Its methods may be
// called from any goroutine; those that take a context read or write the
// store, and are called from commands only, never while drawing.
type Messenger interface {
	Events() <-chan client.Event
	State() client.State
	Self() client.Self
	Joining() client.Joining

	Conversations(ctx context.Context) ([]client.Conversation, error)
	Messages(ctx context.Context, peer string, before int64, limit int) ([]client.Message, error)
	Around(ctx context.Context, peer string, id int64, limit int) (client.Part, error)
	After(ctx context.Context, peer string, after int64, limit int) (client.Part, error)
	FirstUnread(ctx context.Context, peer string, urgent bool) (id int64, err error)
	Gaps(ctx context.Context, peer string) ([]client.Gap, error)
	FillGap(ctx context.Context, gap int64) (n int, err error)
	Search(ctx context.Context, q client.Query) (client.Found, error)
	Inbox(ctx context.Context) ([]client.Waiting, error)
	Devices(ctx context.Context, peer string) ([]client.Device, error)
	Security(ctx context.Context, peer string) (client.Security, error)
	Draft(ctx context.Context, peer string) (store.Draft, error)

	Send(ctx context.Context, peer, text string) (client.Message, error)
	Reply(ctx context.Context, peer string, id int64, text string) (client.Message, error)
	Correct(ctx context.Context, peer string, id int64, text string) (client.Message, error)
	Acknowledge(ctx context.Context, peer string, id int64, text string) (client.Message, error)
	Recall(ctx context.Context, peer string, id int64) (withdrawn bool, err error)
	Withdraw(ctx context.Context, peer string, id int64) error
	Forget(ctx context.Context, peer string) error
	Fate(ctx context.Context, id int64) (client.Fate, error)
	Resend(ctx context.Context, id int64) error
	Attach(ctx context.Context, peer, name, mediaType string, content []byte, caption string) (client.Message, error)
	Fetch(ctx context.Context, fileID int64) error
	CancelFile(ctx context.Context, fileID int64) error
	Contents(ctx context.Context, fileID int64) ([]byte, error)
	MaxFile() int64
	AttemptedSize(ctx context.Context, peer string, size int64) error
	MarkRead(ctx context.Context, peer string, upTo int64) error
	SetLifespan(ctx context.Context, peer string, d time.Duration) error
	SetDraft(ctx context.Context, peer string, draft store.Draft) error
	Dismiss(ctx context.Context, id int64) error
	SetRole(ctx context.Context, role string, has bool) error
	CreateRoom(ctx context.Context, name string) (peer string, err error)
	JoinRoom(ctx context.Context, peer string) error
	Invite(ctx context.Context, peer, who string) error
	Remove(ctx context.Context, peer, who string) error
	SetTopic(ctx context.Context, peer, topic string) error
	SetAffiliation(ctx context.Context, peer, who string, a stanza.Affiliation) error
	Decline(ctx context.Context, peer string) error
	Leave(ctx context.Context, peer string) error
	Members(ctx context.Context, peer string) ([]client.Member, error)
	AcceptReaders(ctx context.Context, n *client.NewReaders) error

	InForce() []policy.Decided
	Policy() *policy.Policy
	Organisation() client.Organisation
	People(query string, most int) []client.Person
	Person(address string) (client.Person, bool)
	MayTalk(address string) error
	Forward(ctx context.Context, id int64, to, comment string) (client.Message, error)
	Attempted(ctx context.Context, what client.Attempt, peer string, id int64) error

	Code() client.Code
	VerifyCode(ctx context.Context, code client.Code) (n int, err error)
	RemoveDevice(ctx context.Context, id uint32) error
	Rejoin(ctx context.Context) error
	Trust(ctx context.Context, peer string, fp omemo.Fingerprint, trust store.Trust) error
}

var _ Messenger = (*client.Client)(nil)

func itoa(n int) string { return strconv.Itoa(n) }
