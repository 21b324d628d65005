package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/watch"
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
			err = afterwards(p, watchOver(watch.Config{
				Mode: role.ChangePIN, Profile: places(p), Label: c.Organisation, User: c.Address,
				Display: display(c), DestroyAfter: c.DestroyAfter, NoTPM: c.TPM == "off", Tell: lock.Tell,
			}))
			if err == nil {
				fmt.Fprintln(os.Stdout, "The PIN is changed.")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "profile", profile.Default, "whose PIN to change")
	return cmd
}
