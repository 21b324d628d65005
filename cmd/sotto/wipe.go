package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/keystore"
	"sotto/keystore/tpm"
)

func wipeCommand() *cobra.Command {
	var name string
	var yes bool
	cmd := &cobra.Command{
		Use:   "wipe",
		Short: "Destroy an account's keys and messages on this device",
		Long: `Destroy the keys of a profile, then remove its messages, drafts and settings from
this device. The PIN is not needed. What is destroyed cannot be brought back.

The keys go first: the device secret (from the TPM, where it is in one) and the
vault. Without either of them nobody can read the messages any more, with the PIN
or without, even where the disk keeps old blocks of what was removed.

Your account stays, and so does what is elsewhere: what the relay keeps for you,
your other devices, and backups of this computer.

It asks you to type the address first; --yes is for scripts. Once begun it can be
cut off at any time, and run again to go on.`,
		Example: `  sotto wipe
  sotto wipe --profile night-shift --yes`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return wipe(name, yes, os.Stdin, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&name, "profile", profile.Default, "whose keys and messages to destroy")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func wipe(name string, yes bool, in io.Reader, out io.Writer) error {
	p, err := profile.Paths(name)
	if err != nil {
		return err
	}
	place := keystore.At(p.Vault, p.DeviceKey)
	if !anything(append(place.Files(), p.Data, p.Config)) {
		discard(p) // what a wipe that was cut off at its very end has left
		fmt.Fprintf(out, "There is nothing of profile %q on this device.\n", name)
		return nil
	}
	c, _ := p.Load() // only for the address: settings that can't be read are no reason to keep the rest
	if err := os.MkdirAll(filepath.Dir(p.LockFile), 0o700); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = profile.ErrReadOnly
		}
		return fmt.Errorf("wiping profile %s: %w", name, err)
	}
	lock, err := p.Lock()
	if errors.Is(err, profile.ErrInUse) {
		who, _, _ := strings.Cut(err.Error(), ". ")
		return fmt.Errorf("%s. Close it there with Ctrl+Q, or end that process with kill, and run sotto wipe again", who)
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if !yes {
		if err := agree(name, c.Address, in, out); err != nil {
			return err
		}
	}

	place.TPM = tpm.Open()
	defer place.TPM.Close()
	var remains *keystore.TPMError
	if err := place.Remove(); err != nil && !errors.As(err, &remains) {
		return fmt.Errorf("%w. Nothing else was removed. Run sotto wipe again when that is put right", err)
	}
	fmt.Fprintln(out, "The keys are destroyed.")
	if err := errors.Join(os.RemoveAll(p.Data), remove(p.Config)); err != nil {
		return fmt.Errorf("without the keys nobody can read the messages any more, but not all of them could be removed: %w", err)
	}
	discard(p)
	fmt.Fprintln(out, `Messages, drafts and settings are removed from this device.

What stays is elsewhere: your account, with what the relay keeps for you and
this device in its list of your devices; your other devices; and backups of
this computer. A backup of both the vault and the device secret can be opened
with the PIN: have it destroyed, too.`)
	if remains != nil {
		return fmt.Errorf("%w. It protects nothing any more, and only takes up room: your administrator can remove it with tpm2_nvundefine", remains)
	}
	return nil
}

// agree has the person type what is to be wiped.
func agree(name, address string, in io.Reader, out io.Writer) error {
	if f, ok := in.(*os.File); ok && !term.IsTerminal(int(f.Fd())) {
		return errors.New("sotto wipe asks before it destroys anything, and there is no terminal to ask at. In a script use --yes")
	}
	expected := address
	if expected == "" {
		expected = name
	}
	fmt.Fprintf(out, `This destroys the keys of profile %q, and then removes its messages,
drafts and settings from this device. Nobody can bring them back: not you, not
your administrator. Your account and your other devices are left alone.

To go on, type %s: `, name, expected)
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading the answer: %w", err)
	}
	switch typed := strings.TrimSpace(line); {
	case typed == "":
		return errors.New("nothing was wiped")
	case strings.EqualFold(typed, expected), typed == name:
		return nil
	}
	return fmt.Errorf("that is not %s. Nothing was wiped", expected)
}

// anything reports whether one of the paths is there.
func anything(paths []string) bool {
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lost says so if a profile's vault was destroyed, and removes what it protected: a
// gate has no right to that. The profile must be locked.
func lost(p profile.Profile) error {
	why := keystore.Epitaph(p.Vault)
	switch {
	case errors.Is(why, keystore.ErrDestroyed), errors.Is(why, keystore.ErrWiped):
		return errors.Join(tidy(p), why)
	}
	return why
}

// tidy removes the messages of a vault that was destroyed, and after a wipe by the
// organisation the settings, too.
func tidy(p profile.Profile) error {
	err := os.RemoveAll(p.Data)
	if errors.Is(keystore.Epitaph(p.Vault), keystore.ErrWiped) {
		err = errors.Join(err, remove(p.Config))
	}
	if err != nil {
		return fmt.Errorf("the vault is destroyed, so nobody can read the messages any more, but not all of them could be removed: %w", err)
	}
	return nil
}

// afterwards removes messages, too, if the vault was destroyed meanwhile.
func afterwards(p profile.Profile, err error) error {
	if gone := (*role.Lost)(nil); errors.As(err, &gone) {
		return errors.Join(err, tidy(p))
	}
	return err
}
