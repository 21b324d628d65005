package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sotto/client/admin/console"
)

func orgPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "See and change what holds on every device",
		Long: `The policy is lines of settings, such as lock-after = "1m", with comments. Where a
person has a setting, too, the stricter of both holds. docs/organisation.md has them
all. A change is in force within seconds on devices that are online.`,
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(orgPolicyShowCommand(), orgPolicyEditCommand(), orgPolicyDiffCommand(), orgPolicySetCommand())
	return cmd
}

func orgPolicyShowCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "show", Short: "Write the policy in force", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.acting(cmd, console.Request{Do: "policy"}, func(w io.Writer, a *console.Answer) {
				fmt.Fprintf(w, "# policy %d, of %s\n\n%s", a.Policy.Serial, a.Policy.Issued.Local().Format("2 Jan 2006 15:04"), a.Policy.Body)
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

// oneFile holds a command to one file.
func oneFile(cmd *cobra.Command, args []string) (string, error) {
	if len(args) != 1 {
		return "", wrong(cmd, fmt.Errorf("%s needs one file with settings", cmd.CommandPath()))
	}
	b, err := readSettings(args[0])
	return string(b), err
}

func showDiff(w io.Writer, diff []string) {
	if len(diff) == 0 {
		fmt.Fprintln(w, "No setting changes, only comments.")
	}
	for _, line := range diff {
		fmt.Fprintln(w, "  "+line)
	}
}

func orgPolicyDiffCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "diff FILE", Short: "Say what a file with settings would change", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := oneFile(cmd, args)
			if err != nil {
				return err
			}
			return s.acting(cmd, console.Request{Do: "check-policy", Body: body}, func(w io.Writer, a *console.Answer) { showDiff(w, a.Diff) })
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

// put shows what would change, asks, and puts it in force.
func (s *office) put(cmd *cobra.Command, c *conversation, body string) error {
	out := cmd.OutOrStdout()
	a, err := c.say(console.Request{Do: "check-policy", Body: body})
	if err != nil {
		return err
	}
	if err := s.connects(cmd.Context(), c, body); err != nil {
		return err
	}
	if !s.yes {
		showDiff(out, a.Diff)
		if err := s.confirm(c, "Sign this, and put it in force everywhere?"); err != nil {
			return err
		}
	}
	if a, err = c.say(console.Request{Do: "set-policy", Body: body}); err != nil {
		return err
	}
	return s.show(out, a, func(w io.Writer, a *console.Answer) { fmt.Fprintf(w, "Policy %d is in force.\n", a.Policy.Serial) })
}

func orgPolicySetCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "set FILE", Short: "Put the settings in a file in force", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := oneFile(cmd, args)
			if err != nil {
				return err
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			return s.with(cmd.Context(), func(c *conversation) error { return s.put(cmd, c, body) })
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	return cmd
}

func orgPolicyEditCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use:   "edit",
		Short: "Change the policy in an editor",
		Long: `Open the policy in $VISUAL or $EDITOR. When the editor ends, what would change is
shown, and signed if you say yes. Where a line is wrong the editor opens again.`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(cmd); err != nil {
				return err
			}
			if err := terminal(); err != nil {
				return err
			}
			return s.with(cmd.Context(), func(c *conversation) error { return s.edit(cmd, c) })
		},
	}
	s.open(cmd)
	s.yesFlag(cmd)
	return cmd
}

func (s *office) edit(cmd *cobra.Command, c *conversation) error {
	a, err := c.say(console.Request{Do: "policy"})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sotto-policy")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "policy.toml")
	before := []byte(a.Policy.Body)
	if err := os.WriteFile(path, before, 0o600); err != nil {
		return err
	}
	for {
		if err := runEditor(path); err != nil {
			return err
		}
		body, err := readSettings(path)
		if err != nil {
			return err
		}
		if bytes.Equal(bytes.TrimSpace(body), bytes.TrimSpace(before)) {
			fmt.Fprintln(cmd.OutOrStdout(), "Nothing was changed.")
			return nil
		}
		_, err = c.say(console.Request{Do: "check-policy", Body: string(body)})
		if err == nil || errors.Is(err, errSilent) {
			if err = s.put(cmd, c, string(body)); !errors.Is(err, errCutOff) {
				return err
			}
		}
		if s.yes { // nobody is asked, so nobody ends what would go round
			return fmt.Errorf("%w. Nothing was changed", err)
		}
		complainTo(os.Stderr, err.Error())
		if no := s.confirm(c, "Edit it again?"); no != nil {
			return errors.New("nothing was changed")
		}
	}
}

// runEditor has the person edit a file.
func runEditor(path string) error {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	words := strings.Fields(editor)
	if len(words) == 0 {
		words = []string{"vi"}
	}
	edit := exec.Command(words[0], append(words[1:], path)...)
	edit.Stdin, edit.Stdout, edit.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := edit.Run(); err != nil {
		return fmt.Errorf("the editor %q: %w. Choose another with the variable EDITOR", editor, err)
	}
	return nil
}
