package link

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

func TestLoginSendSettle(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, true)
	d.login(s.url)
	st := d.phase(wire.Online)
	if st.Session != 1 || st.Address != "ada@h.example/desk" || st.Words != "" {
		t.Errorf("state %+v", st)
	}
	if e := s.stanza("iq"); e.Child(stanza.NSCarbons, "enable") == nil {
		t.Errorf("first is %s, not carbons", e)
	}
	ver, _ := stanza.CapsVer(info)
	if e := s.stanza("presence"); e.Child(stanza.NSCaps, "c").Get("ver") != ver {
		t.Errorf("presence without caps: %s", e)
	}
	d.write(msg("m1"))
	if e := s.stanza("message"); e.Get("id") != "m1" {
		t.Errorf("sent %s", e)
	}
	d.settled("m1")
	if st := status(t, l, "online", func(s Status) bool { return s.Online }); st.Words != "relay online" {
		t.Errorf("%+v", st)
	}
}

func TestRoundTripIsTold(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	d.next("round trip", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.RTT > 0 })
}

func TestSignature(t *testing.T) {
	for name, c := range map[string]struct {
		script script
		good   bool
	}{
		"in success":         {script{}, true},
		"in a challenge":     {script{inChallenge: true}, true},
		"wrong":              {script{signature: func(s string) string { return s[:2] + strings.Repeat("A", len(s)-3) + "=" }}, false},
		"missing":            {script{signature: func(string) string { return "" }}, false},
		"wrong in challenge": {script{inChallenge: true, signature: func(s string) string { return "v=AAAA" }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.script, nil)
			d := attach(t, start(t, Config{}), true)
			d.login(s.url)
			if c.good {
				d.phase(wire.Online)
			} else if st := d.phase(wire.Refused); !strings.Contains(st.Words, "could not prove") {
				t.Errorf("words %q", st.Words)
			}
		})
	}
}

// A relay that claims success at once has proved nothing.
func TestSuccessWithoutExchange(t *testing.T) {
	s := newServer(t, script{afterOpen: func(p *peer) {
		p.open(`<mechanisms xmlns="` + stanza.NSSASL + `"><mechanism>SCRAM-SHA-256</mechanism></mechanisms>`)
		p.read()
		p.write(`<success xmlns="%s"/>`, stanza.NSSASL)
		p.read()
	}}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	d.phase(wire.Refused)
}

func TestWrongPasswordWaitsForLogin(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	m := account1(s.url)
	m.Password = []byte("wrong")
	d.write(m)
	if st := d.phase(wire.Refused); !strings.Contains(st.Words, "password of ada@h.example") || !st.RetryAt.IsZero() || !st.WrongPassword {
		t.Errorf("%+v", st)
	}
	tries, _, _ := s.counts()
	if tries != 1 {
		t.Errorf("%d attempts with a wrong password", tries)
	}
	d.login(s.url)
	d.phase(wire.Online)
	if tries, _, _ = s.counts(); tries != 2 {
		t.Errorf("%d attempts, not 2", tries)
	}
}

func TestNextPassword(t *testing.T) {
	for _, c := range []struct{ password, next, words string }{
		{"old", "correct horse", ""},
		{"correct horse", "never set", "The password was not changed: the old one is still valid."},
	} {
		s := newServer(t, script{}, nil)
		l := start(t, Config{})
		d := attach(t, l, true)
		m := account1(s.url)
		m.Password, m.Next = []byte(c.password), []byte(c.next)
		d.write(m)
		d.phase(wire.Online)
		changed := func(m wire.Message) bool { _, ok := m.(wire.PasswordChanged); return ok }
		if got := d.next("PasswordChanged", changed).(wire.PasswordChanged); got.Words != c.words {
			t.Errorf("%+v", got)
		}
		// A desk that comes later with the same question gets the same answer.
		d.close()
		d = attach(t, l, true)
		m.Password, m.Next = []byte(c.password), []byte(c.next)
		d.write(m)
		if got := d.next("PasswordChanged", changed).(wire.PasswordChanged); got.Words != c.words {
			t.Errorf("%+v", got)
		}
		if _, logins, _ := s.counts(); logins != 1 {
			t.Errorf("%d logins", logins)
		}
	}
}

func TestChangePassword(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	d.phase(wire.Online)
	d.write(wire.ChangePassword{Password: []byte("a<b&c")})
	var e *stanza.Element
	for e.Child(stanza.NSRegister, "query") == nil {
		e = s.stanza("iq")
	}
	q := e.Child(stanza.NSRegister, "query")
	if q.Child("", "username").Text() != "ada" || q.Child("", "password").Text() != "a<b&c" {
		t.Errorf("asked for %s", e)
	}
	// The answer of a stranger does not count.
	s.deliver(`<iq xmlns="jabber:client" type="error" from="eve@evil.example" id="%s"/>`, e.Get("id"))
	s.set(func(sc *script) { sc.password = "a<b&c" })
	s.deliver(`<iq xmlns="jabber:client" type="result" id="%s"/>`, e.Get("id"))
	got := d.next("PasswordChanged", func(m wire.Message) bool { _, ok := m.(wire.PasswordChanged); return ok })
	if got != wire.Message(wire.PasswordChanged{}) {
		t.Errorf("%+v", got)
	}
	await(t, s.online, "login")
	s.cut() // and the new one is what the link logs in with
	await(t, s.online, "login with the new password")
}

// The relay changes the password, and the answer is lost.
func TestChangePasswordCut(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	d.write(wire.ChangePassword{Password: []byte("new one")})
	for s.stanza("iq").Child(stanza.NSRegister, "query") == nil {
	}
	s.set(func(sc *script) { sc.password, sc.noResume = "new one", true })
	s.cut()
	got := d.next("PasswordChanged", func(m wire.Message) bool { _, ok := m.(wire.PasswordChanged); return ok })
	if got != wire.Message(wire.PasswordChanged{}) {
		t.Errorf("%+v", got)
	}
	await(t, s.online, "login with the new password")
}

func TestLoginFailures(t *testing.T) {
	mech := func(m ...string) script { return script{mechanisms: append([]string{}, m...)} }
	for name, c := range map[string]struct {
		script script
		legacy bool
		phase  wire.Phase
		words  string
	}{
		"only PLAIN":          {mech("PLAIN"), false, wire.Offline, "offers only PLAIN"},
		"only SHA-1":          {mech("PLAIN", "SCRAM-SHA-1"), false, wire.Offline, "only SCRAM-SHA-1"},
		"SHA-1 permitted":     {mech("PLAIN", "SCRAM-SHA-1"), true, wire.Online, ""},
		"no mechanism":        {mech(), false, wire.Offline, "no way to log in"},
		"unknown mechanism":   {mech("X-OAUTH"), false, wire.Offline, "no safe way"},
		"disabled":            {script{failure: "account-disabled"}, false, wire.Refused, "is disabled"},
		"expired":             {script{failure: "credentials-expired"}, false, wire.Refused, "has expired"},
		"temporary":           {script{failure: "temporary-auth-failure"}, false, wire.Offline, "cannot check passwords now"},
		"too weak":            {script{failure: "mechanism-too-weak"}, false, wire.Offline, "SCRAM-SHA-256"},
		"made-up":             {script{failure: "made-up"}, false, wire.Offline, "without saying why"},
		"too few iterations":  {script{iterations: "1"}, false, wire.Offline, "does not allow"},
		"too many iterations": {script{iterations: strconv.Itoa(maxIterations + 1)}, false, wire.Offline, "does not allow"},
		"no xmpp":             {script{protocol: "soap"}, false, wire.Offline, "does not speak XMPP"},
		"another account":     {script{bound: "eve@h.example/x"}, false, wire.Offline, "another account"},
		"no resource":         {script{bound: "ada@h.example"}, false, wire.Offline, "did not give this device an address"},
		"conflict": {script{afterOpen: func(p *peer) {
			p.write(`<stream:error xmlns:stream="%s"><conflict xmlns="%s"/></stream:error>`, stanza.NSStream, stanza.NSStreams)
			p.read()
		}}, false, wire.Refused, "Another sotto"},
		"close": {script{afterOpen: func(p *peer) {
			p.write(`<close xmlns="%s"/>`, stanza.NSFraming)
			p.read()
		}}, false, wire.Offline, "ended the connection"},
		"garbage": {script{afterOpen: func(p *peer) { p.write("hello"); p.read() }}, false, wire.Offline, "broken XML"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.script, nil)
			d := attach(t, start(t, Config{Backoff: func(int) time.Duration { return time.Hour }}), true)
			m := account1(s.url)
			m.Legacy = c.legacy
			d.write(m)
			st := d.phase(c.phase)
			for c.phase == wire.Offline && st.Words == "" {
				st = d.phase(c.phase)
			}
			if !strings.Contains(st.Words, c.words) {
				t.Errorf("words %q, not %q", st.Words, c.words)
			}
			if c.phase == wire.Offline && st.RetryAt.IsZero() {
				t.Error("no next attempt")
			}
			if st.WrongPassword {
				t.Error("the password is to blame")
			}
		})
	}
}

func TestSilentRelay(t *testing.T) {
	s := newServer(t, script{afterOpen: func(p *peer) { p.read(); p.read() }}, nil)
	d := attach(t, start(t, Config{LoginTimeout: 500 * time.Millisecond}), true) // again and again, where even reaching it takes that long
	d.login(s.url)
	d.words("took too long to answer")
}

func TestServerFirst(t *testing.T) {
	good := "r=abc,s=MDEyMw==,i=4096"
	if err := serverFirst([]byte(good)); err != nil {
		t.Error(err)
	}
	if err := serverFirst([]byte(good + ",x=future")); err != nil {
		t.Error(err)
	}
	for _, s := range []string{
		"", "r=abc", "r=abc,s=MDEyMw==", "r=abc,s=MDEyMw==,i=", "r=abc,s=MDEyMw==,i=4096,", "r=abc,s=MDEyMw==,i=4096,x=",
		"r=abc,s=!!!!,i=4096", "r=abc,s=MDEyMw==,i=1", "r=abc,s=MDEyMw==,i=99999999999", "r=abc,s=MDEyMw==,i=-4096",
		"m=ext,r=abc,s=MDEyMw==,i=4096", good + ",i=1", good + ",r=x", good + ",m=x", "s=MDEyMw==,r=abc,i=4096",
	} {
		if serverFirst([]byte(s)) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func FuzzServerFirst(f *testing.F) {
	f.Add([]byte("r=abc,s=MDEyMw==,i=4096"))
	f.Add([]byte("r=,s=,i="))
	f.Fuzz(func(t *testing.T, b []byte) {
		if serverFirst(b) == nil && len(b) < 10 {
			t.Fatalf("%q is too short to be right", b)
		}
	})
}

func TestSaslprep(t *testing.T) {
	for in, want := range map[string]string{
		"plain ASCII~": "plain ASCII~",
		"I\u00ADX":     "IX", // the examples of RFC 4013 section 3
		"\u00AA":       "a",
		"\u2168":       "IX",
		"a\u00A0b":     "a b",
		"a\u3000b":     "a b",
		"pa\u0308ss":   "p\u00e4ss",
	} {
		got, wipe := saslprep([]byte(in))
		if string(got) != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
		wipe()
	}
}

func TestStreamFailureWords(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []string{"conflict", "not-authorized", "host-unknown", "policy-violation", "resource-constraint",
		"system-shutdown", "connection-timeout", "internal-server-error", "see-other-host", "reset", "\x1b[2J"} {
		f := streamFailure("h.example", c)
		if f.words == "" || seen[f.words] || strings.Contains(f.words, "\x1b") {
			t.Errorf("%q: %q", c, f.words)
		}
		seen[f.words] = true
	}
	if streamFailure("h", "conflict").course != never || streamFailure("h", "policy-violation").course != soon {
		t.Error("wrong course")
	}
}

func TestBackoff(t *testing.T) {
	for n := range 100 {
		most := min(maxBackoff, minBackoff<<min(n, 10))
		lowest, highest := time.Hour, time.Duration(0)
		for range 200 {
			d := backoff(n)
			lowest, highest = min(lowest, d), max(highest, d)
		}
		if lowest < minBackoff || highest > most || highest < most/2 {
			t.Fatalf("attempt %d waits %v to %v", n, lowest, highest)
		}
		if n > 2 && lowest == highest {
			t.Fatalf("attempt %d has no jitter", n)
		}
	}
}

func TestAsFailureKeepsTheFirst(t *testing.T) {
	f := &failure{words: "x"}
	if asFailure(errors.Join(errors.New("y"), f)) != f {
		t.Error("a failure was replaced")
	}
}
