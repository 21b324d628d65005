package orgreport

import (
	"fmt"
	"time"

	"sotto/client/org/policy"
)

// exceptions says what somebody who answers for the organisation should look at. The
// order is that of how soon.
func (r *Report) exceptions(k *Known, values map[string]policy.Value) {
	say := func(format string, a ...any) { r.Exceptions = append(r.Exceptions, fmt.Sprintf(format, a...)) }
	s := &k.Status
	if r.Audit != nil && !r.Audit.Sound {
		say("The audit logs are not sound: see there.")
	}
	if !s.Serving {
		say("Nobody serves: devices lock when the lease is over (sotto org serve).")
	}
	if n := s.Left.Items + s.Left.Answers; n > 0 {
		say("What was signed is not all at the relay: %d are missing.", n)
	}
	for _, o := range k.Orders {
		for _, d := range o.Devices {
			if o.InForce && d.Result != "obeyed" && d.Result != "nothing" {
				say("Order %d (%s) is not carried out on %s/%d: %s.", o.Number, o.Do, d.Address, d.Device, d.Result)
			}
		}
	}
	for _, p := range r.People {
		switch {
		case p.State == "active" && len(p.Devices) == 0:
			say("%s has no device.", p.Address)
		case p.State == "suspended":
			say("%s is suspended.", p.Address)
		}
		for _, d := range p.Devices {
			switch {
			case r.Audit == nil:
			case d.Contact.IsZero() && r.Made.Sub(d.Added) > time.Hour:
				say("There is no audit log of %s/%d.", p.Address, d.ID)
			case !d.Contact.IsZero() && r.Made.Sub(d.Contact) > Quiet:
				say("%s/%d was heard last on %s.", p.Address, d.ID, d.Contact.UTC().Format(time.DateOnly))
			}
		}
	}
	for _, i := range s.Invitations {
		if i.Wrong > 0 {
			say("Somebody tried wrong PINs with the invitation of %s.", i.Address)
		}
	}
	if r.Audit == nil {
		say("The audit logs were not looked at (--audit FOLDER).")
	}
	if k.Policy == nil {
		say("No policy is in force.")
		return
	}
	for _, c := range []struct {
		name, without string
		loose         func(policy.Value) bool
	}{
		{"auditor", "nobody collects audit logs", func(v policy.Value) bool { return v.Text() == "" }},
		{"recovery-key", "nobody can open a vault in an emergency", func(v policy.Value) bool { return v.Text() == "" }},
		{"relay-retention", "relays keep messages for as long as they like", func(v policy.Value) bool { return v.Duration() == 0 }},
		{"retention", "texts stay on devices until somebody removes them", func(v policy.Value) bool { return v.Duration() == 0 }},
		{"destroy-after", "wrong PINs destroy no vault", func(v policy.Value) bool { return v.Set() && v.Int() == 0 }},
		{"tpm", "a vault can be copied to another machine, and its PIN guessed there", func(v policy.Value) bool { return v.Text() != "required" }},
		{"trust", "devices outside the directory may be trusted", func(v policy.Value) bool { return v.Text() != "directory" }},
		{"legacy", "TLS 1.2 and SCRAM-SHA-1 are taken", func(v policy.Value) bool { return v.Set() && v.Bool() }},
		{"saving", "a backup may be made to a key of a person's own, too", func(v policy.Value) bool { return v.Set() && v.Bool() }},
		{"service", "programs may open profiles of their own without a person", func(v policy.Value) bool { return v.Set() && v.Bool() }},
	} {
		if c.loose(values[c.name]) {
			say("Policy: %s (%s).", c.without, c.name)
		}
	}
}
