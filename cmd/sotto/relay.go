package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sotto/internal/harden"
	"sotto/internal/relay"
)

// relayCommand runs the embedded relay by itself and manages its users.
func relayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run a small relay of your own, or look at any relay",
		Long: `Run a small XMPP relay over WebSocket for one domain, with its data in one
folder. Any client that speaks RFC 7395 can use it. It does not talk to other
relays, and it sees who writes to whom and when, though not what sotto writes.`,
		// Passwords pass through these processes, too.
		PersistentPreRunE: func(*cobra.Command, []string) error { return harden.Early() },
		Args:              subcommand,
		RunE:              help,
	}
	cmd.AddCommand(relayServeCommand(), relayUserCommand(), relayCheckCommand(), relayBenchCommand())
	return cmd
}

func relayServeCommand() *cobra.Command {
	var listen, domain, data, cert, key, url, keep, keepFiles, fileSize string
	cmd := &cobra.Command{
		Use:   "serve --domain DOMAIN --data DIR",
		Short: "Serve a domain until interrupted",
		Example: `  sotto relay serve --domain ward.example --data ./relay
  sotto relay serve --domain ward.example --data ./relay --listen :8443 --cert chain.pem --key key.pem`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if domain == "" || data == "" {
				return &misused{command: cmd.CommandPath(), err: errors.New("sotto relay serve needs --domain and --data")}
			}
			if (cert == "") != (key == "") {
				return &misused{command: cmd.CommandPath(), err: errors.New("--cert and --key go together: the one is of no use without the other")}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			cfg := relay.Config{Domain: domain, Store: data, URL: url, Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))}
			var err error
			if cfg.Keep, err = readPeriod("--keep", keep); err != nil {
				return err
			}
			if cfg.KeepFiles, err = readPeriod("--keep-files", keepFiles); err != nil {
				return err
			}
			if cfg.Limits.FileBytes, err = readSize("--file-size", fileSize); err != nil {
				return err
			}
			// A relay mostly waits: less memory is worth more than the last bit of speed.
			debug.SetGCPercent(50)
			return serveRelay(ctx, cmd.OutOrStdout(), cfg, listen, cert, key)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:5280", "address and port to listen on; other than loopback only with a certificate")
	f.StringVar(&domain, "domain", "", "the part of addresses after the @")
	f.StringVar(&data, "data", "", "folder for users, archives and messages that wait")
	f.StringVar(&cert, "cert", "", "file with the certificate chain, PEM")
	f.StringVar(&key, "key", "", "file with the certificate's private key, PEM")
	f.StringVar(&url, "url", "", "announce this URL to clients (WebSocket), if it is not the one listened on")
	f.StringVar(&keep, "keep", "", "how long messages stay on the relay, such as 30d; without it until an archive is full")
	f.StringVar(&keepFiles, "keep-files", "14d", "how long uploaded files stay, such as 14d; never longer than messages")
	f.StringVar(&fileSize, "file-size", "64M", "the largest file that can be uploaded, such as 64M")
	return cmd
}

func serveRelay(ctx context.Context, out io.Writer, cfg relay.Config, listen, cert, key string) (err error) {
	var tlsConfig *tls.Config
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("read the certificate: %w", err)
		}
		tlsConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	r, err := relay.New(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	scheme, serve := "ws", r.Serve
	if tlsConfig != nil {
		scheme = "wss"
		serve = func(ctx context.Context, ln net.Listener) error { return r.ServeTLS(ctx, ln, tlsConfig) }
	} else if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		ln.Close()
		return relay.ErrPlain
	}
	fmt.Fprintf(out, "relay for %s at %s://%s/ws\n%s", cfg.Domain, scheme, ln.Addr(), served(r))
	return serve(ctx, ln)
}

// served says in words what a relay serves.
func served(r *relay.Relay) string {
	cfg := r.Config()
	l := cfg.Limits
	messages := fmt.Sprintf("kept until somebody's archive has %s of them or %s", count(int64(l.Archive)), size(int64(l.ArchiveBytes)))
	if cfg.Keep > 0 {
		messages = "kept for " + period(cfg.Keep)
	}
	return fmt.Sprintf(`  messages  %s
  rooms     at rooms.%s, for members only, up to %s people each
  files     at upload.%s, up to %s each and %s a person, kept for %s
  people    up to %s; "sotto relay user add" adds one, and may do so while this runs
It runs until it is interrupted (Ctrl+C).
`, messages, cfg.Domain, count(int64(l.Members)), cfg.Domain, size(int64(l.FileBytes)), size(int64(l.FilesBytes)), period(cfg.KeepFiles), count(int64(l.Users)))
}

// count writes a number with separators.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes a number of bytes in a unit that suits it.
func size(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if one := int64(1) << (30 - 10*i); n >= one && n%one == 0 {
			return fmt.Sprintf("%s %s", count(n/one), unit)
		}
	}
	return count(n) + " bytes"
}

// period writes a length of time.
func period(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return count(int64(d/day)) + " days"
	}
	return d.String()
}

// readPeriod reads a length of time such as 30d or 12h. Without one it is 0.
func readPeriod(flag, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < time.Minute {
		return 0, fmt.Errorf("%s takes a length of time such as 30d or 12h, of at least a minute, not %q", flag, s)
	}
	return d, nil
}

// readSize reads a number of bytes such as 64M.
func readSize(flag, s string) (int, error) {
	digits := strings.TrimRight(s, "KMGiB")
	shift, known := map[string]int{"": 0, "B": 0, "K": 10, "KiB": 10, "M": 20, "MiB": 20, "G": 30, "GiB": 30}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !known || n == 0 || n > uint64(1<<30)>>shift {
		return 0, fmt.Errorf("%s takes a number of bytes such as 64M, up to 1G, not %q", flag, s)
	}
	return int(n) << shift, nil
}

func relayUserCommand() *cobra.Command {
	var data, domain string
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Manage the users of a relay, running or not",
		Long: `Manage the users of a relay. A relay that is running on the same folder
notices within a second. Passwords are asked for on the terminal, or read as
one line from standard input.`,
		Args: subcommand,
		RunE: help,
	}
	cmd.PersistentFlags().StringVar(&data, "data", "", "the relay's data folder")
	cmd.PersistentFlags().StringVar(&domain, "domain", "", "the relay's domain; needed only for a new folder")

	with := func(f func(*cobra.Command, *relay.Accounts, []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) (err error) {
			if data == "" {
				return &misused{command: cmd.CommandPath(), err: fmt.Errorf("%s needs --data, the relay's data folder", cmd.CommandPath())}
			}
			a, err := relay.OpenAccounts(data, domain)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, a.Close()) }()
			return f(cmd, a, args)
		}
	}

	var name, group string
	var admin bool
	add := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a user",
		Example: `  sotto relay user add alice --name "Dr. Alice Ames" --group Cardiology --data ./relay`,
		Args:    oneName,
		RunE: with(func(cmd *cobra.Command, a *relay.Accounts, args []string) error {
			if err := a.CheckName(args[0]); err != nil { // before anybody thinks of a password
				return fmt.Errorf("add %s: %w", args[0], err)
			}
			pw, err := newPassword(cmd)
			if err != nil {
				return err
			}
			defer clear(pw)
			if err := a.Add(args[0], pw, name, group); err != nil {
				return fmt.Errorf("add %s: %w", args[0], err)
			}
			if admin {
				if err := a.SetAdmin(args[0], true); err != nil {
					return fmt.Errorf("make %s an admin: %w", args[0], err)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "added %s@%s\n", args[0], a.Domain())
			return nil
		}),
	}
	add.Flags().StringVar(&name, "name", "", "the name that colleagues see")
	add.Flags().StringVar(&group, "group", "", "the group they see it in")
	add.Flags().BoolVar(&admin, "admin", false, "let this user add and remove others, from a client that can (XEP-0133)")

	var revoke bool
	admins := &cobra.Command{
		Use:   "admin NAME",
		Short: "Let a user manage others, or no longer",
		Args:  oneName,
		RunE: with(func(cmd *cobra.Command, a *relay.Accounts, args []string) error {
			if err := a.SetAdmin(args[0], !revoke); err != nil {
				return fmt.Errorf("change what %s may do: %w", args[0], err)
			}
			word := "is an admin now"
			if revoke {
				word = "is no admin any more"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s@%s %s\n", args[0], a.Domain(), word)
			return nil
		}),
	}
	admins.Flags().BoolVar(&revoke, "revoke", false, "take it back")

	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user and everything stored for them",
		Args:  oneName,
		RunE: with(func(cmd *cobra.Command, a *relay.Accounts, args []string) error {
			if err := a.Remove(args[0]); err != nil {
				return fmt.Errorf("remove %s: %w", args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "removed %s@%s\n", args[0], a.Domain())
			return nil
		}),
	}
	password := &cobra.Command{
		Use:   "password NAME",
		Short: "Set a user's password and end their sessions",
		Args:  oneName,
		RunE: with(func(cmd *cobra.Command, a *relay.Accounts, args []string) error {
			pw, err := newPassword(cmd)
			if err != nil {
				return err
			}
			defer clear(pw)
			if err := a.SetPassword(args[0], pw); err != nil {
				return fmt.Errorf("set the password of %s: %w", args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "changed the password of %s@%s\n", args[0], a.Domain())
			return nil
		}),
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  nothing,
		RunE: with(func(cmd *cobra.Command, a *relay.Accounts, _ []string) error {
			users, err := a.List()
			if err != nil {
				return fmt.Errorf("list users: %w", err)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, u := range users {
				fmt.Fprintf(w, "%s\t%q\t%q", u.Address, u.Name, u.Group)
				if u.Admin {
					fmt.Fprint(w, "\tadmin")
				}
				fmt.Fprintln(w)
			}
			return w.Flush()
		}),
	}
	cmd.AddCommand(add, remove, list, password, admins)
	return cmd
}

// oneName holds a command to one user's name.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("%s needs one name, such as alice", cmd.CommandPath())
	}
	return nil
}

// newPassword asks for a new password twice without echo, or reads one line
// from standard input if that is not a terminal. The caller clears it.
func newPassword(cmd *cobra.Command) ([]byte, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		line, err := bufio.NewReaderSize(cmd.InOrStdin(), 4096).ReadSlice('\n')
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read the password from standard input: %w", err)
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		b, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		return b, nil
	}
	first, err := ask("Password: ")
	if err == nil {
		err = relay.CheckPassword(first)
	}
	if err != nil {
		clear(first)
		return nil, err
	}
	again, err := ask("Once more: ")
	defer clear(again)
	if err == nil && !bytes.Equal(first, again) {
		err = errors.New("the two passwords are not the same; nothing was changed")
	}
	if err != nil {
		clear(first)
		return nil, err
	}
	return first, nil
}
