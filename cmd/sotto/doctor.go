package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/charmbracelet/fang"
	"github.com/spf13/cobra"

	"sotto/internal/doctor"
	"sotto/internal/harden"
	"sotto/internal/profile"
	"sotto/internal/role"
)

// maxCA bounds the file given with --ca, in bytes.
const maxCA = 1 << 20

func doctorCommand() *cobra.Command {
	var c examination
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this computer, terminal and relay are fit for sotto",
		Long: `Look at what sotto rests on: memory, kernel, terminal, profile and relay. Each
line is good, weak or bad. Good says what was found; weak and bad say what it
means and what to do. Nothing is changed, no PIN is asked for, and the relay is
not given your address or password.

With --store it asks for the PIN and reads the whole message database for damage,
in a process that is confined as the one that shows messages.

With --probe it starts a process for each role, confined as that role is, which
tries everything that the role must not be able to do, and prints who refused it.
Then the exit code is 1 if anything was allowed that the role does not need.

Exit code: 0 if all is good or weak, 1 if something is bad, 2 if the command
line is wrong.

With --json the same for programs:

` + doctor.Schema,
		Example: `  sotto doctor
  sotto doctor --relay wss://chat.example.org/ws
  sotto doctor --offline --json
  sotto doctor --probe
  sotto doctor --store`,
		Args: cobra.ArbitraryArgs, // what is too much has its own exit code
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nothing(cmd, args); err != nil {
				return badUsage(err)
			}
			return c.run(cmd)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return badUsage(&misused{command: cmd.CommandPath(), err: err})
	})
	f := cmd.Flags()
	f.StringVar(&c.profile, "profile", profile.Default, "which account to look at")
	f.StringVar(&c.relay, "relay", "", "relay to look at, such as wss://chat.example.org/ws, if it can't be found by the profile's address")
	f.StringVar(&c.ca, "ca", "", "file with the certificate authorities to trust, instead of the system's (PEM)")
	f.BoolVar(&c.offline, "offline", false, "leave the relay alone")
	f.BoolVar(&c.json, "json", false, "write JSON")
	f.BoolVar(&c.store, "store", false, "ask for the PIN and read the whole message database for damage")
	f.BoolVar(&c.probe, "probe", false, "try what each role must not be able to do, and say who refused it")
	return cmd
}

// examination is what the flags of doctor say.
type examination struct {
	profile, relay, ca string
	offline, json      bool
	probe, store       bool
}

// badUsage says what is wrong with the command line and has exit code 2.
func badUsage(err error) error {
	complain(os.Stderr, fang.Styles{}, err)
	return exit(2)
}

func (c examination) run(cmd *cobra.Command) error {
	if err := checkRelay(c.relay); err != nil {
		return badUsage(err)
	}
	if _, err := profile.Paths(c.profile); errors.Is(err, profile.ErrName) {
		return badUsage(err)
	}
	if c.store && (c.probe || c.json) {
		return badUsage(errors.New("--store asks for the PIN on the terminal and goes with neither --probe nor --json"))
	}
	ca, err := c.authorities()
	if err != nil {
		return badUsage(err)
	}
	if c.store {
		return c.look()
	}
	if err := harden.Early(); err != nil { // it reads the device secret
		return err
	}
	if c.probe {
		return c.try(cmd.Context())
	}
	screen := doctor.Screen{In: os.Stdin, Out: os.Stdout, Getenv: os.Getenv}
	r := doctor.Run(cmd.Context(), doctor.Config{Profile: c.profile, Relay: c.relay, CA: ca, Offline: c.offline, Screen: screen})
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

// try probes the sandbox instead of looking at the rest.
func (c examination) try(ctx context.Context) error {
	t, err := doctor.Try(ctx)
	if err != nil {
		return err
	}
	if c.json {
		err = t.JSON(os.Stdout, version())
	} else {
		err = t.Table(os.Stdout, doctor.Screen{Out: os.Stdout, Getenv: os.Getenv}.Color())
	}
	if err == nil && t.Code() != 0 {
		err = exit(t.Code())
	}
	return err
}

// look has a desk look into the message database, behind the lock screen.
func (c examination) look() error {
	if err := terminal(); err != nil {
		return err
	}
	p, settings, lock, err := load(c.profile)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	var found *role.Checked
	cfg, err := opening(role.Unlock, p, settings, lock)
	if err != nil {
		return err
	}
	cfg.Note = "The PIN opens the messages; then they are looked through for damage."
	cfg.Check = func(c role.Checked) { found = &c }
	if err := afterwards(p, watchOver(cfg)); err != nil {
		return err
	}
	if found == nil {
		return errors.New("nothing was looked into")
	}
	screen := doctor.Screen{Out: os.Stdout, Getenv: os.Getenv}
	r := doctor.Looked(*found)
	if err := r.Page(os.Stdout, screen.Width(), screen.Color()); err != nil {
		return err
	}
	if r.Code() != 0 {
		return exit(r.Code())
	}
	return nil
}

// authorities reads the file given with --ca.
func (c examination) authorities() ([]byte, error) {
	if c.ca == "" {
		return nil, nil
	}
	f, err := os.Open(c.ca)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority given with --ca cannot be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCA+1))
	if err == nil && len(b) > maxCA {
		err = fmt.Errorf("it is larger than %d KiB", maxCA>>10)
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate authority given with --ca cannot be read: %w", err)
	}
	return b, nil
}
