package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sotto/client/audit"
	"sotto/client/audit/collect"
	"sotto/client/audit/export"
	"sotto/client/audit/syslogtls"
	"sotto/internal/role"
)

// folder is what the flags of commands on a collector's folder say.
type folder struct {
	key                            string
	seals                          []string
	person, device, message, after string
	before                         string
	kinds                          []string
	failed                         bool
	filter                         audit.Filter
}

func (f *folder) flags(cmd *cobra.Command, filters bool) {
	l := cmd.Flags()
	l.StringVar(&f.key, "key", "", "the collector's key, as the policy has it; else the folder's own copy is taken")
	l.StringArrayVar(&f.seals, "seal", nil, "a copy of the folder's seal that was kept elsewhere")
	if filters {
		l.StringVar(&f.person, "person", "", "only what this address did, or was done to it")
		l.StringVar(&f.device, "device", "", "only this device's log: alice@hospital.example/27183")
		l.StringVar(&f.message, "message", "", "only what is about the message with this id")
		l.StringVar(&f.after, "after", "", "only from this time on: 2026-11-22, or 2026-11-22T12:08:03Z")
		l.StringVar(&f.before, "before", "", "only until before this time")
		l.StringSliceVar(&f.kinds, "kind", nil, "only such events: unlock,lock")
		l.BoolVar(&f.failed, "failed", false, "only what was refused, or failed")
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return wrong(cmd, err) })
}

// read makes the filter.
func (f *folder) read() (err error) {
	x := &f.filter
	if x.Person = audit.PersonOf(f.person); f.person != "" && x.Person.String() != f.person {
		return fmt.Errorf("%q is not an address. It looks like this: alice@example.org", f.person)
	}
	if f.device != "" {
		if x.Device, err = audit.ParseDevice(f.device); err != nil {
			return fmt.Errorf("--device: %w", err)
		}
	}
	x.Message, x.Failed = audit.IDOf(f.message), f.failed
	for _, name := range f.kinds {
		k, ok := audit.KindNamed(name)
		if !ok {
			return fmt.Errorf("there is no event %q. docs/audit.md has the list", name)
		}
		x.Kinds = append(x.Kinds, k)
	}
	if x.Since, err = moment(f.after); err != nil {
		return fmt.Errorf("--after: %w", err)
	}
	if x.Until, err = moment(f.before); err != nil {
		return fmt.Errorf("--before: %w", err)
	}
	return nil
}

// moment reads a time on the command line; "" is none.
func moment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, time.Local)
	if err != nil {
		return t, fmt.Errorf("%q is not a time such as 2026-11-22 or 2026-11-22T12:08:03Z", s)
	}
	return t, nil
}

// verify reads the whole folder and calls each for every event.
func (f *folder) verify(dir string, each func(audit.Entry)) (*collect.FolderReport, error) {
	var with collect.Verifying
	var err error
	if f.key != "" {
		with.Collector, err = audit.ParseCollectorKey(f.key)
	} else {
		with.Collector, err = collect.ReadPublic(dir)
	}
	if err != nil {
		return nil, err
	}
	for _, path := range f.seals {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the seal: %w", err)
		}
		s, err := collect.OpenSeal(b, with.Collector)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		with.Seals = append(with.Seals, s)
	}
	with.Each = each
	with.Key = func(audit.Device) (ed25519.PublicKey, bool) { return nil, false }
	return collect.Verify(dir, with)
}

// sound turns what was found into an exit code, and says it.
func sound(errs io.Writer, r *collect.FolderReport) error {
	if r.Sound() {
		return nil
	}
	for _, p := range r.Problems {
		fmt.Fprintln(errs, "NOT SOUND: "+p)
	}
	for _, l := range r.Logs {
		if !l.Sound() {
			fmt.Fprintln(errs, l.Words())
		}
	}
	return exit(codeUnsound)
}

func auditVerifyCommand() *cobra.Command {
	var s service
	var f folder
	cmd := &cobra.Command{
		Use:   "verify [FOLDER]",
		Short: "See whether an audit log was changed",
		Long: `Without FOLDER, compare this device's audit log with what was signed of it: the PIN is
asked for, or read with --pin-file. With a collector's FOLDER, verify every byte of all
logs in it. The exit code is 0 if nothing was changed or is missing, 3 if something
was, and 1 if that could not be found out.`,
		Example: `  sotto audit verify
  sotto audit verify /srv/audit --key "$KEY" --seal /mnt/safe/seal-2026-11-21`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return wrong(cmd, fmt.Errorf("sotto audit verify takes one folder, not %d", len(args)))
			}
			if len(args) == 0 {
				o, err := s.own(cmd, role.Verifying)
				if err != nil {
					return err
				}
				unsound := o.Standing == role.Refused
				if s.json {
					err = json.NewEncoder(os.Stdout).Encode(map[string]any{"type": "verified", "sound": !unsound, "what": o.Reason})
				} else {
					_, err = fmt.Fprintln(os.Stdout, o.Reason)
				}
				if err == nil && unsound {
					err = exit(codeUnsound)
				}
				return err
			}
			r, err := f.verify(args[0], nil)
			if err != nil {
				return err
			}
			for _, l := range r.Logs {
				if s.json {
					err = json.NewEncoder(os.Stdout).Encode(map[string]any{"type": "verified", "device": l.Device.String(), "events": l.Size, "sound": l.Sound(), "what": l.Words()})
				} else if l.Sound() {
					_, err = fmt.Fprintln(os.Stdout, l.Words())
				}
				if err != nil {
					return err
				}
			}
			return sound(os.Stderr, r)
		},
	}
	f.flags(cmd, false)
	s.flags(cmd, 30*time.Second, "how long to wait for another process to be done with the profile")
	return cmd
}

// maxShown bounds what is put in order of time.
const maxShown = 200_000

func auditShowCommand() *cobra.Command {
	var f folder
	var words, asJSON bool
	cmd := &cobra.Command{
		Use:   "show FOLDER",
		Short: "Show events of a collector's folder",
		Long: `Show the events of all devices in a collector's folder, in the order of their times.
All of the folder is verified; if something is wrong with it, that is said, and the
exit code is 3.`,
		Example: `  sotto audit show /srv/audit --person alice@hospital.example --after 2026-11-22
  sotto audit show /srv/audit --message 0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11
  sotto audit show /srv/audit --failed --kind unlock-failed,message-refused`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrong(cmd, errors.New("say which folder: the one that sotto audit collect keeps"))
			}
			if err := f.read(); err != nil {
				return wrong(cmd, err)
			}
			var list []audit.Entry
			r, err := f.verify(args[0], func(e audit.Entry) {
				if len(list) <= maxShown && f.filter.Match(&e) {
					list = append(list, e)
				}
			})
			if err != nil {
				return err
			}
			if len(list) > maxShown {
				return fmt.Errorf("more than %d events match. Choose fewer, with --after, --person and others, or use sotto audit export", maxShown)
			}
			slices.SortStableFunc(list, func(a, b audit.Entry) int { return a.Time.Compare(b.Time) })
			out := bufio.NewWriter(os.Stdout)
			for _, e := range list {
				line, err := e.Line()
				switch {
				case err != nil:
					return err
				case words:
					fmt.Fprintf(out, "%s %s\n", e.Time.Local().Format(time.DateTime), export.Words(e))
				case asJSON:
					line, err = export.FHIR(e)
					fallthrough
				default:
					fmt.Fprintf(out, "%s\n", line)
				}
				if err != nil {
					return err
				}
			}
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write the events: %w", err)
			}
			return sound(os.Stderr, r)
		},
	}
	f.flags(cmd, true)
	cmd.Flags().BoolVar(&words, "words", false, "in sentences, and the times of this computer's zone")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as FHIR AuditEvents, a JSON object a line")
	return cmd
}

// exporting is what the flags of sotto audit export say.
type exporting struct {
	folder
	format, output, to, ca string
	syslog                 export.Syslog
}

func auditExportCommand() *cobra.Command {
	var x exporting
	cmd := &cobra.Command{
		Use:   "export FOLDER --format csv|fhir|syslog",
		Short: "Write events of a collector's folder for other programs",
		Long: `Write the events of a collector's folder as CSV (RFC 4180), as FHIR R4 AuditEvents
(a JSON object a line, with the profiles of IHE BALP), or as syslog (RFC 5424): to
standard output, to a new file, or, syslog only, to a server over TLS (RFC 5425).
Filters are those of sotto audit show. All of the folder is verified meanwhile; if
something is wrong with it, the exit code is 3.`,
		Example: `  sotto audit export /srv/audit --format csv --output november.csv --after 2026-11-01 --before 2026-12-01
  sotto audit export /srv/audit --format syslog --to siem.hospital.example:6514 --ca /etc/ssl/hospital.pem`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return wrong(cmd, errors.New("say which folder: the one that sotto audit collect keeps"))
			case x.format != "csv" && x.format != "fhir" && x.format != "syslog":
				return wrong(cmd, errors.New("say in which format, with --format: csv, fhir or syslog"))
			case x.to != "" && (x.format != "syslog" || x.output != ""):
				return wrong(cmd, errors.New("--to is for --format syslog, and not together with --output"))
			}
			if err := x.read(); err != nil {
				return wrong(cmd, err)
			}
			return x.run(cmd.Context(), args[0])
		},
	}
	x.flags(cmd, true)
	l := cmd.Flags()
	l.StringVar(&x.format, "format", "", "csv, fhir or syslog")
	l.StringVar(&x.output, "output", "", "a new file, for its owner only; else standard output")
	l.StringVar(&x.to, "to", "", "with syslog: a server, HOST or HOST:PORT, over TLS")
	l.StringVar(&x.ca, "ca", "", "with --to: file with the certificates to trust, in PEM; else the system's")
	l.StringVar(&x.syslog.Hostname, "hostname", "", "with syslog: the HOSTNAME; else the domain of each device's owner")
	l.Uint32Var(&x.syslog.Enterprise, "enterprise", 0, "with syslog: your private enterprise number; else 32473, which is for examples")
	return cmd
}

// sink is where exported events go.
type sink struct {
	write func(audit.Entry) error
	close func() error
}

func (x *exporting) run(ctx context.Context, dir string) error {
	to, err := x.open(ctx)
	if err != nil {
		return err
	}
	var failed error
	r, err := x.verify(dir, func(e audit.Entry) {
		if failed == nil && x.filter.Match(&e) {
			failed = to.write(e)
		}
	})
	if err := errors.Join(err, failed, to.close()); err != nil {
		return err
	}
	return sound(os.Stderr, r)
}

func (x *exporting) open(ctx context.Context) (*sink, error) {
	x.syslog.Version = strings.TrimPrefix(version(), "v")
	if x.to != "" {
		var ca []byte
		if x.ca != "" {
			var err error
			if ca, err = os.ReadFile(x.ca); err != nil {
				return nil, fmt.Errorf("read the certificates: %w", err)
			}
		}
		s, err := syslogtls.Dial(ctx, x.to, ca)
		if err != nil {
			return nil, err
		}
		return &sink{func(e audit.Entry) error { return s.Send(x.syslog.Message(e)) }, s.Close}, nil
	}
	file := os.Stdout
	if x.output != "" {
		var err error
		if file, err = os.OpenFile(x.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return nil, fmt.Errorf("write the events: %w", err)
		}
	}
	out := bufio.NewWriterSize(file, 64<<10)
	done := func() error {
		err := out.Flush()
		if x.output != "" {
			err = errors.Join(err, file.Sync(), file.Close())
		}
		if err != nil {
			return fmt.Errorf("write the events: %w", err)
		}
		return nil
	}
	line := func(b []byte, err error) error {
		if err == nil {
			_, err = out.Write(append(b, '\n'))
		}
		return err
	}
	switch x.format {
	case "csv":
		c := export.NewCSV(out)
		return &sink{c.Write, func() error { return errors.Join(c.Flush(), done()) }}, nil
	case "fhir":
		return &sink{func(e audit.Entry) error { return line(export.FHIR(e)) }, done}, nil
	}
	return &sink{func(e audit.Entry) error { return line(x.syslog.Message(e), nil) }, done}, nil
}
