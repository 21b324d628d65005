package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sotto/internal/role"
)

func listenCommand() *cobra.Command {
	var s service
	var once, ack bool
	var from string
	cmd := &cobra.Command{
		Use:   "listen --json",
		Short: "Hand what comes to a program",
		Long: `Write what comes to standard output, one JSON object a line, until it is told to
end (SIGTERM). The profile is a program's, made with sotto join --service; its PIN
is read from a file. See docs/headless.md for what the lines say.

Only lines of the type "message" are known to be from whom they name. A message is
done with once its line was written, or with --ack once its id came back on standard
input; what was not is written again the next time, with the same id.`,
		Example: `  sotto listen --json --profile alarm --pin-file /etc/sotto/pin | handler
  sotto listen --json --once --from oncall@hospital.example --pin-file /etc/sotto/pin`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return wrong(cmd, fmt.Errorf("sotto listen takes no %q. One person's messages are written with --from ADDRESS", args[0]))
			}
			if !s.json {
				return wrong(cmd, errors.New("what comes is written as JSON only: say so with --json"))
			}
			task := role.Task{Job: role.Listening, Once: once, Ack: ack}
			if from != "" {
				var err error
				if task.Peer, err = whom(cmd, from); err != nil {
					return err
				}
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			_, err := s.run(cmd.Context(), task)
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&once, "once", false, "write what waits, then end")
	f.BoolVar(&ack, "ack", false, "a message is done with when its id, on a line, comes from standard input")
	f.StringVar(&from, "from", "", "only what comes from this person or room; the rest waits")
	s.flags(cmd, 30*time.Second, "with --once, how long to wait for the relay; and for another process to be done with the profile")
	return cmd
}
