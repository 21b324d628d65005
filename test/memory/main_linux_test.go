package memory

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is what is under test, built once as people build it.
var program string

func TestMain(m *testing.M) {
	if os.Getenv(holding) != "" {
		hold()
	}
	if folder := os.Getenv(faking); folder != "" {
		fake(folder)
	}
	code := 1
	defer func() { os.Exit(code) }()
	folder, err := os.MkdirTemp("", "sotto-memory")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o711); err != nil { // sotto does not run as root
		fmt.Fprintln(os.Stderr, err)
		return
	}
	program = filepath.Join(folder, "sotto")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "../../cmd/sotto")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building sotto: %v\n%s", err, out)
		return
	}
	code = m.Run()
}
