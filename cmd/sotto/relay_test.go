package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

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
	if _, err := runRelay(t, "", "user", "admin", "alice", "--data", dir); err != nil {
		t.Error(err)
	}
	if out, err := runRelay(t, "", "user", "list", "--data", dir); err != nil || !strings.HasSuffix(out, "  admin\n") {
		t.Errorf("listed %q, %v", out, err)
	}
	if _, err := runRelay(t, "", "user", "admin", "alice", "--revoke", "--data", dir); err != nil {
		t.Error(err)
	}
	if _, err := runRelay(t, "", "user", "admin", "nobody", "--data", dir); !errors.Is(err, relay.ErrUserUnknown) {
		t.Errorf("an admin who is not there: %v", err)
	}
	if _, err := runRelay(t, "a good password\n", "user", "add", "carol", "--admin", "--data", dir); err != nil {
		t.Error(err)
	}
	if out, err := runRelay(t, "", "user", "list", "--data", dir); err != nil || strings.Count(out, "admin") != 1 {
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
		"bad period":    {"serve", "--domain", "ward.example", "--data", dir, "--keep", "soon"},
		"no period":     {"serve", "--domain", "ward.example", "--data", dir, "--keep", "0d"},
		"bad size":      {"serve", "--domain", "ward.example", "--data", dir, "--file-size", "2G"},
		"negative size": {"serve", "--domain", "ward.example", "--data", dir, "--file-size", "-1M"},
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
	said := make([]byte, 2000)
	n, err := r.Read(said)
	for _, want := range []string{"relay for ward.example at ws://127.0.0.1:", "500,000", "rooms.ward.example", "1,000 people", "64 MiB", "14 days"} {
		if err != nil || !strings.Contains(string(said[:n]), want) {
			t.Errorf("%q is not in %q, %v", want, said[:n], err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRelayWords(t *testing.T) {
	for in, want := range map[string]time.Duration{"": 0, "30d": 720 * time.Hour, "12h": 12 * time.Hour, "90m": 90 * time.Minute} {
		if got, err := readPeriod("--keep", in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"d", "-1d", "99999999d", "1x", "30", "1s", "1.5d"} {
		if got, err := readPeriod("--keep", in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	for in, want := range map[string]int{"64M": 64 << 20, "1G": 1 << 30, "5": 5, "3KiB": 3072} {
		if got, err := readSize("--file-size", in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "M", "0", "2G", "1T", "1.5M", "MM1", "99999999999999999999"} {
		if got, err := readSize("--file-size", in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	if got := size(64<<20) + ", " + size(3<<30) + ", " + size(1000) + ", " + count(1234567) + ", " + period(48*time.Hour) + ", " + period(90*time.Minute); got != "64 MiB, 3 GiB, 1,000 bytes, 1,234,567, 2 days, 1h30m0s" {
		t.Error(got)
	}
}
