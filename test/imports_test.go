package test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// network is what can dial, or speaks what is dialled.
var network = []string{"net/http", "crypto/tls", "github.com/coder/websocket"}

// rule says what packages must not import.
type rule struct {
	name     string
	packages []string
	never    []string
	needs    string // what it must have: else the test looks at the wrong thing
}

// TestImports holds the rules of docs/architecture.md: who can never do what,
// whatever its code says, because what it would need is not in it. A rule
// covers what a package imports and all that is imported by that, and a path
// covers what lies below it unless it ends in "$". Between "*" stands what is
// nowhere in a path.
func TestImports(t *testing.T) {
	for _, rule := range []rule{
		{
			name:     "what holds keys and text has no network",
			packages: []string{"sotto/internal/role/desk", "sotto/tui", "sotto/client$", "sotto/client/store", "sotto/client/omemo"},
			never:    network,
			needs:    "sotto/client/stanza",
		},
		{
			name:     "what has the network has no keys and no text",
			packages: []string{"sotto/client/link"},
			never: []string{"sotto/client$", "sotto/client/omemo", "sotto/client/store", "sotto/keystore", "sotto/tui",
				"github.com/ncruces/go-sqlite3", "charm.land/bubbletea", "os/exec"},
			needs: "crypto/tls",
		},
		{
			name:     "of what the organisation says, the link reads heads and orders",
			packages: []string{"sotto/client/link"},
			never: []string{"sotto/client/org/directory", "sotto/client/org/policy", "sotto/client/org/partner", "sotto/client/org/invitation",
				"sotto/client/membership", "sotto/client/audit", "sotto/client/admin"},
			needs: "sotto/client/org/order",
		},
		{
			name:     "what starts the others has neither",
			packages: []string{"sotto/internal/role/watch", "sotto/internal/role/unattended"},
			never: append([]string{"sotto/client$", "sotto/client/store", "sotto/client/omemo", "sotto/client/link",
				"sotto/keystore", "sotto/tui", "charm.land/bubbletea"}, network...),
			needs: "os/exec",
		},
		{
			name:     "what reads the PIN has no network, no messages and no toolkit",
			packages: []string{"sotto/internal/role/gate"},
			never: append([]string{"sotto/client$", "sotto/client/store", "sotto/client/omemo", "sotto/client/link",
				"sotto/tui", "charm.land/bubbletea"}, network...),
			needs: "sotto/keystore",
		},
		{
			name:     "keys are kept without knowing what for",
			packages: []string{"sotto/keystore"},
			never:    append([]string{"sotto/client", "sotto/tui", "sotto/internal/role", "charm.land/bubbletea"}, network...),
			needs:    "github.com/awnumar/memguard",
		},
		{
			name:     "themes know colours only",
			packages: []string{"sotto/themes"},
			never:    append([]string{"sotto/client", "sotto/tui", "sotto/keystore", "sotto/internal/role"}, network...),
			needs:    "github.com/BurntSushi/toml",
		},
		{
			name:     "the messenger does not know its screen",
			packages: []string{"sotto/client"},
			never:    []string{"sotto/tui", "sotto/themes", "sotto/internal/role", "sotto/internal/relay", "charm.land"},
			needs:    "sotto/client/stanza",
		},
		{
			name:     "encryption and storage do not know the messenger",
			packages: []string{"sotto/client/omemo", "sotto/client/store", "sotto/client/stanza"},
			never:    []string{"sotto/client$", "sotto/client/link", "sotto/tui", "sotto/keystore"},
			needs:    "errors",
		},
		{
			name:     "the screen puts nothing on a clipboard",
			packages: []string{"sotto/tui"},
			never:    []string{"charm.land/bubbles/v2/textinput", "charm.land/bubbles/v2/textarea"},
			needs:    "charm.land/bubbletea",
		},
		{
			name:     "nothing in the program reaches a clipboard",
			packages: []string{"sotto/cmd/sotto"},
			never:    []string{"*clipboard*", "*osc52*", "*xclip*", "*wlclip*", "github.com/zyedidia/clipper", "*/x11*", "*xgb*"},
			needs:    "charm.land/bubbletea",
		},
		{
			name:     "the program has no library that binds it to the GPL, and none that is abandoned",
			packages: []string{"sotto/cmd/sotto"},
			never:    []string{"go.mau.fi/libsignal", "nhooyr.io/websocket", "github.com/mattn/go-sqlite3"},
			needs:    "sotto/tui",
		},
	} {
		t.Run(strings.ReplaceAll(rule.name, " ", "_"), func(t *testing.T) {
			for _, broken := range rule.broken(t) {
				t.Error(broken)
			}
		})
	}
}

// broken says where a rule does not hold.
func (r rule) broken(t *testing.T) (list []string) {
	t.Helper()
	for _, pkg := range r.packages {
		pkg = strings.TrimSuffix(pkg, "$")
		deps := dependencies(t, pkg)
		if !slices.ContainsFunc(deps, func(d string) bool { return covers(r.needs, d) }) {
			list = append(list, fmt.Sprintf("%s does not import %s: the rule may look at the wrong package", pkg, r.needs))
		}
		for _, d := range deps {
			for _, no := range r.never {
				if d != pkg && covers(no, d) {
					list = append(list, fmt.Sprintf("%s must not import %s (go mod why -m, or go list -deps, tells through what)", pkg, d))
				}
			}
		}
	}
	return list
}

// TestImportsCanFail shows that a rule which does not hold is found.
func TestImportsCanFail(t *testing.T) {
	for _, c := range []struct {
		rule  rule
		finds []string
	}{
		{rule{packages: []string{"sotto/client/link"}, never: []string{"crypto/tls$"}, needs: "sotto/client"}, []string{"import crypto/tls "}},
		{rule{packages: []string{"sotto/client/link"}, never: []string{"sotto/keystore", "*sqlite*"}, needs: "sotto/client"}, nil},
		{rule{packages: []string{"sotto/client/link"}, never: []string{"*coder/websocket*"}, needs: "sotto/client"}, []string{"import github.com/coder/websocket "}},
		{rule{packages: []string{"sotto/client/link"}, never: []string{"crypto/tls/none", "tls"}, needs: "sotto/tui"}, []string{"does not import sotto/tui"}},
		{rule{packages: []string{"sotto/internal/role/watch"}, never: []string{"os$", "os/exec"}, needs: "os"}, []string{"import os ", "import os/exec "}},
	} {
		found := strings.Join(c.rule.broken(t), "\n")
		if c.finds == nil && found != "" {
			t.Errorf("%v: found %s", c.rule, found)
		}
		for _, want := range c.finds {
			if !strings.Contains(found, want) {
				t.Errorf("%v: not found: %s", c.rule, want)
			}
		}
	}
}

func covers(path, dependency string) bool {
	if part, ok := strings.CutPrefix(path, "*"); ok {
		return strings.Contains(dependency, strings.TrimSuffix(part, "*"))
	}
	if exact, ok := strings.CutSuffix(path, "$"); ok {
		return dependency == exact
	}
	return dependency == path || strings.HasPrefix(dependency, path+"/")
}

func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}
