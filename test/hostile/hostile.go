// Package hostile is a relay that does its worst. It stands in front of sotto's own
// relay, which does all the ordinary work, has every stanza in its hands in both
// directions, and lets a test hold, change, drop, repeat and invent what it likes.
// Stream management is taken out of what it offers, or its counting would give away
// what was changed.
package hostile

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"sotto/client/stanza"
	"sotto/internal/relay"
)

// Way is the direction of a stanza.
type Way int

const (
	Down Way = iota // to a client
	Up              // from a client
)

// Hook is given each stanza on its way to or from somebody, and returns what goes on
// in its place. It is called by one goroutine for each stream and way, and may call
// Inject.
type Hook func(way Way, who string, e *stanza.Element) []*stanza.Element

// Relay is a hostile relay. Its methods are safe for concurrent use.
type Relay struct {
	Domain, URL string

	t     testing.TB
	inner string // address of the honest one
	relay *relay.Relay

	mu      sync.Mutex
	streams map[string]*stream // the last of each bare address
	hook    Hook
	heard   map[string][]*stanza.Element // the last messages that went down, by bare address
}

// heardAtMost bounds what is kept to be replayed.
const heardAtMost = 50

// stream is a client's.
type stream struct {
	client, server *websocket.Conn
	mu             sync.Mutex
	who            string // bare address once it is bound
	full           string
}

// Start starts a hostile relay with people, whose passwords are "password of" and their name. It ends
// with the test.
func Start(t testing.TB, names ...string) *Relay {
	t.Helper()
	const domain = "mercy.example"
	inner, err := relay.New(relay.Config{Domain: domain, Iterations: 4096})
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{Domain: domain, t: t, relay: inner, streams: map[string]*stream{}, heard: map[string][]*stanza.Element{}}
	for _, n := range names {
		if err := inner.AddUser(t.Context(), n, []byte("password of "+n), strings.ToUpper(n[:1])+n[1:]); err != nil {
			t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	honest, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.inner = "ws://" + honest.Addr().String() + "/ws"
	running.Go(func() { _ = inner.Serve(context.Background(), honest) })
	mine, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.URL = "ws://" + mine.Addr().String() + "/ws"
	server := &http.Server{Handler: http.HandlerFunc(r.accept)}
	running.Go(func() { _ = server.Serve(mine) })
	t.Cleanup(func() {
		server.Close()
		r.CutAll()
		inner.Close()
		running.Wait()
	})
	return r
}

// Set has f see every stanza from now on; nil lets everything through.
func (r *Relay) Set(f Hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = f
}

// Heard returns the messages that went to somebody last, the newest last.
func (r *Relay) Heard(who string) []*stanza.Element {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*stanza.Element(nil), r.heard[who]...)
}

// Full returns the full address of somebody who is online.
func (r *Relay) Full(who string) string {
	if s := r.of(who); s != nil {
		return s.full
	}
	return ""
}

func (r *Relay) of(who string) *stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams[who]
}

// Inject sends somebody stanzas.
func (r *Relay) Inject(who string, list ...*stanza.Element) {
	for _, e := range list {
		r.Raw(who, e.Bytes())
	}
}

// Raw sends somebody a WebSocket message, whatever is in it.
func (r *Relay) Raw(who string, b []byte) {
	if s := r.of(who); s != nil {
		_ = s.client.Write(context.Background(), websocket.MessageText, b)
	}
}

// CutAll cuts every connection.
func (r *Relay) CutAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.streams {
		s.client.CloseNow()
		s.server.CloseNow()
	}
}

func (r *Relay) accept(w http.ResponseWriter, q *http.Request) {
	client, err := websocket.Accept(w, q, &websocket.AcceptOptions{Subprotocols: []string{"xmpp"}})
	if err != nil {
		return
	}
	defer client.CloseNow()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server, _, err := websocket.Dial(ctx, r.inner, &websocket.DialOptions{Subprotocols: []string{"xmpp"}})
	if err != nil {
		return
	}
	defer server.CloseNow()
	client.SetReadLimit(-1)
	server.SetReadLimit(-1)
	s := &stream{client: client, server: server}
	go func() {
		defer cancel()
		r.pump(ctx, s, Up, client, server)
	}()
	r.pump(ctx, s, Down, server, client)
}

// pump carries stanzas one way.
func (r *Relay) pump(ctx context.Context, s *stream, way Way, from, to *websocket.Conn) {
	defer from.CloseNow()
	defer to.CloseNow()
	for {
		_, b, err := from.Read(ctx)
		if err != nil {
			return
		}
		list := []*stanza.Element{}
		if e, err := stanza.Parse(b); err == nil {
			if list = r.pass(s, way, e); len(list) == 1 && list[0] == e && e.Local != "features" {
				list = nil // byte by byte as it was
			} else if len(list) == 0 {
				continue
			}
		}
		if len(list) == 0 {
			if to.Write(ctx, websocket.MessageText, b) != nil {
				return
			}
		}
		for _, e := range list {
			if to.Write(ctx, websocket.MessageText, e.Bytes()) != nil {
				return
			}
		}
	}
}

// pass returns what goes on in the place of a stanza.
func (r *Relay) pass(s *stream, way Way, e *stanza.Element) []*stanza.Element {
	if e.Local == "features" {
		for i, x := range e.Children {
			if x.Is(stanza.NSSM, "sm") {
				e.Children = append(e.Children[:i:i], e.Children[i+1:]...)
				break
			}
		}
		return []*stanza.Element{e}
	}
	if way == Down && e.Local == "iq" {
		if full, err := stanza.ReadBind(e); err == nil {
			s.mu.Lock()
			s.who, s.full = full.Bare().String(), full.String()
			s.mu.Unlock()
			r.mu.Lock()
			r.streams[s.who] = s
			r.mu.Unlock()
		}
	}
	s.mu.Lock()
	who := s.who
	s.mu.Unlock()
	r.mu.Lock()
	hook := r.hook
	if way == Down && e.Local == "message" && who != "" {
		r.heard[who] = append(r.heard[who], e)
		r.heard[who] = r.heard[who][max(0, len(r.heard[who])-heardAtMost):]
	}
	r.mu.Unlock()
	if hook == nil || who == "" {
		return []*stanza.Element{e}
	}
	return hook(way, who, e)
}

// Copy returns a deep copy, to be changed.
func Copy(e *stanza.Element) *stanza.Element {
	x, err := stanza.Parse(e.Bytes())
	if err != nil {
		panic("a stanza does not survive being written: " + err.Error())
	}
	return x
}
