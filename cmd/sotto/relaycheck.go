package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"mellium.im/xmpp/jid"

	"sotto/internal/atomicfile"
	"sotto/internal/doctor"
	"sotto/internal/relaycheck"
)

func relayCheckCommand() *cobra.Command {
	var c inquiry
	cmd := &cobra.Command{
		Use:   "check URL|DOMAIN",
		Short: "Look whether a relay is fit for sotto, and keeps people apart",
		Long: `Look at a relay as those who run it should: discovery, TLS, ways to log in and,
with an account, all that sotto needs. It does not believe what a relay announces
but tries it: it pages the archive, cuts the connection and resumes, puts a file
and fetches it, makes a room. With a second account it asks for what belongs to
the first one, which has to be refused.

With --policy or --retention it looks whether the relay keeps messages for longer
than allowed. Only sotto relay serve says how long it keeps them; elsewhere the
oldest message of the accounts shows it, so use accounts that are older than what
is allowed. Rooms and files are not looked at there.

Use accounts made for this, who are not each other's contacts. Their passwords
are asked for on the terminal, or read from a file, one a line. What is made is
removed again; a few empty messages in the first account's archive and one file
of 1 KiB stay until the relay deletes them. No account is ever made.

Each line is good, weak, bad or skip; weak and bad say what it means and what to
do. It takes at most a minute.

Exit code: 0 if all is good or weak, 1 if something is bad, 2 if the relay cannot
be reached or the command line is wrong.

With --json the same for programs, as sotto doctor writes it:

` + doctor.Schema,
		Example: `  sotto relay check hospital.example
  sotto relay check wss://chat.hospital.example/ws --as probe@hospital.example
  sotto relay check hospital.example --as probe@hospital.example --and stranger@hospital.example --junit relay.xml`,
		Args: cobra.ArbitraryArgs, // what is wrong has its own exit code
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return badUsage(err) })
	f := cmd.Flags()
	f.StringVar(&c.as, "as", "", "address to log in with; without it only the outside is looked at")
	f.StringVar(&c.and, "and", "", "address of a second account, who tries to get at what the first one has")
	f.StringVar(&c.domain, "domain", "", "which domain the relay serves, if its URL has another name and --as is not given")
	f.StringVar(&c.passwords, "password-file", "", "file with the passwords, one a line, first that of --as; - is standard input")
	f.StringVar(&c.ca, "ca", "", "file with the certificate authorities to trust, instead of the system's (PEM)")
	f.StringVar(&c.junit, "junit", "", "write the result to this file, too, for build servers")
	f.StringVar(&c.policy, "policy", "", "file with the organisation's policy, or its lines: how long may the relay keep messages (relay-retention)")
	f.StringVar(&c.retention, "retention", "", "how long the relay may keep messages, such as 30d, where there is no --policy")
	f.BoolVar(&c.quick, "quick", false, "measure nothing: neither speed nor limits")
	f.BoolVar(&c.json, "json", false, "write JSON")
	return cmd
}

// inquiry is what the flags say.
type inquiry struct {
	as, and, domain, passwords, ca, junit string
	policy, retention                     string
	quick, json                           bool
}

// maxPasswords bounds the file with passwords, in bytes.
const maxPasswords = 4096

func (c inquiry) run(cmd *cobra.Command, args []string) error {
	cfg, err := c.config(args)
	if err != nil {
		return badUsage(err)
	}
	if err := c.unlock(cmd, &cfg); err != nil {
		return badUsage(err)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := relaycheck.Run(ctx, cfg)
	if c.junit != "" {
		var b bytes.Buffer
		if err := r.JUnit(&b); err != nil {
			return err
		}
		if err := atomicfile.Write(c.junit, b.Bytes()); err != nil {
			return fmt.Errorf("write what --junit asks for: %w", err)
		}
	}
	screen := doctor.Screen{Out: os.Stdout, Getenv: os.Getenv}
	if c.json {
		err = r.JSON(os.Stdout, version())
	} else {
		err = r.Page(os.Stdout, screen.Width(), screen.Color())
	}
	if err == nil && r.Code() != 0 {
		err = exit(r.Code())
	}
	return err
}

// config reads the command line, without passwords.
func (c inquiry) config(args []string) (relaycheck.Config, error) {
	cfg := relaycheck.Config{Quick: c.quick}
	if len(args) != 1 || args[0] == "" {
		return cfg, errors.New("sotto relay check needs one relay: its domain, such as hospital.example, or its URL, such as wss://chat.hospital.example/ws")
	}
	if strings.Contains(args[0], "://") {
		if err := checkRelay(args[0]); err != nil {
			return cfg, err
		}
		cfg.Relay = args[0]
	} else if c.domain == "" {
		c.domain = args[0]
	} else {
		return cfg, errors.New("--domain goes with a URL only")
	}
	if c.domain != "" {
		d, err := jid.Parse(c.domain)
		if err != nil || d.Localpart() != "" || d.Resourcepart() != "" {
			return cfg, fmt.Errorf("%q is neither a domain, such as hospital.example, nor a URL, such as wss://chat.hospital.example/ws", c.domain)
		}
		cfg.Domain = d.Domainpart()
	}
	for _, a := range []struct {
		flag, address string
		to            **relaycheck.Account
	}{{"--as", c.as, &cfg.As}, {"--and", c.and, &cfg.And}} {
		if a.address == "" {
			continue
		}
		j, err := jid.Parse(a.address)
		if err != nil || j.Localpart() == "" || j.Resourcepart() != "" {
			return cfg, fmt.Errorf("%s takes an address such as probe@hospital.example, not %q", a.flag, a.address)
		}
		*a.to = &relaycheck.Account{Address: j}
	}
	switch {
	case cfg.And != nil && cfg.As == nil:
		return cfg, errors.New("--and is a second account: name the first one with --as")
	case cfg.And != nil && cfg.And.Address.Equal(cfg.As.Address):
		return cfg, errors.New("--as and --and are the same account: the second one has to be a stranger to the first")
	case c.passwords != "" && cfg.As == nil:
		return cfg, errors.New("--password-file has the passwords of --as and --and: name the accounts")
	case cfg.As != nil && cfg.Domain != "" && cfg.Domain != cfg.As.Address.Domainpart():
		return cfg, fmt.Errorf("--as is not at %s", cfg.Domain)
	}
	var err error
	if cfg.Retention, err = c.allowed(); err != nil {
		return cfg, err
	}
	cfg.CA, err = examination{ca: c.ca}.authorities()
	return cfg, err
}

// unlock reads the passwords. What is read is cleared.
func (c inquiry) unlock(cmd *cobra.Command, cfg *relaycheck.Config) error {
	next := c.prompt(cmd)
	if c.passwords != "" {
		in := cmd.InOrStdin()
		if c.passwords != "-" {
			f, err := os.Open(c.passwords)
			if err != nil {
				return fmt.Errorf("the passwords cannot be read: %w", err)
			}
			defer f.Close()
			in = f
		}
		buffer := make([]byte, maxPasswords)
		defer clear(buffer)
		n, err := io.ReadFull(in, buffer)
		if err == nil {
			return fmt.Errorf("the file with the passwords is larger than %d bytes", maxPasswords)
		}
		if err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("the passwords cannot be read: %w", err)
		}
		rest := buffer[:n]
		next = func(jid.JID) (line []byte, err error) {
			line, rest, _ = bytes.Cut(rest, []byte("\n"))
			return bytes.TrimRight(line, "\r"), nil
		}
	}
	for _, a := range []*relaycheck.Account{cfg.As, cfg.And} {
		if a == nil {
			continue
		}
		password, err := next(a.Address)
		if err != nil {
			return err
		}
		if len(password) == 0 {
			return fmt.Errorf("there is no password for %s", a.Address)
		}
		a.Password = memguard.NewEnclave(password) // clears it
	}
	return nil
}

// prompt returns what asks for a password on the terminal, or reads a line of
// standard input where that is none.
func (c inquiry) prompt(cmd *cobra.Command) func(jid.JID) ([]byte, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		lines := bufio.NewReaderSize(cmd.InOrStdin(), maxPasswords)
		return func(jid.JID) ([]byte, error) {
			line, err := lines.ReadSlice('\n')
			if err != nil && err != io.EOF {
				return nil, fmt.Errorf("read the password from standard input: %w", err)
			}
			return bytes.TrimRight(line, "\r\n"), nil
		}
	}
	return func(who jid.JID) ([]byte, error) {
		fmt.Fprintf(cmd.ErrOrStderr(), "Password of %s: ", who)
		b, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		return b, nil
	}
}
