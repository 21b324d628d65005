package relay

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"mellium.im/sasl"
	"sotto/client/stanza"
)

// A small scripted client for the tests of this package.

const (
	domain  = "ward.example"
	patient = 45 * time.Second // until a test gives up waiting
)

func password(user string) string { return "password of " + user }

// server is a relay under test on a loopback port.
type server struct {
	*Relay
	t    testing.TB
	addr string
}

func startRelay(t testing.TB, cfg Config, users ...string) *server {
	t.Helper()
	cfg.Domain = domain
	if cfg.Iterations == 0 {
		cfg.Iterations = minIterations
	}
	if cfg.tick == 0 {
		cfg.tick = 20 * time.Millisecond
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.throttle.base = time.Millisecond
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if r.core.panics > 0 {
			t.Errorf("%d handlers panicked", r.core.panics)
		}
	})
	for _, u := range users {
		if err := r.AddUser(t.Context(), u, []byte(password(u)), strings.ToUpper(u[:1])+u[1:]); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &server{r, t, ln.Addr().String()}
}

// client is one WebSocket of a scripted client.
type client struct {
	t        testing.TB
	ws       *websocket.Conn
	in       chan *stanza.Element // closed at the end of the connection
	full     string
	bare     string
	features *stanza.Element
	ids      int
	seen     []*stanza.Element // read and not yet expected
	handled  int               // stanzas received, for XEP-0198
	hold     sync.Mutex        // while locked, nothing is read from the WebSocket
}

// dial opens a WebSocket and nothing more.
func (s *server) dial() *client {
	s.t.Helper()
	ws, _, err := websocket.Dial(s.t.Context(), "ws://"+s.addr+"/ws", &websocket.DialOptions{Subprotocols: []string{"xmpp"}})
	if err != nil {
		s.t.Fatal(err)
	}
	ws.SetReadLimit(4 << 20)
	c := &client{t: s.t, ws: ws, in: make(chan *stanza.Element, 100000)}
	s.t.Cleanup(func() { ws.CloseNow() })
	go func() {
		defer close(c.in)
		for {
			func() { c.hold.Lock(); defer c.hold.Unlock() }()
			_, b, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			el, err := stanza.Parse(b)
			if err != nil {
				s.t.Errorf("relay sent %q: %v", b, err)
				return
			}
			c.in <- el
		}
	}()
	return c
}

// login dials and authenticates; no resource is bound yet.
func (s *server) login(user string) *client {
	s.t.Helper()
	c := s.dial()
	c.open()
	if err := c.auth(user, password(user)); err != nil {
		s.t.Fatal(err)
	}
	c.open()
	c.bare = user + "@" + domain
	return c
}

// connect logs in and binds.
func (s *server) connect(user, resource string) *client {
	s.t.Helper()
	c := s.login(user)
	r := c.iq("set", "", `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>`+resource+`</resource></bind>`)
	if c.full = r.Child(stanza.NSBind, "bind").Child("", "jid").Text(); c.full == "" {
		s.t.Fatalf("binding %s: %s", resource, r)
	}
	return c
}

// online connects and sends presence.
func (s *server) online(user, resource string) *client {
	s.t.Helper()
	c := s.connect(user, resource)
	c.send(`<presence/>`)
	c.sync()
	return c
}

func (c *client) open() {
	c.t.Helper()
	c.raw(`<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="` + domain + `" version="1.0"/>`)
	c.expect("open", func(e *stanza.Element) bool { return e.Is(stanza.NSFraming, "open") })
	c.features = c.expect("features", func(e *stanza.Element) bool { return e.Is(stanza.NSStream, "features") })
}

// auth logs in with the SASL library that real clients use.
func (c *client) auth(user, password string) error {
	c.t.Helper()
	neg := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() ([]byte, []byte, []byte) {
		return []byte(user), []byte(password), nil
	}))
	_, msg, err := neg.Step(nil)
	if err != nil {
		return err
	}
	c.raw(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="SCRAM-SHA-256">` + base64.StdEncoding.EncodeToString(msg) + `</auth>`)
	for {
		e := c.expect("SASL", func(e *stanza.Element) bool { return e.Space == stanza.NSSASL })
		if e.Local == "failure" {
			return fmt.Errorf("failure: %s", e.Child("", "").Local)
		}
		data, err := base64.StdEncoding.DecodeString(e.Text())
		if err != nil {
			return err
		}
		if _, msg, err = neg.Step(data); err != nil {
			return err
		}
		if e.Local == "success" {
			return nil
		}
		c.raw(`<response xmlns="urn:ietf:params:xml:ns:xmpp-sasl">` + base64.StdEncoding.EncodeToString(msg) + `</response>`)
	}
}

// raw sends text as it is. A relay that has hung up already is no error.
func (c *client) raw(s string) {
	c.ws.Write(context.Background(), websocket.MessageText, []byte(s))
}

// send sends a stanza given without its namespace.
func (c *client) send(s string) {
	c.t.Helper()
	i := strings.IndexAny(s, " />")
	c.raw(s[:i] + ` xmlns="jabber:client"` + s[i:])
}

// next returns the next element within patience, or nil at the end.
func (c *client) next(what string) *stanza.Element {
	c.t.Helper()
	select {
	case e := <-c.in:
		if e != nil && e.Space == stanza.NSClient {
			c.handled++
		}
		return e
	case <-time.After(patient):
		c.t.Fatalf("%s: waited for %s in vain; have %v", c.full, what, c.seen)
		return nil
	}
}

// expect returns the first element, of those kept or to come, that fits, and
// keeps the others.
func (c *client) expect(what string, fits func(*stanza.Element) bool) *stanza.Element {
	c.t.Helper()
	for i, e := range c.seen {
		if fits(e) {
			c.seen = append(c.seen[:i:i], c.seen[i+1:]...)
			return e
		}
	}
	for {
		e := c.next(what)
		if e == nil {
			c.t.Fatalf("%s: the connection ended before %s; have %v", c.full, what, c.seen)
		}
		if fits(e) {
			return e
		}
		c.seen = append(c.seen, e)
	}
}

// iq sends a request and returns the answer to it.
func (c *client) iq(typ, to, payload string) *stanza.Element {
	c.t.Helper()
	c.ids++
	id := "iq" + strconv.Itoa(c.ids)
	addr := ""
	if to != "" {
		addr = ` to="` + to + `"`
	}
	c.send(`<iq id="` + id + `" type="` + typ + `"` + addr + `>` + payload + `</iq>`)
	return c.expect("the answer to "+payload, func(e *stanza.Element) bool {
		return e.Local == "iq" && e.Get("id") == id && (e.Get("type") == "result" || e.Get("type") == "error")
	})
}

// must is iq that has to succeed.
func (c *client) must(typ, to, payload string) *stanza.Element {
	c.t.Helper()
	r := c.iq(typ, to, payload)
	if r.Get("type") != "result" {
		c.t.Fatalf("%s was refused: %s", payload, r)
	}
	return r
}

// refused is iq that has to fail with condition.
func (c *client) refused(condition, typ, to, payload string) *stanza.Element {
	c.t.Helper()
	r := c.iq(typ, to, payload)
	if got := errorCondition(r); got != condition {
		c.t.Fatalf("%s: condition %q, want %q in %s", payload, got, condition, r)
	}
	return r
}

// errorCondition returns the defined condition of a stanza error, or "".
func errorCondition(e *stanza.Element) string {
	for c := range e.Child("", "error").Elements() {
		if c.Space == stanza.NSStanzas && c.Local != "text" {
			return c.Local
		}
	}
	return ""
}

// sync returns when everything sent before has been handled and everything the
// relay had to say to it has arrived.
func (c *client) sync() {
	c.t.Helper()
	c.must("get", "", `<ping xmlns="urn:xmpp:ping"/>`)
}

// message returns the next message that fits.
func (c *client) message(what string, fits func(*stanza.Element) bool) *stanza.Element {
	c.t.Helper()
	return c.expect(what, func(e *stanza.Element) bool { return e.Local == "message" && fits(e) })
}

// body returns the next message with this body.
func (c *client) body(text string) *stanza.Element {
	c.t.Helper()
	return c.message("message "+text, func(e *stanza.Element) bool { return e.Child(stanza.NSClient, "body").Text() == text })
}

// chat sends a chat message and makes sure that it has been handled.
func (c *client) chat(to, text string) {
	c.t.Helper()
	c.send(`<message type="chat" id="` + text + `" to="` + to + `"><body>` + text + `</body></message>`)
}

// none checks that nothing that fits has arrived up to now.
func (c *client) none(what string, fits func(*stanza.Element) bool) {
	c.t.Helper()
	c.sync()
	for _, e := range c.seen {
		if fits(e) {
			c.t.Errorf("%s: got %s: %s", c.full, what, e)
		}
	}
}

// ended waits for the end of the connection and returns the condition of the
// stream error, if there was one.
func (c *client) ended() (condition string) {
	c.t.Helper()
	look := func(e *stanza.Element) {
		if e.Is(stanza.NSStream, "error") {
			condition = e.Child(stanza.NSStreams, "").Local
		}
	}
	for _, e := range c.seen {
		look(e)
	}
	for {
		e := c.next("the end")
		if e == nil {
			return condition
		}
		look(e)
	}
}

// wants sends presence with capabilities that ask for notifications of nodes,
// and answers when the relay asks what is behind them.
func (c *client) wants(asks bool, nodes ...string) {
	c.t.Helper()
	query := stanza.New(nsDiscoInfo, "query", identity("client", "console", ""))
	for _, n := range nodes {
		query.Add(feature(n + "+notify"))
	}
	ver := capsVer("sha-1", query)
	c.send(`<presence><c xmlns="` + nsCaps + `" hash="sha-1" node="urn:test" ver="` + ver + `"/></presence>`)
	if !asks {
		c.sync()
		return
	}
	q := c.expect("the question for features", func(e *stanza.Element) bool { return e.Child(nsDiscoInfo, "query") != nil })
	if got := q.Child(nsDiscoInfo, "query").Get("node"); got != "urn:test#"+ver {
		c.t.Errorf("asked for features of %q", got)
	}
	query.Set("node", "urn:test#"+ver)
	c.raw(resultReply(q, query).String())
	c.sync()
}

// event returns the next PEP event of a node.
func (c *client) event(node string) *stanza.Element {
	c.t.Helper()
	return c.message("an event of "+node, isEvent(node))
}

func isEvent(node string) func(*stanza.Element) bool {
	return func(e *stanza.Element) bool {
		for x := range e.Child(nsPubSubEvent, "event").Elements() {
			if x.Get("node") == node {
				return true
			}
		}
		return false
	}
}

// publish publishes an item with a payload that holds text.
func publish(node, id, text, options string) string {
	return `<pubsub xmlns="` + nsPubSub + `"><publish node="` + node + `"><item id="` + id + `"><x xmlns="urn:x">` + text +
		`</x></item></publish>` + options + `</pubsub>`
}

// form is a submitted data form.
func form(formType string, pairs ...string) string {
	s := `<x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE"><value>` + formType + `</value></field>`
	for i := 0; i < len(pairs); i += 2 {
		s += `<field var="` + pairs[i] + `"><value>` + pairs[i+1] + `</value></field>`
	}
	return s + `</x>`
}

func options(pairs ...string) string {
	return `<publish-options>` + form(nsPubSubOptions, pairs...) + `</publish-options>`
}

func getItems(node string) string {
	return `<pubsub xmlns="` + nsPubSub + `"><items node="` + node + `"/></pubsub>`
}

// eventually waits until something has happened that no message tells of.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}
