package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"
	"mellium.im/xmpp/jid"

	"sotto/internal/profile"
	"sotto/internal/relaycheck"
)

func relayBenchCommand() *cobra.Command {
	var b bench
	cmd := &cobra.Command{
		Use:   "bench URL|DOMAIN",
		Short: "Put a load on a relay and measure it",
		Long: `Log in many times, have the clients send to each other in a ring, and measure: how
long a login takes and a message is on its way, how many arrive a second, and
whether any is lost or comes twice. Messages are as long as encrypted ones. The relay
is asked to keep none of them, unless --archive is given.

Only accounts that are named are used. Their passwords are asked for, or read from a
file that is closed to others: with --users an address and a password a line, with
--password-file a password a line for each --as. Make accounts for this, and remove
them afterwards. Sessions are spread over them: sotto's relay lets an account have 16.

A relay on another computer is only loaded with --yes: everybody on it notices. Say
--pid to have the memory and the processor time of a relay on this computer measured,
too. With --rate a message's time counts from when it was to be sent. The last bucket
that there is, of 600000 ms in JSON, has all that took more than 200000 ms.

Exit code: 0 if everything arrived once, 1 if not, 2 if the relay cannot be reached or
the command line is wrong.`,
		Example: `  sotto relay bench ws://127.0.0.1:5280/ws --as probe@ward.example --clients 8
  sotto relay bench wss://chat.hospital.example/ws --users bench.txt --clients 200 --rate 500 --duration 5m --yes
  sotto relay bench ws://127.0.0.1:5280/ws --users bench.txt --idle 2000 --clients 2 --pid 4711 --json`,
		Args: cobra.ArbitraryArgs,
		RunE: b.run,
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return wrong(cmd, err) })
	f := cmd.Flags()
	f.StringArrayVar(&b.as, "as", nil, "an account to use; may be given several times")
	f.StringVar(&b.users, "users", "", "file with accounts: an address, a blank and a password a line")
	f.StringVar(&b.passwords, "password-file", "", "file with the passwords of --as, one a line")
	f.StringVar(&b.ca, "ca", "", "file with the certificate authorities to trust, instead of the system's (PEM)")
	f.IntVar(&b.load.Clients, "clients", 10, "sessions that send and receive")
	f.IntVar(&b.load.Idle, "idle", 0, "sessions that only stay connected")
	f.Float64Var(&b.load.Rate, "rate", 0, "messages a second of all clients; 0 is as fast as they arrive, 32 of each client under way")
	f.IntVar(&b.load.Payload, "payload", 200, "bytes of encrypted text in a message")
	f.IntVar(&b.load.Devices, "devices", 2, "for how many devices a message has keys")
	f.DurationVar(&b.load.Duration, "duration", 10*time.Second, "how long to send")
	f.BoolVar(&b.load.Archive, "archive", false, "let the relay keep the messages, as it keeps people's; they stay there")
	f.IntVar(&b.pid, "pid", 0, "the relay's process on this computer, to be measured, too (Linux)")
	f.BoolVar(&b.yes, "yes", false, "load a relay on another computer")
	f.BoolVar(&b.json, "json", false, "write JSON")
	return cmd
}

// bench is what the flags say.
type bench struct {
	as                   []string
	users, passwords, ca string
	pid                  int
	yes, json            bool
	load                 relaycheck.LoadConfig
}

// maxUsers bounds the file with accounts, in bytes.
const maxUsers = 1 << 20

func (b *bench) run(cmd *cobra.Command, args []string) error {
	if err := b.check(args); err != nil {
		return wrong(cmd, err)
	}
	if err := b.accounts(cmd); err != nil {
		return badUsage(err)
	}
	c := b.load
	if b.pid != 0 {
		if _, ok := usageOf(b.pid); !ok {
			return badUsage(fmt.Errorf("process %d cannot be measured: it is not there, or this system does not say", b.pid))
		}
		c.Process = func() (relaycheck.Usage, bool) { return usageOf(b.pid) }
	}
	where := c.Relay
	if where == "" {
		where = c.Domain
	}
	plan := fmt.Sprintf("%d clients of %d accounts send %d bytes of encrypted text at a time", c.Clients, len(c.Accounts), c.Payload)
	if c.Rate > 0 {
		plan += fmt.Sprintf(", %g messages a second in all,", c.Rate)
	} else {
		plan += " as fast as they arrive,"
	}
	plan += fmt.Sprintf(" for %v", c.Duration)
	if c.Idle > 0 {
		plan += fmt.Sprintf("; %d more only stay connected", c.Idle)
	}
	if c.Archive {
		plan += "; the relay keeps the messages"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s.\n", where, plan)
	if !b.yes && !b.here() {
		return badUsage(errors.New("this relay is on another computer, and everybody on it would notice. If that is meant, say so with --yes"))
	}
	c.Say = func(words string) { fmt.Fprintln(cmd.ErrOrStderr(), words) }
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := relaycheck.Load(ctx, c)
	if err != nil {
		return badUsage(err)
	}
	if b.json {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		err = benchPage(os.Stdout, r)
	}
	if err == nil && r.Code() != 0 {
		err = exit(r.Code())
	}
	return err
}

// here says whether the relay is on this computer.
func (b *bench) here() bool {
	u, err := url.Parse(b.load.Relay)
	return err == nil && b.load.Relay != "" && loopback(u.Hostname())
}

// check holds the command line to what makes sense.
func (b *bench) check(args []string) error {
	cfg, err := inquiry{ca: b.ca}.config(args)
	if err != nil {
		return err
	}
	c := &b.load
	c.Config = cfg
	for _, bound := range []struct {
		flag         string
		n, low, high int
	}{
		{"--clients", c.Clients, 0, relaycheck.MaxClients},
		{"--idle", c.Idle, 0, relaycheck.MaxIdle},
		{"--payload", c.Payload, 1, relaycheck.MaxPayload},
		{"--devices", c.Devices, 1, 1000},
	} {
		if bound.n < bound.low || bound.n > bound.high {
			return fmt.Errorf("%s is from %d to %d", bound.flag, bound.low, bound.high)
		}
	}
	switch {
	case c.Clients+c.Idle == 0:
		return errors.New("without --clients and --idle there is nothing to do")
	case !(c.Rate >= 0 && c.Rate <= 1e6):
		return errors.New("--rate is up to 1000000 messages a second")
	case c.Duration < time.Second || c.Duration > relaycheck.MaxDuration:
		return fmt.Errorf("--duration is from 1s to %v", relaycheck.MaxDuration)
	case (len(b.as) == 0) == (b.users == ""):
		return errors.New("name the accounts, either with --as or in a file with --users")
	case b.passwords != "" && len(b.as) == 0:
		return errors.New("--password-file has the passwords of --as; --users has its own")
	}
	return nil
}

// accounts reads who to log in as. Passwords are cleared where they were read.
func (b *bench) accounts(cmd *cobra.Command) error {
	if b.users != "" {
		return b.readUsers()
	}
	next := inquiry{}.prompt(cmd)
	if b.passwords != "" {
		f, err := profile.OpenSecret("the file with the passwords", b.passwords)
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewReaderSize(io.LimitReader(f, maxUsers), maxPasswords)
		next = func(jid.JID) ([]byte, error) {
			line, err := lines.ReadSlice('\n')
			if err != nil && err != io.EOF {
				return nil, fmt.Errorf("the passwords cannot be read: %w", err)
			}
			return bytes.TrimRight(line, "\r\n"), nil
		}
	}
	for _, address := range b.as {
		a, err := b.account(address)
		if err != nil {
			return err
		}
		password, err := next(a.Address)
		if err != nil {
			return err
		}
		if len(password) == 0 {
			return fmt.Errorf("there is no password for %s", a.Address)
		}
		a.Password = memguard.NewEnclave(password)
		b.load.Accounts = append(b.load.Accounts, a)
	}
	return nil
}

func (b *bench) account(address string) (*relaycheck.Account, error) {
	j, err := jid.Parse(address)
	if err != nil || j.Localpart() == "" || j.Resourcepart() != "" {
		return nil, fmt.Errorf("%q is not an address such as probe@hospital.example", address)
	}
	return &relaycheck.Account{Address: j}, nil
}

// readUsers reads the file of --users.
func (b *bench) readUsers() error {
	f, err := profile.OpenSecret("the file with the accounts", b.users)
	if err != nil {
		return err
	}
	defer f.Close()
	all := make([]byte, maxUsers)
	defer clear(all)
	n, err := io.ReadFull(f, all)
	switch {
	case err == nil:
		return fmt.Errorf("the file with the accounts is larger than %d KiB", maxUsers>>10)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return fmt.Errorf("read the file with the accounts: %w", err)
	}
	rest := all[:n]
	for number := 1; len(rest) > 0; number++ {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		address, password, _ := bytes.Cut(line, []byte(" "))
		password = bytes.TrimLeft(password, " \t")
		a, err := b.account(string(address))
		if err != nil || len(password) == 0 {
			return fmt.Errorf("line %d of the file with the accounts is not an address, a blank and a password", number)
		}
		a.Password = memguard.NewEnclave(password)
		b.load.Accounts = append(b.load.Accounts, a)
	}
	if len(b.load.Accounts) == 0 {
		return errors.New("the file with the accounts has none")
	}
	return nil
}

// benchPage writes a result for people.
func benchPage(w io.Writer, r relaycheck.LoadResult) error {
	var b bytes.Buffer
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	spread := func(s relaycheck.Spread) string {
		return fmt.Sprintf("p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, at most %.1f ms", s.P50, s.P90, s.P99, s.Max)
	}
	row("connected", "%d to send, %d idle", r.Clients, r.Idle)
	if r.Failed > 0 {
		row("not in", "%d: %s", r.Failed, r.Why)
	}
	row("login", "%s", spread(r.Login))
	if r.Clients > 0 {
		row("messages", "%d sent, %d received, %d lost, %d twice, %d refused; %d bytes each", r.Sent, r.Received, r.Lost, r.Doubled, r.Errors, r.Stanza)
		row("rate", "%.0f a second", r.Rate)
		row("under way", "%s", spread(r.Latency))
		for _, bar := range bars(r.Latency) {
			row("", "%s", bar)
		}
	}
	if r.Broken > 0 {
		row("broken off", "%d connections", r.Broken)
	}
	if r.IdleMemory > 0 {
		row("relay", "%.1f MB with all connected, %.1f MB after the load, %.2f processors", float64(r.IdleMemory)/1e6, float64(r.LoadMemory)/1e6, r.CPU)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// bars draws how durations are spread, a bucket a line, no wider than a terminal of
// 80 columns with the name of a row before them.
func bars(s relaycheck.Spread) (lines []string) {
	const longest = 36
	most := 0
	for _, b := range s.Buckets {
		most = max(most, b.Count)
	}
	for _, b := range s.Buckets {
		n := 0
		if b.Count > 0 {
			n = max(1, b.Count*longest/most) // what is there is seen
		}
		bound := fmt.Sprintf("up to %6v ms", b.Bound)
		if longer, last := b.Last(); last {
			bound = fmt.Sprintf("more than %v ms", longer)
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%19s %8d %s", bound, b.Count, strings.Repeat("#", n)), " "))
	}
	return lines
}
