package doctor

import (
	"context"
	"fmt"
	"time"

	"sotto/internal/inforce"
)

// organisation looks at what an organisation has signed for this device, as it stands
// beside the database: whose device it is, how old the policy is, how long it goes on
// without a word. What waits to be sent to the auditor is in the database only.
func (p place) organisation(context.Context) finding {
	copy, err := inforce.Read(p.Data)
	if err != nil {
		return finding{Weak, err.Error(), "Until then a policy that is missing here does not hold before the PIN is given.", "Unlock sotto once."}
	}
	return belongs(copy, time.Now())
}

func belongs(c *inforce.Copy, now time.Time) finding {
	if c == nil {
		return good("none, or not unlocked since joining one")
	}
	found := c.Anchor.Key.Name()
	if c.Policy == nil {
		found += ", no policy yet"
	} else {
		found += fmt.Sprintf(", policy %d (%s)", c.Policy.Serial, roughly(now.Sub(c.Policy.Issued)))
	}
	audit := ""
	if auditor := c.Policy.Value("auditor"); auditor.Set() {
		audit = "; the audit log goes to " + auditor.Text()
	}
	if c.Head.Issued.IsZero() {
		return good(found + audit)
	}
	heard, lease := now.Sub(c.Head.Issued), c.Policy.Lease()
	switch left := lease - heard; {
	case heard < -10*time.Minute:
		return finding{Bad, found + fmt.Sprintf("; its last word is %s in the future", roughly(-heard)) + audit,
			"The clock of this computer is behind, so sotto stays locked.", "Put the clock right."}
	case left <= 0:
		return finding{Bad, found + fmt.Sprintf("; not heard for %s", roughly(heard)) + audit,
			fmt.Sprintf("The policy lets sotto go on for %s without a word of the organisation; it stays locked until there is one.", roughly(lease)),
			"Go online. If that does not help, ask your administrator whether sotto org serve runs."}
	case left <= lease/4:
		return finding{Weak, found + fmt.Sprintf("; not heard for %s", roughly(heard)) + audit,
			fmt.Sprintf("If nothing is heard, sotto locks in %s.", roughly(left)),
			"Go online. If that does not help, ask your administrator whether sotto org serve runs."}
	default:
		return good(found + ", lease " + roughly(left) + audit)
	}
}

// roughly writes a length of time.
func roughly(d time.Duration) string {
	n, unit := int(max(d, 0)/time.Minute), "minute"
	switch {
	case d >= 48*time.Hour:
		n, unit = int(d/(24*time.Hour)), "day"
	case d >= time.Hour:
		n, unit = int(d/time.Hour), "hour"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
