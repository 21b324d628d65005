package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/fang"
	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sotto/internal/doctor/multiplexer"
	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/watch"
)

// exit is an error that only carries an exit code: everything has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// execute runs what the command line says and returns the exit code.
func execute() int {
	root := rootCommand()
	var failed error
	keep(root, &failed)
	err := fang.Execute(context.Background(), root,
		fang.WithVersion(version()), fang.WithoutManpage(), fang.WithErrorHandler(complain))
	if failed != nil {
		complain(os.Stderr, fang.Styles{}, failed)
		err = failed
	}
	var code exit
	bad := (*misused)(nil)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &bad) && bad.code != 0:
		return bad.code
	}
	return 1
}

// keep has the errors of all commands put aside. Fang asks the terminal for its
// colours before it shows an error, and one that does not answer costs seconds.
func keep(cmd *cobra.Command, failed *error) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*failed = run(cmd, args)
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		keep(sub, failed)
	}
}

// complain says what is wrong, as one sentence to a person.
func complain(w io.Writer, _ fang.Styles, err error) {
	var code exit
	if errors.As(err, &code) {
		return
	}
	complainTo(w, err.Error())
	if bad := (*misused)(nil); errors.As(err, &bad) {
		fmt.Fprintf(w, "See: %s --help\n", bad.command)
	}
}

// complainTo says what is wrong, as one sentence to a person.
func complainTo(w io.Writer, text string) {
	text = strings.TrimSpace(text)
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	text = "sotto: " + text
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			text = folded(text, width)
		}
	}
	fmt.Fprintln(w, text)
}

// folded breaks the lines of a text between words, where a terminal of so many
// columns would break them within one. Nothing else is changed: paths and
// commands are in it.
func folded(text string, width int) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		column := 0
		for j, word := range strings.Split(line, " ") {
			w := ansi.StringWidth(word)
			switch {
			case j == 0:
			case column+1+w > width:
				b.WriteByte('\n')
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += w
		}
	}
	return b.String()
}

// misused is an error about the command line itself.
type misused struct {
	command string // whose help says what is right
	err     error
	code    int // exit code; 0 is 1
}

func (m *misused) Error() string { return m.err.Error() }
func (m *misused) Unwrap() error { return m.err }

// nothing holds a command to no arguments.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &misused{command: cmd.CommandPath(), err: fmt.Errorf("%s takes no %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// subcommand holds a command to those that it has.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &misused{command: cmd.CommandPath(), err: fmt.Errorf("there is no command %q", cmd.CommandPath()+" "+args[0])}
	}
	return nil
}

// help is what a command does that only has others.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func rootCommand() *cobra.Command {
	var name string
	root := &cobra.Command{
		Use:   "sotto",
		Short: "A secure messenger for the terminal",
		Long: `Sotto is a messenger for people who handle patient data. It is end-to-end
encrypted (OMEMO), works with any XMPP relay that speaks WebSocket, keeps its
keys in locked memory, and locks itself.

Without a command it opens your profile. Start with one of these:

  sotto demo                      try it: a hospital in a box, nothing to set up
  sotto join alice@example.org    set up an account on your relay`,
		Example: `  sotto
  sotto demo
  sotto join alice@example.org --relay wss://chat.example.org/ws`,
		Args: subcommand,
		RunE: func(*cobra.Command, []string) error { return openProfile(name) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &misused{command: cmd.CommandPath(), err: err} })
	root.Flags().StringVar(&name, "profile", profile.Default, "which account to open")
	root.AddCommand(policyCommand(), backupCommand(), restoreCommand(), demoCommand(), joinCommand(), lockCommand(), orgCommand(), pinCommand(), passwordCommand(), relayCommand(), sendCommand(), listenCommand(), trustCommand(), auditCommand(), doctorCommand(), wipeCommand(), versionCommand())
	return root
}

// openProfile opens a profile that exists.
func openProfile(name string) error {
	p, c, lock, err := load(name)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	cfg, err := opening(role.Unlock, p, c, lock)
	if err != nil {
		return err
	}
	return afterwards(p, watchOver(cfg))
}

// surroundings obeys the setting multiplexer. It returns a note about what is
// around the terminal, or why sotto must not open there.
func surroundings(c profile.Config) (note string, err error) {
	if c.Multiplexer == "allow" {
		return "", nil
	}
	return multiplexer.Find(context.Background(), os.Getenv).Permit(c.Multiplexer)
}

// watchOver opens sotto and turns how it ended into an error.
func watchOver(c watch.Config) error {
	code, err := watch.Run(c)
	if err == nil && code != 0 {
		return exit(code)
	}
	return err
}

// hint is what to do when there is no profile yet.
func hint(name string) error {
	join := "sotto join you@your.relay"
	if name != profile.Default {
		join += " --profile " + name
		return fmt.Errorf("there is no profile %q. Set it up with: %s", name, join)
	}
	return fmt.Errorf("there is no profile yet. Try it with: sotto demo. Or set up your account with: %s", join)
}

// terminal fails early where there is nobody to ask.
func terminal() error {
	for _, f := range []*os.File{os.Stdin, os.Stdout} {
		if i, err := f.Stat(); err != nil || i.Mode()&os.ModeCharDevice == 0 {
			return role.ErrNoTerminal
		}
	}
	return nil
}
