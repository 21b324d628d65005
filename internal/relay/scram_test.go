package relay

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"testing"
	"time"

	"golang.org/x/crypto/pbkdf2"
)

// clientProof computes what a client sends (RFC 5802 section 3).
func clientProof(t testing.TB, password string, c credentials, authMessage string) string {
	t.Helper()
	salted := pbkdf2.Key([]byte(password), c.salt, c.iterations, 32, sha256.New)
	key := mac(salted, []byte("Client Key"))
	stored := sha256.Sum256(key)
	proof := make([]byte, 32)
	subtle.XORBytes(proof, key, mac(stored[:], []byte(authMessage)))
	return base64.StdEncoding.EncodeToString(proof)
}

// TestScramVector uses the example of RFC 7677 section 3.
func TestScramVector(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	salted := pbkdf2.Key([]byte("pencil"), salt, 4096, 32, sha256.New)
	stored := sha256.Sum256(mac(salted, []byte("Client Key")))
	var x scram
	if err := x.first([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")); err != nil {
		t.Fatal(err)
	}
	x.nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	if got := string(x.challenge(credentials{salt, stored[:], mac(salted, []byte("Server Key")), 4096})); got != "r="+x.nonce+",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" {
		t.Errorf("challenge %s", got)
	}
	sig, err := x.final([]byte("c=biws,r=" + x.nonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if err != nil || string(sig) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("signature %s, %v", sig, err)
	}
}

func TestPasswords(t *testing.T) {
	for _, p := range []string{"", "short", string(make([]byte, maxPassword+1)), "tab\tand more", "\xff\xfe not utf-8"} {
		if _, err := newCredentials([]byte(p), minIterations); err == nil {
			t.Errorf("%.20q was accepted", p)
		}
	}
	p := []byte("correct horse")
	if _, err := newCredentials(p, minIterations); err != nil || string(p) != "correct horse" {
		t.Errorf("%v, and the caller's copy is %q", err, p)
	}
}

// TestUnknownUser: nothing tells a name that exists from one that does not.
func TestUnknownUser(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	_, known, err := s.lookUp(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	_, a, _ := s.lookUp(t.Context(), "nobody")
	_, b, _ := s.lookUp(t.Context(), "nobody")
	_, c, _ := s.lookUp(t.Context(), "nobody2")
	if !bytes.Equal(a.salt, b.salt) || bytes.Equal(a.salt, c.salt) {
		t.Error("the salt of an unknown user gives them away")
	}
	if _, d, _ := s.lookUp(t.Context(), "NOBODY"); !bytes.Equal(a.salt, d.salt) {
		t.Error("upper case tells an unknown user from a known one")
	}
	if len(a.salt) != len(known.salt) || a.iterations != known.iterations {
		t.Error("an unknown user looks different")
	}
}

func TestThrottle(t *testing.T) {
	th := newThrottle()
	now := time.Now()
	th.now = func() time.Time { return now }
	for i := range 3 {
		if d := th.delay("a"); d != 0 {
			t.Errorf("delay %v after %d failures", d, i)
		}
		th.failed("a")
	}
	last := time.Duration(0)
	for range 30 {
		d := th.delay("b", "a")
		if d < last || d == 0 || d > throttleMax {
			t.Errorf("delay %v after %v", d, last)
		}
		last = d
		th.failed("a")
	}
	if last != throttleMax || th.delay("b") != 0 {
		t.Error("wrong delay")
	}
	now = now.Add(throttleForget + time.Second)
	if th.delay("a") != 0 {
		t.Error("failures are never forgotten")
	}
	th.failed("a")
	th.succeeded("a")
	for i := range 3 * throttleEntries {
		th.failed(string(rune('A'+i%26)) + time.Duration(i).String())
	}
	if len(th.entries) > throttleEntries {
		t.Errorf("%d entries", len(th.entries))
	}
}

func FuzzScram(f *testing.F) {
	f.Add([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), []byte("c=biws,r=x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	f.Add([]byte("p=tls-exporter,a=x,n==2C=3D,r=12345678,ext=1"), []byte(",p="))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		for _, plus := range []bool{false, true} {
			x := scram{plus: plus, binding: make([]byte, 32)}
			if x.first(first) != nil {
				continue
			}
			x.challenge(unknownCredentials([]byte("s"), x.user, 4096))
			if sig, err := x.final(final); err == nil {
				t.Errorf("logged in with %q: %s", final, sig)
			}
		}
	})
}
