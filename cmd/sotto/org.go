package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sotto/client/admin/console"
	"sotto/client/org"
	"sotto/internal/profile"
	"sotto/internal/role"
)

func orgCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "org",
		Short: "Found and run an organisation",
		Long: `Found an organisation, invite people, and say what holds on their devices.

An organisation is a key. It lies in the vault of an account of its own, which has a
PIN of its own; what it signs the account shows at the relay, and no relay can
change it. Whoever has this profile and its PIN is the organisation: keep it on a
machine that does little else. docs/administration.md goes from zero to ten people.

The PIN is asked for at the terminal, or read from a file (--pin-file). While sotto
org serve runs, the other commands go through it. What the relay cannot be told now
is kept, and told by the next command.`,
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(orgInitCommand(), orgStatusCommand(), orgServeCommand(), orgApproveCommand(), orgConsoleCommand(),
		orgAccountsCommand(), orgInviteCommand(), orgWithdrawCommand(), orgPeopleCommand(), orgChangeCommand(),
		orgSuspendCommand(), orgRestoreCommand(), orgRemoveCommand(), orgRemoveDeviceCommand(),
		orgPolicyCommand(), orgOrderCommand(), orgOrdersCommand(), orgPartnerCommand(), orgRotateCommand(), orgReportCommand(), recoverCommand(), recoveryKeyCommand())
	return cmd
}

// acting is what a command needs that has one request.
func (s *office) acting(cmd *cobra.Command, r console.Request, show func(io.Writer, *console.Answer)) error {
	if err := s.check(cmd); err != nil {
		return err
	}
	a, err := s.once(cmd.Context(), r)
	if err != nil {
		return err
	}
	defer a.Clear()
	return s.show(cmd.OutOrStdout(), a, show)
}

// show writes an answer: as JSON, or as words, and below them what the relay does not
// have yet.
func (s *office) show(out io.Writer, a *console.Answer, words func(io.Writer, *console.Answer)) error {
	if s.json {
		return json.NewEncoder(out).Encode(a)
	}
	words(out, a)
	for _, h := range a.Happened {
		fmt.Fprintln(out, sentenced(h))
	}
	if l := a.Left; l != nil && l.Items+l.Answers > 0 {
		fmt.Fprintf(out, "Signed and kept, but not at the relay yet: %s.\nIt goes out with the next sotto org command, or sotto org serve.\n", strings.TrimSuffix(l.Reason, "."))
	}
	return nil
}

func sentenced(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// jsonFlag and yesFlag add flags that some commands have.
func (s *office) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.json, "json", false, "write JSON")
}
func (s *office) yesFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.yes, "yes", false, "do not ask")
}

func orgInitCommand() *cobra.Command {
	var s office
	var policyFile string
	var rk recoveryKey
	var without bool
	cmd := &cobra.Command{
		Use:   "init DOMAIN",
		Short: "Found an organisation",
		Long: `Make the key of an organisation and its first policy, put the organisation's own
account into its directory, and publish all that at the relay.

The organisation's account is sotto@DOMAIN unless --as says another. It has to exist
at the relay, and to be an admin there if it is to make the accounts of others. If
the profile does not exist yet it is set up: you are asked for the account's
password and for a new PIN, or both are read from files.

A recovery key is made with it, and shown once after the account was signed in and
before anything is founded: whole, or in shares (--recovery-shares 3/5), or written
into files. It opens vaults and backups in
an emergency: docs/recovery.md.`,
		Example: `  sotto org init hospital.example --relay wss://relay.hospital.example/ws
  sotto org init hospital.example --as admin@hospital.example --pin-file pin --password-file password`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong(cmd, errors.New("sotto org init needs the organisation's name, which is a domain such as hospital.example"))
			}
			name := strings.ToLower(args[0])
			if !org.ValidName(name) {
				return wrong(cmd, fmt.Errorf("%q cannot be the name of an organisation. It is a domain name, such as hospital.example", args[0]))
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			if s.address == "" {
				s.address = "sotto@" + name
			}
			var err error
			if s.address, err = whom(cmd, s.address); err != nil {
				return err
			}
			if err := checkRelay(s.relay); err != nil {
				return err
			}
			r := console.Request{Do: "found", Name: name, Relay: s.relay, Contact: s.address}
			if policyFile != "" {
				b, err := readSettings(policyFile)
				if err != nil {
					return err
				}
				r.Body = string(b)
			}
			rk.org = name
			made := !without && (rk.wanted() || s.pin == "")
			if made {
				if made, err = rk.suits(cmd, r.Body); err != nil {
					return err
				}
			}
			a, err := s.found(cmd, r, &rk, made)
			if err != nil {
				return err
			}
			return s.show(cmd.OutOrStdout(), a, func(w io.Writer, a *console.Answer) {
				fmt.Fprintf(w, `%s is founded. Its account is %s.

  fingerprint  %s
  key
    %s

Who loses this profile or its PIN loses the organisation: keep a copy of both,
apart.

What to do next:
`, name, s.address, halves(a.Print), a.Key)
				s.next(w)
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&s.address, "as", "", "the organisation's account; without it sotto@DOMAIN")
	f.StringVar(&s.relay, "relay", "", "where the relay is, such as wss://relay.hospital.example/ws; invitations name it, too")
	f.StringVar(&s.ca, "ca", "", "file with the certificate authorities to trust, instead of the system's (PEM)")
	f.StringVar(&s.password, "password-file", "", "with --pin-file: file with the account's password")
	f.StringVar(&policyFile, "policy", "", "file with the settings of the first policy")
	rk.flags(f)
	f.BoolVar(&without, "no-recovery-key", false, "make no recovery key; with --pin-file none is made unless one of the two flags says where to")
	return cmd
}

// found has the account signed in before a recovery key is shown: sheets of a key that
// belongs to nothing are easily mixed up with others, and those are missed in an
// emergency.
func (s *office) found(cmd *cobra.Command, r console.Request, rk *recoveryKey, made bool) (a *console.Answer, err error) {
	p, err := profile.Paths(s.profile)
	if err != nil {
		return nil, err
	}
	before, err := p.Exists()
	if err != nil {
		return nil, err
	}
	shown := false
	err = s.with(cmd.Context(), func(c *conversation) error {
		check := r
		check.Check = true
		checked, err := c.say(check)
		if err != nil {
			return err
		}
		if err := connectsFirst(cmd.Context(), checked.Route, r.Body); err != nil {
			return err
		}
		if made {
			if before {
				fmt.Fprintln(os.Stderr, "The profile was there, without an organisation. If sotto org init has shown a\nrecovery key before, destroy that one: it opens nothing. This is another.")
			}
			shown = true
			if r.Body, err = rk.intoPolicy(cmd, interrupted{os.Stdin, c.signals}, r.Body); err != nil {
				return err
			}
		}
		a, err = c.say(r)
		return err
	})
	if err == nil || !shown {
		return a, err
	}
	const orphan = "unless sotto org status finds the organisation, the recovery key that was just made opens nothing: destroy it. The next sotto org init makes another"
	if code := exit(0); errors.As(err, &code) { // what went wrong the other process has said
		complainTo(os.Stderr, orphan)
		return nil, err
	}
	return nil, fmt.Errorf("%w.\nU%s", err, orphan[1:])
}

// halves writes a fingerprint in two lines, which fit into 80 columns.
func halves(print string) string {
	groups := strings.Fields(print)
	n := len(groups) / 2
	return strings.Join(groups[:n], " ") + "\n               " + strings.Join(groups[n:], " ")
}

func orgStatusCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the organisation stands", Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.acting(cmd, console.Request{Do: "status"}, func(w io.Writer, a *console.Answer) { showStatus(w, a.Status) })
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

func showStatus(out io.Writer, s *console.Status) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, a ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	row("organisation", "%s", s.Name)
	row("account", "%s", s.Contact)
	if s.Relay != "" {
		row("relay", "%s", s.Relay)
	}
	first, second, _ := strings.Cut(halves(s.Fingerprint), "\n")
	row("fingerprint", "%s", first)
	row("", "%s", strings.TrimSpace(second))
	if s.Keys > 0 {
		row("", "the key has changed %s", times(int(s.Keys)))
	}
	row("people", "%d active, %d suspended, %d removed", s.Active, s.Suspended, s.Removed)
	row("devices", "%d", s.Devices)
	if s.Without > 0 {
		row("", "%s without a device", plural(s.Without, "person", "people"))
	}
	row("directory", "serial %d", s.Directory)
	row("policy", "serial %d", s.Policy)
	row("orders", "%d in force", s.Orders)
	row("partners", "%d", s.Partners)
	row("head", "number %d, signed %s ago; devices wait %s for the next", s.Head, age(time.Since(s.HeadIssued)), age(s.Lease))
	serving := "no: nobody answers those who join. Start it: sotto org serve"
	if s.Serving {
		serving = "yes"
	}
	row("served", "%s", serving)
	if n := s.Left.Items + s.Left.Answers; n > 0 {
		why := "the relay was not reached"
		if s.Left.Reason != "" {
			why = s.Left.Reason
		}
		row("not published", "%d: %s", n, why)
	}
	if s.Letters > 0 {
		row("requests", "%d wait: sotto org approve", s.Letters)
	}
	if len(s.Invitations) > 0 {
		row("invitations", "%d open", len(s.Invitations))
	}
	w.Flush()
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, i := range s.Invitations {
		wrong := ""
		if i.Wrong > 0 {
			wrong = fmt.Sprintf(", %s wrong", plural(i.Wrong, "PIN", "PINs"))
		}
		fmt.Fprintf(w, "  %s\t%s\tuntil %s%s\n", i.Address, i.Name, i.Expires.Local().Format("2 Jan 15:04"), wrong)
	}
	w.Flush()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// age writes how long ago something was.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return plural(int(d/time.Second), "second", "seconds")
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int(d/(24*time.Hour)), "day", "days")
}

func orgServeCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer those who join, and keep devices in touch, until interrupted",
		Long: `Answer requests to join, publish what is signed, sign a head every few minutes, so
that devices know that nothing is held back from them, and take what devices say
about orders. It goes on until it is interrupted, and writes what happens to
standard output.

Devices that hear no new head for as long as the policy's lease lock themselves. So
this should always run: as a service, see docs/administration.md. The other commands
go through it meanwhile.`,
		Example: `  sotto org serve
  sotto org serve --pin-file "$CREDENTIALS_DIRECTORY/pin" --json`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(cmd); err != nil {
				return err
			}
			return s.run(cmd.Context(), role.Task{Job: role.Governing, Wait: s.wait, JSON: s.json})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

func orgApproveCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use:   "approve",
		Short: "Answer those who wait to join, once",
		Long: `Read what came while nobody served, let in whoever has proved to have an invitation
and its one-time PIN, answer the others, and end. sotto org serve does this all the
time.`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.acting(cmd, console.Request{Do: "approve"}, func(w io.Writer, a *console.Answer) {
				if len(a.Happened) == 0 {
					fmt.Fprintln(w, "Nobody waits.")
				}
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

func orgRotateCommand() *cobra.Command {
	var s office
	var reason string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the organisation's key by a new one",
		Long: `Make a new key, have the old one name it, and sign everything that is in force again.
Devices follow by themselves. Open invitations name the old key and become void,
and agreements with partners have to be made again.

This helps against somebody who may have got a copy of the key and has not used it
to make a change of key of his own.`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			question := "Open invitations become void, and agreements with partners end. Change the key?"
			return s.confirmed(cmd, question, console.Request{Do: "rotate", Reason: reason}, func(w io.Writer, a *console.Answer) {
				fmt.Fprintf(w, "The organisation has a new key.\n\n  fingerprint  %s\n", halves(a.Print))
				if len(a.Void) > 0 {
					fmt.Fprintln(w, "\nThe open invitations have ended. Whom to invite again:")
				}
				for _, v := range a.Void {
					fmt.Fprintf(w, "  %s\n", v)
				}
				if len(a.Anew) > 0 {
					fmt.Fprintln(w, "\nThe agreements with partners have ended. With whom to agree again:")
				}
				for _, p := range a.Anew {
					fmt.Fprintf(w, "  %s\n", p)
				}
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	return cmd
}

// readSettings reads a file with the settings of a policy.
func readSettings(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, org.MaxText+1))
	if err == nil && len(b) > org.MaxText {
		err = fmt.Errorf("%s is longer than %d bytes", path, org.MaxText)
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return b, nil
}
