package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"sotto/client/admin/console"
)

// orgProfile is the profile of an organisation's account where no other is named.
const orgProfile = "org"

// command writes one of sotto org's as it is to be typed for this profile.
func (s *office) command() func(arguments string) string {
	return func(arguments string) string {
		if s.profile != orgProfile {
			arguments += " --profile " + s.profile
		}
		return "sotto org " + arguments
	}
}

// next says what to do once the organisation is founded.
func (s *office) next(out io.Writer) {
	w, command := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0), s.command()
	fmt.Fprintf(w, "  %s\tlook at the first policy, and change it\n", command("policy edit"))
	fmt.Fprintf(w, "  %s\tinvite people\n", command("invite ADDRESS"))
	fmt.Fprintf(w, "  %s\tanswer those who join, and keep devices in touch;\n", command("serve"))
	fmt.Fprint(w, "\tstart it as a service (docs/administration.md)\n")
	w.Flush()
}

// showAccount says what became of the account of somebody who was removed.
func showAccount(w io.Writer, a *console.Account, command func(string) string) {
	if a == nil {
		return
	}
	switch a.State {
	case console.AccountEnded:
		fmt.Fprintf(w, "The account %s has been ended at the relay: nobody can log in with it any more.\n", a.Address)
	case console.AccountKept:
		fmt.Fprintf(w, "The account %s stays at the relay, and whoever has its password can log in with it.\n", a.Address)
	case console.AccountWaits:
		fmt.Fprintf(w, "The account %s stays at the relay until its devices have heard that they\nare to be wiped. sotto org serve ends it then. To end it before:\n  %s\n", a.Address, command("remove "+a.Address+" --now"))
	case console.AccountLater:
		fmt.Fprintf(w, "The account %s is still at the relay: %s.\nsotto org serve, or the next sotto org command, ends it.\n", a.Address, strings.TrimSuffix(a.Why, "."))
	default:
		user, host, _ := strings.Cut(a.Address, "@")
		fmt.Fprintf(w, `The account %s is still at the relay, and whoever has its password can
log in with it: %s.
Whoever runs the relay has to end it:
  Prosody      prosodyctl deluser %s
  ejabberd     ejabberdctl ban_account %s %s removed
  sotto relay  sotto relay user remove %s --data DIR
Or, once the relay lets the organisation's account do it:
  %s
`, a.Address, strings.TrimSuffix(a.Why, "."), quoted(a.Address), quoted(user), host, quoted(user), command("remove "+quoted(a.Address)))
	}
}

// accountState is the same in a line of the status.
func accountState(a console.Account) string {
	switch a.State {
	case console.AccountWaits:
		return "waits until its devices have heard that they are to be wiped"
	case console.AccountByHand:
		return "the relay does not do it: " + a.Why
	}
	return "is tried again: " + a.Why
}

// quoted writes a word for a shell. No address holds an apostrophe before its @ (RFC
// 7622 section 3.3.1), and none is let through here.
func quoted(s string) string {
	plain := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@.-_", r))
	}) < 0
	if plain && !strings.HasPrefix(s, "-") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
