package test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/test/server"
)

// pinOf is a certificate's key as a policy's relay-pins has it.
func pinOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("no PEM in %s", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// presents starts the relay again with another certificate, from files of that name.
func presents(t *testing.T, s *server.Server, name string) {
	t.Helper()
	s.Stop()
	for _, kind := range []string{".crt", ".key"} {
		b, err := os.ReadFile(filepath.Join(s.Dir, name+kind))
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Dir, "server"+kind), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestInvitationPinsTheRelay invites under a policy with relays and relay-pins. New
// machines, which have nothing of the policy yet, join over TLS with the relay's own
// key only: not with another one for the same name, though they trust who vouches for it.
func TestInvitationPinsTheRelay(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	own := filepath.Join(s.Dir, "server")
	for _, kind := range []string{".crt", ".key"} {
		b, err := os.ReadFile(own + kind)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Dir, "own"+kind), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	other, err := server.NewAuthority(t.TempDir())
	if err == nil {
		err = other.Issue(s.Dir, "other", time.Now().Add(time.Hour), "localhost", "127.0.0.1", s.Domain)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(other.File)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever joins trusts both authorities: what decides is the key.
	if err := os.WriteFile(s.CAFile, append(first, second...), 0o600); err != nil {
		t.Fatal(err)
	}

	o := newOffice(t, s)
	var a orgAnswer
	o.must(&a, "policy", "set", o.secret("settings", fmt.Sprintf("lease = \"2d\"\nservice = true\nrelays = [%q]\nrelay-pins = [%q]", s.WebSocket, pinOf(t, own+".crt"))), "--yes")
	if a.Left.Items != 0 {
		t.Fatalf("%+v", a)
	}
	ann, annCode, annPIN := o.invite("ann", "--role", "nurse")
	bot, botCode, botPIN := o.invite("bot")

	const words = "The certificate of localhost has another key than the one pinned for it. Nothing was sent. Tell your administrator."
	presents(t, s, "other")
	join := []string{"join", "--service", "--ca", s.CAFile, "--pin-file", bot.pinFile, "--one-time-pin-file", bot.secret("otp", botPIN), "--wait", patience.String()}
	if r := bot.does(botCode+"\n", join...); r.code != 1 || !strings.Contains(strings.Join(strings.Fields(r.err), " "), words) {
		t.Errorf("a program joins: %+v", r)
	}
	ann.run("join", "--ca", s.CAFile)
	ann.See("Your invitation, or your address:")
	ann.Enter(annCode)
	ann.See("One-time PIN")
	ann.Enter(annPIN)
	ann.Until("said that the key is another", func(screen string) bool {
		return strings.Contains(strings.Join(strings.Fields(screen), " "), words)
	})
	if code := ann.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, p := range []*program{ann, bot} {
		if found, _ := filepath.Glob(filepath.Join(p.home, "data", "sotto", "*", "vault*")); len(found) != 0 {
			t.Errorf("%s: %q was left behind", p.name, found)
		}
	}
	// Another address for the relay is none of its policy's.
	if r := bot.does(botCode+"\n", append(join, "--relay", "wss://127.0.0.1"+s.Addr[strings.LastIndex(s.Addr, ":"):]+"/ws")...); r.code != 1 || !strings.Contains(r.err, "Leave --relay out") {
		t.Errorf("with another address: %+v", r)
	}

	presents(t, s, "own")
	stop := o.serve()
	if err := o.joins(bot, botCode, botPIN).Wait(); err != nil {
		t.Errorf("the program does not join: %v", err)
	}
	ann.joinWith(s, annCode, annPIN)
	ann.quit()
	stop(syscall.SIGTERM)

	// Who has joined does not go to another key either.
	presents(t, s, "other")
	ann.run()
	ann.unlock()
	ann.Until("said that the key is another", func(screen string) bool {
		return strings.Contains(strings.Join(strings.Fields(screen), " "), "another key than the one pinned")
	})
	ann.quit()
}
