package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
	"sotto/internal/role"
)

// codeUnsound is the exit code of what was verified and is not sound.
const codeUnsound = 3

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Collect, verify, show and export audit logs",
		Long: `Every device writes a log of who did what, when, and with which message: never what
was written. The log shows when something in it was changed. Where the organisation's
policy names an auditor, devices send it there, encrypted. See docs/audit.md.`,
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(auditCollectCommand(), auditKeyCommand(), auditVerifyCommand(), auditShowCommand(), auditExportCommand())
	return cmd
}

func auditCollectCommand() *cobra.Command {
	var s service
	var silence time.Duration
	cmd := &cobra.Command{
		Use:   "collect",
		Short: "Take the audit logs of an organisation's devices",
		Long: `Take the audit logs of the organisation's devices into a folder, confirm them, and
write a line for whatever is wrong with them, until it is told to end (SIGTERM). The
profile is the auditor's, made with sotto join --service; its PIN is read from a
file. The folder is "audit" in the profile's data folder.

The organisation's policy names the auditor: sotto audit key prints the lines.`,
		Example: `  sotto audit collect --profile auditor --pin-file /etc/sotto/auditor.pin --json`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return wrong(cmd, fmt.Errorf("sotto audit collect takes no %q", args[0]))
			}
			if silence < 0 {
				return wrong(cmd, errors.New("--silent-after is a time such as 72h; 0 is never"))
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			_, err := s.run(cmd.Context(), role.Task{Job: role.Collecting, Silence: silence})
			return err
		},
	}
	cmd.Flags().DurationVar(&silence, "silent-after", 7*24*time.Hour, "tell of devices of which nothing was heard for so long; 0 is never")
	s.flags(cmd, 30*time.Second, "how long to wait for another process to be done with the profile")
	return cmd
}

// own is a question to a profile's own device: its PIN comes from a file, or from
// whoever sits at the terminal.
func (s *service) own(cmd *cobra.Command, job role.Job) (o role.Outcome, err error) {
	if s.pin != "" {
		if err := s.check(cmd); err != nil {
			return o, err
		}
		return s.run(cmd.Context(), role.Task{Job: job})
	}
	if _, err := profile.Paths(s.profile); errors.Is(err, profile.ErrName) {
		return o, wrong(cmd, err)
	}
	if err := terminal(); err != nil {
		return o, err
	}
	p, c, lock, err := load(s.profile)
	if err != nil {
		return o, err
	}
	defer lock.Unlock()
	cfg, err := opening(role.Unlock, p, c, lock)
	if err != nil {
		return o, err
	}
	told := false
	cfg.Task, cfg.Result = role.Task{Job: job}, func(x role.Outcome) { o, told = x, true }
	if err := afterwards(p, watchOver(cfg)); err != nil {
		return o, err
	}
	if !told {
		return o, errors.New("it was ended before there was an answer. Nothing was changed")
	}
	return o, nil
}

func auditKeyCommand() *cobra.Command {
	var s service
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print what the policy has to say of this auditor",
		Long: `Print the two lines with which an organisation's policy names this profile as its
auditor. The key is made at first use, and lies in the profile's database.`,
		Example: `  sotto audit key --profile auditor --pin-file /etc/sotto/auditor.pin`,
		Args:    nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := s.own(cmd, role.Showing)
			if err != nil {
				return err
			}
			p, err := profile.Paths(s.profile)
			if err != nil {
				return err
			}
			c, err := p.Load()
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stdout, "auditor = %q\nauditor-key = %q\n", c.Address, o.Reason)
			return nil
		},
	}
	s.flags(cmd, 30*time.Second, "how long to wait for another process to be done with the profile")
	return cmd
}
