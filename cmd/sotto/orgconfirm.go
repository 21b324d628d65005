package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sotto/client/admin/console"
)

var errNothingDone = errors.New("nothing was done")

// interrupted reads what is typed until a signal to end comes, which is the other
// process's, too: see talk.
type interrupted struct {
	io.Reader
	signals <-chan os.Signal
}

func (r interrupted) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	b, read := make([]byte, len(p)), make(chan result, 1)
	go func() { // which a terminal does not call off
		n, err := r.Reader.Read(b)
		read <- result{n, err}
	}()
	select {
	case got := <-read:
		return copy(p, b[:got.n]), got.err
	case <-r.signals:
		return 0, errNothingDone
	}
}

// confirm asks a person to say yes, and otherwise says what to do. The conversation has
// been answered once: a PIN that is typed by habit must not be what is typed here,
// where it can be read.
func (s *office) confirm(c *conversation, question string) error {
	if s.yes {
		return nil
	}
	tty, err := controllingTerminal()
	if err != nil {
		return errors.New("nobody is there to say yes to it. If it is meant, add --yes")
	}
	defer tty.Close()
	dropTyped(tty)
	question += " [y/N] "
	if width, _, err := term.GetSize(int(tty.Fd())); err == nil {
		question = folded(question, width)
	}
	fmt.Fprint(tty, question)
	answer, err := bufio.NewReaderSize(interrupted{tty, c.signals}, 64).ReadString('\n')
	if err != nil {
		fmt.Fprintln(tty)
		return errNothingDone
	}
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return errNothingDone
	}
	return nil
}

// confirming sends a request for what destroys: with the PIN typed, and whom it is about
// found, it asks first.
func (s *office) confirming(cmd *cobra.Command, question string, r console.Request) (a *console.Answer, err error) {
	if err := s.check(cmd); err != nil {
		return nil, err
	}
	err = s.with(cmd.Context(), func(c *conversation) error {
		if !s.yes {
			check := r
			check.Check = true
			if _, err := c.say(check); err != nil {
				return err
			}
			if err := s.confirm(c, question); err != nil {
				return err
			}
		}
		a, err = c.say(r)
		return err
	})
	return a, err
}

// confirmed is confirming that shows the answer.
func (s *office) confirmed(cmd *cobra.Command, question string, r console.Request, show func(io.Writer, *console.Answer)) error {
	a, err := s.confirming(cmd, question, r)
	if err != nil {
		return err
	}
	defer a.Clear()
	return s.show(cmd.OutOrStdout(), a, show)
}
