package role

import (
	"os/exec"
	"strings"
	"testing"
)

// What each role must not be able to do, it must not even contain: DESIGN
// section 2. A path that ends in "/..." means what is beneath, too.
var forbidden = map[string][]string{
	"sotto/internal/role/watch": {
		"net", "net/http", "crypto/tls", "sotto/client/...", "sotto/keystore", "sotto/internal/profile", "sotto/internal/relay",
		"sotto/tui", "github.com/awnumar/memguard", "github.com/ncruces/go-sqlite3/...", "charm.land/...",
	},
	"sotto/internal/role/unattended": {
		"net", "net/http", "crypto/tls", "sotto/client/...", "sotto/keystore", "sotto/internal/profile", "sotto/internal/relay",
		"sotto/tui", "github.com/awnumar/memguard", "github.com/ncruces/go-sqlite3/...", "charm.land/...",
	},
	"sotto/internal/role/gate": {
		"net/http", "crypto/tls", "github.com/coder/websocket", "sotto/client", "sotto/client/store", "sotto/client/omemo/...",
		"sotto/client/link", "sotto/tui", "charm.land/...", "github.com/ncruces/go-sqlite3/...",
	},
	"sotto/internal/role/desk": {
		"net/http", "crypto/tls", "github.com/coder/websocket", "sotto/client/link", "sotto/internal/relay", "mellium.im/sasl",
	},
	"sotto/internal/role/link": {
		"sotto/client", "sotto/client/store", "sotto/client/omemo/...", "sotto/keystore", "sotto/tui", "sotto/internal/profile",
		"github.com/ncruces/go-sqlite3/...", "charm.land/...", "sotto/client/membership", "sotto/client/audit/...",
		"sotto/client/org/directory", "sotto/client/org/policy", "sotto/client/org/partner", "sotto/client/org/invitation",
	},
}

func TestImports(t *testing.T) {
	for pkg, never := range forbidden {
		out, err := exec.Command("go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", pkg, err)
		}
		deps := strings.Fields(string(out))
		if len(deps) < 20 {
			t.Fatalf("%s: only %d packages", pkg, len(deps))
		}
		for _, dep := range deps {
			for _, bad := range never {
				tree, isTree := strings.CutSuffix(bad, "/...")
				if dep == bad || isTree && (dep == tree || strings.HasPrefix(dep, tree+"/")) {
					t.Errorf("%s contains %s", pkg, dep)
				}
			}
		}
	}
}
