package apart

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client"
	"sotto/client/link"
	"sotto/client/store"
)

// settings are what a child is told, in its environment: everything in them is
// made up for the test, the key and the password, too.
type settings struct {
	Role, Socket                 string // "link" or "desk"; where the link waits for desks
	Address, Password, Relay, CA string
	Store, Key                   string // the database and, in hex, its key
}

// variable has the settings of a child.
const variable = "SOTTO_APART"

// request is what the desk of a test is asked, a line of JSON; reply is its answer.
type request struct{ Do, Peer, Body string }

type reply struct {
	Err      string
	Self     string
	Online   bool // and caught up
	Messages []Message
}

// Message is a message as a person would see it.
type Message struct {
	Body, Sender, State, Why string
	Outgoing, Encrypted      bool
	Notice                   bool
	Delivered                int // with how many, in a room
}

// Child is the main function of a link or desk, in a program that calls it before
// anything else; it returns at once in every other process.
func Child() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	var s settings
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		switch s.Role {
		case "link":
			err = s.link()
		case "desk":
			err = s.desk()
		default:
			err = fmt.Errorf("no role %q", s.Role)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s of %s: %v\n", s.Role, s.Address, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// journal goes where a test that fails shows it.
func journal() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// link is the link role: desks come one after the other.
func (s *settings) link() error {
	os.Remove(s.Socket) // a former link's
	listener, err := net.Listen("unix", s.Socket)
	if err != nil {
		return err
	}
	l := link.New(link.Config{Logger: journal()})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.Attach(conn)
		}
	}()
	return l.Run(context.Background())
}

// desk is the desk role, with a test in the place of the person. It ends when its
// link does, as sotto's own.
func (s *settings) desk() error {
	ctx := context.Background()
	key, err := hex.DecodeString(s.Key)
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, s.Store, memguard.NewBufferFromBytes(key))
	if err != nil {
		return err
	}
	defer st.Close()
	var conn net.Conn
	for late := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if conn, err = net.Dial("unix", s.Socket); err == nil {
			break
		}
		if time.Now().After(late) {
			return err
		}
	}
	ca, err := os.ReadFile(s.CA)
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{
		Account: client.Account{Address: s.Address, Relay: s.Relay, CA: ca, Password: memguard.NewBufferFromBytes([]byte(s.Password))},
		Store:   st, Link: conn, Logger: journal(),
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	go func() { // nobody looks
		for range c.Events() {
		}
	}()
	requests := make(chan request)
	go func() {
		defer close(requests)
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			var r request
			if json.Unmarshal(lines.Bytes(), &r) == nil {
				requests <- r
			}
		}
	}()
	out := json.NewEncoder(os.Stdout)
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			if err := out.Encode(answer(ctx, c, r)); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, client.ErrLinkEnded) {
				return nil
			}
			return err
		}
	}
}

// answer does what the person would.
func answer(ctx context.Context, c *client.Client, r request) (a reply) {
	var err error
	switch r.Do {
	case "send":
		_, err = c.Send(ctx, r.Peer, r.Body)
		if n, ok := errors.AsType[*client.NewReaders](err); ok {
			if err = c.AcceptReaders(ctx, n); err == nil {
				_, err = c.Send(ctx, r.Peer, r.Body)
			}
		}
	case "create":
		a.Self, err = c.CreateRoom(ctx, r.Body)
	case "invite":
		err = c.Invite(ctx, r.Peer, r.Body)
	case "join":
		err = c.JoinRoom(ctx, r.Peer)
	case "members":
		var list []client.Member
		list, err = c.Members(ctx, r.Peer)
		for _, m := range list {
			a.Messages = append(a.Messages, Message{Sender: m.Address})
		}
	case "ready":
		var s client.Security
		s, err = c.Security(ctx, r.Peer)
		a.Online = c.State().CaughtUp && s.Devices > 0
	case "messages":
		var list []client.Message
		list, err = c.Messages(ctx, r.Peer, 0, 100000)
		for i := range list {
			m := &list[i]
			a.Messages = append(a.Messages, Message{
				Body: m.Body.String(), Sender: m.Sender.String(), Why: m.Why.String(), State: m.State.String(), Outgoing: m.Outgoing,
				Encrypted: m.Encrypted, Notice: m.Kind == store.Notice, Delivered: m.Progress.Delivered + m.Progress.Read,
			})
		}
	default:
		err = fmt.Errorf("nobody knows how to %s", r.Do)
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}
