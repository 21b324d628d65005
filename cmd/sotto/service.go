package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"mellium.im/xmpp/jid"

	"sotto/internal/inforce"
	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/unattended"
)

// Exit codes of sotto send.
const (
	codeOther   = 1
	codeUsage   = 2
	codeSent    = 3 // the relay has it, and nobody has confirmed it
	codeQueued  = 4 // it goes out with the next send or listen
	codeRefused = 5 // it does not go out as things are
)

// maxWait bounds how long programs may wait for the relay.
const maxWait = 24 * time.Hour

// service is what the flags of a program's commands say.
type service struct {
	profile, pin string
	wait         time.Duration
	json         bool
	file         *os.File // to be sent; nil: none

	told func(role.Outcome) // unless nil, called as soon as the outcome is known
}

// flags adds the flags that programs' commands share, and gives errors of the
// command line the exit code 2.
func (s *service) flags(cmd *cobra.Command, wait time.Duration, waits string) {
	f := cmd.Flags()
	f.StringVar(&s.profile, "profile", profile.Default, "whose account, made with: sotto join ADDRESS --service")
	f.StringVar(&s.pin, "pin-file", "", "file or pipe with the PIN, yours or root's, and closed to others")
	f.DurationVar(&s.wait, "wait", wait, waits)
	f.BoolVar(&s.json, "json", false, "write JSON")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return wrong(cmd, err) })
}

// wrong is an error about the command line of a program's command.
func wrong(cmd *cobra.Command, err error) error {
	return &misused{command: cmd.CommandPath(), err: err, code: codeUsage}
}

// check holds the flags to what makes sense.
func (s *service) check(cmd *cobra.Command) error {
	_, err := profile.Paths(s.profile)
	switch {
	case errors.Is(err, profile.ErrName):
		return wrong(cmd, err)
	case s.pin == "":
		return wrong(cmd, errors.New("nobody is there to type the PIN: name the file that it is in with --pin-file"))
	case s.pin == "-":
		return wrong(cmd, errors.New("--pin-file takes a file and not standard input"))
	case s.wait < 0 || s.wait > maxWait:
		return wrong(cmd, fmt.Errorf("--wait is a time up to %v, such as 30s", maxWait))
	}
	return nil
}

// whom checks an address on the command line.
func whom(cmd *cobra.Command, address string) (string, error) {
	j, err := jid.Parse(address)
	if err != nil || j.Localpart() == "" || j.Resourcepart() != "" {
		return "", wrong(cmd, fmt.Errorf("%q is not an address. It looks like this: alice@example.org", address))
	}
	return j.String(), nil
}

// maxDoor is how long the name of a socket can be on every system.
const maxDoor = 100

// knockPause is how often a profile that another process has is tried again.
const knockPause = 50 * time.Millisecond

// run opens the profile and has the task done. A message goes through a sotto listen
// that has the profile; else, while another process has it, it waits as long as for
// the relay.
func (s *service) run(ctx context.Context, task role.Task) (role.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	p, c, lock, through, err := s.open(ctx, task)
	if err != nil {
		return role.Outcome{}, err
	}
	if lock != nil {
		defer lock.Unlock()
	}
	h, err := holding(p, c)
	if err == nil {
		err = cmp.Or(h.permitted(), h.program())
	}
	if err != nil {
		return role.Outcome{}, err
	}
	cfg := unattended.Config{
		Profile: places(p), Task: task, File: s.file, ComparedOnly: inforce.ComparedOnly(h.all, c.Service), Wishes: h.wishes,
		DestroyAfter: h.DestroyAfter, NoTPM: h.rules.NoTPM, NeedTPM: h.rules.NeedTPM, Relays: h.rules.Relays, Through: through,
	}
	cfg.Told = s.told
	if lock != nil {
		cfg.Tell = lock.Tell
	}
	if task.Job == role.Listening && len(p.Door) <= maxDoor {
		cfg.Door = p.Door
	}
	if !c.Service {
		return role.Outcome{}, fmt.Errorf("profile %q belongs to a person, who types the PIN. "+
			"A program needs an account of its own: sotto join ADDRESS --service --profile NAME. "+
			"If this one is a program's, write service = true into %s", s.profile, p.Config)
	}
	if cfg.PIN, err = profile.OpenPIN(s.pin); err != nil {
		return role.Outcome{}, err
	}
	cfg.Task.Wait, cfg.Task.JSON, cfg.Task.Through = s.wait, s.json, through != nil
	outcome, err := unattended.Run(cfg)
	return outcome, afterwards(p, err)
}

// open takes the profile, or finds the process that listens with it.
func (s *service) open(ctx context.Context, task role.Task) (profile.Profile, profile.Config, *profile.Lock, *role.Socket, error) {
	for {
		p, c, lock, err := load(s.profile)
		if !errors.Is(err, profile.ErrInUse) {
			return p, c, lock, nil, err
		}
		if task.Job == role.Sending && s.file == nil && c.Service {
			through, there, knockErr := role.Knock(p.Door)
			if there || knockErr != nil {
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

// result is what sotto send --json writes.
type result struct {
	Type   string `json:"type"`
	To     string `json:"to"`
	ID     int64  `json:"id,omitempty"`
	State  string `json:"state"`
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
}

// tell says what became of a message, and returns the error with its exit code.
func (s *service) tell(out, errs io.Writer, to string, o role.Outcome, err error) error {
	r := result{Type: "result", To: to, ID: o.ID, State: o.Standing.String(), Reason: o.Reason}
	words := ""
	switch {
	case err != nil:
		r.Code, r.Reason = codeOther, err.Error()
		words = r.Reason
	case o.Standing == role.Delivered:
	case o.Standing == role.Sent:
		r.Code = codeSent
		words = "The relay has the message; " + r.Reason
	case o.Standing == role.Queued:
		r.Code = codeQueued
		words = "The message is kept, and goes out with the next sotto send or listen: " + r.Reason
	case o.Standing == role.Refused:
		r.Code = codeRefused
		// What a person would type in the conversation, a program's keeper types here.
		words = strings.ReplaceAll(r.Reason, "(/trust)", "(sotto trust "+to+")")
	default:
		r.Code, r.Reason = codeOther, "it was ended before there was anything to send"
		words = r.Reason
	}
	if s.json {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	} else if words != "" {
		complainTo(errs, words)
	}
	if r.Code == 0 {
		return nil
	}
	return exit(r.Code)
}
