package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/keystore"
)

// recovering is what the flags of sotto org recover say.
type recovering struct {
	reason, by string
	files      []string
	newPIN     bool
}

func recoverCommand() *cobra.Command {
	var r recovering
	cmd := &cobra.Command{
		Use:   "recover PROFILE|ADDRESS",
		Short: "Open a vault with the recovery key",
		Long: `Open a vault on this machine without its PIN, with the organisation's recovery key:
typed, whole or as shares, or out of files. It works where a policy that names the
key was in force when the vault was last open, and where vault and device secret
are both there. A vault that has destroyed itself stays destroyed.

With --reason forgotten-pin a new PIN is chosen, and sotto opens as it always does.
For other reasons the PIN stays what it is: the messages that are on this device can
be read until sotto locks, nothing is sent, and nothing counts as read. --new-pin
has a PIN chosen all the same.

It is loud. That the vault is opened, by whom and why, is on the disk before it is;
it goes into the device's audit log, and with that to the auditor the next time that
sotto is opened with a PIN; it stays in the conversation with the organisation; and
the person is told before anything else when they next give their PIN.`,
		Example: `  sotto org recover default --reason forgotten-pin --by grace@hospital.example
  sotto org recover alice@hospital.example --reason emergency --by grace@hospital.example --key-file share1.txt --key-file share2.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &misused{command: cmd.CommandPath(), err: errors.New("say which vault: the name of a profile on this machine, or its address")}
			}
			return r.run(cmd, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.reason, "reason", "", "forgotten-pin, emergency, absent or investigation")
	f.StringVar(&r.by, "by", "", "your address, for the audit log and for whom the vault belongs to")
	f.StringArrayVar(&r.files, "key-file", nil, "file with the recovery key, or with a share of it; without it you are asked")
	f.BoolVar(&r.newPIN, "new-pin", false, "have a new PIN chosen, whatever the reason")
	return cmd
}

func (r *recovering) run(cmd *cobra.Command, whose string) error {
	bad := func(err error) error { return &misused{command: cmd.CommandPath(), err: err} }
	reason, err := keystore.ParseReason(r.reason)
	if err != nil {
		return bad(fmt.Errorf("why is the vault opened? With --reason: %w", err))
	}
	if r.by == "" {
		return bad(errors.New("who opens the vault? With --by: your address, such as grace@hospital.example"))
	}
	by, err := whom(cmd, r.by)
	if err != nil {
		return err
	}
	if len(by) > keystore.MaxBy {
		return bad(fmt.Errorf("the address given with --by is longer than %d bytes", keystore.MaxBy))
	}
	files, err := absolute(r.files)
	if err != nil {
		return err
	}
	name, err := profileOf(whose)
	if err != nil {
		return err
	}
	if err := terminal(); err != nil {
		return err
	}
	p, c, lock, err := load(name)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	s, err := keystore.At(p.Vault, p.DeviceKey).Status()
	if err == nil && !s.Destroyed && s.Recovery == "" {
		return keystore.ErrNoRecovery
	}
	cfg, err := opening(role.Recover, p, c, lock)
	if err != nil {
		return err
	}
	newPIN := r.newPIN || reason == keystore.ForgottenPIN
	cfg.Rescue = role.Rescue{Files: files, Reason: int(reason), By: by, NewPIN: newPIN}
	cfg.Hint = "its recovery key: " + s.Recovery
	if err := afterwards(p, watchOver(cfg)); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "The vault is locked. That it was opened with the recovery key is noted; its owner is told with the next PIN.")
	return nil
}

// absolute are the paths for a process that may be elsewhere.
func absolute(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", path, err)
		}
		all = append(all, abs)
	}
	return all, nil
}

// profileOf finds a profile on this machine by its name or its address.
func profileOf(whose string) (string, error) {
	if !strings.Contains(whose, "@") {
		return whose, nil
	}
	all, err := profile.All()
	if err != nil {
		return "", err
	}
	var found []string
	for _, p := range all {
		if c, err := p.Load(); err == nil && strings.EqualFold(c.Address, whose) {
			found = append(found, p.Name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no profile of %s is on this machine. The recovery key opens a vault only where it is", whose)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s has several profiles here: %s. Name one of them", whose, strings.Join(found, ", "))
}
