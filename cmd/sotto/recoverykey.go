package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/awnumar/memguard"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sotto/client/admin"
	"sotto/internal/atomicfile"
	"sotto/internal/harden"
	"sotto/keystore"
	"sotto/keystore/recovery"
	"sotto/keystore/shares"
)

// recoveryKey is how a recovery key is made and where it goes.
type recoveryKey struct {
	shares string   // "k/n"; "" is whole
	files  []string // one for each share, or one; none: the terminal
	org    string   // for the sheets; may be ""
}

func (r *recoveryKey) flags(f *pflag.FlagSet) {
	f.StringVar(&r.shares, "recovery-shares", "", "split the recovery key: 3/5 makes five shares, of which any three are needed")
	f.StringArrayVar(&r.files, "recovery-file", nil, "write the recovery key, or a share of it, into this file instead of showing it; give it once for each share")
}

// split reads the flag for shares.
func (r *recoveryKey) split() (need, of int, err error) {
	if r.shares == "" {
		return 0, 0, nil
	}
	k, n, ok := strings.Cut(r.shares, "/")
	need, err = strconv.Atoi(k)
	if err == nil {
		of, err = strconv.Atoi(n)
	}
	if !ok || err != nil || need < shares.MinNeed || of < need || of > shares.Max {
		return 0, 0, fmt.Errorf("shares are written as 3/5: any three of five are needed. At least %d have to be needed, and there are at most %d", shares.MinNeed, shares.Max)
	}
	return need, of, nil
}

// check holds the flags to what makes sense, before there is a key.
func (r *recoveryKey) check() error {
	_, of, err := r.split()
	if err != nil {
		return err
	}
	if n := len(r.files); n > 0 && n != max(1, of) {
		return fmt.Errorf("there are %d shares and %d files for them: give --recovery-file once for each share", max(1, of), n)
	}
	for i, path := range r.files {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already. A recovery key never replaces a file: name another one", path)
		}
		for _, other := range r.files[:i] {
			if other == path {
				return errors.New("each share needs a file of its own")
			}
		}
	}
	if len(r.files) == 0 {
		return terminal()
	}
	return nil
}

// wanted says whether the command line asks for a key.
func (r *recoveryKey) wanted() bool { return r.shares != "" || len(r.files) > 0 }

// namesKey finds a line of a policy that names a recovery key.
var namesKey = regexp.MustCompile(`(?m)^[ \t]*recovery-key[ \t]*=`)

// suits holds the flags to the lines of a first policy. made is false where those name
// a key: then none is to be made.
func (r *recoveryKey) suits(cmd *cobra.Command, body string) (made bool, err error) {
	if namesKey.MatchString(body) {
		if r.wanted() {
			return false, &misused{command: cmd.CommandPath(), err: errors.New("the policy names a recovery key already: leave out --recovery-shares and --recovery-file, or that line")}
		}
		return false, nil
	}
	if err := r.check(); err != nil {
		return false, &misused{command: cmd.CommandPath(), err: err}
	}
	return true, nil
}

// intoPolicy makes a key, and returns the lines of the first policy with it: body, or
// those that an organisation begins with. A policy that names one stays as it is.
func (r *recoveryKey) intoPolicy(cmd *cobra.Command, in io.Reader, body string) (string, error) {
	if body == "" {
		body = admin.FirstPolicy()
	}
	if made, err := r.suits(cmd, body); err != nil || !made {
		return body, err
	}
	recipient, err := r.make(in, os.Stdout)
	if err != nil {
		return "", err
	}
	for _, path := range r.files {
		fmt.Fprintf(os.Stderr, "The recovery key, or a share of it, is in %s\n", filepath.Clean(path))
	}
	return strings.TrimRight(body, "\n") + "\n\nrecovery-key = \"" + recipient + "\"\n", nil
}

// make makes a key, and shows or writes it once. It returns the recipient.
func (r *recoveryKey) make(in io.Reader, out io.Writer) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	if err := harden.Early(); err != nil { // no dump has it
		return "", err
	}
	if err := keystore.CheckMemlock(); err != nil {
		return "", err
	}
	need, of, _ := r.split()
	k := recovery.New()
	defer k.Destroy()
	recipient, err := k.Recipient()
	if err != nil {
		return "", err
	}
	sheet := recovery.Sheet{Organisation: r.org, Recipient: recipient, Need: need, Of: of}
	if of == 0 {
		text := k.Text()
		defer text.Destroy()
		return recipient, r.put(in, out, 0, sheet.Heading(), text.Bytes())
	}
	set, err := k.Split(need, of)
	if err != nil {
		return "", err
	}
	defer set.Destroy()
	text := memguard.NewBuffer(shares.TextSize)
	defer text.Destroy()
	for n := range of {
		sheet.Number = n + 1
		if err := r.put(in, out, n, sheet.Heading(), set.AppendText(text.Bytes()[:0], n)); err != nil {
			return "", err
		}
	}
	return recipient, nil
}

// The alternate screen, empty, and back from it.
const (
	altOn  = "\x1b[?1049h\x1b[H\x1b[2J"
	altOff = "\x1b[H\x1b[2J\x1b[?1049l"
)

// put writes a sheet into its file, or shows it until Enter is pressed.
func (r *recoveryKey) put(in io.Reader, out io.Writer, n int, heading string, secret []byte) error {
	whole := memguard.NewBuffer(len(heading) + len(secret) + 1)
	defer whole.Destroy()
	b := append(append(whole.Bytes()[:0], heading...), secret...)
	if b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	if len(r.files) > 0 {
		if err := atomicfile.Write(r.files[n], b); err != nil {
			return fmt.Errorf("write the recovery key: %w", err)
		}
		return nil
	}
	// Not where it stays: what the shell has shown comes back after it.
	io.WriteString(out, altOn+"\n")
	defer io.WriteString(out, altOff)
	if _, err := out.Write(b); err != nil {
		return fmt.Errorf("show the recovery key: %w", err)
	}
	io.WriteString(out, "\nIt is shown this once. Write it down, compare what you wrote, and keep it where\nonly those can get at it who may. Then press Enter. ")
	line := make([]byte, 1)
	for {
		switch m, err := in.Read(line); {
		case m == 1 && line[0] == '\n':
			return nil
		case errors.Is(err, errNothingDone):
			return err
		case err != nil:
			return errors.New("nobody has pressed Enter, so the recovery key may not have been written down. Nothing uses it yet: run this again")
		}
	}
}

func recoveryKeyCommand() *cobra.Command {
	var r recoveryKey
	cmd := &cobra.Command{
		Use:   "recovery-key",
		Short: "Make a recovery key",
		Long: `Make a key that opens vaults and backups in an emergency, and show it once: whole,
or split into shares of which any few bring it back and fewer say nothing.

It is an age identity (https://age-encryption.org). What is printed at the end is
its recipient, which everybody may know: the organisation's policy names it, and
each device then lets it open its vault, on its own machine. A person can make one,
too, for their own backups. See docs/recovery.md.

Without --recovery-file it is shown on the terminal, a sheet at a time, and nowhere
kept. Files are readable by you only: put each on another medium, and away.`,
		Example: `  sotto org recovery-key --recovery-shares 3/5 --org hospital.example
  sotto org recovery-key --recovery-file /media/usb/recovery.txt`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.check(); err != nil {
				return &misused{command: cmd.CommandPath(), err: err}
			}
			recipient, err := r.make(os.Stdin, os.Stdout)
			if err != nil {
				return err
			}
			for _, path := range r.files {
				fmt.Fprintf(os.Stdout, "Written: %s\n", filepath.Clean(path))
			}
			fmt.Fprintf(os.Stdout, "The line for the policy:\n\nrecovery-key = \"%s\"\n", recipient)
			return nil
		},
	}
	r.flags(cmd.Flags())
	cmd.Flags().StringVar(&r.org, "org", "", "whose key it is, for the sheets")
	return cmd
}
