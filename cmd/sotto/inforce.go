package main

import (
	"errors"
	"fmt"
	"strings"

	"sotto/client/org/policy"
	"sotto/internal/harden"
	"sotto/internal/inforce"
	"sotto/internal/profile"
	"sotto/internal/role"
)

// held are the settings of a profile as they hold: what the person has chosen, and
// what the organisation makes of it.
type held struct {
	profile.Config
	all    []policy.Decided
	rules  role.Rules
	wishes []byte         // what the person has chosen, for the desk
	limits []string       // folders that the policy lets files be attached from; nil: it does not say
	copy   *inforce.Copy  // nil: no organisation is known before unlocking
	chosen profile.Config // before the policy
	damage error          // inforce.ErrCopy, for the lock screen
}

// damaged is for the lock screen: see inforce.ErrCopy.
const damaged = "What your organisation says about this device could not be read, and your own settings hold. Unlocking puts it right."

// holding finds out what holds for a profile. c are its settings as they were read.
func holding(p profile.Profile, c profile.Config) (held, error) {
	h := held{chosen: c}
	_, chosen, err := p.Chosen()
	if err != nil {
		return h, err
	}
	if h.copy, err = inforce.Read(p.Data); errors.Is(err, inforce.ErrCopy) {
		h.damage = err
	} else if err != nil {
		return h, err
	}
	var in *policy.Policy
	if h.copy != nil {
		in = h.copy.Policy
	}
	wishes := inforce.Wishes(c, chosen)
	h.all = policy.Merge(in, wishes)
	h.Config = inforce.Config(c, h.all)
	if h.copy != nil && h.Organisation == "" {
		h.Organisation = h.copy.Anchor.Key.Name()
	}
	h.rules = inforce.Rules(h.all)
	h.wishes = []byte(policy.Lines(wishes))
	if v := in.Value("attach-from"); v.Set() {
		h.limits = append([]string{}, v.List()...)
	}
	return h, nil
}

// permitted says in a sentence why sotto does not open here; nil if it does.
func (h held) permitted() error {
	if policy.Find(h.all, "sandbox").Text() == "full" {
		if missing := harden.Offered().Missing(); len(missing) > 0 {
			return fmt.Errorf("%s has sotto opened only in its whole sandbox, and this system lacks a part of it: %s. "+
				"Nothing was opened. Use another machine, or tell your administrator; sotto doctor says more", h.Organisation, strings.Join(missing, "; "))
		}
	}
	return nil
}

// program says in a sentence why a program must not open the profile; nil if it may.
func (h held) program() error {
	if v := policy.Find(h.all, "service"); h.copy != nil && h.copy.Policy.Value("service").Set() && !v.Bool() {
		return fmt.Errorf("%s lets no program open a profile (its policy says: service = false). Ask your administrator", h.Organisation)
	}
	return nil
}
