package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sotto/client/admin/console"
	"sotto/client/org"
)

func orgPartnerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "partner",
		Short: "Open people to another organisation",
		Long: `Agree with another organisation whose people can write to each other. One proposes,
the other accepts, and the first accepts what comes back; what goes to and fro are
files of text that can be mailed: nobody can change them. Compare the fingerprints of
both keys over the telephone.

  hospital   sotto org partner list                      tells its own key
  clinic     sotto org partner propose KEY --open …      writes a proposal
  hospital   sotto org partner accept FILE               writes the agreement
  clinic     sotto org partner accept FILE               now both have it`,
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(orgPartnerListCommand(), orgPartnerProposeCommand(), orgPartnerAcceptCommand(), orgPartnerEndCommand())
	return cmd
}

func orgPartnerListCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "list", Short: "List agreements, and tell the own key", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.acting(cmd, console.Request{Do: "partners"}, func(w io.Writer, a *console.Answer) {
				fmt.Fprintf(w, "The own key, for a partner to propose to:\n\n  %s\n  %s\n\n", a.Key, a.Print)
				if len(a.Partners) == 0 {
					fmt.Fprintln(w, "There are no agreements.")
				}
				for _, p := range a.Partners {
					showPartner(w, p)
				}
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

// note writes a statement to standard output, which may be a file that is mailed, and
// all else to standard error.
func (s *office) note(cmd *cobra.Command, a *console.Answer, words string) error {
	if s.json {
		return s.show(cmd.OutOrStdout(), a, nil)
	}
	err := s.show(cmd.ErrOrStderr(), a, func(w io.Writer, _ *console.Answer) { io.WriteString(w, words) })
	if err == nil {
		_, err = io.WriteString(cmd.OutOrStdout(), a.Note)
	}
	return err
}

func showPartner(w io.Writer, p console.Partner) {
	state := p.State
	if state == "" || state == "in force" {
		state = strings.TrimSpace(state + " until " + p.Expires.Local().Format("2 Jan 2006"))
	}
	fmt.Fprintf(w, "%s, agreement %d, %s\n", p.Name, p.Serial, state)
	for _, o := range p.Opens {
		fmt.Fprintf(w, "  opens %s\n", o)
	}
}

func orgPartnerProposeCommand() *cobra.Command {
	var s office
	var opens []string
	var expires string
	cmd := &cobra.Command{
		Use: "propose KEY", Short: "Write a proposal for another organisation",
		Example: `  sotto org partner propose clinic.example+5e6f7a8b+AQ... \
    --open role/cardiology@hospital.example,alice@hospital.example,role/referral@clinic.example > proposal`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong(cmd, errors.New("sotto org partner propose needs the other organisation's key, as their sotto org partner list tells it"))
			}
			if _, err := org.ParseKey(args[0]); err != nil {
				return wrong(cmd, err)
			}
			if len(opens) == 0 {
				return wrong(cmd, errors.New("say with --open who is opened, of both organisations"))
			}
			d, err := life(cmd, "--expires", expires)
			if err != nil {
				return err
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			a, err := s.once(cmd.Context(), console.Request{Do: "propose", Key: args[0], Opens: opens, For: d})
			if err != nil {
				return err
			}
			return s.note(cmd, a, "")
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	cmd.Flags().StringSliceVar(&opens, "open", nil, "who is opened, of both: addresses, roles such as role/cardiology@hospital.example, and people at another domain such as person/carol@mail.example@clinic.example")
	cmd.Flags().StringVar(&expires, "expires", "365d", "how long the agreement holds, such as 90d")
	return cmd
}

func orgPartnerAcceptCommand() *cobra.Command {
	var s office
	var contact string
	cmd := &cobra.Command{
		Use: "accept FILE", Short: "Put a proposal or an agreement in force",
		Long: `Sign what another organisation proposes, or take the agreement that it has signed after
you have proposed it. The agreement is written to standard output; send it to the
other, which accepts it, too. The end of an agreement, as the other's sotto org partner
end writes it, is accepted in the same way.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			note, err := oneFile(cmd, args)
			if err != nil {
				return err
			}
			if contact != "" {
				if contact, err = whom(cmd, contact); err != nil {
					return err
				}
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			return s.with(cmd.Context(), func(c *conversation) error {
				a, err := c.say(console.Request{Do: "read-agreement", Note: note})
				if err != nil {
					return err
				}
				if p := a.Partners[0]; p.State == "ended" {
					if err := s.confirm(c, fmt.Sprintf("%s has ended the agreement. End it here, too?", p.Name)); err != nil {
						return err
					}
					if a, err = c.say(console.Request{Do: "accept", Note: note}); err != nil {
						return err
					}
					return s.show(cmd.OutOrStdout(), a, func(w io.Writer, _ *console.Answer) {
						fmt.Fprintf(w, "The agreement with %s is over.\n", p.Name)
					})
				}
				if !s.yes {
					showPartner(os.Stderr, a.Partners[0])
					fmt.Fprintf(os.Stderr, "The other's key, to be compared over the telephone:\n\n  %s\n\n", a.Print)
				}
				if err := s.confirm(c, "Put this agreement in force?"); err != nil {
					return err
				}
				if a, err = c.say(console.Request{Do: "accept", Note: note, Contact: contact}); err != nil {
					return err
				}
				return s.note(cmd, a, "")
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	cmd.Flags().StringVar(&contact, "contact", "", "the other organisation's account, if it is not sotto@ and its name")
	return cmd
}

func orgPartnerEndCommand() *cobra.Command {
	var s office
	var reason string
	cmd := &cobra.Command{
		Use: "end DOMAIN", Short: "End the agreement with a partner, at once",
		Long: `End the agreement with a partner, at once and without asking it. Within seconds your
people neither write to anybody there nor read them; within a minute people there find
nobody of yours any more. What says so is written to standard output: the partner can
accept it, so that its own list says so, too, and does not have to.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !org.ValidName(args[0]) {
				return wrong(cmd, errors.New("sotto org partner end needs the partner's name, such as clinic.example"))
			}
			question := fmt.Sprintf("Nobody of %s can be written to any more, and nobody of there writes. End the agreement?", args[0])
			a, err := s.confirming(cmd, question, console.Request{Do: "end-partner", Name: args[0], Reason: reason})
			if err != nil {
				return err
			}
			return s.note(cmd, a, fmt.Sprintf("The agreement with %s is over. They need nothing to be told that; so that their\nlist says it, too, they accept what follows: sotto org partner accept FILE.\n\n", args[0]))
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the partner")
	return cmd
}
