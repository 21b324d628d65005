package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sotto/client/admin/console"
	"sotto/client/link"
	"sotto/client/org/policy"
	"sotto/client/text"
)

// The settings relays and relay-pins hold for the organisation's own account, too. One
// that keeps it from its relay cannot be taken back: no later policy reaches anybody.

// errCutOff is wrapped by errors about a policy that would cut everybody off.
var errCutOff = errors.New("nobody could connect any more, and you could not take it back")

const relayAnswers = 20 * time.Second // how long the relay is waited for

// connects looks, before a policy is signed, whether the organisation's own account may
// connect to its relay under it. Where that cannot be known a person is asked.
func (s *office) connects(ctx context.Context, c *conversation, body string) error {
	if bound, err := bindsRelays(body); !bound || err != nil {
		return err
	}
	a, err := c.say(console.Request{Do: "route"})
	if err != nil {
		return err
	}
	unknown, err := cutsOff(ctx, a.Route, body)
	switch {
	case err != nil || unknown == "":
		return err
	case s.yes:
		return errors.New(unknown + ". Try again when it answers; without --yes you are asked whether to sign all the same")
	}
	return s.confirm(c, strings.ToUpper(unknown[:1])+unknown[1:]+
		". If it does, nobody can connect any more, and you cannot take it back. Sign it without knowing?")
}

// connectsFirst is connects for the first policy. It is signed only with a relay that
// answers, and nobody has to be asked.
func connectsFirst(ctx context.Context, r *console.Route, body string) error {
	if bound, err := bindsRelays(body); !bound || err != nil {
		return err
	}
	unknown, err := cutsOff(ctx, r, body)
	if err == nil && unknown != "" {
		err = errors.New(unknown + ". Try again when it answers")
	}
	return err
}

// bindsRelays reports whether a policy says which relays may be connected to.
func bindsRelays(body string) (bool, error) {
	values, err := policy.ParseLines(body)
	return err == nil && len(values["relays"].List())+len(values["relay-pins"].List()) > 0, err
}

// cutsOff returns errCutOff, with what to do, where a policy keeps the organisation's
// account from its relay. What is unknown, if anything, is for people.
func cutsOff(ctx context.Context, r *console.Route, body string) (unknown string, err error) {
	if r == nil {
		return "", errors.New("the process that has the profile is of another version. End it, and try again")
	}
	values, err := policy.ParseLines(body)
	if err != nil {
		return "", err
	}
	relays, pins := values["relays"].List(), values["relay-pins"].List()
	ctx, cancel := context.WithTimeout(ctx, relayAnswers)
	defer cancel()
	byList := len(pins) == 0 && r.Relay != "" // all that can keep it out is the list
	if byList {
		cancel() // that is looked at before any connection is made
	} else {
		fmt.Fprintln(os.Stderr, "Asking the relay whether everybody can connect to it under this policy ...")
	}
	found := link.Inspect(ctx, link.Target{Domain: r.Domain, Relay: r.Relay, CA: r.CA,
		Relays: strings.Join(relays, "\n"), Pins: strings.Join(pins, "\n")})
	why := text.Line(excluded(found, r)).String()
	switch {
	case why != "":
		return "", fmt.Errorf("%w: %s", errCutOff, why)
	case found.Step >= link.Greeted, byList: // which has it
		return "", nil
	}
	return text.Line("the relay could not be asked whether this policy keeps everybody from it: " + strings.TrimSuffix(found.Words, ".")).String(), nil
}

// excluded says why a policy keeps the organisation from its relay, and what to do; ""
// if it does not, or that is not known.
func excluded(found link.Inspection, r *console.Route) string {
	switch found.Excluded {
	case link.NotListed:
		return fmt.Sprintf("relays does not have %s, where the organisation itself is. Add it", r.Relay)
	case link.NotPinned:
		return fmt.Sprintf("no certificate of %s has one of the keys in relay-pins. Add the key that it has now", found.URL)
	case link.NoURL:
		return "relays has what is no URL such as wss://relay.example.org/ws. Correct it"
	case link.NoPin:
		return "relay-pins has what is no SHA-256 of a key in base64. Correct it"
	}
	return ""
}
