package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
)

// lockTime is how long a running sotto may take to lock: a desk that keeps a
// draft has three seconds, and a link that leaves the relay two.
const lockTime = 10 * time.Second

func lockCommand() *cobra.Command {
	var name string
	var all, logOff bool
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Lock a sotto that runs in another terminal",
		Long: `Lock the sotto that has your profile open, from another terminal or whenever the
screen is locked: see docs/locking.md. It waits until no message and no key is in
memory any more. What was being written is kept.

It exits with 0 when nothing is open afterwards, also when nothing was, and with
1 when that could not be reached. A demo is left alone.`,
		Example: `  sotto lock
  sotto lock --all --log-off`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all && cmd.Flags().Changed("profile") {
				return &misused{command: cmd.CommandPath(), err: errors.New("--all locks every profile: leave --profile out")}
			}
			profiles, err := profile.All()
			if !all {
				profiles, err = named(name, cmd.Flags().Changed("profile"))
			}
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), lockTime)
			defer cancel()
			return lockAll(ctx, cmd.OutOrStdout(), profiles, logOff)
		},
	}
	cmd.Flags().StringVar(&name, "profile", profile.Default, "which account to lock")
	cmd.Flags().BoolVar(&all, "all", false, "lock every account that is open")
	cmd.Flags().BoolVar(&logOff, "log-off", false, "leave the relay, too, and forget the password")
	return cmd
}

// named is the profile with a name. Who names one that is not there has
// mistyped it.
func named(name string, given bool) ([]profile.Profile, error) {
	p, err := profile.Paths(name)
	if err != nil {
		return nil, err
	}
	exists, err := p.Exists()
	if err != nil {
		return nil, err
	}
	if !exists && given {
		return nil, fmt.Errorf("there is no profile %q", name)
	}
	return []profile.Profile{p}, nil
}

// lockAll locks the profiles at the same time, and says what became of each.
func lockAll(ctx context.Context, out io.Writer, profiles []profile.Profile, logOff bool) error {
	type result struct {
		answer profile.Answer
		err    error
	}
	results := make([]chan result, len(profiles))
	for i, p := range profiles {
		results[i] = make(chan result, 1)
		go func() {
			answer, err := p.Ask(ctx, logOff)
			results[i] <- result{answer, err}
		}()
	}
	var failed []error
	said := false
	for i, p := range profiles {
		r := <-results[i]
		switch {
		case r.err != nil:
			failed = append(failed, r.err)
			continue
		case r.answer == profile.NotRunning && len(profiles) > 1:
			continue // there may be many
		case p.Name == profile.Default:
			fmt.Fprintf(out, "sotto: %s\n", r.answer)
		default:
			fmt.Fprintf(out, "sotto, profile %s: %s\n", p.Name, r.answer)
		}
		said = true
	}
	if !said && failed == nil {
		fmt.Fprintf(out, "sotto: %s\n", profile.NotRunning)
	}
	return errors.Join(failed...)
}
