package server

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCluster holds that both nodes serve the same people, that each comes back
// after a kill, also where both were killed, and that no port mapper is left.
func TestCluster(t *testing.T) {
	c, err := StartCluster(t.Context(), t.TempDir(), Hardened{Docs: filepath.Join("..", "..", "docs", "relays")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		if t.Failed() {
			t.Log(c.Log(25))
		}
	})
	for _, killed := range [][]int{{0}, {1}, {0, 1}} {
		for _, i := range killed {
			c.Nodes[i].Kill()
		}
		for _, i := range killed {
			if err := c.Nodes[i].Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range c.Nodes {
			if f := features(t, s, c.Domain); !strings.Contains(f, "SCRAM-SHA-256<") {
				t.Errorf("after killing %v, node %d offers %s", killed, i+1, f)
			}
		}
		if nodes, err := c.running(t.Context()); err != nil || nodes != 2 {
			t.Errorf("after killing %v, %d nodes know each other: %v", killed, nodes, err)
		}
	}
}
