package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sotto/client/admin/console"
	"sotto/client/org"
)

// one is the address that a command is about.
func one(cmd *cobra.Command, args []string) (string, error) {
	if len(args) != 1 {
		return "", wrong(cmd, fmt.Errorf("%s needs one address, such as alice@hospital.example, not %d", cmd.CommandPath(), len(args)))
	}
	return whom(cmd, args[0])
}

// rolesOf reads roles: several with commas, or the flag several times.
func rolesOf(cmd *cobra.Command, given []string) (roles []string, err error) {
	for _, r := range given {
		r = strings.TrimPrefix(strings.TrimSpace(r), "@role/")
		if r == "" {
			continue
		}
		if !org.ValidRole(r) {
			return nil, wrong(cmd, fmt.Errorf("%q cannot be a role. A role is of lower-case letters, digits and hyphens, such as on-call", r))
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

// life reads a length of time such as 30d or 12h; "" is 0.
func life(cmd *cobra.Command, flag, s string) (time.Duration, error) {
	d, err := readPeriod(flag, s)
	if err != nil {
		return 0, wrong(cmd, err)
	}
	return d, nil
}

func orgInviteCommand() *cobra.Command {
	var s office
	var name, department, expires string
	var roles []string
	var device, reset, byHand, qrCode bool
	cmd := &cobra.Command{
		Use:   "invite ADDRESS --name NAME",
		Short: "Invite somebody, or another device of somebody",
		Long: `Make the account of somebody at the relay, and print an invitation and a one-time PIN.
Hand them over by two ways: the one printed or mailed, the other told. Who has both
joins as this person, with: sotto join.

Where the relay does not let the organisation's account make others, the password
that the account has to get is printed, to be set there by hand. An account that
exists already is taken over with --reset: it gets a new password, and whoever is
signed in with it is not any more.

Inviting somebody again makes the invitation before void. A first device is let in by
sotto org serve or approve as soon as it has proved that it has both.`,
		Example: `  sotto org invite alice@hospital.example --name "Alice Meier" --role physician,on-call --department Cardiology
  sotto org invite alice@hospital.example --device`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := one(cmd, args)
			if err != nil {
				return err
			}
			if device && (name != "" || len(roles) > 0 || department != "") {
				return wrong(cmd, errors.New("with --device the name, roles and department are those in the directory. Change them with: sotto org change"))
			}
			if !device && strings.TrimSpace(name) == "" {
				return wrong(cmd, errors.New("say who it is with --name, as colleagues are to see it"))
			}
			r := console.Request{Do: "invite", Address: address, Name: strings.TrimSpace(name), Another: device, Reset: reset, ByHand: byHand}
			if r.Roles, err = rolesOf(cmd, roles); err != nil {
				return err
			}
			if department != "" {
				r.Department = &department
			}
			if r.For, err = life(cmd, "--expires", expires); err != nil {
				return err
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			return s.with(cmd.Context(), func(c *conversation) error {
				a, err := c.say(r)
				if err != nil && a != nil && a.Exists {
					if s.json {
						return fmt.Errorf("%w. With --reset it gets a new password, and whoever is signed in with it is not any more", err)
					}
					if no := s.confirm(c, "There is an account "+address+" already. Give it a new password? Whoever is signed in with it is not any more."); no != nil {
						return fmt.Errorf("%w. With --reset it is taken over", err)
					}
					r.Reset = true
					a, err = c.say(r)
				}
				if err != nil {
					return err
				}
				defer a.Clear()
				return s.show(cmd.OutOrStdout(), a, func(w io.Writer, a *console.Answer) { showInvitation(w, a.Invited, qrCode) })
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "the name that colleagues see")
	f.StringSliceVar(&roles, "role", nil, "roles, such as physician,on-call")
	f.StringVar(&department, "department", "", "the department")
	f.StringVar(&expires, "expires", "7d", "how long the invitation is good, such as 12h or 7d; at most 30d")
	f.BoolVar(&device, "device", false, "for another device of somebody who is in")
	f.BoolVar(&reset, "reset", false, "if the account exists, give it a new password; other devices of it are locked out")
	f.BoolVar(&byHand, "no-account", false, "do not make the account: print the password that it has to get")
	f.BoolVar(&qrCode, "qr", false, "draw the invitation as a QR code, too")
	return cmd
}

// page is how wide a page of words is, in columns of a terminal.
const page = 80

func showInvitation(w io.Writer, i *console.Invited, draw bool) {
	fmt.Fprintf(w, "Invitation for %s (%s), good until %s:\n\n  ", i.Name, i.Address, i.Expires.Local().Format("Mon 2 Jan 2006 15:04"))
	w.Write(i.Code)
	fmt.Fprint(w, "\n\nOne-time PIN, to be told by another way than the invitation:\n\n  ")
	w.Write(i.PIN)
	fmt.Fprint(w, "\n\n")
	switch i.Account {
	case "made":
		fmt.Fprintf(w, "The account %s is made.\n", i.Address)
	case "taken over":
		fmt.Fprintf(w, "The account %s has a new password: its other devices cannot sign in any more.\n", i.Address)
	case "in use":
		fmt.Fprintln(w, "The account stays as it is, and its other devices with it.")
	case "by hand":
		if i.Why != "" {
			fmt.Fprintln(w, folded(sentenced(i.Why), page))
		}
		fmt.Fprintf(w, "%s\n\n  ", folded(fmt.Sprintf("Make the account %s at the relay, or change it, so that it has this password:", i.Address), page))
		w.Write(i.Password)
		fmt.Fprint(w, "\n\nsotto replaces it when the person joins.\n")
	}
	fmt.Fprintln(w, "The person runs: sotto join")
	if draw {
		fmt.Fprint(w, "\nThe invitation, without the one-time PIN:\n\n")
		drawCode(w, i.Code)
	}
}

func orgWithdrawCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "withdraw ADDRESS", Short: "Make somebody's open invitations void", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := one(cmd, args)
			if err != nil {
				return err
			}
			return s.acting(cmd, console.Request{Do: "withdraw", Address: address}, func(w io.Writer, _ *console.Answer) {
				fmt.Fprintf(w, "The invitation for %s is void.\n", address)
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

func orgPeopleCommand() *cobra.Command {
	var s office
	var devices bool
	cmd := &cobra.Command{
		Use: "people [WORDS]", Short: "List the directory, or who is found in it",
		Long: `List who is in the directory: all of them, or those of whom name, address, role or
department begin with each of the words.`,
		Example: `  sotto org people
  sotto org people cardio on-call --devices`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.acting(cmd, console.Request{Do: "people", Query: strings.Join(args, " ")}, func(w io.Writer, a *console.Answer) {
				if len(a.People) == 0 {
					fmt.Fprintln(w, "Nobody is found.")
				}
				showPeople(w, a.People, devices)
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	cmd.Flags().BoolVar(&devices, "devices", false, "list devices with their fingerprints, too")
	return cmd
}

func showPeople(out io.Writer, people []console.Person, devices bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range people {
		state := p.State
		if n := len(p.Devices); p.State == "active" {
			state = plural(n, "device", "devices")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Address, strings.Join(p.Roles, ", "), p.Department, state)
		if devices {
			for _, d := range p.Devices {
				fmt.Fprintf(w, "  device %d, since %s\n  %s\n", d.ID, d.Added.Local().Format("2 Jan 2006"), d.Fingerprint)
			}
		}
	}
	w.Flush()
}

// about is a command that changes somebody's entry.
func about(use, short, long, do, question, done string, yes bool) *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := one(cmd, args)
			if err != nil {
				return err
			}
			r := console.Request{Do: do, Address: address}
			show := func(w io.Writer, a *console.Answer) { fmt.Fprintf(w, done+"\n", a.People[0].Name) }
			if !yes {
				return s.acting(cmd, r, show)
			}
			return s.confirmed(cmd, fmt.Sprintf(question, address), r, show)
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	if yes {
		s.yesFlag(cmd)
	}
	return cmd
}

func orgSuspendCommand() *cobra.Command {
	return about("suspend ADDRESS", "Keep somebody out for a while",
		"Keep somebody out for a while. Their devices stay in the directory and get nothing:\nnobody encrypts to them, and rooms drop them. sotto org restore lets them in again.",
		"suspend", "Nothing goes to %s any more, until restored. Suspend?", "%s is suspended.", true)
}

func orgRestoreCommand() *cobra.Command {
	return about("restore ADDRESS", "Let somebody in again who was suspended", "", "restore", "", "%s is in again.", false)
}

func orgRemoveCommand() *cobra.Command {
	var s office
	var wipe bool
	var reason string
	cmd := &cobra.Command{
		Use:   "remove ADDRESS",
		Short: "Take somebody and all their devices out of the directory",
		Long: `Take somebody and all their devices out of the directory. Within a minute nobody
encrypts to them any more, and rooms drop them. What is on their devices stays there:
--wipe orders that it be destroyed first. The account at the relay stays:
you are told how it is ended there.`,
		Example: `  sotto org remove alice@hospital.example --wipe --reason "has left"`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := one(cmd, args)
			if err != nil {
				return err
			}
			question := fmt.Sprintf("All devices of %s leave the directory, for good. Remove?", address)
			r := console.Request{Do: "remove", Address: address, Reason: reason}
			if wipe {
				r.Action = "wipe"
				question = fmt.Sprintf("All devices of %s are wiped, and leave the directory, for good. Remove?", address)
			}
			return s.confirmed(cmd, question, r, func(w io.Writer, a *console.Answer) {
				fmt.Fprintf(w, "%s is removed.\n", a.People[0].Name)
				if wipe {
					fmt.Fprintln(w, "Whether the devices are wiped says: "+s.command("orders"))
				}
				accountStays(w, a.People[0].Address, wipe)
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	cmd.Flags().BoolVar(&wipe, "wipe", false, "order the devices to destroy what they have")
	cmd.Flags().StringVar(&reason, "reason", "", "why, which the person is shown")
	return cmd
}

func orgRemoveDeviceCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "remove-device ADDRESS NUMBER", Short: "Take one device out of the directory",
		Long:    "Take one device of somebody out of the directory. Its number is in: sotto org people --devices.",
		Example: "  sotto org remove-device alice@hospital.example 31415",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return wrong(cmd, errors.New("sotto org remove-device needs an address and the device's number"))
			}
			address, err := whom(cmd, args[0])
			if err != nil {
				return err
			}
			id, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil || id == 0 {
				return wrong(cmd, fmt.Errorf("%q is not the number of a device. See: sotto org people --devices", args[1]))
			}
			question := fmt.Sprintf("Device %d of %s leaves the directory, for good. Remove?", id, address)
			return s.confirmed(cmd, question, console.Request{Do: "remove-device", Address: address, Device: uint32(id)}, func(w io.Writer, a *console.Answer) {
				fmt.Fprintf(w, "Device %d of %s is removed.\n", id, a.People[0].Name)
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	return cmd
}

func orgChangeCommand() *cobra.Command {
	var s office
	var name, department string
	var roles []string
	cmd := &cobra.Command{
		Use: "change ADDRESS", Short: "Change somebody's name, roles or department",
		Example: `  sotto org change alice@hospital.example --role physician,head-of-department
  sotto org change alice@hospital.example --department ""`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := one(cmd, args)
			if err != nil {
				return err
			}
			f := cmd.Flags()
			r := console.Request{Do: "change", Address: address, Name: strings.TrimSpace(name), SetRoles: f.Changed("role")}
			if r.Roles, err = rolesOf(cmd, roles); err != nil {
				return err
			}
			if f.Changed("department") {
				r.Department = &department
			}
			if r.Name == "" && !r.SetRoles && r.Department == nil {
				return wrong(cmd, errors.New("say what is to change: --name, --role or --department"))
			}
			return s.acting(cmd, r, func(w io.Writer, a *console.Answer) { showPeople(w, a.People, false) })
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "the name that colleagues see")
	f.StringSliceVar(&roles, "role", nil, "all roles that the person is to have from now on; \"\" is none")
	f.StringVar(&department, "department", "", "the department; \"\" is none")
	return cmd
}
