package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sotto/client/job"
	"sotto/internal/role"
)

func trustCommand() *cobra.Command {
	var s service
	cmd := &cobra.Command{
		Use:   "trust [ADDRESS [FINGERPRINT]]",
		Short: "See and compare devices, for a program's account",
		Long: `List somebody's devices with their fingerprints, or trust the one whose fingerprint
you have compared with its owner, over the telephone or side by side. Without an
address it lists the account's own: that is what others compare.

A program sends only to devices that were compared, unless the settings of its
profile say trust = "first-use". See docs/headless.md.`,
		Example: `  sotto trust --profile alarm --pin-file /etc/sotto/pin
  sotto trust oncall@hospital.example --pin-file /etc/sotto/pin
  sotto trust oncall@hospital.example "0a1b2c3d ... 64 digits" --pin-file /etc/sotto/pin`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			task := role.Task{Job: role.Trusting}
			if len(args) > 2 {
				return wrong(cmd, fmt.Errorf("sotto trust takes an address and a fingerprint, not %d things. Put the fingerprint in quotes", len(args)))
			}
			if len(args) > 0 {
				var err error
				if task.Peer, err = whom(cmd, args[0]); err != nil {
					return err
				}
			}
			if len(args) > 1 {
				fp, err := job.ParseFingerprint(args[1])
				if err != nil {
					return wrong(cmd, err)
				}
				task.Fingerprint = fp.String()
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			_, err := s.run(cmd.Context(), task)
			return err
		},
	}
	s.flags(cmd, 30*time.Second, "how long to wait for the relay, and for another process to be done with the profile")
	return cmd
}
