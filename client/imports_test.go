package client

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestCannotDial holds that what runs in the desk has no network: neither the
// client nor anything it imports can open a connection by itself.
func TestCannotDial(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "sotto/client/store") {
		t.Fatalf("list of imports makes no sense: %d of them", len(deps))
	}
	for _, bad := range []string{"net/http", "crypto/tls", "github.com/coder/websocket", "sotto/client/link", "sotto/internal/relay"} {
		if slices.Contains(deps, bad) {
			t.Errorf("the client imports %s", bad)
		}
	}
}
