package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sotto/client/store"
	"sotto/internal/role"
)

// attach opens the file that is to be sent. The desk can open nothing of the kind:
// it is given this one.
func (s *service) attach(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the file cannot be sent: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return fmt.Errorf("the file cannot be sent: %s is not a file", path)
	}
	s.file = f
	return nil
}

// sends has a message sent, and says what became of it as soon as that is known: the
// process may then have something left to do for the audit log. What goes wrong there
// changes nothing of what was said.
func (s *service) sends(ctx context.Context, task role.Task, to string) error {
	told := false
	var said error
	s.told = func(o role.Outcome) {
		if !told {
			told, said = true, s.tell(os.Stdout, os.Stderr, to, o, nil)
		}
	}
	o, err := s.run(ctx, task)
	if told {
		if err != nil {
			complainTo(os.Stderr, err.Error())
		}
		return said
	}
	return s.tell(os.Stdout, os.Stderr, to, o, err)
}

func sendCommand() *cobra.Command {
	var s service
	var stat, urgent bool
	var file string
	cmd := &cobra.Command{
		Use:   "send ADDRESS",
		Short: "Send a message from a program",
		Long: `Send what standard input says to a person, or to a room that the account is in,
end-to-end encrypted, and wait until it has arrived. The profile is a program's,
made with sotto join --service; its PIN is read from a file. See docs/headless.md.

Several may be started at the same time: they take turns. Exit codes:

  0  delivered: a device of the recipient has stored it
  1  nothing was sent, and nothing will be
  2  the command line is wrong
  3  sent: the relay has it, and nobody has confirmed it in time
  4  queued: it goes out with the next send or listen
  5  refused: it does not go out as things are, such as to nobody who is trusted`,
		Example: `  echo "Disk 4 of pacs-2 has failed" | sotto send oncall@hospital.example --pin-file /etc/sotto/pin --stat
  df -h | sotto send it@hospital.example --profile alarm --pin-file "$CREDENTIALS_DIRECTORY/pin" --json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong(cmd, fmt.Errorf("sotto send needs one address, such as alice@example.org, not %d", len(args)))
			}
			to, err := whom(cmd, args[0])
			if err != nil {
				return err
			}
			if stat && urgent {
				return wrong(cmd, errors.New("a message is either --stat or --urgent"))
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			task := role.Task{Job: role.Sending, Peer: to, Urgency: store.Routine}
			switch {
			case stat:
				task.Urgency = store.Stat
			case urgent:
				task.Urgency = store.Urgent
			}
			if file != "" {
				if err := s.attach(file); err != nil {
					return s.tell(os.Stdout, os.Stderr, to, role.Outcome{}, err)
				}
				task.File = filepath.Base(file)
			}
			return s.sends(cmd.Context(), task, to)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&stat, "stat", false, "the message is STAT: write !stat before it, and let the relay see that it is urgent")
	f.BoolVar(&urgent, "urgent", false, "the message is urgent: write !urgent before it")
	f.StringVar(&file, "file", "", "send this file, too, after the text, which may be empty; of an image only its pixels are sent")
	s.flags(cmd, 30*time.Second, "how long to wait for the recipient's confirmation, and for another process to be done with the profile")
	return cmd
}
