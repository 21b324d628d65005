package admin

import (
	"strings"
	"testing"

	"sotto/client/org/invitation"
)

// TestInvitationSaysWhatThePolicyAsks holds that a code has of the policy what has to be
// known before the policy is there.
func TestInvitationSaysWhatThePolicyAsks(t *testing.T) {
	const one, two = "wss://relay.hospital.example/ws", "wss://b.hospital.example/ws"
	const key = "TGUfGqo0R2x4RBWqxHGSTm4hSrVpZmzQ3UrgqWrUkFI="
	for _, x := range []struct {
		relay, policy string
		goes          string
		terms         invitation.Terms
		pins          int
	}{
		{one, "", one, invitation.Terms{}, 0},
		{one, "pin-length = 12\npin-characters = \"mixed\"\n", one, invitation.Terms{PINLength: 12, PINMixed: true}, 0},
		{"", "relays = [\"nonsense\", \"" + two + "\"]\n", two, invitation.Terms{OnlyRelay: true}, 0},
		{one, "relays = [\"" + two + "\"]\n", two, invitation.Terms{OnlyRelay: true}, 0},
		{one, "relays = [\"" + two + "\", \"" + one + "\"]\nrelay-pins = [\"" + key + "\"]\n", one, invitation.Terms{OnlyRelay: true}, 1},
		{one, "relay-pins = [\"" + strings.Join([]string{key, "A" + key[1:], "B" + key[1:], "C" + key[1:], "D" + key[1:]}, "\", \"") + "\"]\n", one, invitation.Terms{}, 0},
	} {
		o := &Organisation{relay: x.relay}
		if x.policy != "" {
			d, _ := device(t, 1)
			var err error
			if o, err = Found(t.Context(), database(t), Founding{Name: "hospital.example", Contact: contact, Relay: x.relay, Device: d, Policy: "lease = \"7d\"\n" + x.policy}); err != nil {
				t.Fatal(err)
			}
		}
		relay, terms := o.terms()
		c := invitation.Code{Relay: relay, Terms: terms}
		_, pins := c.Limits()
		if terms.SetPins(nil); relay != x.goes || terms != x.terms || len(strings.Fields(pins)) != x.pins {
			t.Errorf("%q: %q, %+v, %d pins", x.policy, relay, terms, len(strings.Fields(pins)))
		}
	}
}
