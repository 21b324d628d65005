package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// TestSystems type-checks all of sotto for every system it is for. That finds
// what does not build there in seconds, where building from nothing takes a
// minute for each.
func TestSystems(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range []string{"linux/arm64", "darwin/arm64", "windows/amd64", "freebsd/amd64", "openbsd/amd64"} {
		name, arch, _ := strings.Cut(system, "/")
		loaded, err := packages.Load(&packages.Config{
			// Types of dependencies from their sources: compiled ones do not exist yet.
			Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
				packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
			Dir: root,
			Env: append(os.Environ(), "GOOS="+name, "GOARCH="+arch, "CGO_ENABLED=0"),
		}, "./cmd/sotto")
		if err != nil {
			t.Fatal(err)
		}
		packages.Visit(loaded, nil, func(p *packages.Package) {
			if !strings.HasPrefix(p.PkgPath, "sotto/") {
				return
			}
			for _, e := range p.Errors {
				t.Errorf("%s: %v", system, e)
			}
		})
	}
}
