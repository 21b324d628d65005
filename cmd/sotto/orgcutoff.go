package main

import (
	"context"
	"errors"
	"fmt"
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
	values, err := policy.ParseLines(body)
	if err != nil {
		return err
	}
	relays, pins := values["relays"].List(), values["relay-pins"].List()
	if len(relays)+len(pins) == 0 {
		return nil
	}
	a, err := c.say(console.Request{Do: "route"})
	if err != nil {
		return err
	}
	if a.Route == nil {
		return errors.New("the process that has the profile is of another version. End it, and try again")
	}
	ctx, cancel := context.WithTimeout(ctx, relayAnswers)
	defer cancel()
	found := link.Inspect(ctx, link.Target{Domain: a.Route.Domain, Relay: a.Route.Relay, CA: a.Route.CA,
		Relays: strings.Join(relays, "\n"), Pins: strings.Join(pins, "\n")})
	why := text.Line(excluded(found, a.Route)).String()
	switch {
	case why != "":
		return fmt.Errorf("%w: %s", errCutOff, why)
	case found.Step >= link.Greeted, len(pins) == 0 && a.Route.Relay != "": // which is on the list
		return nil
	case s.yes:
		return errors.New(text.Line("the relay could not be asked whether this policy keeps everybody from it: " +
			strings.TrimSuffix(found.Words, ".") + ". Try again when it answers; without --yes you are asked whether to sign all the same").String())
	}
	words := text.Line("The relay could not be asked whether this policy keeps everybody from it. " + found.Words +
		" If it does, nobody can connect any more, and you cannot take it back. Sign it without knowing?").String()
	return s.confirm(c, words)
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
