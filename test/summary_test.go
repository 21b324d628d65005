//go:build unix

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A long output of tests is told in a few lines: all that failed, in order,
// and nothing of what passed.
func TestSummary(t *testing.T) {
	dir := t.TempDir()
	unit, e2e := filepath.Join(dir, "unit.log"), filepath.Join(dir, "e2e.log")
	for name, output := range map[string]string{
		unit: `# sotto/tui [sotto/tui.test]
tui/x_test.go:10:2: undefined: foo
FAIL	sotto/tui [build failed]
ok  	sotto/text	0.3s
--- PASS: TestFine (0.10s)
    y_test.go:3: all is well
--- FAIL: TestX (0.10s)
    --- FAIL: TestX/sub (0.05s)
        x_test.go:12: not so:
            more of it
        x_test.go:13: the log
        x_test.go:14: too much
FAIL
FAIL	sotto/client	3.4s
?   	sotto/docs	[no test files]
`,
		e2e: `panic: test timed out after 10m0s
	running tests:
		TestA (1m0s)
		TestB/x (3s)

goroutine 12 [running]:
testing.(*M).startAlarm.func1()
	/usr/lib/go/src/testing/testing.go:2484 +0x394

goroutine 1 [chan receive, 9 minutes]:
sotto/test.TestA(0xc)
	/home/ada/sotto/test/a_test.go:44 +0x1d
sotto/test.TestMain(0xc)
	/home/ada/sotto/test/a_test.go:44 +0x1d
FAIL	sotto/test	600.1s
ok  	sotto/test/proxy	600.1s
`,
	} {
		if err := os.WriteFile(name, []byte(output), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const want = `
failed:
  tui/x_test.go:10:2: undefined: foo
  FAIL sotto/tui [build failed]
  --- FAIL: TestX (0.10s)
      --- FAIL: TestX/sub (0.05s)
          x_test.go:12: not so:
          x_test.go:13: the log
  FAIL sotto/client 3.4s
  panic: test timed out after 10m0s
    running: TestA (1m0s)
    running: TestB/x (3s)
    at test/a_test.go:44
  FAIL sotto/test 600.1s
`
	if got, err := exec.Command("./summary", unit, e2e).Output(); err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	if got, err := exec.Command("./summary", os.DevNull).Output(); err != nil || string(got) != "\nnothing failed\n" {
		t.Errorf("when nothing failed: %v\n%s", err, got)
	}
}
