package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"mellium.im/xmpp/jid"

	"sotto/internal/atomicfile"
	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/watch"
	"sotto/keystore"
)

func joinCommand() *cobra.Command {
	var j joining
	cmd := &cobra.Command{
		Use:   "join [ADDRESS | INVITATION]",
		Short: "Set up your account on a relay",
		Long: `Sign in to a relay with your address and password, choose a PIN for this device,
and open sotto. From then on "sotto" and the PIN are enough: the password is kept
in the vault, and given to the relay by sotto.

Who was invited by an organisation gives the invitation in place of the address, and
the one-time PIN that was told in place of the password. An invitation reads like
alice@hospital.example,04KQX-7MPD2-... and is as secret as a password: others on this
computer can see a command line, so run "sotto join" alone, and it is asked for. It
is read from standard input, too.

Where the relay is, the invitation says, or sotto finds by the address (XEP-0156), or
you say with --relay.`,
		Example: `  sotto join
  sotto join alice@example.org
  sotto join alice@example.org --relay wss://chat.example.org/ws --ca hospital-ca.pem
  sotto join alice@example.org --profile night-shift --rotate-password`,
		Args: cobra.ArbitraryArgs, // so that what is missing can be said in words of ours
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("sotto join takes one address, not %d", len(args))
			}
			return j.begin(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&j.relay, "relay", "", "where the relay is, such as wss://chat.example.org/ws")
	f.StringVar(&j.profile, "profile", profile.Default, "name for the account on this device")
	f.StringVar(&j.ca, "ca", "", "file with the certificate authorities to trust, instead of the system's (PEM)")
	f.BoolVar(&j.rotate, "rotate-password", false, "replace the password by a random one that nobody has seen; your other devices cannot sign in any more")
	f.BoolVar(&j.service, "service", false, "the account is a program's: sotto send and listen read its PIN from a file (docs/headless.md)")
	f.BoolVar(&j.password, "password", false, "with an invitation: the account has a password of its own, so ask for it, too")
	f.StringVar(&j.pin, "pin-file", "", "with an invitation and --service: file with the PIN for this device, so that nobody has to type")
	f.StringVar(&j.oneTime, "one-time-pin-file", "", "with --pin-file: file with the one-time PIN")
	f.DurationVar(&j.wait, "wait", 30*time.Second, "with --pin-file: how long to wait for the organisation's answer")
	return cmd
}

// joining is what the flags of join say.
type joining struct {
	relay, profile, ca string
	rotate, service    bool
	password           bool
	pin, oneTime       string
	wait               time.Duration
}

// run sets the account up: with the invitation, if there is one.
func (j joining) run(address string, g *guest) error {
	id, err := jid.Parse(address)
	if err != nil || id.Localpart() == "" || id.Resourcepart() != "" {
		return fmt.Errorf("%q is not an address. It looks like this: alice@example.org", address)
	}
	if err := checkRelay(j.relay); err != nil {
		return err
	}
	if j.pin == "" {
		if err := terminal(); err != nil {
			return err
		}
	}
	if j.ca != "" {
		if j.ca, err = filepath.Abs(j.ca); err != nil {
			return err
		}
		if _, err := os.Stat(j.ca); err != nil {
			return fmt.Errorf("the certificate authority given with --ca cannot be read: %w", err)
		}
	}
	p, err := profile.Paths(j.profile)
	if err != nil {
		return err
	}
	exists, err := p.Exists()
	if err != nil {
		return err
	}
	over, err := keystore.Destroyed(p.Vault) // then this starts anew
	if err != nil {
		return err
	}
	if exists && !over && g != nil {
		return j.enrol(id.String(), g)
	}
	if exists && !over {
		return fmt.Errorf("profile %q has an account already. Open it with: sotto, or join under another name with --profile NAME", j.profile)
	}
	c, err := p.Load()
	if err != nil {
		return err
	}
	if _, err := surroundings(c); err != nil && j.pin == "" { // before anything is made
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
	if over {
		if err := tidy(p); err != nil {
			return err
		}
		if err := p.Make(); err != nil {
			return err
		}
	}
	settings, err := os.ReadFile(p.Config) // somebody may have put them there for this account
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the settings: %w", err)
	}
	c.Address = id.String()
	c.Service = c.Service || j.service
	if g != nil && c.Organisation == "" {
		c.Organisation = g.organisation
	}
	if err := p.Save(c); err != nil {
		return err
	}
	if j.pin != "" {
		err = j.serve(p, c, lock, g)
	} else {
		var cfg watch.Config
		if cfg, err = opening(role.Join, p, c, lock); err == nil {
			cfg.Address, cfg.Relay, cfg.CAFile, cfg.Rotate = c.Address, j.relay, j.ca, j.rotate
			g.tell(&cfg)
			err = afterwards(p, watchOver(cfg))
		}
	}
	if exists, statErr := p.Exists(); statErr == nil && !exists {
		if settings != nil {
			err = errors.Join(err, atomicfile.Write(p.Config, settings))
		} else {
			os.Remove(p.Config)
		}
		discard(p)
	}
	return err
}

// discard removes what was made for a profile that came to nothing, except its
// settings. Folders that hold something else stay.
func discard(p profile.Profile) {
	for _, path := range []string{
		p.LockFile, p.Data,
		filepath.Dir(p.Config), filepath.Dir(p.Vault), filepath.Dir(p.LockFile),
	} {
		os.Remove(path)
	}
}

// checkRelay refuses early what the link would refuse.
func checkRelay(relay string) error {
	if relay == "" {
		return nil
	}
	u, err := url.Parse(relay)
	switch {
	case err != nil || u.Host == "":
		return errors.New("the relay is not a URL. It looks like this: wss://chat.example.org/ws")
	case u.Scheme == "wss", u.Scheme == "ws" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "ws":
		return errors.New("the relay's URL begins with ws://, which is not encrypted and only allowed on this computer itself. Use wss://")
	}
	return fmt.Errorf("the relay's URL begins with wss://, not %s://", u.Scheme)
}

// loopback reports whether a host is this very computer.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
