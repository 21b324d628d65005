package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sotto/client/admin/console"
	"sotto/client/org"
	"sotto/client/org/order"
)

func orgOrderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "order",
		Short: "Have devices lock, log off, wipe, or remove a message",
		Long: `Sign an order for devices. Those that are online carry it out within seconds, the
others when they connect next, before anything can be unlocked. What became of it
says: sotto org orders.

An order is for one TARGET: a person (alice@hospital.example), one of their devices
(alice@hospital.example/31415), a role (@role/cardiology), or all.`,
		Args: subcommand,
		RunE: help,
	}
	cmd.AddCommand(
		orderOf("lock", "Lock sotto on devices", "Sotto is locked on %s until the PIN is typed"),
		orderOf("log-off", "Lock sotto on devices, and end the connection", "Sotto is locked and signed out on %s until the PIN is typed"),
		orderOf("wipe", "Destroy the keys and everything else that devices have", "Everything that sotto has on %s is destroyed, for good"),
		orderOf("recall", "Remove a message from all devices", "The message is removed from %s"),
	)
	return cmd
}

// target reads whom an order is for.
func target(cmd *cobra.Command, s string, r *console.Request) (words string, err error) {
	role, isRole := strings.CutPrefix(s, "@role/")
	switch {
	case s == "all":
		return "every device", nil
	case isRole:
		if !org.ValidRole(role) {
			return "", wrong(cmd, fmt.Errorf("%q is no role", role))
		}
		r.Role = role
		return "every device of everybody with the role " + role, nil
	}
	address, device, hasDevice := strings.Cut(s, "/")
	if r.Address, err = whom(cmd, address); err != nil {
		return "", err
	}
	if !hasDevice {
		return "every device of " + r.Address, nil
	}
	id, err := strconv.ParseUint(device, 10, 32)
	if err != nil || id == 0 {
		return "", wrong(cmd, fmt.Errorf("%q is not the number of a device. See: sotto org people --devices", device))
	}
	r.Device = uint32(id)
	return fmt.Sprintf("device %d of %s", id, r.Address), nil
}

func orderOf(action, short, question string) *cobra.Command {
	var s office
	var reason, expires, author, message string
	cmd := &cobra.Command{
		Use: action + " TARGET", Short: short, Args: cobra.ArbitraryArgs,
		Example: "  sotto org order " + action + ` alice@hospital.example --reason "left on a train"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong(cmd, errors.New("an order is for one target: a person, a device, a role or all. See: sotto org order --help"))
			}
			r := console.Request{Do: "order", Action: action, Reason: strings.TrimSpace(reason)}
			whose, err := target(cmd, args[0], &r)
			if err != nil {
				return err
			}
			if r.For, err = life(cmd, "--expires", expires); err != nil {
				return err
			}
			if action == "recall" {
				if message == "" || author == "" {
					return wrong(cmd, errors.New("name the message that is to go with --author and --message: its author's address, and its id"))
				}
				if r.Author, err = whom(cmd, author); err != nil {
					return err
				}
				r.ID = message
			}
			return s.confirmed(cmd, fmt.Sprintf(question, whose)+". Give this order?", r, func(w io.Writer, a *console.Answer) { showOrders(w, a.Orders) })
		},
	}
	if action == "recall" {
		cmd.Example = `  sotto org order recall all --author bob@hospital.example --message 6b1f0c2e --reason "wrong patient"`
		cmd.Flags().StringVar(&author, "author", "", "address of who wrote the message")
		cmd.Flags().StringVar(&message, "message", "", "id of the message, as its details say")
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	s.yesFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&reason, "reason", "", "why, which people are shown")
	f.StringVar(&expires, "expires", "", "how long it holds, such as 12h or 90d; without it a day, for a recall 30 days, for a wipe 90")
	return cmd
}

func orgOrdersCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "orders [HOW MANY]", Short: "Say what became of orders", Args: cobra.ArbitraryArgs,
		Long: `List the newest orders, and for each device what it has said: obeyed, failed, nothing
to do, or waiting while nothing was heard. Devices sign what they say.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			most := 10
			if len(args) > 0 {
				var err error
				if most, err = strconv.Atoi(args[0]); err != nil || most < 1 || len(args) > 1 {
					return wrong(cmd, errors.New("sotto org orders takes a number: how many"))
				}
			}
			return s.acting(cmd, console.Request{Do: "orders", Most: most}, func(w io.Writer, a *console.Answer) {
				if len(a.Orders) == 0 {
					fmt.Fprintln(w, "There were no orders.")
				}
				showOrders(w, a.Orders)
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	return cmd
}

func showOrders(out io.Writer, orders []console.Order) {
	for i, o := range orders {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%d  %s for %s, given %s\n", o.Number, o.Do, strings.TrimPrefix(o.For, "person "), o.Issued.Local().Format("2 Jan 2006 15:04"))
		if o.InForce {
			fmt.Fprintf(out, "   devices that connect until %s carry it out\n", o.Expires.Local().Format("2 Jan 2006 15:04"))
		} else {
			fmt.Fprintln(out, "   over: devices that connect now do nothing")
		}
		if o.Message != "" {
			fmt.Fprintf(out, "   message %s of %s\n", o.Message, o.Author)
		}
		if o.Reason != "" {
			fmt.Fprintf(out, "   %s\n", o.Reason)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, d := range o.Devices {
			at := ""
			if !d.At.IsZero() {
				at = d.At.Local().Format("2 Jan 15:04:05")
			}
			result := d.Result
			if result == string(order.Nothing) {
				result = "nothing to do"
			}
			fmt.Fprintf(w, "   %s\t%s\t%s\n", strings.TrimSpace(d.Name+" "+strconv.FormatUint(uint64(d.Device), 10)), result, at)
			if d.Words != "" {
				fmt.Fprintf(w, "     %s\n", d.Words)
			}
		}
		w.Flush()
	}
}
