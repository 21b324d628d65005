//go:build unix

package doctor

import (
	"os"
	"time"

	"github.com/charmbracelet/x/term"
	"golang.org/x/sys/unix"
)

// askTime is how long a terminal may take to answer; one at the other end of a
// slow line takes as long as the line.
const askTime = time.Second

// ask asks a terminal about itself. What is typed meanwhile is lost.
func ask(in, out *os.File) answers {
	// In the background, changing the terminal's modes would stop this process.
	if front, err := unix.IoctlGetInt(int(in.Fd()), unix.TIOCGPGRP); err != nil || front != unix.Getpgrp() {
		return answers{}
	}
	before, err := term.MakeRaw(in.Fd())
	if err != nil {
		return answers{}
	}
	defer term.Restore(in.Fd(), before)
	if _, err := out.WriteString(question); err != nil {
		return answers{}
	}
	var got []byte
	for end := time.Now().Add(askTime); len(got) < maxAnswers; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, int(left/time.Millisecond)+1); err == unix.EINTR {
			continue
		} else if err != nil || n == 0 {
			break
		}
		b := make([]byte, 256)
		n, err := unix.Read(int(in.Fd()), b)
		if err != nil || n <= 0 {
			break
		}
		got = append(got, b[:n]...)
		if a := parseAnswers(got); a.done {
			return a
		}
	}
	return parseAnswers(got)
}
