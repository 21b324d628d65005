package server

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// StartEmbedded starts the relay that is in sotto itself, as its commands do it.
func StartEmbedded(ctx context.Context, dir, binary string) (*Server, error) {
	port, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Name:      "sotto relay",
		Version:   "embedded",
		Domain:    "ward.localhost",
		WebSocket: fmt.Sprintf("wss://localhost:%d/ws", port[0]),
		Addr:      fmt.Sprintf("127.0.0.1:%d", port[0]),
		Dir:       dir,
		log:       filepath.Join(dir, "console.log"),
	}
	if err := s.certify("localhost", "127.0.0.1", s.Domain); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	s.command = func() *exec.Cmd {
		return exec.Command(binary, "relay", "serve", "--domain", s.Domain, "--data", data, "--listen", s.Addr,
			"--cert", filepath.Join(dir, "server.crt"), "--key", filepath.Join(dir, "server.key"))
	}
	s.add = func(ctx context.Context, domain, group string, people []Person) error {
		for _, p := range people {
			cmd := exec.CommandContext(ctx, binary, "relay", "user", "add", p.Name, "--name", p.Display, "--group", group, "--data", data)
			cmd.Stdin = strings.NewReader(p.Password + "\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
		}
		return nil
	}
	return s, s.Start(ctx)
}
