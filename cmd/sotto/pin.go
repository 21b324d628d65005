package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
	"sotto/internal/role"
)

func pinCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "pin",
		Short: "Change the PIN",
		Long: `Choose another PIN for this device. The PIN as it is now is asked first. Nothing
else changes: messages, keys and the password stay as they are.`,
		Args: nothing,
		RunE: func(*cobra.Command, []string) error {
			p, c, lock, err := load(name)
			if err != nil {
				return err
			}
			defer lock.Unlock()
			cfg, err := opening(role.ChangePIN, p, c, lock)
			if err != nil {
				return err
			}
			if err = afterwards(p, watchOver(cfg)); err == nil {
				fmt.Fprintln(os.Stdout, "The PIN is changed.")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "profile", profile.Default, "whose PIN to change")
	return cmd
}
