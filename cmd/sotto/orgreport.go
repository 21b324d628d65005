package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sotto/client/admin/console"
	"sotto/client/audit/collect"
	"sotto/internal/orgreport"
)

func orgReportCommand() *cobra.Command {
	var s office
	var format, folder string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write how the organisation stands, for the risk analysis",
		Long: `Write the settings in force, the people and their devices, when each was heard last,
orders, partners, what the audit logs say, and what is out of the ordinary. Nothing
secret is in it, but it names people. docs/hipaa.md says what it is for.

When a device was heard last is known from the auditor's folder (--audit), and from
its answers to orders.`,
		Example: `  sotto org report --audit /srv/audit
  sotto org report --format html --audit /srv/audit > report.html`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "html" && format != "json" {
				return wrong(cmd, fmt.Errorf("--format is text, html or json, not %q", format))
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			k := orgreport.Known{Now: time.Now(), Folder: folder}
			if folder != "" {
				key, err := collect.ReadPublic(folder)
				if err != nil {
					return err
				}
				if k.Audit, err = collect.Verify(folder, collect.Verifying{Collector: key}); err != nil {
					return err
				}
			}
			if err := s.with(cmd.Context(), func(c *conversation) error { return known(c, &k) }); err != nil {
				return err
			}
			r, err := orgreport.Make(k)
			if err != nil {
				return err
			}
			switch format {
			case "json":
				return r.JSON(cmd.OutOrStdout())
			case "html":
				return r.HTML(cmd.OutOrStdout())
			}
			return r.Text(cmd.OutOrStdout())
		},
	}
	s.open(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "text, html or json")
	cmd.Flags().StringVar(&folder, "audit", "", "the auditor's folder, to be verified")
	return cmd
}

// known asks for all that a report is made of.
func known(c *conversation, k *orgreport.Known) error {
	for _, ask := range []string{"status", "policy", "people", "orders", "partners"} {
		a, err := c.say(console.Request{Do: ask})
		if err != nil {
			return err
		}
		switch ask {
		case "status":
			k.Status = *a.Status
		case "policy":
			k.Policy = a.Policy
		case "people":
			k.People = a.People
		case "orders":
			k.Orders = a.Orders
		default:
			k.Partners = a.Partners
		}
	}
	return nil
}
