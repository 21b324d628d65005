package main

import "github.com/spf13/cobra"

func orgCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "org",
		Short: "Look after an organisation",
		Args:  subcommand,
		RunE:  help,
	}
	cmd.AddCommand(recoverCommand(), recoveryKeyCommand())
	return cmd
}
