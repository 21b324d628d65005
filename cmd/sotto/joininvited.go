package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sotto/client/org/invitation"
	"sotto/internal/inforce"
	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/unattended"
	"sotto/internal/role/watch"
)

// maxInvitation bounds what is read as an invitation or an address, in bytes.
const maxInvitation = 4096

// seenInvitation is said once somebody has an invitation on a command line.
const seenInvitation = "Others on this computer can see a command line, and so the invitation. Next time run sotto join alone: it asks."

// guest is who joins with an invitation.
type guest struct {
	role.Invited
	organisation string // domain
	note         string // for the first screen
}

// tell puts an invitation, if there is one, into what the watch is told.
func (g *guest) tell(cfg *watch.Config) {
	if g == nil {
		return
	}
	cfg.Invited = g.Invited
	if g.note != "" {
		cfg.Note = strings.TrimSpace(g.note + " " + cfg.Note)
	}
}

// begin finds out what was given, an address or an invitation, and asks if it was
// nothing.
func (j joining) begin(cmd *cobra.Command, args []string) error {
	switch {
	case (j.pin == "") != (j.oneTime == ""):
		return errors.New("--pin-file and --one-time-pin-file belong together: the PIN to be, and the one that was told")
	case j.pin != "" && !j.service:
		return errors.New("a person types the PIN. Where a program joins, say so with --service, too")
	case j.wait < 0 || j.wait > maxWait:
		return fmt.Errorf("--wait is a time up to %v, such as 30s", maxWait)
	}
	if len(args) == 1 {
		return j.with([]byte(args[0]), seenInvitation)
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		given, err := io.ReadAll(io.LimitReader(os.Stdin, maxInvitation+1))
		if err != nil {
			return fmt.Errorf("read the invitation: %w", err)
		}
		defer clear(given)
		if len(bytes.TrimSpace(given)) == 0 {
			return errors.New("sotto join needs your invitation, or your address, such as alice@example.org")
		}
		if j.pin == "" { // a person is asked for more
			if err := takeTerminal(); err != nil {
				return err
			}
		}
		return j.with(given, "")
	}
	if err := terminal(); err != nil {
		return err
	}
	for {
		given, err := askInvitation(os.Stdin, os.Stdout)
		if err != nil {
			return err
		}
		err = j.with(given, "")
		clear(given)
		if !errors.Is(err, invitation.ErrCode) && !errors.Is(err, invitation.ErrAltered) {
			return err
		}
		complainTo(os.Stdout, capital(err.Error()))
	}
}

// with joins with what was given.
func (j joining) with(given []byte, note string) error {
	given = bytes.TrimSpace(given)
	if bytes.IndexByte(given, ',') < 0 {
		if j.pin != "" || j.password {
			return errors.New("--password and --pin-file go with an invitation. With an address the password is asked for")
		}
		return j.run(string(given), nil)
	}
	code, err := invitation.ParseCode(given)
	if err != nil {
		return err
	}
	defer code.Clear()
	if err := code.MeetRelay(j.relay); err != nil {
		return err
	}
	g := &guest{
		Invited:      role.Invited{Code: bytes.Clone(given), Password: j.password},
		organisation: code.Organisation, note: note,
	}
	defer clear(g.Code)
	return j.run(code.Address, g)
}

// capital is a sentence that was an error.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// askInvitation asks for an invitation or an address. What is typed is shown: it is
// long, and to be compared with paper. Afterwards it is not on the screen any more.
func askInvitation(in io.Reader, out *os.File) ([]byte, error) {
	const prompt = "Your invitation, or your address: "
	if _, err := io.WriteString(out, prompt); err != nil {
		return nil, err
	}
	given := make([]byte, 0, maxInvitation+1)
	for {
		var c [1]byte
		n, err := in.Read(c[:])
		switch {
		case n == 0 && err == nil:
			continue
		case n == 0:
			clear(given)
			fmt.Fprintln(out)
			return nil, watch.ErrNotJoined
		case c[0] == '\n' || c[0] == '\r':
			if width, _, err := term.GetSize(int(out.Fd())); err == nil && width > 0 {
				rows := (len(prompt)+len(given))/width + 1
				fmt.Fprintf(out, "\x1b[%dA\r\x1b[J", rows)
			}
			if len(bytes.TrimSpace(given)) == 0 {
				io.WriteString(out, prompt)
				given = given[:0]
				continue
			}
			return given, nil
		case len(given) < cap(given):
			given = append(given, c[0])
		}
	}
}

// enrol joins with an account that this device has: joining was cut off, or the
// organisation is new.
func (j joining) enrol(address string, g *guest) error {
	p, c, lock, err := load(j.profile)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if c.Address != address {
		return fmt.Errorf("the invitation is for %s, and profile %q has the account %s. Join under another name with --profile NAME", address, j.profile, c.Address)
	}
	if c.Organisation == "" {
		c.Organisation = g.organisation
		if err := p.Save(c); err != nil {
			return err
		}
	}
	if j.pin != "" {
		return j.serve(p, c, lock, g)
	}
	cfg, err := opening(role.Enrol, p, c, lock)
	if err != nil {
		return err
	}
	cfg.Relay, cfg.CAFile = j.relay, j.ca
	g.tell(&cfg)
	return afterwards(p, watchOver(cfg))
}

// serve joins where nobody types: both PINs are in files.
func (j joining) serve(p profile.Profile, c profile.Config, lock *profile.Lock, g *guest) (err error) {
	h, err := holding(p, c)
	if err == nil {
		err = h.permitted()
	}
	if err != nil {
		return err
	}
	cfg := unattended.Config{
		Profile: places(p), Task: role.Task{Job: role.Joining, Wait: j.wait}, ComparedOnly: inforce.ComparedOnly(h.all, c.Service), Wishes: h.wishes,
		DestroyAfter: h.DestroyAfter, NoTPM: h.rules.NoTPM, NeedTPM: h.rules.NeedTPM, Relays: h.rules.Relays, Tell: lock.Tell,
		Invited: g.Invited, Relay: j.relay, CAFile: j.ca,
	}
	if cfg.PIN, err = profile.OpenPIN(j.pin); err != nil {
		return err
	}
	if cfg.OneTimePIN, err = profile.OpenSecret("the file with the one-time PIN", j.oneTime); err != nil {
		cfg.PIN.Close()
		return err
	}
	o, err := unattended.Run(cfg)
	switch {
	case err != nil:
		return afterwards(p, err)
	case o.Standing == role.Delivered:
		complainTo(os.Stdout, o.Reason)
		return nil
	case o.Standing == role.Refused:
		complainTo(os.Stderr, o.Reason)
		return exit(codeRefused)
	}
	complainTo(os.Stderr, o.Reason)
	return exit(codeQueued)
}
