package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
)

func policyCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show what holds for a profile, and who decides it",
		Long: `List every setting as it holds before the profile is unlocked: its value, and
whether it is yours, your organisation's, or the default. Where both say something,
the stricter holds: you can tighten a setting in config.toml and never loosen it.

Nothing is unlocked. What the organisation says is read from a signed copy that the
last unlocking has left; /policy shows the same inside sotto.`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error { return showPolicy(cmd.OutOrStdout(), name) },
	}
	cmd.Flags().StringVar(&name, "profile", profile.Default, "whose settings to show")
	return cmd
}

func showPolicy(w io.Writer, name string) error {
	p, err := profile.Paths(name)
	if err != nil {
		return err
	}
	exists, err := p.Exists()
	if err != nil {
		return err
	}
	if !exists {
		return hint(name)
	}
	c, err := p.Load()
	if err != nil {
		return err
	}
	h, err := holding(p, c)
	if err != nil {
		return err
	}
	head := "This profile belongs to no organisation."
	switch {
	case h.damage != nil:
		head = damaged
	case h.copy != nil && h.copy.Policy == nil:
		head = h.copy.Anchor.Key.Name() + " has no policy."
	case h.copy != nil:
		head = fmt.Sprintf("%s, policy %d of %s", h.copy.Anchor.Key.Name(), h.copy.Policy.Serial, h.copy.Policy.Issued.Format("2 Jan 2006 15:04 UTC"))
	}
	_, err = fmt.Fprintln(w, head+"\n")
	for _, d := range h.all {
		if err == nil {
			_, err = fmt.Fprintln(w, d.String())
		}
	}
	if err != nil {
		return fmt.Errorf("write what holds: %w", err)
	}
	return h.permitted()
}
