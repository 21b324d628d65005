package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
	"sotto/internal/role"
)

func passwordCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "password",
		Short: "Tell sotto that your password has changed",
		Long: `Give sotto the password that your relay has for you now, after an administrator
or another device has changed it. The PIN is asked first, and the password is
tried before it is kept. Messages, keys and the PIN stay as they are.`,
		Args: nothing,
		RunE: func(*cobra.Command, []string) error {
			p, c, lock, err := load(name)
			if err != nil {
				return err
			}
			defer lock.Unlock()
			cfg, err := opening(role.ChangePassword, p, c, lock)
			if err != nil {
				return err
			}
			if err = afterwards(p, watchOver(cfg)); err == nil {
				again := "sotto"
				if name != profile.Default {
					again += " --profile " + name
				}
				fmt.Fprintln(os.Stdout, "The password is kept. Go on with: "+again)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "profile", profile.Default, "whose password has changed")
	return cmd
}
