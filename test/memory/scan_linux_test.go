package memory

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/internal/harden"
)

// holding is set in a process that holds what it is told in every way a search
// must see through, and is hardened as sotto's roles are.
const holding = "SOTTO_TEST_HOLD"

// hold reads a line and keeps it: in locked memory between guard pages, in
// memory that cannot be read, across pages and across mappings, as runes and as
// text that is encoded, each in as many copies as the answer says.
func hold() {
	if err := harden.Early(); err != nil {
		panic(err)
	}
	line, _, _ := strings.Cut(os.Getenv(holding), ",")
	in := bufio.NewReaderSize(os.Stdin, 64)
	_, _ = in.ReadSlice('\n') // a gate opens when all is in place
	secret, err := hex.DecodeString(line)
	if err != nil {
		panic(err)
	}
	os.Clearenv()
	locked := memguard.NewBuffer(len(secret))
	locked.Copy(secret)

	page := os.Getpagesize()
	area, err := unix.Mmap(-1, 0, 6*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	half := len(secret) / 2
	copy(area[page-half:], secret)                         // across two pages
	copy(area[3*page-half:], secret)                       // across two mappings
	copy(area[4*page:], secret)                            // in a page that cannot be read
	base64.StdEncoding.Encode(area[5*page+1:], secret[1:]) // and one that is encoded: not whole
	base64.StdEncoding.Encode(area[5*page+500:], append([]byte("x"), secret...))
	wide := unsafe.Slice((*rune)(unsafe.Pointer(&area[5*page+1000])), len(secret))
	for i, c := range secret {
		wide[i] = rune(c)
	}
	if err := unix.Mprotect(area[3*page:4*page], unix.PROT_READ); err != nil {
		panic(err)
	}
	if err := unix.Mprotect(area[4*page:5*page], unix.PROT_NONE); err != nil {
		panic(err)
	}
	fmt.Println("holding")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestSearchSeesThrough shows that the search of memory finds what it should,
// in a process that protects itself as sotto does.
func TestSearchSeesThrough(t *testing.T) {
	t.Parallel()
	// Not constants, which are in the program of the process that is searched.
	canary, nobodys := TextCanary("it", rand.Text()), TextCanary("what nobody holds", rand.Text())
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{holding + "=" + hex.EncodeToString(canary.Bytes) + ","}
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "holding\n" {
		t.Fatalf("the other process says %q: %v", line, err)
	}
	hits, size, err := NewSearch(canary, nobodys).Memory(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("in %d kB: %s", size>>10, Describe(hits, "it"))
	if n := Count(hits, "what nobody holds"); n != 0 {
		t.Errorf("found what nobody holds: %s", Describe(hits, "what nobody holds"))
	}
	for want, least := range map[Hit]int{
		{"it", "raw", "locked memory"}: 1,
		{"it", "raw", "heap"}:          4, // three, and what Go decoded it into
		{"it", "base64", "heap"}:       1,
		{"it", "runes", "heap"}:        1,
		{"it", "hex", "stack"}:         1, // the environment it was started with
	} {
		n := 0
		for _, h := range hits {
			if h == want {
				n++
			}
		}
		if n < least {
			t.Errorf("found %d of %d: %s in %s", n, least, want.Form, want.Place)
		}
	}
	if _, _, err := NewSearch(canary).Memory(1 << 30); err != ErrGone {
		t.Errorf("the memory of a process that is not there: %v", err)
	}
}

// TestSearchNeedsTheRight holds that a search which may not look fails, and does
// not find nothing. Nobody who is not root sees the memory of a role.
func TestSearchNeedsTheRight(t *testing.T) {
	t.Parallel()
	var err error
	if failed := As(nobody, func() { _, err = open(os.Getppid(), "mem") }); failed != nil {
		t.Fatal(failed)
	}
	if err == nil {
		t.Error("nobody can read the memory of another process")
	} else if !strings.Contains(err.Error(), "the proof needs root") {
		t.Error(err)
	}
}
