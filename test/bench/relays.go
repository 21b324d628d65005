package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sotto/test/server"
)

// relays puts the same load on each relay, as sotto relay bench does: eight
// sessions of eight people who send to each other as fast as they may, with
// everything kept in the archive. The servers are those of the tests; each that is
// installed is measured, whatever becomes of the rest.
func relays(ctx context.Context, b *bench) error {
	binary, err := b.program(ctx)
	if err != nil {
		return err
	}
	return eachRelay([]candidate{
		{"sotto relay", func(dir string) (*server.Server, error) { return server.StartEmbedded(ctx, dir, binary) }},
		{"Prosody", func(dir string) (*server.Server, error) { return server.StartProsody(ctx, dir) }},
		{"ejabberd", func(dir string) (*server.Server, error) { return server.StartEjabberd(ctx, dir) }},
	}, func(r candidate) error {
		dir, err := b.folder()
		if err != nil {
			return err
		}
		s, err := r.start(dir)
		if err != nil {
			return err
		}
		if err := b.atEnd(s.Stop); err != nil {
			return err
		}
		defer s.Stop()
		return loaded(ctx, binary, dir, s)
	})
}

// candidate is a relay that can be started in a folder of its own.
type candidate struct {
	name  string
	start func(dir string) (*server.Server, error)
}

// eachRelay measures one relay after the other. One that is not installed is said,
// and no error.
func eachRelay(all []candidate, measure func(candidate) error) error {
	var failed error
	for _, r := range all {
		switch err := measure(r); {
		case errors.Is(err, server.ErrMissing):
			notMeasured(r.name, fmt.Errorf("%w: test/install does it", err))
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", r.name, err))
		}
	}
	return failed
}

// loaded puts the load on one relay.
func loaded(ctx context.Context, binary, dir string, s *server.Server) error {
	const clients, duration = 8, 10 * time.Second
	var users strings.Builder
	var people []server.Person
	for i := range clients {
		p := server.Person{Name: fmt.Sprint("load", i), Display: fmt.Sprint("Load ", i), Password: fmt.Sprint("a password of its own ", i)}
		people = append(people, p)
		fmt.Fprintln(&users, s.Address(p), p.Password)
	}
	if err := s.AddTeam(ctx, "Load", people...); err != nil {
		return err
	}
	list := filepath.Join(dir, "load.users")
	if err := os.WriteFile(list, []byte(users.String()), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "relay", "bench", s.WebSocket, "--ca", s.CAFile, "--users", list, "--json", "--archive",
		"--clients", strconv.Itoa(clients), "--duration", duration.String(), "--pid", strconv.Itoa(s.PID()))
	cmd.Stderr = new(strings.Builder)
	out, err := cmd.Output()
	var r struct {
		Rate     float64 `json:"messages_a_second"`
		Stanza   int     `json:"stanza_bytes"`
		Received int
		Latency  struct {
			P50 float64 `json:"p50_ms"`
			P99 float64 `json:"p99_ms"`
		}
		Memory int     `json:"relay_memory_load_bytes"`
		CPU    float64 `json:"relay_cpu_cores"`
	}
	if jsonErr := json.Unmarshal(out, &r); err != nil || jsonErr != nil || r.Received == 0 {
		return fmt.Errorf("sotto relay bench: %w: %s%s", errors.Join(err, jsonErr), out, cmd.Stderr)
	}
	figure(s.Name+": messages routed and kept", fmt.Sprintf("%.0f /s", r.Rate),
		fmt.Sprintf("%d clients, %d bytes, as fast as it may; %.1f cores", clients, r.Stanza, r.CPU))
	figure("  from sender to recipient", fmt.Sprintf("%.1f ms", r.Latency.P50), fmt.Sprintf("median of %d; 99 %% within %.1f ms", r.Received, r.Latency.P99))
	figure("  memory (RSS)", megabytes(r.Memory), "at the end of the load")
	return nil
}
