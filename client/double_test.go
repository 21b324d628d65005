package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/locker"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
	"sotto/internal/frame"
)

const (
	me       = "ng@mercy.example"
	ada      = "okafor@mercy.example"
	patience = 45 * time.Second
)

// double stands in for link and relay: it keeps personal nodes, answers what a
// client asks when it comes online, and lets a test say and see the rest.
type double struct {
	t      testing.TB
	out    *writer
	enters func(presence *stanza.Element)           // is given what enters rooms, unless nil
	hook   func(iq *stanza.Element) *stanza.Element // answers instead of the double, unless nil

	mu       sync.Mutex
	nodes    map[string]*stanza.Element // owner and node to payload
	archive  []*stanza.Element          // forwarded messages, in order
	roster   []*stanza.Element
	seq      uint64
	stored   uint64
	settle   bool // acknowledge messages at once
	asked    []*stanza.Element
	unsent   map[string]bool      // what a link would give back
	mute     bool                 // nothing is answered, as by a link that is stuck
	messages chan *stanza.Element // what the client sent
	login    wire.Login

	transfers chan wire.Message // what the client says of files, unless nil

	linkKey  []byte         // with which the link acknowledges; nil: it is not told
	linkHead []byte         // that the link has followed
	duties   chan wire.Duty // what the link was told
}

func newDouble(t testing.TB) *double {
	return &double{t: t, nodes: make(map[string]*stanza.Element), messages: make(chan *stanza.Element, 10000), settle: true, duties: make(chan wire.Duty, 1000)}
}

// attach makes the double the link of a client, online at once.
func (d *double) attach(session uint64, pending ...string) net.Conn {
	mine, theirs := net.Pipe()
	conn := frame.NewConn(mine)
	d.mu.Lock()
	out := newWriter(conn)
	d.out = out
	d.mu.Unlock()
	go out.run()
	go func() {
		for {
			m, err := wire.Read(conn)
			if err != nil {
				out.close()
				return
			}
			d.handle(out, m, session, pending)
		}
	}()
	d.t.Cleanup(func() { mine.Close() })
	return theirs
}

func (d *double) handle(out *writer, m wire.Message, session uint64, pending []string) {
	switch m := m.(type) {
	case wire.Login:
		d.mu.Lock()
		d.login = m
		d.mu.Unlock()
		if d.mute {
			return
		}
		out.send(wire.State{Phase: wire.Online, Address: me + "/test", Session: session})
		out.send(wire.Pending{IDs: pending})
	case wire.Stored:
		d.mu.Lock()
		d.stored = m.Seq
		d.mu.Unlock()
	case wire.Enlist:
		if d.linkKey != nil {
			out.send(wire.Enlisted{Key: d.linkKey, Head: d.linkHead})
		}
	case wire.Duty:
		select {
		case d.duties <- m:
		default:
		}
	case wire.Withdraw:
		d.mu.Lock()
		back := d.unsent[m.ID]
		d.mu.Unlock()
		out.send(wire.Withdrawn{ID: m.ID, Back: back})
	case wire.Put, wire.Get, wire.Want, wire.Chunk, wire.Cancel:
		if d.transfers != nil {
			d.transfers <- m
		}
	case wire.Send:
		e, err := stanza.Parse(m.Stanza)
		if err != nil {
			d.t.Errorf("client sent what does not parse: %v", err)
			return
		}
		if e.Local == "iq" {
			d.iq(e)
			return
		}
		if e.Local == "presence" && d.enters != nil {
			d.enters(e)
			return
		}
		d.messages <- e
		d.mu.Lock()
		settle := d.settle
		d.mu.Unlock()
		if settle {
			out.send(wire.Settled{ID: m.ID})
		}
	}
}

func (d *double) iq(e *stanza.Element) {
	d.mu.Lock()
	d.asked = append(d.asked, e)
	hook := d.hook
	d.mu.Unlock()
	if e.Get("type") != "get" && e.Get("type") != "set" {
		return
	}
	if hook != nil {
		if r := hook(e); r != nil {
			if r.Local != "" {
				d.deliver(r)
			}
			return
		}
	}
	answer := stanza.NewIQ("result", "", e.Get("id"), nil).With("to", me+"/test")
	owner := e.Get("to")
	if owner == "" {
		owner = me
	} else {
		answer.With("from", owner)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch p := e.Child("", ""); {
	case p.Is(stanza.NSRoster, "query"):
		answer.Add(stanza.New(stanza.NSRoster, "query", d.roster...))
	case p.Is(stanza.NSMAM, "query"):
		d.page(e, p, answer)
	case p.Child("", "items") != nil:
		node := p.Child("", "items").Get("node")
		payload := d.nodes[owner+" "+node]
		if payload == nil {
			answer = stanza.ErrorReply(e, "cancel", "item-not-found").With("from", owner).With("to", me+"/test")
			break
		}
		answer.Add(stanza.New(stanza.NSPubSub, "pubsub", stanza.New(stanza.NSPubSub, "items",
			stanza.New(stanza.NSPubSub, "item", payload).With("id", "current")).With("node", node)))
	case p.Child("", "delete") != nil:
		node := p.Child("", "delete").Get("node")
		if d.nodes[owner+" "+node] == nil {
			answer = stanza.ErrorReply(e, "cancel", "item-not-found").With("from", owner).With("to", me+"/test")
		}
		delete(d.nodes, owner+" "+node)
	case p.Child("", "publish") != nil:
		pub := p.Child("", "publish")
		d.nodes[owner+" "+pub.Get("node")] = pub.Child("", "item").Child("", "")
	}
	d.deliverLocked(answer)
}

// page answers a query of the archive: ids are the places in it.
func (d *double) page(e, q, answer *stanza.Element) {
	set := q.Child(stanza.NSRSM, "set")
	limit, start := 0, 0
	fmt.Sscan(set.Child("", "max").Text(), &limit)
	if after := set.Child("", "after").Text(); after != "" {
		fmt.Sscanf(after, "a%d", &start)
		start++
	}
	if set.Child("", "before") != nil {
		start = max(0, len(d.archive)-limit)
	}
	end := min(len(d.archive), start+limit)
	fin := stanza.New(stanza.NSMAM, "fin")
	if end == len(d.archive) {
		fin.With("complete", "true")
	}
	for i := start; i < end; i++ {
		d.deliverLocked(resultAt(q.Get("queryid"), fmt.Sprintf("a%d", i), evening.Add(time.Duration(i)*time.Second), d.archive[i]))
	}
	if end > start {
		fin.Add(stanza.New(stanza.NSRSM, "set", stanza.TextElement(stanza.NSRSM, "last", fmt.Sprintf("a%d", end-1))))
	}
	answer.Add(fin)
}

// evening is when the double's archive begins.
var evening = time.Date(2026, 11, 21, 19, 2, 0, 0, time.UTC)

// result wraps a message as an archive does.
func result(query, id string, m *stanza.Element) *stanza.Element {
	return resultAt(query, id, evening, m)
}

func (d *double) deliver(e *stanza.Element) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deliverLocked(e)
}

func (d *double) deliverLocked(e *stanza.Element) {
	d.seq++
	d.out.send(wire.Inbound{Seq: d.seq, Stanza: e.Bytes()})
}

// sent waits for the next message the client sends that f accepts.
func (d *double) sent(f func(*stanza.Element) bool) *stanza.Element {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-d.messages:
			if f(e) {
				return e
			}
		case <-timeout:
			d.t.Fatal("the client did not send it")
		}
	}
}

func hasPayload(e *stanza.Element) bool {
	return e.Child(stanza.NSOmemo, "encrypted").Child("", "payload") != nil
}

func isReceipt(e *stanza.Element) bool { return e.Child(stanza.NSReceipts, "received") != nil }

// remote is somebody else's device, with keys of its own.
type remote struct {
	t   testing.TB
	jid string
	st  *store.Store
	dev *omemo.Device
}

func newRemote(t testing.TB, d *double, jid string) *remote {
	t.Helper()
	r := &remote{t: t, jid: jid, st: memoryStore(t)}
	r.do(func(tx *store.Tx) (err error) {
		r.dev, err = omemo.Setup(tx)
		return err
	})
	if d != nil {
		r.publish(d)
	}
	return r
}

// publish puts the device into its owner's list and publishes its bundle.
func (r *remote) publish(d *double) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids, _ := stanza.ReadDeviceList(d.nodes[r.jid+" "+stanza.NodeDevices])
	d.nodes[r.jid+" "+stanza.NodeDevices] = stanza.DeviceList(append(ids, r.dev.ID()))
	r.do(func(tx *store.Tx) error {
		b, err := r.dev.Bundle(tx)
		d.nodes[r.jid+" "+stanza.NodeBundle(r.dev.ID())] = b.Element()
		return err
	})
}

func (r *remote) do(f func(tx *store.Tx) error) {
	r.t.Helper()
	if err := r.st.Update(context.Background(), f); err != nil {
		r.t.Fatal(err)
	}
}

// start begins a session with the client's device, whose bundle d has.
func (r *remote) start(d *double, c *Client) {
	r.t.Helper()
	d.published(c)
	d.mu.Lock()
	e := d.nodes[me+" "+stanza.NodeBundle(c.device.ID())]
	d.mu.Unlock()
	b, err := stanza.ReadBundle(e)
	if err != nil {
		r.t.Fatal(err)
	}
	r.do(func(tx *store.Tx) error {
		return r.dev.StartSession(tx, omemo.Address{JID: me, Device: c.device.ID()}, b)
	})
}

// write encrypts a message to the client's device.
func (r *remote) write(c *Client, id, body string) *stanza.Element {
	r.t.Helper()
	var enc *stanza.Element
	r.do(func(tx *store.Tx) (err error) {
		enc, err = r.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, []byte(body))
		return err
	})
	return stanza.NewChat(me, id, enc, stanza.ReceiptRequest(), stanza.StoreHint(), stanza.Body(fallback)).With("from", r.jid+"/phone")
}

// read decrypts what the client sent.
func (r *remote) read(e *stanza.Element) (string, error) {
	var got omemo.Decrypted
	err := r.st.Update(context.Background(), func(tx *store.Tx) (err error) {
		got, err = r.dev.Decrypt(tx, me, e.Child(stanza.NSOmemo, "encrypted"))
		return err
	})
	return string(got.Plaintext), err
}

func memoryStore(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// run starts a client on a connection and ends it with the test.
func run(t testing.TB, st *store.Store, conn net.Conn) *Client {
	t.Helper()
	return runWith(t, st, conn, nil)
}

// runWith is run with a place for files.
func runWith(t testing.TB, st *store.Store, conn net.Conn, files *locker.Locker) *Client {
	t.Helper()
	c, err := New(Config{Files: files, Account: Account{Address: me, Password: memguard.NewBufferFromBytes([]byte("pw"))}, Store: st, Link: conn})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx); err != nil && !errors.Is(err, ErrLinkEnded) {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); from(t, ended, "end of Run") })
	return c
}

// wait reads events until f accepts one.
func wait[E Event](t testing.TB, c *Client, f func(E) bool) E {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-c.Events():
			if x, ok := e.(E); ok && f(x) {
				return x
			}
		case <-timeout:
			var want E
			t.Fatalf("no such %T", want)
		}
	}
}

// online is a client that has caught up, and its double.
func online(t testing.TB) (*Client, *double) {
	t.Helper()
	d := newDouble(t)
	c := run(t, memoryStore(t), d.attach(1))
	wait(t, c, func(CaughtUp) bool { return true })
	d.published(c)
	return c, d
}

// notices takes all events up to now, and returns what was said in them.
func notices(t testing.TB, c *Client) (said []string) {
	t.Helper()
	const last = "this is the last one"
	c.events.put(NoticeEvent{Text: lineOf(last)})
	for timeout := time.After(patience); ; {
		select {
		case e := <-c.Events():
			n, ok := e.(NoticeEvent)
			if ok && n.Text.String() == last {
				return said
			}
			if ok {
				said = append(said, n.Text.String())
			}
		case <-timeout:
			t.Fatal("the events do not end")
		}
	}
}

// published waits until the double has the client's bundle and device list.
func (d *double) published(c *Client) {
	d.t.Helper()
	eventually(d.t, "keys are published", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		ids, _ := stanza.ReadDeviceList(d.nodes[me+" "+stanza.NodeDevices])
		for _, id := range ids {
			if id == c.device.ID() {
				return d.nodes[me+" "+stanza.NodeBundle(id)] != nil
			}
		}
		return false
	})
}

// eventually waits for something that no event tells.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// soon is a context for what needs somebody else to answer: it ends when a test's
// patience does.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// from returns the next value of a channel, or fails the test.
func from[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// inRun has the client's Run do f, and waits until it has.
func inRun(t testing.TB, c *Client, f func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.do(ctx, func(done chan<- error) { f(); done <- nil }); err != nil {
		t.Fatalf("Run does not do what it was asked for: %v", err)
	}
}

// ofRun is what f returns, called by the client's Run.
func ofRun[T any](t testing.TB, c *Client, f func() T) (x T) {
	t.Helper()
	inRun(t, c, func() { x = f() })
	return x
}

func messages(t testing.TB, c *Client, peer string) []Message {
	t.Helper()
	list, err := c.Messages(context.Background(), peer, 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// bodies are the texts of a conversation.
func bodies(t testing.TB, c *Client, peer string) string {
	t.Helper()
	var b []string
	for _, m := range messages(t, c, peer) {
		b = append(b, m.Body.String())
	}
	return strings.Join(b, "|")
}
