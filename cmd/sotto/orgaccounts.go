package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sotto/client/admin"
	"sotto/client/admin/console"
	"sotto/internal/profile"
)

// maxTokenFile bounds a file with a password or token in bytes.
const maxTokenFile = 4096

func orgAccountsCommand() *cobra.Command {
	var s office
	var url, user, file string
	var token, off bool
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "Say how accounts are made, or have ejabberd's HTTP API make them",
		Long: `Say how sotto org invite makes accounts: by XEP-0133, for which the organisation's
account has to be an admin of the relay, or by ejabberd's HTTP API (mod_http_api),
with another account that can make accounts there and nothing else, or with a token.

The password or token is asked for, or read from a file, and kept in the profile's
encrypted database and nowhere else. It goes to the address that is set here, with TLS
and the profile's certificate authorities, and to no other. docs/relays/ejabberd.md has
the configuration.`,
		Example: `  sotto org accounts
  sotto org accounts --http https://relay.hospital.example:5443/api --as accounts@hospital.example
  sotto org accounts --off`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			r := console.Request{Do: "accounts", URL: url, User: user, Off: off}
			switch {
			case url == "" && (user != "" || token || file != ""):
				return wrong(cmd, errors.New("say where the HTTP API is, with --http"))
			case url != "" && off:
				return wrong(cmd, errors.New("--http and --off exclude each other"))
			case url != "" && (user == "") != token:
				return wrong(cmd, errors.New("say with --as which account the relay lets make others, or that a token is given with --token"))
			case url != "":
				if err := admin.CheckWeb(admin.Web{URL: url, User: user}); err != nil {
					return wrong(cmd, err)
				}
			}
			if err := s.check(cmd); err != nil {
				return err
			}
			if url != "" {
				what := "Password of " + user
				if token {
					what = "Token"
				}
				if r.Secret, err = apiSecret(what, file); err != nil {
					return err
				}
				defer clear(r.Secret)
			}
			return s.acting(cmd, r, func(w io.Writer, a *console.Answer) {
				switch {
				case a.Web == nil:
					fmt.Fprintln(w, "Accounts are made by XEP-0133, if the organisation's account is an admin of the relay.")
				case a.Web.User == "":
					fmt.Fprintf(w, "Accounts are made by %s, with a token.\n", a.Web.URL)
				default:
					fmt.Fprintf(w, "Accounts are made by %s, as %s.\n", a.Web.URL, a.Web.User)
				}
			})
		},
	}
	s.open(cmd)
	s.jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&url, "http", "", "where ejabberd's HTTP API is, such as https://relay.hospital.example:5443/api")
	f.StringVar(&user, "as", "", "the account that may make accounts there")
	f.BoolVar(&token, "token", false, "with a token (OAuth) instead of an account and its password")
	f.StringVar(&file, "secret-file", "", "file or pipe with the password or token, yours or root's, and closed to others; without it you are asked")
	f.BoolVar(&off, "off", false, "forget this: accounts are made by XEP-0133 again")
	return cmd
}

// apiSecret asks for a secret without echo, or reads it from a file.
func apiSecret(what, file string) (console.Secret, error) {
	var b []byte
	if file != "" {
		f, err := profile.OpenSecret("the file with the password or token", file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		b = make([]byte, maxTokenFile)
		n, err := io.ReadFull(f, b)
		if err == nil {
			clear(b)
			return nil, fmt.Errorf("%s is too long for a password or token", file)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			clear(b)
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		b = bytes.TrimRight(b[:n], "\r\n")
	} else {
		tty, err := controllingTerminal()
		if err != nil {
			return nil, errors.New("nobody is there to be asked for the password or token. Name the file that it is in with --secret-file")
		}
		defer tty.Close()
		fmt.Fprint(tty, what+": ")
		b, err = term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		if err != nil {
			clear(b)
			return nil, fmt.Errorf("read what is typed: %w", err)
		}
	}
	if len(b) == 0 {
		return nil, errors.New("nothing was given: the password or token is empty")
	}
	return b, nil
}
