package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// orgProfile is the profile of an organisation's account where no other is named.
const orgProfile = "org"

// command writes one of sotto org's as it is to be typed for this profile.
func (s *office) command(arguments string) string {
	if s.profile != orgProfile {
		arguments += " --profile " + s.profile
	}
	return "sotto org " + arguments
}

// next says what to do once the organisation is founded.
func (s *office) next(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "  %s\tlook at the policy, change it\n", s.command("policy edit"))
	fmt.Fprintf(w, "  %s\tinvite people\n", s.command("invite ADDRESS"))
	fmt.Fprintf(w, "  %s\tanswer those who join, as\n", s.command("serve"))
	fmt.Fprint(w, "\ta service (administration.md)\n")
	w.Flush()
}

// accountStays says how the account of somebody who was removed is ended, which takes
// whoever runs the relay; not before devices are wiped that are to be.
func accountStays(out io.Writer, address string, wipe bool) {
	user, host, _ := strings.Cut(address, "@")
	fmt.Fprintf(out, "The account %s is still at the relay.\n", address)
	if wipe {
		fmt.Fprint(out, "The order reaches the devices through it. Once they are wiped, whoever\nruns the relay ends it:\n")
	} else {
		fmt.Fprint(out, "Whoever runs the relay ends it:\n")
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "  Prosody\tprosodyctl deluser %s\n", quoted(address))
	fmt.Fprintf(w, "  ejabberd\tejabberdctl ban_account %s %s removed\n", quoted(user), quoted(host))
	fmt.Fprintf(w, "  sotto relay\tsotto relay user remove %s --data DIR\n", quoted(user))
	w.Flush()
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
