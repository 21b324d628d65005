package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sotto/client/org"
	"sotto/client/org/policy"
)

// allowed is how long the command line lets a relay keep messages; 0 where it says
// nothing of it.
func (c inquiry) allowed() (time.Duration, error) {
	switch {
	case c.policy != "" && c.retention != "":
		return 0, errors.New("--policy and --retention both say how long messages may be kept: give one of them")
	case c.retention != "":
		return readPeriod("--retention", c.retention)
	case c.policy == "":
		return 0, nil
	}
	f, err := os.Open(c.policy)
	if err != nil {
		return 0, fmt.Errorf("the policy cannot be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 2*org.MaxText))
	if err != nil {
		return 0, fmt.Errorf("the policy cannot be read: %w", err)
	}
	d, err := relayRetention(string(b))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.policy, err)
	}
	return d, nil
}

// relayRetention reads the setting relay-retention from the lines of a policy, or
// from a policy as it is signed. The signature is not looked at: whoever runs the
// command has chosen the file.
func relayRetention(s string) (time.Duration, error) {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	if rest, signed := strings.CutPrefix(s, "sotto "+string(org.KindPolicy)+" v1\n"); signed {
		_, s, _ = strings.Cut(rest, "\n\n")
		if i := strings.LastIndex(s, "\n\n— "); i >= 0 {
			s = s[:i+1]
		}
	}
	values, err := policy.ParseLines(s)
	if err != nil {
		return 0, fmt.Errorf("this is no policy: %w", err)
	}
	v := values["relay-retention"]
	if !v.Set() || v.Duration() == 0 {
		return 0, errors.New("the policy does not say how long relays may keep messages (relay-retention): there is nothing to compare. Leave --policy out")
	}
	return v.Duration(), nil
}
