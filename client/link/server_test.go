package link

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"mellium.im/sasl"

	"sotto/client/stanza"
)

// patience is how long a test waits for what must happen. Nothing takes that
// long unless something is broken.
const patience = 45 * time.Second

// script says how a server behaves. The zero value behaves well.
type script struct {
	mechanisms  []string // nil: SCRAM-SHA-256
	password    string   // "": "correct horse"
	iterations  string   // what is claimed; "": 4096, as it is
	failure     string   // SASL failure condition instead of checking
	inChallenge bool     // the signature comes in a challenge, before success
	signature   func(string) string
	noSM        bool
	noCSI       bool
	noResume    bool // every resumption fails
	deaf        bool // <r/> and pings are not answered
	protocol    string
	afterOpen   func(*peer) // instead of all that follows the first <open/>
	bound       string      // "": what was asked for
	flood       string      // lines that are sent before <enabled/>
}

// testServer is a relay with one account and one session. It does XEP-0198 by
// the book, so that a test can cut connections and count.
type testServer struct {
	t    testing.TB
	http *httptest.Server
	url  string

	mu      sync.Mutex
	script  script
	peer    *peer
	logins  int // successful ones
	tries   int // WebSockets opened
	resumes int
	session int
	smID    string
	recv    uint32   // stanzas from the client in this session
	sent    []string // to the client, not acknowledged
	acked   uint32

	stanzas chan *stanza.Element // what the client sent, each once
	other   chan *stanza.Element // what is no stanza
	answers chan uint32          // h of each <a/> of the client
	online  chan *peer           // each login or resumption

	door    chan struct{} // who comes waits until it is closed; nil: nobody waits
	oneMore bool          // the next one does not wait
}

// peer is one connection of a client.
type peer struct {
	s      *testServer
	ws     *websocket.Conn
	raw    net.Conn
	ctx    context.Context
	closed chan struct{}
}

type connKey struct{}

func newServer(t testing.TB, sc script, conf *tls.Config) *testServer {
	s := &testServer{
		t: t, script: sc, stanzas: make(chan *stanza.Element, 4096), other: make(chan *stanza.Element, 4096),
		answers: make(chan uint32, 4096), online: make(chan *peer, 64),
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.handle))
	s.http.Config.ErrorLog = quiet()
	s.http.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if tc, ok := c.(*tls.Conn); ok {
			c = tc.NetConn()
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	if conf != nil {
		s.http.TLS = conf
		s.http.StartTLS()
		s.url = "wss" + strings.TrimPrefix(s.http.URL, "https") + "/ws"
	} else {
		s.http.Start()
		s.url = "ws" + strings.TrimPrefix(s.http.URL, "http") + "/ws"
	}
	t.Cleanup(func() {
		s.cut()
		s.http.Close()
	})
	return s
}

func (s *testServer) set(f func(*script)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.script)
}

func (s *testServer) handle(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.tries++
	sc := s.script
	s.mu.Unlock()
	if r.URL.Path != "/ws" {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	door := s.door
	if s.oneMore {
		door, s.oneMore = nil, false
	}
	s.mu.Unlock()
	if door != nil {
		select {
		case <-door:
		case <-r.Context().Done():
			return
		}
	}
	protocol := "xmpp"
	if sc.protocol != "" {
		protocol = sc.protocol
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}})
	if err != nil {
		return
	}
	ws.SetReadLimit(2 << 20)
	raw, _ := r.Context().Value(connKey{}).(net.Conn)
	p := &peer{s: s, ws: ws, raw: raw, ctx: context.Background(), closed: make(chan struct{})}
	defer close(p.closed)
	defer ws.CloseNow()
	p.serve(sc)
}

func (p *peer) write(format string, a ...any) {
	p.ws.Write(p.ctx, websocket.MessageText, fmt.Appendf(nil, format, a...))
}

func (p *peer) read() *stanza.Element {
	_, b, err := p.ws.Read(p.ctx)
	if err != nil {
		return nil
	}
	e, err := stanza.Parse(b)
	if err != nil {
		p.s.t.Errorf("the link sent %q: %v", b, err)
		return nil
	}
	return e
}

// rst breaks the connection as a dying network does.
func (p *peer) rst() {
	if tc, ok := p.raw.(*net.TCPConn); ok {
		tc.SetLinger(0)
	}
	p.raw.Close()
	await(p.s.t, p.closed, "end of a connection")
}

// open answers <open/> with features.
func (p *peer) open(features string) bool {
	e := p.read()
	if !e.Is(stanza.NSFraming, "open") {
		return false
	}
	p.write(`<open xmlns="%s" from="%s" id="s" version="1.0"/>`, stanza.NSFraming, e.Get("to"))
	p.write(`<stream:features xmlns:stream="%s">%s</stream:features>`, stanza.NSStream, features)
	return true
}

func (p *peer) serve(sc script) {
	if sc.afterOpen != nil {
		sc.afterOpen(p)
		return
	}
	if sc.mechanisms == nil {
		sc.mechanisms = []string{"PLAIN", "SCRAM-SHA-256"}
	}
	m := ""
	for _, x := range sc.mechanisms {
		m += "<mechanism>" + x + "</mechanism>"
	}
	if !p.open(`<mechanisms xmlns="` + stanza.NSSASL + `">` + m + `</mechanisms>`) {
		return
	}
	if !p.scram(sc) {
		return
	}
	features := `<bind xmlns="` + stanza.NSBind + `"/>`
	if !sc.noSM {
		features += `<sm xmlns="` + stanza.NSSM + `"/>`
	}
	if !sc.noCSI {
		features += `<csi xmlns="` + stanza.NSCSI + `"/>`
	}
	if p.open(features) {
		p.stream(sc)
	}
}

func (p *peer) scram(sc script) bool {
	auth := p.read()
	if auth == nil {
		return false
	}
	if sc.failure != "" {
		p.write(`<failure xmlns="%s"><%s/></failure>`, stanza.NSSASL, sc.failure)
		return false
	}
	mech, fn := sasl.ScramSha256, sha256.New
	if auth.Get("mechanism") == "SCRAM-SHA-1" {
		mech, fn = sasl.ScramSha1, sha1.New
	}
	if sc.password == "" {
		sc.password = "correct horse"
	}
	n := sasl.NewServer(mech, nil, sasl.SaltedCredentials(func(user, _ []byte, _ string) ([]byte, []byte, int64, error) {
		salt := []byte("0123456789abcdef")
		if string(user) != "ada" {
			return nil, nil, 0, sasl.ErrAuthn
		}
		return salt, sasl.SCRAMSaltPassword(fn, []byte(sc.password), salt, 4096), 4096, nil
	}))
	in, _ := stanza.SASLData(auth)
	_, out, err := n.Step(in)
	if err != nil {
		p.write(`<failure xmlns="%s"><not-authorized/></failure>`, stanza.NSSASL)
		return false
	}
	first := string(out)
	if sc.iterations != "" {
		first = strings.Replace(first, "i=4096", "i="+sc.iterations, 1)
	}
	p.write(`<challenge xmlns="%s">%s</challenge>`, stanza.NSSASL, base64.StdEncoding.EncodeToString([]byte(first)))
	response := p.read()
	if response == nil {
		return false
	}
	in, _ = stanza.SASLData(response)
	if _, out, err = n.Step(in); err != nil {
		p.write(`<failure xmlns="%s"><not-authorized/></failure>`, stanza.NSSASL)
		return false
	}
	final := string(out)
	if sc.signature != nil {
		final = sc.signature(final)
	}
	if sc.inChallenge {
		p.write(`<challenge xmlns="%s">%s</challenge>`, stanza.NSSASL, base64.StdEncoding.EncodeToString([]byte(final)))
		if e := p.read(); !e.Is(stanza.NSSASL, "response") || e.Text() != "" {
			return false
		}
		final = ""
	}
	p.write(`<success xmlns="%s">%s</success>`, stanza.NSSASL, base64.StdEncoding.EncodeToString([]byte(final)))
	p.s.mu.Lock()
	p.s.logins++
	p.s.mu.Unlock()
	return true
}

// stream serves a client that is logged in.
func (p *peer) stream(sc script) {
	s := p.s
	for {
		e := p.read()
		if e == nil {
			return
		}
		s.mu.Lock()
		sc = s.script
		bind := e.Child(stanza.NSBind, "bind") != nil
		ping := e.Child(stanza.NSPing, "ping") != nil && e.Get("to") == "h.example"
		current := s.peer == p // what comes over a connection that was cut is lost
		if e.Space == stanza.NSClient && current {
			s.recv++
			if !bind && !ping {
				s.stanzas <- e // here, so that no later connection can get ahead
			}
		}
		s.mu.Unlock()
		switch {
		case e.Is(stanza.NSSM, "resume"):
			p.resume(e, sc)
		case e.Is(stanza.NSSM, "enable"):
			s.mu.Lock()
			s.session++
			for line := range strings.Lines(sc.flood) {
				p.write("%s", line)
			}
			s.smID, s.recv, s.sent, s.acked = fmt.Sprintf("sm-%d", s.session), 0, nil, 0
			p.write(`<enabled xmlns="%s" id="%s" resume="true"/>`, stanza.NSSM, s.smID)
			s.peer = p
			s.mu.Unlock()
			s.online <- p
		case e.Is(stanza.NSSM, "r"):
			s.other <- e
			s.mu.Lock()
			if !sc.deaf && s.peer == p {
				p.write(`<a xmlns="%s" h="%d"/>`, stanza.NSSM, s.recv)
			}
			s.mu.Unlock()
		case e.Is(stanza.NSSM, "a"):
			h, _, _ := stanza.ReadSMCount(e)
			s.mu.Lock()
			n := h - s.acked
			if int(n) > len(s.sent) {
				s.t.Errorf("the link acknowledged %d stanzas of %d", n, len(s.sent))
			} else {
				s.sent, s.acked = s.sent[n:], h
			}
			s.mu.Unlock()
			s.answers <- h
		case bind:
			r := e.Child(stanza.NSBind, "bind").Child(stanza.NSBind, "resource").Text()
			if r == "" {
				r = "given"
			}
			full := "ada@h.example/" + r
			if sc.bound != "" {
				full = sc.bound
			}
			p.write(`<iq xmlns="jabber:client" type="result" id="%s"><bind xmlns="%s"><jid>%s</jid></bind></iq>`, e.Get("id"), stanza.NSBind, full)
			if sc.noSM {
				s.mu.Lock()
				s.peer, s.recv, s.sent, s.smID = p, 0, nil, ""
				s.mu.Unlock()
				s.online <- p
			}
		case e.Space == stanza.NSClient && ping:
			if !sc.deaf && current {
				p.write(`<iq xmlns="jabber:client" type="result" id="%s" from="h.example"/>`, e.Get("id"))
			}
		case e.Space == stanza.NSClient:
		default:
			s.other <- e
			if e.Is(stanza.NSFraming, "close") {
				p.write(`<close xmlns="%s"/>`, stanza.NSFraming)
				return
			}
		}
	}
}

func (p *peer) resume(e *stanza.Element, sc script) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	h, _, _ := stanza.ReadSMCount(e)
	if n := h - s.acked; sc.noResume || e.Get("previd") != s.smID || int(n) > len(s.sent) {
		p.write(`<failed xmlns="%s"><item-not-found xmlns="%s"/></failed>`, stanza.NSSM, stanza.NSStanzas)
		return
	}
	s.sent, s.acked = s.sent[h-s.acked:], h
	p.write(`<resumed xmlns="%s" previd="%s" h="%d"/>`, stanza.NSSM, s.smID, s.recv)
	for _, x := range s.sent {
		p.write("%s", x)
	}
	s.resumes++
	s.peer = p
	s.online <- p
}

// deliver sends a stanza to the client, now or when it resumes.
func (s *testServer) deliver(format string, a ...any) {
	x := fmt.Sprintf(format, a...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, x)
	if s.peer != nil {
		s.peer.write("%s", x)
	}
}

// raw sends something that is no stanza.
func (s *testServer) raw(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer.write(format, a...)
}

// says does what ends a connection, and waits for what the desk is told of it. Nobody
// can log in meanwhile: a desk that is behind is told the newest state alone.
func (s *testServer) says(d *testDesk, words string, end func()) {
	s.t.Helper()
	door := make(chan struct{})
	turn := func(door chan struct{}) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.door = door
	}
	turn(door)
	defer close(door)
	defer turn(nil)
	end()
	d.words(words)
}

// cut breaks the connection, if there is one.
func (s *testServer) cut() { s.cutAnd(func(*script) {}) }

// cutAnd breaks the connection and has the server behave as f says with the next.
func (s *testServer) cutAnd(f func(*script)) {
	s.mu.Lock()
	p := s.peer
	s.peer = nil
	f(&s.script)
	s.mu.Unlock()
	if p != nil {
		p.rst()
	}
}

func (s *testServer) counts() (tries, logins, resumes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries, s.logins, s.resumes
}

// await returns the next value, or fails the test.
func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// stanza returns the next stanza from the client called local.
func (s *testServer) stanza(local string) *stanza.Element {
	s.t.Helper()
	for {
		if e := await(s.t, s.stanzas, local+" from the link"); e.Local == local {
			return e
		}
	}
}
