package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sotto/client/admin/console"
	"sotto/internal/inforce"
	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/unattended"
)

// The commands about an organisation are two processes: this one, which reads the
// command line, asks and shows, and another that it starts, which opens the profile of
// the organisation's account as sotto send does, or goes through the door of the sotto
// org serve that has it. They talk over pipes: package console. The second one runs no
// program but sotto, so the editor is this one's.

// office is what the flags say that all commands about an organisation have.
type office struct {
	profile, pin string
	wait         time.Duration
	json, yes    bool

	// of one that founds
	address, relay, ca, password string
}

// open adds the flags with which the profile is opened.
func (s *office) open(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.profile, "profile", orgProfile, "the profile of the organisation's account")
	f.StringVar(&s.pin, "pin-file", "", "file or pipe with its PIN, yours or root's, and closed to others; without it you are asked")
	f.DurationVar(&s.wait, "wait", 30*time.Second, "how long to wait for the relay, and for another process to be done with the profile")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return wrong(cmd, err) })
}

// check holds the flags to what makes sense.
func (s *office) check(cmd *cobra.Command) error {
	_, err := profile.Paths(s.profile)
	switch {
	case errors.Is(err, profile.ErrName):
		return wrong(cmd, err)
	case s.pin == "-":
		return wrong(cmd, errors.New("--pin-file takes a file and not standard input"))
	case s.wait < 0 || s.wait > maxWait:
		return wrong(cmd, fmt.Errorf("--wait is a time up to %v, such as 30s", maxWait))
	}
	return nil
}

// conversation is one with the process that has the profile.
type conversation struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
	signals chan os.Signal // to end, which whoever reads what is typed looks at
	restore func()         // of the terminal, should the other process not have done it
}

// talk starts it.
func (s *office) talk(ctx context.Context) (*conversation, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find sotto's own program: %w", err)
	}
	args := []string{"org", "console", "--profile", s.profile, "--wait", s.wait.String()}
	for _, f := range [][2]string{{"--pin-file", s.pin}, {"--as", s.address}, {"--relay", s.relay}, {"--ca", s.ca}, {"--password-file", s.password}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	c := &conversation{cmd: exec.CommandContext(ctx, exe, args...), signals: make(chan os.Signal, 4)}
	c.cmd.Args[0], c.cmd.Stderr = "sotto", os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.answers = bufio.NewReaderSize(out, 64<<10)
	// The other process takes them, puts the terminal right and ends.
	signal.Notify(c.signals, syscall.SIGINT, syscall.SIGTERM)
	c.restore = terminalModes(s.pin == "")
	if err := c.cmd.Start(); err != nil {
		c.restore()
		return nil, fmt.Errorf("start sotto's own program: %w", err)
	}
	return c, nil
}

// end ends the conversation. What went wrong the other process has said.
func (c *conversation) end() error {
	c.in.Close()
	io.Copy(io.Discard, c.answers)
	err := c.cmd.Wait()
	c.restore()
	signal.Stop(c.signals)
	if code := c.cmd.ProcessState.ExitCode(); err != nil && code > 0 {
		return exit(code)
	}
	return err
}

// errSilent says that the other process has ended, and has said why.
var errSilent = errors.New("it was ended before it was done. See what was done with: sotto org status")

// say sends a request and returns the answer, whose Error is an error.
func (c *conversation) say(r console.Request) (*console.Answer, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(b) >= console.MaxRequest {
		return nil, errors.New("this is too much at a time")
	}
	sent := append(b, '\n')
	_, err = c.in.Write(sent)
	clear(b)
	clear(sent)
	if err != nil {
		return nil, errSilent
	}
	var line []byte
	for {
		part, err := c.answers.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > console.MaxAnswer {
			return nil, errors.New("the answer is too long")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, errSilent
		}
		break
	}
	defer clear(line)
	a := new(console.Answer)
	if err := json.Unmarshal(line, a); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// with has a conversation and ends it. Where the other process has said why it ended,
// nothing is left to say.
func (s *office) with(ctx context.Context, talk func(*conversation) error) error {
	c, err := s.talk(ctx)
	if err != nil {
		return err
	}
	err = talk(c)
	ended := c.end()
	if errors.Is(err, errSilent) {
		if s.pin == "" && ended == nil { // by a key, behind the prompt
			fmt.Fprintln(os.Stderr)
		}
		return cmp.Or(ended, err)
	}
	return err
}

// once sends one request.
func (s *office) once(ctx context.Context, r console.Request) (a *console.Answer, err error) {
	err = s.with(ctx, func(c *conversation) error {
		a, err = c.say(r)
		return err
	})
	return a, err
}

// orgConsoleCommand is the other process.
func orgConsoleCommand() *cobra.Command {
	var s office
	cmd := &cobra.Command{
		Use: "console", Short: "Talk to an organisation's side in JSON", Hidden: true, Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(cmd); err != nil {
				return err
			}
			return s.run(cmd.Context(), role.Task{Job: role.Administering, Wait: s.wait})
		},
	}
	s.open(cmd)
	f := cmd.Flags()
	f.StringVar(&s.address, "as", "", "set the profile up for this account, if it does not exist")
	f.StringVar(&s.relay, "relay", "", "where the relay is")
	f.StringVar(&s.ca, "ca", "", "file with the certificate authorities to trust")
	f.StringVar(&s.password, "password-file", "", "file with the account's password")
	return cmd
}

// run opens the profile, or goes through the door of the process that has it.
func (s *office) run(ctx context.Context, task role.Task) error {
	if s.address != "" {
		p, err := profile.Paths(s.profile)
		if err != nil {
			return err
		}
		if exists, err := p.Exists(); err != nil {
			return err
		} else if !exists {
			return s.setUp(p, task)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	p, c, lock, through, err := s.take(ctx, task)
	if err != nil {
		return err
	}
	if lock != nil {
		defer lock.Unlock()
	}
	cfg, err := s.config(p, c, lock, task)
	if err != nil {
		return err
	}
	cfg.Through, cfg.Task.Through = through, through != nil
	if task.Job == role.Governing && len(p.Door) <= maxDoor {
		cfg.Door = p.Door
	}
	restore := terminalModes(cfg.Typed)
	defer restore()
	_, err = unattended.Run(cfg)
	return afterwards(p, err)
}

// take is service's open.
func (s *office) take(ctx context.Context, task role.Task) (profile.Profile, profile.Config, *profile.Lock, *role.Socket, error) {
	for {
		p, c, lock, err := load(s.profile)
		if !errors.Is(err, profile.ErrInUse) {
			return p, c, lock, nil, s.hint(err)
		}
		if task.Job == role.Administering {
			if through, there, knockErr := role.Knock(p.Door); there || knockErr != nil {
				return p, c, nil, through, knockErr
			}
		}
		select {
		case <-time.After(knockPause):
		case <-ctx.Done():
			return p, c, nil, nil, err
		}
	}
}

// hint says what to do where there is no profile.
func (s *office) hint(err error) error {
	p, pathErr := profile.Paths(s.profile)
	if err == nil || pathErr != nil {
		return err
	}
	if exists, existsErr := p.Exists(); existsErr == nil && !exists {
		return fmt.Errorf("there is no profile %q. Found an organisation with: sotto org init hospital.example, or name another profile with --profile", s.profile)
	}
	return err
}

// config is what the process that opens the profile is told. Where the policy asks for
// a TPM or the whole sandbox and this machine has none, it opens all the same: nobody
// else could take that back. The desk ends where it is not the organisation's own profile.
func (s *office) config(p profile.Profile, c profile.Config, lock *profile.Lock, task role.Task) (unattended.Config, error) {
	h, err := holding(p, c)
	if err != nil {
		return unattended.Config{}, err
	}
	cfg := unattended.Config{
		Profile: places(p), Task: task, ComparedOnly: inforce.ComparedOnly(h.all, c.Service), Wishes: h.wishes,
		DestroyAfter: h.DestroyAfter, NoTPM: h.rules.NoTPM, NeedTPM: c.TPM == "required", Relays: h.rules.Relays,
	}
	if lock != nil {
		cfg.Tell = lock.Tell
	}
	if s.pin == "" {
		cfg.Typed = true
		cfg.PIN, err = controllingTerminal()
		return cfg, err
	}
	if !c.Service {
		return cfg, fmt.Errorf("the PIN of profile %q is typed and not read from a file. Leave --pin-file out; "+
			"or if the machine is safe enough to keep the PIN in a file, write service = true into %s", s.profile, p.Config)
	}
	cfg.PIN, err = profile.OpenPIN(s.pin)
	return cfg, err
}

// setUp makes the profile of an account, and opens it.
func (s *office) setUp(p profile.Profile, task role.Task) (err error) {
	if s.pin != "" && s.password == "" {
		return errors.New("the account's password is not known. Name the file that it is in with --password-file")
	}
	if s.ca != "" {
		if s.ca, err = filepath.Abs(s.ca); err != nil {
			return err
		}
	}
	c, err := p.Load()
	if err != nil {
		return err
	}
	if err := p.Make(); err != nil {
		return err
	}
	lock, err := p.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	_, statErr := os.Stat(p.Config)
	c.Address, c.Service = s.address, c.Service || s.pin != ""
	if err := p.Save(c); err != nil {
		return err
	}
	cfg, err := s.config(p, c, lock, task)
	if err == nil {
		cfg.Address, cfg.Relay, cfg.CAFile = s.address, s.relay, s.ca
		if s.password != "" {
			if cfg.Password, err = profile.OpenSecret("the file with the password", s.password); err != nil {
				cfg.PIN.Close()
			}
		}
	}
	if err == nil {
		restore := terminalModes(cfg.Typed)
		_, err = unattended.Run(cfg)
		restore()
		err = afterwards(p, err)
	}
	if exists, existsErr := p.Exists(); existsErr == nil && !exists {
		if errors.Is(statErr, fs.ErrNotExist) {
			os.Remove(p.Config)
		}
		discard(p)
	}
	return err
}
