package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"sotto/internal/relay"
)

// runRelay runs "sotto relay" with args and input, and returns what it printed.
func runRelay(t *testing.T, in string, args ...string) (string, error) {
	t.Helper()
	cmd := relayCommand()
	var out bytes.Buffer
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestRelayUsers(t *testing.T) {
	dir := t.TempDir()
	if _, err := runRelay(t, "a good password\n", "user", "add", "alice", "--data", dir); err == nil || !strings.Contains(err.Error(), "domain") {
		t.Errorf("a new folder without a domain: %v", err)
	}
	if _, err := runRelay(t, "a good password\n", "user", "add", "alice", "--data", dir, "--domain", "ward.example", "--name", "Dr. Alice", "--group", "Theatre"); err != nil {
		t.Fatal(err)
	}
	if _, err := runRelay(t, "a good password\n", "user", "add", "alice", "--data", dir); !errors.Is(err, relay.ErrUserExists) {
		t.Errorf("adding twice: %v", err)
	}
	if _, err := runRelay(t, "short\n", "user", "add", "bob", "--data", dir); err == nil {
		t.Error("a short password was accepted")
	}
	if _, err := runRelay(t, "", "user", "password", "alice", "--data", dir); err == nil {
		t.Error("an empty password was accepted")
	}
	if _, err := runRelay(t, "another password", "user", "password", "alice", "--data", dir); err != nil {
		t.Error(err)
	}
	if out, err := runRelay(t, "", "user", "list", "--data", dir); err != nil || out != "alice@ward.example  \"Dr. Alice\"  \"Theatre\"\n" {
		t.Errorf("listed %q, %v", out, err)
	}
	if _, err := runRelay(t, "", "user", "remove", "alice", "--data", dir); err != nil {
		t.Error(err)
	}
	if _, err := runRelay(t, "", "user", "remove", "alice", "--data", dir); !errors.Is(err, relay.ErrUserUnknown) {
		t.Errorf("removing twice: %v", err)
	}
}

func TestRelayServe(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"no domain":     {"serve", "--data", dir},
		"no folder":     {"serve", "--domain", "ward.example"},
		"cert alone":    {"serve", "--domain", "ward.example", "--data", dir, "--cert", "x"},
		"bad address":   {"serve", "--domain", "ward.example", "--data", dir, "--listen", "nowhere"},
		"bad cert":      {"serve", "--domain", "ward.example", "--data", dir, "--cert", "x", "--key", "y"},
		"public":        {"serve", "--domain", "ward.example", "--data", dir, "--listen", "0.0.0.0:0"},
		"bad domain":    {"serve", "--domain", "a b", "--data", dir},
		"unknown words": {"serve", "now", "--domain", "ward.example", "--data", dir},
	} {
		if _, err := runRelay(t, "", args...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := runRelay(t, "", "serve", "--domain", "ward.example", "--data", dir, "--listen", "0.0.0.0:0"); !errors.Is(err, relay.ErrPlain) {
		t.Errorf("without TLS for everyone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- serveRelay(ctx, w, relay.Config{Domain: "ward.example", Store: dir}, "127.0.0.1:0", "", "")
	}()
	line := make([]byte, 200)
	n, err := r.Read(line)
	if err != nil || !strings.HasPrefix(string(line[:n]), "relay for ward.example at ws://127.0.0.1:") {
		t.Errorf("said %q, %v", line[:n], err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
