// Package crash has a test run itself in a child that is killed, to see what is on
// the disk then.
package crash

import (
	"bufio"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Kill runs the test t once more in a child process, with the environment variable
// name set to value, by which the test knows that it is the child. The child writes a
// line to its standard output for all that it has done, and does not end by itself. At
// a random moment within the given time after the first line it gets SIGKILL. Kill
// returns the lines that were written whole, one at least, without their ends.
func Kill(t *testing.T, name, value string, within time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), name+"="+value)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n')
	if err != nil {
		cmd.Wait()
		t.Fatalf("the child ended: %v", err)
	}
	killer := time.AfterFunc(rand.N(within), func() { cmd.Process.Kill() })
	defer killer.Stop()
	rest, _ := io.ReadAll(r)
	cmd.Wait()
	lines := strings.Split(first+string(rest), "\n")
	return lines[:len(lines)-1] // what follows the last end of a line was cut off
}
