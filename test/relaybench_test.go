package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sotto/test/server"
)

// bar is a line of the histogram that people see.
var bar = regexp.MustCompile(`(?m)^ +up to +[0-9.]+ ms +[1-9][0-9]* #+$`)

// TestRelayBench puts a small load on each server: whatever it measures, all that
// was sent arrives once.
func TestRelayBench(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		people := team(t, s, "Bench, Ada", "Bench, Per")
		users := filepath.Join(t.TempDir(), "users")
		var list string
		for _, p := range people {
			list += s.Address(p) + " " + p.Password + "\n"
		}
		if err := os.WriteFile(users, []byte("# for trying\n\n"+list), 0o600); err != nil {
			t.Fatal(err)
		}
		bench := func(arguments ...string) (code int, out, errs string) {
			cmd := exec.Command(binary, append([]string{"relay", "bench", s.WebSocket, "--ca", s.CAFile}, arguments...)...)
			var o, e strings.Builder
			cmd.Stdout, cmd.Stderr = &o, &e
			if err := cmd.Run(); cmd.ProcessState == nil {
				t.Fatal(err)
			}
			return cmd.ProcessState.ExitCode(), o.String(), e.String()
		}
		for _, how := range [][]string{
			{"--rate", "40"},
			{"--clients", "2", "--idle", "3", "--payload", "4000", "--devices", "5", "--archive", "--rate", "20"},
		} {
			code, out, errs := bench(append(how, "--users", users, "--clients", "4", "--duration", "2s", "--json", "--pid", strconv.Itoa(s.PID()))...)
			var r struct {
				Clients, Sent, Received, Lost, Doubled, Errors, Broken int
				Stanza                                                 int     `json:"stanza_bytes"`
				Memory                                                 int     `json:"relay_memory_load_bytes"`
				Rate                                                   float64 `json:"messages_a_second"`
				Latency                                                struct {
					Count   int
					Buckets []struct {
						MS    float64
						Count int
					}
				}
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
				t.Fatalf("%v: code %d, %v: %s%s", how, code, err, out, errs)
			}
			if r.Clients == 0 || r.Sent == 0 || r.Received != r.Sent || r.Latency.Count != r.Sent || r.Stanza < 400 || r.Rate <= 0 || r.Memory < 1<<20 {
				t.Errorf("%v: %s", how, out)
			}
			sum, below := 0, 0.0
			for _, b := range r.Latency.Buckets {
				if b.MS <= below {
					t.Errorf("%v: a bucket of %v ms comes after one of %v ms: %s", how, b.MS, below, out)
				}
				sum, below = sum+b.Count, b.MS
			}
			if sum != r.Received {
				t.Errorf("%v: the buckets have %d of %d messages: %s", how, sum, r.Received, out)
			}
			for _, p := range people {
				if strings.Contains(out+errs, p.Password) {
					t.Errorf("a password is in what it writes: %s%s", out, errs)
				}
			}
		}
		if code, out, _ := bench("--users", users, "--clients", "2", "--duration", "1s"); code != 0 || !strings.Contains(out, "0 lost, 0 twice") || !bar.MatchString(out) {
			t.Errorf("without a rate: code %d: %s", code, out)
		}
		for _, wrong := range []struct {
			says      string
			arguments []string
		}{
			{"name the accounts", nil},
			{"--clients is from", []string{"--users", users, "--clients", "100000"}},
			{"--duration is from", []string{"--users", users, "--duration", "0s"}},
			{"not there", []string{"--users", users + ".not"}},
		} {
			if code, out, errs := bench(wrong.arguments...); code != 2 || !strings.Contains(errs, wrong.says) || out != "" {
				t.Errorf("%v: code %d: %s%s", wrong.arguments, code, out, errs)
			}
		}
		if err := os.Chmod(users, 0o640); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := bench("--users", users); code != 2 || !strings.Contains(errs, "others can read") {
			t.Errorf("accounts that others can read: code %d: %s", code, errs)
		}
		exercised(t, fmt.Sprintf("sotto relay bench with %s", s.Name))
	})
}

// TestRelayBenchElsewhere refuses to load a relay on another computer, unless told to.
func TestRelayBenchElsewhere(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("probe@hospital.invalid secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, relay := range []string{"wss://chat.hospital.invalid/ws", "hospital.invalid"} {
		cmd := exec.Command(binary, "relay", "bench", relay, "--users", users)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "--yes") {
			t.Errorf("%s: %v: %s", relay, err, out)
		}
	}
}
